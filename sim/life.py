"""What truly happens to one wearer: the ground truth that a real pilot never has.

A `Life` is made by `sim.people` or by a scenario. The sensors (`sim.gnss`, `sim.radio`, `sim.skin`, `sim.equipment`)
make of it what receivers, radios and cells would say, `sim.tags` what a tag makes of that, `sim.truth` what an
all-knowing court would find. None of them keeps a state: each answers for any instants, in any order, alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np

from core.readings import I64
from sim.itinerary import Place
from sim.way import Bool, Way


class Span(NamedTuple):
    """From ``start_ms`` up to, not including, ``end_ms`` (UTC milliseconds)."""

    start_ms: int
    end_ms: int


class Drink(NamedTuple):
    """So many grams of ethanol, drunk evenly from ``start_ms`` to ``end_ms``. A UK unit is 8 g."""

    start_ms: int
    end_ms: int
    grams: float


class Exposure(NamedTuple):
    """Alcohol in the air about the sensor: none of it was drunk."""

    at_ms: int
    kind: Literal["sanitiser", "perfume", "cleaning", "bar"]
    strength: float
    """1 is a usual portion of its kind; ``bar`` is one gust of many where people drink (`sim.skin.PUFFS`)."""


class Forgery(NamedTuple):
    """Forged satellite signals in a span: the receiver is led to a place and held there."""

    start_ms: int
    end_ms: int
    to: Place


class Unit(NamedTuple):
    """A home unit: at which place, of which address of the curfew (its name in the order), and its troubles."""

    address: str
    place: Place
    no_mains: tuple[Span, ...] = ()
    """Mains are cut; its back-up battery lasts for 24 h (then it says nothing)."""
    off: tuple[Span, ...] = ()
    """It says nothing at all: unplugged with its battery empty, or broken."""
    moved: tuple[Span, ...] = ()
    """From when it is carried to another place until an officer puts it back and checks it; ``carried_to`` is where."""
    carried_to: Place | None = None


@dataclass(frozen=True, slots=True)
class Body:
    """What alcohol meets: Widmark's figures and the skin's lag.

    ``elimination_g_dl_h`` 0.010 to 0.035 in people; ``lag_s`` 4140 (69 min) by the median of PMC6779481.
    """

    weight_kg: float = 78.0
    widmark: float = 0.65
    """Share of the body that takes up alcohol: 0.68 men, 0.55 women on average (Widmark)."""
    elimination_g_dl_h: float = 0.016
    lag_s: float = 4140.0
    skin_gain: float = 1.0
    """Peak of the skin's curve over the peak of the blood's; it varies between people and days."""


@dataclass(frozen=True, slots=True)
class Life:
    """One wearer from ``start_ms`` to ``end_ms``, who is fitted with everything at ``start_ms``.

    ``name`` is unique in its world and fit for a device id's last part (``[a-z0-9]{1,8}``). ``seed`` decides all
    chance of sensors. ``order`` is the document that `core.order.order_from_json` reads. ``wears`` are kinds of device:
    ``gps_tag``, ``rf_tag`` (with ``units``), ``alcohol_tag``. All spans are ascending and do not overlap.
    """

    name: str
    seed: int
    start_ms: int
    end_ms: int
    way: Way
    order: Mapping[str, Any]
    wears: frozenset[str] = frozenset({"gps_tag"})
    units: tuple[Unit, ...] = ()
    body: Body = field(default_factory=Body)
    drinks: tuple[Drink, ...] = ()
    exposures: tuple[Exposure, ...] = ()
    off_ankle: tuple[Span, ...] = ()
    """The strap is opened, and until the end of the span (an officer's check) the tag proves nothing: it lies where it
    was taken off, at the place of that instant."""
    case_open: tuple[Span, ...] = ()
    covered_sensor: tuple[Span, ...] = ()
    """Something lies between the alcohol sensor and the skin: foil, a sock, cling film."""
    flat: tuple[Span, ...] = ()
    """The GPS tag's battery is empty: it is off, and nothing is sampled."""
    charging: tuple[Span, ...] = ()
    offline: tuple[Span, ...] = ()
    """No link, wherever the wearer is: the network is down. Sampling goes on."""
    jammed: tuple[Span, ...] = ()
    forged: tuple[Forgery, ...] = ()
    overconfident: tuple[Span, ...] = ()
    """The receiver errs by a hundred metres and more, and claims a few."""
    strata: frozenset[str] = frozenset()
    """Groups of people for which scores are told apart: ``near_zone``, ``valley``, ``no_fixed_abode``, ``shared_home``,
    ``approved_premises``, ``town``."""


def spans_hold(spans: Sequence[tuple[int, ...] | Span | Forgery], t_ms: I64) -> Bool:
    """Whether each instant lies in one of ``spans``, whose first two members are start and end."""
    inside: Bool = np.zeros(len(t_ms), np.bool_)
    for span in spans:
        inside |= (t_ms >= span[0]) & (t_ms < span[1])
    return inside
