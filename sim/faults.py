"""What goes wrong with the equipment in a scenario, as short English: ``"20:00 gateway down for 10 min"``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from core.document import Reader
from sim.civil_time import DURATION, INSTANT, CivilTimeError, duration_ms, instant_ms

Kind = Literal[
    "gateway",
    "broker",
    "ingest",
    "outage",
    "twice",
    "shuffled",
    "power",
    "restart",
    "hang",
    "no_clock",
    "slow_clock",
    "replay",
    "clone",
]
EVERYBODY = ""


class Fault(NamedTuple):
    """One fault from ``start_ms`` up to ``end_ms`` (UTC ms; the same instant where it takes no time).

    ``wearer`` and ``device`` (a kind) are empty where it befalls everything. ``from_ms`` is from when beacons that are
    replayed were recorded; ``off_s`` how many seconds a clock is ahead.
    """

    kind: Kind
    start_ms: int
    end_ms: int
    wearer: str = EVERYBODY
    device: str = EVERYBODY
    from_ms: int = 0
    off_s: int = 0


class FaultPhrase(NamedTuple):
    """A form that a fault may take, what it is, whether only real firmware can show it, and how it is explained."""

    pattern: str
    kind: Kind
    only_firmware: bool
    says: str


_INSTANT = re.sub(r"[?]P<[a-z]+>", "?:", INSTANT)
_END = rf"(?: (?:until (?P<until>{_INSTANT})|for (?P<length>{DURATION})))"
_WHOSE = r"(?P<wearer>[a-z0-9]+) (?P<device>gps_tag|rf_tag|alcohol_tag|home_unit)"

PHRASES: tuple[FaultPhrase, ...] = (
    FaultPhrase(
        rf"gateway down{_END}", "gateway", False, "gateway down for 10 min: killed, and started again"
    ),
    FaultPhrase(r"broker restarts", "broker", True, "broker restarts: killed; what it held is gone"),
    FaultPhrase(r"ingest restarts", "ingest", True, "ingest restarts: killed"),
    FaultPhrase(rf"nobody reaches the gateway{_END}", "outage", False, "nobody reaches the gateway for 2 h"),
    FaultPhrase(r"everything arrives twice", "twice", False, "everything arrives twice"),
    FaultPhrase(
        r"everything arrives shuffled",
        "shuffled",
        False,
        "everything arrives shuffled: hours late, in any order",
    ),
    FaultPhrase(rf"{_WHOSE} without power{_END}", "power", False, "WEARER DEVICE without power for 20 min"),
    FaultPhrase(
        rf"{_WHOSE} restarts", "restart", True, "WEARER DEVICE restarts: its power is cut for an instant"
    ),
    FaultPhrase(
        rf"{_WHOSE} motion sensor hangs{_END}", "hang", True, "WEARER gps_tag motion sensor hangs for 30 min"
    ),
    FaultPhrase(
        rf"{_WHOSE} has never known the time", "no_clock", True, "WEARER DEVICE has never known the time"
    ),
    FaultPhrase(
        rf"{_WHOSE} clock is (?P<off>{DURATION}) (?P<way>fast|slow)",
        "slow_clock",
        True,
        "WEARER DEVICE clock is 3 h fast | slow",
    ),
    FaultPhrase(
        rf"(?P<wearer>[a-z0-9]+) beacons recorded from (?P<recorded>{_INSTANT}) are played at home{_END}",
        "replay",
        True,
        "WEARER beacons recorded from 18:00 are played at home for 1 h",
    ),
    FaultPhrase(
        rf"(?P<wearer>[a-z0-9]+) beacons are copied at home{_END}",
        "clone",
        True,
        "WEARER beacons are copied at home for 1 h: a second tag with the same key",
    ),
)
"""All that faults may say; those with a time begin with it."""
_UNTIMED = ("twice", "shuffled", "no_clock", "slow_clock")


def faults(
    read: Reader,
    texts: Sequence[object],
    path: str,
    *,
    wearers: Mapping[str, frozenset[str]],
    start_ms: int,
    end_ms: int,
) -> list[Fault]:
    """Faults of a scenario in order of time; ``wearers`` tells what each wears. Problems go to ``read``."""
    found = []
    for i, text in enumerate(texts):
        fault = _fault(read, text, f"{path}[{i}]", start_ms)
        if fault is None:
            continue
        if fault.wearer and fault.wearer not in wearers:
            read.refuse(
                f"{path}[{i}]", f"{fault.wearer!r} is nobody", f"People are: {', '.join(sorted(wearers))}."
            )
        elif fault.device and fault.device not in wearers[fault.wearer] | {"home_unit"}:
            read.refuse(
                f"{path}[{i}]", f"{fault.wearer} wears no {fault.device}", "Name a device that is worn."
            )
        elif (fault.kind, fault.device) == ("power", "home_unit"):
            read.refuse(
                f"{path}[{i}]",
                "a home unit's power is an act",
                "Let somebody 'silence unit' or 'unplug unit'.",
            )
        elif not start_ms <= fault.start_ms <= fault.end_ms <= end_ms:
            read.refuse(
                f"{path}[{i}]", f"{text!r} lies outside the story", "Give times between its start and end."
            )
        else:
            found.append(fault)
    return sorted(found, key=lambda fault: (fault.start_ms, fault.kind, fault.wearer))


def only_firmware(found: Sequence[Fault]) -> bool:
    """Whether any of them can be shown by real firmware only."""
    kinds = {phrase.kind for phrase in PHRASES if phrase.only_firmware}
    return any(fault.kind in kinds for fault in found)


def _fault(read: Reader, text: object, path: str, start_ms: int) -> Fault | None:
    if not isinstance(text, str):
        read.refuse(
            path, f"{text!r} is not a text", 'Give a fault in words: "20:00 gateway down for 10 min".'
        )
        return None
    try:
        timed = re.match(rf"(?P<at>{_INSTANT}) ", text)
        at_ms = instant_ms(timed["at"], start_ms) if timed else start_ms
        words = text[timed.end() :] if timed else text
        for phrase in PHRASES:
            match = re.fullmatch(phrase.pattern, words)
            if match is not None and (timed is not None) == (phrase.kind not in _UNTIMED):
                return _made(phrase.kind, match.groupdict(), at_ms, start_ms)
    except CivilTimeError as error:
        read.refuse(path, error.fact, error.remedy)
        return None
    read.refuse(
        path, f"{text!r} is no fault that is known", "Say it as docs/scenarios.md does, under Faults."
    )
    return None


def _made(kind: Kind, said: Mapping[str, str | None], at_ms: int, start_ms: int) -> Fault:
    until, length, off = said.get("until"), said.get("length"), said.get("off")
    end_ms = at_ms
    if until:
        end_ms = instant_ms(until, at_ms)
    elif length:
        end_ms = at_ms + duration_ms(length)
    off_s = 0 if off is None else duration_ms(off) // 1000 * (1 if said["way"] == "fast" else -1)
    recorded = said.get("recorded")
    return Fault(
        kind,
        at_ms,
        end_ms,
        said.get("wearer") or EVERYBODY,
        said.get("device") or ("rf_tag" if kind in ("replay", "clone") else EVERYBODY),
        instant_ms(recorded, start_ms) if recorded else 0,
        off_s,
    )
