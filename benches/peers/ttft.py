#!/usr/bin/env python3
"""Measures the time to first token against the prefix hit rate, of Purser and of llama.cpp's server.

    python3 benches/peers/ttft.py --out benches/results/DATE-MACHINE/ttft

Both serve the same weights in bf16 and are asked by `purser bench ttft`, one after the other, with
prompts of their own drawn from the same seed. Each model gets a file of results for each server and
a page with both. Build `purser` and `llama-server` before, see compare.py; models that are not
there are made.
"""

import argparse
import os
import subprocess
from pathlib import Path

import served
from build_llama_cpp import program
from peer_models import EMBEDDED, MODELS, ROOT, ModelFiles

DEFAULT = [EMBEDDED, "smollm2-135m"]


def servers(args: argparse.Namespace, files: ModelFiles) -> list[served.Server]:
    """Both with their defaults, but for threads and room for a prompt."""
    room = str(args.prompt_tokens + 64)
    purser = [str(args.purser), "serve", str(files.ours), "--threads", str(args.threads)]
    purser += ["--dtype", "bfloat16", "--max-model-len", room, "--served-model-name", files.name]
    llama = [str(args.llama_server), "-m", str(files.gguf), "-c", room, "--alias", files.name]
    # One slot: a prompt is compared with the one before it, which has its prefix.
    llama += ["-np", "1", "-t", str(args.threads), "-tb", str(args.threads)]
    return [
        served.Server("purser", purser, "/ready"),
        served.Server("llama.cpp", llama, "/health"),
    ]


def measure(args: argparse.Namespace, model: str) -> None:
    files = ModelFiles(args.folder, model, "bf16")
    files.make()
    results = []
    for server in servers(args, files):
        results.append(f"{model}-{server.name}.json")
        with server:
            bench = [args.purser, "bench", "ttft", "--output", results[-1]]
            bench += ["--base-url", f"http://127.0.0.1:{server.port}"]
            bench += ["--prompt-tokens", str(args.prompt_tokens), "--repeat", str(args.repeat)]
            subprocess.run([*bench, "--seed", str(args.seed)], check=True, cwd=args.out)
    page = [args.purser, "bench", "report", *results, "-o", f"{model}.html"]
    subprocess.run(page, check=True, cwd=args.out)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of results")
    parser.add_argument("--folder", type=Path, default=ROOT / "target" / "peers", help="of models")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=DEFAULT)
    parser.add_argument("--prompt-tokens", type=int, default=2000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--purser", type=Path, default=ROOT / "target" / "release" / "purser")
    parser.add_argument("--llama-server", type=Path, default=program("llama-server"))
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    args.purser = args.purser.resolve()
    for model in args.models:
        measure(args, model)


if __name__ == "__main__":
    main()
