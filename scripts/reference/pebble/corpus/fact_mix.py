"""Sets of facts that do not contradict each other, and questions that they leave open."""

from corpus import open_vocabulary
from corpus.attributes import (ATTRIBUTES, attr_of, entity, possessive)
from corpus.draws import (capitalised, choice, integer)
from corpus.events import event_fact
from corpus.facts import (QUESTIONS, UNKNOWN, attr_fact)
from corpus.free_facts import free_fact
from corpus.own_facts import (OWN_FACTS, me_fact, our_fact)
from corpus.plans import plan_fact


def make_facts(rng, lex, n, mix=None):
    """Up to n facts whose questions have one answer each.

    They share few entities and attributes, so they are hard distractors for each other.
    """
    mix = mix or choice(rng, [(.5, .7, .78, .86), (.9, 1, 1, 1), (.3, .85, .9, .95),
                              (.25, .45, .65, .75), (.0, .0, .9, 1)])
    facts, seen, tries = [], set(), 0
    kinds = [choice(rng, list(ATTRIBUTES)) for _ in range(integer(rng, 1, 3))]
    ents = [(k, entity(rng, lex, k)) for k in kinds
            for _ in range(integer(rng, 1, 1 + max(1, n // 3)))]
    attrs = {k: [attr_of(rng, lex, k) for _ in range(integer(rng, 2, 8))] for k in kinds}
    while len(facts) < n and tries < 4 * n + 20:
        tries += 1
        u = rng.random()
        if open_vocabulary.is_on() and rng.random() < 0.35:
            f = free_fact(rng, lex)
        elif u < mix[0]:
            k, e = choice(rng, ents) if rng.random() < 0.7 else (lambda k:
                                                                 (k, entity(rng, lex, k)))(choice(
                                                                     rng, kinds))
            a, g = choice(rng, attrs[k]) if rng.random() < 0.6 else attr_of(rng, lex, k)
            if (a, e) in seen:
                continue
            f = attr_fact(rng, a, e, g(rng, lex))
        elif u < mix[1]:
            f = event_fact(rng, lex)
        elif u < mix[2]:
            f = me_fact(rng, lex)
        elif u < mix[3]:
            f = our_fact(rng, lex)
        else:
            f = plan_fact(rng, lex)
        if f.keys & seen:
            continue
        seen |= f.keys
        facts.append(f)
    return facts, seen


def unknown_qa(rng, lex, facts, seen):
    """A question whose answer is absent, close to what is there."""
    for _ in range(20):
        u = rng.random()
        attrs = [f for f in facts if f.kind == "attr"]
        if attrs and u < 0.6:
            f, g = choice(rng, attrs), choice(rng, attrs)
            if rng.random() < 0.5:
                a, e = f.a, (g.e if rng.random() < 0.5 else entity(rng, lex,
                                                                   choice(rng, list(ATTRIBUTES))))
            else:
                a, e = attr_of(rng, lex, choice(rng, list(ATTRIBUTES)))[0], f.e
        elif u < 0.75:
            k = choice(rng, list(ATTRIBUTES))
            a, e = attr_of(rng, lex, k)[0], entity(rng, lex, k)
        elif u < 0.85:
            k, _, qs, ans, _, _ = choice(rng, OWN_FACTS)
            if ("me", k) in seen:
                continue
            return choice(rng, qs), UNKNOWN
        elif u < 0.9:
            f = our_fact(rng, lex)
            if f.keys & seen:
                continue
            return f.qa[0][0], UNKNOWN
        else:
            f = event_fact(rng, lex)
            if f.keys & seen:
                continue
            return f.qa[0][0], UNKNOWN
        if (a, e) in seen:
            continue
        d = dict(a=a, e=e, p=possessive(e), P=capitalised(possessive(e)), E=capitalised(e))
        return choice(rng, QUESTIONS).format(**d), UNKNOWN
    return "What is the meaning of it all?", UNKNOWN
