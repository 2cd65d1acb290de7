"""A home unit's list of tags, changed while it lives: by the gateway that installs it, and by an officer's tool."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from core.readings import Contacts
from core.wire import beacon_number
from gateway import evidence
from gateway.devices import Credentials
from gateway.installations import uninstall
from gateway.store import commands as book
from gateway.trail import messages_of
from sim.rig import Rig
from tests.community_order import community_order, every_day
from tests.sim.test_console import sign

START_MS = 1_793_600_000_000
MINUTE_MS = 60_000
TAG, OTHER, UNIT = "rf000001", "rf000002", "unit0001"
HOME = {"name": "primary", "latitude": 51.5, "longitude": -0.12, "radius_m": 50}


def order(name: str) -> dict[str, Any]:
    curfew = {"id": "curfew-1", "type": "curfew", "address": HOME, "timetable": every_day("19:00", "07:00")}
    return community_order(name, curfew)


def heard(rig: Rig, tag: str) -> Contacts:
    """How the unit has told that it heard a tag."""
    with rig.store.read() as connection:
        said = evidence.said(messages_of(connection, UNIT))
    return said.contacts.take(np.flatnonzero(said.beacons == beacon_number(tag)))


def outcomes(rig: Rig) -> list[tuple[str, str, int | None]]:
    """Name, tag and outcome of each command to the unit, oldest first."""
    with rig.store.read() as connection:
        rows = book.of_device(connection, UNIT)
    return [(row.name, row.arguments["tag"], row.outcome) for row in reversed(rows)]


def go_on(rig: Rig, minutes: int) -> None:
    for _ in range(minutes):
        rig.advance(rig.now_ms + MINUTE_MS)


def test_a_unit_provisioned_without_tags_hears_those_it_is_installed_for_over_a_power_cut_and_no_longer(
    tmp_path: Path,
) -> None:
    with Rig(tmp_path) as rig:
        for tag in (TAG, OTHER):
            rig.enrol(tag, START_MS, (), kind="rf_tag", order=order(f"o-{tag}"))
        unit = rig.enrol_unit(UNIT, START_MS, [TAG, OTHER], provisioned=False)
        rig.now_ms = START_MS
        go_on(rig, 10)
        assert outcomes(rig) == [("hear", TAG, 0), ("hear", OTHER, 0)]
        for tag in (TAG, OTHER):
            assert heard(rig, tag).count.sum() > 25, "four a minute"
        unit.kill()
        unit.start()
        go_on(rig, 5)
        for tag in (TAG, OTHER):
            assert heard(rig, tag).count[-2:].all()
        uninstall(rig.store, UNIT, f"{TAG}-1", removed=rig.now_ms)
        go_on(rig, 6)  # what was heard before may wait two minutes for its upload
        before = len(heard(rig, TAG)), len(heard(rig, OTHER))
        go_on(rig, 10)
        after = len(heard(rig, TAG)), len(heard(rig, OTHER))
        assert after[0] == before[0]
        assert after[1] >= before[1] + 9
        assert outcomes(rig)[2:] == [("unhear", TAG, 0)]
        assert unit.console('{"do": "tags"}')["tags"] == [beacon_number(OTHER)]
        assert unit.counters()["beacons_strange"] > 10
        assert unit.resets == 0


def test_an_officers_tool_adds_and_takes_tags_of_a_locked_unit_by_signed_lines(tmp_path: Path) -> None:
    with Rig(tmp_path) as rig:
        rig.enrol(TAG, START_MS, (), kind="rf_tag")
        unit = rig.enrol_unit(UNIT, START_MS, [TAG], provisioned=False)
        rig.now_ms = START_MS
        go_on(rig, 2)
        key = Credentials.read(rig.settings.devices_dir / UNIT).key
        number = beacon_number(TAG)
        wish = {"beacon": number, "key": rig.beacon_key(TAG).hex()}
        assert unit.console('{"do": "lock"}') == {"ok": True}
        assert "error" in unit.console('{"do": "tags"}')

        def signed(do: str, **more: object) -> dict[str, Any]:
            return unit.console(sign(key, unit.console('{"do": "identify"}')["nonce"], do, **more))

        assert signed("hear", **wish) == {"ok": True, "tags": [number]}
        go_on(rig, 4)
        assert heard(rig, TAG).count.sum() > 6
        assert "error" in signed("hear", beacon=number, key="12")
        assert signed("unhear", beacon=number) == {"ok": True, "tags": []}
        go_on(rig, 5)
        before = len(heard(rig, TAG))
        go_on(rig, 3)
        assert len(heard(rig, TAG)) == before
