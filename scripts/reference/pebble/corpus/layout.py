"""Facts and filler as one text."""

from corpus.draws import (capitalised, choice, integer)
from corpus.facts import (LEADS, lowered)
from corpus.filler import filler
from corpus.values import (first, thing)
from lexicon import ACK


def spread(rng, facts, max_chars):
    """Mixes the facts, in order, with filler up to about max_chars.

    Returns a list of (sentence, fact or None).
    """
    body = sum(len(f.st) for f in facts) + 8 * len(facts)
    fill = []
    while body < max_chars:
        s = filler(rng)
        fill.append(s)
        body += len(s) + 1
    slots = sorted(int(rng.random() * (len(fill) + 1)) for _ in facts)
    out, j = [], 0
    for i in range(len(fill) + 1):
        while j < len(facts) and slots[j] == i:
            out.append((facts[j].st, facts[j]))
            j += 1
        if i < len(fill):
            out.append((fill[i], None))
    return out


def with_lead(rng, s, f):
    """The sentence, sometimes with a lead-in if it states a fact."""
    if f is not None and rng.random() < 0.3:
        l = choice(rng, LEADS)
        return l + (lowered(s) if l else s)
    return s


def layout(rng, lex, items):
    """Turn sentences into one text in one of several layouts."""
    u = rng.random()
    if u < 0.35:  # paragraphs
        out, i = [], 0
        while i < len(items):
            k = integer(rng, 2, 8)
            out.append(" ".join(with_lead(rng, s, f) for s, f in items[i:i + k]))
            i += k
        return choice(rng, ["\n", "\n\n"]).join(out) if rng.random() < 0.9 else " ".join(out)
    if u < 0.5:
        b = choice(rng, ["- ", "* ", "", "• "])
        return "\n".join([b + s for s, f in items])
    if u < 0.7:  # transcript
        names = choice(rng, [("User", "Assistant"), (first(rng, lex), first(rng, lex)),
                             (first(rng, lex), first(rng, lex), first(rng, lex)),
                             ("user", "assistant"), ("Human", "AI")])
        out, i = [], 0
        while i < len(items):
            k = integer(rng, 1, 3)
            out.append(names[len(out) % len(names)] + ": " +
                       " ".join(with_lead(rng, s, f) for s, f in items[i:i + k]))
            i += k
            if names[0] in ("User", "user", "Human") and rng.random() < 0.7:
                out.append(names[1] + ": " + choice(rng, ACK))
        return "\n".join(out)
    if u < 0.8:
        h, m = integer(rng, 6, 12), 0
        out = []
        for s, f in items:
            m += integer(rng, 0, 2)
            out.append(f"[{(h + m // 60) % 24:02d}:{m % 60:02d}] {s}")
        return "\n".join(out)
    n, out, i = 1, [], 0  # documents
    per = max(2, len(items) // integer(rng, 2, 8))
    style = choice(
        rng, ["Document {n}: {t}", "[{n}] {t}", "## {t}", "<doc id=\"{n}\">", "Source {n} ({t})"])
    while i < len(items):
        out.append(
            style.format(n=n, t=capitalised(thing(rng))) + "\n" +
            " ".join(with_lead(rng, s, f) for s, f in items[i:i + per]))
        i += per
        n += 1
    return "\n\n".join(out)
