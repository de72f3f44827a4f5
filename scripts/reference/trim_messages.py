"""What LangChain's trim_messages keeps of the episodes of `purser eval context`.

    pip install langchain-core
    purser eval context --export-traces episodes.json ...
    python trim_messages.py episodes.json trimmed.json
    purser eval context --trimmed trimmed.json ...

LangChain decides by the server's own counts: the file of episodes has the tokens of each message,
and what the chat template adds is in them. The result names the messages that stay, by number.
"""

import argparse
import json
import pathlib
from importlib.metadata import version

from langchain_core.messages import convert_to_messages, trim_messages

FORMAT = 1


def ranges(numbers):
    """Rising numbers as text: [0, 3, 4, 5] is "0,3-5", none is "-"."""
    runs = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs) or "-"


def kept(messages, tokens, generation_tokens, limit):
    """Numbers of the messages that stay.

    `tokens` are those of each message; a message is known by its id, which is its number. LangChain
    counts the system message apart from the others, so what begins an answer is taken off the limit
    instead of being counted with the messages.
    """
    def count(some):
        return sum(tokens[int(message.id)] for message in some)

    room = limit - generation_tokens
    trimmed = trim_messages(messages, max_tokens=room, token_counter=count, strategy="last",
                            include_system=True, start_on="human", allow_partial=False)
    # The system message stays even where it does not fit.
    assert len(trimmed) <= 1 or count(trimmed) <= room
    return ranges(int(message.id) for message in trimmed)


def trim_trace(trace):
    """What stays of each prompt of an episode, by limit."""
    messages = convert_to_messages(trace["messages"])
    questions = convert_to_messages(trace["questions"])
    for number, message in enumerate(messages):
        message.id = str(number)
    for question in questions:
        question.id = str(len(messages))
    tokens, generation = trace["message_tokens"], trace["generation_tokens"]
    result = {}
    for limit in trace["limits"]:
        turns = [kept(messages[:turn], tokens, generation, limit) for turn in trace["turns"]]
        asked = zip(questions, trace["question_tokens"])
        answers = [kept(messages + [question], tokens + [count], generation, limit)
                   for question, count in asked]
        result[str(limit)] = {"turns": " ".join(turns), "questions": " ".join(answers)}
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("episodes", type=pathlib.Path)
    parser.add_argument("output", type=pathlib.Path)
    args = parser.parse_args()
    episodes = json.loads(args.episodes.read_text())
    if episodes["format"] != FORMAT:
        parser.error(f"the format of {args.episodes} is {episodes['format']}, not {FORMAT}")
    traces = {trace["fingerprint"]: trim_trace(trace) for trace in episodes["traces"]}
    result = {"format": FORMAT, "langchain_core": version("langchain-core"), "traces": traces}
    args.output.write_text(json.dumps(result, indent=1) + "\n")
    print(f"{len(traces)} episodes: {args.output}")


if __name__ == "__main__":
    main()
