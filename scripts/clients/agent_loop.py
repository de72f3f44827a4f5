"""An agent with a token budget: 30 tool turns through the `openai` package.

    python scripts/clients/agent_loop.py http://127.0.0.1:8000 [--turns 40] [--without cache|ledger]

The agent resends its whole, unedited history, as agents do; the server keeps the prompt inside
4,096 tokens. Every turn prints its report. The exit status is 0 only if no request fails, no prompt
exceeds the budget, the tokens to compute are predicted exactly, and at least 80 % of the prompt
tokens after the first turn are served from the cache.
"""

import argparse
import json
import sys
import uuid

import openai

BUDGET = 4_096
TURNS = 30
LINES = 10
LEAST_HIT_RATE = 0.80

TOOL = {
    "type": "function",
    "function": {
        "name": "read_file",
        "description": "Read a file.",
        "parameters": {"type": "object", "properties": {"path": {"type": "string"}}},
    },
}


def history() -> list[dict]:
    return [
        {"role": "system", "content": "You are an agent. Never touch the schema v7."},
        {"role": "user", "content": "Find the port of the proxy in the logs."},
    ]


def tool_turn(turn: int) -> list[dict]:
    """A call, and what it returned."""
    call = {
        "id": f"call_{turn}",
        "type": "function",
        "function": {"name": "read_file", "arguments": json.dumps({"path": f"part{turn}.log"})},
    }
    lines = [f"{turn}:{n} worker {n * 7} took {n * turn + 3} ms" for n in range(LINES)]
    return [
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call["id"], "content": "\n".join(lines)},
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", help="where the server listens, for example http://127.0.0.1:8000")
    parser.add_argument("--turns", type=int, default=TURNS)
    parser.add_argument(
        "--without",
        choices=["cache", "ledger"],
        help="leave out a part of the budgeter, to see what it is worth; no rate is asked for then",
    )
    args = parser.parse_args()
    salt = uuid.uuid4().hex
    wish = {"max_context_tokens": BUDGET, "report": "full"}
    if args.without:
        wish["ablation"] = [args.without]
    client = openai.OpenAI(base_url=f"{args.url}/v1", api_key="none", max_retries=0)
    model = client.models.list().data[0].id
    messages, prompt, cached, wrong = history(), 0, 0, []
    for turn in range(1, args.turns + 1):
        messages += tool_turn(turn)
        answer = client.chat.completions.create(
            model=model,
            messages=messages,
            tools=[TOOL],
            max_tokens=8,
            # What another run has computed and remembered is not found.
            extra_body={"context_budget": wish, "cache_salt": salt},
        )
        report, usage = answer.context_budget, answer.usage
        hit = usage.prompt_tokens_details.cached_tokens
        budget, cache = report["budget"], report["cache"]
        print(
            f"turn {turn}: {report['status']}, {len(report['edits'])} edits, "
            f"{usage.prompt_tokens} tokens, {hit} cached, {budget['remaining']} remain"
        )
        if usage.prompt_tokens + budget["reserved_output"] > BUDGET:
            wrong.append(f"turn {turn} exceeds the budget")
        if cache["prefilled"] != usage.prompt_tokens - hit:
            wrong.append(f"turn {turn}: {cache['prefilled']} tokens to compute were predicted")
        if turn > 1:
            prompt += usage.prompt_tokens
            cached += hit
    rate = cached / prompt
    print(f"{rate:.1%} of the prompt tokens after the first turn came from the cache")
    if not args.without and rate < LEAST_HIT_RATE:
        wrong.append(f"less than {LEAST_HIT_RATE:.0%}")
    for line in wrong:
        print(f"FAILED  {line}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
