"""Facts as JSON objects."""

import json

from corpus.attributes import (ATTRIBUTES, attr_of, entity)
from corpus.draws import (choice, integer)
from corpus.facts import attr_fact
from corpus.layout import (layout, spread)
from corpus.turns import (acknowledgement, assistant, system_turn, user)
from corpus.values import any_value


def json_answer(rng, lex, max_chars):
    """Skill 8: fill a small JSON object from the text; null when absent."""
    kind = choice(rng, list(ATTRIBUTES))
    n = integer(rng, 1, 5)
    d = {}
    while len(d) < n:
        a, g = attr_of(rng, lex, kind)
        d[a] = g(rng, lex)
    e, e2 = entity(rng, lex, kind), entity(rng, lex, kind)
    facts = [attr_fact(rng, a, e, v) for a, v in d.items()]
    if rng.random() < .6 and e2 != e:
        facts += [
            attr_fact(rng, a, e2,
                      dict(ATTRIBUTES[kind]).get(a, any_value)(rng, lex)) for a in list(d)[:3]
        ]
    extra = rng.random() < .3
    rng.shuffle(facts)
    text = layout(rng, lex, spread(rng, facts, min(max_chars, integer(rng, 100, 4000))))
    keys = list(d)
    if extra:
        a = attr_of(rng, lex, kind)[0]
        if a not in d:
            keys.append(a)
    rng.shuffle(keys)
    ks = [k.replace(" ", "_").replace("-", "_").lower() for k in keys]
    obj, props = {}, {}
    for k, s in zip(keys, ks):
        v = d.get(k)
        if v is not None and v.isdigit() and not v.startswith("0"):
            v = int(v)
        props[s] = {"type": "integer" if isinstance(v, int) else "string"}
        obj[s] = v
    if rng.random() < .5:
        ask = choice(rng, [
            "Return a JSON object with the keys {k} for {e}.",
            "Give me the data of {e} as JSON with the keys {k}.", "Extract {k} of {e} as JSON.",
            "Answer with JSON only. Keys: {k}. Subject: {e}."
        ]).format(k=", ".join(ks), e=e)
    else:
        ask = choice(rng, [
            "Answer with a JSON object for {e} that matches this schema: {s}",
            "Describe {e} as JSON. Schema: {s}", "Fill this JSON schema for {e}.\n{s}"
        ]).format(e=e, s=json.dumps({
            "type": "object",
            "properties": props,
            "required": ks
        }))
    msgs = system_turn(rng) + (
        [user(choice(rng, ["{t}\n\n{a}", "{a}\n\n{t}"]).format(t=text, a=ask))] if rng.random() < .7
        else [user(text), acknowledgement(rng), user(ask)])
    return msgs + [assistant(json.dumps(obj, ensure_ascii=False))], None, "json"
