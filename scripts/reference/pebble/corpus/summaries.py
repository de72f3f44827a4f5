"""Summaries of conversations, and questions that they answer."""

from corpus.draws import (choice, integer)
from corpus.fact_mix import make_facts
from corpus.filler import filler
from corpus.layout import (layout, spread, with_lead)
from corpus.retrieval import draw_questions
from corpus.turns import (CHATTER, HELLO, acknowledgement, assistant, system_turn, user)
from lexicon import (ACK, GREET)

SUMMARY_REQUESTS = [
    "Summarise the conversation so far.", "Summarize the conversation above.",
    "Summarize this conversation. "
    "Keep all key facts: goal, decisions, constraints, open tasks and named values.",
    "Write a compact summary of everything important so far.",
    "Compact the conversation: list the key facts and drop the chatter.",
    "List all key facts from the text.",
    "Create a summary that keeps the goal, decisions, constraints, open tasks and named values.",
    "Summarise the transcript as a short list of facts.",
    "Please condense the conversation above. Keep every name, number, decision and open task.",
    "Your task is to create a detailed summary of the conversation so far.",
    "Extract the key facts.",
    "Summarize the following conversation so that it can replace the original.", "summarize",
    "Summary please.", "Give me a list of the important facts.",
    "Compress the conversation history. Keep the facts, drop the small talk."
]

COMPRESS = (
    "You compress conversations. Keep the goal, decisions, constraints, open tasks and named "
    "values; drop the chatter.")

NUMBER_WORDS = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"
]


def bullets(facts):
    """The summary of the facts."""
    return "\n".join([f"- {f.tag}: {f.canon}" for f in facts])


def planned_facts(rng, lex, n):
    """Facts as they occur in conversations about work."""
    return make_facts(
        rng, lex, n,
        choice(rng, [(.35, .45, .55, .65), (.2, .35, .45, .55), (.6, .7, .8, .85),
                     (.3, .7, .8, .9)]))


def summary(rng, lex, max_chars):
    """Skill 4: compaction. The summary lists the facts in order with a tag each."""
    n = integer(rng, 1, max(2, min(24, int(max_chars / choice(rng, [100, 160, 300])))))
    u = rng.random()
    if u < 0.45:  # of a real conversation
        facts, seen = planned_facts(rng, lex, n)
        items = spread(rng, facts, int(max_chars * 0.8))
        msgs, i, per = system_turn(rng), 0, choice(rng, [2, 4, 8])
        if rng.random() < .2:
            msgs += [user(choice(rng, GREET)), assistant(HELLO[0])]
        while i < len(items):
            k = integer(rng, 1, per)
            msgs += [
                user(" ".join(with_lead(rng, s, f) for s, f in items[i:i + k])),
                assistant(choice(rng, ACK +
                                 CHATTER)) if rng.random() < .8 else assistant(filler(rng))
            ]
            msgs[-1]["nomask"] = True
            i += k
        msgs += [user(choice(rng, SUMMARY_REQUESTS)), assistant(bullets(facts))]
        if rng.random() < .4:
            msgs[-1]["facts"] = facts
            for q, a in draw_questions(rng, lex, facts, seen, integer(rng, 1, 6)):
                msgs += [user(q), assistant(a)]
    else:
        facts, seen = planned_facts(rng, lex, n)
        text = layout(rng, lex, spread(rng, facts, max_chars))
        s = choice(rng, SUMMARY_REQUESTS)
        if u < 0.6:
            msgs = [{
                "role": "system",
                "content": choice(rng, [COMPRESS, s])
            },
                    user(text),
                    assistant(bullets(facts))]
        else:
            msgs = system_turn(rng) + [
                user(
                    choice(rng, [
                        "{s}\n\n{t}", "{t}\n\n{s}", "{s}\n\n<transcript>\n{t}\n</transcript>",
                        "Transcript:\n{t}\n\n{s}"
                    ]).format(s=s, t=text)),
                assistant(bullets(facts))
            ]
    msgs[-1]["facts"] = facts
    return msgs, None, "summary"


def from_summary(rng, lex, max_chars):
    """Questions answered from a summary that replaced the transcript."""
    facts, seen = planned_facts(rng, lex, integer(rng, 2, max(3, min(40, max_chars // 80))))
    b = bullets(facts) if rng.random() < .8 else "\n".join("- " + f.canon for f in facts)
    head = choice(rng, [
        "Summary of the earlier conversation:\n", "[Summary of earlier messages]\n",
        "Conversation summary:\n", "The conversation so far, summarised:\n", "<summary>\n",
        "Key facts:\n", ""
    ])
    b = head + b + ("\n</summary>" if "<" in head else "")
    msgs = choice(rng, [[{
        "role": "system",
        "content": b
    }], [{
        "role": "system",
        "content": "You are a helpful assistant.\n\n" + b
    }], [user(b), acknowledgement(rng)],
                        [user(choice(rng, SUMMARY_REQUESTS)), {
                            **assistant(b), "nomask": True
                        }]])[:]
    if rng.random() < 0.4:
        for _ in range(integer(rng, 1, 3)):
            msgs += [user(filler(rng)), {**assistant(choice(rng, ACK + CHATTER)), "nomask": True}]
    for q, a in draw_questions(rng, lex, facts, seen, integer(rng, 1, 12)):
        msgs += [user(q), assistant(a)]
    return msgs, None, "from_summary"


def shorten(rng, lex, max_chars):
    """Skill 5: keep the first N informative sentences, drop filler."""
    n = integer(rng, 1, 8)
    facts, _ = make_facts(rng, lex, n, (.5, 1, 1, 1))
    items = spread(rng, facts, min(max_chars, 6000))
    text = " ".join(s for s, _ in items)
    k = integer(rng, 1, max(1, len(facts)))
    if rng.random() < 0.5:
        k, q = len(facts), choice(rng, [
            "Extract the key points.", "Remove the filler and keep the important sentences.",
            "Shorten the text: keep only the sentences with facts.",
            "What are the key points of this text?"
        ])
    else:
        q = choice(rng, [
            "Shorten the text to {k} sentences.", "Summarise the text in {k} sentences.",
            "Give me the first {k} key points.", "Reduce this to {k} sentences."
        ]).format(k=choice(rng, [str(k), NUMBER_WORDS[k]]))
        q = q.replace("1 sentences", "1 sentence").replace("one sentences", "one sentence")
    return system_turn(rng) + [
        user(choice(rng, ["{q}\n\n{t}", "{t}\n\n{q}"]).format(q=q, t=text)),
        assistant(" ".join(f.st for f in facts[:k]))
    ], None, "shorten"
