"""Words that no list has. Training switches them on for its second stage, in all generators."""

from corpus.draws import (choice, digits, integer)
from corpus.filler import LISTS
from lexicon import (ADJ, NOUN)

_on = False


def switch(on):
    """Makes all generators draw rare words, or stop doing so."""
    global _on
    _on = on


def is_on():
    """Whether generators draw rare words."""
    return _on


ALL_WORDS = [
    w for v in LISTS.values() for p in v if isinstance(p, str) for w in p.split()
    if w.isalpha() and len(w) > 2
]


def rare(rng):
    """A word of unusual spelling: pieces of known words glued together, or random letters."""
    if rng.random() < 0.2:
        return "".join([choice(rng, "aeioubcdfghklmnprstvwz") for _ in range(integer(rng, 3, 9))])
    s = ""
    for _ in range(integer(rng, 1, 3)):
        w = choice(rng, ALL_WORDS).lower()
        i = integer(rng, 0, len(w) - 2)
        s += w[i:i + integer(rng, 2, 7)]
    return s + (digits(rng, integer(rng, 1, 3)) if rng.random() < 0.1 else "")


def thing_open(rng):
    """A thing with a rare or a known name."""
    n = rare(rng) if rng.random() < 0.5 else choice(rng, NOUN)
    return n if rng.random() < 0.6 else (
        rare(rng) if rng.random() < 0.4 else choice(rng, ADJ)) + " " + n
