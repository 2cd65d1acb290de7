"""Processes killed at bad moments: nothing lost, nothing twice, back by themselves."""

from __future__ import annotations

import os
import random
import shutil
import time
from pathlib import Path

import pytest

from gateway.control import ControlError
from gateway.process import GatewayError
from gateway.store import envelopes
from gateway.trail import positions_of
from tests.gateway.conftest import House
from tests.gateway.stand_in import EPOCH, StandIn, positions


def each_once(house: House, tag: StandIn, upto: int) -> None:
    """Every reading from 1 to ``upto`` is stored, and none twice."""
    with house.store.read() as connection:
        assert positions_of(connection, tag.device).seq.tolist() == list(range(1, upto + 1))
        assert envelopes.ranges(connection, tag.device) == {EPOCH: [(1, upto, 1)]}
        assert not envelopes.conflicts(connection, tag.device)


def test_an_ingest_killed_with_messages_in_flight_loses_none_and_doubles_none(house: House) -> None:
    tag = house.new_tag()
    dice = random.Random(20261121)
    upto = 0
    for _ in range(3):
        messages = [tag.seal(positions(upto + 1 + 2 * n, 2), base=upto + 1) for n in range(100)]
        upto += 200
        cut = dice.randrange(100)
        tag.publish_many(messages[:cut])
        old = house.gateway.kill_part("ingest")
        tag.publish_many(messages[cut:])
        house.gateway.wait_restarted("ingest", old)
        tag.publish_many(messages)
        tag.committed_upto(upto, again=messages[-1:])
    each_once(house, tag, upto)
    assert house.settle()["committed"] == upto


def test_a_killed_ingest_comes_back_by_itself(house: House) -> None:
    old = house.gateway.kill_part("ingest")
    assert house.gateway.wait_restarted("ingest", old) != old
    assert house.gateway.status()["connected"] is True


def test_a_broker_killed_with_its_store_wiped_is_found_again_by_everyone(house: House) -> None:
    tag = house.new_tag()
    tag.say(positions(1, 2))
    port = house.gateway.run()["mqtt_port"]
    old = house.gateway.kill_part("broker")
    shutil.rmtree(house.settings.broker_dir / "store", ignore_errors=True)
    house.gateway.wait_restarted("broker", old)
    assert house.gateway.run()["mqtt_port"] == port
    house.settle()  # the ingest is connected again
    message = tag.seal(positions(3, 2))
    tag.publish(message)
    tag.committed_upto(4, again=[message])
    each_once(house, tag, 4)


def test_a_power_cut_of_the_whole_gateway_keeps_what_was_committed(house: House) -> None:
    tag = house.new_tag()
    tag.say(positions(1, 5))
    pids = [house.gateway.pid("broker"), house.gateway.pid("ingest")]
    house.gateway.kill()
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{pid}/cmdline").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(_runs(pid) for pid in pids), "no process outlives the supervisor"
    tag.close()
    house.gateway.start()
    again = house.connect(tag.credentials)  # the same port and the same certificates
    assert again.say(base=6).commit == (EPOCH, 5)
    each_once(house, again, 5)


def test_two_gateways_do_not_share_a_folder(house: House) -> None:
    second = type(house.gateway)(house.settings)
    with pytest.raises(GatewayError, match=r"runs on .* already"):
        second.start(10)


def test_what_runs_is_told_as_soon_as_the_disk_takes_it_and_never_what_ran_before(house: House) -> None:
    house.gateway.kill()
    # as on a full disk: what runs can not be written, what is there can be removed
    refused = house.settings.run_path.with_name("run.json.tmp")
    refused.mkdir()
    house.gateway.start()
    assert house.gateway.run() == {}, "a gateway that was killed has left pids that may be anybody's now"
    refused.rmdir()
    assert _runs(house.gateway.pid("ingest"))
    assert house.gateway.run()["ready"]


def test_time_stands_where_it_stood_when_the_ingest_was_killed(house: House) -> None:
    now_ms = house.settle()["now_ms"] + 5000
    house.gateway.advance(now_ms)
    house.gateway.kill_part("ingest")
    # an advance waits for an ingest that is being started again
    with pytest.raises(ControlError, match="can not go back"):
        house.gateway.advance(now_ms - 1)
    assert house.gateway.status()["now_ms"] == now_ms
    assert house.gateway.advance(now_ms)["t_ms"] == now_ms


def test_a_clean_stop_leaves_nothing_behind(house: House) -> None:
    pids = [house.gateway.pid("broker"), house.gateway.pid("ingest")]
    assert house.gateway.stop() == 0
    assert not any(_runs(pid) for pid in pids)
    assert not house.settings.run_path.exists()
    assert not house.settings.control_path.exists()
    house.gateway.start()


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state != "Z"
