"""Synthetic conversations: `skills.sample(rng, lex, max_chars)` returns (messages, tools, skill).

A conversation is a list of OpenAI-style messages. Assistant turns are the training targets, except
those marked `nomask`. All randomness comes from the `random.Random` passed in, so a seed fixes the
data; `lex` is a `Lexicon`, and texts have about `max_chars` characters.
"""
