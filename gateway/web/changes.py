"""What changed between one revision of an alert and the next, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.web.book import AlertRecord, Revision
from gateway.web.words import STATES, clock_time, day, figure_value, figure_words, plain


@dataclass(frozen=True)
class Change:
    """One line of an alert's history. ``by`` is who said it: the gateway, until people record decisions here too."""

    revision: int
    at: datetime | None
    by: str
    what: Sequence[str]


def changes(history: Sequence[Revision]) -> list[Change]:
    """The history of one alert, newest first. ``history`` is ascending, all of the same alert."""
    told = []
    before: AlertRecord | None = None
    for revision in history:
        now = revision.alert
        told.append(
            Change(
                revision=now.revision,
                at=revision.at,
                by=f"Gateway, rule set {now.rule_set}" if now.rule_set is not None else "Gateway",
                what=["Raised"] if before is None else _differences(before, now),
            )
        )
        before = now
    return told[::-1]


def _differences(before: AlertRecord, now: AlertRecord) -> list[str]:
    told = []
    if before.state != now.state:
        told.append(f"{STATES[before.state]} before, now {STATES[now.state].lower()}")
    if before.severity != now.severity:
        told.append(f"Severity was {plain(before.severity).lower()}, now {plain(now.severity).lower()}")
    if before.start != now.start:
        told.append(f"Start moved from {_moment(before.start)} to {_moment(now.start)}")
    if before.end != now.end:
        told.append(_end(before.end, now.end))
    if before.order_version != now.order_version:
        told.append(f"Judged by order version {now.order_version}, before by {before.order_version}")
    if before.rule_set != now.rule_set:
        told.append(f"Judged by rule set {now.rule_set}, before by {before.rule_set}")
    told += [
        f"{figure_words(name)}: {figure_value(value)}, before {figure_value(before.figures.get(name))}"
        for name, value in now.figures.items()
        if value != before.figures.get(name)
    ]
    told += _doubts(before, now)
    if len(before.readings) != len(now.readings):
        told.append(f"Rests on {_count(now)}, before on {_count(before)}")
    if before.sentence != now.sentence and not told:
        told.append("Described anew")
    return told or ["Rests on other readings"]


def _doubts(before: AlertRecord, now: AlertRecord) -> list[str]:
    known, said = ({one.finding: one for one in alert.doubts} for alert in (before, now))
    return [
        *(
            f"Doubtful evidence: device {one.device} was found faulty by {one.by} (finding {number})"
            for number, one in said.items()
            if number not in known
        ),
        *(
            f"No longer doubtful by finding {number}, about device {one.device}"
            for number, one in known.items()
            if number not in said
        ),
    ]


def _end(before: datetime | None, now: datetime | None) -> str:
    if now is None:
        return "No longer has an end"
    return f"End set to {_moment(now)}" if before is None else f"End moved to {_moment(now)}"


def _count(alert: AlertRecord) -> str:
    return f"{len(alert.readings):,} reading" + ("" if len(alert.readings) == 1 else "s")


def _moment(instant: datetime) -> str:
    return f"{clock_time(instant)} on {day(instant)}"
