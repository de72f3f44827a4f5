"""One of the two programs that are compared in process: it measures a workload when asked."""

import json
import subprocess
import sys
import tempfile
import threading
from typing import IO

from peer_models import HERE, ROOT, ModelFiles

# A repetition that takes longer has hung.
TIMEOUT_SECONDS = 900


class SideFailed(Exception):
    """The program ended, or was ended, without an answer."""


class Side:
    """A program that measures a workload for each line it reads."""

    def __init__(self, name: str, command: list[str]) -> None:
        self.name = name
        self.command = command
        self.errors: IO[str] = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            cwd=ROOT,
        )

    def __enter__(self) -> "Side":
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        self.process.wait()

    def measure(self, workload: str) -> dict:
        timer = threading.Timer(TIMEOUT_SECONDS, self.process.kill)
        timer.start()
        try:
            print(workload, file=self.process.stdin, flush=True)
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            timer.cancel()
        if not line:
            self.errors.seek(0)
            reason = " ".join(self.errors.read().split("Stack backtrace")[0].split())
            raise SideFailed(f"{self.name} ended on {workload}: {reason or 'without a word'}")
        return json.loads(line)


def sides(files: ModelFiles, workloads: list[str], threads: int, tokens: int, binary: str):
    """Purser's and llama.cpp's program for the same weights."""
    options = ["--threads", str(threads), "--workloads", ",".join(workloads)]
    options += ["--max-num-batched-tokens", str(tokens)]
    ours = [binary, str(files.ours), "--dtype", files.dtype, "--on-request", *options]
    theirs = [sys.executable, str(HERE / "llama_cpp_model.py"), str(files.gguf), *options]
    return [Side("purser", ours), Side("llama.cpp", theirs)]
