"""Statements of the form "the attribute of an entity is a value"."""

from corpus.attributes import possessive
from corpus.draws import (capitalised, choice)

STATEMENTS = [
    "The {a} of {e} is {v}.", "The {a} for {e} is {v}.", "{P} {a} is {v}.",
    "For {e}, the {a} is {v}.", "The {a} of {e} was set to {v}.", "The {a} of {e} is {v}.",
    "{P} {a} is {v}.", "{E} has the {a} {v}.", "{v} is the {a} of {e}.",
    "We set the {a} of {e} to {v}.", "The {a} for {e} will be {v}.", "As for {e}, the {a} is {v}.",
    "The {a} of {e} should be {v}.", "{E} uses {v} as the {a}.", "{E}: {a} is {v}.",
    "{A} of {e}: {v}.", "{P} {a}: {v}.", "When it comes to {e}, the {a} is {v}.",
    "They chose {v} as the {a} of {e}."
]

LEADS = [
    "", "", "", "", "By the way, ", "Please note: ", "Remember: ", "Just so you know, ",
    "For the record, ", "Note that ", "Also, ", "Important: ", "I should mention that ",
    "It turns out that ", "As a reminder, ", "Keep in mind that ", "FYI, "
]

QUESTIONS = [
    "What is the {a} of {e}?", "What is {p} {a}?", "What's the {a} for {e}?",
    "Can you tell me the {a} of {e}?", "Do you remember {p} {a}?", "Which {a} does {e} have?",
    "Please give me the {a} of {e}.", "What was the {a} of {e}?", "what is the {a} of {e}",
    "Tell me {p} {a}.", "I forgot the {a} of {e}. What is it?", "I need the {a} for {e}.",
    "What is the {a} for {e}?", "What is the {a} of {e}?", "What {a} did I give for {e}?",
    "Could you look up the {a} of {e}?", "Remind me: what is {p} {a}?", "{P} {a}?",
    "What's {p} {a}?", "Do you know the {a} of {e}?", "What did I say the {a} of {e} was?"
]

UNKNOWN = "I don't know: the context does not say that."


def lowered(s):
    """A statement as it is written after a lead-in."""
    return s[0].lower() + s[1:] if s.startswith(
        ("The ", "We ", "For ", "They ", "As ", "When ")) else s


class Fact:
    """A statement, its form in summaries, and the questions it answers.

    `qa` lists (question, answer, value); two facts whose `keys` overlap would make each other's
    questions ambiguous, so they never stand in one context.
    """
    __slots__ = ("kind", "st", "canon", "qa", "keys", "a", "e", "v", "tag")

    def __init__(self, kind, st, canon, qa, keys, tag="Fact", a=None, e=None, v=None):
        self.kind, self.st, self.canon, self.qa, self.keys = kind, st, canon, qa, keys
        self.tag, self.a, self.e, self.v = tag, a, e, v


def attr_fact(rng, a, e, v):
    """The fact that attribute `a` of entity `e` is `v`."""
    d = dict(a=a,
             A=capitalised(a),
             e=e,
             E=capitalised(e),
             v=v,
             p=possessive(e),
             P=capitalised(possessive(e)))
    t = choice(rng, STATEMENTS)
    if t.startswith("{v}") and v[0].islower():
        t = STATEMENTS[0]
    st = capitalised(t.format(**d))
    qs = [(choice(rng, QUESTIONS).format(**d), f"The {a} of {e} is {v}.", v)]
    if rng.random() < 0.15:
        qs.append((choice(rng, [
            "Which one has the {a} {v}?", "Who or what has the {a} {v}?", "{v} is the {a} of what?"
        ]).format(**d), f"{capitalised(e)} has the {a} {v}.", e))
    return Fact("attr", st, st, qs, {(a, e), (a, "v", v)}, a=a, e=e, v=v)
