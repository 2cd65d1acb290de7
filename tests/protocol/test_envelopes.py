"""The envelope against the COSE working group's own vectors, and against whoever forges or breaks one."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import envelope

KEY, KID, TOPIC = bytes(range(32)), "gps00001", "em/v1/07/gps00001/up"


def vectors(folder: Path) -> list[tuple[str, bool, bytes, bytes]]:
    """``(name, should fail, key, envelope)`` of the HS256 Mac0 vectors, a key id put where ours has one.

    The unprotected header is outside the MAC, so the vector's tag still holds.
    """
    found = []
    for path in sorted(folder.glob("mac0-tests/*.json")):
        document = json.loads(path.read_text("utf-8"))
        vector: Any = document["input"]["mac0"]
        if vector["alg"] != "HS256" or vector.get("external"):
            continue
        encoded = vector["recipients"][0]["key"]["k"]
        key = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
        made = cbor2.loads(bytes.fromhex(document["output"]["cbor"]))
        parts = list(made.value if isinstance(made, cbor2.CBORTag) else made)
        parts[1] = {**parts[1], 4: KID.encode()}
        tag = made.tag if isinstance(made, cbor2.CBORTag) else None
        data = cbor2.dumps(parts if tag is None else cbor2.CBORTag(tag, parts))
        # the two "pass" vectors put the algorithm elsewhere or drop the tag: more freedom than this protocol has
        fails = bool(document.get("fail")) or path.name != "HMac-01.json"
        found.append((path.name, fails, key, data))
    return found


def test_the_working_groups_vectors_pass_and_fail_as_they_should(data: Path) -> None:
    found = vectors(data / "cose")
    assert [name for name, fails, *_ in found if not fails] == ["HMac-01.json"]
    assert sum(fails for _, fails, *_ in found) >= 6
    for name, fails, key, made in found:
        try:
            passed = envelope.authentic(envelope.parse(made), key, "")
        except envelope.EnvelopeError:
            passed = False
        assert passed is not fails, name


@given(st.binary(max_size=600))
def test_what_is_sealed_opens_to_the_same_bytes(payload: bytes) -> None:
    opened = envelope.parse(envelope.seal(KEY, KID, TOPIC, payload))
    assert (opened.kid, opened.payload) == (KID, payload)
    assert envelope.authentic(opened, KEY, TOPIC)


@given(st.binary(max_size=300), st.data())
def test_a_change_of_any_bit_is_refused(payload: bytes, data: st.DataObject) -> None:
    sealed = bytearray(envelope.seal(KEY, KID, TOPIC, payload))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        opened = envelope.parse(bytes(sealed))
    except envelope.EnvelopeError:
        return
    # the key id is outside the MAC, but must be the device of the topic, which is inside
    assert not envelope.authentic(opened, KEY, TOPIC) or opened.kid != KID


@given(st.binary(max_size=300), st.data())
def test_a_truncated_or_lengthened_envelope_is_refused(payload: bytes, data: st.DataObject) -> None:
    sealed = envelope.seal(KEY, KID, TOPIC, payload)
    for broken in (sealed[: data.draw(st.integers(0, len(sealed) - 1))], sealed + b"\0"):
        with pytest.raises(envelope.EnvelopeError):
            envelope.parse(broken)


def test_an_envelope_is_bound_to_its_topic_and_its_key() -> None:
    opened = envelope.parse(envelope.seal(KEY, KID, TOPIC, b"x"))
    assert not envelope.authentic(opened, KEY, TOPIC.replace("up", "down"))
    assert not envelope.authentic(opened, KEY, TOPIC.replace("gps00001", "gps00002"))
    assert not envelope.authentic(opened, KEY[:-1] + b"\xff", TOPIC)


@given(st.binary(max_size=5000))
def test_noise_is_an_envelope_error_and_nothing_else(noise: bytes) -> None:
    with pytest.raises(envelope.EnvelopeError):
        envelope.parse(noise)


def test_a_length_that_could_be_written_shorter_is_refused() -> None:
    sealed = envelope.seal(KEY, KID, TOPIC, b"x" * 10)
    longer = sealed.replace(b"\x4axxxxxxxxxx", b"\x58\x0axxxxxxxxxx")
    assert longer != sealed
    with pytest.raises(envelope.EnvelopeError, match="shortest"):
        envelope.parse(longer)
