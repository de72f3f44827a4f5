"""The chat template, and `render`, which does the same in plain Python for fast training data.

JSON is written by a macro of the template, not by `tojson`, whose spacing, escaping and key order
differ between template engines.
"""

import json
import pathlib

TEMPLATE = (pathlib.Path(__file__).parent / "chat_template.jinja").read_text().strip()
TOOL_INTRO = "# Tools\n\nYou may call these functions:\n<tools>\n"
TOOL_OUTRO = ("</tools>\n\nTo call a function, answer with:\n<tool_call>\n"
              '{"name": "function name", "arguments": {"key": "value"}}\n</tool_call>')


def dumps(value):
    """JSON as the template writes it, for objects whose keys are sorted."""
    return json.dumps(value, ensure_ascii=False)


def render(messages, tools=None):
    """The conversation as [(text, trained)]: `trained` marks what the assistant must produce."""
    segments = []
    system = messages[0]["content"] if messages[0]["role"] == "system" else None
    pending = head(system, tools)
    for message in messages[(system is not None):]:
        if message["role"] == "assistant":
            text = message["content"] + calls_text(message)
            pending += "<|im_start|>assistant\n"
            if message.get("nomask"):
                pending += text + "<|im_end|>"
            else:
                segments += [(pending, False), (text + "<|im_end|>", True)]
                pending = ""
            pending += "\n"
        elif message["role"] == "tool":
            pending += ("<|im_start|>tool\n<tool_response>\n" + message["content"] +
                        "\n</tool_response><|im_end|>\n")
        else:
            pending += f"<|im_start|>{message['role']}\n{message['content']}<|im_end|>\n"
    return segments + [(pending, False)]


def head(system, tools):
    """The system turn: system message and tools, as far as there are any."""
    if not tools:
        return "" if system is None else f"<|im_start|>system\n{system}<|im_end|>\n"
    text = "<|im_start|>system\n" + (system + "\n\n" if system is not None else "") + TOOL_INTRO
    for tool in tools:
        fields = ("name", "description", "parameters")
        text += "{" + ", ".join(f'"{field}": {dumps(tool[field])}' for field in fields) + "}\n"
    return text + TOOL_OUTRO + "<|im_end|>\n"


def calls_text(message):
    """The tool calls of an assistant message, each on lines of its own."""
    text = ""
    for call in message.get("tool_calls", ()):
        text += "\n" if message["content"] or text else ""
        text += (f'<tool_call>\n{{"name": {dumps(call["name"])}, '
                 f'"arguments": {dumps(call["arguments"])}}}\n</tool_call>')
    return text
