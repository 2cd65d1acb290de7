"""Disks that are full, torn or fail: nothing is acknowledged, it is said why, and it goes on when it ends.

The real processes of a gateway whose store lies on a small file system of its own, or whose calls to the disk fail.
"""

from __future__ import annotations

import ctypes
import os
import queue
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError

from gateway.backup import backup
from gateway.check import check
from gateway.restore import restore
from gateway.store import Store, envelopes, state
from gateway.trail import positions_of
from tests.gateway.conftest import House, open_house
from tests.gateway.forked import forked, was_killed
from tests.gateway.stand_in import EPOCH, StandIn, positions

_libc = ctypes.CDLL(None, use_errno=True)
_MS_RDONLY, _MS_REMOUNT, _MNT_DETACH = 1, 32, 2
_FIU = Path("/usr/lib/fiu")


def _mount(place: Path, flags: int, options: str) -> None:
    if _libc.mount(b"tmpfs", os.fsencode(place), b"tmpfs", flags, options.encode()):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1,500 KiB that holds nothing else: a new store is about half of it."""
    place = tmp_path / "disk"
    place.mkdir()
    try:
        _mount(place, 0, "size=1500k")
    except OSError as refusal:
        pytest.skip(f"a small file system can not be mounted here: {refusal.strerror}")
    yield place
    _libc.umount2(os.fsencode(place), _MNT_DETACH)


def house_on(folder: Path, store: Path | None = None) -> House:
    return open_house(folder / "data", **({} if store is None else {"store": str(store)}))


def close(house: House) -> None:
    house.close()
    house.gateway.stop()


def until(true: Callable[[], object], what: str, timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def each_once(house: House, tag: StandIn, upto: int) -> None:
    with house.store.read() as connection:
        assert positions_of(connection, tag.device).seq.tolist() == list(range(1, upto + 1))
        assert envelopes.ranges(connection, tag.device) == {EPOCH: [(1, upto, 1)]}
    assert check(house.store, house.authority.vault).faults == []


def log_of(house: House) -> str:
    return (house.settings.data_dir / "gateway.log").read_text()


@pytest.mark.long  # `make test` has a full disk in test_ingest.py
def test_on_a_full_disk_nothing_is_acknowledged_and_all_goes_on_when_there_is_room(
    disk: Path, tmp_path: Path
) -> None:
    house = house_on(tmp_path, disk / "store.sqlite")
    try:
        tag, upto, waiting = house.new_tag(), 0, [b""]
        for _ in range(200):
            waiting = [tag.seal(positions(upto + 1, 30), base=upto + 1)]
            tag.forget_answers()
            tag.publish(waiting[0])
            try:
                assert tag.answer(4).commit == (EPOCH, upto + 30)
            except queue.Empty:
                break
            upto += 30
        assert 0 < upto < 6000
        until(lambda: "full" in house.gateway.status()["trouble"], "it says that the disk is full")
        assert "nothing is acknowledged" in log_of(house)
        pid = house.gateway.ingest_pid
        _mount(disk, _MS_REMOUNT, "size=8m")
        tag.committed_upto(upto + 30, again=waiting)
        assert house.gateway.ingest_pid == pid, "the same process has recovered"
        assert house.gateway.status()["trouble"] == ""
        each_once(house, tag, upto + 30)
    finally:
        close(house)


def _count(store: Store) -> None:
    with store.write() as connection:
        state.count(connection, {"messages": 1})


def _count_and_die(path: Path) -> None:
    _count(Store.open(path))
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_file_that_could_only_be_read_when_it_was_opened_is_written_when_it_can_be(disk: Path) -> None:
    _mount(disk, _MS_REMOUNT, "size=8m")
    path = disk / "store.sqlite"
    store = Store.open(path)
    store.engine.dispose()  # nobody has it open, so that the disk can be made read-only
    assert was_killed(forked(partial(_count_and_die, path))), "whoever was killed has left the log beside it"
    _mount(disk, _MS_REMOUNT | _MS_RDONLY, "size=8m")
    with store.read() as connection:
        assert state.counters(connection)["messages"] == 1
    with pytest.raises(DBAPIError, match="readonly"):
        _count(store)
    _mount(disk, _MS_REMOUNT, "size=8m")
    _count(store)
    with store.read() as connection:
        assert state.counters(connection)["messages"] == 2
    store.close()


@pytest.mark.long
def test_a_torn_page_stops_acknowledgements_and_a_backup_brings_back_what_was_committed(
    tmp_path: Path,
) -> None:
    house = house_on(tmp_path)
    try:
        tag = house.new_tag()
        assert tag.say(positions(1, 5)).commit == (EPOCH, 5)
        made = backup(house.settings, tmp_path / "b")
        assert made.counts["envelope"] == 1
        house.store.close()
        _tear(house, "counter")
        message = tag.seal(positions(6, 5), base=6)
        tag.forget_answers()
        tag.publish(message)
        until(lambda: "malformed" in house.gateway.status()["trouble"], "it says that the store is damaged")
        assert tag.downs.empty()
        assert house.gateway.stop() == 0
        broken = Store.open(house.settings.store_place)
        assert any("the database" in fault for fault in check(broken, house.authority.vault).faults)
        broken.close()
        done = restore(house.settings, tmp_path / "b")
        house.gateway.start()
        tag.close()
        again = house.connect(tag.credentials)
        house.store = Store.open(house.settings.store_place)
        answer = again.say(positions(6, 5), base=6)
        assert (answer.commit, answer.generation) == ((EPOCH, 10), done.generation)
        each_once(house, again, 10)
    finally:
        close(house)


def _tear(house: House, table: str) -> None:
    """Overwrite the first page of a table, with the ingest not looking: it has the old one in memory otherwise."""
    pid = house.gateway.ingest_pid
    path = house.settings.store_path
    other = sqlite3.connect(path)
    assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    (page,) = other.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    (size,) = other.execute("PRAGMA page_size").fetchone()
    other.close()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xa5" * size)
    house.gateway.kill_part("ingest")
    house.gateway.wait_restarted("ingest", pid)


@pytest.fixture
def failing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Processes that are started now can be told that their calls to the disk fail."""
    if not (_FIU / "fiu_posix_preload.so").exists() or shutil.which("fiu-ctrl") is None:
        pytest.skip("no libfiu on this machine: `make system` installs Debian's fiu-utils")
    pipes = tmp_path / "fiu"
    monkeypatch.setenv("FIU_CTRL_FIFO", str(pipes))
    monkeypatch.setenv("FIU_ENABLE", "")
    monkeypatch.setenv("LD_PRELOAD", f"{_FIU}/fiu_run_preload.so {_FIU}/fiu_posix_preload.so")
    yield pipes


def _tell(pipes: Path, pid: int, command: str) -> None:
    done = subprocess.run(
        ["fiu-ctrl", "-f", str(pipes), "-c", command, str(pid)],
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
        env={name: value for name, value in os.environ.items() if name != "LD_PRELOAD"},
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.long  # rounds of tests/system/test_faults.py have it, too
def test_whatever_was_acknowledged_while_the_disk_failed_now_and_then_is_stored_once(
    failing: Path, tmp_path: Path
) -> None:
    house = house_on(tmp_path)
    try:
        tag, pid = house.new_tag(), house.gateway.ingest_pid
        _tell(failing, pid, "enable_random name=posix/io/sync/*,probability=0.3,failinfo=5")
        upto = 0
        for _ in range(40):
            message = tag.seal(positions(upto + 1, 2), base=upto + 1)
            tag.publish(message)
            upto += 2
            tag.committed_upto(upto, again=[message])
        _tell(failing, pid, "disable name=posix/io/sync/*")
        assert house.gateway.status()["process"]["failed_writes"] > 0, "it did fail, and was tried again"
        # from now on no call to the disk succeeds: nothing is acknowledged until one does
        _tell(failing, pid, "enable name=posix/io/sync/*,failinfo=5")
        message = tag.seal(positions(upto + 1, 2), base=upto + 1)
        tag.forget_answers()
        tag.publish(message)
        until(lambda: "disk I/O error" in house.gateway.status()["trouble"], "it says so")
        assert tag.downs.empty()
        _tell(failing, pid, "disable name=posix/io/sync/*")
        tag.committed_upto(upto + 2, again=[message])
        house.gateway.kill()  # what was told must stand without this process
        house.gateway.start()
        each_once(house, tag, upto + 2)
    finally:
        close(house)
