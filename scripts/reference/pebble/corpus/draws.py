"""Draws from a `random.Random`: everything random in the corpus comes from them, in fixed order."""


def choice(rng, xs):
    """One of `xs`."""
    return xs[int(rng.random() * len(xs))]


def integer(rng, a, b):
    """A whole number from `a` to `b`, both included."""
    return a + int(rng.random() * (b - a + 1))


def capitalised(s):
    """`s` with a capital first letter."""
    return s[:1].upper() + s[1:]


def digits(rng, n):
    """A string of `n` digits."""
    return "".join([str(integer(rng, 0, 9)) for _ in range(n)])
