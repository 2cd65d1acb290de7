"""Which alerts a faulty device has fed: what of an alert's evidence is doubtful, and by which finding.

A finding is a fact next to the readings and no input of the rules: an alert is judged as ever, and can be recomputed
(docs/decisions/0029-a-faulty-device-flags-what-it-fed.md). What is doubtful about it follows from the alert, from who
wore what and which home unit stood where, and from the findings; it is worked out wherever an alert is written, so it
does not matter what came first. Whoever is in doubt whether a device fed an alert is told that it did.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, or_, select, union_all

from core.alerts import instant_ms, iso_utc
from gateway import evidence
from gateway.store import envelopes, stock
from gateway.store.stock import Fault
from gateway.store.tables import activation, alert, device, installation

KEY = "doubts"
"""Of an alert's document: what of its evidence is doubtful. Not there where nothing is."""
_PRESENCE = frozenset({"absent_during_curfew", "whereabouts_unknown", "sources_disagree", "atv_reached"})
"""Rules that rest on what home units hear, and on what they do not: a deaf one has fed them without a reading."""
ADDS_UP = "atv_reached"
"""The rule that adds up absences over all devices of an order."""
NOT_FED = frozenset({"not_monitored", "order_not_monitored", "not_judged"})
"""What no device has said: that an order asks what nothing can watch, or that this program fails at a wearer."""
_MOMENTS = frozenset({"sequence_conflict", "forgotten_readings", "link_tamper", "beacon_goes_back"})
"""Rules whose alerts stay open and tell of what was seen at one moment (`gateway.incidents`)."""


@dataclass(frozen=True, slots=True)
class Sensor:
    """What a part of a device feeds: alerts that name readings of these kinds, and alerts of these rules."""

    kinds: frozenset[str]
    rules: frozenset[str]


def _feeds(*rules: str, kinds: Iterable[str] = ()) -> Sensor:
    return Sensor(frozenset(kinds), frozenset(rules))


SENSORS: Mapping[str, Sensor] = {
    "satellites": _feeds(
        *("no_position", "position_jumps", "jamming", "spoofing", "whereabouts_unknown", "sources_disagree"),
        *("attendance_missed", "attendance_late", "attendance_cut_short", "attendance_unverified"),
        ADDS_UP,
        kinds=["position"],
    ),
    "radio": _feeds(*_PRESENCE, "forged_beacons", "beacon_goes_back", "no_contact", kinds=["contact"]),
    "alcohol": _feeds("alcohol_sensor_fault", "sensor_obstructed", kinds=["sample"]),
    "strap": _feeds("strap_tamper", "whereabouts_unknown", "attendance_unverified", "sensor_obstructed"),
    "case": _feeds("case_tamper", "home_unit_case_open"),
    "motion": _feeds(
        "motion_sensor_fault", "home_unit_motion_sensor_fault", "home_unit_moved", "whereabouts_unknown"
    ),
    "power": _feeds("battery", "home_unit_no_mains", "home_unit_battery_low"),
}
"""By the name that an officer gives."""
BY_READINGS = frozenset(
    {
        *("in_exclusion_zone", "outside_inclusion_zone", "outside_restriction_zone", "inferred_pass"),
        *("near_exclusion_zone", "near_edge_of_inclusion_zone", "near_edge_of_restriction_zone"),
        *("drinking_event", "alcohol_in_surroundings"),
    }
)
"""Rules that a part has fed by the readings that the alert names, and by nothing else."""
AS_A_WHOLE = frozenset(
    {
        *("safe_mode", "home_unit_safe_mode", "settings_lost", "home_unit_settings_lost"),
        *("command_count_lost", "home_unit_command_count_lost"),
        *("sequence_conflict", "forgotten_readings", "link_tamper"),
        # its clock dates its readings; that this box's clock may be the wrong one takes no doubt away
        "readings_ahead",
    }
)
"""Rules about a device's program, journal or clock: fed by whoever was found faulty as a whole, by no sensor."""
FOREVER_MS = 1 << 62


@dataclass(frozen=True, slots=True)
class _Span:
    """A span of tag time; ``to_ms`` is not included."""

    from_ms: int
    to_ms: int

    def meets(self, other: _Span) -> bool:
        return self.from_ms < other.to_ms and other.from_ms < self.to_ms

    def cut(self, other: _Span) -> _Span:
        return _Span(max(self.from_ms, other.from_ms), min(self.to_ms, other.to_ms))


class Doubts:
    """What the findings in force say of alerts. Good for one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._faults = stock.in_force(stock.faults(connection))

    @property
    def numbers(self) -> frozenset[int]:
        """The findings in force."""
        return frozenset(fault.id for fault in self._faults)

    def upon(self, document: str, device_id: str | None, only: Fault | None = None) -> str:
        """An alert's document, JSON, with what of it is doubtful; ``device_id`` is the device it is about, if any.

        With ``only`` that one finding is looked at anew, and what others said of it stays: of an alert whose readings
        were deleted meanwhile nobody could tell any more which ones they were.
        """
        if not self._faults and f'"{KEY}":' not in document:
            return document
        told: dict[str, Any] = json.loads(document)
        known = {int(one["finding"]): one for one in told.pop(KEY, [])}
        if only is None:
            known = {fault.id: _told(fault) for fault in self._faults if self._fed(fault, told, device_id)}
        else:
            known.pop(only.id, None)
            if only in self._faults and self._fed(only, told, device_id):
                known[only.id] = _told(only)
        if not known and f'"{KEY}":' not in document:
            return document
        if known:
            told[KEY] = [known[number] for number in sorted(known)]
        return json.dumps(told, separators=(",", ":"), ensure_ascii=False)

    def _fed(self, fault: Fault, told: Mapping[str, Any], device_id: str | None) -> bool:
        rule, worn = told["rule"], told["activation"]
        if rule in NOT_FED or device_id is None:
            return False
        start_ms = instant_ms(told["start"])
        last_ms = start_ms if rule in _MOMENTS else None if told["end"] is None else instant_ms(told["end"])
        # instants of alerts are cut to whole seconds
        span = _Span(start_ms, FOREVER_MS if last_ms is None else last_ms + 1000)
        faulty = _Span(fault.from_ms, FOREVER_MS if fault.to_ms is None else fault.to_ms)
        if rule == ADDS_UP:
            return self._added_up(fault, worn, start_ms, faulty)
        if fault.device == device_id and _senses(fault, told, None):
            return self._rests(fault, told, None, span, faulty)
        return any(
            self._rests(fault, told, place, span, faulty.cut(stood))
            for place, stood in self._stands(worn, fault.device)
            if self._hears(told, device_id, place) and _senses(fault, told, place)
        )

    def _rests(
        self, fault: Fault, told: Mapping[str, Any], unit: int | None, span: _Span, faulty: _Span
    ) -> bool:
        """Whether it tells of that time, or names a reading that the device made then."""
        if faulty.meets(span):
            return True
        named = zip(told["readings"], told.get("sources") or [], strict=False)
        mine = [(int(epoch), int(seq)) for (epoch, seq), (_, by) in named if by == unit]
        return any(faulty.from_ms <= t_ms < faulty.to_ms for t_ms in self._times(fault.device, mine))

    def _times(self, device_id: str, readings: Iterable[tuple[int, int]]) -> Iterator[int]:
        for epoch, seq in readings:
            for stored in envelopes.holding(self._connection, device_id, epoch, seq, seq):
                try:
                    up, _ = evidence.read(stored)
                except ValueError:  # `tagwatch check` tells of it
                    continue
                for block in up.blocks:
                    if block.first <= seq <= block.last and block.dated and block.records is not None:
                        yield int(block.t_ms()[seq - block.first])

    def _stands(self, activation_id: str | None, unit: str) -> Iterator[tuple[int, _Span]]:
        """Where a home unit stood for an activation, and when."""
        rows = self._connection.execute(
            select(installation.c.place, installation.c.installed_ms, installation.c.removed_ms).where(
                installation.c.activation == activation_id, installation.c.unit == unit
            )
        )
        for place, installed_ms, removed_ms in rows:
            yield int(place), _Span(installed_ms, FOREVER_MS if removed_ms is None else removed_ms)

    def _hears(self, told: Mapping[str, Any], device_id: str | None, place: int) -> bool:
        """Whether an alert rests on what the home unit at that place said, or did not say."""
        if told["rule"] in _PRESENCE or any(by == place for _, by in told.get("sources") or []):
            return True
        # an RF tag has no link of its own: whatever is known of it a home unit has told
        kind = select(device.c.kind).where(device.c.id == device_id)
        return self._connection.execute(kind).scalar() == "rf_tag"

    def _added_up(self, fault: Fault, activation_id: str | None, reached_ms: int, faulty: _Span) -> bool:
        """Whether an absence that the device fed may be among those by which the order's allowance was used up."""
        if fault.sensor and ADDS_UP not in SENSORS[fault.sensor].rules:
            return False
        mine = select(activation.c.order_id).where(activation.c.id == activation_id).scalar_subquery()
        worn = activation.c.order_id == mine
        used = union_all(
            select(activation.c.fitted_ms, activation.c.removed_ms).where(
                worn, activation.c.device == fault.device
            ),
            select(installation.c.installed_ms, installation.c.removed_ms)
            .join(activation, activation.c.id == installation.c.activation)
            .where(worn, installation.c.unit == fault.device),
        )
        rows = self._connection.execute(used).all()
        before = _Span(0, reached_ms + 1000)
        return any(
            faulty.cut(_Span(since_ms, FOREVER_MS if until_ms is None else until_ms)).meets(before)
            for since_ms, until_ms in rows
        )


def may_have_fed(device_id: str) -> ColumnElement[bool]:
    """The alerts that a device may ever have fed: its own, of whoever it stood for, and what adds up over both."""
    heard = select(installation.c.activation).where(installation.c.unit == device_id)
    orders = select(activation.c.order_id).where(
        or_(activation.c.device == device_id, activation.c.id.in_(heard))
    )
    beside = select(activation.c.id).where(activation.c.order_id.in_(orders))
    return or_(
        alert.c.device == device_id,
        alert.c.activation.in_(heard),
        (alert.c.rule == ADDS_UP) & alert.c.activation.in_(beside),
    )


def named_in(document: str) -> frozenset[int]:
    """The findings that an alert's document names."""
    if f'"{KEY}":' not in document:
        return frozenset()
    return frozenset(int(one["finding"]) for one in json.loads(document).get(KEY, []))


def _senses(fault: Fault, told: Mapping[str, Any], unit: int | None) -> bool:
    """Whether the faulty part is one that the alert rests on; ``unit`` is the home unit's place, None: the tag's."""
    if not fault.sensor:
        return True
    sensor = SENSORS[fault.sensor]
    if told["rule"] in sensor.rules:
        return True
    # a tag's radio is heard by home units: the contacts are theirs, and the tag has fed them
    return any(
        kind in sensor.kinds and (by == unit or (unit is None and kind == "contact"))
        for kind, by in told.get("sources") or []
    )


def _told(fault: Fault) -> dict[str, Any]:
    return {
        "finding": fault.id,
        "device": fault.device,
        "sensor": fault.sensor or None,
        "from": iso_utc(fault.from_ms),
        "to": None if fault.to_ms is None else iso_utc(fault.to_ms),
        "reason": fault.reason,
        "by": fault.by,
    }
