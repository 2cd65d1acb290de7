"""The questions at the door: what is asked of whom, what may be answered, and what follows. No tag and no gateway."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.fitting.answers import (
    ARRIVAL,
    HEALTH,
    NOTE,
    OUTCOMES,
    AnswersError,
    checked,
    ending,
    every,
    from_file,
    missing,
    needing_adjustment,
    problem,
    questions,
)
from gateway.fitting.doorstep import Doorstep, under_age

ADULT = Doorstep("o", 1, "Alex Example", born="1990-01-01", child=False)
CHILD = Doorstep("o", 1, "Alex Example", child=True, adult="Mary Example", adult_relation="parent")
UNKNOWN = Doorstep("o", 1, "Alex Example")
POLISH = Doorstep("o", 1, "Alex Example", child=False, interpreter=True, language="Polish")
WELL = {
    ARRIVAL: "yes",
    "identity": "document",
    "consent": "yes",
    **dict.fromkeys(HEALTH, "no"),
}


def test_nothing_is_taken_for_granted_where_nobody_answers() -> None:
    names = [one.name for one in missing(ADULT, "fit", {})]
    assert names == [ARRIVAL, "identity", "consent", *HEALTH]
    assert [one.name for one in missing(ADULT, "fit", {**WELL, "skin": "yes"})] == ["adjustment"]
    assert missing(ADULT, "fit", WELL) == []


def test_of_a_wearer_whose_age_is_not_told_it_is_asked_and_a_child_needs_an_adult() -> None:
    assert [one.name for one in missing(UNKNOWN, "fit", WELL)] == ["age"]
    assert [one.name for one in missing(UNKNOWN, "fit", {**WELL, "age": "child"})] == ["adult"]
    assert [one.name for one in missing(CHILD, "fit", WELL)] == ["adult"]
    assert [one.name for one in missing(CHILD, "remove", {ARRIVAL: "yes", "identity": "photo"})] == ["adult"]
    assert any("Mary Example (parent)" in one.text for one in questions(CHILD, "fit", {}))
    stop = ending("adult", "no", {}, CHILD)
    assert stop is not None
    assert stop.outcome == "rebook"


def test_an_interpreter_is_asked_for_where_the_order_says_so_and_missing_one_ends_the_visit() -> None:
    assert [one.name for one in missing(POLISH, "fit", WELL)] == ["interpreter"]
    end = ending("interpreter", "missing", {}, POLISH)
    assert end is not None
    assert (end.outcome, "Polish" in end.why) == ("rebook", True)


@pytest.mark.parametrize(
    ("name", "answer", "outcome"),
    [
        *((ARRIVAL, outcome, outcome) for outcome in OUTCOMES),
        ("identity", "no", "rebook"),
        ("consent", "no", "refused"),
        ("adjustment", "not_today", "rebook"),
    ],
)
def test_these_answers_end_the_visit_and_nothing_else_is_asked_for(
    name: str, answer: str, outcome: str
) -> None:
    end = ending(name, answer, {"skin": "yes"}, ADULT)
    assert end is not None
    assert end.outcome == outcome
    assert missing(ADULT, "fit", {name: answer}) == []


def test_a_medical_finding_is_answered_by_an_adjustment_and_an_implant_by_advice_only() -> None:
    assert needing_adjustment({"skin": "yes", "swelling": "not_said", "implant": "no"}) == ["skin"]
    assert problem("adjustment", "other_leg", {"skin": "yes"}) == ""
    for name in ("implant", "pregnancy"):
        assert "advice" in problem("adjustment", "other_leg", {name: "yes"})
        assert problem("adjustment", "advice", {name: "yes"}) == ""
        assert problem("adjustment", "not_today", {name: "yes"}) == ""


def test_answers_that_are_no_answers_are_refused_each_with_what_may_be_said(tmp_path: Path) -> None:
    with pytest.raises(AnswersError, match=r"'shoe' is no question.*identity is none of document, photo"):
        checked([("shoe", "42"), ("identity", "maybe")])
    with pytest.raises(AnswersError, match=r"skin is answered twice, 'no' and 'yes'"):
        checked([("skin", "no"), ("skin", "yes")])
    with pytest.raises(AnswersError, match=r"adjustment|only advice"):
        checked([("implant", "yes"), ("adjustment", "wider")])
    for text in ("[]", "{", '{"skin": true}', '{"skin": null}'):
        (tmp_path / "answers.json").write_text(text)
        with pytest.raises(AnswersError):
            from_file(tmp_path / "answers.json")
    with pytest.raises(AnswersError, match=r"can not be read"):
        from_file(tmp_path / "none.json")
    (tmp_path / "answers.json").write_text(json.dumps(WELL))
    assert from_file(tmp_path / "answers.json") == WELL


WHO = st.sampled_from([ADULT, CHILD, UNKNOWN, POLISH])
SAID = st.fixed_dictionaries(
    {},
    optional={name: st.sampled_from(list(one.choices)) for name, one in every().items() if one.choices},
)


@given(WHO, st.sampled_from(["fit", "check", "remove", "swap"]), SAID)
def test_a_visit_goes_on_only_with_every_answer_that_it_needs(
    who: Doorstep, purpose: str, said: Mapping[str, str]
) -> None:
    """Whatever was answered: it ends, or something is missing, or all that protects the wearer was answered well."""
    if any(ending(name, answer, said, who) for name, answer in said.items()):
        return
    if missing(who, purpose, said):
        return
    assert said[ARRIVAL] == "yes"
    assert said["identity"] != "no"
    if who.child or said.get("age") == "child":
        assert said["adult"] in ("named", "other")
    if who.interpreter:
        assert said["interpreter"] in ("here", "phone", "not_needed")
    if purpose != "remove":
        assert said["consent"] == "yes"
        assert all(name in said for name in HEALTH)
        assert not needing_adjustment(said) or said["adjustment"] in ("other_leg", "wider", "advice")


def test_a_note_is_words_and_no_longer_than_a_few() -> None:
    assert every()[NOTE].choices == {}
    assert len(checked([(NOTE, "x" * 5000)])[NOTE]) == 500


def test_who_is_under_18_is_so_until_the_birthday() -> None:
    assert under_age(date(2008, 2, 29), date(2026, 2, 28))
    assert not under_age(date(2008, 2, 29), date(2026, 3, 1))
    assert under_age(date(2008, 11, 23), date(2026, 11, 22))
    assert not under_age(date(2008, 11, 22), date(2026, 11, 22))
