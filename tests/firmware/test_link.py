"""The link's patience: when it sends, waits, sleeps, gives up and comes back; in virtual time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterator
from itertools import pairwise
from typing import Any

import counters
import pytest
import records
from clock import Clock
from journal import Journal
from link import Link
from mqtt import Client

from core import envelope, wire
from tests.firmware.flash import Flash
from tests.firmware.gateway_side import authentic
from tests.firmware.virtual_time import Board, PaperBroker, run
from tests.protocol.model import GatewayModel, Message

DEVICE, KEY = "gps00001", bytes(range(32))


@pytest.fixture(autouse=True)
def _counted_from_zero() -> Iterator[None]:
    counters.COUNTERS.clear()
    yield
    counters.COUNTERS.clear()


class World:
    """A tag's link, a paper broker, and a gateway that may be deaf."""

    def __init__(self) -> None:
        self.board = Board()
        self.broker = PaperBroker()
        self.broker.gateway = self.gateway_hears
        self.gateway = GatewayModel()
        self.deaf = False
        self.messages: list[tuple[float, Message]] = []
        self.flash = Flash()
        self.journal = Journal("", 1 << 20, random.Random(1).randbytes, folder=self.flash)
        self.clock = Clock(self.board)
        self.link = Link(self.journal, self.clock, self.client, self.board, DEVICE, KEY, counters)
        self.made = 0

    def client(self) -> Client:
        return Client(self.broker.dial, DEVICE, self.clock.uptime_ms)

    def gateway_hears(self, topic: str, payload: bytes) -> tuple[str, bytes] | None:
        if not topic.endswith("/up"):
            return None
        message = authentic(payload, KEY, topic)
        self.messages.append((self.second(), message))
        if self.deaf:
            return None
        return self.down(self.gateway.hear(message).commit)

    def down(self, upto: int, key: bytes = KEY) -> tuple[str, bytes]:
        topic = f"em/v1/49/{DEVICE}/down"
        payload = wire.encode_down(wire.Down(0, (self.journal.epoch, upto)))
        return topic, envelope.seal(key, DEVICE, topic, payload)

    def second(self) -> float:
        return asyncio.get_running_loop().time() - 1000

    def sample(self, *, urgent: bool = False) -> None:
        """Make a reading, as a sampler does."""
        t_ds, quality = self.clock.now()
        if urgent:
            self.journal.append(records.TAMPER, t_ds, records.tamper(2, 0, quality), urgent=True)
        else:
            self.journal.append(records.POSITION, t_ds, records.position(1, 2, 3, 4, 5, 6, 7, quality))
        self.made += 1
        self.link.wake(urgent)

    def sent(self) -> list[tuple[int, list[int]]]:
        """(second, numbers) of each message that held readings."""
        return [(int(at), list(message.readings)) for at, message in self.messages if message.readings]

    def asleep(self) -> bool:
        return not self.board.awake[-1][1]


def lived(scenario: Callable[[World], Coroutine[Any, Any, None]]) -> World:
    """Run a scenario beside a running link."""
    worlds = []

    async def main() -> None:
        world = World()
        worlds.append(world)
        running = asyncio.create_task(world.link.run())
        try:
            await scenario(world)
            assert not running.done()
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    run(main())
    return worlds[0]


def test_a_reading_waits_at_most_two_minutes_and_goes_with_its_neighbours() -> None:
    async def scenario(world: World) -> None:
        await asyncio.sleep(10)
        for _ in range(10):
            world.sample()
            await asyncio.sleep(50)

    assert lived(scenario).sent() == [(130, [1, 2, 3]), (280, [4, 5, 6]), (430, [7, 8, 9])]


def test_an_urgent_reading_goes_at_once_and_takes_the_others_with_it() -> None:
    async def scenario(world: World) -> None:
        await asyncio.sleep(10)
        world.sample()
        await asyncio.sleep(20)
        world.sample(urgent=True)
        await asyncio.sleep(300)
        assert world.asleep()

    assert lived(scenario).sent() == [(30, [1, 2])]


def test_the_board_is_kept_awake_exactly_while_an_answer_is_due() -> None:
    async def scenario(world: World) -> None:
        await asyncio.sleep(10)
        world.sample()
        await asyncio.sleep(200)

    world = lived(scenario)
    times = [(round(at, 1), on) for at, on in world.board.awake]
    # network 2 s, dial 0.5 s, CONNACK, SUBACK, then the hello's PUBACK and commit 0.1 s each; the upload at 130 s
    assert times[:4] == [(0.0, True), (2.8, False), (130.0, True), (130.1, False)]
    assert len(times) == 4


def test_a_dead_gateway_is_not_waited_for_and_sampling_goes_on() -> None:
    async def scenario(world: World) -> None:
        world.deaf = True
        await asyncio.sleep(10)
        world.sample()
        await asyncio.sleep(600)
        assert world.asleep()
        for _ in range(20):
            world.sample()
            await asyncio.sleep(60)
        changes = world.board.awake
        awake_s = [off - on for (on, _), (off, _) in zip(changes[::2], changes[1::2], strict=True)]
        assert max(awake_s) <= 35, "30 s after the first silence"
        assert sum(sorted(awake_s)[:-2]) <= 5, "then only for PUBACKs"
        world.deaf = False
        await asyncio.sleep(600)
        assert world.journal.base == world.journal.next == world.made + 1
        assert world.asleep()

    world = lived(scenario)
    firsts = [at for at, numbers in world.sent() if numbers[0] == 1]
    assert [b - a for a, b in pairwise(firsts)][:5] == [30, 60, 120, 240, 300]


def test_back_off_doubles_to_two_minutes_with_a_random_half_and_ends_with_an_answer() -> None:
    async def scenario(world: World) -> None:
        world.broker.down = True
        await asyncio.sleep(900)
        assert world.asleep()
        world.broker.down = False
        await asyncio.sleep(200)
        world.broker.streams[-1].close()
        await asyncio.sleep(60)

    world = lived(scenario)
    waits = [round(b - a) for a, b in pairwise(world.broker.dials)]
    assert waits[:9] == [3, 4, 6, 10, 18, 34, 66, 122, 122]  # two seconds each are the network's
    assert waits[-1] <= 125 + 200
    assert counters.COUNTERS["connections"] == 2


def test_the_dice_shorten_a_back_off_by_half_at_most() -> None:
    async def scenario(world: World) -> None:
        world.board.dice = 0
        world.broker.down = True
        await asyncio.sleep(400)

    world = lived(scenario)
    waits = [round(b - a, 1) for a, b in pairwise(world.broker.dials)]
    assert waits[:8] == [2.5, 3, 4, 6, 10, 18, 34, 62]


def test_an_urgent_reading_does_not_wait_for_the_end_of_a_back_off() -> None:
    async def scenario(world: World) -> None:
        world.broker.down = True
        await asyncio.sleep(600)
        before = len(world.broker.dials)
        world.broker.down = False
        world.sample(urgent=True)
        await asyncio.sleep(10)
        assert len(world.broker.dials) == before + 1
        assert world.journal.base == world.journal.next

    lived(scenario)


def test_a_missing_puback_ends_the_connection_and_a_new_one_says_it_again() -> None:
    async def scenario(world: World) -> None:
        await asyncio.sleep(10)
        world.broker.mute = {3}
        world.deaf = True
        world.sample(urgent=True)
        await asyncio.sleep(20)
        world.broker.mute = set()
        world.deaf = False
        await asyncio.sleep(30)
        assert world.journal.base == world.journal.next
        assert len(world.broker.streams) == 2
        assert world.broker.streams[0].closed
        assert "has not answered" in str(world.link.problem)

    lived(scenario)


def test_forged_messages_are_counted_and_reported_once_in_ten_minutes() -> None:
    async def scenario(world: World) -> None:
        await asyncio.sleep(10)
        for _ in range(70):
            world.broker.publish(*world.down(0, bytes(32)))
            await asyncio.sleep(10)
        await asyncio.sleep(900)

    world = lived(scenario)
    tampers = [
        (int(at), content)
        for at, message in world.messages
        for content in message.readings.values()
        if isinstance(content, tuple)
    ]
    assert [(at, int.from_bytes(body[1:3], "little")) for at, (_, _, body) in tampers] == [
        (10, 1),
        (610, 60),
        (1210, 9),
    ]
    assert {(kind, body[0]) for _, (kind, _, body) in tampers} == {(records.TAMPER, records.TAMPER_LINK)}
    assert counters.COUNTERS["down_forged"] == 70


def test_a_commit_beyond_what_was_sent_is_refused_and_counted() -> None:
    async def scenario(world: World) -> None:
        await asyncio.sleep(10)
        world.sample()
        world.broker.publish(*world.down(1))
        world.broker.publish(*world.down(2**32 - 1))
        world.broker.publish("em/v1/49/gps00002/down", b"not mine")
        await asyncio.sleep(1)
        assert world.journal.base == 1
        assert counters.COUNTERS["commit_beyond_sent"] == 2
        assert counters.COUNTERS["down_elsewhere"] == 1

    lived(scenario)


def test_a_flash_that_fails_is_counted_and_stops_neither_link_nor_sampling() -> None:
    async def scenario(world: World) -> None:
        await asyncio.sleep(10)
        world.flash.fail_at = set(range(10**5))
        world.sample()
        world.broker.publish(*world.down(0, bytes(32)))
        await asyncio.sleep(400)
        assert counters.COUNTERS["flash_errors"] >= 2
        world.flash.fail_at = set()
        world.sample()
        await asyncio.sleep(400)
        assert world.journal.base == world.journal.next
        assert counters.COUNTERS.get("connections") == 1

    lived(scenario)


def test_what_is_made_comes_to_flash_without_a_connection() -> None:
    async def scenario(world: World) -> None:
        world.broker.down = True
        for i in range(5):
            world.sample()
            await asyncio.sleep(60)
            assert world.journal.flushed >= i

    lived(scenario)


def test_the_state_is_told_online_and_the_will_offline() -> None:
    async def scenario(world: World) -> None:
        await asyncio.sleep(10)

    world = lived(scenario)
    states = [(topic, payload) for _, topic, payload in world.broker.published if topic.endswith("/state")]
    assert states == [(f"em/v1/49/{DEVICE}/state", b"online")]
    assert b"offline" in world.broker.packets[0][1]
