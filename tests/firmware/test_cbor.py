"""The firmware's CBOR against cbor2, and against noise."""

from __future__ import annotations

from typing import Any

import cbor
import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

INTEGERS = st.integers(-(2**64), 2**64 - 1)
LEAVES = INTEGERS | st.binary(max_size=300) | st.text(max_size=40) | st.booleans() | st.none()
VALUES: Any = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(INTEGERS, inner, max_size=5),
    max_leaves=20,
)


def depth(value: object) -> int:
    """How many lists and maps are nested in ``value``."""
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max((depth(item) for item in inner), default=0)


@given(VALUES.filter(lambda value: depth(value) <= cbor.MAX_DEPTH))
def test_it_encodes_as_cbor2_does_and_reads_it_back(value: object) -> None:
    encoded = cbor.encode(value)
    # RFC 8949 §4.2.1 orders keys by their bytes; cbor2's canonical form (RFC 7049) by length first. They differ
    # where a negative key is shorter than a positive one, so there cbor2 is only asked to read
    assert cbor2.loads(encoded) == value
    if not any(key < 0 for key in keys(value)):
        assert encoded == cbor2.dumps(value, canonical=True)
    assert cbor.decode(encoded) == value


def keys(value: object) -> list[int]:
    """Every map key in ``value``."""
    if isinstance(value, dict):
        return [*value, *(key for item in value.values() for key in keys(item))]
    return [key for item in value for key in keys(item)] if isinstance(value, list) else []


@given(st.binary(max_size=80))
def test_noise_is_refused_or_is_the_one_encoding_of_what_was_read(noise: bytes) -> None:
    try:
        value = cbor.decode(noise)
    except ValueError:
        return
    assert cbor.encode(value) == noise


@given(VALUES, st.data())
def test_a_truncated_or_lengthened_item_is_refused(value: object, data: st.DataObject) -> None:
    encoded = cbor.encode(value)
    cut = data.draw(st.integers(0, len(encoded) - 1))
    for wrong in (encoded[:cut], encoded + b"\x00"):
        with pytest.raises(ValueError, match="CBOR"):
            cbor.decode(wrong)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("1817", "shortest"),
        ("190017", "shortest"),
        ("1a0000ffff", "shortest"),
        ("1b00000000ffffffff", "shortest"),
        ("f93c00", "float"),
        ("fb3ff0000000000000", "float"),
        ("5f4100ff", "indefinite"),
        ("9fff", "indefinite"),
        ("1c", "reserved"),
        ("f7", "not used"),
        ("c100", "not used"),
        ("d903e080", "not used"),
        ("a20100", "ends early"),
        ("a201000100", "ascending"),
        ("a202000100", "ascending"),
        ("a1416100", "integers"),
        ("a1f500", "integers"),
        ("62c328", "UTF-8"),
        ("9b7fffffffffffffff", "longer"),
        ("81" * 9 + "00", "deeper"),
        ("", "ends early"),
    ],
)
def test_what_the_protocol_does_not_use_is_refused(wrong: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        cbor.decode(bytes.fromhex(wrong))


@pytest.mark.parametrize("value", [1.5, {"a": 1}, 2**64, -(2**64) - 1, {1, 2}])
def test_what_has_no_encoding_here_is_not_encoded(value: object) -> None:
    with pytest.raises(ValueError, match="CBOR"):
        cbor.encode(value)
