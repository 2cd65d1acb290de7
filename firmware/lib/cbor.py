"""The part of CBOR (RFC 8949) that the protocol uses, encoded deterministically (§4.2.1).

Integers of up to 64 bits, byte strings, text, lists, maps with integer keys, false, true and null, and one tag: 17
(COSE_Mac0), whose Python value is :class:`Mac0`. The decoder takes exactly what the encoder makes: definite lengths,
shortest heads, keys ascending, nothing after the last byte. Floats are refused: the protocol has none, and boards
have only single precision.
"""

import struct

MAX_DEPTH = 8  # of nested lists, maps and tags; the protocol needs 4, the board's stack gives about 40
MAC0_TAG = 17

_UINT, _NEGATIVE, BYTES, TEXT, LIST, MAP, TAG, _SIMPLE = range(8)
_SIMPLES = {20: False, 21: True, 22: None}


class Mac0:
    """A value under tag 17."""

    def __init__(self, value: object) -> None:
        self.value = value


def head(major: int, argument: int) -> bytes:
    """How an item begins: its major type (:data:`BYTES` …) and its length, its number of items or its value."""
    major <<= 5
    if argument < 24:
        return bytes((major | argument,))
    if argument < 0x100:
        return bytes((major | 24, argument))
    if argument < 0x10000:
        return struct.pack(">BH", major | 25, argument)
    if argument < 0x100000000:
        return struct.pack(">BI", major | 26, argument)
    if argument < 0x10000000000000000:
        # in two halves: not every board packs 64 bits right
        return struct.pack(">BII", major | 27, argument >> 32, argument & 0xFFFFFFFF)
    raise ValueError("CBOR integers end at 64 bits")


def encode(value: object) -> bytes:
    """The deterministic encoding of ``value``; ValueError for what the protocol does not use."""
    if value is None:
        return b"\xf6"
    if value is False:
        return b"\xf4"
    if value is True:
        return b"\xf5"
    if isinstance(value, int):
        return head(_UINT, value) if value >= 0 else head(_NEGATIVE, -1 - value)
    if isinstance(value, (bytes, bytearray)):
        return head(BYTES, len(value)) + value
    if isinstance(value, str):
        text = value.encode()
        return head(TEXT, len(text)) + text
    if isinstance(value, (list, tuple)):
        return head(LIST, len(value)) + b"".join([encode(item) for item in value])
    if isinstance(value, dict):
        items = []
        for key, item in value.items():
            if not isinstance(key, int):
                raise ValueError("CBOR map keys are integers here, not %r" % (key,))
            items.append((encode(key), encode(item)))
        items.sort()
        return head(MAP, len(items)) + b"".join([key + item for key, item in items])
    if isinstance(value, Mac0):
        return head(TAG, MAC0_TAG) + encode(value.value)
    raise ValueError("no CBOR for %r" % (value,))


class _Decoder:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, n: int) -> bytes:
        end = self.at + n
        if end > len(self.data):
            raise ValueError("CBOR ends early, at byte %d" % len(self.data))
        taken = self.data[self.at : end]
        self.at = end
        return taken

    def head(self) -> tuple[int, int]:
        first = self.take(1)[0]
        major, short = first >> 5, first & 31
        if short < 24:
            return major, short
        if short > 27:
            raise ValueError("CBOR of indefinite length, or reserved, at byte %d" % (self.at - 1))
        size = 1 << (short - 24)
        argument = 0
        for octet in self.take(size):
            argument = argument << 8 | octet
        if argument < 24 or (size > 1 and argument >> (4 * size) == 0) or major == _SIMPLE:
            raise ValueError("CBOR not in its shortest form, or a float, at byte %d" % (self.at - size - 1))
        return major, argument

    def item(self, depth: int) -> object:
        if depth > MAX_DEPTH:
            raise ValueError("CBOR nested deeper than %d" % MAX_DEPTH)
        major, argument = self.head()
        if major == _UINT:
            return argument
        if major == _NEGATIVE:
            return -1 - argument
        if major == BYTES:
            return self.take(argument)
        if major == TEXT:
            try:
                return self.take(argument).decode()
            except UnicodeError:
                raise ValueError("CBOR text is not UTF-8") from None
        if major == LIST:
            if argument > len(self.data) - self.at:  # an item takes a byte at least
                raise ValueError("CBOR list longer than its data")
            return [self.item(depth + 1) for _ in range(argument)]
        if major == MAP:
            return self.map(argument, depth)
        if major == TAG and argument == MAC0_TAG:
            return Mac0(self.item(depth + 1))
        if major == _SIMPLE and argument in _SIMPLES:
            return _SIMPLES[argument]
        raise ValueError("CBOR type %d with argument %d is not used here" % (major, argument))

    def map(self, n: int, depth: int) -> dict[int, object]:
        result: dict[int, object] = {}
        previous = b""
        for _ in range(n):
            start = self.at
            key = self.item(depth + 1)
            if not isinstance(key, int) or isinstance(key, bool):
                raise ValueError("CBOR map keys are integers here")
            encoded = self.data[start : self.at]
            if encoded <= previous:
                raise ValueError("CBOR map keys are not ascending")
            previous = encoded
            result[key] = self.item(depth + 1)
        return result


def decode(data: bytes) -> object:
    """The value of ``data``, read to its last byte; ValueError for anything malformed, too deep or left over."""
    decoder = _Decoder(bytes(data))
    value = decoder.item(0)
    if decoder.at != len(data):
        raise ValueError("%d bytes after the CBOR item" % (len(data) - decoder.at))
    return value
