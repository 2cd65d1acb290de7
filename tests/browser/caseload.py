"""People, tags and alerts written into a real store, as ingest writes them: what the page has to show."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Select, func, select

from core.alerts import Alert, Severity, alert_id
from gateway.store import alerts, devices, orders
from gateway.store.database import Store
from gateway.store.devices import Device
from gateway.store.orders import ActivationRow, OrderVersion
from gateway.store.tables import alert, alert_revision

# Evening of the day on which summer time begins: local time is an hour ahead of UTC.
EVENING_MS = int(datetime(2026, 3, 29, 18, 0, tzinfo=UTC).timestamp() * 1000)
PEOPLE = {"tag001": "Alex Example", "tag002": "Sam Sample", "tag003": "Robin Specimen"}


class Caseload:
    """A store with a few wearers. Every call is its own transaction, seen by other processes when it returns."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = Store.open(folder / "store.sqlite")
        self.at_ms = EVENING_MS
        self._occurrences = itertools.count()
        with self.store.write() as connection:
            for count, (device, name) in enumerate(PEOPLE.items(), 1):
                devices.add(connection, Device(device, bytes(32), b"", EVENING_MS, None))
                orders.add_version(
                    connection,
                    OrderVersion(f"order-{count}", 1, EVENING_MS, EVENING_MS, f"W{count}", name, "{}"),
                )
                orders.add_activation(
                    connection, ActivationRow(f"{device}-1", device, f"order-{count}", EVENING_MS, None)
                )

    def close(self) -> None:
        """Give back the store."""
        self.store.close()

    def put(self, *found: Alert, device: str = "tag001") -> list[int]:
        """Write alerts of one device as ingest does; a second later each time. Returns the numbers written."""
        self.at_ms += 1000
        with self.store.write() as connection:
            return alerts.put(connection, [alerts.entry(one, device) for one in found], self.at_ms)

    def found(self, device: str = "tag001") -> Alert:
        """An open alert that was not there before, not yet written."""
        return entered(next(self._occurrences), device)

    def raised(self, device: str = "tag001") -> Alert:
        """An open alert that was not there before, written."""
        found = self.found(device)
        assert len(self.put(found, device=device)) == 1
        return found

    def number(self, found: Alert) -> int:
        """What people call that alert."""
        return self._one(select(alert.c.number).where(alert.c.id == found.id))

    def latest(self) -> int:
        """The number of the newest revision of all."""
        return self._one(select(func.max(alert_revision.c.number)))

    def _one(self, query: Select[Any]) -> int:
        with self.store.read() as connection:
            return int(connection.execute(query).scalar() or 0)

    def ended(self, found: Alert, device: str = "tag001") -> Alert:
        """The alert with an end five minutes after its start, written."""
        over = replace(found, state="ended", end_ms=found.start_ms + 300_000)
        assert len(self.put(over, device=device)) == 1
        return over

    def withdrawn(self, found: Alert, device: str = "tag001") -> Alert:
        """The alert as withdrawn, written."""
        gone = replace(found, state="withdrawn")
        assert len(self.put(gone, device=device)) == 1
        return gone


def entered(
    occurrence: int = 0,
    device: str = "tag001",
    *,
    rule: str = "in_exclusion_zone",
    condition: str = "zone-1",
    severity: Severity = "critical",
    sentence: str = "Inside the exclusion zone Riverside since 19:00 on 29 March 2026.",
    figures: Mapping[str, int | float | str] | None = None,
    readings: tuple[tuple[int, int], ...] = (
        (3735928559, 4),
        (3735928559, 5),
        (3735928559, 6),
        (3735928559, 9),
    ),
) -> Alert:
    """An open alert; another one for each ``occurrence``, a minute later each."""
    start_ms = EVENING_MS + occurrence * 60_000
    activation = f"{device}-1"
    return Alert(
        id=alert_id(activation, condition, rule, start_ms),
        activation=activation,
        condition=condition,
        rule=rule,
        state="open",
        severity=severity,
        start_ms=start_ms,
        end_ms=None,
        order_version=1,
        rule_set="2026-1",
        sentence=sentence,
        figures={"greatest_depth_m": 42.5, "first_seen": "2026-03-29T18:00:00Z"}
        if figures is None
        else figures,
        readings=readings,
    )
