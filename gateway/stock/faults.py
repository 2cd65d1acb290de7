"""A device is found faulty: every alert that it fed in that time is flagged, past and to come; none is withdrawn.

What a finding means for an alert stands in `gateway.store.doubts`.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.clock import utc_text
from gateway.stock.register import StockError, _known, _one_line, put_aside
from gateway.store import Store, alerts, stock
from gateway.store.doubts import SENSORS
from gateway.store.stock import Fault


@dataclass(frozen=True, slots=True)
class Found:
    """A finding, or its taking back; the numbers of the ``alerts`` whose flag changed; where it is worn (orders)."""

    fault: Fault
    alerts: tuple[int, ...]
    worn_under: tuple[str, ...] = ()


def find(
    store: Store,
    device: str,
    from_ms: int,
    to_ms: int | None,
    *,
    by: str,
    reason: str,
    now_ms: int,
    sensor: str = "",
) -> Found:
    """A device was faulty from then (tag time) on, or until ``to_ms``: flag what it fed, and put it into quarantine.

    Raises StockError. The same finding again changes nothing, and flags what was not flagged.
    """
    if sensor and sensor not in SENSORS:
        raise StockError(
            f"{sensor!r} is no part of a device: give one of {', '.join(SENSORS)}, or leave it out"
        )
    if to_ms is not None and to_ms <= from_ms:
        raise StockError(f"{utc_text(to_ms)} is not after {utc_text(from_ms)}: give a later --to, or none")
    if from_ms > now_ms:
        raise StockError(f"{utc_text(from_ms)} is still to come: give when the fault began")
    with store.write() as connection:
        _known(connection, device, by, reason)
        said = (sensor, from_ms, to_ms, _one_line(reason))
        same = [
            one
            for one in stock.in_force(stock.faults(connection, device))
            if (one.sensor, one.from_ms, one.to_ms, one.reason) == said
        ]
        fault = (
            same[0]
            if same
            else stock.add_fault(
                connection, device, sensor, from_ms, to_ms, _one_line(by), _one_line(reason), now_ms
            )
        )
        flagged = alerts.doubt(connection, fault, now_ms)
        under = put_aside(connection, device, by, reason, now_ms, f"finding {fault.id}")
    return Found(fault, tuple(flagged), tuple(under))


def take_back(store: Store, finding: int, *, of: str, by: str, reason: str, now_ms: int) -> Found:
    """A finding was wrong: what was flagged by it is not any more. Both stay on record. Raises StockError."""
    with store.write() as connection:
        every = stock.faults(connection)
        fault = next(
            (one for one in every if (one.id, one.device) == (finding, of) and one.takes_back is None), None
        )
        if fault is None:
            raise StockError(f"there is no finding {finding} about {of}: see `tagwatch device show {of}`")
        _known(connection, fault.device, by, reason)
        if fault not in stock.in_force(every):
            raise StockError(f"finding {finding} was taken back before")
        back = stock.add_fault(
            connection,
            fault.device,
            fault.sensor,
            fault.from_ms,
            fault.to_ms,
            _one_line(by),
            _one_line(reason),
            now_ms,
            fault.id,
        )
        cleared = alerts.doubt(connection, fault, now_ms)
    return Found(back, tuple(cleared))
