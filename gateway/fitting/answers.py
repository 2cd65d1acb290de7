"""The questions at the door, what may be answered to each, and what follows. Nothing is asked here: this is the paper.

An answer is a word of its question. One that was not given stands as *not asked*, never as the likely one; where the
visit can not go on without it, it stops.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gateway.fitting.doorstep import Doorstep

Outcome = Literal["no_answer", "refused", "unsafe", "rebook"]
"""How a visit ends at which nothing was done."""
OUTCOMES: tuple[Outcome, ...] = ("no_answer", "refused", "unsafe", "rebook")
Answers = Mapping[str, str]
HEALTH = ("skin", "swelling", "pregnancy", "implant")
ARRIVAL, NOTE = "arrival", "note"
MOST_NOTE = 500


class AnswersError(ValueError):
    """Answers that can not be used; the text names each, and what may be said."""


@dataclass(frozen=True, slots=True)
class Ending:
    """The visit is over. ``why`` is a clause for the record and the task."""

    outcome: Outcome
    why: str


@dataclass(frozen=True, slots=True)
class Question:
    """One question. ``choices`` are its answers, each with what it means and what is to be done; none: words.

    ``must``: without an answer the visit stops.
    """

    name: str
    text: str
    choices: Mapping[str, str]
    must: bool = True


_YES_NO = {"yes": "", "no": ""}
_HEALTH = {"no": "", "yes": "adjustment needed", "not_said": "they would rather not say"}


def questions(who: Doorstep, purpose: str, said: Answers) -> list[Question]:
    """What is to be asked of whom, in this order; ``said`` decides about those that hang on others."""
    asked = [
        Question(
            ARRIVAL,
            f"Are you with {who.wearer}, and is it safe to go on?",
            {
                "yes": "",
                "no_answer": "nobody opens, or they are not in: ring, wait, call, and go",
                "refused": "they will not be visited: do not argue, go",
                "unsafe": "go now; call when you are away",
                "rebook": "another time was agreed",
            },
        )
    ]
    if said.get(ARRIVAL, "yes") != "yes":
        return [*asked, Question(NOTE, "What happened, in few words and without names?", {}, must=False)]
    born = f", born {who.born}" if who.born else ""
    asked.append(
        Question(
            "identity",
            f"How do you know that this is {who.wearer}{born}?",
            {
                "document": "a passport, driving licence or the like, with a photograph",
                "photo": "the photograph that came with the order",
                "date_of_birth": "they told name, date of birth and address, and all agree with the order",
                "known": "you have met them before",
                "staff": "staff of the prison, court or premises say so",
                "no": "you do not: nothing is fitted",
            },
        )
    )
    if who.child is None and not who.adult_needed:
        asked.append(
            Question(
                "age",
                f"Is {who.wearer} 18 or older? The order does not say",
                {"adult": "", "child": "under 18: a responsible adult has to be there"},
            )
        )
    if who.needs_adult or said.get("age") == "child":
        adult = " ".join(
            part for part in (who.adult, f"({who.adult_relation})" if who.adult_relation else "") if part
        )
        asked.append(
            Question(
                "adult",
                f"Is a responsible adult here{f': {adult}' if adult else ''}?",
                {
                    "named": "the one whom the order names",
                    "other": "another one: have them sign with their name",
                    "no": "nothing is fitted without one",
                },
            )
        )
    language = (
        f" The order says: interpreter needed, {who.language or 'language not told'}."
        if who.interpreter
        else ""
    )
    asked.append(
        Question(
            "interpreter",
            f"Is an interpreter at work?{language}",
            {
                "not_needed": "you understand each other",
                "here": "in person",
                "phone": "by telephone",
                "missing": "needed, and not to be had: nothing is done without one",
            },
            must=bool(who.interpreter),
        )
    )
    if purpose == "remove":
        return asked
    asked += [
        Question(
            "consent",
            "You have told what the tag does and what you will do now. May you go on?",
            {"yes": "", "no": "they refuse: do not argue"},
        ),
        Question("skin", "Is the skin of the leg broken, sore or with a rash?", _HEALTH),
        Question("swelling", "Is the leg swollen, or does it swell at times?", _HEALTH),
        Question("pregnancy", "Is there a pregnancy that you should know of?", _HEALTH),
        Question("implant", "Is there a pacemaker, an insulin pump or another implant?", _HEALTH),
    ]
    needs = needing_adjustment(said)
    if needs:
        asked.append(
            Question(
                "adjustment",
                f"Adjustment needed ({', '.join(needs)}). What do you do?",
                {
                    "other_leg": "the tag goes on the other leg",
                    "wider": "the strap is set wider, and looked at again within days",
                    "advice": "a doctor, nurse or midwife has said that it may be worn so",
                    "not_today": "nothing is fitted until somebody has decided",
                },
            )
        )
    return asked


def needing_adjustment(said: Answers) -> list[str]:
    """What of the wearer's health asks for an adjustment."""
    return [name for name in HEALTH if said.get(name) == "yes"]


_ADVISED: tuple[str, ...] = ("pregnancy", "implant")
"""Another leg is no answer to these."""


def problem(name: str, answer: str, said: Answers) -> str:
    """Why this can not be the answer beside the others; "" where it can."""
    needs = [one for one in needing_adjustment(said) if one in _ADVISED]
    if name == "adjustment" and needs and answer not in ("advice", "not_today"):
        return f"for {' and '.join(needs)} only advice (of a doctor, nurse or midwife) or not_today will do"
    return ""


def ending(name: str, answer: str, said: Answers, who: Doorstep) -> Ending | None:
    """Whether the visit is over with this answer."""
    if name == ARRIVAL and answer != "yes":
        why: dict[str, tuple[Outcome, str]] = {
            "no_answer": ("no_answer", "nobody opened, or the wearer was not there"),
            "refused": ("refused", "the wearer would not be visited"),
            "unsafe": ("unsafe", "it was not safe to go on"),
            "rebook": ("rebook", "another time was agreed"),
        }
        return Ending(*why[answer])
    ends: dict[tuple[str, str], Ending] = {
        ("identity", "no"): Ending("rebook", "the officer could not be sure that this was the wearer"),
        ("adult", "no"): Ending(
            "rebook", "no responsible adult was there, and the wearer is under 18 or needs one"
        ),
        ("interpreter", "missing"): Ending(
            "rebook",
            f"an interpreter was needed ({who.language or 'language not told'}) and was not to be had",
        ),
        ("consent", "no"): Ending("refused", "the wearer did not agree to go on"),
        ("adjustment", "not_today"): Ending(
            "rebook", f"adjustment needed ({', '.join(needing_adjustment(said))})"
        ),
    }
    return ends.get((name, answer))


def missing(who: Doorstep, purpose: str, said: Answers) -> list[Question]:
    """The questions without which the visit can not go on, and that are not answered."""
    for name, answer in said.items():
        if ending(name, answer, said, who) is not None:
            return []
    return [one for one in questions(who, purpose, said) if one.must and one.name not in said]


def every() -> dict[str, Question]:
    """Every question that there is, by its name."""
    anyone = Doorstep("", 0, "the wearer", child=None)
    answers = {"age": "child", "skin": "yes"}
    asked = [*questions(anyone, "fit", answers), *questions(anyone, "fit", {ARRIVAL: "no_answer"})]
    return {one.name: one for one in asked}


def checked(given: Iterable[tuple[str, object]]) -> dict[str, str]:
    """Answers as they were given, each a word of its question. Raises AnswersError with every problem."""
    known = every()
    said: dict[str, str] = {}
    wrong = []
    for name, answer in given:
        if name not in known:
            wrong.append(f"{name!r} is no question (there are {', '.join(known)})")
        elif not isinstance(answer, str) or (known[name].choices and answer not in known[name].choices):
            wrong.append(f"{name} is none of {', '.join(known[name].choices) or 'words'}: {answer!r}")
        elif said.get(name, answer) != answer:
            wrong.append(f"{name} is answered twice, {said[name]!r} and {answer!r}")
        else:
            said[name] = answer.strip()[:MOST_NOTE]
    wrong += [text for name, answer in said.items() if (text := problem(name, answer, said))]
    if wrong:
        raise AnswersError("; ".join(wrong))
    return said


def from_file(path: Path) -> dict[str, str]:
    """Answers from a file, a JSON object. Raises AnswersError."""
    try:
        told = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise AnswersError(f"{path} can not be read ({error})") from None
    if not isinstance(told, dict):
        raise AnswersError(f"{path} holds no object of answers")
    return checked(told.items())
