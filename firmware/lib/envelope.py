"""The signed envelope of every message, both ways: COSE_Mac0 (RFC 9052 §6.2), HMAC 256/256, the topic bound in.

One algorithm and one form only; nothing is negotiated. See docs/protocol.md "Envelope".
"""

import hashlib

import cbor

PROTECTED = b"\xa1\x01\x05"  # {1: 5}: HMAC 256/256
MAX_BYTES = 4096  # what a receiver reads at all
TAG_BYTES = 1024  # what a tag makes at most
_BLOCK = 64  # bytes, of SHA-256
_KID = 4


class Forged(ValueError):  # noqa: N818 - a fact about a message, not a fault of the program
    """An envelope that is not what its device's key, its topic and the protocol make it."""


def overhead(kid: bytes) -> int:
    """Bytes that :func:`seal` adds around a payload of 256 bytes to 64 KiB."""
    return 2 + 4 + 3 + len(kid) + 3 + 34


def hmac(key: bytes, *pieces: "bytes | memoryview") -> bytes:
    """HMAC-SHA-256 (RFC 2104) of the pieces, one after the other; MicroPython has no such module."""
    if len(key) > _BLOCK:
        key = hashlib.sha256(key).digest()
    key = key + bytes(_BLOCK - len(key))
    inner = hashlib.sha256(bytes([octet ^ 0x36 for octet in key]))
    for piece in pieces:
        inner.update(piece)
    outer = hashlib.sha256(bytes([octet ^ 0x5C for octet in key]))
    outer.update(inner.digest())
    digest: bytes = outer.digest()
    return digest


def mac(key: bytes, protected: bytes, external: bytes, payload: "bytes | memoryview") -> bytes:
    """The 32-byte HMAC-SHA-256 of RFC 9052's MAC_structure, context "MAC0"."""
    before = cbor.head(cbor.LIST, 4) + cbor.encode("MAC0") + cbor.encode(protected) + cbor.encode(external)
    return hmac(key, before, cbor.head(cbor.BYTES, len(payload)), payload)


def same(a: bytes, b: bytes) -> bool:
    """Are they equal? In constant time: how far a forged tag matches must not show."""
    if len(a) != len(b):
        return False
    difference = 0
    for i in range(len(a)):
        difference |= a[i] ^ b[i]
    return difference == 0


class Sealer:
    """Puts payloads into envelopes of the device ``kid``, good on ``topic`` alone, in one buffer made once.

    A payload of at most ``most`` bytes is written into ``buffer`` from ``at`` on, then :meth:`seal` puts the envelope
    around it. ``spare`` bytes before the envelope stay free for what goes before it. There is one message at a time:
    joined of pieces it would take several pieces of memory of its size, and a heap that holds a backlog has hardly one.
    """

    def __init__(self, key: bytes, kid: bytes, topic: bytes, most: int, spare: int = 0) -> None:
        self.key = key
        self._topic = topic
        self._before = (
            cbor.head(cbor.TAG, cbor.MAC0_TAG)
            + cbor.head(cbor.LIST, 4)
            + cbor.encode(PROTECTED)
            + cbor.encode({_KID: kid})
        )
        self.at = spare + len(self._before) + 3  # the longest head of a payload
        self.buffer = bytearray(self.at + most + 34)
        self._view = memoryview(self.buffer)

    def put(self, payload: bytes) -> int:
        """Take a whole payload; where it ends."""
        end = self.at + len(payload)
        self.buffer[self.at : end] = payload
        return end

    def seal(self, end: int) -> tuple[int, int]:
        """Where the envelope of the payload that ends before ``end`` begins and ends."""
        before = self._before + cbor.head(cbor.BYTES, end - self.at)
        start = self.at - len(before)
        self.buffer[start : self.at] = before
        tag = mac(self.key, PROTECTED, self._topic, self._view[self.at : end])
        sealed = end + 34
        self.buffer[end:sealed] = cbor.encode(tag)
        return start, sealed


def seal(key: bytes, kid: bytes, topic: bytes, payload: bytes) -> bytes:
    """``payload`` in an envelope of the device ``kid``, good on ``topic`` alone."""
    sealer = Sealer(key, kid, topic, len(payload))
    start, end = sealer.seal(sealer.put(payload))
    return bytes(sealer.buffer[start:end])


def open(key: bytes, kid: bytes, topic: bytes, data: bytes) -> bytes:  # noqa: A001 - seal and open are the pair
    """The payload of the envelope ``data`` that came on ``topic``; raises :class:`Forged` with the reason."""
    if len(data) > MAX_BYTES:
        raise Forged("an envelope of %d bytes; at most %d" % (len(data), MAX_BYTES))
    try:
        message = cbor.decode(data)
    except ValueError as problem:
        raise Forged("malformed: %s" % problem) from None
    parts = message.value if isinstance(message, cbor.Mac0) else None
    if not isinstance(parts, list) or len(parts) != 4:
        raise Forged("not a COSE_Mac0")
    protected, unprotected, payload, tag = parts
    if protected != PROTECTED:
        raise Forged("not HMAC 256/256")
    if unprotected != {_KID: kid}:
        raise Forged("not this device's key id")
    if not isinstance(payload, bytes) or not isinstance(tag, bytes):
        raise Forged("payload or tag is not a byte string")
    if not same(tag, mac(key, PROTECTED, topic, payload)):
        raise Forged("wrong MAC")
    return payload
