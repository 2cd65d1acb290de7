"""A tag changed in the middle of an order does not begin the sum of absences anew: from the wire to the alert."""

from __future__ import annotations

from typing import Any

import pytest

from core import wire
from core.readings import Kind
from gateway.orders import activate, add_order, deactivate
from tests.community_order import community_order
from tests.core.wearers import DAY_MS, MONDAY_MS
from tests.gateway.conftest import House
from tests.gateway.stand_in import StandIn, block
from tests.gateway.test_every_kind import CURFEW, HOUR_MS, MINUTE_MS, restart_ingest, told

REACHED = "atv_reached"
CURFEW_H = 18
"""19:00 in London in June, UTC."""


class Changed:
    """A wearer with one tag on a Monday, and another from the Tuesday on; both see him minute by minute."""

    def __init__(self, house: House, first_day_ms: int) -> None:
        self.house, self.day_ms = house, first_day_ms
        self.tags = [house.new_tag(), house.new_tag()]
        order_id = f"order-{self.tags[0].device}"
        add_order(house.store, community_order(order_id, CURFEW, atv_allowance_min=120))
        self.worn = [activate(house.store, self.tags[0].device, order_id, first_day_ms + 8 * HOUR_MS)]
        deactivate(house.store, self.worn[0], first_day_ms + 23 * HOUR_MS)
        self.worn.append(
            activate(house.store, self.tags[1].device, order_id, first_day_ms + DAY_MS + 8 * HOUR_MS)
        )
        self._said = [0, 0]

    def say(self, which: int, from_min: int, to_min: int, *, away: bool) -> None:
        """One tag's positions, minute by minute, from and to these minutes of its curfew; taken in and judged."""
        curfew_ms = self.day_ms + which * DAY_MS + CURFEW_H * HOUR_MS
        times = [curfew_ms + minute * MINUTE_MS for minute in range(from_min, to_min)]
        tag: StandIn = self.tags[which]
        for at in range(0, len(times), 30):
            first = self._said[which] + 1
            part = times[at : at + 30]
            self._said[which] += len(part)
            tag.say(self._positions(first, part, 51.51 if away else 51.5))
        self.house.settle()

    @staticmethod
    def _positions(first: int, times: list[int], lat: float) -> wire.Block:
        return block(
            Kind.POSITION,
            first,
            times,
            lat=round(lat * 1e7),
            lon=round(-0.1 * 1e7),
            precision=80,
            satellites=9,
        )

    def out(self, which: int, minutes: int, since_min: int = 30) -> None:
        """Out for so many minutes of the curfew, at home before and after."""
        self.say(which, since_min - 10, since_min, away=False)
        self.say(which, since_min, since_min + minutes, away=True)
        self.say(which, since_min + minutes, since_min + minutes + 10, away=False)

    def reached(self, which: int) -> list[dict[str, Any]]:
        return told(self.house, self.worn[which], REACHED)


@pytest.fixture(scope="module")
def now_ms(house: House) -> int:
    """Three days later."""
    house.gateway.advance(MONDAY_MS + 3 * DAY_MS)
    return MONDAY_MS + 3 * DAY_MS


def test_seventy_minutes_with_one_tag_and_sixty_with_the_next_use_up_two_hours(
    house: House, now_ms: int
) -> None:
    changed = Changed(house, MONDAY_MS)
    changed.out(0, 70)
    assert changed.reached(0) == []
    changed.out(1, 60)
    assert changed.reached(0) == []
    (alert,) = changed.reached(1)
    assert (alert["state"], alert["figures"]["absences"], alert["figures"]["at_least_min"]) == (
        "open",
        2,
        128,
    )
    assert alert["start"].startswith("2026-06-02T19:2")
    restart_ingest(house)
    house.settle()
    assert (changed.reached(0), changed.reached(1)) == ([], [alert]), "said once, before and after a restart"


def test_what_the_first_tag_says_late_is_added_to_what_the_second_one_said_before(
    house: House, now_ms: int
) -> None:
    changed = Changed(house, MONDAY_MS)
    changed.out(1, 60)
    assert changed.reached(1) == []
    changed.out(0, 70)
    (alert,) = changed.reached(1)
    assert (changed.reached(0), alert["figures"]["absences"]) == ([], 2)
    restart_ingest(house)
    changed.out(0, 60, since_min=120)
    assert changed.reached(1) == [], "with what came later the first tag had used it up alone"
    (alone,) = changed.reached(0)
    assert (alone["state"], alone["figures"]["at_least_min"]) == ("open", 128)
    restart_ingest(house)
    house.settle()
    assert (changed.reached(0), changed.reached(1)) == ([alone], [])
