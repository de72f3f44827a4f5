"""Turns of a conversation."""

from corpus.draws import choice
from lexicon import ACK

SYSTEM_PROMPTS = [
    "You are a helpful assistant.", "You are a helpful assistant.",
    "Answer from the context. If the answer is not there, say that you don't know.",
    "You answer questions about the given text.",
    "You are a careful assistant. Use only the facts you are given.", "Be brief and precise.",
    "You are an assistant for the team.", ""
]

CHATTER = [
    "That sounds nice.", "I see what you mean.", "Interesting, tell me more.",
    "Thanks for sharing.", "Okay, let me know if you have a question."
]

HELLO = ["Hello! How can I help you?", "Hello! How can I help you?", "Hi! What can I do for you?"]


def system_turn(rng):
    """A system message, or none."""
    s = choice(rng, SYSTEM_PROMPTS)
    return [{"role": "system", "content": s}] if s and rng.random() < 0.6 else []


def acknowledgement(rng, also=()):
    """An acknowledgement; only one form is a training target, so that targets are predictable."""
    if rng.random() < 0.25:
        return {"role": "assistant", "content": "Got it."}
    return {"role": "assistant", "content": choice(rng, ACK + list(also)), "nomask": True}


def user(t):
    """A turn of the user."""
    return {"role": "user", "content": t}


def assistant(t):
    """A turn of the assistant, which is a training target."""
    return {"role": "assistant", "content": t}
