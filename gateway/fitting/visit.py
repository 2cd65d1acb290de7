"""One visit from its first step to its last: each is written down before and after, and none is done twice."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gateway.clock import utc_text
from gateway.fitting import binding, door, identity, looks, papers, record, swap, unfinished
from gateway.fitting.answers import ARRIVAL, Ending
from gateway.fitting.context import HOME_UNIT, Asked, Context, Listener, Purpose
from gateway.fitting.desk import Desk, Worn
from gateway.fitting.journal import Facts, Journal
from gateway.fitting.local_desk import LocalDesk
from gateway.fitting.remote_desk import Away
from gateway.fitting.steps import Step
from gateway.fitting.stops import BatteryFlat, CableGone, NoAnswer, Stop
from gateway.settings import Settings
from gateway.store import Store

__all__ = ["Asked", "Fitted", "finish", "fit", "visit"]


@dataclass(frozen=True, slots=True)
class Fitted:
    """How a visit has ended. ``activation`` is None after a dry run, and where it ended at the door.

    ``folder`` holds the record; None after a dry run.
    """

    outcome: str
    visit: str
    device: str
    activation: str | None
    resumed: bool
    steps: Mapping[str, Facts] = field(default_factory=dict)
    folder: Path | None = None


def fit(
    settings: Settings, store: Store, asked: Asked, listener: Listener, purpose: Purpose = "fit"
) -> Fitted:
    """A visit from the gateway's own box, as ``visit`` has it."""
    return visit(LocalDesk(settings, store, asked.by), settings.data_dir, asked, listener, purpose)


def visit(desk: Desk, data_dir: Path, asked: Asked, listener: Listener, purpose: Purpose = "fit") -> Fitted:
    """Fit a tag, and where it is an RF tag its home unit, to the wearer of an order; or check or remove what is worn.

    The journal lies in ``data_dir``. Raises Stop, which names what to do next; what was written before is gone on from
    when it is called again.
    """
    unfinished.refuse_what_needs_a_connection(desk, asked.order_id, purpose)
    order = desk.order(asked.order_id)
    desk.ready()
    if asked.dry_run:
        return _carry_out(Context(desk, asked, listener, order, None, purpose), None)
    at = utc_text(desk.stamp_ms())
    name = f"{at.replace(':', '').replace('-', '')}-{secrets.token_hex(4)}"
    with Journal(data_dir, asked.order_id, purpose, name, at) as journal:
        desk.begins(journal)
        return _carry_out(Context(desk, asked, listener, order, journal, purpose), journal)


def finish(desk: Desk, data_dir: Path, asked: Asked, listener: Listener, purpose: Purpose = "fit") -> Fitted:
    """Finish, without the tag, a fitting that could not bind it or see its first reading, or a removal.

    Raises Stop.
    """
    if asked.order_id not in Journal.waiting(data_dir, unfinished.WAITS, purpose):
        raise Stop(f"nothing of a visit to order {asked.order_id} waits here", "nothing is to be done")
    order = desk.order(asked.order_id)
    with Journal(data_dir, asked.order_id, purpose, "", "") as journal:
        waits = journal.done(unfinished.WAITS) or {}
        asked = replace(asked, address=waits.get("address"), lost=waits.get("lost", False))
        return _Visit(Context(desk, asked, listener, order, journal, purpose), journal).run_to_the_end()


def _carry_out(context: Context, journal: Journal | None) -> Fitted:
    under_way = _Visit(context, journal)
    try:
        fits = context.purpose in ("fit", "swap")
        return under_way.run() if fits else under_way.run_on_what_is_worn()
    finally:
        context.let_go()


class _Visit:
    def __init__(self, context: Context, journal: Journal | None) -> None:
        self._context = context
        self._journal = journal
        self._tag = ""
        self._unit: str | None = None
        self._bound = False

    def run(self) -> Fitted:
        context, asked = self._context, self._context.asked
        if not context.wanted_kinds:
            raise Stop(
                f"order {context.order.order_id} has no condition that a tag could tell of",
                "call the monitoring centre: there is nothing to fit",
            )
        unfinished.refuse_what_waits(self._journal)
        begun_with = self._begun_with("identify")
        end = self._door(
            begun_with["device"]
            if begun_with is not None and identity.bound_here(context, begun_with["device"])
            else None
        )
        if end is not None:
            return self._ended(end)
        if asked.at_source and not asked.dry_run:
            self._step(unfinished.release_step(asked))
        replaced = self._replaced() if context.purpose == "swap" else None
        if asked.dry_run and replaced is not None:
            return Fitted("would swap", "", replaced.device, None, False, context.facts)
        kinds = context.wanted_kinds if replaced is None else [replaced.kind]
        unit = asked.unit
        if replaced is not None and replaced.kind == "rf_tag" and self._begun_with("bind") is None:
            unit = swap.unit_of(context, replaced)
        tag_locked = self._journal is not None and self._journal.done("lock") is not None
        rf_before = begun_with is not None and begun_with["kind"] == "rf_tag" and tag_locked
        if rf_before:
            assert begun_with is not None
            self._tag = begun_with["device"]
            self._bound = identity.bound_here(context, self._tag) is not None
            kind = "rf_tag"
            assert self._journal is not None
            for step in _of_tag(kind):  # the tag may be on the leg and unplugged by now
                done = self._journal.done(step.name)
                if done is not None:
                    context.facts[step.name] = done
        else:
            kind = self._find("", kinds, asked.device, begun_with)
            self._tag = context.on_the_line.device
            self._bound = identity.bound_here(context, self._tag) is not None
            self._steps(_of_tag(kind))
        if asked.dry_run:
            return Fitted("would fit", "", self._tag, None, False, context.facts)
        if kind == "rf_tag":
            self._find("unit ", [HOME_UNIT], unit, self._begun_with("unit identify"))
            self._unit = context.on_the_line.device
            self._steps(_of_unit(self._tag))
        waits = self._reading_or_what_waits()
        checked = context.facts["unit check" if self._unit else "check"]
        if asked.at_source:
            checked = {**checked, "at_ms": context.facts[unfinished.RELEASE]["release_ms"]}
        if replaced is not None:
            step = swap.exchange_step(replaced, self._tag, checked, self._unit)
            self._step(step, replaced=replaced.as_facts())
        elif unfinished.BINDING not in waits:
            self._steps([_bind(self._tag, checked, self._unit)])
        self._steps([_lock("unit " if self._unit else "")])
        if context.desk.connected:
            self._steps([_wipe(self._tag, self._unit or "")])
        assert self._journal is not None
        visit, resumed = self._journal.visit, self._journal.resumed
        self._step(papers.leaflet_step(self._journal, kind, self._tag))
        if waits:
            self._step(unfinished.waits_step(self._journal, kind, self._tag, self._unit, waits))
            bound = context.facts.get("bind", {}).get("activation")
            folder = self._journal.folder / "done" / visit
            return Fitted("not finished", visit, self._tag, bound, resumed, context.facts, folder)
        self._steps([_record(self._journal)])
        self._journal.close_visit()
        return Fitted(
            "fitted" if replaced is None else "swapped",
            visit,
            self._tag,
            context.facts["bind"]["activation"],
            resumed,
            context.facts,
            self._journal.folder / "done" / visit,
        )

    def _replaced(self) -> swap.Replaced:
        """The tag that goes: at the plug, until its readings are committed; known by its number where it is lost."""
        context, asked = self._context, self._context.asked
        before = swap.begun_with(context)
        if before is None:
            rows = _somebody_wears(context)
            handed_over = self._begun_with("old last readings")
            if asked.lost:
                before = swap.lost(rows, asked.old)
            else:
                number = handed_over["device"] if handed_over is not None else self._old_at_the_plug(rows)
                row = next((one for one in rows if one.device == number), None)
                if row is None:
                    raise Stop(
                        f"{number} is not on this wearer any more",
                        "call the gateway's operator: it was taken off",
                    )
                before = swap.Replaced(row.device, row.activation, row.kind, False)
            if handed_over is None:
                swap.ask_for_the_new_one(context, before.device)
        context.replaces = before.device
        return before

    def _old_at_the_plug(self, rows: Sequence[Worn]) -> str:
        known = self._context.asked.old or (rows[0].device if len(rows) == 1 else None)
        self._find(_OLD, sorted({row.kind for row in rows}), known, None)
        device = self._context.on_the_line.device
        self._steps([replace(_LAST_READINGS, name="old last readings")])
        return device

    def _reading_or_what_waits(self) -> list[str]:
        """See the first reading, where it can be seen now; else what of the visit waits."""
        if not self._context.desk.connected:
            return [unfinished.READING, unfinished.BINDING]
        step = _first_reading("unit check", self._tag) if self._unit else _first_reading("check")
        try:
            self._steps([step])
        except (CableGone, NoAnswer, BatteryFlat, Away):
            raise
        except Stop:
            if not self._context.asked.at_source:
                raise
            return [unfinished.READING]
        return []

    def run_to_the_end(self) -> Fitted:
        """Finish what waits, without the tag."""
        context, journal = self._context, self._journal
        waits = journal.done(unfinished.WAITS) if journal is not None else None
        if journal is None or waits is None:
            raise Stop(
                f"nothing of a visit to order {context.order.order_id} waits", "nothing is to be done here"
            )
        context.facts.update(journal.every_done())
        self._tag, self._unit = waits["device"], waits["unit"]
        if context.purpose == "remove":
            return self._removed_at_last(journal, waits)
        self._bound = identity.bound_here(context, self._tag) is not None
        self._steps([unfinished.deliver_step(journal, waits), unfinished.reading_step(waits)])
        if unfinished.BINDING in waits["waits"]:
            self._steps([_bind(self._tag, context.facts["deliver"], self._unit)])
        self._steps([_wipe(self._tag, self._unit or ""), _record(journal)])
        journal.close_visit()
        unfinished.over(journal, waits)
        bound = context.facts["bind"]["activation"]
        folder = journal.folder / "done" / journal.visit
        return Fitted("fitted", journal.visit, self._tag, bound, True, context.facts, folder)

    def _removed_at_last(self, journal: Journal, waits: Facts) -> Fitted:
        """Its activation ends from when it was taken off."""
        context, activation = self._context, waits["activation"]
        self._steps([unfinished.deliver_step(journal, waits)])
        removed_ms = context.facts["deliver"]["at_ms"]
        self._step(_unbind(activation, self._tag, removed_ms), activation=activation, removed_ms=removed_ms)
        self._steps([_record(journal)])
        journal.close_visit()
        unfinished.over(journal, waits)
        folder = journal.folder / "done" / journal.visit
        return Fitted("removed", journal.visit, self._tag, activation, True, context.facts, folder)

    def run_on_what_is_worn(self) -> Fitted:
        """Check the device that the wearer has on, or remove it."""
        context, asked, journal = self._context, self._context.asked, self._journal
        remove = context.purpose == "remove"
        unfinished.refuse_what_waits(journal)
        ends = "unbind" if context.desk.connected else unfinished.WAITS
        begun = journal.begun(ends) if journal is not None else None
        if begun is None:
            _somebody_wears(context)
        if not (remove and asked.lost):
            end = self._door(begun["device"] if begun is not None else None)
            if end is not None:
                return self._ended(end)
        if begun is not None:
            self._tag, activation = begun["device"], begun["activation"]
        else:
            activation = self._find_worn(lost=remove and asked.lost)
        if not remove:
            self._steps([*_provision("")[2:], _STRAP, _check("")])
            if context.on_the_line.kind != "rf_tag" and not asked.dry_run:
                self._steps([_first_reading("check")])
        elif begun is None and not asked.lost:
            self._steps([_LAST_READINGS])
        if journal is None:
            return Fitted(f"would {context.purpose}", "", self._tag, None, False, context.facts)
        if remove:
            removed_ms = begun["removed_ms"] if begun is not None else context.now_ms()
            if not context.desk.connected:
                context.facts.setdefault("identify", {"device": self._tag, "activation": activation})
                self._step(
                    unfinished.removal_waits_step(journal, self._tag, activation, removed_ms),
                    activation=activation,
                    removed_ms=removed_ms,
                )
                folder = journal.folder / "done" / journal.visit
                return Fitted(
                    "not finished",
                    journal.visit,
                    self._tag,
                    activation,
                    journal.resumed,
                    context.facts,
                    folder,
                )
            self._step(
                _unbind(activation, self._tag, removed_ms), activation=activation, removed_ms=removed_ms
            )
        context.facts.setdefault("identify", {"device": self._tag, "activation": activation})
        self._steps([_record(journal)])
        journal.close_visit()
        outcome = "removed" if remove else "checked"
        folder = journal.folder / "done" / journal.visit
        return Fitted(outcome, journal.visit, self._tag, activation, journal.resumed, context.facts, folder)

    def _find_worn(self, *, lost: bool) -> str:
        """The device that the wearer has on, at the plug unless it is lost; its activation."""
        context, wanted = self._context, self._context.asked.device
        rows = _somebody_wears(context)
        if lost:
            rows = [row for row in rows if wanted in (None, row.device)]
            if len(rows) != 1:
                raise Stop(
                    "it is not clear which of this wearer's devices is gone",
                    "type the same command with --device and its number",
                )
            self._tag = rows[0].device
        else:
            known = wanted or (rows[0].device if len(rows) == 1 else None)
            self._find("", sorted({row.kind for row in rows}), known, None)
            self._tag = context.on_the_line.device
        return next(row.activation for row in rows if row.device == self._tag)

    def _door(self, done_with: str | None) -> Ending | None:
        """What is asked at the door; how the visit ends there, None where it goes on.

        ``done_with`` is the device with which the visit has done already what it came for.
        """
        context, given = self._context, self._context.asked.answers.get(ARRIVAL, "yes")
        if done_with is not None:
            if given != "yes":
                raise Stop(
                    f"this visit has done with {done_with} what it came for, and can not end as {given}",
                    "type the same command without that answer: it only writes the record",
                )
            door.take_over(context)
            return None
        return door.ended_before(context) or door.at_the_door(context, self._step)

    def _ended(self, end: Ending) -> Fitted:
        """The visit is over at the door: the task, the record."""
        context, journal = self._context, self._journal
        assert journal is not None, "a dry run asks nothing"
        door.take_over(context)
        self._step(door.end_step(end), outcome=end.outcome, why=end.why)
        self._steps([_record(journal)])
        journal.close_visit()
        folder = journal.folder / "done" / journal.visit
        return Fitted(end.outcome, journal.visit, "", None, journal.resumed, context.facts, folder)

    def _begun_with(self, name: str) -> Facts | None:
        return self._journal.done(name) if self._journal is not None else None

    def _find(self, role: str, kinds: list[str], wanted: str | None, before: Facts | None) -> str:
        """Find the device, and see that it is the right one."""
        context = self._context
        known = wanted or (before["device"] if before else None)
        self._step(_find(role, kinds, known))
        side = context.on_the_line
        said = side.who.device
        bound = before is not None and identity.bound_here(context, before["device"]) is not None
        if before is not None and said not in (None, before["device"]) and (bound or role):
            raise Stop(
                f"this is {said}, and this visit has fitted {before['device']}",
                f"plug in {before['device']}, and type the same command again",
            )
        given = self._begun_with(f"{role}identity")
        if said is None and given is not None and known == given["device"]:
            raise Stop(
                f"what is plugged in is new, and this visit has given {known} its identity already",
                f"put the plug on {known}, and type the same command again; for this one type it with "
                f"{'--unit' if role == 'unit ' else '--device'} and the number on its case",
            )
        self._step(_identify(role, wanted, before["device"] if before else None))
        return side.kind

    def _steps(self, steps: list[Step]) -> None:
        for step in steps:
            self._step(step)

    def _step(self, step: Step, **begun_with: Any) -> None:
        context, journal = self._context, self._journal
        device = (
            self._tag
            if step.name in ("bind", "unbind", unfinished.WAITS) or context.side is None
            else context.side.device
        )
        before = journal.done(step.name) if journal is not None else None
        if before is not None and (
            (step.before_bound and self._bound)
            or (step.lasting and before.get("device", device) == device and before.get("good", True))
        ):
            context.facts[step.name] = before
            return
        if context.asked.dry_run and (
            step.changes or (step.only_known and context.on_the_line.who.device is None)
        ):
            context.listener.begun(step.name, step.doing)
            context.listener.done(step.name, "would be done", good=True)
            return
        self._note(step.name, "begun", {"device": device or None, **begun_with})
        context.listener.begun(step.name, step.doing)
        try:
            facts = step.act(context)
        except Stop as stop:
            self._note(step.name, "stopped", {"device": device or None, "fact": stop.fact})
            raise
        context.facts[step.name] = facts
        self._note(step.name, "done", facts)
        context.listener.done(step.name, step.told(facts), good=bool(facts.get("good", True)))

    def _note(self, name: str, now: Any, facts: Facts) -> None:
        if self._journal is not None:
            self._journal.note(name, now, utc_text(self._context.desk.stamp_ms()), facts)


def _somebody_wears(context: Context) -> Sequence[Worn]:
    rows = context.on_this_wearer()
    if not rows:
        raise Stop(f"nobody has a device on under order {context.order.order_id}", "nothing is to be done")
    return rows


# ------------------------------------------------------------------------------------------------ the steps


_OLD = "old "
_ROLES = {"": "tag", "unit ": "home unit", _OLD: "tag that goes"}


def _find(role: str, kinds: list[str], device: str | None) -> Step:
    return Step(
        f"{role}find",
        f"Looking for the {_ROLES[role]}",
        lambda context: identity.find(context, kinds, device),
        lambda facts: f"{facts['said']} at {facts['port']}",
        changes=False,
    )


def _identify(role: str, wanted: str | None, begun_with: str | None) -> Step:
    return Step(
        f"{role}identify",
        "Is it the right one?",
        lambda context: identity.identify(
            context, wanted, begun_with, worn=role == _OLD or context.purpose in ("check", "remove")
        ),
        lambda facts: (
            f"{facts['device']}, a {'new ' if facts['new'] else ''}{facts['kind'].replace('_', ' ')}, "
            f"firmware {facts['firmware']}"
        ),
        changes=False,
    )


def _provision(role: str) -> list[Step]:
    return [
        Step(
            f"{role}identity",
            "Giving identity, keys and settings",
            identity.give,
            lambda facts: ", ".join(facts["given"]) if facts["given"] else "it has all of it",
        ),
        Step(
            f"{role}read back",
            "Reading them back",
            identity.read_back,
            lambda facts: "all is as it was given, and it knows its key",
            changes=False,
            only_known=True,
        ),
        Step(
            f"{role}self-test",
            "Battery, case and sensors",
            looks.self_test,
            _verdicts,
            changes=False,
            before_bound=True,
            only_known=True,
        ),
    ]


def _of_tag(kind: str) -> list[Step]:
    steps = _provision("")
    if kind == "gps_tag":
        steps.append(
            Step(
                "sky",
                "Satellites",
                looks.sky,
                _sky,
                changes=False,
                lasting=True,
                before_bound=True,
                only_known=True,
            )
        )
    steps.append(_STRAP)
    if kind == "alcohol_tag":
        steps.append(
            Step(
                "baseline",
                "The baseline at this skin",
                looks.baseline,
                lambda facts: f"infrared {facts['infrared_mv']} mV, {facts['temperature_c']:.1f} °C",
                before_bound=True,
            )
        )
    steps.append(_check(""))
    if kind == "rf_tag":
        steps.append(_lock(""))
    return steps


_STRAP = Step("strap", "Strap and case", looks.strap, lambda facts: "closed", before_bound=True)
_LAST_READINGS = Step(
    "last readings",
    "What it still holds",
    looks.last_readings,
    lambda facts: (
        "all is committed"
        if facts["good"]
        else f"{facts['held']} readings: charge it where it has a connection"
    ),
    changes=False,
)


def _unbind(activation: str, device: str, removed_ms: int) -> Step:
    return Step(
        "unbind",
        "Ending its activation",
        lambda context: binding.unbind(context, activation, device, removed_ms),
        lambda facts: (
            f"{facts['activation']} has ended" + "".join(f", {one} is free" for one in facts["units"])
        ),
    )


def _of_unit(tag: str) -> list[Step]:
    return [
        *_provision("unit "),
        Step(
            "hear",
            "The home unit listens for the tag",
            lambda context: looks.hear(context, tag),
            lambda facts: f"it hears {facts['tag']}",
        ),
        Step(
            "survey",
            "From which rooms the home unit hears the tag",
            lambda context: looks.survey(context, tag),
            lambda facts: ", ".join(
                f"{one['room']} {'not heard' if one['dbm'] is None else str(one['dbm']) + ' dBm'}"
                for one in facts["rooms"]
            ),
            lasting=True,
            before_bound=True,
        ),
        _check("unit "),
    ]


def _check(role: str) -> Step:
    return Step(
        f"{role}check",
        "Passing it as an officer",
        looks.check,
        lambda facts: f"passed at {utc_text(facts['at_ms'])}",
        before_bound=True,
    )


def _first_reading(after: str, tag: str | None = None) -> Step:
    return Step(
        "first reading",
        "The first reading through the broker",
        lambda context: looks.first_reading(context, context.facts[after], tag),
        lambda facts: f"committed, received {utc_text(facts['received_ms'])}",
        before_bound=True,
    )


def _bind(tag: str, checked: Facts, unit: str | None) -> Step:
    return Step(
        "bind",
        "Binding it to the order",
        lambda context: binding.bind(context, tag, checked["at_ms"], unit),
        lambda facts: (
            f"activation {facts['activation']}"
            + "".join(f"; NOT MONITORED by it: {one}" for one in facts["not_monitored_by_it"])
        ),
    )


def _lock(role: str) -> Step:
    return Step(f"{role}lock", "Locking it", binding.lock, lambda facts: "it obeys only what is signed")


def _wipe(*device_ids: str) -> Step:
    return Step(
        "wipe",
        "Its keys leave the gateway's folder",
        lambda context: binding.wipe(context, *device_ids),
        lambda facts: "wiped" if facts["wiped"] else "nothing lies there",
    )


def _record(journal: Journal) -> Step:
    return Step(
        "record",
        "Writing the visit's record",
        lambda context: record.write(context, journal),
        papers.told,
    )


def _verdicts(facts: Facts) -> str:
    told = {name: said for name, said in facts["tests"].items() if name not in looks.LATER or said is True}
    return ", ".join(f"{name} {'ok' if said is True else said}" for name, said in told.items())


def _sky(facts: Facts) -> str:
    if facts["good"]:
        return f"{facts['heard']} satellites heard of {facts['in_view']}, and a fix"
    return (
        f"{facts['heard']} satellites heard of {facts['in_view']}, "
        f"{'a fix' if facts['fixes'] else 'NO FIX'}: have the wearer go outdoors for ten minutes tonight"
    )
