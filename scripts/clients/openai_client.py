"""Asks a running server what people ask it, with curl and the `openai` package.

    python scripts/clients/openai_client.py http://127.0.0.1:8000

The server must serve the embedded model without an API key.
"""

import json
import subprocess

import openai

from checks import run
from questions import (
    BERLIN_ANSWER,
    BERLIN_ARGUMENTS,
    BERLIN_QUESTION,
    BERLIN_RESULT,
    CLOCK_FUNCTION,
    FALCON,
    FALCON_ANSWER,
    FALCON_USAGE,
    PARIS,
    PARIS_ARGUMENTS,
    WEATHER,
)

WHO = "<|im_start|>user\nWho are you?<|im_end|>\n<|im_start|>assistant\n"
WHO_TOKENS = [1, 310, 201, 1998, 522, 425, 33, 2, 201, 1, 309, 201]
WHO_ANSWER = "I am a small demo model shipped with the server; I answer from the"


def curl(url, *arguments):
    """Status, headers (names in lower case) and body of one request."""
    command = ["curl", "--silent", "--show-error", "--include", "--max-time", "60", *arguments, url]
    output = subprocess.run(command, check=True, capture_output=True).stdout.decode()
    head, body = output.split("\r\n\r\n", 1)
    while head.startswith("HTTP/1.1 100"):
        head, body = body.split("\r\n\r\n", 1)
    lines = head.split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:])
    return int(lines[0].split()[1]), {k.lower(): v for k, v in headers.items()}, body


def post(url, body):
    """`curl` with a JSON body; a string is sent as it is."""
    data = body if isinstance(body, str) else json.dumps(body)
    return curl(url, "-H", "Content-Type: application/json", "--data-binary", data)


def events(body):
    """The data of an event stream's events."""
    return [line[6:] for line in body.splitlines() if line.startswith("data: ")]


def check_probes(checks, url):
    """The routes that need no model."""
    for route in ("/health", "/ready"):
        status, headers, _ = curl(url + route)
        checks.equal(f"curl {route}", status, 200)
        checks.holds(f"curl {route} has a request id", headers.get("x-request-id"), headers)
    status, _, body = curl(url + "/version")
    checks.holds("curl /version", status == 200 and json.loads(body)["version"], body)
    status, headers, body = curl(url + "/metrics")
    checks.equal("curl /metrics", status, 200)
    checks.holds("/metrics is OpenMetrics", body.endswith("# EOF\n"), body[-80:])
    for name in ("vllm:num_requests_running", "vllm:kv_cache_usage_perc", "vllm:cache_config_info"):
        checks.holds(f"/metrics has {name}", f"\n{name}{{" in body)


def check_curl_chat(checks, url, model):
    """The Falcon question through curl, whole and streamed."""
    chat = url + "/v1/chat/completions"
    status, headers, body = post(chat, {"model": model, "messages": FALCON})
    answer = json.loads(body)
    checks.equal("curl chat status", status, 200)
    checks.equal("curl chat content type", headers["content-type"], "application/json")
    checks.equal("curl chat answer", answer["choices"][0]["message"]["content"], FALCON_ANSWER)
    checks.equal("curl chat object", answer["object"], "chat.completion")
    cached = answer["usage"]["prompt_tokens_details"]["cached_tokens"]
    checks.holds("curl chat says what was cached", isinstance(cached, int), answer["usage"])

    options = {"stream": True, "stream_options": {"include_usage": True}}
    status, headers, body = post(chat, {"model": model, "messages": FALCON, **options})
    checks.equal("curl stream content type", headers["content-type"], "text/event-stream")
    data = events(body)
    checks.equal("curl stream ends with [DONE]", data[-1], "[DONE]")
    chunks = [json.loads(event) for event in data[:-1]]
    text = "".join(c["delta"].get("content") or "" for k in chunks for c in k["choices"])
    checks.equal("curl stream answer", text, FALCON_ANSWER)
    checks.equal("curl stream begins with the role", chunks[0]["choices"][0]["delta"]["role"],
                 "assistant")
    checks.equal("curl stream has one id", len({chunk["id"] for chunk in chunks}), 1)
    usage = chunks[-1]["usage"]
    checks.equal("curl stream ends with the usage", chunks[-1]["choices"], [])
    # All but the last prompt token was computed a moment ago.
    checks.equal("curl stream found the prefix", usage["prompt_tokens_details"]["cached_tokens"],
                 FALCON_USAGE[0] - 1)


def check_chat(checks, client, model):
    """The Falcon question through the `openai` package."""
    answer = client.chat.completions.create(model=model, messages=FALCON)
    choice = answer.choices[0]
    checks.equal("chat answer", choice.message.content, FALCON_ANSWER)
    checks.equal("chat role", choice.message.role, "assistant")
    checks.equal("chat finish reason", choice.finish_reason, "stop")
    usage = (answer.usage.prompt_tokens, answer.usage.completion_tokens)
    checks.equal("chat usage", usage, FALCON_USAGE)
    checks.equal("chat total", answer.usage.total_tokens, sum(FALCON_USAGE))
    checks.holds("chat cached tokens", answer.usage.prompt_tokens_details.cached_tokens is not None)

    stream = client.chat.completions.create(
        model=model, messages=FALCON, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    pieces = [c.delta.content for k in chunks for c in k.choices if c.delta.content]
    reasons = [c.finish_reason for k in chunks for c in k.choices if c.finish_reason]
    checks.equal("stream answer", "".join(pieces), FALCON_ANSWER)
    checks.holds("stream comes in pieces", len(pieces) > 5, pieces)
    checks.equal("stream finish reason", reasons, ["stop"])
    usage = chunks[-1].usage
    checks.equal("stream usage", (usage.prompt_tokens, usage.completion_tokens), FALCON_USAGE)


def check_parameters(checks, client, model):
    """Parameters that change the answer."""
    answer = client.chat.completions.create(model=model, messages=FALCON, max_tokens=3)
    checks.equal("max_tokens", answer.choices[0].finish_reason, "length")
    checks.equal("max_tokens counts", answer.usage.completion_tokens, 3)
    answer = client.chat.completions.create(model=model, messages=FALCON, stop=[" is 4"])
    checks.equal("stop", answer.choices[0].message.content, "The budget of project Falcon")
    checks.equal("stop reason", answer.choices[0].finish_reason, "stop")
    answer = client.chat.completions.create(
        model=model, messages=FALCON, logprobs=True, top_logprobs=2, max_completion_tokens=4
    )
    tokens = answer.choices[0].logprobs.content
    checks.equal("logprobs", len(tokens), 4)
    checks.holds("logprobs are probabilities", all(token.logprob <= 0 for token in tokens))
    checks.equal("top_logprobs", [len(token.top_logprobs) for token in tokens], [2] * 4)
    checks.holds("greedy is the likeliest",
                 all(token.token == token.top_logprobs[0].token for token in tokens))

    def sampled(seed):
        # Not a conversation, so that the model is far from certain.
        return client.completions.create(
            model=model, prompt="The capital of", temperature=2.0, seed=seed, n=2, max_tokens=12
        )

    first, again, other = sampled(7), sampled(7), sampled(8)
    texts = [[choice.text for choice in answer.choices] for answer in (first, again, other)]
    checks.equal("n", [choice.index for choice in first.choices], [0, 1])
    checks.equal("the same seed answers the same", texts[0], texts[1])
    checks.holds("another seed answers otherwise", texts[0] != texts[2], texts)
    checks.holds("choices differ", texts[0][0] != texts[0][1], texts)


def check_tools(checks, client, model):
    """A tool call, whole and streamed, and its result."""
    ask = {"model": model, "messages": PARIS, "tools": [WEATHER]}
    choice = client.chat.completions.create(**ask).choices[0]
    checks.equal("tools finish reason", choice.finish_reason, "tool_calls")
    calls = choice.message.tool_calls or []
    checks.equal("tools calls", [call.function.name for call in calls], ["get_weather"])
    checks.equal("tools arguments", [json.loads(c.function.arguments) for c in calls],
                 [PARIS_ARGUMENTS])

    names, arguments, reasons = [], "", []
    for chunk in client.chat.completions.create(**ask, stream=True):
        for streamed in chunk.choices:
            reasons += [streamed.finish_reason] if streamed.finish_reason else []
            for call in streamed.delta.tool_calls or []:
                names += [call.function.name] if call.function.name else []
                arguments += call.function.arguments or ""
    checks.equal("tools streamed name", names, ["get_weather"])
    checks.equal("tools streamed arguments", json.loads(arguments or "null"), PARIS_ARGUMENTS)
    checks.equal("tools streamed finish reason", reasons, ["tool_calls"])

    without = client.chat.completions.create(**ask, tool_choice="none", max_tokens=16)
    checks.holds("tool_choice none calls nothing", not without.choices[0].message.tool_calls)

    call = {"name": "get_weather", "arguments": json.dumps(BERLIN_ARGUMENTS)}
    turns = [
        {"role": "user", "content": BERLIN_QUESTION},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "x", "type": "function", "function": call}],
        },
        {"role": "tool", "tool_call_id": "x", "content": BERLIN_RESULT},
    ]
    answer = client.chat.completions.create(model=model, messages=turns, tools=[WEATHER])
    checks.equal("tools result", answer.choices[0].message.content, BERLIN_ANSWER)


def check_forms(checks, client, model):
    """Calls that are forced, and answers with a form."""
    clock = {"type": "function", "function": CLOCK_FUNCTION}
    named = {"type": "function", "function": {"name": "get_weather"}}
    for name, choice in (("required", "required"), ("named", named)):
        for stream in (False, True):
            answer = client.chat.completions.create(
                model=model, messages=PARIS, temperature=0, max_tokens=60, stream=stream,
                tools=[WEATHER, clock], tool_choice=choice,
            )
            calls = {}
            deltas = (chunk.choices[0].delta for chunk in answer) if stream else (
                [answer.choices[0].message]
            )
            for call in (call for delta in deltas for call in delta.tool_calls or []):
                key = getattr(call, "index", 0)
                called, arguments = calls.get(key, ("", ""))
                called += call.function.name or ""
                calls[key] = (called, arguments + (call.function.arguments or ""))
            found = [(called, json.loads(arguments)) for called, arguments in calls.values()]
            title = f"tool_choice {name}{', streamed' if stream else ''}"
            checks.equal(title, found, [("get_weather", PARIS_ARGUMENTS)])
    schema = {
        "type": "object",
        "properties": {"city": {"enum": ["Paris", "Rome"]}, "days": {"type": "integer"}},
        "required": ["city", "days"],
        "additionalProperties": False,
    }
    wish = {"type": "json_schema", "json_schema": {"name": "stay", "schema": schema, "strict": True}}
    answer = client.chat.completions.create(
        model=model, messages=PARIS, temperature=1, seed=3, max_tokens=80, response_format=wish,
    )
    stay = json.loads(answer.choices[0].message.content)
    checks.holds("json_schema", stay["city"] in ("Paris", "Rome") and type(stay["days"]) is int, stay)
    answer = client.completions.create(
        model=model, prompt=WHO, max_tokens=20, extra_body={"structured_outputs": {"regex": "[a-c]{5}"}},
    )
    text = answer.choices[0].text
    checks.holds("structured_outputs", len(text) == 5 and set(text) <= set("abc"), text)


def check_completions(checks, client, model):
    """Text and token ids to continue."""
    for name, prompt in (("text", WHO), ("token ids", WHO_TOKENS)):
        answer = client.completions.create(model=model, prompt=prompt, max_tokens=16)
        checks.equal(f"completion of {name}", answer.choices[0].text, WHO_ANSWER)
        checks.equal(f"completion of {name} ends by length", answer.choices[0].finish_reason,
                     "length")
        checks.equal(f"completion of {name} counts", answer.usage.prompt_tokens, len(WHO_TOKENS))
    for name, prompt in (("texts", [WHO, WHO]), ("lists of ids", [WHO_TOKENS, WHO_TOKENS])):
        answer = client.completions.create(model=model, prompt=prompt, max_tokens=16)
        found = [(choice.index, choice.text) for choice in answer.choices]
        checks.equal(f"completion of {name}", found, [(0, WHO_ANSWER), (1, WHO_ANSWER)])
    stream = client.completions.create(model=model, prompt=WHO, max_tokens=16, stream=True)
    text = "".join(choice.text for chunk in stream for choice in chunk.choices)
    checks.equal("completion streamed", text, WHO_ANSWER)
    answer = client.completions.create(model=model, prompt=WHO, max_tokens=4, logprobs=2)
    checks.equal("completion logprobs", len(answer.choices[0].logprobs.token_logprobs), 4)


def check_tokens(checks, url, model):
    """`/tokenize` and `/detokenize`."""
    status, _, body = post(url + "/tokenize", {"model": model, "prompt": WHO})
    checks.equal("tokenize", (status, json.loads(body)["tokens"]), (200, WHO_TOKENS))
    status, _, body = post(url + "/tokenize", {"model": model, "messages": FALCON})
    checks.equal("tokenize a chat", (status, json.loads(body)["count"]), (200, FALCON_USAGE[0]))
    status, _, body = post(url + "/detokenize", {"model": model, "tokens": WHO_TOKENS})
    checks.equal("detokenize", (status, json.loads(body)["prompt"]), (200, WHO))


def check_errors(checks, client, url, model):
    """Errors arrive as the package's own exceptions, with OpenAI's fields."""
    def chat(**fields):
        extra = fields.pop("extra_body", None)
        ask = {"model": model, "messages": FALCON, **fields}
        return lambda: client.chat.completions.create(**ask, extra_body=extra)

    schema = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "objekt"}}}
    other = {"type": "function", "function": {"name": "get_time"}}
    long = [{"role": "user", "content": "far too long " * 8192}]
    cases = [
        ("temperature", chat(temperature=-1), 400, "temperature", None),
        ("wrong type", chat(max_tokens="many"), 400, "max_tokens", None),
        ("json_schema", chat(response_format=schema), 400, "response_format.json_schema.schema",
         None),
        ("tool_choice", chat(tools=[WEATHER], tool_choice=other), 400, "tool_choice.function.name",
         None),
        ("unknown field", chat(extra_body={"temprature": 1}), 400, "temprature", None),
        ("no messages", chat(messages=[]), 400, "messages", None),
        ("too long", chat(messages=long), 400, "messages", "context_length_exceeded"),
        ("unknown model", chat(model="gpt-7"), 404, "model", "model_not_found"),
    ]
    for name, call, status, param, code in cases:
        error = checks.refused(name, openai.APIStatusError, call)
        if error is not None:
            found = (error.status_code, error.param, error.code)
            checks.equal(f"{name} says why", found, (status, param, code))
            checks.holds(f"{name} has a request id", error.request_id)
    for name, route, arguments, status in (
        ("malformed JSON", "/v1/chat/completions", ("--data-binary", "{\"model\": "), 400),
        ("no such route", "/v1/nothing", (), 404),
        ("wrong method", "/v1/chat/completions", (), 405),
    ):
        found, _, body = curl(url + route, "-H", "Content-Type: application/json", *arguments)
        checks.equal(f"curl {name}", found, status)
        error = json.loads(body)["error"]
        checks.holds(f"curl {name} has OpenAI's shape", "message" in error, body)


def check_all(checks, url):
    """All checks of this client."""
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=60)
    model = client.models.list().data[0].id
    checks.equal("models", client.models.retrieve(model).id, model)
    checks.attempt("probes", check_probes, url)
    checks.attempt("curl", check_curl_chat, url, model)
    checks.attempt("chat", check_chat, client, model)
    checks.attempt("parameters", check_parameters, client, model)
    checks.attempt("tools", check_tools, client, model)
    checks.attempt("forms", check_forms, client, model)
    checks.attempt("completions", check_completions, client, model)
    checks.attempt("tokens", check_tokens, url, model)
    checks.attempt("errors", check_errors, client, url, model)


if __name__ == "__main__":
    run(__doc__, check_all)
