"""At the door: the questions are put one by one, each answer is on disk before the next, and what follows is told.

A visit that ends here has done nothing to anybody; who decides about the order is told so by a task, with what happens
next. The journal holds words like ``no`` and ``other_leg``, no name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gateway.fitting import answers
from gateway.fitting.answers import Ending, Question
from gateway.fitting.context import Context
from gateway.fitting.doorstep import Doorstep
from gateway.fitting.journal import Facts
from gateway.fitting.steps import Step
from gateway.fitting.stops import Stop

CarryOut = Callable[[Step], None]
_PREFIX = "door "
_OUTCOME = "outcome"
NEXT = {
    "no_answer": "have another visit planned, and see whether not being there has to be followed up",
    "refused": "decide what follows, and whether another visit is to be tried",
    "unsafe": "find out what happened before anybody goes there again, and plan the next visit for two, or with police",
    "rebook": "have another visit planned",
}
"""What the practitioner does next."""
_LEFT = {
    "fit": "Nothing was fitted, so nobody is monitored by this order's tag yet",
    "check": "What the wearer has on is as it was",
    "remove": "What the wearer has on is as it was, and its activation goes on",
    "swap": "What the wearer has on is as it was",
}


class NotAsked(Stop):
    """Questions that have to be answered were not. ``missing`` are they, with their answers."""

    def __init__(self, missing: Sequence[Question]) -> None:
        self.missing = {one.name: list(one.choices) for one in missing}
        super().__init__(
            "not answered: " + "; ".join(f"{name} ({', '.join(can)})" for name, can in self.missing.items()),
            "give each with --answer NAME=WORD, or all in a file with --answers FILE, and type the same command again",
        )


def ended_before(context: Context) -> Ending | None:
    """How this visit was about to end when the command was cut off."""
    begun = context.journal.begun(_OUTCOME) if context.journal is not None else None
    return None if begun is None else Ending(begun["outcome"], begun["why"])


def at_the_door(context: Context, carry_out: CarryOut) -> Ending | None:
    """Put the questions; how the visit ends with the answers, None where it goes on."""
    who, given = context.desk.doorstep(context.order.order_id), context.asked.answers
    before = _recorded(context)
    if context.asked.dry_run:
        asked = [one.name for one in answers.questions(who, context.purpose, given)]
        carry_out(Step("door", "At the door", lambda _: {}, lambda _: "", changes=True))
        context.facts["door"] = {"would_ask": asked}
        return None
    if context.asked.ask is None:
        missing = answers.missing(who, context.purpose, {**before, **given})
        if missing:
            carry_out(Step("door", "At the door", lambda _: _stop(missing), lambda _: ""))
    said: dict[str, str] = {}
    passed: set[str] = set()
    while True:
        asked_now = answers.questions(who, context.purpose, said)
        question = next((one for one in asked_now if one.name not in passed), None)
        if question is None:
            break
        passed.add(question.name)
        carry_out(_step(question, given.get(question.name), before.get(question.name), said, who))
        facts = context.facts[_PREFIX + question.name]
        if facts["asked"]:
            said[question.name] = facts["answer"]
        # what ends the visit ends the questions; only to an arrival that ends it a note belongs
        if question.name != answers.ARRIVAL and any(
            answers.ending(name, said[name], said, who) for name in said
        ):
            break
    end = next((one for name in said if (one := answers.ending(name, said[name], said, who))), None)
    if end is None and _findings(context, who, said):
        carry_out(_tell(who, said))
    return end


def take_over(context: Context) -> None:
    """The door lies behind: what was answered there stays among the facts of the visit."""
    if context.journal is None:
        return
    for line in context.journal.lines:
        if line["is"] == "done" and line["step"].startswith(_PREFIX):
            context.facts[line["step"]] = line["facts"]


def end_step(end: Ending) -> Step:
    """The visit ends so: the task stands, and the words are on record."""
    return Step(
        _OUTCOME,
        "The visit ends here",
        lambda context: _end(context, end),
        lambda facts: f"{facts['outcome'].replace('_', ' ')}: {facts['why']}. A task waits: {facts['next']}",
    )


def _stop(missing: Sequence[Question]) -> Facts:
    raise NotAsked(missing)


def _recorded(context: Context) -> dict[str, str]:
    """What was answered before the command was cut off."""
    if context.journal is None:
        return {}
    return {
        line["step"].removeprefix(_PREFIX): line["facts"]["answer"]
        for line in context.journal.lines
        if line["is"] == "done" and line["step"].startswith(_PREFIX) and line["facts"].get("asked")
    }


def _step(
    question: Question, given: str | None, before: str | None, said: answers.Answers, who: Doorstep
) -> Step:
    # an answer that would end the visit is asked again where the command was cut off: it may be otherwise now
    ends = before is not None and answers.ending(question.name, before, {**said, question.name: before}, who)
    return Step(
        _PREFIX + question.name,
        question.text,
        lambda context: _answer(context, question, given, dict(said)),
        lambda facts: _told(question, facts),
        lasting=before is not None and given in (None, before) and not ends,
    )


def _answer(context: Context, question: Question, given: str | None, said: answers.Answers) -> Facts:
    answer = given
    if answer is None and context.asked.ask is not None:
        answer = _put(context.asked.ask, question, said)
    if answer is None or answer == "":
        return {"asked": False, "answer": None}
    wrong = answers.problem(question.name, answer, said)
    if wrong:
        raise Stop(f"{question.name} can not be {answer}: {wrong}", "give another answer")
    return {"asked": True, "answer": answer}


def _put(ask: Callable[[str], str], question: Question, said: answers.Answers) -> str:
    """Ask until there is an answer; the first letters of a word are enough."""
    told = "".join(
        f"\n    {word}{f' - {meaning}' if meaning else ''}" for word, meaning in question.choices.items()
    )
    while True:
        typed = ask(f"{question.text}{told}\n  ").strip()
        if not question.choices:
            return typed[: answers.MOST_NOTE]
        if not typed and not question.must:
            return ""
        plain = typed.casefold().replace(" ", "_")
        plain = {"y": "yes", "n": "no"}.get(plain, plain)
        found = [word for word in question.choices if plain and word.startswith(plain)]
        if plain in question.choices:
            found = [plain]
        if len(found) == 1 and not answers.problem(question.name, found[0], said):
            return found[0]


def _told(question: Question, facts: Facts) -> str:
    if not facts["asked"]:
        return "not asked"
    meaning = question.choices.get(facts["answer"], "")
    return f"{facts['answer'].replace('_', ' ')}{f': {meaning}' if meaning else ''}"


# ------------------------------------------------------------------------------------------------ what follows


def _end(context: Context, end: Ending) -> Facts:
    sentence = f"{_visit(context)} ended: {end.why}. {_LEFT[context.purpose]}: {NEXT[end.outcome]}."
    _raise(context, f"visit_{end.outcome}", sentence)
    return {"outcome": end.outcome, "why": end.why, "next": NEXT[end.outcome]}


def _tell(who: Doorstep, said: answers.Answers) -> Step:
    def act(context: Context) -> Facts:
        found = _findings(context, who, said)
        for kind, sentence in found:
            _raise(context, kind, sentence)
        return {"tasks": [kind for kind, _ in found]}

    return Step(
        "told on",
        "The practitioner is told",
        act,
        lambda facts: "a task waits" if len(facts["tasks"]) == 1 else f"{len(facts['tasks'])} tasks wait",
    )


def _findings(context: Context, who: Doorstep, said: answers.Answers) -> list[tuple[str, str]]:
    found = []
    needs = answers.needing_adjustment(said)
    if needs:
        done = answers.every()["adjustment"].choices[said["adjustment"]]
        found.append(
            (
                "visit_adjustment",
                f"{_visit(context)} found that an adjustment is needed ({', '.join(needs)}): {done}. See whether the "
                "tag can be worn so, and ask for medical advice where it is needed.",
            )
        )
    if who.interpreter and said.get("interpreter") == "not_needed":
        found.append(
            (
                "visit_interpreter",
                f"The order says that an interpreter is needed ({who.language or 'language not told'}), and "
                f"{_visit(context, 'the visit')} went on without one, since officer and wearer understood each other. "
                "Find out which is right.",
            )
        )
    return found


def _visit(context: Context, word: str = "The visit") -> str:
    assert context.journal is not None
    return f"{word} of {context.journal.began} by {context.asked.by}"


def _raise(context: Context, kind: str, sentence: str) -> None:
    """A task for the practitioner; said again it is the same one."""
    assert context.journal is not None
    context.desk.task(context.order.order_id, kind, f"visit {context.journal.visit}", sentence)
