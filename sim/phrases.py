"""The phrases that acts of a scenario are made of: each form once, with how it is explained (docs/scenarios.md)."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from sim.civil_time import DURATION, INSTANT
from sim.way import Surroundings

TRAVEL: dict[str, tuple[float, Surroundings]] = {
    "walk": (5.0, Surroundings.OPEN),
    "run": (11.0, Surroundings.OPEN),
    "cycle": (16.0, Surroundings.OPEN),
    "drive": (45.0, Surroundings.VEHICLE),
    "bus": (25.0, Surroundings.VEHICLE),
    "train": (120.0, Surroundings.TRAIN),
}
"""Usual speeds, km/h."""

Kind = Literal["way", "about", "rest", "span", "drink", "exposure", "forge", "unit"]


class Phrase(NamedTuple):
    """A form that an act may take: the pattern of what follows its time, what it is, and how it is explained."""

    pattern: str
    kind: Kind
    says: str


_PLACE = r"(?P<place>[a-z][a-z0-9_]*)"
_UNIT = r"(?: (?P<unit>[a-z][a-z0-9_]*))?"
_WHERE = r"(?:, (?:in the open|in a street|indoors|underground|without coverage))*"
_END = rf"(?: (?:until (?P<until>{re.sub(r'[?]P<[a-z]+>', '?:', INSTANT)})|for (?P<length>{DURATION})))?"

PHRASES: tuple[Phrase, ...] = (
    Phrase(
        rf"(?P<by>{'|'.join(TRAVEL)}) to {_PLACE}(?: via (?P<via>[a-z0-9_]+(?: and [a-z0-9_]+)*))?"
        rf"(?: at (?P<kmh>\d+(?:\.\d+)?) km/h)?(?P<where>{_WHERE})",
        "way",
        "walk | run | cycle | drive | bus | train to PLACE [via PLACE and PLACE] [at N km/h][, in a street]"
        "[, underground][, without coverage]",
    ),
    Phrase(
        r"(?P<where>(?:in the open|in a street|indoors|underground|without coverage)"
        r"(?:, (?:in the open|in a street|indoors|underground|without coverage))*)",
        "about",
        "indoors | in the open | in a street | underground [, without coverage]: from now on, here",
    ),
    Phrase(r"(?P<rest>sleep|wake)", "rest", "sleep, wake: nothing moves between them"),
    Phrase(
        rf"drink (?P<grams>\d+(?:\.\d+)?) g over (?P<over>{DURATION})",
        "drink",
        "drink N g over 2 h: grams of ethanol; a pint of beer is 18 g",
    ),
    Phrase(
        r"(?P<stuff>sanitiser|perfume|cleaning)(?: x(?P<strength>\d+(?:\.\d+)?))?"
        rf"(?: every (?P<every>{DURATION}))?{_END}",
        "exposure",
        "sanitiser | perfume | cleaning [x2] [every 20 min until 17:00]: alcohol about the sensor",
    ),
    Phrase(rf"(?P<span>open strap){_END}", "span", "open strap: until an officer has checked the tag"),
    Phrase(rf"(?P<span>open case){_END}", "span", "open case"),
    Phrase(rf"(?P<span>cover sensor){_END}", "span", "cover sensor: foil, a sock"),
    Phrase(rf"(?P<span>battery flat){_END}", "span", "battery flat: the GPS tag is off"),
    Phrase(rf"(?P<span>charge){_END}", "span", "charge: the tag hangs on its charger"),
    Phrase(rf"(?P<span>no network){_END}", "span", "no network: sampling goes on, nothing is sent"),
    Phrase(rf"(?P<span>jammer){_END}", "span", "jammer: satellites are drowned"),
    Phrase(
        rf"(?P<span>overconfident receiver){_END}",
        "span",
        "overconfident receiver: it errs far and claims little",
    ),
    Phrase(rf"forge to {_PLACE}{_END}", "forge", "forge to PLACE: false satellites put the tag there"),
    Phrase(rf"(?P<trouble>unplug unit){_UNIT}{_END}", "unit", "unplug unit [NAME]: no mains"),
    Phrase(rf"(?P<trouble>silence unit){_UNIT}{_END}", "unit", "silence unit [NAME]: it says nothing at all"),
    Phrase(
        rf"(?P<trouble>carry unit){_UNIT} to {_PLACE}{_END}",
        "unit",
        "carry unit [NAME] to PLACE: until an officer has put it back and checked it",
    ),
)
"""All that acts may say. What has an end ends with ``until`` a time or ``for`` a length; else with the story."""
TIME = re.compile(
    rf"(?:(?P<at>{re.sub(r'[?]P<[a-z]+>', '?:', INSTANT)})|(?P<then>then)|after (?P<after>{DURATION})) "
)
"""What an act begins with."""
