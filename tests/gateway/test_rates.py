"""How much one may say, and that the count forgets who is silent."""

from __future__ import annotations

from gateway.rates import WINDOW_S, Rates

ONE, OTHER = b"em/v1/00/tag0001/up", b"em/v1/01/tag0002/up"


def test_who_says_too_much_in_a_window_is_not_read_to_its_end_and_the_others_are() -> None:
    rates = Rates(10)
    most = int(10 * WINDOW_S)
    found = [rates.over(ONE, 100.0) for _ in range(most + 3)]
    assert found == [False] * most + [True] * 3
    assert not rates.over(OTHER, 100.0)
    assert rates.taken() == {ONE}
    assert rates.taken() == set(), "each is told once"
    assert rates.over(ONE, 100.0 + WINDOW_S - 0.01)
    assert not rates.over(ONE, 100.0 + WINDOW_S)


def test_a_quarter_of_a_million_that_speak_now_and_then_are_not_held_in_memory() -> None:
    rates = Rates(300)
    for number in range(1000):
        assert not rates.over(b"%d" % number, number / 10)
    assert len(rates._said) <= WINDOW_S * 10 + 1
