"""Asks a running server what people ask it with the `ollama` package.

    python scripts/clients/ollama_client.py http://127.0.0.1:8000

The server must serve the embedded model without an API key.
"""

import json
import urllib.request
from typing import Literal

import ollama
import pydantic

from checks import run
from questions import (
    BERLIN_ANSWER,
    BERLIN_ARGUMENTS,
    BERLIN_QUESTION,
    BERLIN_RESULT,
    FACTS,
    FALCON,
    FALCON_ANSWER,
    FALCON_QUESTION,
    FALCON_USAGE,
    PARIS,
    PARIS_ARGUMENTS,
    WEATHER,
)

DURATIONS = ["total_duration", "load_duration", "prompt_eval_duration", "eval_duration"]


def get_weather(city: str) -> str:
    """Get the weather of a city.

    Args:
        city: The city.
    """
    return BERLIN_RESULT


class Stay(pydantic.BaseModel):
    """What a form asks for."""

    city: Literal["Paris", "Rome"]
    days: int = pydantic.Field(ge=0, le=99)


def check_usage(checks, name, answer):
    """What the last line tells of an answer's cost."""
    checks.equal(f"{name} is done", (answer.done, answer.done_reason), (True, "stop"))
    checks.equal(f"{name} counts", (answer.prompt_eval_count, answer.eval_count), FALCON_USAGE)
    times = [answer[duration] for duration in DURATIONS]
    checks.holds(f"{name} durations", all(type(time) is int for time in times), times)
    total, _, prefill, decode = times
    checks.holds(f"{name} takes time", total >= max(prefill, decode) and prefill > 0, times)


def calls(message):
    """Names and arguments of the calls in a message."""
    return [(call.function.name, dict(call.function.arguments)) for call in message.tool_calls or []]


def check_chat(checks, client, model):
    """The Falcon question, whole and as lines."""
    for name in (model, f"{model}:latest"):
        answer = client.chat(model=name, messages=FALCON)
        checks.equal(f"chat with {name}", answer.message.content, FALCON_ANSWER)
        checks.equal(f"chat with {name} role", answer.message.role, "assistant")
        check_usage(checks, f"chat with {name}", answer)
    lines = list(client.chat(model=model, messages=FALCON, stream=True))
    pieces = [line.message.content for line in lines]
    checks.equal("stream answer", "".join(pieces), FALCON_ANSWER)
    checks.holds("stream comes in pieces", len(pieces) > 5, pieces)
    checks.equal("stream ends once", [line.done for line in lines],
                 [False] * (len(lines) - 1) + [True])
    check_usage(checks, "stream", lines[-1])


def check_generate(checks, client, model):
    """The same as a prompt with a system text."""
    ask = {"model": model, "prompt": FALCON_QUESTION, "system": FACTS}
    answer = client.generate(**ask)
    checks.equal("generate", answer.response, FALCON_ANSWER)
    check_usage(checks, "generate", answer)
    lines = list(client.generate(**ask, stream=True))
    checks.equal("generate streamed", "".join(line.response for line in lines), FALCON_ANSWER)
    check_usage(checks, "generate streamed", lines[-1])
    loaded = client.generate(model=model)
    checks.equal("no prompt loads", (loaded.done, loaded.done_reason, loaded.response),
                 (True, "load", ""))


def check_options(checks, client, model):
    """Options change the answer, and are in the words of this API."""
    cut = client.chat(model=model, messages=FALCON, options={"num_predict": 3}, keep_alive="5m")
    checks.equal("num_predict", (cut.done_reason, cut.eval_count), ("length", 3))
    stopped = client.chat(model=model, messages=FALCON, options={"stop": [" is 4"]})
    checks.equal("stop", stopped.message.content, "The budget of project Falcon")
    harmless = {"num_ctx": 2048, "num_predict": -1, "temperature": 0}
    answer = client.chat(model=model, messages=FALCON, options=harmless, think=False)
    checks.equal("num_ctx and think", answer.message.content, FALCON_ANSWER)
    poem = [{"role": "user", "content": "Write a poem of strange words."}]
    texts = [
        client.chat(model=model, messages=poem,
                    options={"temperature": 1.8, "seed": seed, "num_predict": 24}).message.content
        for seed in (7, 7, 8)
    ]
    checks.equal("the same seed answers the same", texts[0], texts[1])
    checks.holds("another seed answers otherwise", texts[0] != texts[2], texts)


def check_tools(checks, client, model):
    """Calls, whole and streamed, by a schema and by a function of Python's; and their results."""
    for name, tool in (("schema", WEATHER), ("function", get_weather)):
        ask = {"model": model, "messages": PARIS, "tools": [tool], "options": {"temperature": 0}}
        whole = client.chat(**ask)
        checks.equal(f"tools by {name}", calls(whole.message), [("get_weather", PARIS_ARGUMENTS)])
        checks.equal(f"tools by {name} done", (whole.done, whole.done_reason), (True, "stop"))
        lines = list(client.chat(**ask, stream=True))
        found = [call for line in lines for call in calls(line.message)]
        checks.equal(f"tools by {name} streamed", found, [("get_weather", PARIS_ARGUMENTS)])
        checks.equal(f"tools by {name} streamed, no text",
                     "".join(line.message.content for line in lines).strip(), "")
        # The message goes back as it came.
        result = {"role": "tool", "tool_name": "get_weather", "content": BERLIN_RESULT}
        answer = client.chat(**{**ask, "messages": [*PARIS, whole.message, result]})
        checks.equal(f"tools by {name} result", answer.message.content, BERLIN_ANSWER)
    call = {"function": {"name": "get_weather", "arguments": BERLIN_ARGUMENTS}}
    turns = [
        {"role": "user", "content": BERLIN_QUESTION},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": BERLIN_RESULT},
    ]
    answer = client.chat(model=model, messages=turns, tools=[WEATHER])
    checks.equal("a result without a name", answer.message.content, BERLIN_ANSWER)


def check_forms(checks, client, model):
    """Answers with a form."""
    for seed in range(3):
        options = {"temperature": 1, "seed": seed, "num_predict": 80}
        answer = client.chat(model=model, messages=PARIS, options=options,
                             format=Stay.model_json_schema())
        stay = Stay.model_validate_json(answer.message.content)
        checks.holds(f"format schema, seed {seed}", stay.city in ("Paris", "Rome"), stay)
    answer = client.generate(model=model, prompt="Write JSON.", format=Stay.model_json_schema(),
                             options={"temperature": 1, "seed": 3, "num_predict": 80})
    checks.holds("format schema of generate", Stay.model_validate_json(answer.response), answer)
    answer = client.chat(model=model, messages=PARIS, format="json", options={"num_predict": 80})
    text = answer.message.content
    holds = text.lstrip().startswith("{") if answer.done_reason == "length" else json.loads(text)
    checks.holds("format json", holds or text.strip() == "{}", answer)


def check_models(checks, client, url, model):
    """What tools ask before they use a model."""
    listed = client.list().models
    checks.equal("list", [found.model for found in listed], [model])
    checks.holds("list tells when", listed[0].modified_at is not None, listed)
    shown = client.show(model)
    checks.equal("show capabilities", shown.capabilities, ["completion", "tools"])
    context = [value for key, value in shown.modelinfo.items() if key.endswith(".context_length")]
    checks.holds("show tells the context length", len(context) == 1 and context[0] >= 4096,
                 shown.modelinfo)
    architecture = shown.modelinfo["general.architecture"]
    checks.holds("show names it after the architecture",
                 f"{architecture}.context_length" in shown.modelinfo, shown.modelinfo)
    with urllib.request.urlopen(f"{url}/api/version", timeout=60) as answer:
        checks.holds("version", json.load(answer)["version"])


def check_errors(checks, client, model):
    """Errors arrive as the package's own exceptions, and name the field."""
    robot = [{"role": "robot", "content": "x"}]
    long = [{"role": "user", "content": "far too long " * 8192}]
    picture = [{"role": "user", "content": "x", "images": [b"png"]}]
    for name, fields, status, part in (
        ("unknown model", {"model": "llama7"}, 404, "`llama7`"),
        ("role", {"messages": robot}, 400, "`messages[0].role`"),
        ("images", {"messages": picture}, 400, "`messages[0].images`"),
        ("too long", {"messages": long}, 400, "tokens"),
        ("temperature", {"options": {"temperature": 9}}, 400, "`options.temperature`"),
        ("unknown option", {"options": {"temprature": 1}}, 400, "`options.temprature`"),
        ("mirostat", {"options": {"mirostat": 2}}, 400, "`options.mirostat`"),
        ("schema", {"format": {"type": "objekt"}}, 400, "`format`"),
    ):
        for stream in (False, True):
            title = f"{name}{', streamed,' if stream else ''}"
            ask = {"model": model, "messages": FALCON, **fields}

            def call(ask=ask, stream=stream):
                answer = client.chat(**ask, stream=stream)
                return list(answer) if stream else answer

            error = checks.refused(title, ollama.ResponseError, call)
            if error is not None:
                checks.equal(f"{title} status", error.status_code, status)
                checks.holds(f"{title} says why", part in error.error, error.error)
    for name, call, status in (
        ("raw", lambda: client.generate(model=model, prompt="x", raw=True), 400),
        ("suffix", lambda: client.generate(model=model, prompt="x", suffix="y"), 400),
        ("show of another", lambda: client.show("llama7"), 404),
        ("pull", lambda: client.pull("llama7"), 404),
    ):
        error = checks.refused(name, ollama.ResponseError, call)
        checks.equal(f"{name} status", error and error.status_code, status)


def check_all(checks, url):
    """All checks of this client."""
    client = ollama.Client(host=url, timeout=60)
    model = client.list().models[0].model
    checks.attempt("chat", check_chat, client, model)
    checks.attempt("generate", check_generate, client, model)
    checks.attempt("options", check_options, client, model)
    checks.attempt("tools", check_tools, client, model)
    checks.attempt("forms", check_forms, client, model)
    checks.attempt("models", check_models, client, url, model)
    checks.attempt("errors", check_errors, client, model)


if __name__ == "__main__":
    run(__doc__, check_all)
