"""From when on a tag's readings prove nothing about its wearer (design law 5), as far as they are committed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sqlalchemy import Connection

from core.readings import EventCode, Events
from core.wire import beacon_number
from gateway import evidence
from gateway.store import envelopes

LOOK_BACK_MS = 48 * 3_600_000
"""A strap that was opened before has had its alert for two days."""


def unproven_since(
    connection: Connection, device: str, units: Sequence[str], fitted_ms: int, to_ms: int, *, silent: bool
) -> int | None:
    """When the strap was opened first since the last officer's check, until ``to_ms`` (UTC ms, tag time).

    ``units`` are the home units that speak for an RF tag; ``fitted_ms`` counts where no check is told. None where the
    strap was closed until the end; of a tag that is ``silent`` also the instant of its last reading counts.
    """
    from_ms = to_ms - LOOK_BACK_MS
    said = _said(connection, device, from_ms)
    dated = [said.positions.t_ms, said.samples.t_ms, said.events.t_ms]
    events, number = [said.events], beacon_number(device)
    for unit in units:
        told = _said(connection, unit, from_ms)
        events.append(told.tag_events.take(np.flatnonzero(told.tag_beacons == number)))
        dated.append(told.contacts.t_ms[(told.beacons == number) & (told.counters > 0)])
    whole = Events.concatenate(events)
    within = (whole.t_ms >= from_ms) & (whole.t_ms <= to_ms)
    opened = whole.t_ms[(whole.code == EventCode.STRAP_OPEN) & within]
    checks = whole.t_ms[(whole.code == EventCode.OFFICER_CHECK) & within]
    # the check by the tag's own clock, which may be some seconds beside ours
    passed_ms = int(checks.max()) if len(checks) else fitted_ms
    open_since = opened[opened > passed_ms]
    found = [int(open_since.min())] if len(open_since) else []
    if silent:
        heard = np.concatenate(dated)
        found.append(int(heard[heard <= to_ms].max(initial=max(fitted_ms, from_ms))))
    return min(found) if found else None


def _said(connection: Connection, device: str, from_ms: int) -> evidence.Said:
    return evidence.said([evidence.read(one) for one in envelopes.of_device(connection, device, from_ms)])
