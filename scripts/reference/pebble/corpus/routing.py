"""Queries and the domains they belong to."""

from corpus.draws import (choice, integer)
from corpus.turns import (assistant, system_turn, user)
from corpus.values import word
from lexicon import (DAY, DOMAIN, W)


def invented_domain(rng):
    """A name that says nothing about the domain."""
    if rng.random() < .5:
        return word(rng)
    return choice(rng, ["team-", "queue-", "agent-", "desk "]) + word(rng, 2)


def route(rng, lex, max_chars):
    """Skill 6: name the domain of a query; domains may be described, known or made up."""
    n = integer(rng, 2, 8)
    doms = {d: W(ws) for d, ws in rng.sample(list(DOMAIN.items()), min(n, 28))}
    if rng.random() < 0.5:  # invented names: only the description tells
        doms = {invented_domain(rng): ws for ws in doms.values()}
        show = True
    else:
        show = rng.random() < 0.6
    desc = {d: rng.sample(ws, integer(rng, 4, 8)) for d, ws in doms.items()}
    lst = "\n".join([f"- {d}: " + ", ".join(desc[d]) if show else f"- {d}"
                     for d in doms]) if show or rng.random() < .5 else ", ".join(doms)
    msgs = None
    ask = choice(rng, [
        "Which domain does the query belong to?", "Route the query to one of the domains.",
        "Classify the request. Answer with the domain name only.",
        "Choose the right category for the message."
    ])
    first_turn = True
    for _ in range(integer(rng, 1, 4)):
        d = choice(rng, list(doms))
        ws = desc[d] if show and (rng.random() < .7 or " " in d or "-" in d
                                  or d not in DOMAIN) else doms[d]
        k = rng.sample(ws, 2)
        q = choice(rng, [
            "I have a problem with my {0}.", "Can you help me with the {0} and the {1}?",
            "My {0} is broken, what now?", "What should I know about {0} and {1}?",
            "Where can I find a good {0}?", "The {0} does not look right.",
            "I would like to know more about the {0}.", "How long does the {0} take?",
            "Please check the {0} for me.", "I lost my {0} yesterday near the {1}.",
            "There is something wrong with the {0}.", "Explain the {0} to me.",
            "I need a new {0} before {2}."
        ]).format(k[0], k[1], choice(rng, DAY))
        if first_turn:
            if rng.random() < .5:
                msgs = [{
                    "role": "system",
                    "content": f"{ask}\nDomains:\n{lst}"
                }, user(q),
                        assistant(d)]
            else:
                msgs = system_turn(rng) + [
                    user(
                        choice(rng, [
                            "{a}\n\nDomains:\n{l}\n\nQuery: {q}",
                            "Query: {q}\n\nDomains:\n{l}\n\n{a}"
                        ]).format(a=ask, l=lst, q=q)),
                    assistant(d)
                ]
            first_turn = False
        else:
            msgs += [user(q if msgs[0]["role"] == "system" else "Query: " + q), assistant(d)]
    return msgs, None, "route"
