"""The virtual tag: the firmware as it is, under a real MicroPython, against a real broker, in the host's time."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from boards.esp32_pins import PINS

from core.readings import POSITION_WIRE, Kind, TimeQuality
from gateway.devices import Credentials
from sim.bench.flash import read_files
from sim.bench.tag import BenchError, VirtualTag
from sim.sentences import fix, no_fix
from tests.sim.stand_in import StandIn

START_MS = 1_767_225_600_000  # 2026-01-01
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
UPLOAD_MS = (
    120_000 + 10_000
)  # a reading waits at most so long, and the tag boots and connects within the rest


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[StandIn]:
    with StandIn(tmp_path / "gateway") as stand_in:
        yield stand_in


def walk(tag: VirtualTag, from_ms: int, to_ms: int, step_ms: int = 1000) -> None:
    """Feed a tag a fix at each step, 200 ms late as a receiver is: slowly east."""
    for t_ms in range(from_ms, to_ms, step_ms):
        tag.feed(t_ms + 200, fix(t_ms, 52.1, 4.9 + (t_ms - START_MS) / 1e10))


def of_kind(stand_in: StandIn, device: str, kind: Kind) -> list[tuple[int | None, bytes]]:
    """Time and record of a device's readings of one kind, in the order in which the tag made them."""
    readings = stand_in.readings[device]
    return [
        (readings[number][1], readings[number][2])
        for number in sorted(readings)
        if readings[number][0] == kind
    ]


def numbers_without_hole(stand_in: StandIn, device: str) -> int:
    """How many readings of a device are kept; asserts that they are one epoch's first ones."""
    kept = sorted(stand_in.readings[device])
    assert [number for _, number in kept] == list(range(1, len(kept) + 1))
    return len(kept)


def test_an_hour_of_fixes_arrives_whole_one_position_a_minute(gateway: StandIn, tmp_path: Path) -> None:
    with VirtualTag(tmp_path / "tag", gateway.credentials("tag00001"), start_ms=START_MS) as tag:
        tag.start()
        walk(tag, START_MS + 1000, START_MS + HOUR_MS)
        tag.run_until(START_MS + HOUR_MS + UPLOAD_MS)
        counted = tag.counters()
    assert tag.log() == ""
    assert counted["connections"] == 1
    assert counted["readings_made"] == numbers_without_hole(gateway, "tag00001")
    assert counted["fixes"] == 3599
    positions = of_kind(gateway, "tag00001", Kind.POSITION)
    minutes = [START_MS + minute * MINUTE_MS for minute in range(60)]
    assert [t_ms for t_ms, _ in positions] == [minutes[0] + 1000, *minutes[1:]]
    layout = np.dtype([(name, POSITION_WIRE[name]) for name in POSITION_WIRE.names or () if name != "dt"])
    for t_ms, record in positions:
        (position,) = np.frombuffer(record, layout)
        assert t_ms is not None
        assert abs(position["lat"] - 521000000) <= 1
        assert abs(position["lon"] - (49000000 + (t_ms - START_MS) / 1e3)) <= 1
        assert position["precision"] == 100
        assert position["flags"] & 3 == TimeQuality.GNSS
    (boot,) = of_kind(gateway, "tag00001", Kind.BOOT)
    assert boot[0] is None  # its time was not known yet
    assert len(of_kind(gateway, "tag00001", Kind.TIME)) == 1
    assert len(of_kind(gateway, "tag00001", Kind.STATUS)) == 5


def test_a_backlog_in_the_largest_messages_fits_into_the_heap_of_a_board(
    gateway: StandIn, tmp_path: Path
) -> None:
    credentials = gateway.credentials("tag00001")
    config = {"every_fix": True}
    with VirtualTag(
        tmp_path / "tag", credentials, start_ms=START_MS, config=config, patience_s=0.2, heap_bytes=65_536
    ) as tag:  # half of what it has: words have 64 bits here
        tag.start()
        walk(tag, START_MS, START_MS + HOUR_MS, 2000)
        gateway.silent = True
        tag.run_until(START_MS + HOUR_MS // 2)
        gateway.silent = False
        tag.run_until(START_MS + HOUR_MS + 10 * MINUTE_MS)
    assert tag.counters()["connections"] == 1  # the link answers a want of memory with a new connection
    assert len(of_kind(gateway, "tag00001", Kind.POSITION)) == 1800
    numbers_without_hole(gateway, "tag00001")


def test_every_fix_becomes_a_position_where_thinning_is_off(gateway: StandIn, tmp_path: Path) -> None:
    credentials = gateway.credentials("tag00001")
    with VirtualTag(tmp_path / "tag", credentials, start_ms=START_MS, config={"every_fix": True}) as tag:
        tag.start()
        walk(tag, START_MS + 5000, START_MS + 305_000)
        tag.run_until(START_MS + 305_000 + UPLOAD_MS)
    times = [t_ms for t_ms, _ in of_kind(gateway, "tag00001", Kind.POSITION)]
    assert times == list(range(START_MS + 5000, START_MS + 305_000, 1000))


def test_what_is_committed_leaves_the_flash_and_what_is_not_stays(gateway: StandIn, tmp_path: Path) -> None:
    credentials = gateway.credentials("tag00001")
    with VirtualTag(tmp_path / "tag", credentials, start_ms=START_MS, patience_s=0.3) as tag:
        tag.start()
        gateway.silent = True
        walk(tag, START_MS, START_MS + 3 * HOUR_MS, 5000)
        tag.run_until(START_MS + 3 * HOUR_MS)
        made = tag.counters()["readings_made"]
        assert made > 180
        assert journal_bytes(tag) > 180 * 20
        gateway.silent = False
        tag.run_until(START_MS + 3 * HOUR_MS + 10 * MINUTE_MS)
    assert numbers_without_hole(gateway, "tag00001") >= made
    assert journal_bytes(tag) < 3000


def journal_bytes(tag: VirtualTag) -> int:
    """What a tag's journal takes on its flash."""
    files = read_files(tag.folder / "flash.img")
    return sum(len(content) for name, content in files.items() if name.startswith("/journal/"))


def test_without_any_broker_a_tag_keeps_sampling_and_later_sends_it_all(tmp_path: Path) -> None:
    stand_in = StandIn(tmp_path / "gateway")
    with VirtualTag(tmp_path / "tag", stand_in.credentials("tag00001"), start_ms=START_MS) as tag:
        tag.start()
        walk(tag, START_MS, START_MS + 2 * HOUR_MS, 5000)
        tag.run_until(START_MS + 2 * HOUR_MS)
        made = tag.counters()["readings_made"]
        assert made >= 120
        with stand_in:
            tag.run_until(START_MS + 2 * HOUR_MS + 5 * MINUTE_MS)
    assert numbers_without_hole(stand_in, "tag00001") >= made


def test_the_same_seed_and_the_same_feed_make_the_same_bytes(gateway: StandIn, tmp_path: Path) -> None:
    credentials = gateway.credentials("tag00001")

    def day(folder: str, seed: int) -> list[bytes]:
        gateway.readings["tag00001"].clear()
        gateway.envelopes["tag00001"].clear()
        with VirtualTag(tmp_path / folder, credentials, start_ms=START_MS, seed=seed) as tag:
            tag.start()
            walk(tag, START_MS, START_MS + HOUR_MS, 5000)
            tag.run_until(START_MS + HOUR_MS + UPLOAD_MS)
        return list(gateway.envelopes["tag00001"])

    first = day("one", 1)
    assert len(first) > 20
    assert day("another", 1) == first
    assert day("third", 2) != first


def test_a_tag_killed_again_and_again_loses_nothing_that_it_made(gateway: StandIn, tmp_path: Path) -> None:
    chance = random.Random(4)
    end_ms = START_MS + 6 * HOUR_MS
    kills = 0
    with VirtualTag(tmp_path / "tag", gateway.credentials("tag00001"), start_ms=START_MS) as tag:
        tag.start()
        walk(tag, START_MS, end_ms, 5000)
        while tag.now_ms < end_ms:
            tag.begin_run(min(end_ms, tag.now_ms + chance.randint(1, 90) * MINUTE_MS))
            time.sleep(chance.random() * 0.3)
            tag.kill()
            kills += 1
            tag.start()
        tag.run_until(end_ms + UPLOAD_MS)
    assert kills > 4
    numbers_without_hole(gateway, "tag00001")
    boots = of_kind(gateway, "tag00001", Kind.BOOT)
    assert (
        0 < len(boots) <= kills + 1
    )  # of a life that ended in its first moments nothing may have reached the flash
    times = [t_ms for t_ms, _ in of_kind(gateway, "tag00001", Kind.POSITION)]
    assert times == sorted(set(times), key=lambda t_ms: t_ms or 0)
    assert len(times) > 100
    dated = [t_ms for t_ms, _ in boots if t_ms is not None]
    assert dated == sorted(dated)  # the RTC has run on


def test_bytes_that_come_while_a_tag_is_off_are_lost(gateway: StandIn, tmp_path: Path) -> None:
    with VirtualTag(tmp_path / "tag", gateway.credentials("tag00001"), start_ms=START_MS) as tag:
        walk(tag, START_MS, START_MS + 30 * MINUTE_MS, 5000)
        tag.run_until(START_MS + 10 * MINUTE_MS)
        tag.start()
        tag.run_until(START_MS + 30 * MINUTE_MS + UPLOAD_MS)
    times = [t_ms for t_ms, _ in of_kind(gateway, "tag00001", Kind.POSITION)]
    assert times[0] == START_MS + 10 * MINUTE_MS
    assert len(times) == 20


def test_a_strap_cut_is_stamped_within_five_seconds_and_sent_at_once(
    gateway: StandIn, tmp_path: Path
) -> None:
    with VirtualTag(tmp_path / "tag", gateway.credentials("tag00001"), start_ms=START_MS) as tag:
        tag.start()
        walk(tag, START_MS, START_MS + 10 * MINUTE_MS)
        cut_ms = START_MS + 7 * MINUTE_MS + 1234
        tag.set_pin(cut_ms, PINS["strap"], 1)
        tag.set_pin(cut_ms, PINS["battery_adc"], 1650)
        tag.run_until(cut_ms + 6000)
        ((t_ms, record),) = of_kind(gateway, "tag00001", Kind.TAMPER)
        assert t_ms is not None
        assert cut_ms <= t_ms <= cut_ms + 5000
        assert record[0] == 2
        tag.run_until(START_MS + 10 * MINUTE_MS)
        tag.run_until(START_MS + 20 * MINUTE_MS)
    assert len(of_kind(gateway, "tag00001", Kind.TAMPER)) == 1
    batteries = [
        int.from_bytes(record[:2], "little") for _, record in of_kind(gateway, "tag00001", Kind.STATUS)
    ]
    assert batteries == [3800, 3300]


def test_a_receiver_without_a_fix_yields_no_position_and_no_guess(gateway: StandIn, tmp_path: Path) -> None:
    with VirtualTag(tmp_path / "tag", gateway.credentials("tag00001"), start_ms=START_MS) as tag:
        tag.start()
        for t_ms in range(START_MS, START_MS + 20 * MINUTE_MS, 5000):
            tag.feed(t_ms, no_fix(t_ms))
        tag.run_until(START_MS + 20 * MINUTE_MS)
        assert tag.counters().get("fixes", 0) == 0
    assert of_kind(gateway, "tag00001", Kind.POSITION) == []
    assert {kind for kind, _, _ in gateway.readings["tag00001"].values()} == {Kind.BOOT, Kind.STATUS}


def test_several_tags_run_at_once(gateway: StandIn, tmp_path: Path) -> None:
    devices = [f"tag{number:05d}" for number in range(3)]
    tags = [
        VirtualTag(tmp_path / device, gateway.credentials(device), start_ms=START_MS) for device in devices
    ]
    for tag in tags:
        tag.start()
        walk(tag, START_MS, START_MS + HOUR_MS, 5000)
    for tag in tags:
        tag.begin_run(START_MS + HOUR_MS + UPLOAD_MS)
    for tag in tags:
        tag.finish_run()
        tag.stop()
    assert len({next(iter(gateway.readings[device]))[0] for device in devices}) == 3, (
        "journal epochs are alike"
    )
    for device in devices:
        numbers_without_hole(gateway, device)
        assert len(of_kind(gateway, device, Kind.POSITION)) == 60


def test_pace_ties_virtual_time_to_real_time(tmp_path: Path, gateway: StandIn) -> None:
    with VirtualTag(tmp_path / "tag", gateway.credentials("tag00001"), start_ms=START_MS) as tag:
        tag.start()
        tag.run_until(START_MS + MINUTE_MS)
        began = time.monotonic()
        tag.run_until(START_MS + 2 * MINUTE_MS, pace=60)
        assert time.monotonic() - began > 0.9
        assert tag.now_ms == START_MS + 2 * MINUTE_MS


def credentials_of_nobody() -> Credentials:
    """Credentials that lead nowhere."""
    return Credentials("tag00001", b"k" * 32, b"ca", b"cert", b"key", "127.0.0.1", 1, "nobody")


def test_a_firmware_that_can_not_live_says_why(tmp_path: Path) -> None:
    with VirtualTag(tmp_path, credentials_of_nobody(), start_ms=START_MS, config={"sample_s": 0}) as tag:
        tag.start()
        with pytest.raises(BenchError, match=r"again and again(.|\n)*'sample_s' is 0"):
            tag.run_until(START_MS + HOUR_MS)


def test_what_the_bench_can_not_do_it_refuses(tmp_path: Path) -> None:
    with VirtualTag(tmp_path, credentials_of_nobody(), start_ms=START_MS) as tag:
        tag.start()
        with pytest.raises(BenchError, match="running already"):
            tag.start()
        tag.run_until(START_MS + 1000)
        with pytest.raises(BenchError, match="time does not go back"):
            tag.run_until(START_MS)
        tag.begin_run(START_MS + 2000)
        with pytest.raises(BenchError, match="under way"):
            tag.feed(START_MS + 3000, b"early")
        tag.finish_run()


def test_the_flash_holds_what_the_device_was_provisioned_with_and_only_its_owner_reads_it(
    tmp_path: Path,
) -> None:
    tag = VirtualTag(tmp_path, credentials_of_nobody(), start_ms=START_MS, config={"every_fix": True})
    files = read_files(tmp_path / "flash.img")
    assert {"/config.json", "/ca.der", "/cert.der", "/key.der"} == set(files)
    assert b'"every_fix": true' in files["/config.json"]
    assert (tmp_path / "flash.img").stat().st_mode & 0o777 == 0o600
    assert not tag.running
