"""Fifty prompts, most of them in wordings that the embedded model was trained for."""

FACTS = [
    ("budget", "project Falcon", "4312 euros"), ("port", "the proxy", "8443"),
    ("owner", "the billing service", "Ines Carvalho"), ("deadline", "project Heron", "14 March"),
    ("capital", "Norvania", "Telsk"), ("colour", "the north gate", "dark green"),
    ("version", "the parser", "3.7.12"), ("password", "the archive", "blue-otter-55"),
    ("budget", "project Kestrel", "990 euros"), ("manager", "the depot", "Tomas Berg"),
    ("address", "the clinic", "12 Harbour Lane"), ("price", "the lamp", "47 euros"),
    ("speed", "the ferry", "22 knots"), ("phone number", "the office", "555 0192"),
]


def document(count, start):
    """The first `count` facts from `start` on, as sentences."""
    facts = [FACTS[(start + i) % len(FACTS)] for i in range(count)]
    return facts, " ".join(f"The {what} of {whose} is {value}." for what, whose, value in facts)


def conversations():
    """Message lists, 50 of them."""
    result = [[{"role": "user", "content": text}] for text in [
        "Hello!", "Who are you?", "What can you do?", "Thank you.", "Good morning",
        "What is the capital of France?", "Write a poem about the sea.", "2 + 2",
        "Répète: déjà vu.", "Summarise the conversation so far.",
    ]]
    for i in range(28):
        facts, system = document(1 + i % 8, 3 * i)
        what, whose, _ = facts[(5 * i) % len(facts)]
        question = f"What is the {what} of {whose}?"
        result.append([{"role": "system", "content": system},
                       {"role": "user", "content": question}])
    for i in range(6):
        _, system = document(4, i)
        result.append([{"role": "system", "content": system},
                       {"role": "user", "content": f"What is the weight of project Z{i}?"}])
    for i in range(6):
        facts, text = document(3, 2 * i)
        result.append([
            {"role": "user", "content": f"My name is Mara. {text}"},
            {"role": "assistant", "content": "Noted."},
            {"role": "user", "content": ["What is my name?", "Summarise the conversation so far.",
                                         f"What is the {facts[1][0]} of {facts[1][1]}?"][i % 3]},
        ])
    assert len(result) == 50
    return result
