#!/usr/bin/env python3
"""Measures Purser and llama.cpp side by side and adds to a folder of results.

    python3 benches/peers/compare.py --out benches/results/DATE-MACHINE

Four parts, any of which can be chosen with `--parts`:

limits    what the machine can do, for the roofline;
speed     workloads in process: both programs load the same weights and stay loaded, and take turns
          (ours, theirs, ours, theirs ...), so that what disturbs the machine disturbs both;
served    Purser's server and llama-server through the same client, in turns;
accuracy  how far each format is from f32, on the embedded model.

Every repetition is written as soon as it is measured, and `report.md` is made anew after each part:
a run that is broken off loses nothing, and a later run of some rows (`--models`, `--formats`,
`--workloads`) replaces just these in the report. Models that are not there are made first. Each
repetition says which share of the processors others used meanwhile; the report marks rows whose
share is above a twentieth: measure them again on a quiet machine.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import accuracy
import report
import served
from build_llama_cpp import program
from peer_models import EMBEDDED, FORMATS, MODELS, RANDOM, ROOT, ModelFiles
from processor_time import ForeignShare
from roofline import KV_BYTES, kv_elements
from side import SideFailed, sides
from workload import DEFAULT, Workload

PARTS = ["limits", "speed", "served", "accuracy"]


class Results:
    """Where results go: lines with what was measured, when, of what, and by which command."""

    def __init__(self, out: Path, command: str) -> None:
        self.out = out
        self.source = {"run": int(time.time()), "commit": commit(), "command": command}
        out.mkdir(parents=True, exist_ok=True)

    def add(self, part: str, result: dict) -> None:
        with (self.out / f"{part}.jsonl").open("a") as file:
            file.write(json.dumps(result | self.source) + "\n")


def commit() -> str:
    git = ["git", "-C", ROOT]
    head = subprocess.check_output([*git, "rev-parse", "--short=12", "HEAD"], text=True).strip()
    status = [*git, "status", "--porcelain", "--untracked-files=no"]
    return head + ("+" if subprocess.check_output(status) else "")


def build(parts: list[str]) -> None:
    command = ["cargo", "build", "--release", "-p", "benches"]
    for name in ("model_speed", "machine_limits", "logits"):
        command += ["--bin", name]
    subprocess.run(command, check=True, cwd=ROOT)
    if "served" in parts:
        server = ["cargo", "build", "--release", "-p", "server", "--bin", "purser"]
        subprocess.run(server, check=True, cwd=ROOT)


def measure_limits(args: argparse.Namespace) -> None:
    threads = ",".join(map(str, sorted({1, args.threads})))
    command = [args.binaries / "machine_limits", "--threads", threads]
    lines = subprocess.check_output(command, text=True, cwd=ROOT)
    (args.out / "limits.jsonl").write_text(lines)


def measure_speed(args: argparse.Namespace, results: Results, files: ModelFiles) -> None:
    """Every repetition of every workload, in the order in which they ran."""
    binary = str(args.binaries / "model_speed")
    pair = sides(files, args.workloads, args.threads, args.max_num_batched_tokens, binary)
    failed = set()
    with pair[0], pair[1]:
        for workload in args.workloads:
            for repetition in range(args.repeat):
                for side in pair:
                    if side.name in failed:
                        continue
                    row = {"model": files.name, "format": files.format, "workload": workload}
                    row |= {"program": side.name, "repetition": repetition}
                    row["threads"] = args.threads
                    try:
                        row |= measured(side, workload, [other.process.pid for other in pair])
                    except SideFailed as error:
                        failed.add(side.name)
                        row["error"] = f"{files.name}, {files.format}: {error}"
                    results.add("speed", row)
                    show(row)


def measured(side, workload: str, pids: list[int]) -> dict:
    foreign = ForeignShare(pids)
    answer = side.measure(workload)
    kept = {key: answer[key] for key in ("device", "seconds", "tokens_per_second")}
    return kept | {"foreign_share": round(foreign.share(), 3)}


def measure_served(args: argparse.Namespace, results: Results, files: ModelFiles) -> None:
    load = served.Load(files.config()["vocab_size"])
    kv_bytes = served.CONTEXT * KV_BYTES * kv_elements(files.config())
    keep_in_memory([files.gguf, *(files.ours.iterdir() if files.ours.is_dir() else [])])
    for repetition in range(args.served_repeat):
        servers = [
            served.purser(
                args.binaries / "purser", files.ours, files.dtype, args.threads, kv_bytes
            ),
            served.llama_server(args.llama_server, files.gguf, args.threads),
        ]
        for server in servers:
            row = {"model": files.name, "format": files.format, "repetition": repetition}
            try:
                measurements = served.visit(server, load)
            except (served.ServerFailed, OSError) as error:
                text = f"{files.name}, {files.format}: {error}"
                failed = {"workload": "load", "program": server.name, "error": text}
                measurements = [failed]
                print(text, file=sys.stderr, flush=True)
            for measurement in measurements:
                results.add("served", row | measurement)
            print(files.name, files.format, server.name, served.summary(measurements), flush=True)


def keep_in_memory(paths: list[Path]) -> None:
    """Reads files, so that neither program's loading waits for a disk."""
    for path in paths:
        with path.open("rb") as file:
            while file.read(1 << 24):
                pass


def measure_accuracy(args: argparse.Namespace, results: Results) -> None:
    texts = accuracy.documents()
    files = ModelFiles(args.folder, EMBEDDED, "f32")
    reference = accuracy.transformers_logits(files, texts)
    for name in args.accuracy_formats:
        files = ModelFiles(args.folder, EMBEDDED, name)
        files.make()
        binary = args.binaries / "logits"
        programs = {
            "purser": lambda: accuracy.purser_logits(binary, files, texts, args.threads),
            "llama.cpp": lambda: accuracy.llama_cpp_logits(files, texts, args.threads),
        }
        for side, logits in programs.items():
            row = {"model": EMBEDDED, "format": name, "workload": "divergence", "program": side}
            row["positions"] = len(reference)
            try:
                row |= accuracy.compare(reference, logits())
            except (RuntimeError, SystemExit) as error:
                row["error"] = str(error)
            results.add("accuracy", row)
            show(row)


def show(row: dict) -> None:
    shown = ("model", "format", "workload", "program", "tokens_per_second", "divergence", "error")
    print(" ".join(str(row[key]) for key in shown if key in row), flush=True)


def names(known: list[str] | None = None):
    """Reads names with commas between them, each of which is known."""

    def parse(text: str) -> list[str]:
        chosen = text.split(",")
        for name in chosen:
            if known and name not in known:
                raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(known)}")
        return chosen

    return parse


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of results")
    parser.add_argument("--folder", type=Path, help="folder of models [target/peers]")
    parser.add_argument("--parts", type=names([*PARTS, "report"]), default=PARTS)
    parser.add_argument("--models", type=names(MODELS), default=RANDOM)
    parser.add_argument("--formats", type=names([*accuracy.FORMATS]), default=FORMATS)
    parser.add_argument("--workloads", type=names(), default=DEFAULT)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--served-formats", type=names([*accuracy.FORMATS]), default=["bf16"])
    parser.add_argument("--served-repeat", type=int, default=3)
    formats = names(accuracy.FORMATS)
    parser.add_argument("--accuracy-formats", type=formats, default=accuracy.FORMATS)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--max-num-batched-tokens", type=int, default=512)
    server = program("llama-server")
    parser.add_argument("--llama-server", type=Path, default=server, help="if built elsewhere")
    parser.add_argument("--target-dir", type=Path, help="cargo's, if it is not target/")
    parser.add_argument("--no-build", action="store_true", help="take the programs as they are")
    args = parser.parse_args()
    for name in args.workloads:
        Workload.parse(name)
    environment = os.environ.get("CARGO_TARGET_DIR", ROOT / "target")
    target = (args.target_dir or Path(environment)).resolve()
    args.binaries = target / "release"
    args.folder = (args.folder or target / "peers").resolve()
    args.out = args.out.resolve()
    args.command = " ".join(["compare.py", *sys.argv[1:]])
    return args


def main() -> None:
    args = parse_args()
    results = Results(args.out, args.command)
    args.folder.mkdir(parents=True, exist_ok=True)
    if not args.no_build and args.parts != ["report"]:
        build(args.parts)
    if "limits" in args.parts:
        measure_limits(args)
    for part, formats, measure in (
        ("speed", args.formats, measure_speed),
        ("served", args.served_formats, measure_served),
    ):
        for model in args.models if part in args.parts else []:
            for weights in formats:
                files = ModelFiles(args.folder, model, weights)
                files.make()
                measure(args, results, files)
                report.write(args.out, args.folder)
    if "accuracy" in args.parts:
        measure_accuracy(args, results)
    print(report.write(args.out, args.folder))


if __name__ == "__main__":
    main()
