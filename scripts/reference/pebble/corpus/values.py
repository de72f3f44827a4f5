"""Values that facts are about: names, numbers, codes, dates, addresses."""

from corpus import open_vocabulary
from corpus.draws import (capitalised, choice, digits, integer)
from corpus.open_vocabulary import rare
from lexicon import (ADJ, ANIMAL, CODECH, COLOUR, DAY, FOOD, MONTH, NOUN, SYL, TECH, W)


def word(rng, n=None):
    """A made-up word, of `n` syllables if given."""
    n = n if isinstance(n, int) else None
    if open_vocabulary.is_on() and rng.random() < 0.6:
        return rare(rng)
    return "".join([choice(rng, SYL) for _ in range(n or integer(rng, 2, 3))])


def person(rng, lex):
    """First and last name."""
    if rng.random() < 0.12:
        return capitalised(word(rng)) + " " + capitalised(word(rng))
    return choice(rng, lex.first) + " " + choice(rng, lex.last)


def first(rng, lex):
    """A first name."""
    return capitalised(word(rng, 2)) if rng.random() < 0.1 else choice(rng, lex.first)


def city(rng, lex):
    """A city."""
    return capitalised(word(rng)) if rng.random() < 0.15 else choice(rng, lex.city)


def company(rng, lex):
    """A company."""
    return capitalised(word(rng, 2)) + choice(
        rng,
        [" Ltd", " Inc", "", " Group", " Labs", " Systems", " & Co", "soft", " Foods", " Motors"])


def number(rng, lex=None):
    """A whole number as text."""
    return str(integer(rng, 2, choice(rng, [12, 99, 999, 9999, 65000])))


def code(rng, lex=None):
    """An identifier: letters, digits, hyphens in one of six shapes."""
    k = rng.random()
    if k < 0.25:
        return choice(rng, CODECH) + choice(rng, CODECH) + "-" + digits(rng, integer(rng, 2, 5))
    if k < 0.45:
        return "".join([choice(rng, CODECH + "23456789") for _ in range(integer(rng, 4, 8))])
    if k < 0.6:
        return digits(rng, integer(rng, 3, 6))
    if k < 0.75:
        return choice(rng, NOUN) + "-" + choice(rng, ADJ) + "-" + digits(rng, 2)
    if k < 0.9:
        return "".join([choice(rng, "0123456789abcdef") for _ in range(integer(rng, 6, 10))])
    return choice(rng, CODECH) + digits(rng, 1) + "-" + choice(rng, CODECH) + digits(
        rng, 2) + "-" + digits(rng, 3)


def money(rng, lex=None):
    """An amount with a currency."""
    n = integer(rng, 2, 999) if rng.random() < 0.5 else integer(rng, 10, 999) * 100
    s = f"{n:,}" if rng.random() < 0.6 else str(n)
    return choice(
        rng,
        ["${}", "{} dollars", "{} euros", "EUR {}", "£{}", "${}", "{} francs", "€{}"]).format(s)


def year(rng, lex=None):
    """A year."""
    return str(integer(rng, 1950, 2039))


def date(rng, lex=None):
    """A date in one of seven spellings."""
    d, m = integer(rng, 1, 28), integer(rng, 1, 12)
    return choice(rng, [
        f"{d} {MONTH[m-1]}", f"{MONTH[m-1]} {d}", f"{d} {MONTH[m-1]} {year(rng)}",
        f"{MONTH[m-1]} {d}, {year(rng)}", f"{year(rng)}-{m:02d}-{d:02d}",
        choice(rng, DAY), f"{choice(rng, DAY)}, {MONTH[m-1]} {d}"
    ])


def isodate(rng, lex=None):
    """A date as YYYY-MM-DD."""
    return f"{integer(rng, 2020, 2034)}-{integer(rng, 1, 12):02d}-{integer(rng, 1, 28):02d}"


def clock(rng, lex=None):
    """A time of day."""
    h, m = integer(rng, 0, 23), choice(rng, [0, 15, 30, 45, integer(rng, 0, 59)])
    return choice(rng, [
        f"{h:02d}:{m:02d}", f"{h % 12 + 1} {'am' if h < 12 else 'pm'}",
        f"{h % 12 + 1}:{m:02d} {'am' if h < 12 else 'pm'}"
    ])


def version(rng, lex=None):
    """A version number."""
    return choice(rng, ["", "v"]) + ".".join(
        str(integer(rng, 0, 20)) for _ in range(integer(rng, 2, 3)))


def ip(rng, lex=None):
    """An IPv4 address, sometimes without its last part."""
    return choice(rng, ["10", "192.168", "172.16"]) + "." + ".".join(
        str(integer(rng, 0, 255)) for _ in range(2)) + choice(rng, ["", ".1", ".7"])


def path(rng, lex=None):
    """A file path."""
    ext = choice(rng, W("txt md json yaml toml py rs log csv cfg sh html conf"))
    return choice(rng, ["/", "", "/etc/", "src/", "/var/log/", "~/", "docs/"]) + "/".join(
        [choice(rng, NOUN) if rng.random() < 0.7 else word(rng)
         for _ in range(integer(rng, 1, 3))]) + "." + ext


def url(rng, lex=None):
    """A web address."""
    return "https://" + choice(rng, [word(rng), choice(rng, NOUN) + "." + word(rng, 2)]) + choice(
        rng, [".com", ".org", ".net", ".io", ".example"]) + choice(
            rng, ["", "/" + choice(rng, NOUN), "/" + choice(rng, NOUN) + "/" + digits(rng, 2)])


def email(rng, lex):
    """An email address."""
    return choice(rng, lex.first).lower() + choice(
        rng, ["", "." + choice(rng, lex.last).lower(),
              digits(rng, 2)]) + "@" + word(rng, 2) + choice(rng,
                                                             [".com", ".org", ".net", ".example"])


def phone(rng, lex=None):
    """A phone number."""
    return choice(rng, ["555-", "+44 20 ", "+1 212 ", "0", "+49 30 "]) + digits(rng, 4) + choice(
        rng, ["", " "]) + digits(rng, 3)


def amount_of(*units):
    """A generator of amounts in one of the units."""
    def f(rng, lex=None):
        return f"{integer(rng, 2, choice(rng, [9, 60, 500, 5000]))} {choice(rng, units)}"

    return f


def one_of(xs):
    """A generator of one of `xs`."""
    return lambda rng, lex=None: choice(rng, xs)


def thing(rng, lex=None):
    """An adjective and a noun."""
    return choice(rng, ADJ) + " " + choice(rng, NOUN)


def percent(rng, lex=None):
    """A percentage."""
    return f"{integer(rng, 1, 99)}" + choice(rng, ["%", " percent"])


def phrase(rng, lex=None):
    """A few words."""
    return choice(rng, [
        choice(rng, NOUN) + " " + choice(rng, NOUN) + " " + choice(rng, NOUN),
        choice(rng, ADJ) + " " + choice(rng, COLOUR) + " " + choice(rng, NOUN),
        word(rng) + " " + word(rng),
        capitalised(choice(rng, ADJ)) + " " + capitalised(choice(rng, NOUN))
    ])


def any_value(rng, lex):
    """A value of any kind."""
    return choice(rng, ANY_VALUE)(rng, lex)


ANY_VALUE = [
    number, code, money, date, clock, version, thing, phrase, person, city,
    one_of(COLOUR), word, url, path, email,
    amount_of("metres", "hours", "boxes", "kilograms"),
    one_of(TECH),
    one_of(ANIMAL),
    one_of(FOOD)
]
