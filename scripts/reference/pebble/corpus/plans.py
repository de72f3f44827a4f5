"""Goals, decisions, constraints and tasks."""

from corpus.attributes import entity
from corpus.draws import choice
from corpus.facts import Fact
from corpus.values import (amount_of, date, money, percent)
from lexicon import (OBJECT, PURPOSE, TECH, VERB_TASK)


def plan_fact(rng, lex):
    """A goal, a decision, a constraint or a task."""
    kind = choice(
        rng, ["goal", "decision", "decision", "constraint", "constraint", "task", "task", "task"])
    ob = choice(rng, OBJECT)
    vp = choice(rng, VERB_TASK) + " " + ob + choice(
        rng, ["", "", " " + choice(rng, PURPOSE), " with " + choice(rng, TECH)])
    if kind == "goal":
        return goal(rng, ob, vp)
    if kind == "decision":
        return decision(rng, lex, ob, vp)
    if kind == "constraint":
        return constraint(rng, lex, ob, vp)
    return task(rng, lex, ob, vp)


def goal(rng, ob, vp):
    """The goal is to do `vp`."""
    st = choice(rng, [
        "The goal is to {}.", "My goal is to {}.", "We want to {}.", "I need help to {}.",
        "Our main goal is to {}.", "I am trying to {}.", "Goal: {}.", "I want to {}."
    ]).format(vp)
    return Fact("goal", st, vp + ".", [(choice(rng, [
        "What is the goal?", "What is the user's goal?", "What are we trying to do?",
        "What was the main goal?", "What did I want to do?", "What is my goal?"
    ]), f"The goal is to {vp}.", vp)], {("goal", ), ob}, "Goal")


def decision(rng, lex, ob, vp):
    """It was decided to do `vp`, or to use something for the object `ob`."""
    if rng.random() < 0.5:
        t = choice(rng, TECH + [choice(rng, lex.code)])
        core = choice(
            rng, ["use {t} for {o}", "choose {t} for {o}", "move {o} to {t}", "keep {t} for {o}"
                  ]).format(t=t, o=ob)
    else:
        t = core = vp
    st = choice(rng, [
        "We decided to {}.", "Decision: {}.", "We agreed to {}.", "The team decided to {}.",
        "It was decided to {}.", "After some discussion, we decided to {}.",
        "Let's {}, that is decided."
    ]).format(core)
    return Fact("decision", st, core + ".", [(choice(rng, [
        "What did we decide about {}?", "What was decided about {}?", "What is the decision on {}?",
        "What did we agree on for {}?"
    ]).format(ob), f"We decided to {core}.", t)], {ob}, "Decision")


def constraint(rng, lex, ob, vp):
    """`vp` must not be done, or something about the object `ob` has a limit."""
    if rng.random() < 0.5:
        st = choice(rng, [
            "We must not {}.", "Do not {}.", "You must never {}.", "Constraint: do not {}.",
            "Under no circumstances {}.", "Please never {}."
        ]).format(vp)
        return Fact("constraint", st, "do not " + vp + ".", [(choice(rng, [
            "What must we not do with {}?", "What is not allowed for {}?",
            "What is the constraint on {}?"
        ]).format(ob), f"The constraint is: do not {vp}.", vp)], {ob}, "Constraint")
    v = choice(rng, [money, amount_of("MB", "hours", "pages", "seconds", "people"), percent])(rng,
                                                                                              lex)
    w = choice(rng, ["cost of", "size of", "time for", "effort for", "error rate of", "length of"
                     ]) + " " + ob
    rel = choice(rng, ["stay below", "not exceed", "be under", "stay under", "be at most"])
    st = choice(rng, [
        "The {w} must {rel} {v}.", "The {w} has to {rel} {v}.",
        "Constraint: the {w} must {rel} {v}."
    ]).format(w=w, rel=rel, v=v)
    return Fact("constraint", st, f"the {w} must {rel} {v}.",
                [(choice(rng, [
                    "What is the limit for the {}?", "What is the constraint on the {}?",
                    "How is the {} limited?"
                ]).format(w), f"The {w} must {rel} {v}.", v)], {ob}, "Constraint")


def task(rng, lex, ob, vp):
    """Somebody will do `vp`, which concerns the object `ob`, by some date."""
    p, d = entity(rng, lex, "person"), date(rng)
    st = choice(rng, [
        "{p} will {vp} by {d}.", "{p} has to {vp} by {d}.", "{p} still needs to {vp} by {d}.",
        "Open task: {p} will {vp} by {d}.", "TODO for {p}: {vp} by {d}."
    ]).format(p=p, vp=vp, d=d)
    qa = [
        (choice(rng, ["Who will {vp}?", "Who has to {vp}?", "Who is responsible for {ob}?"]).format(
            vp=vp, ob=ob), f"{p} will {vp}.", p),
        (choice(
            rng,
            ["What does {p} have to do?", "What is {p}'s task?", "What will {p} do?"]).format(p=p),
         f"{p} will {vp} by {d}.", vp),
        (choice(rng, [
            "When will {p} {vp}?", "By when does {p} have to {vp}?",
            "What is the due date for {p}'s task?"
        ]).format(p=p, vp=vp), f"{p} will {vp} by {d}.", d)
    ]
    rng.shuffle(qa)
    return Fact("task", st, f"{p} will {vp} by {d}.", qa, {ob, ("task", p)}, "Task")
