"""Copying, sorting, counting, sums and dense look-up."""

from corpus.draws import (choice, integer)
from corpus.fact_mix import make_facts
from corpus.facts import UNKNOWN
from corpus.filler import filler
from corpus.turns import (acknowledgement, assistant, system_turn, user)
from corpus.values import (city, clock, code, number, path, person, thing, url, word)
from lexicon import NOUN

ORDINALS = [
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"
]


def exercises(rng, lex, max_chars):
    """Skill 7: copy, order, count, small sums."""
    u = rng.random()
    msgs = system_turn(rng)
    for _ in range(integer(rng, 1, 4)):
        u = rng.random()
        if u < 0.35:
            t = choice(rng, [
                lambda: filler(rng), lambda: code(rng),
                lambda: " ".join(word(rng) for _ in range(integer(rng, 2, 10))),
                lambda: " ".join(choice(rng, NOUN) for _ in range(integer(rng, 2, 12))),
                lambda: make_facts(rng, lex, 1)[0][0].st, lambda: url(rng) + " " + path(rng),
                lambda: "".join(chr(integer(rng, 33, 126)) for _ in range(integer(rng, 3, 20))),
                lambda: " ".join(filler(rng) for _ in range(integer(rng, 2, 6)))
            ])()
            q, a = choice(rng, [
                "Repeat: {}", "Repeat after me: {}", "Copy this text exactly: {}", "Say: {}",
                "Echo the following:\n{}"
            ]).format(t), t
        elif u < 0.55:
            k = integer(rng, 2, 6)
            if rng.random() < .5:
                ws = rng.sample([str(i) for i in range(1, 100)], k)
                s = sorted(ws, key=int)
                q = choice(rng, ["Sort these numbers: {}", "Sort in ascending order: {}"]).format(
                    ", ".join(ws))
            else:
                ws = rng.sample(NOUN, k)
                s = sorted(ws)
                q = choice(rng,
                           ["Sort these words alphabetically: {}", "Put in alphabetical order: {}"
                            ]).format(", ".join(ws))
            a = ", ".join(s)
        elif u < 0.75:
            ws = rng.sample(NOUN, integer(rng, 2, 9))
            if rng.random() < .5:
                q, a = choice(
                    rng, ["How many items are in this list? {}", "Count the words: {}"]).format(
                        ", ".join(ws)), f"There are {len(ws)} items."
            else:
                i = integer(rng, 0, len(ws) - 1)
                q, a = f"What is the {choice(rng, [ORDINALS[i]])} item of this list? " + ", ".join(
                    ws), f"The {ORDINALS[i]} item is {ws[i]}."
        else:
            a1, b1, op = integer(rng, 0, 50), integer(rng, 0, 50), choice(rng, "++-*")
            if op == "-" and b1 > a1:
                a1, b1 = b1, a1
            if op == "*":
                a1, b1 = integer(rng, 0, 12), integer(rng, 0, 12)
            res = {"+": a1 + b1, "-": a1 - b1, "*": a1 * b1}[op]
            wd = {"+": "plus", "-": "minus", "*": "times"}[op]
            q, a = choice(rng, ["What is {} {} {}?", "Calculate {} {} {}.", "{} {} {} = ?"]).format(
                a1, choice(rng, [op, wd]), b1), f"{a1} {op} {b1} = {res}"
        msgs += [user(q), assistant(a)]
    return msgs, None, "misc"


def lookup(rng, lex, max_chars):
    """Dense lookup: long key/value lists with many questions; makes retrieval heads form early."""
    n = integer(rng, 2, max(3, min(300, max_chars // 22)))
    mk, sep, mv = choice(rng, [
        word, lambda rng: choice(rng, lex.first), lambda rng: choice(rng, NOUN), code,
        lambda rng: thing(rng), lambda rng: choice(rng, lex.code) + "_" + choice(rng, NOUN)
    ]), choice(rng, [": ", " = ", " -> ", " is ", ", "]), choice(rng, [
        number, code, word, lambda rng: city(rng, lex), lambda rng: person(rng, lex), thing, clock
    ])
    kv = {mk(rng): mv(rng) for _ in range(n)}
    text = choice(rng, ["\n", "\n", "; "]).join([k + sep + v for k, v in kv.items()])
    ks = list(kv)
    msgs = [
        user(choice(rng, ["Remember this list.\n", "", "Key and value pairs:\n"]) + text),
        acknowledgement(rng)
    ] if rng.random() < .5 else [{
        "role": "system",
        "content": text
    }]
    for _ in range(integer(rng, 3, 24)):
        if rng.random() < .08:
            k = mk(rng)
            if k in kv:
                continue
            msgs += [
                user(choice(rng, ["What is {}?", "Look up {}.", "{}?"]).format(k)),
                assistant(UNKNOWN)
            ]
        else:
            k = choice(rng, ks)
            msgs += [
                user(
                    choice(rng, ["What is {}?", "Look up {}.", "Which value belongs to {}?", "{}?"
                                 ]).format(k)),
                assistant(f"{k}{sep}{kv[k]}")
            ]
    return msgs, None, "lookup"
