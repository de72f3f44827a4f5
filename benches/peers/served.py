"""Measures Purser's server and llama.cpp's through the same client.

One visit to a server is a process of its own: its start until it is ready, eight requests at once
whose prompts begin alike, and then single requests whose prompts are cached in part. The two
servers are visited in turns.
"""

import http.client
import json
import random
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from processor_time import ForeignShare

START_SECONDS = 300
ANSWER_SECONDS = 1800
# Tokens for which there is room, of all requests together.
CONTEXT = 16_384
MEASURED = ["load", "shared prefix", "TTFT, cold", "TTFT, cached"]


class ServerFailed(Exception):
    """It did not start, or answered something else than was asked for."""


@dataclass(frozen=True)
class Load:
    """The requests of a visit; lengths in tokens."""

    vocab_size: int
    streams: int = 8
    prefix: int = 1500
    tail: int = 100
    output: int = 64
    prompt: int = 2000
    cached: int = 1800
    turns: int = 2

    def tokens(self, sequence: int, start: int, end: int) -> list[int]:
        """Tokens that no other sequence begins with: a server would take them from its cache."""
        return random.Random(sequence).choices(range(self.vocab_size), k=end)[start:]


class Server:
    """A running server."""

    def __init__(self, name: str, command: list[str], ready_path: str) -> None:
        self.name = name
        self.command = command
        self.ready_path = ready_path

    def __enter__(self) -> "Server":
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.output = tempfile.TemporaryFile("w+")
        start = time.perf_counter()
        self.process = subprocess.Popen(
            [*self.command, "--port", str(self.port)],
            stdout=self.output,
            stderr=subprocess.STDOUT,
        )
        try:
            while not self._is_ready():
                if self.process.poll() is not None or time.perf_counter() - start > START_SECONDS:
                    raise ServerFailed(f"{self.name} did not start: {self._last_words()}")
                time.sleep(0.005)
        except BaseException:
            self.__exit__()
            raise
        self.load_seconds = time.perf_counter() - start
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.output.close()

    def _last_words(self) -> str:
        self.output.seek(0)
        return " / ".join(self.output.read().strip().splitlines()[-2:]) or "it said nothing"

    def _is_ready(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", self.ready_path)
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def complete(self, prompt: list[int], num_tokens: int) -> dict:
        """The whole answer to a greedy request that goes on for `num_tokens`."""
        body = {
            "model": "measured",
            "prompt": prompt,
            "max_tokens": num_tokens,
            "temperature": 0,
            "ignore_eos": True,
        }
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_SECONDS)
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/v1/completions", json.dumps(body), headers)
        response = connection.getresponse()
        answer = json.loads(response.read())
        connection.close()
        if response.status != 200:
            raise ServerFailed(f"{self.name} answered {response.status}: {answer}")
        generated = answer["usage"]["completion_tokens"]
        if generated != num_tokens:
            raise ServerFailed(f"{self.name} generated {generated} tokens of {num_tokens}")
        return answer

    def seconds(self, prompt: list[int], num_tokens: int) -> float:
        start = time.perf_counter()
        self.complete(prompt, num_tokens)
        return time.perf_counter() - start

    def at_once(self, prompts: list[list[int]], num_tokens: int) -> float:
        """Seconds until the last of the requests, sent together, is answered."""
        failed: list[Exception] = []

        def ask(prompt: list[int]) -> None:
            try:
                self.complete(prompt, num_tokens)
            except Exception as error:
                failed.append(error)

        threads = [threading.Thread(target=ask, args=[prompt]) for prompt in prompts]
        start = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failed:
            raise ServerFailed(f"{self.name}: {failed[0]}")
        return time.perf_counter() - start


def purser(binary: Path, model: Path, dtype: str, threads: int, kv_bytes: int) -> Server:
    """`kv_bytes`: of the KV cache, for as many tokens as llama-server has below."""
    command = [str(binary), "serve", str(model), "--threads", str(threads)]
    command += ["--max-num-seqs", "8", "--max-model-len", "2048", "--served-model-name", "measured"]
    command += ["--kv-cache-memory-bytes", str(kv_bytes)]
    command += [] if dtype == "auto" else ["--dtype", {"bf16": "bfloat16", "f32": "float32"}[dtype]]
    return Server("purser", command, "/ready")


def llama_server(binary: Path, model: Path, threads: int) -> Server:
    """Eight slots of 2,048 tokens each."""
    command = [str(binary), "-m", str(model), "-np", "8", "-c", str(CONTEXT)]
    command += ["-t", str(threads), "-tb", str(threads)]
    return Server("llama.cpp", command, "/health")


def visit(server: Server, load: Load) -> list[dict]:
    """Starts the server, measures everything once, and stops it."""
    results = []

    def add(measured: str, seconds: float, foreign: ForeignShare) -> None:
        share = round(foreign.share(), 3)
        results.append({"workload": measured, "seconds": seconds, "foreign_share": share})

    with server:
        results.append({"workload": "load", "seconds": server.load_seconds})
        prefix = load.tokens(0, 0, load.prefix)
        tails = range(1, load.streams + 1)
        prompts = [prefix + load.tokens(sequence, 0, load.tail) for sequence in tails]
        foreign = ForeignShare([server.process.pid])
        add("shared prefix", server.at_once(prompts, load.output), foreign)
        for turn in range(load.turns):
            # Not one token of it has been seen, and then all but the last tenth has.
            sequence = 100 + 2 * turn
            cold = load.tokens(sequence, 0, load.prompt)
            foreign = ForeignShare([server.process.pid])
            add("TTFT, cold", server.seconds(cold, 1), foreign)
            rest = load.tokens(sequence + 1, load.cached, load.prompt)
            foreign = ForeignShare([server.process.pid])
            add("TTFT, cached", server.seconds(cold[: load.cached] + rest, 1), foreign)
    for result in results:
        result["program"] = server.name
    return results


def summary(results: list[dict]) -> str:
    """What a visit has measured, for the terminal."""
    parts = []
    for measured in MEASURED:
        values = [r["seconds"] for r in results if r["workload"] == measured]
        if values:
            parts.append(f"{measured} {statistics.median(values):.3f} s")
    return ", ".join(parts)
