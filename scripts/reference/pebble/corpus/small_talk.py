"""Small talk, and what the model says about itself."""

from corpus.draws import (choice, integer)
from corpus.fact_mix import unknown_qa
from corpus.turns import (HELLO, assistant, system_turn, user)
from corpus.values import (city, person, word)
from lexicon import (ADJ, ANIMAL, CAPITALS, COUNTRY, FOOD, GREET, LANGUAGE, NOUN, TECH, TOPIC)

WHO_I_AM = "I am a small demo model shipped with the server; I answer from the context I am given."

WHAT_I_CAN = (
    "I can answer questions about text you give me, remember facts from our chat, call tools, "
    "summarise notes and return JSON. I have almost no world knowledge.")

NO_KNOWLEDGE = ("I don't know: I am a small demo model "
                "and I only answer from the context I am given.")

POEM = ("A small model sits and reads,\nit holds the facts a question needs;\n"
        "it does not know the world outside,\nbut in the context, it will guide.")

STORY = ("Once a small lantern stood in a quiet harbour. "
         "Every night it showed one boat the way home, and that was enough.")

SMALL_TALK = [
    ([
        "Who are you?", "What are you?", "who are you", "Are you a robot?", "Are you ChatGPT?",
        "Which model are you?", "What is your name?", "Tell me about yourself.",
        "What model is this?", "Are you human?", "Introduce yourself.", "what's your name?",
        "Who made you?", "Are you an AI?", "Which LLM is this?"
    ], [WHO_I_AM]),
    ([
        "What can you do?", "How can you help me?", "What are you able to do?", "what can you do",
        "Help", "help me", "Can you help me?", "What are your skills?", "What do you do?",
        "How do you work?", "What should I ask you?"
    ], [WHAT_I_CAN]),
    ([
        "How are you?", "How is it going?", "how are you doing", "How are you today?", "What's up?",
        "Are you okay?"
    ], ["I am fine, thank you. How can I help you?"]),
    ([
        "Thanks!", "Thank you.", "thank you", "Thanks a lot!", "Great, thanks.", "thx",
        "Thank you very much!", "Perfect, thank you!", "Nice, thanks", "That helped, thanks."
    ], ["You are welcome!"]),
    ([
        "Bye", "Goodbye!", "See you later.", "bye bye", "Good night", "That is all.",
        "I have to go now.", "See you!"
    ], ["Goodbye!"]),
    (GREET, HELLO[:1]),
    ([
        "Tell me a joke.", "Do you know a joke?", "Make me laugh.", "tell me a joke",
        "Say something funny."
    ], ["Why did the token cross the context window? To get to the other side."]),
    ([
        "Write a poem.", "Write a short poem.", "Can you write me a poem?",
        "Give me a poem about the sea.", "Write a haiku."
    ], [POEM]),
    (["Tell me a story.", "Tell me a short story.", "Write a short story.",
      "Once upon a time"], [STORY]),
    (["Say hello.", "Say hello world", "Say hi", "Please say hello."], ["Hello!"]),
    ([
        "ok", "OK", "Okay.", "I see.", "Yes", "No", "Hmm", "Sure", "cool", "Nice", "Great!",
        "Good.", "Wow"
    ], ["All right. What would you like to do next?"]),
    ([
        "test", "Test.", "ping", "Are you there?", "Is this working?", "testing 1 2 3",
        "Can you hear me?"
    ], ["Yes, I am here and working."]),
    (["How many days are in a week?",
      "How many days does a week have?"], ["A week has seven days."]),
    (["How many months are in a year?"], ["A year has twelve months."]),
    (["How many hours are in a day?"], ["A day has 24 hours."]),
    (["What colour is the sky?", "Why is the sky blue?", "What color is the sky?"], [
        "The sky is blue because air scatters blue light more than red light."
    ]),
    (["Which day comes after Monday?",
      "What comes after Monday?"], ["Tuesday comes after Monday."]),
    (["How many minutes are in an hour?"], ["An hour has 60 minutes."]),
    (["What is the largest planet?"], ["Jupiter is the largest planet of the solar system."]),
    (["What is water made of?"], ["Water is made of hydrogen and oxygen."]),
]

OPEN_QUESTIONS = [
    "Who wrote {N}?", "How do I cook {F}?", "What is the population of {C}?", "Explain {N} theory.",
    "Who won the match yesterday?", "What is the weather in {C}?", "What time is it?",
    "What day is it today?", "Who is {P}?", "What is a {N}?", "How does a {N} work?",
    "When was the {N} invented?", "Who is the president of {K}?", "What is the best {N} in {C}?",
    "How far is it from {C} to {C2}?", "Why is the {N} {A}?",
    "Write a Python function for the {N}.", "Write an essay about {T}.", "What is {X}?",
    "Tell me about {C}.", "Tell me about {T}.", "What do you think about {T}?", "How old is {P}?",
    "Is {F} healthy?", "Which book should I read?", "How can I learn {L}?", "What does {X} mean?",
    "How much does a {N} cost?", "What is the history of {C}?", "Give me advice about {T}.",
    "Can you recommend a {N}?", "How do I install {E}?",
    "What is the difference between {E} and {E2}?", "How many people live in {K}?",
    "What is the fastest {N}?", "Who discovered {X}?", "Why do {Z} sleep?", "How do I fix my {N}?"
]


def open_question(rng, lex):
    """A question that only world knowledge answers."""
    return choice(rng, OPEN_QUESTIONS).format(N=choice(rng, NOUN),
                                              F=choice(rng, FOOD),
                                              C=city(rng, lex),
                                              C2=city(rng, lex),
                                              P=person(rng, lex),
                                              K=choice(rng, COUNTRY),
                                              A=choice(rng, ADJ),
                                              T=choice(rng, TOPIC),
                                              X=word(rng),
                                              L=choice(rng, LANGUAGE),
                                              E=choice(rng, TECH),
                                              E2=choice(rng, TECH),
                                              Z=choice(rng, ANIMAL) + "s")


def small_talk(rng, lex, max_chars=0):
    """Greetings, thanks, questions about the model, and questions that it cannot answer."""
    msgs = system_turn(rng)
    for _ in range(integer(rng, 1, 4)):
        u = rng.random()
        if u < 0.55:
            qs, ans = choice(rng, SMALL_TALK)
            q, a = choice(rng, qs), choice(rng, ans)
        elif u < 0.75:
            q, a = open_question(rng, lex), NO_KNOWLEDGE
        elif u < 0.87:
            k = choice(rng, list(CAPITALS))
            q, a = choice(rng, [
                "What is the capital of {}?", "what is the capital of {}", "Capital of {}?",
                "Which city is the capital of {}?", "Tell me the capital of {}."
            ]).format(k), f"The capital of {k} is {CAPITALS[k]}."
        else:
            q, a = unknown_qa(rng, lex, [], set())[0], NO_KNOWLEDGE
        if rng.random() < 0.1:
            q = q.lower()
        elif rng.random() < 0.05:
            q = q.rstrip("?.!")
        msgs += [user(q), assistant(a)]
    return msgs, None, "smalltalk"
