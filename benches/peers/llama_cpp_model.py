#!/usr/bin/env python3
"""Computes workloads with llama.cpp, one repetition for each name read from standard input.

    echo pp512 | python3 llama_cpp_model.py MODEL.gguf --threads 2 --workloads pp512

Uses llama.cpp's C interface through `llama-cpp-python` and times nothing but `llama_decode`, so
Python's own time is not charged to it. Batches are those of `llama-bench`: prompts go in at once
and are computed in micro-batches of `--max-num-batched-tokens`, each workload starts from an empty
KV cache, flash attention is left to llama.cpp's choice, and only wanted rows yield logits.
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
    """A loaded model with room for `sequences` of `max_len` tokens."""

    def __init__(
        self,
        path: str,
        threads: int,
        sequences: int,
        max_len: int,
        micro_batch: int,
        exact: bool = False,
    ) -> None:
        """`exact`: KV in f32 and plain attention, as the other side computes."""
        llama_cpp.llama_log_set(LOG_CALLBACK, None)
        llama_cpp.llama_backend_init()
        self.model = llama_cpp.llama_model_load_from_file(
            path.encode(), llama_cpp.llama_model_default_params()
        )
        if not self.model:
            raise SystemExit(f"llama.cpp cannot load {path}")
        params = llama_cpp.llama_context_default_params()
        # The context is divided by the sequences and padded to multiples of 256.
        params.n_ctx = sequences * -(-max_len // 256) * 256
        params.n_batch = max(max_len, micro_batch)
        params.n_ubatch = micro_batch
        params.n_seq_max = sequences
        params.n_threads = params.n_threads_batch = threads
        if exact:
            params.type_k = params.type_v = llama_cpp.GGML_TYPE_F32
            params.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
        self.context = llama_cpp.llama_init_from_model(self.model, params)
        if not self.context:
            raise SystemExit("llama.cpp cannot make a context")
        vocab = llama_cpp.llama_model_get_vocab(self.model)
        self.vocab_size = llama_cpp.llama_vocab_n_tokens(vocab)
        self.batch = llama_cpp.llama_batch_init(params.n_batch, 0, 1)

    def clear(self) -> None:
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self.context), False)

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

    def measure(self, workload: Workload) -> float:
        """Seconds of the timed part, after an untimed step that wakes the threads."""
        self.clear()
        self.prefill(0, self.prompt(0, 1))
        self.clear()
        if workload.is_prefill:
            return self.prefill(0, self.prompt(0, workload.tokens))
        if workload.context:
            for sequence in range(workload.sequences):
                self.prefill(sequence, self.prompt(sequence, workload.context))
        seconds = 0.0
        for position in range(workload.context, workload.max_len):
            rows = [
                (sequence, position, token(sequence, position, self.vocab_size), True)
                for sequence in range(workload.sequences)
            ]
            seconds += self.decode(rows)
        return seconds

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
    parser.add_argument("--workloads", required=True, help="comma-separated: make room for these")
    args = parser.parse_args()
    workloads = {name: Workload.parse(name) for name in args.workloads.split(",")}
    model = LlamaCppModel(
        args.model,
        args.threads,
        max(workload.sequences for workload in workloads.values()),
        max(workload.max_len for workload in workloads.values()),
        args.max_num_batched_tokens,
    )
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
