"""What users say about themselves, and facts without an owner."""

from corpus.draws import (capitalised, choice, integer)
from corpus.facts import Fact
from corpus.values import (any_value, city, clock, code, company, date, email, first, ip, money,
                           number, one_of, path, person, phone, phrase, version, word)
from lexicon import (ADJ, ANIMAL, COLOUR, FOOD, HOBBY, JOB, LANGUAGE, NOUN, TECH)

OWN_FACTS = [("name", ["My name is {v}.", "I am {v}.", "I'm {v}.", "You can call me {v}."], [
    "What is my name?", "Do you remember my name?", "Who am I?", "what's my name",
    "What am I called?"
], "Your name is {v}.", "The user's name is {v}.", first),
             ("city", ["I live in {v}.", "I am from {v}.", "My home is in {v}."], [
                 "Where do I live?", "In which city do I live?", "Where am I from?"
             ], "You live in {v}.", "The user lives in {v}.", city),
             ("job", ["I work as a {v}.", "My job is {v}.", "I am a {v} by profession."], [
                 "What is my job?", "What do I do for a living?", "What do I work as?"
             ], "You work as a {v}.", "The user works as a {v}.", one_of(JOB)),
             ("age", ["I am {v} years old.", "I just turned {v}.",
                      "My age is {v}."], ["How old am I?",
                                          "What is my age?"], "You are {v} years old.",
              "The user is {v} years old.", lambda rng, lex: str(integer(rng, 8, 95))),
             ("allergy", ["I am allergic to {v}.", "I cannot eat {v}."], [
                 "What am I allergic to?", "Which food can I not eat?"
             ], "You are allergic to {v}.", "The user is allergic to {v}.", one_of(FOOD)),
             ("pet", ["I have a pet {v}.", "My pet is a {v}."], [
                 "What pet do I have?", "Which pet do I have?"
             ], "You have a {v}.", "The user has a {v}.", one_of(ANIMAL)),
             ("dog", ["My dog is called {v}.", "I have a dog named {v}."], [
                 "What is my dog called?", "What is the name of my dog?"
             ], "Your dog is called {v}.", "The user's dog is called {v}.",
              lambda rng, lex: capitalised(word(rng, 2))),
             ("hobby", ["My hobby is {v}.", "In my free time I enjoy {v}.", "I love {v}."], [
                 "What is my hobby?", "What do I enjoy in my free time?", "What do I love doing?"
             ], "Your hobby is {v}.", "The user's hobby is {v}.", one_of(HOBBY)),
             ("company", ["I work at {v}.", "I am employed at {v}."], [
                 "Where do I work?", "Which company do I work for?"
             ], "You work at {v}.", "The user works at {v}.", company)]

for _a, _g in [
    ("favourite colour", one_of(COLOUR)), ("favorite color", one_of(COLOUR)),
    ("favourite food", one_of(FOOD)), ("birthday", date), ("wife", first), ("brother", first),
    ("sister", first), ("boss", person), ("phone number", phone), ("email address", email),
    ("flight number", code), ("hotel", lambda rng, lex: "the " + choice(rng, lex.code) + " Hotel"),
    ("locker code", code), ("lucky number", number), ("appointment", date), ("budget", money),
    ("favourite city", city), ("preferred language", one_of(LANGUAGE)),
    ("car", lambda rng, lex: "a " + choice(rng, COLOUR) + " " + capitalised(word(rng, 2))),
    ("deadline", date), ("server port", number), ("wifi password", code),
    ("favourite animal", one_of(ANIMAL)), ("seat number", number), ("order number", code),
    ("destination", city), ("secret word", word), ("API key", code),
    ("team name", lambda rng, lex: choice(rng, lex.code)), ("username", word)
]:
    OWN_FACTS.append((_a, [f"My {_a} is {{v}}.", f"My {_a} is {{v}}.", f"{{v}} is my {_a}."], [
        f"What is my {_a}?", f"What's my {_a}?", f"Do you remember my {_a}?", f"Tell me my {_a}.",
        f"What did I say my {_a} was?"
    ], f"Your {_a} is {{v}}.", f"The user's {_a} is {{v}}.", _g))


def me_fact(rng, lex):
    """Something that users say about themselves."""
    k, sts, qs, a, canon, g = choice(rng, OWN_FACTS)
    v = g(rng, lex)
    t = choice(rng, sts)
    if t.startswith("{v}") and v[0].islower():
        t = sts[0]
    st = capitalised(t.format(v=v))
    return Fact("me", st, canon.format(v=v), [(choice(rng, qs), a.format(v=v), v)], {("me", k)})


def our_fact(rng, lex):
    """A fact without an owner: "the password is ..."."""
    a, g = choice(rng, [("password", code), ("wifi password", code), ("meeting time", clock),
                        ("secret word", word), ("magic number", number), ("deadline", date),
                        ("budget", money), ("door code", code),
                        ("project name", lambda rng, lex: choice(rng, lex.code)),
                        ("server address", ip), ("port number", number), ("launch date", date),
                        ("room number", number), ("access token", code), ("code word", phrase),
                        ("contact person", person), ("ticket price", money), ("next stop", city),
                        ("main colour", one_of(COLOUR)), ("file name", path),
                        ("release version", version), ("team lead", person),
                        ("database", one_of(TECH)), ("test account", email),
                        ("special dish", one_of(FOOD)),
                        (choice(rng, ADJ) + " " + choice(rng, NOUN), any_value),
                        (choice(rng, NOUN) + " " + choice(rng, NOUN), any_value)])
    v = g(rng, lex)
    det = choice(rng, ["The", "The", "Our", "The"])
    st = choice(rng, [
        f"{det} {a} is {v}.", f"{det} {a} is {v}.", f"{det} {a} will be {v}.",
        f"{v} is {det.lower()} {a}." if not v[0].islower() else f"{det} {a} is {v}.",
        f"{det} {a} was changed to {v}.", f"{capitalised(a)}: {v}.", f"{det} {a} should be {v}.",
        f"Please use {v} as the {a}."
    ])
    q = choice(rng, [
        f"What is {det.lower()} {a}?", f"What is {det.lower()} {a}?", f"What's the {a}?",
        f"Tell me the {a}.", f"Do you remember the {a}?", f"what is the {a}",
        f"Which {a} did we agree on?", f"{capitalised(a)}?", f"I forgot the {a}, what was it?",
        f"What did I say about the {a}?"
    ])
    return Fact("our", st, st, [(q, f"The {a} is {v}.", v)], {("our", a)})
