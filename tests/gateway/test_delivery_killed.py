"""The notifier killed at any moment, and under a real gateway: nothing is lost, repetitions have the same key."""

from __future__ import annotations

import multiprocessing
import os
import random
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from gateway.delivery import __main__ as notifier
from gateway.delivery.heartbeat import looked
from gateway.process import GatewayProcess
from gateway.settings import Settings
from gateway.store import Store, alerts, devices, outbox, state
from gateway.store.alerts import AlertEntry
from gateway.store.tables import telling
from tests.gateway.receivers import SECRET, Web

START_MS = 1_780_480_800_000
DEVICE = "tag0001"
SEED = 20260603
_PATIENCE_S = 60.0


@pytest.fixture
def web() -> Iterator[Web]:
    opened = Web()
    yield opened
    opened.close()


def write_routes(folder: Path, text: str) -> Path:
    file = folder / "routes.toml"
    file.touch(0o600)
    file.write_text(text)
    return file


def contact(web: Web) -> str:
    return f'[contacts.ann]\nurl = "{web.url}"\n[[route]]\nname = "duty"\nrota = ["ann"]\nminutes = 1440\n'


def until(true: Callable[[], bool]) -> None:
    """Wait for something that comes; how long is the machine's business."""
    give_up_s = time.monotonic() + _PATIENCE_S
    while not true():
        assert time.monotonic() < give_up_s, "it never came"
        time.sleep(0.02)


def put(store: Store, name: str, state_: str, at_ms: int) -> tuple[int, int]:
    """Write an alert that people are to be told of; its number and revision."""
    entry = AlertEntry(name, DEVICE, None, "no_contact", state_, "high", START_MS, f'{{"state":"{state_}"}}')
    with store.write() as connection:
        state.set_number(connection, state.JUDGED_MS, at_ms)
        number = alerts.put(connection, [entry], at_ms)[0]
        shown = alerts.revisions(connection, number)
    return number, shown[-1]["revision"]


def waits(store: Store) -> bool:
    with store.read() as connection:
        return bool(outbox.undecided(connection) or outbox.waiting(connection))


@pytest.mark.parametrize("rounds", [8, pytest.param(100, marks=[pytest.mark.long, pytest.mark.timeout(900)])])
def test_killed_at_any_moment_it_loses_nothing_and_repeats_only_with_the_same_key(
    tmp_path: Path, web: Web, rounds: int
) -> None:
    (tmp_path / "tagwatch.toml").write_text('clock = "stepped"\n')
    write_routes(tmp_path, contact(web))
    store = Store.open(tmp_path / "store.sqlite")
    with store.write() as connection:
        devices.add(connection, devices.Device(DEVICE, bytes(32), b"", 5, None))
        state.set_number(connection, state.JUDGED_MS, START_MS)
        state.set_number(connection, state.TOLD_FROM_MS, START_MS)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["gateway.delivery.__main__", "gateway.store.database", "apprise"])
    chance = random.Random(SEED)
    now_ms, expected = START_MS, set[tuple[int, int]]()
    for round_ in range(rounds):
        web.slow_s = chance.choice([0.0, 0.05, 0.3])
        now_ms += 6 * 60_000
        expected.add(put(store, f"a{round_}", "open", now_ms))  # while it is dead
        process = context.Process(target=notifier.main, args=(["--data-dir", str(tmp_path)],))
        process.start()
        if round_ >= 2:
            expected.add(put(store, f"a{round_ - 2}", "ended", now_ms))
        expected.add(put(store, f"b{round_}", "open", now_ms))
        time.sleep(chance.uniform(0.1, 0.9))
        process.kill()
        process.join()
    web.slow_s = 0.0
    last = context.Process(target=notifier.main, args=(["--data-dir", str(tmp_path)],))
    last.start()
    give_up_s = time.monotonic() + _PATIENCE_S
    while waits(store):
        assert time.monotonic() < give_up_s, f"seed {SEED}: something is never told"
        now_ms += 60_000
        with store.write() as connection:
            state.set_number(connection, state.JUDGED_MS, now_ms)
        time.sleep(0.2)
    last.terminate()
    last.join()
    with store.read() as connection:
        query = select(telling.c.alert, telling.c.revision).where(telling.c.outcome == "merged")
        merged = {(row.alert, row.revision) for row in connection.execute(query)}
    store.close()
    told = [re.search(r"Alert (\d+), revision (\d+): .*\[(.*)\]", text) for text in web.got]
    keys: dict[tuple[int, int], set[str]] = {}
    for one in told:
        assert one is not None
        keys.setdefault((int(one[1]), int(one[2])), set()).add(one[3])
    assert keys.keys() <= expected, f"seed {SEED}"
    newest = {max(one for one in expected if one[0] == number) for number, _ in expected}
    # a revision is passed over only where a newer one took its place before anybody could be told
    assert expected - keys.keys() <= merged - newest, f"seed {SEED}"
    assert {len(several) for several in keys.values()} == {1}, f"seed {SEED}"
    assert max(Counter(web.got).values()) <= 3, f"seed {SEED}"


def test_a_gateway_tells_people_calls_the_dead_mans_switch_and_takes_over_new_routes(
    tmp_path: Path, web: Web
) -> None:
    beats = Web()
    heartbeat = f'[heartbeat]\nurl = "{beats.plain_url}"\nevery_s = 1\n'
    file = write_routes(tmp_path, contact(web) + heartbeat)
    settings = Settings.load(tmp_path, mqtt_port=0, web=False, clock_trust="box")
    gateway = GatewayProcess(settings)
    try:
        gateway.start()
        until(lambda: len(beats.calls) >= 2)
        store = Store.open(settings.store_path)
        with store.write() as connection:
            devices.add(connection, devices.Device(DEVICE, bytes(32), b"", 5, None))
            entry = AlertEntry("a1", DEVICE, None, "sequence_conflict", "open", "high", START_MS, "{}")
            alerts.put(connection, [entry], time.time_ns() // 1_000_000)
        until(lambda: len(web.got) == 1)

        old = gateway.pid("notifier")
        file.write_text(contact(web) + "[contacts.bob]\n")
        time.sleep(1.5)
        assert gateway.pid("notifier") == old  # what can not be used is not taken over
        file.write_text(contact(web).replace("duty", "others") + heartbeat)
        gateway.wait_restarted("notifier", old)
        store.close()
    finally:
        gateway.stop()
        beats.close()
    called = len(beats.calls)
    time.sleep(2.5)
    assert len(beats.calls) == called  # a gateway that is gone is silent
    log = (tmp_path / "gateway.log").read_text()
    assert SECRET not in log and "contacts.bob" in log


@pytest.mark.long
def test_routes_that_come_later_are_taken_up_and_a_notifier_that_hangs_is_started_again(
    tmp_path: Path, web: Web
) -> None:
    settings = Settings.load(tmp_path, mqtt_port=0, web=False, clock="stepped", hung_after_s=3)
    with GatewayProcess(settings) as gateway:
        assert "notifier_pid" not in gateway.run()
        write_routes(tmp_path, contact(web))
        gateway.advance(START_MS)
        hung = gateway.pid("notifier")
        gateway.wait_restarted("notifier", -1)
        os.kill(hung, signal.SIGSTOP)
        store = Store.open(settings.store_path)
        with store.write() as connection:
            devices.add(connection, devices.Device(DEVICE, bytes(32), b"", 5, None))
            state.set_number(connection, state.TOLD_FROM_MS, START_MS)
        put(store, "a1", "open", START_MS)
        store.close()
        assert gateway.wait_restarted("notifier", hung) != hung
        until(lambda: len(web.got) == 1)
    assert "a process hangs and is ended" in (tmp_path / "gateway.log").read_text()


def test_an_unhealthy_gateway_is_seen_to_be_so(tmp_path: Path) -> None:
    settings = Settings.load(tmp_path, mqtt_port=0, web=False)
    store = Store.open(settings.store_path)
    assert looked(settings, store, START_MS) == ["the ingest does not answer"]
    store.close()
