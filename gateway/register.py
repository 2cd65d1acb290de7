"""Whose readings are whose: which activation what a device says belongs to, and who speaks for whom.

A tag's readings belong to the activation it is worn in at their time. A home unit says two things: how it heard each
tag, which belongs to that tag's activation if the unit is installed for it then, and how it fares itself (mains, moved,
case …), which belongs to every activation it is installed for. What belongs to nobody is stored and not judged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from core.activation import Activation
from core.readings import Contacts, Events, Positions, Readings, Samples
from core.wire import beacon_number
from gateway.evidence import Said
from gateway.store.installations import Installation

C = TypeVar("C", Positions, Contacts, Samples, Events)

WITHOUT_LINK = "rf_tag"
"""The kind of device that reaches no gateway by itself: its home units speak for it."""


class Register:
    """Activations and installations as they are at one moment. ``kinds`` gives the kind of every device."""

    def __init__(
        self,
        activations: Sequence[Activation] = (),
        installations: Sequence[Installation] = (),
        kinds: Mapping[str, str] | None = None,
    ) -> None:
        self.activations = {activation.id: activation for activation in activations}
        self._kinds = kinds or {}
        self._worn: dict[str, list[Activation]] = {}
        orders: dict[str, list[Activation]] = {}
        for activation in sorted(activations, key=lambda one: (one.fitted_ms, one.id)):
            orders.setdefault(activation.order.order_id, []).append(activation)
        self._listening: dict[str, list[Installation]] = {}
        self._units: dict[str, list[Installation]] = {}
        for activation in activations:
            self._worn.setdefault(activation.device, []).append(activation)
        for one in installations:
            if one.activation in self.activations:
                self._listening.setdefault(one.unit, []).append(one)
                self._units.setdefault(one.activation, []).append(one)

        self.beacons = {beacon_number(activation.device): activation.device for activation in activations}
        """The device of each beacon number that may be heard."""
        self.chains = {
            one.id: tuple(other.id for other in some)
            for some in orders.values()
            if len(some) > 1
            for one in some
        }
        """Of each activation that shares its order with others: all of them, the one fitted first first."""

    def units(self, activation_id: str) -> tuple[Installation, ...]:
        """The home units that are, or were, installed for an activation."""
        return tuple(self._units.get(activation_id, ()))

    def devices(self, activation_id: str) -> list[str]:
        """The devices whose readings may belong to an activation, its own first."""
        named = [self.activations[activation_id].device, *(one.unit for one in self.units(activation_id))]
        return list(dict.fromkeys(named))

    def owners(self, device: str) -> list[str]:
        """The activations that readings of a device may belong to."""
        named = [activation.id for activation in self._worn.get(device, ())]
        named += [one.activation for one in self._listening.get(device, ())]
        return list(dict.fromkeys(named))

    def readings(self, activation_id: str, device: str, said: Said) -> Readings:
        """What of ``said``, by ``device``, belongs to an activation."""
        activation = self.activations[activation_id]
        parts: list[Readings] = []
        if device == activation.device:
            parts.append(
                Readings(
                    positions=_within(said.positions, activation),
                    samples=_within(said.samples, activation),
                    events=_within(said.events, activation),
                )
            )
        if len(said.contacts) or len(said.unit_events) or len(said.tag_events):
            number = beacon_number(activation.device)
            mine = [one for one in self.units(activation_id) if one.unit == device]
            parts += [_by_unit(said, one, number, activation) for one in mine]
        return joined(parts)

    def heard(self, device: str, received_ms: int) -> Iterator[str]:
        """The activations that are heard of when something of ``device`` is received."""
        for activation in self._worn.get(device, ()):
            if self._kinds.get(device) != WITHOUT_LINK:
                yield activation.id
        for one in self._listening.get(device, ()):
            if self._kinds.get(self.activations[one.activation].device) == WITHOUT_LINK and one.holds(
                received_ms
            ):
                yield one.activation

    def last_heard(self, activation_id: str, heard: Mapping[str, int]) -> int:
        """When an activation was heard of last, gateway time; its fitting where it never was.

        ``heard`` is when each device was.
        """
        activation = self.activations[activation_id]
        instants = [activation.fitted_ms]
        if self._kinds.get(activation.device) != WITHOUT_LINK:
            instants.append(heard.get(activation.device, 0))
        else:
            for one in self.units(activation_id):
                last_ms = heard.get(one.unit, 0)
                if one.removed_ms is not None:
                    last_ms = min(last_ms, one.removed_ms - 1)
                if one.holds(last_ms):
                    instants.append(last_ms)
        return max(instants)


def joined(parts: Sequence[Readings]) -> Readings:
    """All of them together."""
    if len(parts) == 1:
        return parts[0]
    return Readings(
        Positions.concatenate([part.positions for part in parts]),
        Contacts.concatenate([part.contacts for part in parts]),
        Samples.concatenate([part.samples for part in parts]),
        Events.concatenate([part.events for part in parts]),
    )


def _by_unit(said: Said, one: Installation, number: int, activation: Activation) -> Readings:
    contacts = said.contacts.take(np.flatnonzero((said.beacons == number) & _held(said.contacts, one)))
    events = said.unit_events.take(np.flatnonzero(_held(said.unit_events, one)))
    about = np.flatnonzero((said.tag_beacons == number) & _held(said.tag_events, one))
    tag = said.tag_events.take(about)
    tag = replace(tag, value=np.where(said.tag_units[about], float(one.place), tag.value))
    unit = replace(events, value=np.full(len(events), float(one.place)))
    return Readings(
        contacts=_within(replace(contacts, unit=np.full(len(contacts), one.place, np.int64)), activation),
        events=_within(Events.concatenate([unit, tag]), activation),
    )


def _held(columns: Contacts | Events, one: Installation) -> npt.NDArray[np.bool_]:
    held = columns.t_ms >= one.installed_ms
    return held if one.removed_ms is None else held & (columns.t_ms < one.removed_ms)


def _within(columns: C, activation: Activation) -> C:
    """The readings from fitting until removal."""
    inside = columns.t_ms >= activation.fitted_ms
    if activation.removed_ms is not None:
        inside &= columns.t_ms < activation.removed_ms
    return columns if inside.all() else columns.take(np.flatnonzero(inside))
