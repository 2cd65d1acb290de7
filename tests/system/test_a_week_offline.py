"""A journal that fills while nobody listens: what must never be lost is not, and what was dropped is told."""

from __future__ import annotations

import struct
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from boards.esp32_pins import PINS

from core.readings import Kind
from gateway import evidence
from gateway.sequences import How
from gateway.service import GatewayProcess
from gateway.store import envelopes
from sim.rig import Rig
from sim.sentences import fix
from tests.system.brokers import behind

START_MS = 1_793_600_000_000
MINUTE_MS, HOUR_MS = 60_000, 3_600_000
DEVICE = "gps00001"


def heard(rig: Rig, kind: Kind) -> list[Any]:
    """The records of a kind that the gateway has stored, by their number."""
    found: dict[int, Any] = {}
    with rig.store.read() as connection:
        for stored in envelopes.of_device(connection, DEVICE):
            up, _ = evidence.read(stored)
            for block in up.blocks:
                if block.kind == kind:
                    width = len(block.raw) // block.count
                    for index in range(block.count):
                        record = block.raw[index * width : (index + 1) * width]
                        found[block.first + index] = record
    return [found[number] for number in sorted(found)]


def offline(folder: Path, which: str, hours: int, every_s: int, **config: Any) -> None:
    """So many hours without a gateway, with straps opened and power cuts; then it is there again."""
    with behind(which, folder), Rig(folder, patience_s=0.5) as rig:
        # plugged in by hand below: the gateway is not there meanwhile
        tag = rig.enrol(DEVICE, START_MS, [], **config)
        rig.advance(START_MS + MINUTE_MS)
        rig.gateway.stop()
        opened = boots = 0
        end_ms = START_MS + hours * HOUR_MS
        for begin_ms in range(START_MS + MINUTE_MS, end_ms, hours * HOUR_MS // 8):
            until_ms = min(begin_ms + hours * HOUR_MS // 8, end_ms)
            for t_ms in range(begin_ms, until_ms, every_s * 1000):
                tag.feed(t_ms + 200, fix(t_ms, 52.1, 4.9 + (t_ms - START_MS) / 1e11))
            tag.set_pin(begin_ms + MINUTE_MS, PINS["strap"], 1)
            tag.set_pin(begin_ms + 2 * MINUTE_MS, PINS["strap"], 0)
            opened += 1
            tag.run_until(until_ms)
            if boots < 3:
                boots += 1
                tag.stop()
                tag.start()
        rig.gateway = GatewayProcess(rig.settings)
        rig.gateway.start()
        for _ in range(60):
            rig.advance(tag.now_ms + 2 * MINUTE_MS)
            with rig.store.read() as connection:
                ((_, ranges),) = envelopes.ranges(connection, DEVICE).items()
            if ranges and ranges[-1].last >= tag.counters()["readings_made"] and not tag_holds(rig):
                break
        spans = [tuple(span) for span in ranges]
        assert spans[0][0] == 1
        assert all(later[0] == earlier[1] + 1 for earlier, later in pairwise(spans))
        assert {span[2] for span in spans} == {How.STORED, How.GAP}
        straps = [struct.unpack("<HBHB", record)[1:3] for record in heard(rig, Kind.TAMPER)]
        assert straps == [(2, 1), (2, 0)] * opened
        assert len(heard(rig, Kind.BOOT)) == boots + 1
        assert heard(rig, Kind.GAP)
        # what is left are the newest positions, without a hole among them
        kept = [t_ms for t_ms in rig.positions(DEVICE).t_ms.tolist() if t_ms > START_MS + 2 * MINUTE_MS]
        assert max(kept) >= end_ms - 2 * max(every_s, 60) * 1000
        steps = {later - earlier for earlier, later in pairwise(kept)}
        assert max(steps) <= 2 * max(every_s, 60) * 1000
        assert min(kept) > START_MS + HOUR_MS


def tag_holds(rig: Rig) -> bool:
    """Whether the gateway still knows of numbers that it has not heard of."""
    with rig.store.read() as connection:
        ((_, ranges),) = envelopes.ranges(connection, DEVICE).items()
    return bool(ranges) and any(later.first != earlier.last + 1 for earlier, later in pairwise(ranges))


def test_a_day_offline_with_a_small_journal_loses_only_positions_and_says_which(
    tmp_path: Path, which_at_length: str
) -> None:
    offline(tmp_path, which_at_length, 24, 60, journal_kib=24)


@pytest.mark.long
def test_a_week_offline_loses_only_positions_and_says_which(tmp_path: Path, which: str) -> None:
    offline(tmp_path, which, 7 * 24, 15, sample_s=15)
