"""Home status: intervals of HOME, NOT_HOME and UNKNOWN at an address, from positions and a home unit's contacts."""

from __future__ import annotations

import numpy as np

from core.activation import ALWAYS_MS
from core.conditions import Address
from core.episodes import EPISODE, limits
from core.family import Batch, batch_of
from core.presence import BY_UNIT, NOT_HOME, UNKNOWN, Presence, Sightings, place_of
from core.rows import Fixes
from core.rules import RuleSet
from core.sightings import STAY, blank_sense, place_rows, sight

Interval = tuple[int, int, Presence]


def intervals(fixes: Fixes, address: Address, rules: RuleSet, from_ms: int, to_ms: int) -> list[Interval]:
    """The state from ``from_ms`` to ``to_ms`` by positions alone; as `home_status`."""
    return home_status(batch_of(positions=fixes), address, rules, from_ms, to_ms)


def home_status(
    batch: Batch, address: Address, rules: RuleSet, from_ms: int, to_ms: int, unit: int = 0
) -> list[Interval]:
    """The state at ``address`` from ``from_ms`` to ``to_ms``: ``(start, end, state)``, without a gap, none empty.

    ``batch`` holds readings of one wearer; ``unit`` is the index of the home unit at the address. A home unit's silence
    is NOT_HOME from its beginning once it has lasted for `RuleSet.rf_missed_s`; a shorter one shows nothing, and
    anything that the unit hears breaks it.
    """
    part = np.array([[0, 1, 0, len(batch.positions), 0, len(batch.contacts), 0, len(batch.events)]])
    stay = np.array([(-ALWAYS_MS, ALWAYS_MS, 0, 0, 0, 1)], STAY)
    place = place_rows([place_of(address, rules, unit)])
    seen, *_ = sight(batch, part, stay, place, blank_sense(), np.zeros(1, EPISODE), limits(rules))
    seen = seen[_believed(seen, rules)]
    found: list[Interval] = []

    def say(start: int, end: int, state: Presence) -> None:
        start, end = max(start, from_ms), min(end, to_ms)
        if start < end and found and found[-1][2] == state:
            found[-1] = (found[-1][0], end, state)
        elif start < end:
            found.append((start, end, state))

    reached = from_ms
    for i in range(len(seen)):
        t_ms = int(seen["t_ms"][i])
        # a home unit speaks of the whole interval that ends with its word
        begin = t_ms - int(seen["span_ms"][i])
        following = int(seen["t_ms"][i + 1] - seen["span_ms"][i + 1]) if i + 1 < len(seen) else to_ms
        end = max(t_ms, min(t_ms + rules.vouch_s * 1000, following))
        say(reached, begin, Presence.UNKNOWN)
        say(max(reached, begin), end, Presence(int(seen["presence"][i])))
        reached = max(reached, end)
    say(reached, to_ms, Presence.UNKNOWN)
    return found


def _believed(seen: Sightings, rules: RuleSet) -> list[int]:
    """Which sightings count: all but a home unit's silences that did not last."""
    kept: list[int] = []
    run: list[int] = []
    silent_ms, last_ms = 0, None
    for i in range(len(seen)):
        t_ms = int(seen["t_ms"][i])
        silence = seen["source"][i] == BY_UNIT and seen["presence"][i] == NOT_HOME
        late = last_ms is not None and t_ms - last_ms > rules.confirm_within_s * 1000
        if late or seen["presence"][i] != NOT_HOME:
            run, silent_ms = [], 0
        if seen["presence"][i] == UNKNOWN:
            continue
        last_ms = t_ms
        if not silence:
            kept.append(i)
            continue
        run.append(i)
        silent_ms += int(seen["span_ms"][i])
        if silent_ms >= rules.rf_missed_s * 1000:
            kept += run
            run = []
    return sorted(kept)
