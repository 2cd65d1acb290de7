"""The life of an order between its imposition and its end: each thing that happens to it, done whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from sqlalchemy import Connection

from core.alerts import instant_ms
from core.law import check_order
from core.order import DiscountKind, Order, OrderError, order_from_json
from core.rules import DEFAULT_RULES
from core.statute import LegalProblem, Variation
from core.variation import VariationNotice, check_variation
from gateway.clock import utc_text
from gateway.orders import excuses, notices, tasks, variations
from gateway.orders.kinds import Kind
from gateway.orders.next_version import Change, Plan, Recorded, note, plan, write
from gateway.orders.register import OrderRefused
from gateway.orders.times import told
from gateway.store import alerts, intake, order_changes, orders
from gateway.store.order_changes import ChangeRow

MINE = (Kind.ADDRESS, Kind.HOURS)
"""What probation may vary by itself, without the court."""
LAST_MS = 4_102_358_400_000
"""2099-12-31: the end of a suspension that is to last until further notice, of an order that states no end."""


@dataclass(frozen=True, slots=True)
class Done:
    """What came of it: the plan, the record (None in a trial), what is left for people, the numbers of its alerts."""

    planned: Plan
    row: ChangeRow | None
    doubts: tuple[LegalProblem, ...] = ()
    alerts: tuple[int, ...] = ()

    @property
    def again(self) -> bool:
        """It was recorded before, and nothing was changed now."""
        return self.planned.again is not None


@dataclass(frozen=True, slots=True)
class ByProbation:
    """What probation records when it varies a curfew itself (Sentencing Act 2020, Schedule 9, paragraph 10A)."""

    consent: bool | None
    circumstances: str
    views: str
    court: str
    court_told: date | None

    def details(self) -> dict[str, Any]:
        """As it is kept."""
        return {
            "by_probation": True,
            "consent": self.consent,
            "circumstances": self.circumstances,
            "views": self.views,
            "court": self.court,
            "court_told": None if self.court_told is None else self.court_told.isoformat(),
        }


def vary(
    connection: Connection,
    order_id: str,
    kind: Kind,
    change: Change,
    recorded: Recorded,
    now_ms: int,
    effective_ms: int | None,
    *,
    probation: ByProbation | None = None,
    agreed_ms: int | None = None,
    replaces_later: bool = False,
    trial: bool = False,
) -> Done:
    """Vary an order, by the court or (with ``probation``) by probation itself.

    Raises OrderRefused where the kind is not about what changes, or probation may not do so; with the law.
    """
    details = dict(recorded.details)
    if probation is not None:
        if kind not in MINE:
            raise OrderRefused(
                f"probation may vary the times and the address of a curfew only, and this is a “{kind}” "
                f"({Variation.ONLY.reference}): ask the court to vary the order"
            )
        details |= probation.details()
        _not_before_it_was_agreed(now_ms, effective_ms, agreed_ms, "what probation varies")
    if agreed_ms is not None:
        details["agreed"] = utc_text(agreed_ms)
    recorded = replace(recorded, kind=kind, details=details)
    planned = plan(
        connection,
        order_id,
        variations.of_kind(kind, change),
        recorded,
        now_ms,
        effective_ms,
        replaces_later=replaces_later,
    )
    doubts: list[LegalProblem] = []
    if probation is not None and planned.again is None:
        doubts = _may_probation(connection, planned, probation)
    if trial or planned.again is not None:
        return Done(planned, planned.again, tuple(doubts))
    more = {}
    if probation is not None:
        case = intake.case(connection, order_id)
        more["notice"] = notices.notice_of(
            planned, order_id if case is None else case.reference, doubts, now_ms
        )
    row = write(connection, planned, now_ms, more)
    for one in doubts:
        # it stands until a person has seen to it: no version says what was recorded of an earlier one
        about = f"version {row.version}, {one.law.reference}"
        intake.raise_task(connection, order_id, tasks.OF_VARIATION, about, str(one), row.version, now_ms)
    return Done(planned, row, tuple(doubts))


def _may_probation(connection: Connection, planned: Plan, probation: ByProbation) -> list[LegalProblem]:
    """What is doubtful of a variation by probation. Raises OrderRefused with all that forbids it."""
    notice = VariationNotice(
        probation.consent, probation.circumstances, probation.views, probation.court_told
    )
    found: dict[str, LegalProblem] = {}
    for step in planned.steps:
        before = order_from_json(step.before)
        for one in check_variation(before, step.order, notice, DEFAULT_RULES.timezone):
            found.setdefault(f"{one.law.reference}{one.fact}", one)
    known = _versions(connection, planned.order_id)
    was = {str(one) for one in check_order(known[-1], DEFAULT_RULES.timezone, known[:-1])}
    worse = [one for one in planned.problems if one.certain and str(one) not in was]
    forbidden = [one for one in found.values() if one.certain] + worse
    if forbidden:
        raise OrderRefused("probation may not vary it so: " + " ".join(map(str, forbidden)))
    return [one for one in found.values() if not one.certain]


def suspend(
    connection: Connection, order_id: str, from_ms: int, to_ms: int | None, recorded: Recorded, now_ms: int,
    *, trial: bool = False,
) -> Done:  # fmt: skip
    """Nothing is monitored between two instants; without ``to_ms`` until the order ends or it is resumed."""
    if to_ms is None:
        ends = _newest(connection, order_id).end_ms
        to_ms = LAST_MS if ends is None else ends
    if from_ms >= to_ms:
        raise OrderRefused(f"the suspension ends at {told(to_ms)}, not after it begins at {told(from_ms)}")
    change = variations.suspended(from_ms, to_ms, recorded.reason)
    details = {**recorded.details, "from": utc_text(from_ms), "to": utc_text(to_ms)}
    return _changed(connection, order_id, change, replace(recorded, details=details), now_ms, trial=trial)


def resume(
    connection: Connection, order_id: str, at_ms: int, recorded: Recorded, now_ms: int, *, trial: bool = False
) -> Done:
    """What is suspended at ``at_ms``, or later, is monitored again from then on."""
    recorded = replace(recorded, details={**recorded.details, "at": utc_text(at_ms)})
    done = _changed(connection, order_id, variations.resumed(at_ms), recorded, now_ms, trial=trial)
    if not trial:
        open_still = [row.id for row in intake.tasks(connection, order_id) if row.kind == "suspended"]
        intake.settle(connection, open_still, recorded.by, now_ms, f"resumed at {told(at_ms)}")
    return done


def end(
    connection: Connection, order_id: str, at_ms: int, recorded: Recorded, now_ms: int, *, trial: bool = False
) -> Done:
    """Monitoring stops at ``at_ms`` and not before; whoever wears a tag is to be rid of it. What was to hold later does
    not.
    """
    begins_ms = min(one.effective_ms for one in _versions(connection, order_id))
    done = _changed(
        connection,
        order_id,
        variations.ended(at_ms),
        recorded,
        now_ms,
        max(at_ms, begins_ms),
        trial=trial,
        replaces_later=True,
    )
    if done.row is not None and not done.again:
        removal(connection, order_id, at_ms, done.row.version, now_ms)
    return done


def removal(connection: Connection, order_id: str, at_ms: int, version: int, now_ms: int) -> None:
    """Somebody has to take the tags off that are worn under an order which ends."""
    for worn in orders.activations(connection):
        if worn.order_id == order_id and worn.removed_ms is None:
            one = tasks.remove_tag(worn.device, worn.id, told(at_ms))
            intake.raise_task(connection, order_id, one.kind, one.about, one.sentence, version, now_ms)


def discount(
    connection: Connection,
    order_id: str,
    kind: DiscountKind,
    from_ms: int,
    to_ms: int,
    recorded: Recorded,
    now_ms: int,
    *,
    condition: str | None = None,
    agreed_ms: int | None = None,
    trial: bool = False,
) -> Done:
    """Discount time: an absence that was agreed beforehand, or an excuse that is accepted afterwards."""
    if from_ms >= to_ms:
        raise OrderRefused(f"it ends at {told(to_ms)}, not after it begins at {told(from_ms)}")
    entry = {
        "from": utc_text(from_ms),
        "to": utc_text(to_ms),
        "kind": str(kind),
        "reason": recorded.reason,
        **({} if condition is None else {"condition": condition}),
        "by": recorded.by,
        "recorded": utc_text(now_ms),
    }
    details: dict[str, Any] = {
        **recorded.details,
        **{key: entry[key] for key in ("from", "to", "condition") if key in entry},
    }
    if kind == DiscountKind.AUTHORISED_ABSENCE:
        _not_before_it_was_agreed(now_ms, from_ms, agreed_ms, "an authorised absence")
    elif from_ms > now_ms:
        raise OrderRefused(
            f"it begins at {told(from_ms)}, which is still to come: what is agreed beforehand is an authorised absence "
            "(`tagwatch order absence`)"
        )
    if agreed_ms is not None:
        details["agreed"] = utc_text(agreed_ms)
    kinds = {DiscountKind.AUTHORISED_ABSENCE: Kind.ABSENCE, DiscountKind.REASONABLE_EXCUSE: Kind.EXCUSE}
    recorded = replace(recorded, kind=kinds[kind], details=details)
    done = _changed(connection, order_id, variations.discounted(entry), recorded, now_ms, trial=trial)
    if not done.planned.steps:
        return done
    return replace(done, alerts=_concerned(connection, order_id, done.planned.steps[-1].order, entry))


def take_back(
    connection: Connection,
    order_id: str,
    change_id: int,
    recorded: Recorded,
    now_ms: int,
    *,
    trial: bool = False,
) -> Done:
    """An absence or an excuse does not hold any more; that it did stays on record, with who and why."""
    row = order_changes.one(connection, change_id)
    if row is None or row.order_id != order_id or row.kind not in (Kind.ABSENCE, Kind.EXCUSE):
        raise OrderRefused(
            f"change {change_id} is no absence or excuse of order {order_id}: see its number in `tagwatch order show`"
        )
    made = {one.version: one for one in orders.versions(connection, order_id)}[row.version]
    entry = _entry_of(made, row)
    details = {**recorded.details, "of_change": change_id, "of": entry}
    recorded = replace(recorded, kind=Kind.TAKEN_BACK, details=details)
    return _changed(connection, order_id, variations.taken_back(entry), recorded, now_ms, trial=trial)


def refused(connection: Connection, order_id: str, asked: str, recorded: Recorded, now_ms: int) -> ChangeRow:
    """Probation refuses a variation that was asked for, or the wearer does not consent to one. It can be appealed."""
    details = {**recorded.details, "asked": asked}
    return note(connection, order_id, replace(recorded, kind=Kind.REFUSED, details=details), now_ms)


def appealed(
    connection: Connection, order_id: str, change_id: int, outcome: str, recorded: Recorded, now_ms: int
) -> ChangeRow:
    """The wearer appeals to the court against a refusal, or the court has decided on it (``outcome``)."""
    row = order_changes.one(connection, change_id)
    if row is None or row.order_id != order_id or row.kind != Kind.REFUSED:
        raise OrderRefused(
            f"change {change_id} is no refusal of order {order_id}: see its number in `tagwatch order show`"
        )
    details = {**recorded.details, "of_change": change_id, "outcome": outcome}
    return note(connection, order_id, replace(recorded, kind=Kind.APPEAL, details=details), now_ms)


def court_told(
    connection: Connection, order_id: str, version: int, on: date, recorded: Recorded, now_ms: int
) -> ChangeRow:
    """The notice of a variation was given to the sentencing court."""
    row = variation_of(connection, order_id, version)
    details = {**recorded.details, "of_change": row.id, "on": on.isoformat()}
    found = note(connection, order_id, replace(recorded, kind=Kind.COURT_TOLD, details=details), now_ms)
    mine = [
        task.id
        for task in intake.tasks(connection, order_id)
        if task.kind == tasks.OF_VARIATION
        and task.version == row.version
        and Variation.COURT.reference in task.sentence
    ]
    intake.settle(connection, mine, recorded.by, now_ms, f"the court was told on {on}")
    return found


def device(connection: Connection, order_id: str, wanted: str, recorded: Recorded, now_ms: int) -> ChangeRow:
    """Another type of device is to be fitted. The order does not name devices: somebody has to swap it."""
    details = {**recorded.details, "device": wanted}
    row = note(connection, order_id, replace(recorded, kind=Kind.DEVICE, details=details), now_ms)
    one = tasks.swap_device(wanted)
    intake.raise_task(connection, order_id, one.kind, one.about, one.sentence, row.version, now_ms)
    return row


def variation_of(connection: Connection, order_id: str, version: int) -> ChangeRow:
    """The variation by probation that made ``version``. Raises OrderRefused where there is none."""
    for row in order_changes.of_order(connection, order_id):
        if row.last_version is not None and row.version <= version <= row.last_version:
            if "notice" in row.details:
                return row
            raise OrderRefused(
                f"version {version} was made by a “{row.kind}”, of which the court needs no notice: only variations by "
                "probation itself have one"
            )
    raise OrderRefused(f"no variation made version {version} of order {order_id}: see `tagwatch order show`")


@dataclass(frozen=True, slots=True)
class AlertSpan:
    """The time of an alert, UTC ms, and its condition."""

    from_ms: int
    to_ms: int
    condition: str


def order_of_alert(connection: Connection, number: int) -> str:
    """The order of the wearer that an alert is about. Raises OrderRefused."""
    found = alerts.one(connection, number)
    worn = None if found is None else orders.one_activation(connection, str(found["activation"]))
    if worn is None:
        raise OrderRefused(f"alert {number} is not known, or about nobody: see `tagwatch alerts`")
    return worn.order_id


def span_of_alert(connection: Connection, number: int, order_id: str, now_ms: int) -> AlertSpan:
    """What would be excused with an alert: its whole time, up to now while it lasts.

    Raises OrderRefused where it is of another order, or of something that has no excuse.
    """
    if order_of_alert(connection, number) != order_id:
        raise OrderRefused(f"alert {number} is about another order than {order_id}")
    found = alerts.one(connection, number)
    assert found is not None
    if found["state"] == "withdrawn":
        raise OrderRefused(f"alert {number} is withdrawn: there is nothing to excuse")
    if found["rule"] == excuses.ATV_REACHED:
        raise OrderRefused(
            f"alert {number} adds up absences: excuse those that are excused, and they are counted out of it"
        )
    if not found["condition"]:
        raise OrderRefused(
            f"alert {number} is about the equipment, which has no excuse: `tagwatch alert ack` takes a note"
        )
    start, end = (None if found[key] is None else instant_ms(found[key]) for key in ("start", "end"))
    assert start is not None
    return AlertSpan(start, max(start, now_ms if end is None else end) + 1000, str(found["condition"]))


def _changed(
    connection: Connection,
    order_id: str,
    change: Change,
    recorded: Recorded,
    now_ms: int,
    effective_ms: int | None = None,
    *,
    trial: bool,
    replaces_later: bool = False,
) -> Done:
    planned = plan(
        connection, order_id, change, recorded, now_ms, effective_ms, replaces_later=replaces_later
    )
    return Done(planned, planned.again if trial else write(connection, planned, now_ms))


def _not_before_it_was_agreed(now_ms: int, from_ms: int | None, agreed_ms: int | None, what: str) -> None:
    """What is recorded late has to have been agreed before it began: afterwards nothing can be agreed, only excused."""
    if agreed_ms is not None and agreed_ms > now_ms:
        raise OrderRefused(f"it was agreed at {told(agreed_ms)}, which is still to come")
    if from_ms is None or from_ms >= now_ms - _TYPING_MS:
        return
    if agreed_ms is None or agreed_ms > from_ms:
        raise OrderRefused(
            f"{what} begins at {told(from_ms)}, which has passed: say when it was agreed, no later than that, with "
            "--agreed; what was not agreed beforehand is for `tagwatch order excuse`"
        )


_TYPING_MS = 300_000
"""Who types “from now on” takes some minutes for the rest of the line."""


def _newest(connection: Connection, order_id: str) -> Order:
    return _versions(connection, order_id)[-1]


def _versions(connection: Connection, order_id: str) -> Sequence[Order]:
    known = orders.versions(connection, order_id)
    if not known:
        raise OrderRefused(f"order {order_id} is not known: see `tagwatch order list`")
    try:
        return [order_from_json(json.loads(one.document)) for one in known]
    except OrderError as error:
        raise OrderRefused(f"a version of order {order_id} can not be used: {error}") from error


def _entry_of(version: orders.OrderVersion, row: ChangeRow) -> Mapping[str, Any]:
    """The entry that a change has added to what its version discounts: the last of its list."""
    listed = json.loads(version.document).get("discounts", [])
    return dict(listed[-1])


def _concerned(
    connection: Connection, order_id: str, order: Order, entry: Mapping[str, Any]
) -> tuple[int, ...]:
    """The numbers of the alerts that lie in a discounted time."""
    mine = next(
        one
        for one in order.discounts
        if (utc_text(one.from_ms), utc_text(one.to_ms), str(one.kind), one.reason)
        == (entry["from"], entry["to"], entry["kind"], entry["reason"])
    )
    only = replace(order, discounts=(mine,))
    found: list[int] = []
    for worn in orders.activations(connection):
        if worn.order_id == order_id:
            stand = alerts.standing_of(connection, worn.device, worn.id, ())
            told_of = [one.id for one in stand if excuses.about(alerts.alert_of(one), only)]
            found += [number for number, _ in alerts.among(connection, told_of).values()]
    return tuple(sorted(found))
