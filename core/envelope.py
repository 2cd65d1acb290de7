"""The signed envelope: COSE_Mac0 (RFC 9052 §6.2) with HMAC 256/256, the topic bound as external data.

Exactly one shape is accepted, that of ``docs/envelope.cddl``; no algorithm is negotiated. The bytes that were received
are what the store keeps, so reading an envelope never changes it.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass

import cbor2

MAX_ENVELOPE_BYTES = 4096
"""Nothing larger is read; a tag makes none over 1,024 (``docs/protocol.md``)."""

PROTECTED = bytes.fromhex("a10105")
_HEAD = b"\xd1\x84\x43" + PROTECTED + b"\xa1\x04"
_MAC0 = b"\x84\x64MAC0\x43" + PROTECTED
_TAG_BYTES = 32


class EnvelopeError(ValueError):
    """The bytes are not an envelope of this protocol; the text says why."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """An envelope taken apart, its MAC not yet checked."""

    kid: str
    payload: bytes
    tag: bytes


def parse(data: bytes) -> Envelope:
    """Take an envelope apart.

    Raises EnvelopeError where it is not exactly the one accepted shape, to its last byte.
    """
    if len(data) > MAX_ENVELOPE_BYTES:
        raise EnvelopeError(f"{len(data)} bytes, at most {MAX_ENVELOPE_BYTES} are read")
    if not data.startswith(_HEAD):
        raise EnvelopeError("does not begin as a COSE_Mac0 with HMAC 256/256 and a key id")
    kid, at = _byte_string(data, len(_HEAD), "key id")
    payload, at = _byte_string(data, at, "payload")
    tag, at = _byte_string(data, at, "tag")
    if at != len(data):
        raise EnvelopeError(f"{len(data) - at} bytes after its end")
    if len(tag) != _TAG_BYTES:
        raise EnvelopeError(f"a tag of {len(tag)} bytes instead of {_TAG_BYTES}")
    try:
        return Envelope(kid.decode("ascii"), payload, tag)
    except UnicodeDecodeError:
        raise EnvelopeError("the key id is not ASCII") from None


def mac(key: bytes, topic: str, payload: bytes) -> bytes:
    """HMAC-SHA-256 over the MAC_structure of RFC 9052 §6.3; 32 bytes."""
    return hmac.digest(key, _MAC0 + _bytes(topic.encode()) + _bytes(payload), "sha256")


def authentic(envelope: Envelope, key: bytes, topic: str) -> bool:
    """Whether ``envelope`` was sealed under ``key`` for ``topic`` (compared in constant time)."""
    return hmac.compare_digest(envelope.tag, mac(key, topic, envelope.payload))


def seal(key: bytes, kid: str, topic: str, payload: bytes) -> bytes:
    """Make the envelope of ``payload`` under ``key`` for ``topic``."""
    return _HEAD + _bytes(kid.encode("ascii")) + _bytes(payload) + _bytes(mac(key, topic, payload))


def _bytes(data: bytes) -> bytes:
    """A CBOR byte string with the shortest head, several times as quick as a library that asks what it is given."""
    size = len(data)
    if size < 24:
        return bytes((0x40 | size,)) + data
    if size < 256:
        return bytes((0x58, size)) + data
    return cbor2.dumps(data)


def _byte_string(data: bytes, at: int, name: str) -> tuple[bytes, int]:
    """The definite byte string with the shortest head at ``at`` (up to 65,535 bytes), and where it ends."""
    head = data[at : at + 3]
    if not head or head[0] >> 5 != 2:
        raise EnvelopeError(f"the {name} is not a byte string")
    size = head[0] & 0x1F
    start = at + 1
    if size == 24 and len(head) > 1 and head[1] >= 24:
        size, start = head[1], at + 2
    elif size == 25 and len(head) > 2 and head[1]:
        size, start = head[1] << 8 | head[2], at + 3
    elif size >= 24:
        raise EnvelopeError(f"the length of the {name} is not in its shortest form")
    end = start + size
    if end > len(data):
        raise EnvelopeError(f"truncated: the {name} ends {end - len(data)} bytes after the data")
    return data[start:end], end
