"""Documents for evaluation: names, places, companies, code names and tools unseen in training."""

import os
import random

from tokenizers import Tokenizer

from corpus import skills
from documents import draw_document, encode
from lexicon import Lexicon

PROBE_LENGTHS = [512, 1024, 2048, 4096, 8192]
PROBE_DEPTHS = [0, .25, .5, .75, 1, "unknown"]
LONG_SKILLS = ["qa_context", "qa_chat", "summary", "tool_use"]


def fill(tokenizer_path, tiny, out):
    """Puts {name: [(ids, weights)]} into the queue `out`; a process of its own does it."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    tokenizer, lex, sets = Tokenizer.from_file(tokenizer_path), Lexicon("test"), {}
    for length in [] if tiny else PROBE_LENGTHS:
        for depth in PROBE_DEPTHS:
            sets[f"probe_{length}_{depth}_long"] = probes(tokenizer, lex, length, depth)
    for skill, _ in skills.SKILLS:
        rng, name = random.Random(77), skill.__name__
        count = 1 if tiny else 48
        sets[name] = [draw_document(rng, lex, tokenizer, "short", name) for _ in range(count)]
    for name in [] if tiny else LONG_SKILLS:
        rng = random.Random(78)
        sets[f"{name}_long"] = [
            draw_document(rng, lex, tokenizer, "long", name) for _ in range(40)
        ]
    out.put(sets)


def probes(tokenizer, lex, length, depth):
    """Forty probes of 75 to 100 % of the length."""
    rng, documents = random.Random(f"probe-{length}-{depth}"), []
    unknown = depth == "unknown"
    while len(documents) < 40:
        num_chars = int(length * 3.25)
        messages, tools, _ = skills.probe(rng, lex, num_chars, .5 if unknown else depth, unknown)
        document = encode(tokenizer, messages, tools)
        if 0.75 * length < len(document[0]) <= length:
            documents.append(document)
    return documents
