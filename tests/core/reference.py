"""The rules once more, as plainly as the sentences in `core.geofence` and `core.curfew` read: lists, no state carried.

Slow and obvious on purpose; `Monitor` and `evaluate` are held against it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from core.rules import RuleSet


@dataclass(frozen=True)
class Seen:
    """One reading that shows something: ``value`` True (inside; away) or False (outside; home).

    A position, or where ``span_ms`` is not None an interval of a home unit: how long it listened since its last.
    ``faint_ms`` is when, after it and before the next, a home unit first heard something that shows nothing; None: not.
    """

    t_ms: int
    value: bool
    metres: float
    span_ms: int | None = None
    faint_ms: int | None = None


@dataclass(frozen=True)
class Found:
    """An occurrence; ``end_ms`` None while it goes on."""

    rule: str
    start_ms: int
    end_ms: int | None
    at_least_min: int | None = None
    at_most_min: int | None = None
    positions: int | None = None
    metres: float | None = None
    contacts: int = 0


def run_starts(seen: Sequence[Seen], rules: RuleSet) -> list[int]:
    """For each position, the index at which its run began: positions that agree, none too far from the next.

    What a home unit hears breaks a run away in which there is its silence alone.
    """
    starts: list[int] = []
    for i, this in enumerate(seen):
        before = seen[i - 1] if i else None
        goes_on = (
            before and before.value == this.value and this.t_ms - before.t_ms <= rules.confirm_within_s * 1000
        )
        broken = (
            before and before.value and before.faint_ms is not None and silence_alone(seen[starts[-1] : i])
        )
        starts.append(starts[-1] if goes_on and not broken else i)
    return starts


def silence_alone(run: Sequence[Seen]) -> bool:
    """Is there no position in it?"""
    return all(one.span_ms is not None for one in run)


def believed(run: Sequence[Seen], rules: RuleSet, broken: bool = False) -> bool:
    """Is a run long enough? By positions alone or by the home unit alone: by its silence since it last heard anything.

    ``broken``: it heard something after the last of the run.
    """
    fixes = [one for one in run if one.span_ms is None]
    since = max((i for i, one in enumerate(run, 1) if one.faint_ms is not None and i < len(run)), default=0)
    heard = [] if broken else [one for one in run[since if run[0].value else 0 :] if one.span_ms is not None]
    if heard and run[0].value and sum(one.span_ms or 0 for one in heard) >= rules.rf_missed_s * 1000:
        return True
    sources = (fixes,) if run[0].value else (fixes, heard)
    return any(some and some[-1].t_ms - some[0].t_ms >= apart_ms(run[0].value, rules) for some in sources)


def apart_ms(accuses: bool, rules: RuleSet) -> int:
    """So far apart two readings are that show what is forbidden, or what ends that."""
    return 1000 * (rules.accuse_apart_s if accuses else rules.confirm_apart_s)


def certain_ms(seen: Sequence[Seen], start_ms: int, end_ms: int, rules: RuleSet) -> int:
    """Time within the bounds between positions of one run that follow each other closely enough to vouch for it."""
    total = 0
    starts = run_starts(seen, rules)
    for (before, start), (after, same) in itertools.pairwise(zip(seen, starts, strict=True)):
        if after.value and start == same and after.t_ms - before.t_ms <= rules.vouch_s * 1000:
            total += max(0, min(after.t_ms, end_ms) - max(before.t_ms, start_ms))
    return total


def minutes_up(ms: int) -> int:
    return -(-ms // 60_000)


def visits(seen: Sequence[Seen], from_ms: int, to_ms: int, now_ms: int, rules: RuleSet) -> list[Found]:
    """Confirmed visits of one zone, watched from ``from_ms`` to ``to_ms``."""
    starts, found = run_starts(seen, rules), []
    begun: int | None = None

    def tell(first: int, last: int, end_ms: int | None) -> Found:
        inside = [one for one in seen[first:last] if one.value]
        out = [one.t_ms for one in seen[:first] if not one.value]
        until = seen[last - 1].t_ms
        return Found(
            "in_exclusion_zone",
            seen[first].t_ms,
            end_ms,
            certain_ms(seen[first:last], seen[first].t_ms, until, rules) // 60_000,
            None if end_ms is None else minutes_up(end_ms - (out[-1] if out else from_ms)),
            len(inside),
            round(max(one.metres for one in inside), 2),
        )

    for i, this in enumerate(seen):
        if this.t_ms - seen[starts[i]].t_ms < apart_ms(this.value, rules):
            continue
        if this.value and begun is None:
            begun = starts[i]
        elif not this.value and begun is not None:
            found.append(tell(begun, starts[i], seen[starts[i]].t_ms))
            begun = None
    if begun is not None:
        found.append(tell(begun, len(seen), to_ms if to_ms <= now_ms else None))
    return found


def silences(
    seen: Sequence[Seen], known: Sequence[int], from_ms: int, to_ms: int, now_ms: int, rules: RuleSet
) -> list[Found]:
    """Whereabouts unknown to a zone that is near: ``known`` are the instants of positions that tell a place."""
    found = []
    for before, after in itertools.pairwise([None, *known, None]):
        silent_ms = rules.zone_silence_s * 1000
        lost = from_ms + silent_ms if before is None else max(from_ms, before + silent_ms)
        until = min(to_ms, now_ms if after is None else after)
        goes_on = after is None and to_ms > now_ms
        until_then = [one for one in seen if before is not None and one.t_ms <= before]
        inside = [one for one in visits(until_then, from_ms, to_ms, from_ms, rules) if one.end_ms is None]
        if not inside and (lost < until or (goes_on and lost == until)):
            found.append(Found("whereabouts_unknown", lost, None if goes_on else until))
    return found


def curfews(
    seen: Sequence[Seen], periods: Sequence[tuple[int, int]], now_ms: int, rules: RuleSet
) -> list[Found]:
    """Absences and whereabouts unknown in the curfew periods."""
    starts, found = run_starts(seen, rules), []
    vouch = rules.vouch_s * 1000
    reached = max([now_ms, *(one.t_ms for one in seen)])
    for begins, ends in periods:
        if begins > reached:
            break
        found += _unknown(seen, begins, ends, reached, now_ms, rules)
        last = max((i for i, one in enumerate(seen) if one.t_ms < begins), default=None)
        vouched = last is not None and seen[last].value and begins < seen[last].t_ms + vouch
        faint_ms = seen[last].faint_ms if last is not None else None
        broken = faint_ms is not None and faint_ms <= begins
        if broken and last is not None and silence_alone(seen[starts[last] : last + 1]):
            vouched = False
        inside = [i for i, one in enumerate(seen) if begins <= one.t_ms < ends]
        away: tuple[int, int] | None = None  # since when, and from which position on
        if vouched and last is not None and believed(seen[starts[last] : last + 1], rules, broken):
            away = begins, last + 1

        def tell(
            start: tuple[int, int], stop: int, end_ms: int | None, begins: int = begins, ends: int = ends
        ) -> Found:
            start_ms, first = start
            home = [one.t_ms - (one.span_ms or 0) for one in seen[:first] if not one.value]
            shown = [one.metres for one in seen[first:stop] if one.value and one.span_ms is None]
            contacts = [one for one in seen[first:stop] if one.value and one.span_ms is not None]
            return Found(
                "absent_during_curfew",
                start_ms,
                end_ms,
                certain_ms(seen, start_ms, ends if end_ms is None else end_ms, rules) // 60_000,
                None if end_ms is None else minutes_up(end_ms - max([begins, *home])),
                len(shown),
                round(max(shown, default=0), 2) or None,
                len(contacts),
            )

        for i in inside:
            this, first = seen[i], seen[starts[i]]
            if not believed(seen[starts[i] : i + 1], rules):
                continue
            if this.value and away is None:
                away = (
                    (first.t_ms, starts[i])
                    if first.t_ms >= begins
                    else (begins if vouched else seen[inside[0]].t_ms, inside[0])
                )
            elif not this.value and away is not None:
                if first.t_ms > away[0]:  # home at the very instant at which it began: not out during it
                    found.append(tell(away, starts[i], first.t_ms))
                away = None
        if away is not None:
            found.append(tell(away, inside[-1] + 1 if inside else away[1], ends if ends <= reached else None))
    return found


def _unknown(
    seen: Sequence[Seen], begins: int, ends: int, reached: int, now_ms: int, rules: RuleSet
) -> list[Found]:
    """The stretches of one period in which no position vouches."""
    found = []
    edges = [None, *(one.t_ms for one in seen), None]
    for before, after in itertools.pairwise(edges):
        lost = begins if before is None else max(begins, before + rules.vouch_s * 1000)
        again = min(ends, now_ms if after is None else after)
        if again - lost >= rules.unknown_after_s * 1000:
            going_on = after is None and ends > now_ms
            found.append(Found("whereabouts_unknown", lost, None if going_on else again))
    return found
