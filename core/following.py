"""Trail monitoring: the wearer's whereabouts are to be known; no place is forbidden.

**Whereabouts are unknown to trail monitoring after 75 min without a position that tells where the wearer is, or a home
unit that hears the tag; until the next, while the condition is in force.** (``RuleSet.trail_silence_s``; a position of
200 m or better tells it, ``located_m``.) Not a violation: a question for a person. What can be seen of a trail is
`core.stops`; that nobody may look at it without this condition is the gateway's to see to (design law 10).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from core.activation import ALWAYS_MS, Activation, Watch, watches
from core.alerts import Alert, Figures
from core.conditions import TrailCondition
from core.episode_alerts import WHEREABOUTS, episode_alert, last_known, unknown_span
from core.episodes import EPISODE, NEVER_MS, OPEN_MS, Episodes, emit
from core.family import Batch, Part
from core.heard import Heard, HomeUnits, Spell, without_home
from core.heard import Saved as HeardSaved
from core.rows import cut
from core.rules import RuleSet
from core.slots import Slots

SEEN = np.dtype([("seen_ms", np.int64), ("seen_key", np.uint64)])
"""The last position that told where the wearer was; NEVER_MS: none yet."""


@njit(cache=True)
def silences(fixes: Any, parts: Any, states: Any, silence_ms: int, located_m: float) -> Any:
    """Times longer than ``silence_ms`` between positions that tell where the wearer is, as episodes.

    ``parts`` are rows of (slot, first, last). What lies before the first position of all is an episode too: from
    NEVER_MS. The episodes' ``watch`` is the slot.
    """
    out = np.zeros(4, EPISODE)
    count = 0
    for p in range(len(parts)):
        slot = parts[p, 0]
        seen_ms, seen_key = states[slot]["seen_ms"], states[slot]["seen_key"]
        for i in range(parts[p, 1], parts[p, 2]):
            fix = fixes[i]
            if not fix["radius_m"] <= located_m:
                continue
            t_ms = fix["t_ms"]
            if t_ms - seen_ms > silence_ms:
                gap = np.zeros(1, EPISODE)[0]
                gap["watch"] = slot
                gap["since_ms"], gap["first_key"] = seen_ms, seen_key
                gap["end_ms"], gap["end_key"] = t_ms, fix["key"]
                out = emit(out, count, gap)
                count += 1
            seen_ms, seen_key = t_ms, fix["key"]
        states[slot]["seen_ms"], states[slot]["seen_key"] = seen_ms, seen_key
    return out[:count]


@dataclass(frozen=True, slots=True)
class Followed:
    """Where the state of one activation's trail conditions lies."""

    slot: int
    from_ms: int
    to_ms: int
    watches: tuple[Watch[TrailCondition], ...]
    heard: Heard | None


Saved = tuple[bytes, HeardSaved | None]


class Following:
    """The rule family of trail conditions."""

    def __init__(self, rules: RuleSet) -> None:
        self._rules = rules
        self._silence_ms = rules.trail_silence_s * 1000
        state = np.zeros(1, SEEN)
        state["seen_ms"] = NEVER_MS
        self._slots = Slots(state)
        self._units = HomeUnits(rules, rules.trail_silence_s)

    def enrol(self, activation: Activation) -> Followed | None:
        """Take on an activation; None where its orders have no trail condition."""
        mine = tuple(watches(activation, TrailCondition))
        if not mine:
            return None
        removed_ms = ALWAYS_MS if activation.removed_ms is None else activation.removed_ms
        slot, heard = self._slots.take(1, activation), self._units.enrol(activation)
        followed = Followed(slot, activation.fitted_ms, removed_ms, mine, heard)
        self._slots.owners[slot] = followed
        return followed

    def dismiss(self, followed: Followed) -> None:
        """Let an activation go."""
        self._slots.give_back(followed.slot)
        self._units.dismiss(followed.heard)

    def reset(self, followed: Followed) -> None:
        """Back to nothing known."""
        self._slots.clear(followed.slot)
        self._units.reset(followed.heard)

    def save(self, followed: Followed) -> Saved:
        """A copy of its state."""
        return self._slots.save(followed.slot), self._units.save(followed.heard)

    def restore(self, followed: Followed, saved: Saved) -> None:
        """Back to that state."""
        self._slots.restore(followed.slot, 1, saved[0])
        self._units.restore(followed.heard, saved[1])

    def advance(self, batch: Batch, parts: Sequence[Part]) -> list[Alert]:
        """Carry on through the positions of each part; the silences that they settle."""
        self._units.advance(batch, ((part.handle.heard, part) for part in parts))
        places = []
        for part in parts:
            lo, hi = cut(batch.positions, *part.positions, part.handle.from_ms, part.handle.to_ms)
            if lo < hi:
                places.append((part.handle.slot, lo, hi))
        if not places:
            return []
        gaps = silences(
            batch.positions,
            np.array(places, np.int64),
            self._slots.rows[0],
            self._silence_ms,
            self._rules.located_m,
        )
        return [alert for gap in gaps for alert in self._unknown(gap, ALWAYS_MS)[0]]

    def tail(self, enrolled: Iterable[Followed], now_ms: int) -> tuple[list[Alert], list[int]]:
        """The silences that go on at ``now_ms``, or that ended with the condition; and when time alone adds to them."""
        alerts, deadlines = [], []
        for followed in enrolled:
            state = self._slots.rows[0][followed.slot]
            gap = np.zeros(1, EPISODE)[0]
            gap["watch"] = followed.slot
            gap["since_ms"], gap["first_key"], gap["end_ms"] = state["seen_ms"], state["seen_key"], OPEN_MS
            found, due_ms = self._unknown(gap, now_ms)
            alerts += found
            deadlines.append(due_ms)
        return alerts, deadlines

    def _unknown(self, gap: Episodes, now_ms: int) -> tuple[list[Alert], int]:
        """The alerts of a time without positions, watch by watch; and when more of it begins, or a watch ends."""
        followed: Followed = self._slots.owners[int(gap["watch"])]
        alerts, due_ms = [], ALWAYS_MS
        for watch in followed.watches:
            row = gap.copy()
            known_ms = watch.from_ms if gap["since_ms"] == NEVER_MS else int(gap["since_ms"])
            row["period_ms"] = watch.from_ms
            row["start_ms"] = start_ms = max(known_ms + self._silence_ms, watch.from_ms)
            if watch.to_ms <= now_ms or gap["end_ms"] != OPEN_MS:
                row["end_ms"] = min(int(gap["end_ms"]), watch.to_ms)
                row["end_key"] = gap["end_key"] if row["end_ms"] == gap["end_ms"] else 0
            else:
                due_ms = min(due_ms, watch.to_ms)
            if start_ms >= min(int(row["end_ms"]), watch.to_ms):
                continue
            if row["end_ms"] == OPEN_MS and start_ms > now_ms:
                due_ms = min(due_ms, start_ms)
                continue
            spells = () if followed.heard is None else followed.heard.spells
            left, again_ms = without_home(row, spells, self._lost_after, now_ms)
            alerts += [self._alert(watch, one) for one in left]
            due_ms = due_ms if again_ms is None else min(due_ms, again_ms)
        return alerts, due_ms

    def _lost_after(self, spell: Spell) -> int:
        return spell.end_ms + self._silence_ms

    def _alert(self, watch: Watch[TrailCondition], row: Episodes) -> Alert:
        figures: Figures = {}
        span = unknown_span(row, self._rules, figures)
        sentence = (
            f"Whereabouts unknown to trail monitoring, {span}: {last_known(row, self._rules, figures)}. "
            "No place is forbidden here. Not a violation: a question for a person."
        )
        return episode_alert(watch, row, WHEREABOUTS, "medium", sentence, figures, self._rules)
