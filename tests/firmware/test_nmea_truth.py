"""The parser against real receivers: each fix it gives is one that gpsd, independently, read from the same bytes."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from nmea import Receiver

from sim.recordings import load

ROOT = Path(__file__).resolve().parent.parent.parent
TOLERANCE_DEG = 2e-6
LOGS = """
ac12 beidou-gb bu353-glonass bu353s4 cat-ms352 ch-4711 furuno_gl_ga garmin15x gr601-w hab-gpspi haicom-305N jl-micro-jlt
motorola-t805 mt3339 mtk-3329 navika-100-fix neo-m8n nl2008u polarx2 quectel-L70 quectel-eg25-g-2 quectelLC79D-1
sirfstarv-nmea skytraq-fix st-teseo-liv3f telit-pls83-w ublox-lea-5h ublox-neo-m9n-nmea
""".split()  # noqa: SIM905  a list of names reads better as text
READ_ALL = """
import json, sys
sys.path[:0] = [sys.argv[1] + "/gps_tag", sys.argv[1] + "/lib"]
from nmea import Receiver
NAMES = "lat_e7 lon_e7 precision_dm speed course satellites hdop flags date time_ds".split()
for log in sys.argv[3:]:
    receiver = Receiver()
    data = b"."
    with open(sys.argv[2] + "/" + log, "rb") as line:
        while data:
            data = line.read(96)
            for fix in receiver.feed(data) if data else receiver.flush():
                print(json.dumps([log] + [getattr(fix, name) for name in NAMES]))
"""

Shown = tuple[object, ...]


def line_of(data: Path, log: str) -> bytes:
    """The bytes of a log's serial line."""
    recording = load(data / "gnss-logs" / f"{log}.log", 0)
    return b"".join(piece for _, piece in recording.pieces)


def truth_of(data: Path, log: str) -> list[tuple[float, float]]:
    """The positions that gpsd reports for a log, in order."""
    positions = []
    for line in (data / "gnss-logs" / f"{log}.log.chk").read_bytes().splitlines():
        if b'"TPV"' in line:
            report = json.loads(line)
            if report["mode"] >= 2 and "lat" in report:
                positions.append((report["lat"], report["lon"]))
    return positions


def fixes_in_chunks(line: bytes, seed: int) -> list[Shown]:
    """What the parser makes of a line that is cut at random; every field of every fix."""
    sizes = random.Random(seed)
    receiver = Receiver()
    fixes = []
    at = 0
    while at < len(line):
        size = sizes.choice((1, 2, 7, 40, 96, 256, 1000))
        fixes += receiver.feed(line[at : at + size])
        at += size
    fixes += receiver.flush()
    return [shown(fix) for fix in fixes]


def shown(fix: object) -> Shown:
    """Every field of a fix."""
    return tuple(vars(fix).values())


def near(position: tuple[float, float], fix: Shown) -> bool:
    """Whether a fix is this position."""
    lat_e7, lon_e7 = fix[0], fix[1]
    assert isinstance(lat_e7, int)
    assert isinstance(lon_e7, int)
    return abs(position[0] - lat_e7 / 1e7) < TOLERANCE_DEG and abs(position[1] - lon_e7 / 1e7) < TOLERANCE_DEG


@pytest.mark.parametrize("log", LOGS)
def test_every_fix_is_a_position_that_the_receiver_gave_in_order_and_no_log_goes_without(
    data: Path, log: str
) -> None:
    line, truth = line_of(data, log), truth_of(data, log)
    whole = fixes_in_chunks(line, 0)
    assert bool(whole) == bool(truth)
    at = 0
    for fix in whole:
        while at < len(truth) and not near(truth[at], fix):
            at += 1
        assert at < len(truth), f"{fix} is not among gpsd's positions, or not in their order"
    for seed in range(1, 6):
        assert fixes_in_chunks(line, seed) == whole, "the fixes depend on how the bytes are cut"


def test_one_fix_comes_of_each_epoch_not_one_of_each_sentence(data: Path) -> None:
    times = [fix[-1] for fix in fixes_in_chunks(line_of(data, "telit-pls83-w"), 0)]
    assert len(times) == len(set(times)) == 10


def test_a_bad_checksum_takes_its_sentence_and_nothing_else(data: Path) -> None:
    line = line_of(data, "mt3339")
    whole = fixes_in_chunks(line, 0)
    broken = line.replace(b"$GPGGA,202645.000,4404", b"$GPGGA,202645.000,4414").replace(
        b"$GPRMC,202645.000,A,4404", b"$GPRMC,202645.000,A,4414"
    )
    assert broken != line
    receiver = Receiver()
    fixes = [shown(fix) for fix in receiver.feed(broken) + receiver.flush()]
    assert receiver.rejected == 2
    assert fixes == [fix for fix in whole if fix[-1] != 736050]


def test_the_microcontrollers_python_reads_every_log_to_the_same_fixes(data: Path, tmp_path: Path) -> None:
    expected = []
    for log in LOGS:
        line = line_of(data, log)
        (tmp_path / log).write_bytes(line)
        expected += [[log, *fix] for fix in fixes_in_chunks(line, 7)]
    script = tmp_path / "read_all.py"
    script.write_text(READ_ALL)
    micropython = Path(sys.executable).parent / "micropython"
    done = subprocess.run(
        [micropython, "-X", "heapsize=64wk", script, ROOT / "firmware", tmp_path, *LOGS],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert [json.loads(line) for line in done.stdout.splitlines()] == json.loads(json.dumps(expected))
