"""Conversations with tools."""

import json

from corpus.draws import (capitalised, choice, integer)
from corpus.fact_mix import make_facts
from corpus.retrieval import qa_chat
from corpus.small_talk import SMALL_TALK
from corpus.tools import (make_tool, tool_request, tool_schema)
from corpus.turns import (assistant, system_turn, user)

NO_TOOL = "I don't have a tool for that."


def spoken(k):
    """A key as it is said."""
    return k.replace("_", " ")


def tool_answer(res):
    """A tool's result as a sentence."""
    if "error" in res:
        return f"The tool returned an error: {res['error']}."
    ps = [f"the {spoken(k)} is {v}" for k, v in res.items()]
    return capitalised(ps[0] if len(ps) == 1 else ", ".join(ps[:-1]) + " and " + ps[-1]) + "."


def tool_use(rng, lex, max_chars):
    """Skill 3: calls of tools, their results, and requests that no tool serves."""
    n = integer(rng, 1, 6)
    tools, names = [], set()
    for _ in range(n):
        t = make_tool(rng, lex)
        if t[0] not in names:
            names.add(t[0])
            tools.append(t)
    msgs = system_turn(rng)
    if max_chars > 1200 and rng.random() < .3:  # an earlier conversation before the request
        h, _, _ = qa_chat(rng, lex, max_chars - 800)
        msgs = h
    for _ in range(integer(rng, 1, 3)):
        u = rng.random()
        if u < 0.08:
            other = make_tool(rng, lex)
            if other[0] in names or other[0].split("_")[0] in " ".join(names):
                continue
            msgs += [user(tool_request(rng, lex, other)[0]), assistant(NO_TOOL)]
        elif u < 0.16:
            qs, ans = choice(rng, SMALL_TALK[:6])
            msgs += [user(choice(rng, qs)), assistant(choice(rng, ans))]
        elif u < 0.2:
            f = make_facts(rng, lex, 1)[0][0]
            q, a, v = choice(rng, f.qa)
            msgs += [user(f.st + " " + q), assistant(a)]
        else:
            t = choice(rng, tools)
            q, call = tool_request(rng, lex, t)
            calls, outs = [call], []
            if rng.random() < 0.08:  # two calls in one turn
                q2, c2 = tool_request(rng, lex, choice(rng, tools))
                q, calls = q + choice(rng, [" Also: ", " Then ", " And after that: "]) + q2, [
                    call, c2
                ]
            msgs += [user(q), {"role": "assistant", "content": "", "tool_calls": calls}]
            for c in calls:
                tt = next(z for z in tools if z[0] == c["name"])
                res = {
                    "error": choice(rng, [
                        "not found", "timeout", "permission denied", "invalid " +
                        choice(rng,
                               list(c["arguments"]) or ["input"])
                    ])
                } if rng.random() < .1 else {
                    k: g(rng, lex)
                    for k, g in tt[4].items()
                }
                outs.append(res)
                msgs.append({"role": "tool", "content": json.dumps(res, ensure_ascii=False)})
            msgs.append(assistant(" ".join(tool_answer(o) for o in outs)))
            if len(outs) == 1 and "error" not in outs[0] and rng.random() < .3:
                k = choice(rng, list(outs[0]))
                msgs += [
                    user(
                        choice(rng,
                               ["What was the {}?", "What is the {} again?", "Tell me the {}."
                                ]).format(spoken(k))),
                    assistant(f"The {spoken(k)} is {outs[0][k]}.")
                ]
    if not msgs or msgs[-1]["role"] != "assistant" or not any(m["role"] == "assistant"
                                                              for m in msgs):
        return tool_use(rng, lex, max_chars)
    return msgs, [tool_schema(t) for t in tools], "tool"
