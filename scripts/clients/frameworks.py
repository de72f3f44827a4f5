"""Asks a running server what people ask it through `litellm` and `langchain-openai`.

    python scripts/clients/frameworks.py http://127.0.0.1:8000

The server must serve the embedded model without an API key.
"""

import json
import os
import urllib.request
from typing import Literal

# The package would fetch its prices from the network.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm
import openai
import pydantic
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

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
    PARIS_QUESTION,
    WEATHER,
)

litellm.suppress_debug_info = True

TURNS = [
    {"role": "user", "content": BERLIN_QUESTION},
    {"role": "assistant", "content": "", "tool_calls": [{
        "id": "call_x",
        "type": "function",
        "function": {"name": "get_weather", "arguments": json.dumps(BERLIN_ARGUMENTS)},
    }]},
    {"role": "tool", "tool_call_id": "call_x", "name": "get_weather", "content": BERLIN_RESULT},
]


@tool
def get_weather(city: str) -> str:
    """Get the weather of a city."""
    return BERLIN_RESULT


class Stay(pydantic.BaseModel):
    """What a form asks for."""

    model_config = pydantic.ConfigDict(extra="forbid")
    city: Literal["Paris", "Rome"]
    days: Literal[1, 2, 3]


def check_litellm(checks, provider, where, model):
    """The Falcon question, calls and their results by one of the package's providers."""
    ask = {"model": f"{provider}/{model}", "api_base": where, "api_key": "none", "max_tokens": 64,
           "num_retries": 0}
    answer = litellm.completion(**ask, messages=FALCON)
    checks.equal(f"{provider} answer", answer.choices[0].message.content, FALCON_ANSWER)
    checks.equal(f"{provider} finish reason", answer.choices[0].finish_reason, "stop")
    usage = (answer.usage.prompt_tokens, answer.usage.completion_tokens)
    checks.equal(f"{provider} usage", usage, FALCON_USAGE)

    chunks = list(litellm.completion(**ask, messages=FALCON, stream=True))
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    checks.equal(f"{provider} streamed", "".join(pieces), FALCON_ANSWER)
    checks.holds(f"{provider} streamed in pieces", len(pieces) > 5, pieces)

    answer = litellm.completion(**ask, messages=PARIS, tools=[WEATHER])
    found = [(call.function.name, json.loads(call.function.arguments))
             for call in answer.choices[0].message.tool_calls or []]
    checks.equal(f"{provider} call", found, [("get_weather", PARIS_ARGUMENTS)])
    checks.equal(f"{provider} call's reason", answer.choices[0].finish_reason, "tool_calls")
    chunks = list(litellm.completion(**ask, messages=PARIS, tools=[WEATHER], stream=True))
    whole = litellm.stream_chunk_builder(chunks, messages=PARIS).choices[0]
    found = [(call.function.name, json.loads(call.function.arguments))
             for call in whole.message.tool_calls or []]
    checks.equal(f"{provider} call streamed", found, [("get_weather", PARIS_ARGUMENTS)])
    checks.equal(f"{provider} call's reason streamed", whole.finish_reason, "tool_calls")
    answer = litellm.completion(**ask, messages=TURNS, tools=[WEATHER])
    checks.equal(f"{provider} result", answer.choices[0].message.content, BERLIN_ANSWER)

    missing = {**ask, "model": f"{provider}/gpt-7"}
    error = checks.refused(f"{provider} unknown model", litellm.NotFoundError, lambda: (
        litellm.completion(**missing, messages=FALCON)
    ))
    checks.holds(f"{provider} says which", "gpt-7" in str(error), error)
    # From this kind of error agents see that they have to compact; for Ollama the package has none.
    kind = litellm.BadRequestError
    kind = kind if provider == "ollama_chat" else litellm.ContextWindowExceededError
    long = [{"role": "user", "content": "far too long " * 8192}]
    checks.refused(f"{provider} too long", kind, lambda: litellm.completion(**ask, messages=long))


def check_litellm_responses(checks, url, model):
    """The package's `responses`."""
    answer = litellm.responses(model=f"openai/{model}", api_base=f"{url}/v1", api_key="none",
                               instructions=FACTS, input=FALCON_QUESTION)
    checks.equal("litellm responses", answer.output_text, FALCON_ANSWER)


def check_langchain(checks, url, model, uses_responses):
    """The same through LangChain, by either API of OpenAI's."""
    name = "langchain by responses" if uses_responses else "langchain by chat"
    llm = ChatOpenAI(model=model, base_url=f"{url}/v1", api_key="none", temperature=0,
                     max_retries=0, max_tokens=80, stream_usage=True,
                     use_responses_api=uses_responses)
    messages = [SystemMessage(FACTS), HumanMessage(FALCON_QUESTION)]
    answer = llm.invoke(messages)
    checks.equal(f"{name} answer", answer.text, FALCON_ANSWER)
    usage = answer.usage_metadata
    checks.equal(f"{name} usage", (usage["input_tokens"], usage["output_tokens"]), FALCON_USAGE)
    chunks = list(llm.stream(messages))
    checks.equal(f"{name} streamed", "".join(chunk.text for chunk in chunks), FALCON_ANSWER)
    checks.holds(f"{name} streamed in pieces", sum(bool(chunk.text) for chunk in chunks) > 5, chunks)
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    usage = whole.usage_metadata
    checks.equal(f"{name} streamed usage", (usage["input_tokens"], usage["output_tokens"]),
                 FALCON_USAGE)

    for choice in (None, "auto", "get_weather", "any"):
        bound = llm.bind_tools([get_weather], tool_choice=choice)
        call = bound.invoke(PARIS_QUESTION)
        found = [(call["name"], call["args"]) for call in call.tool_calls]
        checks.equal(f"{name} tools {choice}", found, [("get_weather", PARIS_ARGUMENTS)])
        chunks = list(bound.stream(PARIS_QUESTION))
        whole = chunks[0]
        for chunk in chunks[1:]:
            whole += chunk
        found = [(call["name"], call["args"]) for call in whole.tool_calls]
        checks.equal(f"{name} tools {choice} streamed", found, [("get_weather", PARIS_ARGUMENTS)])
    asked = llm.bind_tools([get_weather]).invoke(PARIS_QUESTION)
    result = get_weather.invoke(asked.tool_calls[0])
    checks.holds(f"{name} runs the tool", isinstance(result, ToolMessage), result)
    last = llm.bind_tools([get_weather]).invoke([HumanMessage(PARIS_QUESTION), asked, result])
    checks.equal(f"{name} result", last.text, BERLIN_ANSWER)
    call = {"name": "get_weather", "args": BERLIN_ARGUMENTS, "id": "call_x"}
    turns = [HumanMessage(BERLIN_QUESTION), AIMessage("", tool_calls=[call]),
             ToolMessage(BERLIN_RESULT, tool_call_id="call_x")]
    checks.equal(f"{name} made turns", llm.bind_tools([get_weather]).invoke(turns).text,
                 BERLIN_ANSWER)
    for method in ("json_schema", "function_calling"):
        stay = llm.with_structured_output(Stay, method=method, strict=True).invoke(PARIS_QUESTION)
        checks.holds(f"{name} structured by {method}", isinstance(stay, Stay), stay)
    error = checks.refused(f"{name} unknown model", openai.NotFoundError, lambda: (
        llm.model_copy(update={"model_name": "gpt-7"}).invoke(messages)
    ))
    checks.equal(f"{name} unknown model's code", error and error.code, "model_not_found")


def check_all(checks, url):
    """All checks of these clients."""
    with urllib.request.urlopen(f"{url}/v1/models", timeout=60) as answer:
        model = json.load(answer)["data"][0]["id"]
    checks.attempt("litellm openai", check_litellm, "openai", f"{url}/v1", model)
    checks.attempt("litellm anthropic", check_litellm, "anthropic", url, model)
    checks.attempt("litellm ollama_chat", check_litellm, "ollama_chat", url, model)
    checks.attempt("litellm responses", check_litellm_responses, url, model)
    checks.attempt("langchain by chat", check_langchain, url, model, False)
    checks.attempt("langchain by responses", check_langchain, url, model, True)


if __name__ == "__main__":
    run(__doc__, check_all)
