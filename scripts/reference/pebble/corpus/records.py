"""Facts in tables, and facts that change."""

import json

from corpus.attributes import (ATTRIBUTES, attr_of, entity, possessive)
from corpus.draws import (capitalised, choice, integer)
from corpus.fact_mix import make_facts
from corpus.facts import (QUESTIONS, UNKNOWN)
from corpus.layout import spread
from corpus.turns import (acknowledgement, assistant, system_turn, user)
from corpus.values import any_value


def table_qa(rng, lex, max_chars):
    """Skill 1: facts in JSON, CSV, tables, key = value files."""
    kind = choice(rng, list(ATTRIBUTES))
    attrs = {}
    for _ in range(integer(rng, 2, 6)):
        a, g = attr_of(rng, lex, kind)
        attrs[a] = g
    attrs = list(attrs.items())
    nrow = max(1, min(60, int(max_chars / (25 * len(attrs)))))
    nrow = integer(rng, 1, nrow)
    rows = []
    for _ in range(nrow):
        e = entity(rng, lex, kind)
        e = e[4:] if e.startswith("the ") else e
        if e not in [z[0] for z in rows]:
            rows.append((e, [g(rng, lex) for _, g in attrs]))
    heads = [a.replace(" ", "_").lower()
             for a, _ in attrs] if rng.random() < .5 else [a for a, _ in attrs]
    u = rng.random()
    if u < 0.25:
        t = ";".join(["name"] + heads) + "\n" + "\n".join([";".join([e] + vs) for e, vs in rows])
    elif u < 0.5:
        t = "| name | " + " | ".join(
            heads) + " |\n|" + "---|" * (len(heads) + 1) + "\n" + "\n".join(
                ["| " + " | ".join([e] + vs) + " |" for e, vs in rows])
    elif u < 0.75:
        t = json.dumps([dict([("name", e)] + list(zip(heads, vs))) for e, vs in rows],
                       ensure_ascii=False,
                       indent=choice(rng, [None, None, 1]))
    else:
        s = choice(rng, [" = ", ": ", "="])
        t = "\n\n".join(
            [f"[{e}]\n" + "\n".join([h + s + v for h, v in zip(heads, vs)]) for e, vs in rows])
    qas = []
    for _ in range(integer(rng, 1, 14)):
        if rng.random() < 0.12:
            e = entity(rng, lex, kind)
            e = e[4:] if e.startswith("the ") else e
            if e in [z[0] for z in rows]:
                continue
            a = choice(rng, attrs)[0]
            ans = UNKNOWN
        else:
            e, vs = choice(rng, rows)
            i = integer(rng, 0, len(attrs) - 1)
            a = attrs[i][0]
            ans = f"The {a} of {e} is {vs[i]}."
        qas.append((choice(rng, QUESTIONS).format(a=a,
                                                  e=e,
                                                  p=possessive(e),
                                                  P=capitalised(possessive(e)),
                                                  E=capitalised(e)), ans))
    if not qas:
        return table_qa(rng, lex, max_chars)
    if rng.random() < 0.5:
        msgs = system_turn(rng) + [user(t + "\n\n" + qas[0][0]), assistant(qas[0][1])]
    else:
        msgs = [{"role": "system", "content": t}, user(qas[0][0]), assistant(qas[0][1])]
    for q, a in qas[1:]:
        msgs += [user(q), assistant(a)]
    return msgs, None, "table"


def update_qa(rng, lex, max_chars):
    """The latest statement about a value wins."""
    facts, seen = make_facts(rng, lex, integer(rng, 2, 6), (1, 1, 1, 1))
    facts = [f for f in facts if f.kind == "attr"]
    if not facts:
        return update_qa(rng, lex, max_chars)
    items = spread(rng, facts, max_chars)
    msgs, cur, per = system_turn(rng), {}, max(1, len(items) // integer(rng, 2, 5))
    for i in range(0, len(items), per):
        part = items[i:i + per]
        msgs += [user(" ".join(s for s, _ in part)), acknowledgement(rng)]
        for _, f in part:
            if f:
                cur[(f.a, f.e)] = f
        if cur and rng.random() < 0.7:
            k = choice(rng, list(cur))
            f = cur[k]
            g = dict((a, g) for kk in ATTRIBUTES.values() for a, g in kk).get(f.a, any_value)
            v = g(rng, lex)
            d = dict(a=f.a, e=f.e, v=v, P=capitalised(possessive(f.e)), p=possessive(f.e), o=f.v)
            f.v = v
            msgs += [
                user(
                    choice(rng, [
                        "Correction: the {a} of {e} is now {v}.", "Update: {p} {a} changed to {v}.",
                        "I was wrong, the {a} of {e} is {v}, not {o}.",
                        "{P} {a} is now {v} instead of {o}.",
                        "Please change the {a} of {e} to {v}.",
                        "The {a} of {e} has changed: it is {v} now."
                    ]).format(**d)),
                acknowledgement(rng)
            ]
    for f in rng.sample(list(cur.values()), min(len(cur), integer(rng, 1, 4))):
        msgs += [
            user(
                choice(rng, QUESTIONS).format(a=f.a,
                                              e=f.e,
                                              p=possessive(f.e),
                                              P=capitalised(possessive(f.e)),
                                              E=capitalised(f.e))),
            assistant(f"The {f.a} of {f.e} is {f.v}.")
        ]
    return msgs, None, "update"
