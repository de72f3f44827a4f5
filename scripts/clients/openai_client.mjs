// Asks a running server what people ask it from JavaScript, with the packages `openai` and
// `@anthropic-ai/sdk`.
//
//     node openai_client.mjs http://127.0.0.1:8000
//
// The server must serve the embedded model without an API key. What is expected is what questions.py
// says.

import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";

import { run } from "./checks.mjs";

const FACTS = "The budget of project Falcon is 4312 euros. The port of the proxy is 8443.";
const QUESTION = "What is the budget of project Falcon?";
const ANSWER = "The budget of project Falcon is 4312 euros.";
const USAGE = [52, 16];
const FALCON = [
  { role: "system", content: FACTS },
  { role: "user", content: QUESTION },
];
const PARIS = [{ role: "user", content: "What is the weather in Paris?" }];
const WEATHER = {
  name: "get_weather",
  description: "Get the weather of a city.",
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
};
const RESULT = '{"temperature": 21, "sky": "clear"}';
const RESULT_ANSWER = "The temperature is 21 and the sky isclear.";

async function collected(stream) {
  const chunks = [];
  for await (const chunk of stream) {
    chunks.push(chunk);
  }
  return chunks;
}

async function checkChat(checks, client, model) {
  const ask = { model, messages: FALCON };
  const answer = await client.chat.completions.create(ask);
  checks.equal("chat answer", answer.choices[0].message.content, ANSWER);
  checks.equal("chat finish reason", answer.choices[0].finish_reason, "stop");
  checks.equal("chat usage", [answer.usage.prompt_tokens, answer.usage.completion_tokens], USAGE);

  const options = { stream: true, stream_options: { include_usage: true } };
  const chunks = await collected(await client.chat.completions.create({ ...ask, ...options }));
  const pieces = chunks.flatMap((chunk) => chunk.choices.map((it) => it.delta.content ?? ""));
  checks.equal("stream answer", pieces.join(""), ANSWER);
  checks.holds("stream comes in pieces", pieces.length > 5, pieces);
  checks.equal("stream usage", chunks.at(-1).usage.completion_tokens, USAGE[1]);
  const final = await client.chat.completions.stream(ask).finalContent();
  checks.equal("helper's content", final, ANSWER);
}

async function checkTools(checks, client, model) {
  const ask = { model, messages: PARIS, tools: [{ type: "function", function: WEATHER }] };
  const calls = (message) =>
    (message.tool_calls ?? []).map((it) => [it.function.name, JSON.parse(it.function.arguments)]);
  const expected = [["get_weather", { city: "Paris" }]];
  const whole = await client.chat.completions.create(ask);
  checks.equal("tools", calls(whole.choices[0].message), expected);
  checks.equal("tools finish reason", whole.choices[0].finish_reason, "tool_calls");
  const streamed = await client.chat.completions.stream(ask).finalChatCompletion();
  checks.equal("tools streamed", calls(streamed.choices[0].message), expected);
  checks.equal("tools streamed finish reason", streamed.choices[0].finish_reason, "tool_calls");

  for (const stream of [false, true]) {
    const asked = [];
    const run = (input) => {
      asked.push(input);
      return RESULT;
    };
    const tool = { type: "function", function: { ...WEATHER, function: run, parse: JSON.parse } };
    const runner = client.chat.completions.runTools({ ...ask, tools: [tool], stream });
    const name = `runTools${stream ? ", streamed," : ""}`;
    checks.equal(`${name} answers`, await runner.finalContent(), RESULT_ANSWER);
    checks.equal(`${name} calls`, asked, [{ city: "Paris" }]);
  }
}

async function checkResponses(checks, client, model) {
  const ask = { model, instructions: FACTS, input: QUESTION };
  const whole = await client.responses.create(ask);
  checks.equal("response", whole.output_text, ANSWER);
  const events = await collected(await client.responses.create({ ...ask, stream: true }));
  const deltas = events.filter((event) => event.type === "response.output_text.delta");
  checks.equal("response streamed", deltas.map((event) => event.delta).join(""), ANSWER);
  checks.equal("response ends", events.at(-1).type, "response.completed");
  const final = await client.responses.stream(ask).finalResponse();
  checks.equal("response helper's", final.output_text, ANSWER);

  const tools = [{ type: "function", strict: false, ...WEATHER }];
  const call = { model, input: PARIS[0].content, tools };
  for (const response of [
    await client.responses.create(call),
    await client.responses.stream(call).finalResponse(),
  ]) {
    const found = response.output.map((item) => [item.type, item.name, JSON.parse(item.arguments)]);
    checks.equal("response call", found, [["function_call", "get_weather", { city: "Paris" }]]);
  }
}

/** How many requests the server computes. */
async function running(url) {
  const metrics = await (await fetch(`${url}/metrics`)).text();
  return Number(metrics.match(/^vllm:num_requests_running\{[^}]*\} (\S+)$/m)?.[1]);
}

/** Waits until this many requests are computed, for 10 s at most, and says how many there are. */
async function settled(url, expected) {
  let found = await running(url);
  for (let wait = 0; found !== expected && wait < 100; wait += 1) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    found = await running(url);
  }
  return found;
}

/** Leaves a stream in the middle; the server stops computing it and goes on. */
async function checkAbort(checks, client, model, url) {
  for (const [name, ask] of [
    ["chat", (options) => client.chat.completions.create(endless(model), options)],
    ["responses", (options) => client.responses.create(endlessResponse(model), options)],
  ]) {
    const controller = new AbortController();
    const stream = await ask({ signal: controller.signal });
    let seen = 0;
    for await (const _ of stream) {
      seen += 1;
      if (seen === 5) {
        checks.equal(`${name} is computed`, await settled(url, 1), 1);
        controller.abort();
      }
    }
    checks.holds(`${name} is left in the middle`, seen >= 5 && seen < 1000, `${seen} events`);
    checks.equal(`${name} that was left is computed no longer`, await settled(url, 0), 0);
  }
  checks.equal("the server is healthy", (await fetch(`${url}/health`)).status, 200);
  const answer = await client.chat.completions.create({ model, messages: FALCON });
  checks.equal("the server answers", answer.choices[0].message.content, ANSWER);
}

/** A request whose answer would take minutes. */
function endless(model) {
  return { model, messages: PARIS, stream: true, max_tokens: 8000, ignore_eos: true };
}

function endlessResponse(model) {
  const input = PARIS[0].content;
  return { model, input, stream: true, max_output_tokens: 8000, ignore_eos: true };
}

async function checkErrors(checks, client, model) {
  const chat = (fields) => () =>
    client.chat.completions.create({ model, messages: FALCON, ...fields });
  const long = [{ role: "user", content: "far too long ".repeat(8192) }];
  for (const [name, call, kind, param, code] of [
    ["temperature", chat({ temperature: -1 }), OpenAI.BadRequestError, "temperature", null],
    ["unknown field", chat({ temprature: 1 }), OpenAI.BadRequestError, "temprature", null],
    ["too long", chat({ messages: long }), OpenAI.BadRequestError, "messages",
      "context_length_exceeded"],
    ["unknown model", chat({ model: "gpt-7" }), OpenAI.NotFoundError, "model", "model_not_found"],
  ]) {
    const error = await checks.refused(name, kind, call);
    checks.equal(`${name} says why`, [error?.param, error?.code], [param, code]);
    checks.holds(`${name} has a request id`, error?.requestID);
  }
}

async function checkAnthropic(checks, client, model) {
  const ask = {
    model,
    system: FACTS,
    messages: [{ role: "user", content: QUESTION }],
    max_tokens: 64,
  };
  const whole = await client.messages.create(ask);
  checks.equal("message", whole.content.map((block) => block.text), [ANSWER]);
  checks.equal("message streamed", await client.messages.stream(ask).finalText(), ANSWER);
  const { parameters, ...weather } = WEATHER;
  const call = {
    model,
    messages: PARIS,
    max_tokens: 64,
    tools: [{ ...weather, input_schema: parameters }],
  };
  for (const message of [
    await client.messages.create(call),
    await client.messages.stream(call).finalMessage(),
  ]) {
    const found = message.content.map((block) => [block.type, block.name, block.input]);
    checks.equal("message call", found, [["tool_use", "get_weather", { city: "Paris" }]]);
    checks.equal("message stop reason", message.stop_reason, "tool_use");
  }
  const error = await checks.refused("message to an unknown model", Anthropic.NotFoundError, () =>
    client.messages.create({ ...ask, model: "claude-7" }),
  );
  checks.equal("it says which kind", error?.error?.error?.type, "not_found_error");
}

await run(async (checks, url) => {
  const options = { apiKey: "none", maxRetries: 0, timeout: 60_000 };
  const client = new OpenAI({ baseURL: `${url}/v1`, ...options });
  const anthropic = new Anthropic({ baseURL: url, ...options });
  const model = (await client.models.list()).data[0].id;
  await checks.attempt("chat", checkChat, client, model);
  await checks.attempt("tools", checkTools, client, model);
  await checks.attempt("responses", checkResponses, client, model);
  await checks.attempt("errors", checkErrors, client, model);
  await checks.attempt("anthropic", checkAnthropic, anthropic, model);
  await checks.attempt("abort", checkAbort, client, model, url);
});
