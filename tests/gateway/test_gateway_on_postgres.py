"""A whole gateway whose store is a real PostgreSQL: the same promises, also when the database is killed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import commands
from gateway.trail import positions_of
from tests.gateway.conftest import House, open_house
from tests.gateway.postgres import PostgresServer
from tests.gateway.stand_in import EPOCH, START_S, StandIn, answered, positions


@pytest.fixture(scope="module")
def house(postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    opened = open_house(tmp_path_factory.mktemp("on-postgres"), store=postgres_server.empty())
    try:
        yield opened
    finally:
        opened.close()
        assert opened.gateway.stop() == 0


def numbers(house: House, tag: StandIn) -> list[int]:
    with house.store.read() as connection:
        return [int(number) for number in positions_of(connection, tag.device).seq]


def test_readings_commands_and_alerts_go_through_a_database_like_through_a_file(house: House) -> None:
    tag = house.new_tag()
    now_ms = (START_S + 3600) * 1000
    house.gateway.advance(now_ms)
    assert tag.say(positions(1, 3)).commit == (EPOCH, 3)
    assert tag.say(positions(2, 3), base=1).commit == (EPOCH, 4), "two of them again, in other company"
    assert tag.say(positions(9, 1), base=9).commit == (EPOCH, 9), "what it forgot and never told is an alarm"
    assert numbers(house, tag) == [1, 2, 3, 4, 9]
    n = commands.queue(house.store, tag.device, "locate", {}, now_ms=now_ms)
    house.gateway.advance(now_ms + 1000)
    said = tag.hello(base=10).command
    assert said is not None and (said.n, said.name) == (n, "locate")
    while tag.say(answered(10, 1, n), base=10).commit != (EPOCH, 10):
        pass  # the command said once more
    (row,) = commands.listing(house.store, tag.device, now_ms)
    assert row["state"] == "done"
    status = house.settle()
    assert (status["committed"], status["duplicates"], status["forgotten"]) == (6, 2, 4)
    assert status["alerts"] == 1


def test_a_database_killed_at_any_moment_loses_nothing_and_doubles_nothing(
    house: House, postgres_server: PostgresServer
) -> None:
    tag = house.new_tag()
    upto = 0
    for _ in range(2):
        messages = [tag.seal(positions(upto + 1 + 2 * n, 2), base=upto + 1) for n in range(50)]
        upto += 100
        tag.publish_many(messages[:25])
        postgres_server.kill()
        tag.publish_many(messages[25:])
        deadline = time.monotonic() + 60
        while not house.gateway.status()["trouble"] and time.monotonic() < deadline:
            time.sleep(0.05)
        assert house.gateway.status()["trouble"], "it says what is wrong, with the database gone"
        postgres_server.start()
        tag.committed_upto(upto, again=messages[-1:])
    assert numbers(house, tag) == list(range(1, upto + 1))
    assert house.settle()["trouble"] == ""


def test_a_gateway_killed_on_a_database_comes_back_to_what_it_had(house: House) -> None:
    tag = house.new_tag()
    assert tag.say(positions(1, 5)).commit == (EPOCH, 5)
    house.gateway.kill()
    tag.close()
    house.gateway.start()
    again = house.connect(tag.credentials)
    assert again.say(base=6).commit == (EPOCH, 5)
    assert numbers(house, again) == [1, 2, 3, 4, 5]
    assert not Path(house.settings.data_dir / "store.sqlite").exists()
