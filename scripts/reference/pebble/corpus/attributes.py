"""Entities of five kinds and the attributes they can have."""

from corpus.draws import (capitalised, choice, digits, integer)
from corpus.values import (amount_of, any_value, city, clock, code, company, date, email, first, ip,
                           money, number, one_of, path, percent, person, phone, thing, url, version,
                           word, year)
from lexicon import (ADJ, ANIMAL, CODECH, COLOUR, COUNTRY, DAY, FOOD, HOBBY, JOB, LANGUAGE,
                     MATERIAL, NOUN, TECH)

ATTRIBUTES = {
    "person": [("phone number", phone), ("email address", email), ("birthday", date),
               ("home town", city), ("favourite colour", one_of(COLOUR)),
               ("favorite color", one_of(COLOUR)), ("favourite food", one_of(FOOD)),
               ("job", one_of(JOB)), ("employer", company), ("hobby", one_of(HOBBY)),
               ("locker code", code), ("badge number", number), ("room number", number),
               ("manager", person), ("salary", money),
               ("seat", lambda rng, lex: str(integer(rng, 1, 40)) + choice(rng, "ABCDEF")),
               ("flight number", code), ("pet", one_of(ANIMAL)),
               ("native language", one_of(LANGUAGE)),
               ("shoe size", lambda rng, lex: str(integer(rng, 34, 47))),
               ("age", lambda rng, lex: str(integer(rng, 5, 95))), ("desk number", number),
               ("password", code), ("best friend", person), ("favourite city", city),
               ("mentor", person), ("licence plate", code), ("favourite number", number),
               ("start date", date), ("doctor", person),
               ("nickname", lambda rng, lex: capitalised(word(rng, 2)))],
    "project": [("port", number), ("version", version), ("deadline", date), ("budget", money),
                ("owner", person), ("lead engineer", person), ("release date", date),
                ("database", one_of(TECH)), ("programming language", one_of(TECH)),
                ("repository", url), ("access code", code), ("API key", code), ("endpoint", url),
                ("log file", path), ("config file", path),
                ("region", lambda rng, lex: choice(rng, ["eu", "us", "ap", "sa"]) + "-" + choice(
                    rng, ["west", "east", "north", "central"]) + "-" + str(integer(rng, 1, 4))),
                ("timeout", amount_of("seconds", "ms", "minutes")), ("retry limit", number),
                ("memory limit", amount_of("GB", "MB")), ("batch size", number),
                ("number of replicas", number), ("on-call engineer", person),
                ("status",
                 one_of([
                     "active", "paused", "delayed", "finished", "blocked", "on track", "cancelled",
                     "pending", "archived", "in review"
                 ])), ("priority", one_of(["low", "medium", "high", "urgent"])),
                ("ticket number", code), ("staging URL", url), ("admin password", code),
                ("main branch", lambda rng, lex: choice(rng, NOUN) + "/" + word(rng)),
                ("sponsor", company), ("customer", company), ("mascot", one_of(ANIMAL)),
                ("IP address", ip), ("framework", one_of(TECH)), ("error rate", percent),
                ("licence", one_of(["MIT", "Apache 2.0", "BSD", "GPL", "proprietary"])),
                ("start date", date), ("project manager", person), ("test coverage", percent),
                ("cache size", amount_of("GB", "MB")),
                ("queue name", lambda rng, lex: choice(rng, NOUN) + "-" + choice(rng, NOUN)),
                ("environment variable", lambda rng, lex:
                 (choice(rng, NOUN) + "_" + choice(rng, NOUN)).upper()),
                ("log level", one_of(["debug", "info", "warning", "error"]))],
    "place": [("door code", code), ("wifi password", code), ("opening time", clock),
              ("closing time", clock), ("capacity", amount_of("people", "seats", "guests")),
              ("manager", person), ("phone number", phone),
              ("address", lambda rng, lex: str(integer(rng, 1, 250)) + " " + capitalised(
                  choice(rng, NOUN)) + " " + choice(rng, ["Street", "Road", "Lane", "Avenue"])),
              ("number of floors", number), ("owner", person),
              ("nearest station", lambda rng, lex: capitalised(choice(rng, NOUN)) + " " + choice(
                  rng, ["Station", "Square", "Park"])), ("entrance fee", money),
              ("architect", person), ("year of construction", year),
              ("height", amount_of("metres", "feet")), ("website", url), ("caretaker", person),
              ("rent", money), ("colour of the door", one_of(COLOUR)),
              ("closing day", one_of(DAY))],
    "product": [("price", money), ("colour", one_of(COLOUR)),
                ("weight", amount_of("kg", "grams", "pounds")), ("serial number", code),
                ("size", amount_of("cm", "inches", "litres")),
                ("stock", amount_of("pieces", "units", "boxes")), ("material", one_of(MATERIAL)),
                ("supplier", company), ("model number", code),
                ("shelf", lambda rng, lex: choice(rng, CODECH) + str(integer(rng, 1, 60))),
                ("warranty", amount_of("months", "years")),
                ("barcode", lambda rng, lex: digits(rng, 8)), ("designer", person),
                ("discount", percent), ("country of origin", one_of(COUNTRY)),
                ("delivery date", date), ("battery life", amount_of("hours", "days")),
                ("order number", code),
                ("rating", lambda rng, lex: f"{integer(rng, 1, 4)}.{integer(rng, 0, 9)}"),
                ("owner", person)],
    "event": [("date", date), ("start time", clock),
              ("room", lambda rng, lex: choice(
                  rng, [choice(rng, CODECH) + digits(rng, 3), "room " + digits(rng, 3)])),
              ("host", person), ("number of guests", number),
              ("venue", lambda rng, lex: "the " + thing(rng)),
              ("dress code",
               one_of(["casual", "formal", "business casual", "black tie", "sportswear"])),
              ("topic", lambda rng, lex: choice(rng, NOUN) +
               " " + choice(rng, ["design", "history", "safety", "repair", "trade"])),
              ("budget", money), ("entry fee", money), ("speaker", person),
              ("main dish", one_of(FOOD)), ("city", city), ("sponsor", company),
              ("registration code", code), ("duration", amount_of("minutes", "hours"))],
}


def entity(rng, lex, kind):
    """A name for something of that kind."""
    if kind == "person":
        return person(rng, lex) if rng.random() < 0.6 else first(rng, lex)
    if kind == "project":
        n = choice(rng, lex.code) if rng.random() < 0.7 else capitalised(word(rng))
        return choice(rng, [
            "project {}", "Project {}", "{}", "the {} service", "the {} team", "service {}",
            "the {} server", "the {} project"
        ]).format(n)
    if kind == "place":
        return choice(rng, [
            "the {c} office", "the {a} {b}", "the hotel in {c}", "the {c} warehouse", "the {n} {b}",
            "{n} House", "the museum in {c}", "the {n} Hotel", "the cabin near {c}"
        ]).format(c=city(rng, lex),
                  a=choice(rng, ADJ),
                  b=choice(rng, [
                      "library", "warehouse", "museum", "theatre", "station", "school",
                      "restaurant", "tower", "apartment", "garage"
                  ]),
                  n=choice(rng, lex.code))
    if kind == "product":
        return choice(
            rng, ["the {a} {n}", "the {c} {n}", "the {w} {n}", "item {i}", "the {m} {n}"]).format(
                a=choice(rng, ADJ),
                n=choice(rng, NOUN),
                c=choice(rng, COLOUR),
                w=capitalised(word(rng, 2)),
                i=code(rng),
                m=choice(rng, MATERIAL))
    return choice(rng, [
        "the {w} party", "the {w} workshop", "the {w} conference", "the {w} meeting",
        "the {w} dinner", "the {w} concert", "the trip to {c}"
    ]).format(w=choice(
        rng,
        [choice(rng, DAY),
         choice(rng, lex.code),
         city(rng, lex), choice(rng, NOUN)]),
              c=city(rng, lex))


def attr_of(rng, lex, kind):
    """An attribute of that kind of entity, with the generator of its values."""
    if rng.random() < 0.12:  # open-vocabulary attribute: any noun pair, any value
        return choice(rng, [
            choice(rng, NOUN),
            choice(rng, ADJ) + " " + choice(rng, NOUN),
            choice(rng, NOUN) + " number",
            choice(rng, NOUN) + " name", "secret " + choice(rng, NOUN),
            word(rng) + " code"
        ]), any_value
    return choice(rng, ATTRIBUTES[kind])


def possessive(e):
    """`e` with 's."""
    return e + ("'" if e.endswith("s") else "'s")
