"""Named workloads, the same for every program that is compared.

The names and the tokens are those of `benches/src/workload.rs`: `pp512` is a prompt of 512 tokens,
`tg128` are 128 tokens generated one after the other, `tg32x8@128` are 32 tokens for each of 8
sequences that are computed together and have 128 tokens behind them; with `tg32x8@shared1024` they
have the same 1,024, which are computed and kept once.
"""

import re
from dataclasses import dataclass

DEFAULT = [
    "pp512",
    "pp2048",
    "tg128",
    "tg32x8@128",
    "tg32x16@128",
    "tg32x8@shared1024",
    "tg32x16@shared1024",
]


@dataclass(frozen=True)
class Workload:
    """What one repetition computes."""

    name: str
    # Tokens computed per sequence before the timed part.
    context: int
    # Timed tokens per sequence.
    tokens: int
    sequences: int
    # Whether the timed tokens are one prompt instead of steps of one token.
    is_prefill: bool
    # Whether the context is the same for all sequences, and its KV is kept once.
    is_shared: bool = False

    @classmethod
    def parse(cls, name: str) -> "Workload":
        if match := re.fullmatch(r"pp([1-9]\d*)", name):
            return cls(name, 0, int(match[1]), 1, is_prefill=True)
        form = r"tg([1-9]\d*)(?:x([1-9]\d*))?(?:@(shared)?([1-9]\d*))?"
        if match := re.fullmatch(form, name):
            tokens, sequences, context = (int(match[group] or 0) for group in (1, 2, 4))
            return cls(name, context, tokens, sequences or 1, False, match[3] is not None)
        raise ValueError(f"{name!r} is no workload; write for example pp512 or tg32x8@128")

    @property
    def max_len(self) -> int:
        """Tokens of each sequence at the end."""
        return self.context + self.tokens

    @property
    def timed_tokens(self) -> int:
        return self.tokens * self.sequences


def token(sequence: int, position: int, vocab_size: int) -> int:
    """Token `position` of sequence `sequence`: scattered over the vocabulary."""
    index = sequence * 65_536 + position
    return (index * 2_654_435_761) % 2**32 % vocab_size
