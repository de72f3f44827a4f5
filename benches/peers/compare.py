#!/usr/bin/env python3
"""Measures Purser and llama.cpp side by side and writes a folder of results.

    python3 benches/peers/compare.py --models target/peers --out benches/results/DATE-MACHINE

Both load the same weights and stay loaded; for every workload they take turns (ours, theirs, ours,
theirs ...), so that what disturbs the machine disturbs both. `speed-MODEL-DTYPE.json` has every
repetition, `speed.md` the medians and their ratio. Models that `--models` lacks are made first.

Each repetition says which share of the processors others used meanwhile. A row of the table whose
share is above a twentieth is marked: measure it again on a quiet machine. llama.cpp's threads wait
for each other by spinning, so that it loses far more than its share of the time.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from processor_time import ForeignShare
from workload import DEFAULT, Workload

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
EMBEDDED = Path("models/embedded/pebble-20m")
RANDOM = "smollm2-135m"
MAX_FOREIGN_SHARE = 0.05
DTYPES = ["bf16", "f32"]


@dataclass
class Side:
    """A program that measures a workload for each line it reads."""

    name: str
    command: list[str]
    process: subprocess.Popen = field(init=False)

    def __enter__(self) -> "Side":
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.process.stdin.close()
        self.process.wait()

    def measure(self, workload: str) -> dict:
        print(workload, file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended: {' '.join(self.command)}")
        return json.loads(line)


def make_models(folder: Path) -> None:
    """Makes the random model and the GGUF files that are not there."""
    random_model = folder / RANDOM
    if not (random_model / "model.safetensors").exists():
        subprocess.run([sys.executable, HERE / "random_model.py", random_model], check=True)
    for source in (ROOT / EMBEDDED, random_model):
        for dtype in DTYPES:
            target = gguf_path(folder, source.name, dtype)
            if not target.exists():
                convert = [sys.executable, HERE / "convert.py", source, dtype, target]
                subprocess.run(convert, check=True)


def gguf_path(folder: Path, model: str, dtype: str) -> Path:
    return folder / f"{model}-{dtype}.gguf"


def build(target_dir: Path) -> Path:
    command = ["cargo", "build", "--release", "-p", "benches", "--bin", "model_speed"]
    subprocess.run(command, check=True, cwd=ROOT)
    return target_dir / "release" / "model_speed"


def sides(args: argparse.Namespace, binary: Path, model: str, dtype: str) -> tuple[Side, Side]:
    source = EMBEDDED if model == EMBEDDED.name else args.models / model
    options = ["--threads", str(args.threads), "--workloads", ",".join(args.workloads)]
    options += ["--max-num-batched-tokens", str(args.max_num_batched_tokens)]
    ours = [str(binary), str(source), "--dtype", dtype, "--on-request", *options]
    gguf = gguf_path(args.models, model, dtype)
    theirs = [sys.executable, str(HERE / "llama_cpp_model.py"), str(gguf), *options]
    return Side("purser", ours), Side("llama.cpp", theirs)


def compare(args: argparse.Namespace, binary: Path, model: str, dtype: str) -> list[dict]:
    """Every repetition of every workload, in the order in which they ran."""
    results = []
    ours, theirs = sides(args, binary, model, dtype)
    with ours, theirs:
        for workload in args.workloads:
            for repetition in range(args.repeat):
                for side in (ours, theirs):
                    foreign = ForeignShare([ours.process.pid, theirs.process.pid])
                    result = side.measure(workload)
                    result |= {
                        "program": side.name,
                        "model": model,
                        "dtype": dtype,
                        "threads": args.threads,
                        "repetition": repetition,
                        "foreign_share": round(foreign.share(), 3),
                        "command": args.command,
                    }
                    results.append(result)
    return results


def of(results: list[dict], **wanted: str) -> list[dict]:
    return [r for r in results if all(r[key] == value for key, value in wanted.items())]


def row(model: str, dtype: str, workload: str, results: list[dict]) -> str:
    """One line of the table, from the repetitions of both programs."""
    cells, middles = [], []
    for program in ("purser", "llama.cpp"):
        rates = [r["tokens_per_second"] for r in of(results, program=program)]
        middles.append(statistics.median(rates))
        cells.append(f"{middles[-1]:.1f} [{min(rates):.1f}..{max(rates):.1f}]")
    foreign = statistics.median(r["foreign_share"] for r in results)
    mark = " (busy)" if foreign > MAX_FOREIGN_SHARE else ""
    cells += [f"{middles[0] / middles[1]:.2f}", f"{foreign:.0%}{mark}"]
    return f"| {model} | {dtype} | {workload} | {' | '.join(cells)} |"


def table(results: list[dict], provenance: dict) -> str:
    """The medians as Markdown; ranges in brackets."""
    devices = {result["program"]: result["device"] for result in results}
    lines = [
        f"Processor: {provenance['processor']}, {provenance['hardware_threads']} threads, "
        f"{provenance['memory_gib']} GiB; features: {' '.join(provenance['features'])}  ",
        f"Commit: {provenance['commit']}  ",
        f"Command: `{results[0]['command']}`  ",
        *(f"{program}: {device}  " for program, device in sorted(devices.items())),
        "",
        "Tokens per second: median [min..max]; ratio of the medians, ours to theirs; median share "
        "of the processors that others used meanwhile.",
        "",
        "| model | weights | workload | purser | llama.cpp | ratio | others |",
        "|---|---|---|---|---|---|---|",
    ]
    seen = dict.fromkeys((r["model"], r["dtype"], r["workload"]) for r in results)
    for model, dtype, workload in seen:
        repetitions = of(results, model=model, dtype=dtype, workload=workload)
        lines.append(row(model, dtype, workload, repetitions))
    return "\n".join(lines) + "\n"


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, required=True, help="folder of models; may be empty")
    parser.add_argument("--out", type=Path, required=True, help="folder of results")
    parser.add_argument("--only", action="append", help="MODEL-DTYPE, may be repeated")
    parser.add_argument("--workloads", type=lambda names: names.split(","), default=DEFAULT)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--max-num-batched-tokens", type=int, default=512)
    parser.add_argument("--target-dir", type=Path, help="cargo's, if it is not target/")
    args = parser.parse_args()
    for name in args.workloads:
        Workload.parse(name)
    args.models, args.out = args.models.resolve(), args.out.resolve()
    environment = os.environ.get("CARGO_TARGET_DIR", ROOT / "target")
    args.target_dir = (args.target_dir or Path(environment)).resolve()
    args.command = " ".join(["compare.py", *sys.argv[1:]])
    return args


def main() -> None:
    args = parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    make_models(args.models)
    binary = build(args.target_dir)
    results = []
    for model in (EMBEDDED.name, RANDOM):
        for dtype in DTYPES:
            name = f"{model}-{dtype}"
            if args.only and name not in args.only:
                continue
            pair = compare(args, binary, model, dtype)
            results += pair
            lines = ",\n".join(json.dumps(result) for result in pair)
            (args.out / f"speed-{name}.json").write_text(f"[\n{lines}\n]\n")
    provenance = next(result for result in results if result["program"] == "purser")
    text = table(results, provenance)
    (args.out / "speed.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
