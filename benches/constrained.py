#!/usr/bin/env python3
"""Measures what a grammar costs: answers of a running Purser with and without a JSON schema, in turns.

    python3 benches/constrained.py http://127.0.0.1:8000 [--streams 8] [--tokens 256] [--turns 6]

Both kinds have the same number of tokens, drawn at temperature 1. Prints tokens per second and the
mean milliseconds of a step by phase (`purser_step_phase_seconds`), medians of the turns, and the
ratio of the steps' times.
"""

import argparse
import json
import statistics
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

ROW = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "size": {"type": "integer"},
        "kind": {"enum": ["x", "y", "z"]},
    },
    "required": ["name", "size", "kind"],
    "additionalProperties": False,
}
# Long enough that no answer is complete.
SCHEMA = {"type": "array", "items": ROW, "minItems": 1000}


def phases(url: str) -> tuple[dict[str, float], float]:
    """Seconds by phase, and steps."""
    text = urllib.request.urlopen(f"{url}/metrics").read().decode()
    seconds, steps = {}, 0.0
    for line in text.splitlines():
        if line.startswith("purser_step_phase_seconds_sum"):
            seconds[line.split('phase="')[1].split('"')[0]] = float(line.split()[-1])
        elif line.startswith("purser_step_phase_seconds_count"):
            steps = float(line.split()[-1])
    return seconds, steps


def ask(url: str, tokens: int, seed: int, form: dict) -> int:
    body = {"prompt": "So", "max_tokens": tokens, "min_tokens": tokens, "temperature": 1}
    body = json.dumps(body | {"seed": seed} | form).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/v1/completions", body, headers)
    answer = json.load(urllib.request.urlopen(request))
    return answer["usage"]["completion_tokens"]


def turn(args: argparse.Namespace, form: dict) -> tuple[float, dict[str, float]]:
    """Tokens per second, and milliseconds per step by phase."""
    before, steps_before = phases(args.url)
    start = time.perf_counter()
    with ThreadPoolExecutor(args.streams) as pool:
        seeds = range(args.streams)
        tokens = sum(pool.map(lambda seed: ask(args.url, args.tokens, seed, form), seeds))
    rate = tokens / (time.perf_counter() - start)
    after, steps = phases(args.url)
    if tokens != args.streams * args.tokens:
        raise SystemExit(f"{tokens} tokens instead of {args.streams * args.tokens}")
    spent = {name: (after[name] - before[name]) / (steps - steps_before) * 1e3 for name in after}
    return rate, spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", help="where the server listens")
    parser.add_argument("--streams", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--turns", type=int, default=6)
    args = parser.parse_args()
    kinds = {"free": {}, "constrained": {"structured_outputs": {"json": SCHEMA}}}
    found = {name: [] for name in kinds}
    for number in range(args.turns + 1):
        for name, form in kinds.items():
            measured = turn(args, form)
            if number > 0:
                found[name].append(measured)
    totals = {}
    for name, turns in found.items():
        rate = statistics.median(rate for rate, _ in turns)
        steps = {phase: statistics.median(spent[phase] for _, spent in turns) for phase in turns[0][1]}
        totals[name] = statistics.median(sum(spent.values()) for _, spent in turns)
        shown = ", ".join(f"{phase} {spent:.3f}" for phase, spent in steps.items())
        print(f"{name}: {rate:.1f} tokens/s, a step {totals[name]:.3f} ms ({shown})")
    print(f"{args.streams} streams: {totals['constrained'] / totals['free']:.3f} of the free step's time")


if __name__ == "__main__":
    main()
