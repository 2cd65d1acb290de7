"""The desk in an enrolment bundle: all that a visit needs before there is a connection, and what waits until there is.

What is to be told to the gateway meanwhile (tasks, records of visits that ended at the door) waits in a file beside the
journals, one line each, until `tagwatch fit finish` sends it.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from base64 import b64decode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.order import Order
from gateway.clock import utc_text
from gateway.commands import beacon_key
from gateway.devices import Credentials
from gateway.fitting.bundle import NEW_ONE, Bundle
from gateway.fitting.console import signature
from gateway.fitting.desk import Bound, Committed, Desk, Exchanged, Happened, OnRecord, Place, Unbound, Worn
from gateway.fitting.doorstep import Doorstep
from gateway.fitting.journal import FOLDER, Journal
from gateway.fitting.leaflet import Contact
from gateway.fitting.local_desk import order_of
from gateway.fitting.stops import Stop
from gateway.whole_files import write_whole

UNSENT = "unsent.jsonl"
_USED = "bundles.json"
_CLOCK_MS = 600_000
"""So far a laptop's clock may be behind the gateway's when the bundle was made."""
LATER = "do it where there is a connection"


class BundleDesk:
    """`gateway.fitting.desk.Desk` of a bundle; ``folder`` is the tool's."""

    connected = False
    keys_leave = False

    def __init__(self, bundle: Bundle, folder: Path) -> None:
        self.bundle = bundle
        self._folder = folder / FOLDER
        self._orders = {one["order_id"]: one for one in bundle.said["orders"]}
        self._visited = ""
        self._devices = {one["id"]: one for one in bundle.said["devices"]}

    def begins(self, journal: Journal) -> None:
        """Raises Stop where no visit may begin with this bundle: what was begun in time may go on."""
        if journal.resumed and journal.lines and journal.began <= utc_text(self.bundle.expires_ms):
            return
        if self.now_ms() >= self.bundle.expires_ms:
            raise Stop(f"this bundle has expired at {utc_text(self.bundle.expires_ms)}", NEW_ONE)
        if journal.order in used(self._folder).get(self.bundle.id, ()):
            raise Stop(f"this bundle was used for a visit to order {journal.order} already", NEW_ONE)

    def order(self, order_id: str) -> Order:
        """As it was when the bundle was made."""
        self._visited = order_id
        return order_of(order_id, self._of(order_id)["order"])

    def doorstep(self, order_id: str) -> Doorstep:
        """Likewise."""
        return Doorstep.from_data(self._of(order_id)["doorstep"])

    def contact(self) -> Contact:
        """Whom wearers call."""
        told = self.bundle.said["contact"]
        return Contact(told["phone"], told["hours"])

    def task(self, order_id: str, kind: str, about: str, sentence: str) -> None:
        """It waits."""
        self._wait({"order": order_id, "task": {"kind": kind, "about": about, "sentence": sentence}})

    def keep(self, record: Mapping[str, Any]) -> None:
        """It waits."""
        self._wait({"order": record["order"], "record": dict(record)})

    def ready(self) -> None:
        """Whether a reading could arrive nobody knows here."""

    def now_ms(self) -> int:
        """By this computer's clock: there is no other."""
        now_ms = self.stamp_ms()
        if now_ms < self.bundle.issued_ms - _CLOCK_MS:
            raise Stop(
                f"this computer's clock ({utc_text(now_ms)}) is before the making of the bundle",
                "set the clock, and type the same command again",
            )
        return now_ms

    def stamp_ms(self) -> int:
        """The same, right or wrong."""
        return time.time_ns() // 1_000_000

    def device(self, device: str) -> OnRecord:
        """A device of the bundle, or one that its wearers have on; there are no others here."""
        worn = self.worn(device)
        if worn is not None:
            return OnRecord(device, worn.kind, "", revoked=False, kept=False)
        found = self._device(device)
        return OnRecord(
            device,
            found["kind"],
            hashlib.sha256(b64decode(found["certificate"])).hexdigest(),
            revoked=False,
            kept=device in self.bundle.private,
        )

    def worn(self, device: str) -> Worn | None:
        """On whom a device was when the bundle was made."""
        every = (Worn(**one) for order in self._orders.values() for one in order["worn"])
        return next((one for one in every if one.device == device), None)

    def on_order(self, order_id: str) -> Sequence[Worn]:
        """What the wearer had on then."""
        return [Worn(**one) for one in self._of(order_id)["worn"]]

    def place(self) -> Place:
        """Where devices find the broker."""
        told = self.bundle.said["place"]
        return Place(**{**told, "authority": b64decode(told["authority"])})

    def enrol(self, device: str, kind: str) -> Credentials:
        """Nobody can without the gateway."""
        raise self._unknown(device)

    def credentials(self, device: str) -> Credentials:
        """Of a new device of the bundle."""
        found, place = self._device(device), self.place()
        private = self.bundle.private.get(device)
        if private is None:
            raise Stop(f"{device} was fitted before and has lost its identity", "take another one")
        return Credentials(
            device,
            self.key(device),
            place.authority,
            b64decode(found["certificate"]),
            private,
            place.host,
            place.port,
            place.server_name,
            place.tls,
        )

    def signature(self, device: str, nonce: str, said: bytes, *, following: bool = False) -> bytes:
        """Under the key in the bundle: no device in one is changing its key."""
        return signature(self.key(device), nonce, said)

    def following_key(self, device: str) -> bytes:
        """There is none."""
        raise Stop(f"the key of {device} can not be changed without a connection", LATER)

    def following_certificate(self, device: str) -> Mapping[str, bytes]:
        """There is none: the device keeps the certificate that it has."""
        return {}

    def key(self, device: str) -> bytes:
        """In the bundle."""
        return bytes.fromhex(self._device(device)["key"])

    def beacon_key(self, device: str) -> bytes:
        """Of that key."""
        return beacon_key(self.key(device))

    def newest_row(self) -> int:
        """Nobody knows."""
        return 0

    def reading_since(self, device: str, row: int, about: str | None, from_ms: int = 0) -> Committed | None:
        """Nobody knows."""
        return None

    def bind(
        self, order_id: str, device: str, fitted_ms: int, unit: str | None, address: str | None
    ) -> Bound:
        """Never from a bundle."""
        raise Stop("nothing can be bound without a connection", LATER)

    def exchange(self, activation: str, device: str, at_ms: int, *, silent: bool) -> Exchanged:
        """Never from a bundle."""
        raise Stop("no tag can take another's place without a connection", LATER)

    def units_of(self, activation: str) -> Sequence[str]:
        """Nobody knows."""
        raise Stop("no tag can take another's place without a connection", LATER)

    def report(self, device: str, what: Happened, why: str, visit: str) -> None:
        """It waits."""
        self._wait(
            {"order": self._visited, "report": {"device": device, "what": what, "why": why, "visit": visit}}
        )

    def unbind(self, activation: str, removed_ms: int) -> Unbound:
        """Never from a bundle."""
        raise Stop("nothing can be ended without a connection", LATER)

    def wipe(self, devices: Sequence[str]) -> Sequence[str]:
        """Nothing of it lies open here."""
        return []

    def _of(self, order_id: str) -> Mapping[str, Any]:
        if order_id not in self._orders:
            raise Stop(f"this bundle is for {' and '.join(self._orders)}, not for order {order_id}", NEW_ONE)
        found: Mapping[str, Any] = self._orders[order_id]
        return found

    def _device(self, device: str) -> Mapping[str, Any]:
        if device not in self._devices:
            raise self._unknown(device)
        found: Mapping[str, Any] = self._devices[device]
        return found

    def _unknown(self, device: str) -> Stop:
        return Stop(
            f"{device} is not in this bundle, which has {', '.join(self._devices) or 'no device'}",
            "take one of those, or " + NEW_ONE,
        )

    def _wait(self, line: Mapping[str, Any]) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._folder / UNSENT
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(file, json.dumps(line).encode() + b"\n")
            os.fsync(file)
        finally:
            os.close(file)


def send_what_waits(desk: Desk, folder: Path) -> int:
    """Tell the gateway what could not be told: how many things that was. Each is said again where that is not certain.

    Raises Stop.
    """
    path = folder / FOLDER / UNSENT
    if not path.exists():
        return 0
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.endswith("}")]
    for line in lines:
        desk.order(line["order"])
        if "task" in line:
            told = line["task"]
            desk.task(line["order"], told["kind"], told["about"], told["sentence"])
        elif "report" in line:
            desk.report(**line["report"])
        else:
            desk.keep(line["record"])
    path.unlink()
    return len(lines)


def used(folder: Path) -> dict[str, list[str]]:
    """For which orders bundles were used up, on this computer."""
    try:
        found: dict[str, list[str]] = json.loads((folder / _USED).read_text("utf-8"))
    except FileNotFoundError:
        return {}
    return found


def use_up(folder: Path, bundle: str, order_id: str) -> None:
    """A bundle is of no use for that order any more. Raises OSError."""
    known = used(folder)
    known[bundle] = sorted({*known.get(bundle, ()), order_id})
    write_whole(folder / _USED, json.dumps(known).encode(), 0o600)
