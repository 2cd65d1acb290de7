"""What the gateway itself has to tell people about a device: conflicts, forgotten readings, forged commits, copies.

They are alerts like all others, in the same tables, with an identity of their own (device, journal epoch, numbers), so
hearing of one again changes nothing. They are written in the transaction of the messages that show them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from sqlalchemy import Connection

from core.alerts import Alert, Severity, alert_id
from core.contact import CONDITION
from gateway.sequences import Span
from gateway.store import alerts, orders

RULE_SET = "gateway-1"
RULES = ("sequence_conflict", "forgotten_readings", "link_tamper", "beacon_goes_back")
LISTED = 100
"""Readings that one alert lists at most, the lowest numbers first."""


@dataclass(frozen=True, slots=True)
class Incident:
    """Something about a device. ``occurrence`` and ``rule`` are its identity within the device.

    ``numbers`` are the readings it rests on, of ``epoch``. ``start_ms`` is the tag's time where ``tag_time`` is True,
    else the gateway's, because the tag told none.
    """

    device: str
    rule: Literal["sequence_conflict", "forgotten_readings", "link_tamper", "beacon_goes_back"]
    epoch: int
    occurrence: tuple[int, ...]
    severity: Severity
    sentence: str
    start_ms: int
    tag_time: bool
    numbers: tuple[int, ...] = ()
    figures: tuple[tuple[str, int], ...] = ()


def conflict(device: str, epoch: int, numbers: Sequence[int], start_ms: int, *, tag_time: bool) -> Incident:
    """A device sent other content under known numbers. One alert for a journal, however many numbers it is about."""
    return Incident(
        device,
        "sequence_conflict",
        epoch,
        (epoch,),
        "high",
        f"Device {device} sent different readings under numbers that were stored before. "
        "The first ones stay the evidence; both are kept.",
        start_ms,
        tag_time,
        tuple(numbers[:LISTED]),
    )


def forgotten(device: str, epoch: int, hole: Span, start_ms: int, *, tag_time: bool) -> Incident:
    """A device has forgotten readings that this store never had."""
    return Incident(
        device,
        "forgotten_readings",
        epoch,
        (epoch, hole.first),
        "medium",
        f"Device {device} no longer holds readings {hole.first} to {hole.last}, and they are not stored here. "
        "A restored backup explains this; otherwise find out why.",
        start_ms,
        tag_time,
        figures=(("first", hole.first), ("last", hole.last), ("count", hole.last - hole.first + 1)),
    )


def link_tamper(device: str, epoch: int, number: int, forged: int, t_ms: int, *, tag_time: bool) -> Incident:
    """A device was told things, by radio or at its console, by someone who does not have its key."""
    return Incident(
        device,
        "link_tamper",
        epoch,
        (epoch, number),
        "high",
        f"Device {device} refused messages that did not come from this gateway, or lines on its console that were "
        "signed without its key.",
        t_ms,
        tag_time,
        (number,),
        (("forged_messages", forged),),
    )


def beacon_goes_back(device: str, unit: str, epoch: int, number: int, t_ms: int) -> Incident:
    """A home unit heard a tag with a lower counter than had been heard before: a recording, or a copy of the tag."""
    day = t_ms // 86_400_000
    return Incident(
        device,
        "beacon_goes_back",
        epoch,
        (day,),
        "high",
        f"Home unit {unit} heard beacons of tag {device} that count from before others that were heard earlier. "
        "They were recorded and played again, or there is a copy of the tag: look at both.",
        t_ms,
        True,
        (number,),
    )


def record(connection: Connection, incidents: Sequence[Incident], at_ms: int) -> list[int]:
    """Write incidents as alerts, ``at_ms`` in gateway time; returns the numbers of those that are new or changed."""
    written: list[int] = []
    for incident in incidents:
        found = _as_alert(connection, incident)
        written += alerts.put(connection, [alerts.entry(found, incident.device)], at_ms)
    return written


def _as_alert(connection: Connection, incident: Incident) -> Alert:
    identity = alert_id(incident.device, CONDITION, incident.rule, *incident.occurrence)
    worn = [
        row.id
        for row in orders.activations(connection, incident.device)
        if row.fitted_ms <= incident.start_ms
        and (row.removed_ms is None or incident.start_ms < row.removed_ms)
    ]
    found = Alert(
        id=identity,
        activation=worn[-1] if worn else "",
        condition=CONDITION,
        rule=incident.rule,
        state="open",
        severity=incident.severity,
        start_ms=incident.start_ms,
        end_ms=None,
        order_version=0,
        rule_set=RULE_SET,
        sentence=incident.sentence,
        figures={"time": "tag" if incident.tag_time else "gateway", **dict(incident.figures)},
        readings=tuple((incident.epoch, number) for number in incident.numbers),
    )
    standing = alerts.one_by_id(connection, identity)
    return found if standing is None else _extended(found, standing)


def _extended(found: Alert, standing: alerts.AlertEntry) -> Alert:
    """The alert with what an earlier revision of it knew: all readings, the earliest start."""
    known = {(epoch, number) for epoch, number in json.loads(standing.document)["readings"]}
    earlier = standing.start_ms < found.start_ms
    time = json.loads(standing.document)["figures"]["time"] if earlier else found.figures["time"]
    return replace(
        found,
        activation=standing.activation or "" if earlier else found.activation,
        start_ms=min(found.start_ms, standing.start_ms),
        figures={**found.figures, "time": time},
        readings=tuple(sorted(known | set(found.readings))[:LISTED]),
    )
