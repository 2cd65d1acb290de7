"""Real recordings reach the serial line as they were captured."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.recordings import Recording, RecordingError, load

TODAY_MS = 1_790_000_000_000


def instant(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def write(folder: Path, text: bytes, name: str = "a.log") -> Path:
    path = folder / name
    path.write_bytes(text)
    return path


def test_every_byte_of_every_real_log_is_played_in_order_and_no_header(data: Path) -> None:
    for path in sorted((data / "gnss-logs").glob("*.log")):
        played = b"".join(piece for _, piece in load(path, TODAY_MS).pieces)
        assert path.read_bytes().endswith(played)
        header = path.read_bytes()[: -len(played)]
        assert all(line.startswith(b"#") for line in header.split(b"\n")[:-1])


def test_a_real_log_lasts_as_long_as_its_clock_says(data: Path) -> None:
    recording = load(data / "gnss-logs" / "ublox-neo-m9n-nmea.log", TODAY_MS)
    assert abs(recording.start_ms - instant("2020-07-11T22:37:45")) < 1000
    assert 59_000 < recording.end_ms - recording.start_ms < 62_000


@given(seed=st.integers(0, 2**32), largest=st.integers(1, 300))
def test_chunks_of_any_size_carry_the_same_bytes_and_never_run_backwards(seed: int, largest: int) -> None:
    pieces = tuple((at, bytes([at % 251]) * (at % 90 + 1)) for at in range(0, 3000, 17))
    chunks = list(Recording("x", 1000, pieces).chunks(seed, largest))
    assert b"".join(data for _, data in chunks) == b"".join(data for _, data in pieces)
    assert [at for at, _ in chunks] == sorted(at for at, _ in chunks)
    assert all(len(data) > 0 for _, data in chunks)


def test_the_end_of_a_burst_does_not_wait_for_the_next(tmp_path: Path) -> None:
    lines = b"".join(b"$GPGGA,1200%02d,,,,,0,,,,,,,,*00\r\n" % second for second in range(5))
    for at, data in load(write(tmp_path, lines), TODAY_MS).chunks(3):
        second = (
            int(data.split(b",")[1][4:6]) if data.startswith(b"$GPGGA") and data.count(b",") > 1 else None
        )
        assert second is None or (at - TODAY_MS) % 1000 < 50 or second >= 0


def test_write_boundary_marks_are_not_data(tmp_path: Path) -> None:
    recording = load(write(tmp_path, b"# Delay-Cookie: |\n$GP|GGA,12|0000,,\r\n"), TODAY_MS)
    assert b"".join(data for _, data in recording.pieces) == b"$GPGGA,120000,,\r\n"


def test_a_log_without_any_date_is_played_on_the_day_it_is_told(tmp_path: Path) -> None:
    sentence = b"$GPGGA,235959.00,5100.0,N,00100.0,W,1,05,1.0,0,M,0,M,,*00\r\n"
    assert load(write(tmp_path, sentence), TODAY_MS).start_ms % 86_400_000 == 86_399_000
    dated = load(write(tmp_path, b"# Date: 2012-03-22\n" + sentence), TODAY_MS)
    assert dated.start_ms == instant("2012-03-22T23:59:59")


def test_midnight_in_a_log_goes_forwards_and_a_step_back_takes_no_time(tmp_path: Path) -> None:
    lines = b"".join(
        b"$GPGLL,,,,,%s,V,N*00\r\n" % clock for clock in (b"235959", b"000001", b"000000", b"000002")
    )
    recording = load(write(tmp_path, lines), TODAY_MS)
    assert 3000 <= recording.end_ms - recording.start_ms < 3200


def test_noise_alone_is_played_too(tmp_path: Path) -> None:
    noise = bytes(range(256)) * 8
    assert b"".join(data for _, data in load(write(tmp_path, noise), TODAY_MS).pieces) == noise


def test_a_trail_becomes_one_fix_a_row_at_its_own_instant(data: Path) -> None:
    path = next((data / "trails").glob("*Utrecht6*.csv"))
    recording = load(path, TODAY_MS)
    rows = path.read_text("utf-8").splitlines()[1:]
    assert len(recording.pieces) == len(rows)
    assert recording.start_ms + recording.pieces[0][0] == instant("2024-06-14T10:36:04")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"a,b\n1,2\n", "columns"),
        (b"timestamp,latitude,longitude\n", "without a single position"),
        (b"timestamp,latitude,longitude\nyesterday,1,2\n", "line 2"),
    ],
)
def test_a_file_that_is_no_trail_is_refused_with_the_place_and_the_reason(
    tmp_path: Path, text: bytes, says: str
) -> None:
    with pytest.raises(RecordingError, match=says):
        load(write(tmp_path, text, "a.csv"), TODAY_MS)


def test_a_file_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"nowhere\.log"):
        load(tmp_path / "nowhere.log", TODAY_MS)
