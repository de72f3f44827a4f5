"""Sentences without facts, from templates over the word lists."""

import re

import lexicon
from corpus.draws import choice
from lexicon import (ADJ, ADV, FILLER, NOUN, VERB_PAST)

LISTS = {k: v for k, v in vars(lexicon).items() if k.isupper() and isinstance(v, list)}


def compile_template(t):
    """A filler template as a list of texts and word lists, in turn."""
    out = []
    for i, part in enumerate(re.split(r"\{(\w+)\}", t)):
        out.append(LISTS[part] if i % 2 else part)
    return out


SENTENCES = [compile_template(t) for t in FILLER]


def filler(rng, lex=None):
    """A sentence without facts."""
    if rng.random() < 0.15:  # free word salad sentence with a plain structure, for variety
        subject = f"The {choice(rng, ADJ)} {choice(rng, NOUN)}"
        return f"{subject} {choice(rng, VERB_PAST)} the {choice(rng, NOUN)} {choice(rng, ADV)}."
    return "".join(
        [p if type(p) is str else p[int(rng.random() * len(p))] for p in choice(rng, SENTENCES)])
