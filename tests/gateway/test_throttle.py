"""Passwords can be guessed slowly only, and nobody is locked out by somebody else's guessing."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.throttle import ADDRESS, BROWSER, USER, Throttle, network

SALT = b"one salt for all"
WAITS = st.floats(0, 100, allow_nan=False)
NAMES = st.sampled_from(["alex", "sam", "robin", "nobody1", "nobody2"])
HOUR_S = 3600.0


@settings(deadline=None)
@given(attempts=st.lists(st.tuples(NAMES, WAITS), max_size=400))
def test_one_address_never_holds_up_another_whatever_it_tries(attempts: list[tuple[str, float]]) -> None:
    throttle, now_s = Throttle(SALT), 0.0
    for name, wait_s in attempts:
        now_s += wait_s
        throttle.begin(name, "192.0.2.66", None, now_s)
        assert throttle.begin("alex", "198.51.100.7", None, now_s) == 0
        throttle.succeeded("alex", "198.51.100.7", None)


def test_the_hungriest_guesser_at_one_address_holds_up_nobody_else_for_a_week() -> None:
    throttle = Throttle(SALT)
    for second in range(0, 7 * 24 * 3600, 5):
        throttle.begin("alex", "192.0.2.66", None, float(second))
        assert throttle.begin("alex", f"198.51.100.{second % 200}", None, float(second)) == 0
        throttle.succeeded("alex", f"198.51.100.{second % 200}", None)


@settings(deadline=None)
@given(
    attempts=st.lists(st.tuples(st.integers(0, 50), NAMES, WAITS), max_size=400),
)
def test_a_browser_in_which_somebody_has_signed_in_is_held_up_by_nobody_else(
    attempts: list[tuple[int, str, float]],
) -> None:
    throttle, now_s = Throttle(SALT), 0.0
    for address, name, wait_s in attempts:
        now_s += wait_s
        throttle.begin(name, f"192.0.2.{address}", None, now_s)
        # behind the guesser's own address, even
        assert throttle.begin("alex", f"192.0.2.{address}", "a browser known", now_s) == 0
        throttle.succeeded("alex", f"192.0.2.{address}", "a browser known")


@settings(deadline=None)
@given(
    attempts=st.lists(st.tuples(NAMES, st.integers(0, 3), st.booleans(), WAITS), max_size=600),
)
def test_no_more_than_the_limits_get_through_in_any_order_of_attempts(
    attempts: list[tuple[str, int, bool, float]],
) -> None:
    throttle, now_s = Throttle(SALT), 0.0
    through: dict[tuple[str, str], int] = {}
    for name, address, known, wait_s in attempts:
        now_s += wait_s
        browser = f"browser {address}" if known else None
        wait = throttle.begin(name, str(address), browser, now_s)
        if wait == 0:
            keys = [("browser", str(address))] if known else [("address", str(address)), ("user", name)]
            for key in keys:
                through[key] = through.get(key, 0) + 1
        else:
            # the wait that is told is enough, and not a moment too long
            other = Throttle(SALT)
            other._full_at = dict(throttle._full_at)
            assert other.begin(name, str(address), browser, now_s + wait * 0.99 - 0.001) > 0
            assert other.begin(name, str(address), browser, now_s + wait + 0.001) == 0
    for (kind, _), count in through.items():
        limit = {"browser": BROWSER, "address": ADDRESS, "user": USER}[kind]
        assert count <= limit.burst + now_s / limit.every_s


def test_a_right_password_gives_the_attempt_back_and_many_at_once_gain_nothing() -> None:
    throttle = Throttle(SALT)
    for _ in range(1000):
        assert throttle.begin("alex", "192.0.2.1", None, 0.0) == 0
        throttle.succeeded("alex", "192.0.2.1", None)
    begun = [throttle.begin("alex", "192.0.2.1", None, 0.0) for _ in range(100)]
    assert begun.count(0.0) == ADDRESS.burst
    assert throttle.exhausted("alex", "192.0.2.1", None, 0.0)
    assert not throttle.exhausted("alex", "192.0.2.1", None, HOUR_S)


def test_memory_is_bounded_whatever_is_tried() -> None:
    throttle = Throttle(SALT)
    for number in range(200_000):
        throttle.begin(f"user{number}", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", None, 0.0)
    assert throttle.size <= 3 * 65536


@pytest.mark.parametrize(
    ("address", "counted_as"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_of_an_ipv6_address_what_one_subscriber_has_counts_as_one(address: str, counted_as: str) -> None:
    assert network(address) == counted_as
