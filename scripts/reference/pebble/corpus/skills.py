"""All skills with their weights, and the probes of the evaluation."""

from corpus.draws import choice
from corpus.exercises import (exercises, lookup)
from corpus.fact_mix import (make_facts, unknown_qa)
from corpus.json_answers import json_answer
from corpus.layout import (layout, spread)
from corpus.records import (table_qa, update_qa)
from corpus.retrieval import (qa_chat, qa_context)
from corpus.routing import route
from corpus.small_talk import small_talk
from corpus.summaries import (from_summary, shorten, summary)
from corpus.tool_use import tool_use
from corpus.turns import (assistant, user)
from lexicon import ACK

SKILLS = [(qa_context, 27), (qa_chat, 14), (summary, 16), (from_summary, 7), (tool_use, 15),
          (table_qa, 4), (update_qa, 4), (lookup, 4), (small_talk, 3), (shorten, 4), (route, 3),
          (exercises, 4), (json_answer, 6)]

CUMULATIVE_WEIGHTS = [sum(w for _, w in SKILLS[:i + 1]) for i in range(len(SKILLS))]


def sample(rng, lex, max_chars, skill=None):
    """A conversation, its tools and the name of its skill, which is drawn unless given."""
    if skill is None:
        u = rng.random() * CUMULATIVE_WEIGHTS[-1]
        skill = next(s for (s, _), c in zip(SKILLS, CUMULATIVE_WEIGHTS) if u < c)
    return skill(rng, lex, max_chars)


def probe(rng, lex, max_chars, depth, unknown=False):
    """Evaluation: a question about one fact at a relative depth among distractor facts."""
    n = max(4, int(max_chars / choice(rng, [150, 300, 600])))
    while True:
        facts, seen = make_facts(rng, lex, n)
        if len(facts) > 3:
            break
    f = facts.pop()
    items = spread(rng, facts, max_chars - len(f.st))
    items.insert(int(depth * len(items)), (f.st, f))
    q, a, v = f.qa[0]
    if unknown:
        (q, a), v = unknown_qa(rng, lex, facts + [f], seen), "I don't know"
    if rng.random() < 0.35:
        msgs, per = [], max(2, len(items) // 24)
        for i in range(0, len(items), per):
            msgs += [
                user(" ".join(s for s, _ in items[i:i + per])), {
                    **assistant(choice(rng, ACK)), "nomask": True
                }
            ]
        msgs += [user(q), assistant(a)]
    elif rng.random() < 0.5:
        msgs = [{"role": "system", "content": layout(rng, lex, items)}, user(q), assistant(a)]
    else:
        msgs = [user(layout(rng, lex, items) + "\n\n" + q), assistant(a)]
    msgs[-1]["value"] = v
    return msgs, None, "probe"
