"""Questions about facts in the context."""

from corpus.draws import (choice, integer)
from corpus.fact_mix import (make_facts, unknown_qa)
from corpus.filler import filler
from corpus.layout import (layout, spread, with_lead)
from corpus.turns import (CHATTER, HELLO, acknowledgement, assistant, system_turn, user)
from corpus.values import path
from lexicon import GREET


def draw_questions(rng, lex, facts, seen, n, p_unk=0.15, short=False):
    """Up to `n` different questions about the facts, some of them without an answer."""
    out, used = [], set()
    for _ in range(n):
        if rng.random() < p_unk or not facts:
            q, a = unknown_qa(rng, lex, facts, seen)
        else:
            f = choice(rng, facts)
            q, a, v = choice(rng, f.qa)
            if short:
                a = v
        if q in used:
            continue
        used.add(q)
        out.append((q, a))
    return out or draw_questions(rng, lex, facts, seen, 1, p_unk, short)


def qa_context(rng, lex, max_chars):
    """Skill 1: facts in one block, then questions.

    The block is a text of the user, a system prompt, a tool result or a set of documents.
    """
    d = rng.random()
    cap_n = max(1, int(max_chars / 60))
    n = integer(rng, 1, min(4, cap_n)) if d < 0.25 else integer(rng, 1, max(
        1, cap_n // 6)) if d < 0.6 else integer(rng, max(1, cap_n // 3), cap_n)
    facts, seen = make_facts(rng, lex, n)
    if not facts:
        return qa_context(rng, lex, max_chars)
    text = layout(rng, lex, spread(rng, facts, max_chars))
    short = rng.random() < 0.12
    nq = integer(rng, 1, max(2, min(4 * len(facts), 6 + max_chars // 500)))
    qas = draw_questions(rng, lex, facts, seen, nq, short=short)
    tail = choice(
        rng, ["Answer with the value only.", "Reply with just the answer.", "Short answer only."
              ]) if short else ""
    (q0, a0), u = qas[0], rng.random()
    q0 = (q0 + " " + tail).strip()
    if u < 0.35:
        msgs = system_turn(rng) + [
            user(
                choice(rng, [
                    "{t}\n\n{q}", "Context:\n{t}\n\nQuestion: {q}",
                    "Read the text and answer the question.\n\n{t}\n\n{q}", "{q}\n\n{t}",
                    "Text: {t}\n\nQ: {q}", "Here are my notes:\n{t}\n\n{q}",
                    "Question: {q}\n\nText:\n{t}"
                ]).format(t=text, q=q0)),
            assistant(a0)
        ]
    elif u < 0.6:
        msgs = system_turn(rng) + [
            user(
                choice(rng, [
                    "{t}", "Please remember this:\n{t}", "Here is some background:\n\n{t}",
                    "Read this and wait for my questions.\n\n{t}"
                ]).format(t=text)),
            acknowledgement(rng, ["Thanks, I have read it. What would you like to know?"]),
            user(q0),
            assistant(a0)
        ]
    elif u < 0.85:
        pre = choice(rng, [
            "", "You are a helpful assistant.\n\n", "Use this context to answer.\n\n",
            "Summary of the earlier conversation:\n", "Background:\n", "Knowledge base:\n\n"
        ])
        msgs = [{"role": "system", "content": pre + text}, user(q0), assistant(a0)]
    else:
        name = choice(rng, ["read_file", "search", "search_documents", "fetch_page", "load_notes"])
        msgs = system_turn(rng) + [
            user(
                choice(rng,
                       ["Look at the notes and tell me: ", "Please search: ", "", "Use the tool. "])
                + q0), {
                    "role": "assistant",
                    "content": "",
                    "tool_calls": [{
                        "name": name,
                        "arguments": {
                            "query": q0
                        } if "search" in name else {
                            "path": path(rng)
                        }
                    }],
                    "nomask": True
                }, {
                    "role": "tool",
                    "content": text
                },
            assistant(a0)
        ]
    for q, a in qas[1:]:
        msgs += [user((q + " " + tail).strip()), assistant(a)]
    return msgs, None, "qa"


def qa_chat(rng, lex, max_chars, ask=True):
    """Skills 1+2: facts told over many turns, with small talk and questions in between."""
    n = integer(rng, 1, max(2, int(max_chars / choice(rng, [90, 250, 600]))))
    facts, seen = make_facts(
        rng, lex, n, choice(rng, [(.35, .5, .75, .85), (.1, .2, .8, .95), (.25, .45, .6, .7)]))
    items = spread(rng, facts, int(max_chars * 0.75))
    msgs, i, told, per, seen_told = system_turn(rng), 0, [], choice(rng, [2, 4, 10]), set()
    if rng.random() < 0.3:
        msgs += [user(choice(rng, GREET)), assistant(HELLO[0])]
    while i < len(items):
        k = integer(rng, 1, per)
        part = items[i:i + k]
        i += k
        fs = [f for _, f in part if f]
        told += fs
        for f in fs:
            seen_told |= f.keys
        text = " ".join(with_lead(rng, s, f) for s, f in part)
        if rng.random() < 0.1 and told and ask:
            q, a = draw_questions(rng, lex, told, seen_told, 1)[0]
            msgs += [user(text + " " + q if rng.random() < .5 else q),
                     assistant(a)] if rng.random() < .5 or not fs else [
                         user(text), acknowledgement(rng),
                         user(q), assistant(a)
                     ]
            if not any(text in m["content"] for m in msgs[-4:]):
                msgs[-2]["content"] = text + " " + msgs[-2]["content"]
        else:
            msgs += [
                user(text),
                acknowledgement(rng) if fs or rng.random() < .5 else acknowledgement(
                    rng, CHATTER + [filler(rng)])
            ]
    if ask:
        for q, a in draw_questions(
                rng, lex, told, seen,
                integer(rng, 1, max(2, min(6 + max_chars // 600, 3 * len(told))))):
            msgs += [user(q), assistant(a)]
    return msgs, None, "chat"
