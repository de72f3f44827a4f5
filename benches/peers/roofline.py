"""What a workload must cost at least, from a model's weights and what the machine can do.

The limit of a step is the longer of two times: its bytes (every weight once, keys and values once)
at the measured read bandwidth, and its operations at the measured peak of the fastest instruction
path for its operands. No program can reach both at once; the share that it achieves says how much
there is left.
"""

from dataclasses import dataclass
from pathlib import Path

from workload import Workload

# Bytes of an element of keys and values: 16 bits, which both programs keep by default.
KV_BYTES = 2
# Operands whose paths can multiply weights of a format; where several can, the fastest counts.
PATHS = {"f32": ["f32"], "bf16": ["f32", "bf16"], "f16": ["f32", "bf16"]}
QUANTIZED_PATHS = ["f32", "bf16", "integer"]


def head_dim(config: dict) -> int:
    return config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]


def kv_elements(config: dict) -> int:
    """Elements of a token's keys and values in all layers."""
    heads = config["num_hidden_layers"] * config["num_key_value_heads"]
    return 2 * heads * head_dim(config)


@dataclass(frozen=True)
class Limits:
    """What the machine can do, by `machine_limits`, in bytes and operations per second."""

    bandwidth: float
    peaks: dict[str, float]

    @classmethod
    def of(cls, lines: list[dict], threads: int) -> "Limits":
        """From the lines that `machine_limits` printed; the best repetition is what is possible."""
        bandwidth, peaks = 0.0, {}
        for line in lines:
            if line["threads"] != threads:
                continue
            rate = line["max"] * 1e9
            if line["kind"] == "bytes":
                bandwidth = rate
            else:
                peaks[line["kind"]] = max(rate, peaks.get(line["kind"], 0.0))
        return cls(bandwidth, peaks)

    def peak(self, operands: list[str]) -> float:
        return max(self.peaks.get(kind, 0.0) for kind in operands)


@dataclass(frozen=True)
class Shape:
    """What of a model decides its cost."""

    weight_bytes: int
    # Weights that multiply every token, and those of the head, which multiply sampled ones.
    layer_weights: int
    head_weights: int
    # Elements of a key and a value of one token, and of all query heads, over all layers.
    kv_elements: int
    query_elements: int
    format: str

    @classmethod
    def read(cls, gguf: Path, config: dict, weights: str) -> "Shape":
        from gguf import GGUFReader

        matrices = {t.name: t for t in GGUFReader(gguf).tensors if len(t.shape) > 1}
        # With tied weights the embedding is the head; otherwise single rows of it are read.
        embedding = matrices.pop("token_embd.weight")
        head = matrices.pop("output.weight", embedding)
        num_heads = config["num_hidden_layers"] * config["num_attention_heads"]
        return cls(
            weight_bytes=int(head.n_bytes) + sum(int(t.n_bytes) for t in matrices.values()),
            layer_weights=sum(int(t.n_elements) for t in matrices.values()),
            head_weights=int(head.n_elements),
            kv_elements=kv_elements(config),
            query_elements=num_heads * head_dim(config),
            format=weights,
        )

    def step_seconds(
        self, limits: Limits, tokens: int, sampled: int, attended: int, cached: int
    ) -> float:
        """A step's least time.

        `attended`: pairs of a query and a key; `cached`: tokens whose keys and values are read.
        """
        linear = 2 * (self.layer_weights * tokens + self.head_weights * sampled)
        # A product and a sum for the score, and again for the value, per element of the head.
        attention = 4 * self.query_elements * attended
        paths = PATHS.get(self.format, QUANTIZED_PATHS)
        operations = linear / limits.peak(paths) + attention / limits.peak(["f32", "bf16"])
        moved = self.weight_bytes + KV_BYTES * self.kv_elements * cached
        return max(operations, moved / limits.bandwidth)

    def tokens_per_second(self, limits: Limits, workload: Workload) -> float:
        """The most tokens per second of a workload."""
        count = workload.tokens
        if workload.is_prefill:
            seconds = self.step_seconds(limits, count, 1, count * (count + 1) // 2, 0)
            return count / seconds
        seconds, rows = 0.0, workload.sequences
        for length in range(workload.context + 1, workload.max_len + 1):
            cached = rows * length
            if workload.is_shared:
                cached -= (rows - 1) * workload.context
            seconds += self.step_seconds(limits, rows, rows, rows * length, cached)
        return workload.timed_tokens / seconds
