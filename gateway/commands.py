"""Commands to devices: what may be commanded, and what is to be said to a device next.

``docs/protocol.md``, "Commands", says what each does. In the store arguments stand by name; ``on_the_wire`` turns them
into what the device reads.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any

import structlog
from sqlalchemy import Connection

from core import wire
from core.readings import Outcome
from gateway import gateway_time
from gateway.clock import utc_text
from gateway.register import WITHOUT_LINK
from gateway.seal import DEVICE_KEY, NEXT_KEY, SealError, Vault
from gateway.store import Store, commands, device_keys, devices, state
from gateway.store.commands import CommandRow

log = structlog.get_logger(__name__)

TIME = "time"
REKEY = device_keys.REKEY
HEAR, UNHEAR = commands.HEARING
TIME_MS = 120_000
"""How long the answer to a nonce is said; a tag believes it for 60 s of its own time."""
SALT_BYTES = 16
"""Before each masked next key: drawn anew each time it is said, so that no pad is used twice."""
AGAIN_MS = 30_000
"""How often a command is said again to a device that does not speak."""

BOUNDS: Mapping[str, tuple[int, int, str]] = {
    "minutes": (0, 1440, "minutes of pursuit, 0 to end it"),
    "pattern": (1, 3, "1 long, 2 two short, 3 two short and a long"),
    "times": (1, 30, "how often"),
    "sample_s": (1, 3600, "sampling interval, seconds"),
    "upload_s": (1, 3600, "how long a reading waits before upload, seconds"),
    "pursuit_s": (1, 60, "sampling interval in pursuit, seconds"),
}
MOST_TIMES, MOST_PLACES, MOST_RADIUS_M = 64, 8, 100_000
_LISTS = {"at_once_times": MOST_TIMES, "at_once_places": MOST_PLACES}
_SETTINGS = {"sample_s": 1, "upload_s": 2, "pursuit_s": 3, "at_once_times": 4, "at_once_places": 5}

_MINUTE_MS = 60_000
EXPIRES_MS: Mapping[str, int] = {
    # a setting is wanted whenever the device comes back; what the wearer is to feel is not
    "settings": 7 * 1440 * _MINUTE_MS,
    HEAR: 7 * 1440 * _MINUTE_MS,
    UNHEAR: 7 * 1440 * _MINUTE_MS,
    REKEY: 7 * 1440 * _MINUTE_MS,
    "pursuit": 60 * _MINUTE_MS,
    "locate": 60 * _MINUTE_MS,
    "vibrate": 15 * _MINUTE_MS,
    # for an officer who stands there: later it would take the baseline of another moment
    "baseline": 10 * _MINUTE_MS,
}
ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "settings": tuple(_SETTINGS),
    "pursuit": ("minutes",),
    "locate": (),
    "vibrate": ("pattern", "times"),
    "baseline": (),
    HEAR: ("tag",),
    UNHEAR: ("tag",),
}
"""What each command takes; of settings any, of the others all."""


class CommandError(ValueError):
    """A command that can not be given; the text names it, the fact and the remedy."""


def queue(
    store: Store,
    device: str,
    name: str,
    arguments: Mapping[str, Any],
    *,
    now_ms: int,
    expires_ms: int | None = None,
    given_by: str = "",
) -> int:
    """Command something of a device; returns the command's number. It is said for ``expires_ms`` milliseconds.

    ``given_by`` is who commands it: a person's name.

    Raises CommandError where the device may not be spoken to, or the command is not of the protocol or out of bounds.
    """
    check(name, arguments)
    if given_by == commands.GATEWAY:
        raise CommandError(f"{given_by!r} is nobody's name: it stands for what the gateway does by itself")
    life_ms = EXPIRES_MS[name] if expires_ms is None else expires_ms
    if life_ms <= 0:
        raise CommandError(f"{name}: it would have expired at once; give it at least a minute")
    with store.write() as connection:
        entry = devices.one(connection, device)
        if entry is None:
            raise CommandError(f"device {device} is not known: see `tagwatch device list`")
        if entry.revoked_at_ms is not None:
            raise CommandError(f"device {device} was revoked and is not spoken to: add another")
        if name in commands.HEARING:
            tag = devices.one(connection, arguments["tag"])
            if tag is None or tag.kind != WITHOUT_LINK:
                raise CommandError(
                    f"{arguments['tag']} is no RF tag that is known: see `tagwatch device list`"
                )
        return commands.add(connection, device, name, arguments, now_ms, now_ms + life_ms, given_by)


def check(name: str, arguments: Mapping[str, Any]) -> None:
    """Raise CommandError unless this is a command that people may give."""
    if name not in ARGUMENTS:
        raise CommandError(f"{name!r} is no command: give one of {', '.join(ARGUMENTS)}")
    taken = ARGUMENTS[name]
    for argument in arguments:
        if argument not in taken:
            raise CommandError(f"{name} takes no {argument}: it takes {', '.join(taken) or 'nothing'}")
    if name == "settings":
        if not arguments:
            raise CommandError(f"settings changes nothing: give one of {', '.join(taken)}")
    elif missing := [argument for argument in taken if argument not in arguments]:
        raise CommandError(f"{name} lacks {' and '.join(missing)}: give it")
    for argument, value in arguments.items():
        if value is None and name == "settings":
            continue
        if argument in BOUNDS:
            low, high, what = BOUNDS[argument]
            if type(value) is not int or not low <= value <= high:
                raise CommandError(f"{argument} is {value!r}: give {low} to {high} ({what})")
        elif argument == "tag":
            if not isinstance(value, str):
                raise CommandError(f"tag is {value!r}: give the device id of an RF tag")
        elif argument == "at_once_times":
            _check_times(value)
        else:
            _check_places(value)


def _check_times(times: Sequence[Sequence[int]]) -> None:
    if len(times) > MOST_TIMES:
        raise CommandError(f"at_once_times has {len(times)} intervals: give at most {MOST_TIMES}")
    ends = [end for interval in times for end in interval]
    ascending = all(first < second for first, second in pairwise(ends))
    if not ascending or (ends and not 0 <= ends[0] <= ends[-1] < 2**32):
        raise CommandError(
            "at_once_times overlap, touch or end before they begin: give them in order and apart"
        )


def _check_places(places: Sequence[Sequence[int]]) -> None:
    if len(places) > MOST_PLACES:
        raise CommandError(f"at_once_places has {len(places)} circles: give at most {MOST_PLACES}")
    for lat_e7, lon_e7, radius_m in places:
        if abs(lat_e7) > 900_000_000 or abs(lon_e7) > 1_800_000_000:
            raise CommandError("at_once_places has a place that is not on Earth: give latitude, longitude")
        if not 1 <= radius_m <= MOST_RADIUS_M:
            raise CommandError(f"at_once_places has a radius of {radius_m} m: give 1 to {MOST_RADIUS_M}")


def intervals(texts: Iterable[str]) -> list[tuple[int, int]]:
    """Intervals ``FROM/UNTIL`` of instants in ISO 8601 with their zone, in UTC seconds. Raises CommandError."""
    found = []
    for text in texts:
        try:
            begin, end = (datetime.fromisoformat(part) for part in text.split("/"))
            if begin.tzinfo is None or end.tzinfo is None:
                raise ValueError("no zone")
        except ValueError:
            raise CommandError(
                f"{text!r} is no interval: write FROM/UNTIL, each like 2026-12-01T19:00:00Z"
            ) from None
        found.append((int(begin.timestamp()), int(end.timestamp())))
    return found


def circles(texts: Iterable[str]) -> list[tuple[int, int, int]]:
    """Circles ``LATITUDE,LONGITUDE,RADIUS_M``, in 1e-7 degrees and metres. Raises CommandError."""
    found = []
    for text in texts:
        try:
            lat, lon, radius_m = text.split(",")
            found.append((round(float(lat) * 1e7), round(float(lon) * 1e7), int(radius_m)))
        except (ValueError, OverflowError):
            raise CommandError(
                f"{text!r} is no circle: write LATITUDE,LONGITUDE,RADIUS_M, like 51.5,-0.12,800"
            ) from None
    return found


def present_ms(store: Store, clock: str) -> int:
    """Gateway time for a process other than the ingest, as well as it is known."""
    return gateway_time.now(store, clock).ms


def listing(store: Store, device: str, now_ms: int) -> list[dict[str, Any]]:
    """What was commanded of a device, newest first, as people read it. Raises CommandError where it is not known."""
    with store.read() as connection:
        if devices.one(connection, device) is None:
            raise CommandError(f"device {device} is not known: see `tagwatch device list`")
        rows = commands.of_device(connection, device)
        generation = state.generation(connection)
    return [
        {
            "n": row.n,
            "generation": row.generation,
            "name": row.name,
            "arguments": row.arguments,
            "made": utc_text(row.made_at_ms),
            "expires": utc_text(row.expires_at_ms),
            "state": state_of(row, now_ms, generation),
            "reading": row.reading,
            "given_by": row.given_by,
        }
        for row in rows
    ]


def beacon_key(device_key: bytes) -> bytes:
    """The key by which a home unit knows an RF tag's beacons (docs/protocol.md, "The beacon")."""
    return hmac.digest(device_key, b"beacon", hashlib.sha256)


def masked(unit_key: bytes, of_beacon: bytes, number: int, salt: int) -> bytes:
    """An RF tag's beacon key as only the home unit of that device key can read it (docs/protocol.md, "Commands")."""
    return _covered(unit_key, b"hear" + struct.pack("<II", number, salt), of_beacon)


def masked_next(key: bytes, next_key: bytes, salt: bytes) -> bytes:
    """A device's next key as only who has the key in use can read it, after the ``salt`` that belongs to it."""
    return salt + _covered(key, b"rekey" + salt, next_key)


def _covered(key: bytes, purpose: bytes, secret: bytes) -> bytes:
    """``secret``, 32 bytes, under a pad that nobody without ``key`` can make, and that is used once."""
    return bytes(a ^ b for a, b in zip(hmac.digest(key, purpose, hashlib.sha256), secret, strict=True))


def on_the_wire(row: CommandRow, now_ms: int, key: bytes = b"", secret: bytes = b"") -> wire.Command:
    """A command as the device of this ``key`` reads it; ``now_ms`` is what a command ``time`` tells.

    ``secret`` is the beacon key of the RF tag that a command ``hear`` names, or the next key that ``rekey`` gives: no
    key stands in a command's arguments.
    """
    if row.name == REKEY:
        return wire.Command(row.n, REKEY, [masked_next(key, secret, secrets.token_bytes(SALT_BYTES))])
    arguments = row.arguments
    if row.name in commands.HEARING:
        number = wire.beacon_number(arguments["tag"])
        hears = row.name == HEAR
        return wire.Command(
            row.n, row.name, [number, row.n, masked(key, secret, number, row.n)] if hears else [number]
        )
    if row.name == TIME:
        return wire.Command(row.n, TIME, [now_ms // 100, arguments["nonce"]])
    if row.name == "settings":
        changes = {_SETTINGS[name]: _flat(name, value) for name, value in arguments.items()}
        return wire.Command(row.n, row.name, [changes])
    return wire.Command(row.n, row.name, [arguments[name] for name in ARGUMENTS[row.name]])


def _flat(name: str, value: Any) -> Any:
    return [number for part in value for number in part] if name in _LISTS and value is not None else value


def state_of(row: CommandRow, now_ms: int, generation: int) -> str:
    """What has become of a command, in a word or two."""
    if row.lost:
        return "done, and lost by the device since"
    if row.outcome is not None:
        known = row.outcome in list(Outcome)
        return Outcome(row.outcome).name.lower().replace("_", " ") if known else f"outcome {row.outcome}"
    if row.generation != generation:
        return "void: a backup was restored"
    return "expired" if row.expires_at_ms <= now_ms else "open"


@dataclass(slots=True)
class _Open:
    row: CommandRow
    secret: bytes = field(repr=False)
    said_ms: int | None = None


class Outbox:
    """What is to be said to each device: one command at a time, again and again. Used by one thread.

    It is a copy of the store's open commands, taken anew by ``refresh``. ``key`` gives the key that a device's envelope
    is sealed under now: what is masked in it must be masked under the same. Left out, the store is asked each time.
    """

    def __init__(self, store: Store, vault: Vault, key: Callable[[str], bytes | None] | None = None) -> None:
        self._store = store
        self._vault = vault
        self._key = self._kept_key if key is None else key
        self._open: dict[str, _Open] = {}
        self._seen = -1

    def refresh(self, now_ms: int, named: Iterable[str] | None = None) -> None:
        """Take note of what was commanded and acknowledged: of these devices, or of all where anything is new."""
        with self._store.read() as connection:
            if named is None:
                seen = state.number(connection, state.COMMANDS)
                expired = any(entry.row.expires_at_ms <= now_ms for entry in self._open.values())
                if seen == self._seen and not expired:
                    return
                self._seen = seen
                self._take(connection, commands.first_open(connection, now_ms), list(self._open))
            else:
                some = list(named)
                self._take(connection, commands.first_open(connection, now_ms, some), some)

    def forget(self) -> None:
        """Take everything from the store anew: what stands there has been put right."""
        self._open.clear()
        self._seen = -1

    def next_for(self, device: str, now_ms: int, *, hello: bool, present: bool = True) -> wire.Command | None:
        """The command to go with what is said to ``device`` now, if it is time to say one.

        ``present`` is False where ``now_ms`` may not be the present, as between the steps of a stepped clock, or while
        nobody has told this box the time: then no time is told.
        """
        entry = self._open.get(device)
        if entry is None or entry.row.expires_at_ms <= now_ms:
            return None
        if entry.row.name == TIME and not present:
            return None
        # the clock may have been set back meanwhile
        if not hello and entry.said_ms is not None and abs(now_ms - entry.said_ms) < AGAIN_MS:
            return None
        key = self._key(device)
        if key is None:
            return None
        entry.said_ms = now_ms
        return on_the_wire(entry.row, now_ms, key, entry.secret)

    def due(self, now_ms: int, *, present: bool = True) -> list[tuple[str, wire.Command]]:
        """What is to be said by itself; ``present`` as for `next_for`."""
        found = [
            (device, self.next_for(device, now_ms, hello=False, present=present)) for device in self._open
        ]
        return [(device, command) for device, command in found if command is not None]

    def _kept_key(self, device: str) -> bytes | None:
        with self._store.read() as connection:
            entry = devices.one(connection, device)
        return None if entry is None else self._vault.open_sealed(DEVICE_KEY, device, entry.key)

    def _take(self, connection: Connection, found: Mapping[str, CommandRow], named: Iterable[str]) -> None:
        for device in named:
            if device not in found:
                self._open.pop(device, None)
        for device, row in found.items():
            standing = self._open.get(device)
            if standing is None or standing.row.n != row.n or standing.row.generation != row.generation:
                try:
                    secret = _secret(connection, self._vault, row)
                    if secret is not None:
                        self._open[device] = _Open(row, secret)
                    else:
                        self._open.pop(device, None)
                except SealError as error:
                    self._open.pop(device, None)
                    log.error("a command can not be said", command=row.name, problem=str(error))


def _secret(connection: Connection, vault: Vault, row: CommandRow) -> bytes | None:
    """The key that goes with a command; empty for one that has none, None where there is none (any more).

    Raises SealError.
    """
    if row.name == REKEY:
        found = device_keys.next_of(connection, row.device)
        return None if found is None else vault.open_sealed(NEXT_KEY, row.device, found.key)
    if row.name != HEAR:
        return b""
    tag = devices.one(connection, row.arguments.get("tag", ""))
    return None if tag is None else beacon_key(vault.open_sealed(DEVICE_KEY, tag.id, tag.key))
