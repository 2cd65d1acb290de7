"""Real people's curves, from the volts at an alcohol tag's sensors to the alerts that the core gives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from boards.esp32_pins import PINS

from core.alerts import Alert
from core.monitor import evaluate
from core.readings import Readings
from core.sobriety import Sobriety
from gateway import commands
from sim.alcohol_feed import CALIBRATION, FUEL_CELL, INFRARED, UNPLUGGED_MV, Curve, bracelet
from sim.bench.tag import VirtualTag
from sim.rig import Rig
from tests.community_order import community_order
from tests.core.drinkers import person, sober_order, tagged
from tests.sim.scene import Scene
from tests.system.brokers import behind

LONDON = ZoneInfo("Europe/London")
START_MS = 1_780_329_600_000  # 2026-06-01 16:00 UTC
MINUTE_MS, HOUR_MS = 60_000, 3_600_000
SAMPLING_S = 1800 + 60  # and what the bracelets' own interval of 30 min is longer than that
MOST_TAC = 0.32767  # that a record can hold
ALCOHOL = {"id": "alcohol-1", "type": "alcohol", "mode": "abstinence"}
DRANK, COVERED, FAULT = "drinking_event", "sensor_obstructed", "alcohol_sensor_fault"


class Worn(Scene):
    """One wearer's tag under an order to abstain, at a skin that gives off a curve."""

    def __init__(self, rig: Rig, device: str, start_ms: int) -> None:
        super().__init__(rig, start_ms, step_ms=HOUR_MS, device=device)
        self.tag: VirtualTag = rig.enrol(
            device,
            start_ms,
            (),
            order=community_order(device, ALCOHOL),
            kind="alcohol_tag",
            clock_set=True,
            fuel_cell=CALIBRATION["fuel_cell"],
        )

    def executed(self) -> int:
        return self.tag.counters().get("commands_executed", 0)


def take_baselines(rig: Rig, *worn: Worn) -> None:
    """As the officer does who fits the tags, within the first minutes."""
    rig.advance(START_MS + MINUTE_MS)
    for one in worn:
        commands.queue(rig.store, one.tag.device, "baseline", {}, now_ms=rig.now_ms)
    while any(not one.executed() for one in worn):
        assert rig.now_ms < START_MS + 10 * MINUTE_MS
        rig.advance(rig.now_ms + MINUTE_MS)
    for one in worn:
        one.now_ms = rig.now_ms


@pytest.fixture
def rig(tmp_path: Path, which_at_length: str) -> Iterator[Rig]:
    with behind(which_at_length, tmp_path), Rig(tmp_path) as rig:
        yield rig


def seconds(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp()


def from_start(curve: Curve) -> Curve:
    """The same curve, from the start on."""
    return Curve(curve.t_ms - curve.t_ms[0] + START_MS, curve.tac_g_dl, curve.ir_v, curve.temp_c)


def judged(data: Path, name: str, now_ms: int) -> Alert:
    """The drinking event that the core finds in the arrays as they are, from the start on."""
    samples = person(data, name)
    samples.t_ms[:] += START_MS - samples.t_ms[0]
    worn = tagged(sober_order(), fitted_ms=START_MS - 1000)
    found = evaluate([worn], {worn.id: Readings(samples=samples)}, now_ms, families=(Sobriety,))
    (event,) = [alert for alert in found if alert.rule == DRANK]
    return event


@pytest.mark.parametrize(
    "names", [("DC6359", "JB3156", "SA0297"), pytest.param(("BK7610", "MC7070"), marks=pytest.mark.long)]
)
def test_real_curves_through_firmware_broker_and_gateway_give_the_events_that_the_arrays_give(
    data: Path, rig: Rig, names: tuple[str, ...]
) -> None:
    people = {f"alc{number:05d}": name for number, name in enumerate(names)}
    worn = {device: Worn(rig, device, START_MS) for device in people}
    end_ms = START_MS
    for device, name in people.items():
        curve = from_start(bracelet(data / "scram-tac" / f"{name}_raw.csv", LONDON))
        last_ms = int(curve.t_ms[-1])
        curve.play(worn[device].tag, START_MS, last_ms)
        end_ms = max(end_ms, last_ms)
    take_baselines(rig, *worn.values())
    for now_ms in range(START_MS + HOUR_MS, end_ms + HOUR_MS, HOUR_MS):
        rig.advance(now_ms)
    for device, name in people.items():
        expected = judged(data, name, end_ms)
        (alert,) = worn[device].told(DRANK)
        assert alert["figures"]["status"] == expected.figures["status"] == "confirmed"
        assert expected.end_ms is not None
        assert abs(seconds(alert["start"]) - expected.start_ms / 1000) <= SAMPLING_S
        assert abs(seconds(alert["end"]) - expected.end_ms / 1000) <= SAMPLING_S
        peak, body = float(expected.figures["peak_g_dl"]), float(expected.figures["body_peak_g_dl"])
        # the nearest sample is up to 150 s off the peak, about which the steepest curve changes by 0.2 g/dl in 30 min
        assert min(peak, MOST_TAC) - 0.02 <= alert["figures"]["peak_g_dl"] <= peak
        # fast samples lie on the straight lines of the feed, under which a body can have made a little more
        assert alert["figures"]["body_peak_g_dl"] == pytest.approx(body, abs=0.02)
        assert worn[device].told(FAULT) == []
        assert worn[device].tag.resets == 0
        assert worn[device].tag.log() == ""


def test_what_lies_between_sensor_and_skin_is_sampled_fast_and_told_as_an_obstruction(rig: Rig) -> None:
    worn = Worn(rig, "alc00001", START_MS)
    take_baselines(rig, worn)
    worn.live(START_MS + 3 * HOUR_MS)
    covered_ms, free_ms = START_MS + 4 * HOUR_MS, START_MS + 7 * HOUR_MS
    worn.tag.set_pin(covered_ms, INFRARED, 1300)
    worn.tag.set_pin(free_ms, INFRARED, 1000)
    worn.live(covered_ms + 75 * MINUTE_MS, 15 * MINUTE_MS)
    (alert,) = worn.told(COVERED)
    assert (alert["state"], alert["figures"]["status"]) == ("open", "suspected")
    assert 0 <= seconds(alert["start"]) - covered_ms / 1000 <= 1800
    worn.live(START_MS + 10 * HOUR_MS)
    (alert,) = worn.told(COVERED)
    assert (alert["state"], alert["figures"]["status"]) == ("ended", "confirmed")
    assert 0 <= seconds(alert["end"]) - free_ms / 1000 <= 300 + 3
    # three hours in five minutes each
    assert 30 <= alert["figures"]["readings"] <= 36
    assert worn.told(DRANK) == []


def test_an_unplugged_sensor_is_told_and_accuses_nobody(rig: Rig) -> None:
    worn = Worn(rig, "alc00001", START_MS)
    take_baselines(rig, worn)
    worn.tag.set_pin(START_MS + 4 * HOUR_MS, FUEL_CELL, UNPLUGGED_MV)
    worn.tag.set_pin(START_MS + 9 * HOUR_MS, FUEL_CELL, 400)
    worn.live(START_MS + 8 * HOUR_MS)
    (alert,) = worn.told(FAULT)
    assert alert["state"] == "open"
    assert 0 <= seconds(alert["start"]) - START_MS / 1000 - 4 * 3600 <= 1800 + 3
    worn.live(START_MS + 12 * HOUR_MS)
    (alert,) = worn.told(FAULT)
    assert alert["state"] == "ended"
    assert worn.told(DRANK) == worn.told(COVERED) == []


def test_a_cut_strap_is_an_alert_within_seconds(rig: Rig) -> None:
    worn = Worn(rig, "alc00001", START_MS)
    cut_ms = START_MS + 40 * MINUTE_MS
    worn.tag.set_pin(cut_ms, PINS["strap"], 1)
    worn.live(cut_ms + 8000, 10 * MINUTE_MS)
    (alert,) = worn.told("strap_tamper")
    assert 0 <= seconds(alert["start"]) - cut_ms / 1000 <= 5
