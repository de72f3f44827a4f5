"""Tools, requests that need them, and the calls that serve the requests."""

from corpus import open_vocabulary
from corpus.draws import (capitalised, choice, integer)
from corpus.filler import filler
from corpus.open_vocabulary import (ALL_WORDS, rare)
from corpus.values import (any_value, city, clock, code, company, email, isodate, money, one_of,
                           path, percent, person, thing, url, version, word)
from lexicon import (ADJ, COLOUR, COUNTRY, LANGUAGE, NOUN, W)


def parameter(t, d, g, *ph, **kw):
    """Type, description, generator of values, phrases that mention a value, and more."""
    return dict(t=t, d=d, g=g, ph=ph, **kw)


def one_among(*xs):
    """A generator of one of `xs`."""
    return lambda rng, lex=None: choice(rng, xs)


def whole_number(a, b):
    """A generator of numbers from `a` to `b`."""
    return lambda rng, lex=None: integer(rng, a, b)


PARAMETERS = {
    "city": parameter("string", "Name of the city", city, "in {}", "for {}", "for the city of {}"),
    "date": parameter("string", "Date as YYYY-MM-DD", isodate, "on {}", "for {}",
                      "for the date {}"),
    "time": parameter("string", "Time of day", clock, "at {}"),
    "email": parameter("string", "Email address", email, "to {}", "for {}"),
    "limit": parameter("integer", "Maximum number of results", whole_number(1, 50),
                       "with at most {} results", "limited to {} results"),
    "priority": parameter("string",
                          "Priority",
                          one_among("low", "medium", "high"),
                          "with {} priority",
                          "with priority {}",
                          enum=["low", "medium", "high"]),
    "user_id": parameter("string", "Identifier of the user", code, "for user {}",
                         "for the user {}"),
    "amount": parameter("number", "Amount of money", whole_number(1, 5000), "for an amount of {}",
                        "for {} dollars"),
    "unit": parameter("string",
                      "Unit",
                      one_among("celsius", "fahrenheit"),
                      "in {}",
                      "with the unit {}",
                      enum=["celsius", "fahrenheit"]),
    "title": parameter("string", "Title", lambda rng, lex: capitalised(thing(rng)),
                       'with the title "{}"', "called {}", "titled {}"),
    "message": parameter("string", "Text of the message", filler, 'with the message "{}"',
                         'saying "{}"'),
    "path": parameter("string", "Path of the file", path, "at {}", "from {}", "in the file {}"),
    "language": parameter("string", "Language", one_of(LANGUAGE), "in {}", "into {}"),
    "quantity": parameter("integer", "How many", whole_number(1, 200), "with a quantity of {}",
                          "{} times"),
    "color": parameter("string", "Colour", one_of(COLOUR), "in {}", "with the colour {}"),
    "name": parameter("string", "Name", person, "named {}", "with the name {}", "for {}"),
    "query": parameter("string", "Search query",
                       lambda rng, lex: thing(rng) + choice(rng, ["", " " + choice(rng, NOUN)]),
                       'for "{}"', "for {}", "about {}"),
    "url": parameter("string", "Web address", url, "at {}", "from {}"),
    "minutes": parameter("integer", "Number of minutes", whole_number(1, 120), "for {} minutes",
                         "of {} minutes"),
    "enabled": parameter("boolean", "Whether it is switched on", one_among(True, False), ""),
    "percent": parameter("integer", "Percentage", whole_number(0, 100), "to {} percent",
                         "at {} percent"),
    "room": parameter(
        "string", "Room", lambda rng, lex: choice(
            rng, ["kitchen", "bedroom", "office", "garage", "hall", "bathroom", "attic", "cellar"]),
        "in the {}"),
    "tag": parameter("string", "Tag", one_of(NOUN), "with the tag {}", "tagged {}"),
    "order_id": parameter("string", "Order number", code, "for order {}",
                          "with the order number {}"),
    "country": parameter("string", "Country", one_of(COUNTRY), "in {}", "for {}"),
    "days": parameter("integer", "Number of days", whole_number(1, 30), "for {} days",
                      "for the next {} days"),
    "company": parameter("string", "Company", company, "from {}", "at {}"),
    "version": parameter("string", "Version", version, "with version {}", "for version {}"),
    "branch": parameter("string", "Branch", word, "on branch {}", "on the branch {}"),
    "port": parameter("integer", "Port number", whole_number(1, 65535), "on port {}"),
}

TOOL_VERBS = {
    "get": ["get", "show me", "look up", "tell me", "fetch"],
    "create": ["create", "make", "add", "set up"],
    "delete": ["delete", "remove", "get rid of"],
    "update": ["update", "change", "edit"],
    "send": ["send", "submit"],
    "search": ["search", "find", "look for"],
    "book": ["book", "reserve"],
    "cancel": ["cancel", "call off"],
    "start": ["start", "launch", "run"],
    "stop": ["stop", "shut down", "end"],
    "list": ["list", "show me all", "give me all"],
    "set": ["set", "adjust"],
    "check": ["check", "verify"],
    "open": ["open"],
    "print": ["print"],
    "download": ["download"],
    "schedule": ["schedule", "plan"],
    "track": ["track", "follow"],
    "rename": ["rename"],
    "export": ["export"]
}

TOOL_NOUNS = W("""
    ticket order invoice user report meeting file table room flight hotel server container alarm
    light playlist photo contact task note event payment account deployment job image message
    document device backup budget shipment recipe package printer project customer record
""")

FIXED_TOOLS = [
    ("get_weather", "Get the weather forecast for a city", {
        "city": True,
        "unit": False,
        "date": False
    }, [
        "What is the weather", "How is the weather", "Get the weather", "weather forecast",
        "Will it rain"
    ], {
        "temperature": lambda rng, lex: integer(rng, -10, 38),
        "condition": one_of(["sunny", "cloudy", "rainy", "windy", "snowy", "foggy"])
    }),
    ("search_web", "Search the web", {
        "query": True,
        "limit": False
    }, ["Search the web", "Look on the internet", "Find information", "Google"], {
        "title": lambda rng, lex: capitalised(thing(rng)),
        "url": url
    }),
    ("send_email", "Send an email", {
        "email": True,
        "message": True,
        "title": False
    }, ["Send an email", "Write an email", "Email"], {
        "status": one_of(["sent", "queued"]),
        "message_id": code
    }),
    ("read_file", "Read a file and return its content", {
        "path": True
    }, ["Read the file", "Show me the content", "What does the file say"], {
        "content": filler,
        "size": whole_number(10, 9000)
    }),
    ("set_timer", "Start a timer", {
        "minutes": True
    }, ["Set a timer", "Start a timer", "Remind me"], {
        "timer_id": code,
        "status": one_of(["started"])
    }),
    ("translate_text", "Translate a text", {
        "message": True,
        "language": True
    }, ["Translate a text", "Please translate"], {
        "translation": lambda rng, lex: " ".join(word(rng) for _ in range(4))
    }),
    ("get_stock_price", "Get the current share price of a company", {
        "company": True
    }, ["What is the stock price", "Get the share price", "How much is a share"], {
        "price": money,
        "change": percent
    }),
    ("set_light", "Dim or brighten the light in a room", {
        "room": True,
        "percent": True,
        "color": False
    }, ["Set the light", "Dim the light", "Change the light"], {
        "status": one_of(["ok", "done"])
    }),
    ("create_event", "Create a calendar event", {
        "title": True,
        "date": True,
        "time": False
    }, ["Create an event", "Add an appointment to my calendar", "Put an event in the calendar"], {
        "event_id": code,
        "status": one_of(["confirmed", "created"])
    }),
    ("track_order", "Find out where an order is", {
        "order_id": True
    }, ["Where is my package", "Track my order", "What is the status of the delivery"], {
        "status": one_of(["shipped", "delivered", "delayed", "processing"]),
        "location": city,
        "delivery_date": isodate
    }),
]

TEST_VERBS, TEST_NOUNS = {"schedule", "cancel",
                          "export"}, {"shipment", "playlist", "invoice", "container", "recipe"}

RESULTS = {
    "status": one_of(["ok", "done", "created", "accepted", "failed", "pending"]),
    "id": code,
    "count": whole_number(0, 500),
    "price": money,
    "date": isodate,
    "owner": person,
    "location": city,
    "reference": code,
    "total": whole_number(1, 9000),
    "result": thing,
    "confirmation_code": code,
    "temperature": whole_number(-5, 40),
    "message": filler,
    "time": clock,
    "version": version,
    "progress": percent
}


def make_tool(rng, lex):
    """A tool: name, description, {parameter: (spec, required)}, openings, result generators."""
    if rng.random() < 0.3:
        n, d, ps, op, res = choice(rng, FIXED_TOOLS)
        return n, d, {k: (PARAMETERS[k], req) for k, req in ps.items()}, op, res
    verbs = TOOL_VERBS
    while True:
        v, nn = choice(rng, list(TOOL_VERBS)), choice(rng, TOOL_NOUNS)
        if open_vocabulary.is_on() and rng.random() < 0.7:  # tools whose names are free words
            v, nn = choice(rng, [v, rare(rng), choice(rng, ALL_WORDS).lower()]), choice(
                rng, [nn, rare(rng), choice(rng, NOUN)])
            verbs = {v: [v], **{k: z for k, z in TOOL_VERBS.items() if k != v}}
            break
        if (v in TEST_VERBS or nn in TEST_NOUNS) == (lex.split == "test"):
            break
    ps = {}
    for k in rng.sample(list(PARAMETERS), integer(rng, 1, 4)):
        if k == "enabled" and rng.random() < .5:
            continue
        ps[k] = (PARAMETERS[k], rng.random() < 0.7)
    if rng.random() < .25 or not ps:  # an open-vocabulary parameter
        a = choice(rng, [
            choice(rng, NOUN),
            choice(rng, ADJ) + "_" + choice(rng, NOUN),
            choice(rng, NOUN) + "_" + choice(rng, NOUN),
            word(rng)
        ])
        g, t = choice(rng, [(any_value, "string"), (whole_number(0, 999), "integer")])
        ps[a] = (parameter(t, capitalised(a.replace("_", " ")), g), True)
    if not any(q for _, q in ps.values()):
        k = choice(rng, list(ps))
        ps[k] = (ps[k][0], True)
    style = choice(rng, ["{v}_{n}", "{v}_{n}", "{n}_{v}", "{v}{N}", "{n}.{v}"
                         ]) if rng.random() < .3 else "{v}_{n}"
    name = style.format(v=v, n=nn, N=capitalised(nn))
    obj = choice(rng, ["the {n}", "a {n}", "the {n}"]).format(
        n=nn) if v not in ("list", ) else nn + "s"
    res = {k: RESULTS[k] for k in rng.sample(list(RESULTS), integer(rng, 1, 3))}
    return name, choice(rng, [
        capitalised(v) + " {n}",
        capitalised(choice(rng, verbs[v])) + " {n}", "Use this to " + v + " {n}"
    ]).format(n=choice(rng, ["a " + nn, "the " + nn])), ps, [
        capitalised(s) + " " + obj for s in verbs[v]
    ], res


def tool_schema(t):
    """The JSON schema of a tool, keys sorted."""
    name, desc, ps, _, _ = t
    props = {}
    for k in sorted(ps):
        s = ps[k][0]
        props[k] = {
            "description": s["d"],
            **({
                "enum": s["enum"]
            } if "enum" in s else {}), "type": s["t"]
        }
    return {
        "name": name,
        "description": desc,
        "parameters": {
            "properties": props,
            "required": sorted(k for k in ps if ps[k][1]),
            "type": "object"
        }
    }


def tool_request(rng, lex, t):
    """A request in words, and the call that answers it."""
    name, desc, ps, op, res = t
    args, phr = {}, []
    for k in ps:
        s, req = ps[k]
        if not req and rng.random() < 0.5:
            continue
        v = s["g"](rng, lex)
        if s["t"] == "string" and not isinstance(v, str):
            v = str(v)
        args[k] = v
        w = k.replace("_", " ")
        if s["t"] == "boolean":
            phr.append(
                choice(
                    rng,
                    ["with {w} switched {o}", "with {w} turned {o}", "and set {w} to {b}"]).format(
                        w=w, o="on" if v else "off", b=str(v).lower()))
        elif s["ph"] and rng.random() < 0.65:
            phr.append(choice(rng, s["ph"]).format(v))
        else:
            phr.append(
                choice(rng, [
                    "with {w} {v}", "with the {w} {v}", "with {w} set to {v}", "({w}: {v})",
                    "using {v} as the {w}", "where the {w} is {v}"
                ]).format(w=w, v=v))
    amb = [k for k in args if PARAMETERS.get(k) and PARAMETERS[k]["t"] == "string"]
    rng.shuffle(phr)
    o = choice(rng, op)
    q = choice(rng, [
        "{o} {p}.", "Please {l} {p}.", "Can you {l} {p}?", "{o} {p}", "I want you to {l} {p}.",
        "{o} {p}, please.", "Could you {l} {p}?"
    ]) if rng.random() < .9 else "{o} {p}."
    if o.split()[0] in ("What", "How", "Where", "Will"):
        q = "{o} {p}?"
    q = q.format(o=o, l=o[0].lower() + o[1:], p=" ".join(phr)).replace("  ", " ").replace(
        " .", ".").replace(" ?", "?")
    return q, {"name": name, "arguments": {k: args[k] for k in sorted(args)}}
