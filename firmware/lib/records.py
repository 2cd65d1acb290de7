"""Reading kinds, their layouts, and packing held readings into an ``up`` payload. See docs/protocol.md "Upwards".

A reading is ``(number, kind, t_ds, body)``: its sequence number, its kind, its instant in tenths of a second (UTC
since 1970, or since boot where the time quality in the body's flags is unset), and its record after ``dt``. All
values are integers; one that the field can not hold is raised as ValueError or saturates where the layout says so.
"""

import struct

import cbor

VERSION = 1
POSITION, RF_CONTACT, ALCOHOL, STATUS, TAMPER, BOOT, GAP, TIME, TAG_STATE, COMMAND = range(1, 11)

# time quality, bits 0-1 of every kind's flags, the last byte of every body
UNSET, KEPT, TIME_OF_DAY, GNSS = range(4)
QUALITY_MASK = 3

THREE_D = 1 << 2
NOT_SATELLITE = 1 << 3
NO_CHECKSUM = 1 << 4
PRECISION_GST = 1 << 5
DATE_SUSPECT = 1 << 6
NOT_MOVED = 1 << 7  # of a position: not carried away since the one before

FAST = 1 << 2  # flags of an alcohol sample
BASELINE = 1 << 3
FAULT = 1 << 4

DOUBTFUL = 1 << 2  # of an rf contact: two transmitters send with the tag's key, and this proves nothing
UNIT_MAINS = 1 << 0  # what a home unit says of itself with every contact
UNIT_MOVED = 1 << 1
UNIT_CASE_OPEN = 1 << 2
UNIT_BATTERY_LOW = 1 << 3

TAMPER_LINK, TAMPER_STRAP, TAMPER_CASE, TAMPER_MAINS, TAMPER_MOVED = 1, 2, 3, 4, 5
TAMPER_JAMMING, TAMPER_SPOOFING, TAMPER_BEACON, TAMPER_BACKUP_BATTERY = 6, 7, 8, 9
TAMPER_MOTION_FAULT, TAMPER_SAFE_MODE, TAMPER_TAG_CHECKED = 10, 11, 12
TAMPER_UNIT_CHECKED, TAMPER_SENSOR_FAULT, TAMPER_KEPT_LOST = 13, 14, 15
LOST_SETTINGS, LOST_COMMAND, LOST_BASELINE = 1, 2, 3
GAP_FULL, GAP_UNREADABLE = 1, 2
SOURCE_GNSS, SOURCE_GATEWAY = 1, 2
UNKNOWN_U8, UNKNOWN_U16, UNKNOWN_TEMPERATURE = 255, 65535, -128
UNKNOWN_I16, UNKNOWN_DBM = -32768, 127

_GAP_LAYOUT = "<IIBB"
_WIDTHS = {
    POSITION: 17,
    RF_CONTACT: 19,
    ALCOHOL: 9,
    STATUS: 9,
    TAMPER: 6,
    BOOT: 8,
    GAP: 12,
    TIME: 12,
    TAG_STATE: 15,
    COMMAND: 12,
}
_MAX_DT = 65535  # tenths of a second
# list 1, kind 2, first 5, base time 5, byte string head 3, width 2; and the head of the list of blocks 2
_BLOCK_OVERHEAD = 20
MAP_OVERHEAD = 16  # map, version, epoch, base, key of the blocks
MOST_OVERHEAD = 2 + _BLOCK_OVERHEAD  # what a reading may take beyond its body

try:
    from typing import TYPE_CHECKING
except ImportError:
    TYPE_CHECKING = False

if TYPE_CHECKING:
    Reading = tuple[int, int, int, bytes]  # number, kind, t_ds, body


def _within(name: str, value: int, low: int, high: int) -> int:
    # struct wraps silently on boards; a wrong position must not arise that way
    if not low <= value <= high:
        raise ValueError("%s %d is outside %d to %d" % (name, value, low, high))
    return value


def position(
    lat_e7: int,
    lon_e7: int,
    precision_dm: int,
    speed: int,
    course: int,
    satellites: int,
    hdop: int,
    flags: int,
) -> bytes:
    """A position: 1e-7 degrees, 95 % radius in dm, km/h, units of 1.5 degrees, count, tenths; 65535 and 255 unknown.

    A precision, speed, satellites or hdop too large for its field takes the largest value that is known, except
    hdop, whose 255 means "unknown or more".
    """
    return struct.pack(
        "<iiHBBBBB",
        _within("latitude", lat_e7, -900000000, 900000000),
        _within("longitude", lon_e7, -1800000000, 1800000000),
        precision_dm if precision_dm == UNKNOWN_U16 else min(precision_dm, 65534),
        speed if speed == UNKNOWN_U8 else min(speed, 254),
        course if course == UNKNOWN_U8 else _within("course", course, 0, 240) % 240,
        satellites if satellites == UNKNOWN_U8 else min(satellites, 254),
        min(hdop, 255),
        flags,
    )


def contact(
    beacon: int,
    span_s: int,
    count: int,
    strongest_dbm: int,
    median_dbm: int,
    counter: int,
    refused: int,
    unit: int,
    flags: int,
) -> bytes:
    """How a home unit heard one tag in the interval that ends at the record's time.

    ``beacon`` names the tag; ``counter`` is the highest heard; ``unit`` has bits UNIT_*. Span, count and refused take
    the largest value where theirs is larger; strengths are cut to -128 and 126 dBm, 127 is unknown.
    """
    return struct.pack(
        "<IHHbbIBBB",
        _within("beacon", beacon, 0, 0xFFFFFFFF),
        min(span_s, 65535),
        min(count, 65535),
        strongest_dbm if strongest_dbm == UNKNOWN_DBM else max(-128, min(126, strongest_dbm)),
        median_dbm if median_dbm == UNKNOWN_DBM else max(-128, min(126, median_dbm)),
        _within("counter", counter, 0, 0xFFFFFFFF),
        min(refused, 255),
        unit,
        flags,
    )


def sample(tac_e5: int, infrared_mv: int, temperature_e2: int, flags: int) -> bytes:
    """An alcohol sample: 1e-5 g/dl, mV, 0.01 degrees C; -32768, 65535 and -32768 unknown. Takes the nearest known."""
    return struct.pack(
        "<hHhB",
        tac_e5 if tac_e5 == UNKNOWN_I16 else max(-32767, min(32767, tac_e5)),
        infrared_mv if infrared_mv == UNKNOWN_U16 else max(0, min(65534, infrared_mv)),
        temperature_e2 if temperature_e2 == UNKNOWN_I16 else max(-32767, min(32767, temperature_e2)),
        flags,
    )


def status(battery_mv: int, temperature_c: int, charger: int, rejected: int, flags: int) -> bytes:
    """Equipment status; ``rejected`` counts sentences since boot and saturates at 65535."""
    temperature_c = max(-128, min(127, temperature_c))
    return struct.pack("<HbBHB", min(battery_mv, 65535), temperature_c, charger, min(rejected, 65535), flags)


def tamper(code: int, detail: int, flags: int) -> bytes:
    """Tamper; ``detail`` saturates at 65535."""
    return struct.pack("<BHB", code, min(detail, 65535), flags)


def boot(cause: int, version: int, boots: int, flags: int) -> bytes:
    """Boot: reset cause, firmware version (major x 256 + minor), boots so far (saturates at 65535)."""
    return struct.pack("<BHHB", cause, version, min(boots, 65535), flags)


def gap(first: int, count: int, reason: int, flags: int) -> bytes:
    """A gap: ``count`` readings from number ``first`` on were dropped."""
    return struct.pack(_GAP_LAYOUT, first, count, reason, flags)


def gap_range(body: bytes) -> tuple[int, int]:
    """``(first, count)`` of a gap's body."""
    first, count, _reason, _flags = struct.unpack(_GAP_LAYOUT, body)
    return first, count


def time_quality(uptime_s: int, step_s: int, source: int, flags: int) -> bytes:
    """The clock was set: seconds since boot, new minus old in seconds (saturates at 31 bits), and by what."""
    step_s = max(-0x7FFFFFFF, min(0x7FFFFFFF, step_s))
    return struct.pack("<IiBB", uptime_s, step_s, source, flags)


def tag_state(beacon: int, counter: int, battery: int, state: int, age: int, flags: int) -> bytes:
    """What an RF tag says of itself, as a home unit heard it: the fields of its beacon (:mod:`beacon`)."""
    return struct.pack(
        "<IIBBHB",
        _within("beacon", beacon, 0, 0xFFFFFFFF),
        _within("counter", counter, 0, 0xFFFFFFFF),
        _within("battery", battery, 0, 255),
        _within("state", state, 0, 255),
        _within("age", age, 0, 65535),
        flags,
    )


def command(generation: int, n: int, outcome: int, flags: int) -> bytes:
    """A command was heard: which one, and what came of it (see commands.py)."""
    return struct.pack("<IIBB", generation, n, outcome, flags)


def hello(epoch: int, base: int, nonce: int | None = None) -> bytes:
    """The ``up`` payload with no blocks: tells the base, asks for the commit, and with a nonce for the time."""
    message: dict[int, object] = {1: VERSION, 2: epoch, 3: base, 4: []}
    if nonce is not None:
        message[5] = nonce
    return cbor.encode(message)


class _Block:
    """Readings of one kind with consecutive numbers, all dated or all unset, within 6553.5 s."""

    def __init__(self, reading: "Reading") -> None:
        self.first, self.kind, self.low, body = reading
        self.high = self.low
        self.next = self.first
        self.width = len(body) + 2
        self.unset = body[-1] & QUALITY_MASK == UNSET
        self.readings: list["Reading"] = []

    def take(self, reading: "Reading") -> bool:
        number, kind, t_ds, body = reading
        low, high = min(self.low, t_ds), max(self.high, t_ds)
        if (
            number != self.next
            or kind != self.kind
            or len(body) + 2 != self.width
            or (body[-1] & QUALITY_MASK == UNSET) != self.unset
            or high - low // 10 * 10 > _MAX_DT
        ):
            return False
        self.low, self.high = low, high
        self.next += 1
        self.readings.append(reading)
        return True

    def put(self, buffer: bytearray, at: int) -> int:
        """Write the block into a buffer from ``at`` on; where it ends."""
        base_s = self.low // 10
        known = self.kind in _WIDTHS
        at = _put(buffer, at, cbor.head(cbor.LIST, 4 if known else 5))
        for number in (self.kind, self.first, base_s):
            at = _put(buffer, at, cbor.encode(number))
        at = _put(buffer, at, cbor.head(cbor.BYTES, self.width * len(self.readings)))
        for _number, _kind, t_ds, body in self.readings:
            struct.pack_into("<H", buffer, at, t_ds - base_s * 10)
            at = _put(buffer, at + 2, body)
        return at if known else _put(buffer, at, cbor.encode(self.width))


def _put(buffer: bytearray, at: int, data: bytes) -> int:
    end = at + len(data)
    buffer[at:end] = data
    return end


def put_up(
    buffer: bytearray, at: int, epoch: int, base: int, readings: list["Reading"], limit: int
) -> tuple[int, int]:
    """Write the ``up`` payload of as many leading ``readings`` as fit into ``limit`` bytes; its end, and how many.

    ``readings`` are in ascending order of their numbers; at least one must fit. Into a buffer, because a payload joined
    of pieces takes several pieces of memory of its size, and a heap that holds a backlog has hardly one.
    """
    blocks: list[_Block] = []
    room = limit - MAP_OVERHEAD
    taken = 0
    for reading in readings:
        size = len(reading[3]) + 2
        if size > room:
            break
        if not blocks or not blocks[-1].take(reading):
            size += _BLOCK_OVERHEAD
            if size > room:
                break
            blocks.append(_Block(reading))
            blocks[-1].take(reading)
        room -= size
        taken += 1
    if not taken:
        raise ValueError("no reading fits into %d bytes" % limit)
    told = base != blocks[0].first
    at = _put(buffer, at, cbor.head(cbor.MAP, 4 if told else 3))
    for number in (1, VERSION, 2, epoch) + ((3, base) if told else ()) + (4,):
        at = _put(buffer, at, cbor.encode(number))
    at = _put(buffer, at, cbor.head(cbor.LIST, len(blocks)))
    for block in blocks:
        at = block.put(buffer, at)
    return at, taken
