"""Counters of RF tags' beacons, compared over all home units: one that goes back was played again, or is a copy's.

A home unit refuses what it has heard before; but it forgets some minutes when its power is cut, and of what another
unit has heard it knows nothing. Here all contacts of a tag come together. Of two intervals one after the other, the
later one can not have a highest counter below the earlier one's: the tag never uses one twice. Whether a recording was
played or a copy of the tag counts for itself can not be told from afar: people have to look.

The alert is the gateway's own (`gateway.incidents`): the same for any order in which the contacts arrive while both are
among the last ``KEPT`` of their tag.
"""

from __future__ import annotations

import json
from bisect import bisect_left, insort
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from gateway.evidence import Said
from gateway.incidents import Incident, beacon_goes_back

KEPT = 64
"""Contacts of a tag that are remembered: the last hour of one home unit, some 13 kB."""
APART_MS = 600_000
"""Clocks of two home units without network time may differ so far; intervals of one unit need not be apart."""


class _Contact(NamedTuple):
    end_ms: int
    begin_ms: int
    counter: int
    unit: str
    epoch: int
    seq: int


class Beacons:
    """What was heard of each tag, by beacon number; see `see`."""

    def __init__(self) -> None:
        self._heard: dict[int, list[_Contact]] = {}
        self._changed: dict[int, set[str]] = {}

    def see(self, unit: str, said: Said, devices: dict[int, str]) -> list[Incident]:
        """Take in what ``unit`` said; an incident for each tag whose counter goes back with it.

        ``devices`` gives the device of each beacon number; beacons of others are passed over.
        """
        found: dict[int, Incident] = {}
        contacts = said.contacts
        for i in np.flatnonzero(said.counters).tolist():
            number = int(said.beacons[i])
            if number not in devices:
                continue
            end_ms = int(contacts.t_ms[i])
            contact = _Contact(
                end_ms,
                end_ms - round(float(contacts.span_s[i]) * 1000),
                int(said.counters[i]),
                unit,
                int(contacts.epoch[i]),
                int(contacts.seq[i]),
            )
            late = self._add(number, contact)
            if late is not None and number not in found:
                device = devices[number]
                found[number] = beacon_goes_back(device, late.unit, late.epoch, late.seq, late.end_ms)
        return list(found.values())

    def heard_of(self, number: int) -> str:
        """What is remembered of a beacon, as text."""
        return json.dumps(self._heard.get(number, []), separators=(",", ":"))

    def recollect(self, number: int, text: str) -> None:
        """Take back what `heard_of` told. Raises ValueError where it is nothing of the kind."""
        try:
            self._heard[number] = [_Contact(*one) for one in json.loads(text)]
        except TypeError as error:
            raise ValueError("not what is remembered of a beacon") from error

    def changed_by(self, units: Iterable[str]) -> list[int]:
        """The beacons of which any of ``units`` has told anything since this was asked last."""
        units = set(units)
        found = [number for number, by in self._changed.items() if by & units]
        for number in found:
            del self._changed[number]
        return found

    def _add(self, number: int, contact: _Contact) -> _Contact | None:
        """Remember a contact; the later one of two of which the counter goes back, if it is one of such."""
        heard = self._heard.setdefault(number, [])
        at = bisect_left(heard, contact)
        if at < len(heard) and heard[at] == contact:
            return None
        self._changed.setdefault(number, set()).add(contact.unit)
        late = contact if any(_goes_back(one, contact) for one in heard[:at]) else None
        if late is None:
            late = next((one for one in heard[at:] if _goes_back(contact, one)), None)
        insort(heard, contact)
        if len(heard) > KEPT:
            del heard[0]
        return late


def _goes_back(earlier: _Contact, later: _Contact) -> bool:
    apart_ms = 0 if earlier.unit == later.unit and earlier.epoch == later.epoch else APART_MS
    return later.begin_ms >= earlier.end_ms + apart_ms and later.counter < earlier.counter
