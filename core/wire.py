"""Payloads of protocol version 1, between CBOR and arrays (``docs/envelope.cddl``, ``docs/protocol.md``)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import cbor2
import numpy as np
import numpy.typing as npt

from core.readings import TIME_QUALITY_MASK, WIRE, TimeQuality

VERSION = 1
MAX_SEQUENCE = 2**32 - 1
MAX_BLOCKS = 256
_MAX_BASE_TIME_S = 2**40  # far beyond any clock, small enough for exact milliseconds in 64 bits
_DT_UNITS_PER_S = 10
MAX_DEPTH = 8
"""Of lists and maps in one another; the tags' decoder takes no more either. The protocol needs 4."""
_UNSET = bytes(flags & TIME_QUALITY_MASK == TimeQuality.UNSET for flags in range(256))


class WireError(ValueError):
    """A payload that this version can not read; the text says where and why.

    ``numbers`` are the sequence numbers ``(epoch, first, count)`` that could be told all the same: they are committed
    as *unread*, or the tag would send them for ever (rule 2 of the gateway).
    """

    def __init__(self, reason: str, numbers: tuple[tuple[int, int, int], ...] = ()) -> None:
        super().__init__(reason)
        self.numbers = numbers


@dataclass(frozen=True, slots=True)
class Block:
    """Readings of one kind with consecutive numbers from ``first``.

    ``records`` has shape ``(count,)`` and the kind's dtype of ``core.readings.WIRE``, or is None for a kind that this
    version does not know. ``base_time_s`` is UTC, or seconds since boot where ``dated`` is False.
    """

    kind: int
    first: int
    count: int
    base_time_s: int
    records: npt.NDArray[np.void] | None
    raw: bytes
    dated: bool

    @property
    def last(self) -> int:
        """The sequence number of the last reading."""
        return self.first + self.count - 1

    def t_ms(self) -> npt.NDArray[np.int64]:
        """Time of each reading, milliseconds; shape ``(count,)``. Only for kinds that are known."""
        assert self.records is not None
        return self.base_time_s * 1000 + self.records["dt"].astype(np.int64) * (1000 // _DT_UNITS_PER_S)

    def within_ms(self) -> tuple[int, int]:
        """Time of the earliest and the latest reading, milliseconds. Only for kinds that are known."""
        assert self.records is not None
        width = self.records.dtype.itemsize
        # every record begins with dt; for the few of a message plain integers are quicker than arrays
        dts = [low | high << 8 for low, high in zip(self.raw[::width], self.raw[1::width], strict=True)]
        unit_ms = 1000 // _DT_UNITS_PER_S
        return self.base_time_s * 1000 + min(dts) * unit_ms, self.base_time_s * 1000 + max(dts) * unit_ms


@dataclass(frozen=True, slots=True)
class Up:
    """What a tag said: its journal's epoch, the lowest number it still holds, and readings.

    ``nonce`` is there in a hello that asks for the time.
    """

    epoch: int
    base: int
    blocks: tuple[Block, ...]
    nonce: int | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """The command ``n`` of a generation. ``arguments`` are what CBOR can say: integers, lists, maps, None."""

    n: int
    name: str
    arguments: list[Any]


@dataclass(frozen=True, slots=True)
class Down:
    """What a gateway said: the generation of its store, a commit ``(epoch, upto)``, a command."""

    generation: int
    commit: tuple[int, int] | None
    command: Command | None = None


def decode_up(payload: bytes) -> Up:
    """Read the payload of an ``up`` message.

    Raises WireError where it is not of version 1, or where a block's records do not fit its kind.
    """
    document = _document(payload)
    epoch = _integer(document.get(2), "epoch", 1, MAX_SEQUENCE)
    raw_blocks = document.get(4)
    if not isinstance(raw_blocks, list) or len(raw_blocks) > MAX_BLOCKS:
        raise WireError(f"blocks (key 4) is not a list of at most {MAX_BLOCKS}")
    unexpected = set(document) - {1, 2, 3, 4, 5}
    blocks: list[Block] = []
    numbers: list[tuple[int, int, int]] = []
    problem = f"keys {sorted(unexpected)} are not of version 1" if unexpected else ""
    for index, raw in enumerate(raw_blocks):
        try:
            block = _block(raw, f"block {index}")
            if blocks and block.first <= blocks[-1].last:
                raise WireError(f"block {index} does not follow the one before it")
            blocks.append(block)
            numbers.append((epoch, block.first, block.count))
        except WireError as error:
            problem = problem or str(error)
            numbers += [(epoch, first, count) for _, first, count in error.numbers]
    nonce = None
    if 5 in document and not problem:
        if blocks:
            problem = "a nonce (key 5) in a message that is no hello"
        else:
            nonce = _integer(document[5], "nonce", 0, MAX_SEQUENCE)
    if problem:
        raise WireError(problem, tuple(numbers))
    if 3 in document:
        base = _integer(document[3], "base", 1, MAX_SEQUENCE + 1)
    elif blocks:
        base = blocks[0].first
    else:
        raise WireError("neither base (key 3) nor blocks")
    if blocks and base > blocks[0].first:
        problem = f"base {base} is beyond number {blocks[0].first}, which the message carries"
        raise WireError(problem, tuple(numbers))
    return Up(epoch, base, tuple(blocks), nonce)


def encode_up(up: Up) -> bytes:
    """The payload of an ``up`` message in its one canonical form."""
    document: dict[int, Any] = {1: VERSION, 2: up.epoch}
    if not up.blocks or up.base != up.blocks[0].first:
        document[3] = up.base
    document[4] = [
        [block.kind, block.first, block.base_time_s, block.raw]
        + ([] if block.kind in WIRE else [len(block.raw) // block.count])
        for block in up.blocks
    ]
    if up.nonce is not None:
        document[5] = up.nonce
    return cbor2.dumps(document, canonical=True)


def make_block(kind: int, first: int, base_time_s: int, records: npt.NDArray[np.void]) -> Block:
    """A block of known ``kind`` from ``records`` of that kind's dtype, shape ``(count,)``."""
    raw = records.astype(WIRE[kind]).tobytes()
    return _block([int(kind), first, base_time_s, raw], f"block of kind {kind}")


def decode_down(payload: bytes) -> Down:
    """Read the payload of a ``down`` message; keys that are not known are passed over. Raises WireError."""
    document = _document(payload)
    generation = _integer(document.get(2), "generation", 0, MAX_SEQUENCE)
    commit = document.get(3)
    if commit is not None:
        if not isinstance(commit, list) or len(commit) != 2:
            raise WireError("commit (key 3) is not [epoch, upto]")
        epoch = _integer(commit[0], "epoch", 1, MAX_SEQUENCE)
        commit = (epoch, _integer(commit[1], "upto", 0, MAX_SEQUENCE))
    command = document.get(4)
    if command is not None:
        if not isinstance(command, list) or len(command) != 3:
            raise WireError("command (key 4) is not [n, name, arguments]")
        n, name, arguments = command
        if not isinstance(name, str) or not isinstance(arguments, list):
            raise WireError("a command's name is not text, or its arguments are no list")
        command = Command(_integer(n, "number of the command", 1, MAX_SEQUENCE), name, arguments)
    return Down(generation, commit, command)


def encode_down(down: Down) -> bytes:
    """The payload of a ``down`` message in its one canonical form."""
    if down.commit is not None and down.command is None:
        # every message is answered by one of these
        epoch, upto = down.commit
        return b"\xa3\x01\x01\x02%b\x03\x82%b%b" % (_uint(down.generation), _uint(epoch), _uint(upto))
    document: dict[int, Any] = {1: VERSION, 2: down.generation}
    if down.commit is not None:
        document[3] = list(down.commit)
    if down.command is not None:
        document[4] = [down.command.n, down.command.name, down.command.arguments]
    return cbor2.dumps(document, canonical=True)


def _uint(value: int) -> bytes:
    """A whole number, from 0 on, in CBOR's shortest form."""
    if value < 24:
        return value.to_bytes(1, "big")
    if value < 256:
        return b"\x18" + value.to_bytes(1, "big")
    if value < 65_536:
        return b"\x19" + value.to_bytes(2, "big")
    return b"\x1a" + value.to_bytes(4, "big")


def beacon_number(device: str) -> int:
    """What a tag's beacons and a home unit's contact records call it: the first four bytes of a SHA-256 of its id."""
    return int.from_bytes(hashlib.sha256(device.encode()).digest()[:4], "big")


def _no_tag(*_: object) -> None:
    raise WireError("a tag, of which the protocol has none")


_NO_TAGS = dict.fromkeys(
    (*range(6), 25, *range(28, 31), *range(35, 38), 52, 54, 100, 256, 258, 260, 261, 1004, 43000, 55799),
    _no_tag,
)
"""All that the library would make something of: a date, a regular expression, a number of a billion digits."""


def _document(payload: bytes) -> dict[int, Any]:
    try:
        document = cbor2.loads(
            payload,
            tag_hook=_no_tag,
            semantic_decoders=_NO_TAGS,
            # to encode a map whose keys are maps takes twice as long with every level, so 180 bytes could take for ever
            max_depth=MAX_DEPTH,
            allow_indefinite=False,
            allow_duplicate_keys=False,
        )
        # decoding is lenient, so the one canonical form is checked by making it again
        canonical = cbor2.dumps(document, canonical=True) == payload
    except Exception as error:  # noqa: BLE001 - a decoder fed by anyone may raise anything, and must stop nothing
        raise WireError(f"not CBOR: {type(error).__name__}") from None
    if not isinstance(document, dict) or not all(type(key) is int for key in document):
        raise WireError("not a map with integer keys")
    if not canonical:
        raise WireError("not in deterministic encoding, or bytes after its end")
    version = document.get(1)
    if type(version) is not int or version != VERSION:  # true and 1.0 equal 1, and are other bytes
        raise WireError(f"version {version!r}, this gateway reads {VERSION}")
    return document


def _block(raw: object, name: str) -> Block:
    if not isinstance(raw, list) or len(raw) not in (4, 5):
        raise WireError(f"{name} is not [kind, first, base time, records, ? width]")
    kind = _integer(raw[0], f"kind of {name}", 0, 255)
    first = _integer(raw[1], f"first number of {name}", 1, MAX_SEQUENCE)
    base_time_s = _integer(raw[2], f"base time of {name}", 0, _MAX_BASE_TIME_S)
    data = raw[3]
    if not isinstance(data, bytes) or not data:
        raise WireError(f"records of {name} are not bytes, or none")
    layout = WIRE.get(kind)
    if layout is None and len(raw) == 4:
        raise WireError(f"{name} is of kind {kind}, which is not known here, and has no width")
    width = layout.itemsize if layout is not None else _integer(raw[4], f"width of {name}", 3, 255)
    if layout is not None and len(raw) == 5:
        raise WireError(f"{name} of kind {kind} has a width, but its layout is fixed")
    count, rest = divmod(len(data), width)
    if rest or first + count - 1 > MAX_SEQUENCE:
        raise WireError(f"{name} of kind {kind}: {len(data)} bytes are not whole records of {width}")
    if layout is None:
        return Block(kind, first, count, base_time_s, None, data, dated=True)
    records = np.frombuffer(data, layout)
    # every record ends with its flags
    unset = data[width - 1 :: width].translate(_UNSET).count(1)
    if 0 < unset < count:
        raise WireError(f"{name} mixes dated records with records of unset time", ((0, first, count),))
    return Block(kind, first, count, base_time_s, records, data, dated=not unset)


def _integer(value: object, name: str, low: int, high: int) -> int:
    if type(value) is not int or not low <= value <= high:
        raise WireError(f"{name} is {value!r:.40}, not a whole number from {low} to {high}")
    return value
