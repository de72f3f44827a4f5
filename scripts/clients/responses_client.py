"""Asks a running server what people ask it through `responses` of the `openai` package.

    python scripts/clients/responses_client.py http://127.0.0.1:8000

The server must serve the embedded model without an API key.
"""

import json
from typing import Literal

import openai
import pydantic

from checks import run
from questions import (
    BERLIN_ANSWER,
    BERLIN_ARGUMENTS,
    BERLIN_QUESTION,
    BERLIN_RESULT,
    CLOCK_FUNCTION,
    FACTS,
    FALCON,
    FALCON_ANSWER,
    FALCON_QUESTION,
    FALCON_USAGE,
    PARIS_ARGUMENTS,
    PARIS_QUESTION,
    WEATHER_FUNCTION,
)

WEATHER = {"type": "function", **WEATHER_FUNCTION}
CLOCK = {"type": "function", **CLOCK_FUNCTION}
PROXY_QUESTION = "What is the port of the proxy?"


def falcon(model, **fields):
    """The Falcon question."""
    return {"model": model, "instructions": FACTS, "input": FALCON_QUESTION, **fields}


def calls(response):
    """Names and arguments of the calls in a response."""
    items = [item for item in response.output if item.type == "function_call"]
    return [(item.name, json.loads(item.arguments)) for item in items]


def check_whole(checks, client, model):
    """The Falcon question, answered at once."""
    response = client.responses.create(**falcon(model))
    checks.equal("response", response.output_text, FALCON_ANSWER)
    checks.equal("response status", (response.object, response.status), ("response", "completed"))
    checks.equal("response items", [(item.type, item.role, item.status) for item in response.output],
                 [("message", "assistant", "completed")])
    checks.holds("response id", response.id.startswith("resp_"), response.id)
    checks.holds("response has a request id", response._request_id, "no header `x-request-id`")
    usage = response.usage
    checks.equal("response usage", (usage.input_tokens, usage.output_tokens, usage.total_tokens),
                 (*FALCON_USAGE, sum(FALCON_USAGE)))
    again = client.responses.create(**falcon(model))
    # All but the last prompt token was computed a moment ago.
    checks.equal("response found the prefix", again.usage.input_tokens_details.cached_tokens,
                 FALCON_USAGE[0] - 1)
    for role in ("system", "developer"):
        messages = [{"role": role, "content": FACTS}, {"role": "user", "content": FALCON_QUESTION}]
        answer = client.responses.create(model=model, input=messages)
        checks.equal(f"facts of role {role}", answer.output_text, FALCON_ANSWER)
    cut = client.responses.create(**falcon(model, max_output_tokens=3))
    checks.equal("max_output_tokens", (cut.status, cut.incomplete_details.reason),
                 ("incomplete", "max_output_tokens"))
    checks.equal("max_output_tokens counts", cut.usage.output_tokens, 3)
    counted = client.responses.input_tokens.count(**falcon(model))
    checks.equal("input tokens", counted.input_tokens, FALCON_USAGE[0])


def check_stream(checks, client, model):
    """The same as a stream, event by event and with the package's helper."""
    events = list(client.responses.create(**falcon(model), stream=True))
    kinds = [event.type for event in events]
    checks.equal("stream events", sorted(set(kinds), key=kinds.index), [
        "response.created", "response.in_progress", "response.output_item.added",
        "response.content_part.added", "response.output_text.delta", "response.output_text.done",
        "response.content_part.done", "response.output_item.done", "response.completed",
    ])
    checks.equal("stream is numbered", [event.sequence_number for event in events],
                 list(range(len(events))))
    pieces = [event.delta for event in events if event.type == "response.output_text.delta"]
    checks.equal("stream answer", "".join(pieces), FALCON_ANSWER)
    checks.holds("stream comes in pieces", len(pieces) > 5, pieces)
    last = events[-1].response
    checks.equal("stream ends with the response", last.output_text, FALCON_ANSWER)
    checks.equal("stream usage", last.usage.output_tokens, FALCON_USAGE[1])
    with client.responses.stream(**falcon(model)) as stream:
        pieces = [event.delta for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    checks.equal("helper's pieces", "".join(pieces), FALCON_ANSWER)
    checks.equal("helper's response", final.output_text, FALCON_ANSWER)


def check_calls(checks, client, model):
    """Calls, asked for in each way, whole and streamed."""
    expected = [("get_weather", PARIS_ARGUMENTS)]
    for name, choice, tools in (
        ("by default", {}, [WEATHER]),
        ("auto", {"tool_choice": "auto"}, [WEATHER]),
        ("required", {"tool_choice": "required"}, [WEATHER, CLOCK]),
        ("named", {"tool_choice": {"type": "function", "name": "get_weather"}}, [WEATHER, CLOCK]),
    ):
        ask = {"model": model, "input": PARIS_QUESTION, "temperature": 0, "tools": tools, **choice,
               "max_output_tokens": 64}
        whole = client.responses.create(**ask)
        checks.equal(f"tools {name}", calls(whole), expected)
        checks.equal(f"tools {name} status", whole.status, "completed")
        checks.holds(f"tools {name} id", whole.output[-1].call_id.startswith("call_"), whole.output)

        events = list(client.responses.create(**ask, stream=True))
        kind = "response.function_call_arguments."
        pieces = [event.delta for event in events if event.type == f"{kind}delta"]
        checks.equal(f"tools {name} streamed arguments", json.loads("".join(pieces)),
                     PARIS_ARGUMENTS)
        checks.holds(f"tools {name} streamed in pieces", len(pieces) > 1, pieces)
        done = [event.arguments for event in events if event.type == f"{kind}done"]
        checks.equal(f"tools {name} streamed whole", done, ["".join(pieces)])
        checks.equal(f"tools {name} streamed", calls(events[-1].response), expected)
        with client.responses.stream(**ask) as stream:
            checks.equal(f"tools {name} helper's", calls(stream.get_final_response()), expected)
    none = client.responses.create(model=model, input=PARIS_QUESTION, tools=[WEATHER],
                                   tool_choice="none", max_output_tokens=16)
    checks.equal("tools none", {item.type for item in none.output}, {"message"})


def check_results(checks, client, model):
    """What a call returned goes back to the model, with the conversation or by its id."""
    call = {"type": "function_call", "call_id": "call_x", "name": "get_weather",
            "arguments": json.dumps(BERLIN_ARGUMENTS)}
    result = {"type": "function_call_output", "call_id": "call_x", "output": BERLIN_RESULT}
    items = [{"role": "user", "content": BERLIN_QUESTION}, call, result]
    answer = client.responses.create(model=model, input=items, tools=[WEATHER])
    checks.equal("result with the conversation", answer.output_text, BERLIN_ANSWER)

    asked = client.responses.create(model=model, input=PARIS_QUESTION, tools=[WEATHER])
    result = {**result, "call_id": asked.output[-1].call_id}
    by_id = client.responses.create(
        model=model, previous_response_id=asked.id, input=[result], tools=[WEATHER]
    )
    checks.equal("result by the response's id", by_id.output_text, BERLIN_ANSWER)
    # The items of a response go back as they came.
    items = [{"role": "user", "content": PARIS_QUESTION}, *asked.output, result]
    by_items = client.responses.create(model=model, input=items, tools=[WEATHER])
    checks.equal("result with the response's items", by_items.output_text, BERLIN_ANSWER)
    checks.equal("both are the same prompt", by_id.usage.input_tokens, by_items.usage.input_tokens)


class Stay(pydantic.BaseModel):
    """What a form asks for."""

    city: Literal["Paris", "Rome"]
    days: int = pydantic.Field(ge=0, le=99)


def check_forms(checks, client, model):
    """Answers that keep to a schema, and calls that are read by one."""
    ask = {"model": model, "input": PARIS_QUESTION, "temperature": 1, "max_output_tokens": 80}
    for seed in range(3):
        parsed = client.responses.parse(**ask, text_format=Stay, extra_body={"seed": seed})
        checks.holds(f"a parsed answer, seed {seed}", isinstance(parsed.output_parsed, Stay), parsed)
    with client.responses.stream(**ask, text_format=Stay) as stream:
        parsed = stream.get_final_response()
    checks.holds("a parsed answer, streamed", isinstance(parsed.output_parsed, Stay), parsed)

    class get_weather(pydantic.BaseModel):  # noqa: N801 (it is the tool's name)
        """Get the weather of a city."""

        city: str

    tools = [openai.pydantic_function_tool(get_weather)]
    tools = [{"type": "function", **tool["function"]} for tool in tools]
    parsed = client.responses.parse(
        model=model, input=PARIS_QUESTION, tools=tools, tool_choice="required", temperature=0
    )
    checks.equal("a strict tool", calls(parsed), [("get_weather", PARIS_ARGUMENTS)])
    anything = client.responses.create(**ask, text={"format": {"type": "json_object"}})
    if anything.status == "completed":
        checks.holds("json_object", isinstance(json.loads(anything.output_text), dict), anything)
    else:
        checks.holds("json_object begins one", anything.output_text.lstrip().startswith("{"),
                     anything.output_text)


def check_conversation(checks, client, model):
    """A response goes on from another, and is the same prompt as the whole conversation."""
    first = client.responses.create(model=model, input=FALCON)
    second = client.responses.create(
        model=model, previous_response_id=first.id, input=PROXY_QUESTION
    )
    turns = [*FALCON, {"role": "assistant", "content": FALCON_ANSWER},
             {"role": "user", "content": PROXY_QUESTION}]
    chat = client.chat.completions.create(model=model, messages=turns)
    checks.equal("goes on as the chat does", second.output_text, chat.choices[0].message.content)
    checks.equal("goes on with the chat's prompt", second.usage.input_tokens,
                 chat.usage.prompt_tokens)
    checks.equal("goes on from the first", second.previous_response_id, first.id)
    before = first.usage.input_tokens
    cached = second.usage.input_tokens_details.cached_tokens
    checks.holds("goes on in the cache", cached >= before, second.usage)

    checks.equal("retrieve", client.responses.retrieve(first.id).to_dict(), first.to_dict())
    client.responses.delete(first.id)
    missing = openai.NotFoundError
    checks.refused("what was deleted", missing, lambda: client.responses.retrieve(first.id))
    checks.refused("what was deleted twice", missing, lambda: client.responses.delete(first.id))
    error = checks.refused("going on from what was deleted", missing, lambda: (
        client.responses.create(model=model, previous_response_id=first.id, input="And now?")
    ))
    checks.equal("it says so", error and error.param, "previous_response_id")
    passing = client.responses.create(model=model, input="Hello", store=False, max_output_tokens=4)
    checks.refused("what was not stored", missing, lambda: client.responses.retrieve(passing.id))


def check_items(checks, client, model):
    """The items of a response's input, in the order and in the pages that are asked for."""
    texts = ["One.", "Two.", "Three."]
    items = [{"role": "user", "content": text} for text in texts]
    made = client.responses.create(model=model, input=items, max_output_tokens=4)

    def listed(**query):
        found = client.responses.input_items.list(made.id, **query)
        return [item.content if isinstance(item.content, str) else item.content[0].text
                for item in found]

    checks.equal("input items are told from the last", listed(), texts[::-1])
    checks.equal("input items from the first", listed(order="asc"), texts)
    page = client.responses.input_items.list(made.id, order="asc", limit=2)
    checks.equal("a page of input items", (len(page.data), page.has_more), (2, True))
    checks.equal("all pages of input items", listed(order="asc", limit=2), texts)
    checks.holds("input items have ids", all(item.id for item in page.data), page.data)
    hello = client.responses.create(model=model, input="Hello", max_output_tokens=4)
    one = client.responses.input_items.list(hello.id).data
    checks.equal("a text is an item", [(item.role, item.content[0].text) for item in one],
                 [("user", "Hello")])


def check_errors(checks, client, model):
    """Errors arrive as the package's own exceptions, and name the field."""
    schema = {"format": {"type": "json_schema", "name": "a", "schema": {"type": "objekt"}}}
    other = {"tools": [WEATHER], "tool_choice": {"type": "function", "name": "get_time"}}
    bad, missing = openai.BadRequestError, openai.NotFoundError
    for name, fields, kind, param, code in (
        ("temperature", {"temperature": -1}, bad, "temperature", None),
        ("wrong type", {"max_output_tokens": "many"}, bad, "max_output_tokens", None),
        ("no input", {"input": []}, bad, "input", None),
        ("tool_choice", other, bad, "tool_choice.name", None),
        ("hosted tool", {"tools": [{"type": "web_search"}]}, bad, "tools[0].type", None),
        ("background", {"background": True}, bad, "background", None),
        ("json_schema", {"text": schema}, bad, "text.format.schema", None),
        ("unknown field", {"extra_body": {"temprature": 1}}, bad, "temprature", None),
        ("too long", {"input": "far too long " * 8192}, bad, "input", "context_length_exceeded"),
        ("unknown model", {"model": "gpt-7"}, missing, "model", "model_not_found"),
        ("unknown response", {"previous_response_id": "resp_x"}, missing, "previous_response_id",
         None),
    ):
        for stream in (False, True):
            title = f"{name}{', streamed,' if stream else ''}"
            ask = {**falcon(model, stream=stream), **fields}
            error = checks.refused(title, kind, lambda ask=ask: client.responses.create(**ask))
            if error is not None:
                expected = (param, code or error.code)
                checks.equal(f"{title} says why", (error.param, error.code), expected)
                checks.holds(f"{title} has a request id", error.request_id)


def check_all(checks, url):
    """All checks of this client."""
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=60)
    model = client.models.list().data[0].id
    checks.attempt("responses", check_whole, client, model)
    checks.attempt("stream", check_stream, client, model)
    checks.attempt("calls", check_calls, client, model)
    checks.attempt("results", check_results, client, model)
    checks.attempt("forms", check_forms, client, model)
    checks.attempt("conversation", check_conversation, client, model)
    checks.attempt("items", check_items, client, model)
    checks.attempt("errors", check_errors, client, model)


if __name__ == "__main__":
    run(__doc__, check_all)
