"""The firmware's envelope against the COSE working group's vectors, the gateway's reader, and forgers."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import cbor
import cbor2
import envelope
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import envelope as gateway_envelope

KEY, KID, TOPIC = bytes(range(32)), b"gps00001", b"em/v1/07/gps00001/up"
KEYS = st.binary(min_size=32, max_size=32)


def vectors(folder: Path) -> dict[str, tuple[dict[str, Any], bytes, bytes]]:
    """Name → (input, key, envelope) of the working group's HS256 vectors of COSE_Mac0."""
    found = {}
    for path in sorted(folder.glob("mac0-tests/*.json")):
        document = json.loads(path.read_text("utf-8"))
        vector = document["input"]["mac0"]
        encoded = vector["recipients"][0]["key"]["k"]
        key = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
        found[path.stem] = ({**vector, **document}, key, bytes.fromhex(document["output"]["cbor"]))
    return found


def test_the_working_groups_macs_are_ours(data: Path) -> None:
    found = vectors(data / "cose")
    passing = [name for name, (vector, _, _) in found.items() if not vector.get("fail")]
    assert passing == ["HMac-01", "mac-pass-01", "mac-pass-02", "mac-pass-03"]
    for name in passing:
        vector, key, made = found[name]
        item = cbor2.loads(made)
        protected, _, payload, tag = item.value if isinstance(item, cbor2.CBORTag) else item
        # RFC 9052 §3: an empty protected header is the empty string in the MAC structure
        protected = b"" if protected == b"\xa0" else protected
        external = bytes.fromhex(vector.get("external", ""))
        assert envelope.mac(key, protected, external, payload) == tag, name


def test_the_working_groups_envelope_with_our_key_id_is_ours_byte_for_byte(data: Path) -> None:
    _, key, made = vectors(data / "cose")["HMac-01"]
    # the unprotected header is outside the MAC: {} there, {4: kid} here
    ours = made.replace(bytes.fromhex("43a10105a0"), bytes.fromhex("43a10105a10448") + KID)
    assert envelope.seal(key, KID, b"", b"This is the content.") == ours
    assert envelope.open(key, KID, b"", ours) == b"This is the content."


def test_the_working_groups_failures_are_refused(data: Path) -> None:
    failures = {name: found for name, found in vectors(data / "cose").items() if found[0].get("fail")}
    assert len(failures) == 6
    for name, (_, key, made) in failures.items():
        with_kid = made.replace(b"\xa0\x54", b"\xa1\x04\x48" + KID + b"\x54", 1)
        assert with_kid != made
        for wrong in (made, with_kid):
            with pytest.raises(envelope.Forged):
                envelope.open(key, KID, b"", wrong)
        assert name.startswith("mac-fail")


@given(st.binary(max_size=1000), KEYS, st.text("abc019", min_size=4, max_size=16), st.binary(max_size=40))
def test_what_is_sealed_opens_to_the_same_bytes_here_and_at_the_gateway(
    payload: bytes, key: bytes, device: str, leaf: bytes
) -> None:
    topic = "em/v1/00/" + leaf.hex()
    sealed = envelope.seal(key, device.encode(), topic.encode(), payload)
    assert sealed == gateway_envelope.seal(key, device, topic, payload)
    assert envelope.open(key, device.encode(), topic.encode(), sealed) == payload


@given(st.binary(min_size=256, max_size=1000), st.text("abc019", min_size=4, max_size=16))
def test_the_overhead_is_what_sealing_adds(payload: bytes, device: str) -> None:
    sealed = envelope.seal(KEY, device.encode(), TOPIC, payload)
    assert len(sealed) == len(payload) + envelope.overhead(device.encode())


@given(st.integers(0), st.integers(0, 7))
def test_one_flipped_bit_anywhere_is_forged(position: int, bit: int) -> None:
    sealed = bytearray(envelope.seal(KEY, KID, TOPIC, b"a payload"))
    sealed[position % len(sealed)] ^= 1 << bit
    with pytest.raises(envelope.Forged):
        envelope.open(KEY, KID, TOPIC, bytes(sealed))


@given(st.binary(max_size=200))
def test_noise_is_forged(noise: bytes) -> None:
    with pytest.raises(envelope.Forged):
        envelope.open(KEY, KID, TOPIC, noise)


def test_another_key_device_or_topic_is_forged() -> None:
    sealed = envelope.seal(KEY, KID, TOPIC, b"a payload")
    for key, kid, topic, why in (
        (bytes(32), KID, TOPIC, "wrong MAC"),
        (KEY, b"gps00002", TOPIC, "key id"),
        (KEY, KID, b"em/v1/07/gps00001/down", "wrong MAC"),
    ):
        with pytest.raises(envelope.Forged, match=why):
            envelope.open(key, kid, topic, sealed)


def test_what_is_too_long_or_another_shape_is_forged() -> None:
    for wrong, why in (
        (envelope.seal(KEY, KID, TOPIC, bytes(4096)), "at most 4096"),
        (envelope.seal(KEY, KID, TOPIC, b"x") + b"\x00", "after the CBOR item"),
        (cbor.encode([envelope.PROTECTED, {4: KID}, b"x", bytes(32)]), "not a COSE_Mac0"),
        (cbor.encode(cbor.Mac0([envelope.PROTECTED, {4: KID}, None, bytes(32)])), "byte string"),
        (cbor.encode(cbor.Mac0([b"\xa1\x01\x04", {4: KID}, b"x", bytes(8)])), "HMAC 256/256"),
    ):
        with pytest.raises(envelope.Forged, match=why):
            envelope.open(KEY, KID, TOPIC, wrong)


@given(st.binary(max_size=200), st.binary(max_size=300))
def test_the_hmac_is_rfc_2104s_for_keys_of_any_length(key: bytes, payload: bytes) -> None:
    import hmac

    structure = cbor2.dumps(["MAC0", b"", b"", payload])
    assert envelope.mac(key, b"", b"", payload) == hmac.digest(key, structure, "sha256")
