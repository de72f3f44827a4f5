"""Statements with free words."""

from corpus.draws import (capitalised, choice, integer)
from corpus.facts import Fact
from corpus.open_vocabulary import (rare, thing_open)
from corpus.values import (clock, date, money, number, person, year)
from lexicon import (DAY, W)

VERBS = W(
    "paint repair open visit order clean check watch pick fix print deliver review paint stack")


def free_fact(rng, lex):
    """A sentence with free words and a question that shares some of them.

    The answer quotes the sentence.
    """
    v = rare(rng) if rng.random() < 0.5 else choice(rng, VERBS)
    vp = v + ("d" if v.endswith("e") else "ed")
    s = choice(rng, [
        lambda: person(rng, lex), lambda: choice(rng, ["the ", "our ", "my "]) + thing_open(rng),
        lambda: capitalised(rare(rng))
    ])()
    o = choice(rng, ["the ", "a ", "our ", "two "]) + thing_open(rng)
    tail = {
        "where": choice(
            rng, ["in the {}", "under the {}", "near {}", "at the {}", "behind the {}"]).format(
                thing_open(rng)),
        "when": choice(
            rng,
            ["on " + choice(rng, DAY), "at " + clock(rng), "in " + year(rng), "on " + date(rng)]),
        "why": "because of the " + thing_open(rng),
        "how": "with " + choice(rng, ["a ", "the "]) + thing_open(rng)
    }
    ks = rng.sample(list(tail), integer(rng, 1, 3))
    u = rng.random()
    if u < 0.25:  # a state instead of an act
        st = choice(rng, [
            "{s} is {o} {t}", "{s} costs {m} {t}", "{s} runs {w} {t}", "{s} needs {n} {w}s {t}",
            "{s} weighs {n} kg {t}"
        ]).format(s=s, o=o, t=tail[ks[0]], m=money(rng), w=rare(rng), n=number(rng))
        q = choice(rng, [
            "What do you know about {s}?", "What about {s}?",
            "How much does {s} cost?" if "cost" in st else "What is {s}?",
            "What does {s} run?" if " runs " in st else "What is said about {s}?",
            "How many does {s} need?" if " needs " in st else "Tell me about {s}."
        ]).format(s=s)
    else:
        t = " ".join(tail[k] for k in ks)
        passive = u < 0.45
        st = f"{o} was {vp} by {s} {t}" if passive else f"{s} {vp} {o} {t}"
        k = choice(rng, ks + ["who", "what"])
        q = {
            "who": f"Who {vp} {o}?",
            "what": f"What did {s} {v}?",
            "where": f"Where did {s} {v} {o}?",
            "when": choice(rng, [
                f"When did {s} {v} {o}?", f"When was {o} {vp}?",
                f"On which day did {s} {v} {o}?" if " on " in t else f"When did {s} {v} {o}?"
            ]),
            "why": f"Why did {s} {v} {o}?",
            "how": f"With what did {s} {v} {o}?"
        }[k]
        if rng.random() < 0.2:
            q = choice(
                rng, [f"What happened to {o}?", f"What was {vp}?", f"What do you know about {o}?"])
    st = capitalised(st) + "."
    return Fact("free", st, st, [(q, st, st)], {("free", s), ("free", o), ("free", v)})
