#!/usr/bin/env python3
"""Computes workloads with llama.cpp, one repetition for each name read from standard input.

    echo pp512 | python3 llama_cpp_model.py MODEL.gguf --threads 2 --workloads pp512

Uses llama.cpp's C interface through `llama-cpp-python` and times nothing but `llama_decode`, so
Python's own time is not charged to it. Batches are those of `llama-bench`: prompts go in at once
and are computed in micro-batches of `--max-num-batched-tokens`, each workload has a KV cache of its
own, flash attention is left to llama.cpp's choice, and only wanted rows yield logits. Sequences
with the same tokens behind them share a unified KV cache, as with `llama-batched-bench -pps -kvu`.
"""

import argparse
import json
import sys
import time

import llama_cpp

from workload import Workload, token


def ignore_log(_level: int, _text: bytes, _data: object) -> None:
    pass


# llama.cpp keeps the pointer: the callback must live as long as the program.
LOG_CALLBACK = llama_cpp.llama_log_callback(ignore_log)


class LlamaCppModel:
    """A loaded model and a context: the KV cache of one workload."""

    def __init__(self, path: str, threads: int, micro_batch: int, exact: bool = False) -> None:
        """`exact`: KV in f32 and plain attention, as the other side can compute."""
        llama_cpp.llama_log_set(LOG_CALLBACK, None)
        llama_cpp.llama_backend_init()
        self.model = llama_cpp.llama_model_load_from_file(
            path.encode(), llama_cpp.llama_model_default_params()
        )
        if not self.model:
            raise SystemExit(f"llama.cpp cannot load {path}")
        self.threads = threads
        self.micro_batch = micro_batch
        self.exact = exact
        vocab = llama_cpp.llama_model_get_vocab(self.model)
        self.vocab_size = llama_cpp.llama_vocab_n_tokens(vocab)
        self.context = None
        self.prepared = None

    def make_room(self, sequences: int, max_len: int, unified: bool = False) -> None:
        """A new context for `sequences` of `max_len` tokens each.

        `unified`: one KV cache of `max_len` tokens in which they share cells.
        """
        if self.context:
            llama_cpp.llama_batch_free(self.batch)
            llama_cpp.llama_free(self.context)
        params = llama_cpp.llama_context_default_params()
        # The context is divided by the sequences and padded to multiples of 256.
        params.n_ctx = -(-max_len // 256) * 256 * (1 if unified else sequences)
        params.n_batch = max(max_len, self.micro_batch)
        params.n_ubatch = self.micro_batch
        params.n_seq_max = sequences
        params.kv_unified = unified
        params.n_threads = params.n_threads_batch = self.threads
        if self.exact:
            params.type_k = params.type_v = llama_cpp.GGML_TYPE_F32
            params.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
        self.context = llama_cpp.llama_init_from_model(self.model, params)
        if not self.context:
            raise SystemExit("llama.cpp cannot make a context")
        self.memory = llama_cpp.llama_get_memory(self.context)
        self.batch = llama_cpp.llama_batch_init(params.n_batch, 0, 1)
        self.prepared = None

    def clear(self) -> None:
        llama_cpp.llama_memory_clear(self.memory, False)

    def decode(self, rows: list[tuple[int, int, int, bool]]) -> float:
        """Computes rows of (sequence, position, token, wants logits); returns the seconds."""
        batch = self.batch
        batch.n_tokens = len(rows)
        for row, (sequence, position, token_id, wants_logits) in enumerate(rows):
            batch.token[row] = token_id
            batch.pos[row] = position
            batch.n_seq_id[row] = 1
            batch.seq_id[row][0] = sequence
            batch.logits[row] = wants_logits
        start = time.perf_counter()
        status = llama_cpp.llama_decode(self.context, batch)
        llama_cpp.llama_synchronize(self.context)
        seconds = time.perf_counter() - start
        if status != 0:
            raise RuntimeError(f"llama_decode returned {status}")
        return seconds

    def prefill(self, sequence: int, tokens: list[int]) -> float:
        last = len(tokens) - 1
        return self.decode([(sequence, at, id, at == last) for at, id in enumerate(tokens)])

    def prompt(self, sequence: int, length: int) -> list[int]:
        return [token(sequence, position, self.vocab_size) for position in range(length)]

    def prepare(self, workload: Workload) -> None:
        """Makes room for the workload and computes what its sequences have behind them."""
        if self.prepared == workload:
            return
        if workload.is_shared:
            own = workload.tokens * workload.sequences
            self.make_room(workload.sequences, workload.context + own, unified=True)
        else:
            self.make_room(workload.sequences, workload.max_len)
        if workload.context:
            for sequence in range(1 if workload.is_shared else workload.sequences):
                self.prefill(sequence, self.prompt(sequence, workload.context))
        if workload.is_shared:
            for sequence in range(1, workload.sequences):
                llama_cpp.llama_memory_seq_cp(self.memory, 0, sequence, -1, -1)
        self.prepared = workload

    def forget_after(self, length: int) -> None:
        """Takes all sequences back to their first `length` tokens."""
        llama_cpp.llama_memory_seq_rm(self.memory, -1, length, -1)

    def step(self, sequences: int, position: int) -> float:
        """Computes the token at `position` of the first `sequences`; returns the seconds."""
        tokens = (token(sequence, position, self.vocab_size) for sequence in range(sequences))
        return self.decode([(sequence, position, id, True) for sequence, id in enumerate(tokens)])

    def measure(self, workload: Workload) -> float:
        """Seconds of the timed part, after an untimed step that wakes the threads.

        The context of a decoding workload is computed the first time only: asked for the same one
        again, its steps are taken anew behind it.
        """
        self.prepare(workload)
        self.forget_after(workload.context)
        self.step(1, workload.context)
        self.forget_after(workload.context)
        if workload.is_prefill:
            return self.prefill(0, self.prompt(0, workload.tokens))
        positions = range(workload.context, workload.max_len)
        return sum(self.step(workload.sequences, position) for position in positions)

    def logits(self, prompt: list[int]) -> list[list[float]]:
        """The logits after each token of `prompt`; there must be room for it in one batch."""
        self.clear()
        self.decode([(0, position, id, True) for position, id in enumerate(prompt)])
        rows = (llama_cpp.llama_get_logits_ith(self.context, row) for row in range(len(prompt)))
        return [row[: self.vocab_size] for row in rows]

    def greedy(self, prompt: list[int], num_tokens: int) -> list[int]:
        """The most likely tokens after `prompt`, each given those before it."""
        self.clear()
        self.prefill(0, prompt)
        generated = []
        for position in range(len(prompt), len(prompt) + num_tokens):
            logits = llama_cpp.llama_get_logits_ith(self.context, -1)
            generated.append(max(range(self.vocab_size), key=logits.__getitem__))
            self.decode([(0, position, generated[-1], True)])
        return generated


def description() -> str:
    features = llama_cpp.llama_print_system_info().decode()
    found = [part.split(" = ")[0] for part in features.split(" | ") if part.endswith("= 1")]
    names = [name.split(" : ")[-1].strip() for name in found]
    return f"llama-cpp-python {llama_cpp.__version__}: {' '.join(names)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--max-num-batched-tokens", type=int, default=512)
    parser.add_argument("--workloads", required=True, help="comma-separated: what may be asked")
    args = parser.parse_args()
    workloads = {name: Workload.parse(name) for name in args.workloads.split(",")}
    model = LlamaCppModel(args.model, args.threads, args.max_num_batched_tokens)
    device = description()
    for line in sys.stdin:
        workload = workloads[line.strip()]
        seconds = model.measure(workload)
        result = {
            "device": device,
            "workload": workload.name,
            "tokens": workload.timed_tokens,
            "seconds": seconds,
            "tokens_per_second": workload.timed_tokens / seconds,
        }
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
