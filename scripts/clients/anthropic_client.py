"""Asks a running server what people ask it with the `anthropic` package.

    python scripts/clients/anthropic_client.py http://127.0.0.1:8000

The server must serve the embedded model without an API key.
"""

import json
import uuid
from typing import Literal

import anthropic
import pydantic

from checks import run
from questions import (
    BERLIN_ANSWER,
    BERLIN_ARGUMENTS,
    BERLIN_QUESTION,
    BERLIN_RESULT,
    CLOCK_FUNCTION,
    FACTS,
    FALCON_ANSWER,
    FALCON_QUESTION,
    FALCON_USAGE,
    PARIS,
    PARIS_ARGUMENTS,
    WEATHER_FUNCTION,
)

BILLING = "x-anthropic-billing-header: cc_version=2.1.117.48f; cc_entrypoint=cli; cch={};"
LEFT_OUT = "x-context-billing-lines-left-out"


def tool(function):
    """A function as this API describes it."""
    rest = {key: value for key, value in function.items() if key != "parameters"}
    return {**rest, "input_schema": function["parameters"]}


WEATHER = tool(WEATHER_FUNCTION)
CLOCK = tool(CLOCK_FUNCTION)


def falcon(model, **fields):
    """The Falcon question."""
    question = {"role": "user", "content": FALCON_QUESTION}
    ask = {"model": model, "system": FACTS, "messages": [question], "max_tokens": 64}
    return {**ask, **fields}


def said(message):
    """The blocks of a message, without what differs between any two."""
    blocks = [block.to_dict() for block in message.content]
    return [{key: value for key, value in block.items() if key != "id"} for block in blocks]


def text(message):
    """What a message says."""
    return "".join(block.text for block in message.content if block.type == "text")


def prompt_tokens(usage):
    """Tokens of the prompt, cached or not."""
    return usage.input_tokens + usage.cache_creation_input_tokens + usage.cache_read_input_tokens


def check_whole(checks, client, model):
    """The Falcon question, answered at once."""
    message = client.messages.create(**falcon(model))
    checks.equal("message", said(message), [{"type": "text", "text": FALCON_ANSWER}])
    checks.equal("message stop reason", message.stop_reason, "end_turn")
    checks.equal("message stop sequence", message.stop_sequence, None)
    checks.equal("message role", (message.type, message.role), ("message", "assistant"))
    checks.equal("message model", message.model, model)
    checks.holds("message id", message.id.startswith("msg_"), message.id)
    checks.holds("message has a request id", message._request_id, "no header `request-id`")
    usage = (prompt_tokens(message.usage), message.usage.output_tokens)
    checks.equal("message usage", usage, FALCON_USAGE)

    again = client.messages.create(**falcon(model))
    # All but the last prompt token was computed a moment ago.
    checks.equal("message found the prefix", again.usage.cache_read_input_tokens,
                 FALCON_USAGE[0] - 1)
    checks.equal("message computed the rest", again.usage.input_tokens, 1)
    blocks = [{"type": "text", "text": FACTS}]
    checks.equal("system as blocks", text(client.messages.create(**falcon(model, system=blocks))),
                 FALCON_ANSWER)
    other = falcon(model, system=FACTS.replace("4312", "9071"))
    checks.equal("another system prompt", text(client.messages.create(**other)),
                 FALCON_ANSWER.replace("4312", "9071"))


def check_stream(checks, client, model):
    """The same as a stream, event by event and with the package's helper."""
    events = list(client.messages.create(**falcon(model), stream=True))
    kinds = [event.type for event in events]
    checks.equal("stream events", sorted(set(kinds), key=kinds.index), [
        "message_start", "content_block_start", "content_block_delta", "content_block_stop",
        "message_delta", "message_stop",
    ])
    checks.equal("stream has one block", kinds.count("content_block_start"), 1)
    pieces = [event.delta.text for event in events if event.type == "content_block_delta"]
    checks.equal("stream answer", "".join(pieces), FALCON_ANSWER)
    checks.holds("stream comes in pieces", len(pieces) > 5, pieces)
    start = events[0].message
    checks.equal("stream begins empty", (start.content, start.stop_reason), ([], None))
    checks.equal("stream begins with the prompt's usage", prompt_tokens(start.usage),
                 FALCON_USAGE[0])
    ends = next(event for event in events if event.type == "message_delta")
    checks.equal("stream stop reason", ends.delta.stop_reason, "end_turn")
    checks.equal("stream usage", ends.usage.output_tokens, FALCON_USAGE[1])

    with client.messages.stream(**falcon(model)) as stream:
        pieces = list(stream.text_stream)
        message = stream.get_final_message()
    checks.equal("helper's pieces", "".join(pieces), FALCON_ANSWER)
    checks.equal("helper's message", said(message), [{"type": "text", "text": FALCON_ANSWER}])
    checks.equal("helper's stop reason", message.stop_reason, "end_turn")
    usage = (prompt_tokens(message.usage), message.usage.output_tokens)
    checks.equal("helper's usage", usage, FALCON_USAGE)


def check_calls(checks, client, model):
    """Calls, asked for in each way, whole and streamed."""
    call = [{"type": "tool_use", "name": "get_weather", "input": PARIS_ARGUMENTS}]
    for name, choice, tools in (
        ("by default", {}, [WEATHER]),
        ("auto", {"tool_choice": {"type": "auto"}}, [WEATHER]),
        ("any", {"tool_choice": {"type": "any"}}, [WEATHER, CLOCK]),
        ("any, one at most", {"tool_choice": {"type": "any", "disable_parallel_tool_use": True}},
         [WEATHER, CLOCK]),
        ("tool", {"tool_choice": {"type": "tool", "name": "get_weather"}}, [WEATHER, CLOCK]),
    ):
        ask = {"model": model, "messages": PARIS, "max_tokens": 64, "tools": tools, **choice}
        whole = client.messages.create(**ask)
        checks.equal(f"tools {name}", said(whole), call)
        checks.equal(f"tools {name} stop reason", whole.stop_reason, "tool_use")
        checks.holds(f"tools {name} id", whole.content[0].id.startswith("toolu_"), whole)

        events = list(client.messages.create(**ask, stream=True))
        begun = [event.content_block for event in events if event.type == "content_block_start"]
        checks.equal(f"tools {name} streamed block",
                     [(block.type, block.name, block.input) for block in begun],
                     [("tool_use", "get_weather", {})])
        deltas = [event.delta for event in events if event.type == "content_block_delta"]
        checks.equal(f"tools {name} streamed deltas", {delta.type for delta in deltas},
                     {"input_json_delta"})
        arguments = "".join(delta.partial_json for delta in deltas)
        checks.equal(f"tools {name} streamed arguments", json.loads(arguments), PARIS_ARGUMENTS)
        checks.holds(f"tools {name} streamed in pieces", len(deltas) > 1, deltas)
        reasons = [event.delta.stop_reason for event in events if event.type == "message_delta"]
        checks.equal(f"tools {name} streamed stop reason", reasons, ["tool_use"])
        with client.messages.stream(**ask) as stream:
            checks.equal(f"tools {name} helper's message", said(stream.get_final_message()), call)
    none = client.messages.create(model=model, messages=PARIS, max_tokens=16, tools=[WEATHER],
                                  tool_choice={"type": "none"})
    checks.equal("tools none", {block.type for block in none.content}, {"text"})


def check_results(checks, client, model):
    """What a call returned goes back to the model."""
    call = {"type": "tool_use", "id": "toolu_x", "name": "get_weather", "input": BERLIN_ARGUMENTS}
    contents = ("text", BERLIN_RESULT), ("blocks", [{"type": "text", "text": BERLIN_RESULT}])
    for name, content in contents:
        result = {"type": "tool_result", "tool_use_id": "toolu_x", "content": content}
        turns = [
            {"role": "user", "content": BERLIN_QUESTION},
            {"role": "assistant", "content": [call]},
            {"role": "user", "content": [result]},
        ]
        answer = client.messages.create(model=model, messages=turns, max_tokens=64, tools=[WEATHER])
        checks.equal(f"tool result as {name}", text(answer), BERLIN_ANSWER)


def check_runner(checks, client, model):
    """The package's own loop of calls and results, with the history kept here, and as it is by default:
    it then asks the server to keep the history, which has to say that it does not."""
    for name, thread in (("runner", {"thread": False}), ("runner by default", {})):
        asked = []

        @anthropic.beta_tool
        def get_weather(city: str) -> str:
            """Get the weather of a city."""
            asked.append(city)
            return BERLIN_RESULT

        runner = client.beta.messages.tool_runner(
            model=model, messages=PARIS, max_tokens=64, tools=[get_weather], max_iterations=4, **thread
        )
        try:
            last = runner.until_done()
        except anthropic.APIStatusError as error:
            checks.holds(f"{name} is answered", False, error)
            continue
        checks.equal(f"{name} calls", asked, ["Paris"])
        checks.equal(f"{name} answers", text(last), BERLIN_ANSWER)


def check_fields(checks, client, model):
    """Fields that agents send with every request, and that are no wish for something else."""
    rules = f"Rules of {uuid.uuid4()}. " + "Say what is asked and nothing else. " * 20
    kept = client.messages.create(
        **falcon(model, system=rules, max_tokens=4, cache_control={"type": "ephemeral"})
    )
    checks.holds("a mark on all of it", kept.usage.cache_creation_input_tokens > 100, kept.usage)
    eager = {**WEATHER, "eager_input_streaming": True, "cache_control": {"type": "ephemeral"}}
    for name, fields in (
        ("metadata", {"metadata": {"user_id": "somebody"}}),
        ("service_tier", {"service_tier": "auto"}),
        ("diagnostics", {"diagnostics": {"previous_message_id": None}}),
        ("eager_input_streaming", {"tools": [eager]}),
    ):
        try:
            answer = client.messages.create(**falcon(model, **fields))
            checks.equal(name, text(answer), FALCON_ANSWER)
        except anthropic.APIStatusError as error:
            checks.holds(name, False, error)


def check_ends(checks, client, model):
    """What ends an answer."""
    stopped = client.messages.create(**falcon(model, stop_sequences=["xyz", " is 4"]))
    checks.equal("stop_sequences", text(stopped), "The budget of project Falcon")
    checks.equal("stop_sequences tells which", (stopped.stop_reason, stopped.stop_sequence),
                 ("stop_sequence", " is 4"))
    with client.messages.stream(**falcon(model, stop_sequences=[" is 4"])) as stream:
        stopped = stream.get_final_message()
    checks.equal("stop_sequences streamed",
                 (text(stopped), stopped.stop_reason, stopped.stop_sequence),
                 ("The budget of project Falcon", "stop_sequence", " is 4"))
    cut = client.messages.create(**falcon(model, max_tokens=3))
    checks.equal("max_tokens", (cut.stop_reason, cut.usage.output_tokens), ("max_tokens", 3))
    # This model does not think, so that the budget is no matter.
    budget = {"type": "enabled", "budget_tokens": 1024}
    thought = client.messages.create(**falcon(model, max_tokens=2048, thinking=budget))
    checks.equal("thinking", said(thought), [{"type": "text", "text": FALCON_ANSWER}])


class Stay(pydantic.BaseModel):
    """What a form asks for."""

    model_config = pydantic.ConfigDict(extra="forbid")
    city: Literal["Paris", "Rome"]
    days: Literal[1, 2, 3]


def check_forms(checks, client, model):
    """Answers that keep to a schema."""
    message = client.messages.parse(
        model=model, messages=PARIS, max_tokens=120, output_format=Stay
    )
    checks.holds("a parsed answer", isinstance(message.parsed_output, Stay), message)
    schema = Stay.model_json_schema()
    form = {"format": {"type": "json_schema", "schema": schema}}
    with client.messages.stream(
        model=model, messages=PARIS, max_tokens=120, output_config=form
    ) as stream:
        streamed = stream.get_final_message()
    checks.equal("a form streamed", text(streamed), text(message))


def check_counts(checks, client, model):
    """Tokens are counted as they are used."""
    ask = falcon(model)
    del ask["max_tokens"]
    checks.equal("count_tokens", client.messages.count_tokens(**ask).input_tokens, FALCON_USAGE[0])
    tools = {"model": model, "messages": PARIS, "tools": [WEATHER, CLOCK]}
    used = client.messages.create(**tools, max_tokens=1).usage
    counted = client.messages.count_tokens(**tools).input_tokens
    checks.equal("count_tokens with tools", counted, prompt_tokens(used))
    checks.holds("tools cost tokens", counted > 40, counted)


def check_cache(checks, client, model):
    """What stands before a mark is kept, and the usage says so."""
    for ttl in ("5m", "1h"):
        rules = f"Rules of {uuid.uuid4()}. " + "Say what is asked and nothing else. " * 20
        mark = {"type": "ephemeral", "ttl": ttl}
        system = [{"type": "text", "text": rules, "cache_control": mark}]
        first = client.messages.create(**falcon(model, system=system, max_tokens=4)).usage
        again = client.messages.create(**falcon(model, system=system, max_tokens=4)).usage
        checks.holds(f"mark for {ttl} creates", first.cache_creation_input_tokens > 100, first)
        checks.holds(f"mark for {ttl} was not there", first.cache_read_input_tokens < 32, first)
        checks.equal(f"mark for {ttl} is found", again.cache_creation_input_tokens, 0)
        kept = first.cache_creation_input_tokens + first.cache_read_input_tokens
        checks.holds(f"mark for {ttl} is read", again.cache_read_input_tokens >= kept, again)
        checks.equal(f"mark for {ttl} costs the same prompt", prompt_tokens(again),
                     prompt_tokens(first))


def check_billing(checks, client, model):
    """Claude Code's line, another one with every request, breaks no prefix."""
    rules = f"Rules of {uuid.uuid4()}. " + "Say what is asked and nothing else. " * 20

    def ask(fields):
        return client.messages.with_raw_response.create(**falcon(model, max_tokens=4, **fields))

    plain = ask({"system": rules})
    checks.holds("no line is left out", LEFT_OUT not in plain.headers, plain.headers)
    total = prompt_tokens(plain.parse().usage)
    for cch in ("71fea", "0aaa9"):
        line = BILLING.format(cch)
        for name, system in (
            ("block", [{"type": "text", "text": line}, {"type": "text", "text": rules}]),
            ("line", f"{line}\n{rules}"),
        ):
            answer = ask({"system": system})
            usage = answer.parse().usage
            checks.equal(f"billing {name} {cch} is told", answer.headers.get(LEFT_OUT), "1")
            checks.equal(f"billing {name} {cch} costs nothing", prompt_tokens(usage), total)
            checks.equal(f"billing {name} {cch} breaks no prefix", usage.cache_read_input_tokens,
                         total - 1)


def check_errors(checks, client, model):
    """Errors arrive as the package's own exceptions, and name the field."""
    bad, missing = anthropic.BadRequestError, anthropic.NotFoundError
    invalid = "invalid_request_error"
    long = [{"role": "user", "content": "far too long " * 8192}]
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": ""}}
    wrong_tool = {"tools": [WEATHER], "tool_choice": {"type": "tool", "name": "get_time"}}
    for name, fields, kind, error_type, part in (
        ("temperature", {"extra_body": {"temperature": -1}}, bad, invalid, "`temperature`"),
        ("max_tokens", {"max_tokens": 0}, bad, invalid, "`max_tokens`"),
        ("wrong type", {"extra_body": {"top_k": "many"}}, bad, invalid, "`top_k`"),
        ("no messages", {"messages": []}, bad, invalid, "`messages`"),
        ("role", {"messages": [{"role": "robot", "content": "x"}]}, bad, invalid,
         "`messages[0].role`"),
        ("image", {"messages": [{"role": "user", "content": [image]}]}, bad, invalid,
         "`messages[0].content[0]`"),
        ("tool_choice", wrong_tool, bad, invalid, "`tool_choice.name`"),
        ("unknown field", {"extra_body": {"temprature": 1}}, bad, invalid, "`temprature`"),
        ("unknown model", {"model": "claude-7"}, missing, "not_found_error", "`claude-7`"),
        ("too long", {"messages": long}, bad, invalid, "prompt is too long: "),
        ("no room", {"max_tokens": 99_999}, bad, invalid, "exceed context limit"),
    ):
        for stream in (False, True):
            title = f"{name}{', streamed,' if stream else ''}"
            ask = {**falcon(model, stream=stream), **fields}
            error = checks.refused(title, kind, lambda ask=ask: client.messages.create(**ask))
            if error is None:
                continue
            checks.equal(f"{title} type", (error.body["type"], error.type), ("error", error_type))
            message = error.body["error"]["message"]
            checks.holds(f"{title} says why", part in message, message)
            checks.holds(f"{title} has a request id", error.request_id, "no header `request-id`")
    counted = checks.refused("count_tokens without messages", bad, lambda: (
        client.messages.count_tokens(model=model, messages=[])
    ))
    checks.holds("count_tokens says why", counted and "`messages`" in str(counted), counted)


def check_all(checks, url):
    """All checks of this client."""
    client = anthropic.Anthropic(base_url=url, api_key="none", max_retries=0, timeout=60)
    model = client.models.list().data[0].id
    checks.attempt("messages", check_whole, client, model)
    checks.attempt("stream", check_stream, client, model)
    checks.attempt("calls", check_calls, client, model)
    checks.attempt("results", check_results, client, model)
    checks.attempt("runner", check_runner, client, model)
    checks.attempt("fields", check_fields, client, model)
    checks.attempt("ends", check_ends, client, model)
    checks.attempt("forms", check_forms, client, model)
    checks.attempt("counts", check_counts, client, model)
    checks.attempt("cache", check_cache, client, model)
    checks.attempt("billing", check_billing, client, model)
    checks.attempt("errors", check_errors, client, model)


if __name__ == "__main__":
    run(__doc__, check_all)
