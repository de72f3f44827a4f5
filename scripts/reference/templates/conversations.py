"""Conversations that every chat template of the fixtures is rendered with."""

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather <now> & later, e.g. in \"Ålesund\".",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "Name of the city"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
                "days": {"type": "array", "items": {"type": "integer"}},
                "where": {
                    "type": "object",
                    "properties": {"lat": {"type": "number"}, "lon": {"type": ["number", "null"]}},
                    "required": ["lat"],
                },
            },
            "required": ["city"],
        },
    },
}
CLOCK = {
    "type": "function",
    "function": {
        "name": "now",
        "description": "",
        "parameters": {"type": "object", "properties": {}},
        "strict": True,
    },
}
TOOLS = [WEATHER, CLOCK]

DOCUMENTS = [
    {"title": "Fjords", "text": "A fjord is an arm of the sea.\nIt is deep."},
    {"title": "Boats <&>", "text": "Boats float.", "pages": [1, 2.5], "draft": None},
]


def user(content):
    return {"role": "user", "content": content}


def assistant(content, **more):
    return {"role": "assistant", "content": content, **more}


def system(content):
    return {"role": "system", "content": content}


def tool(content, call_id):
    return {"role": "tool", "content": content, "tool_call_id": call_id}


def call(name, arguments, call_id="call_0001"):
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


OSLO = call("get_weather", {"city": "Oslo", "days": [1, 2], "where": {"lat": 59.9, "lon": None}},
            "abcdef123")
CLOCK_CALL = call("now", {}, "abcdef124")

TURNS = [user("Hi there"), assistant("Hello! How are you?"), user("  Fine, thanks.\n")]

TOOL_TURNS = [
    system("You are terse."),
    user("Weather in Oslo, and the time?"),
    assistant(None, tool_calls=[OSLO, CLOCK_CALL]),
    tool('{"temperature": -3.5, "sky": "clear"}', "abcdef123"),
    tool("12:30", "abcdef124"),
    assistant("It is -3.5 degrees at 12:30."),
    user("And tomorrow?"),
]

LOOK = {"type": "image"}


def case(messages, **options):
    """A conversation and the arguments of `apply_chat_template`; it asks for an answer unless
    told otherwise."""
    options.setdefault("add_generation_prompt", True)
    return {"messages": messages, **options}


CASES = {
    "one_question": case([user("What is 2+2?")]),
    "no_prompt": case(TURNS[:2], add_generation_prompt=False),
    "turns": case(TURNS),
    "system": case([system(" Be brief. "), *TURNS]),
    "two_systems": case([system("One."), user("a"), system("Two."), user("b")]),
    "two_users": case([user("first"), user("second")]),
    "assistant_first": case([assistant("I begin."), user("Well.")]),
    "odd_role": case([{"role": "critic", "content": "No!", "name": "eve"}]),
    "markup": case([user("<b>\"quoted\" & 'single'</b> {{ braces }} {% tag %} é 漢字 😀\t\\n")]),
    "empty_content": case([system(""), user("")]),
    "tools": case([user("Weather in Oslo?")], tools=TOOLS),
    "tools_and_system": case([system("You are terse."), user("Weather?")], tools=TOOLS),
    "one_call": case(
        [user("Time?"), assistant("", tool_calls=[CLOCK_CALL]), tool("12:30", "abcdef124")],
        tools=[CLOCK]),
    "two_calls": case(TOOL_TURNS, tools=TOOLS),
    "call_with_text": case(
        [user("Oslo?"), assistant("Let me look.", tool_calls=[OSLO]), tool("cold", "abcdef123")],
        tools=TOOLS),
    "short_call_id": case([user("Time?"), assistant(None, tool_calls=[call("now", {}, "1")])]),
    "string_arguments": case(
        [user("Oslo?"), assistant(None, tool_calls=[call("get_weather", '{"city": "Oslo"}')])]),
    "thoughts": case([
        user("1+1?"), assistant("<think>\nOne and one.\n</think>\n\nTwo."),
        user("Sure?"), assistant("<think>\nHm.\n</think>\n\nYes."),
    ], add_generation_prompt=False),
    "reasoning_field": case(
        [user("1+1?"), assistant("Two.", reasoning_content="\nOne and one.\n")],
        add_generation_prompt=False),
    "reasoning_alias": case(
        [user("1+1?"), assistant("Two.", reasoning="Easy."), user("Sure?")]),
    "no_thinking": case([user("Quick!")], enable_thinking=False),
    "no_think_in_system": case([system("You are Bob. /no_think"), user("Who?")]),
    "system_override": case([system("Only this. /system_override"), user("Who?")]),
    "stop_word": case([user("one"), assistant("two"), user("STOP here"), assistant("four")]),
    "long_chat": case([user("1"), assistant("2"), user("3"), assistant("4"), user("5")]),
    "documents": case([user("What is a fjord?")], documents=DOCUMENTS),
    "fast_citations": case([user("?")], documents=DOCUMENTS[:1], citation_mode="fast"),
    "parts": case([
        user([{"type": "text", "text": "Look: "}, LOOK, {"type": "text", "text": " what?"}]),
        assistant([{"type": "text", "text": " A cat. "}]),
        user([LOOK, LOOK]),
    ], add_vision_id=True),
    "continue": case(
        [user("Count."), assistant("1, 2, ")],
        add_generation_prompt=False, continue_final_message=True),
    "continue_parts": case(
        [user([{"type": "text", "text": "Count."}]), assistant([{"type": "text", "text": "1,"}])],
        add_generation_prompt=False, continue_final_message=True),
    "tools_in_user": case([system("s"), user("Time?")], tools=[CLOCK], tools_in_user_message=True),
    "date_string": case([user("Date?")], date_string="1 Jan 2000"),
    "kwargs_win": case([user("x")], bos_token="<BOS>", eos_token="<EOS>"),
    "custom_tools": case([user("x")], custom_tools=[CLOCK], python_tools=["def f(): ..."]),
}
