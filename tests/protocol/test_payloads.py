"""What a gateway refuses in a payload before it looks for readings in it, whoever made it."""

from __future__ import annotations

from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import wire

DECIMAL_FRACTION_OF_MANY_DIGITS = b"\xc4\x82\x1b\x00\xff\xff\xff\xff\xff\xff\xff\x03"
BIGFLOAT_OF_MANY_DIGITS = b"\xc5\x82\x1b\x00\xff\xff\xff\xff\xff\xff\xff\x03"

plain = (
    st.none() | st.booleans() | st.integers(-(2**64), 2**64 - 1) | st.binary(max_size=8) | st.text(max_size=8)
)
nested = st.recursive(
    plain,
    lambda items: st.lists(items, max_size=3) | st.dictionaries(st.integers(0, 9), items, max_size=3),
    max_leaves=12,
)


def depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


def refuse(payload: bytes) -> str:
    for decode in (wire.decode_up, wire.decode_down):
        with pytest.raises(wire.WireError) as refused:
            decode(payload)
    return str(refused.value)


@pytest.mark.parametrize("levels", [9, 40, 1000])
def test_maps_that_are_keys_of_maps_are_refused_before_they_take_twice_as_long_with_every_level(
    levels: int,
) -> None:
    payload = b"\xa1" * levels + b"\x00" * (levels + 1)
    assert refuse(payload).startswith("not CBOR")


@pytest.mark.parametrize("levels", [9, 300, 4000])
def test_lists_in_lists_beyond_what_a_tag_can_read_are_refused(levels: int) -> None:
    assert refuse(b"\x81" * levels + b"\x00").startswith("not CBOR")


@given(tag=st.integers(0, 70_000), value=plain | st.lists(st.integers(), max_size=3))
def test_whatever_is_tagged_is_refused(tag: int, value: object) -> None:
    tagged = cbor2.dumps({1: wire.VERSION, 2: cbor2.CBORTag(tag, value)})
    assert refuse(tagged).startswith("not CBOR")


@pytest.mark.parametrize("number", [DECIMAL_FRACTION_OF_MANY_DIGITS, BIGFLOAT_OF_MANY_DIGITS])
def test_a_number_of_quadrillions_of_digits_is_never_made(number: bytes) -> None:
    assert refuse(b"\xa2\x01\x01\x02" + number).startswith("not CBOR")


@pytest.mark.parametrize(
    "payload", [b"\xbf\x01\x01\xff", b"\xa2\x01\x01\x01\x01"], ids=["indefinite", "a key twice"]
)
def test_what_can_be_written_in_two_ways_is_refused(payload: bytes) -> None:
    assert refuse(payload).startswith("not CBOR")


@given(arguments=st.lists(nested, max_size=3))
def test_a_command_of_anything_that_is_not_too_deep_is_read_as_it_was_written(arguments: list[Any]) -> None:
    down = wire.Down(1, None, wire.Command(7, "name", arguments))
    if depth([[arguments]]) > wire.MAX_DEPTH:
        assert refuse(wire.encode_down(down))
    else:
        assert wire.decode_down(wire.encode_down(down)) == down
