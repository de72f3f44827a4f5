// Two records of requests, as `GET /v1/requests` gives them: the second parts from the first.

const timing = {
  queue_ms: 0.1, prefill_ms: 30.2, ttft_ms: 31.4, predicted_ttft_ms: 29.0, decode_ms: 100.0,
  e2e_ms: 131.2,
};

const FIRST = {
  id: "chatcmpl-first", object: "request", created: 1790000000.123,
  endpoint: "/v1/chat/completions", state: "finished", finish_reason: "stop",
  usage: {
    prompt_tokens: 60, completion_tokens: 12, total_tokens: 72,
    prompt_tokens_details: { cached_tokens: 0 },
  },
  timing, preemptions: 0, cache: null,
};

const SECOND = {
  ...FIRST,
  id: "chatcmpl-second", created: 1790000009.5, state: "running", finish_reason: null,
  usage: {
    prompt_tokens: 1263, completion_tokens: 3, total_tokens: 1266,
    prompt_tokens_details: { cached_tokens: 48 },
  },
  timing: { ...timing, decode_ms: null, e2e_ms: null },
  cache: {
    block_size: 16, matched_tokens: 48, matched_blocks: 3, uncached_tokens: 1215,
    miss: {
      token: 48, block: 3, reason: "template_drift",
      explanation: "The same text was written differently by the chat template.",
      here: { token_id: 123, text: " 12", before: "the time is", after: ":30 <img src=x>" },
      diverged_from: {
        id: "chatcmpl-first", shared_tokens: 48,
        there: { token_id: 99, text: "\n11", before: "the time is", after: ":29" },
      },
    },
  },
};

/** Answers for the routes of records in place of the server. */
export async function routeRecords(page) {
  const records = [SECOND, FIRST];
  await page.route("**/v1/requests?*", (route) =>
    route.fulfill({ json: { object: "list", data: records } }));
  await page.route("**/v1/requests/*", (route) => {
    const id = route.request().url().split("/").at(-1);
    return route.fulfill({ json: records.find((record) => record.id === id) });
  });
}
