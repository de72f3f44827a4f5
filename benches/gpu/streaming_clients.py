#!/usr/bin/env python3
"""Measures `purser serve` under 64 streaming clients, 256 tokens behind 128 each.

    python3 streaming_clients.py --bin FOLDER_OF_PROGRAMS --results FILE.jsonl --out FOLDER

The server computes random weights of the model's shape and has a tokenizer of the model's vocabulary, so
text is made and streamed. `purser bench replay` sends the requests, token ids all at once, and the
server's processor time is read before and after. Three runs with prompts of their own, after one that is
not counted; the files of the runs stay in --out.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "peers"))

from processor_time import process_ticks  # noqa: E402
from served import Server  # noqa: E402
from tokenizer import write as write_tokenizer  # noqa: E402

FOLDERS = {"L": "llama-3.1-8b-shape", "Q": "qwen3-0.6b-shape", "tiny": "tiny-shape"}
STREAMS = 64
# A run that takes longer has failed.
RUN_SECONDS = 120


class Clients:
    """Makes traces with the program `gpu` and sends them with `purser bench replay`."""

    def __init__(self, args: argparse.Namespace, server: Server) -> None:
        self.args = args
        self.server = server

    def send(self, name: str, streams: int, repetition: int) -> dict:
        """Sends requests once; the summary, with the server's processor time."""
        args = self.args
        trace, results = args.out / f"{name}-trace.jsonl", args.out / f"{name}.json"
        command = [args.bin / "gpu", "trace", "--model", args.model, "--scale", args.scale]
        command += ["--streams", streams, "--repetition", repetition, "--shapes", HERE]
        with trace.open("w") as file:
            subprocess.run([str(word) for word in command], stdout=file, check=True)
        url = f"http://127.0.0.1:{self.server.port}"
        command = [args.bin / "purser", "bench", "replay", trace, "--base-url", url]
        command += ["--output", results]
        before = self._ticks()
        subprocess.run(
            [str(word) for word in command],
            stdout=subprocess.DEVNULL,
            timeout=RUN_SECONDS,
            check=True,
        )
        ticks = self._ticks() - before
        trace.unlink()
        summary = json.loads(results.read_text())["summary"]
        asked = summary["completed"] + summary["failed"]
        if summary["completed"] != asked:
            raise RuntimeError(f"{summary['failed']} of {asked} requests failed")
        microseconds = ticks * 1e6 / os.sysconf("SC_CLK_TCK")
        summary["cpu_us_per_token"] = microseconds / summary["output_tokens"]
        return summary

    def _ticks(self) -> int:
        return process_ticks(Path(f"/proc/{self.server.process.pid}/stat").read_text())


def model_folder(shape: Path, target: Path) -> Path:
    """The shape with a tokenizer."""
    folder = target / shape.name
    folder.mkdir()
    shutil.copy(shape / "config.json", folder)
    write_tokenizer(json.loads((shape / "config.json").read_text()), folder)
    return folder


def measure(args: argparse.Namespace) -> dict[str, dict]:
    """What the lines of both workloads say of the outcome."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = model_folder(HERE / FOLDERS[args.model], Path(temporary))
        command = [args.bin / "purser", "serve", folder, "--load-format", "dummy"]
        command += ["--device", args.device, *args.serve]
        words = [str(word) for word in command]
        with Server("purser", words, "/ready") as server:
            clients = Clients(args, server)
            clients.send("warm-up", 0, 0)
            runs = [clients.send(f"run-{n}", STREAMS, n) for n in range(args.runs)]
    rates = [run["output_throughput"] for run in runs]
    times = [run["cpu_us_per_token"] for run in runs]
    of_all = {"runs": [round(rate, 1) for rate in rates]}
    for name, field, percentile in [
        ("ttft_p50_ms", "ttft_ms", "p50"),
        ("ttft_p99_ms", "ttft_ms", "p99"),
        ("itl_p50_ms", "itl_ms", "p50"),
        ("itl_p99_ms", "itl_ms", "p99"),
    ]:
        of_all[name] = round(statistics.median(run[field][percentile] for run in runs), 3)
    of_all["ready_s"] = round(server.load_seconds, 3)
    return {
        "http-64": measured(statistics.median(rates), "tok/s", of_all),
        "http-64-cpu": measured(
            statistics.median(times), "us/token", {"runs": [round(time, 2) for time in times]}
        ),
    }


def measured(value: float, unit: str, details: dict) -> dict:
    return {"outcome": "measured", "value": round(value, 4), "unit": unit, "details": details}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", type=Path, required=True, help="folder of `gpu` and `purser`")
    parser.add_argument("--results", type=Path, required=True, help="file to which lines are added")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs' files")
    parser.add_argument("--model", choices=FOLDERS, default="L")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--scale", type=int, default=1, help="divides counts and lengths")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--commit", default="unknown")
    parser.add_argument("serve", nargs="*", help="flags of `purser serve`, behind --")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    try:
        outcomes = measure(args)
    except Exception as error:
        failed = {"outcome": "failed", "reason": f"{type(error).__name__}: {error}"}
        outcomes = dict.fromkeys(["http-64", "http-64-cpu"], failed)
    with args.results.open("a") as file:
        for workload, outcome in outcomes.items():
            line = {"model": args.model, "workload": workload, **outcome, "device": args.device}
            line |= {"scale": args.scale, "commit": args.commit}
            file.write(json.dumps(line) + "\n")
    failures = {o["reason"] for o in outcomes.values() if o["outcome"] == "failed"}
    for reason in failures:
        print(f"http-64: {reason}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
