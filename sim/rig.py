"""A real gateway, tags on virtual boards, and one hand that moves their time.

Every part is the one that is deployed: broker, ingest, store, page, firmware. Only time is ours: tags run to an
instant, then the gateway judges at that instant, and so on. Nothing is waited for by the clock on the wall.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np

from core.readings import F64, I64, Positions
from core.wire import beacon_number
from gateway.authority import Authority
from gateway.commands import beacon_key
from gateway.devices import add_device
from gateway.installations import install
from gateway.orders import activate, add_order, deactivate
from gateway.service import GatewayProcess
from gateway.settings import Settings
from gateway.store import Store
from gateway.store import alerts as alert_book
from gateway.trail import positions_of
from sim.bench.tag import Beacon, VirtualTag
from sim.radio import AWAY, NEAR, Channel, Place

Ear = Callable[[I64], F64]
"""How strongly a home unit hears each beacon that a tag sent at such instants: dBm, NaN where not at all."""
_ALL = 2**31
_LAST_UPLOAD_MS = 150_000
"""A reading waits at most 120 s for company (design); by then the last has been sent."""


class SerialLine:
    """What a receiver will say, ``(instant_ms, bytes)`` in order, taken piece by piece as time goes on."""

    def __init__(self, pieces: Iterable[tuple[int, bytes]]) -> None:
        self._pieces = iter(pieces)
        self._next = next(self._pieces, None)

    def until(self, t_ms: int) -> Iterator[tuple[int, bytes]]:
        """The pieces up to ``t_ms`` that were not taken before."""
        while self._next is not None and self._next[0] <= t_ms:
            yield self._next
            self._next = next(self._pieces, None)


class Rig:
    """A gateway with its tags. Use it as a context: all processes end with it.

    ``patience_s`` is how long, in real seconds, a tag's time stands still for an answer that does not come.
    ``senders`` are certificates' names that may say and hear everything at the broker.
    With ``clock`` "system" the gateway has its box's clock, and nobody steps it: `advance` with ``judge`` False.
    ``group_ms`` is the setting of that name.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        web: bool = False,
        broker: str | None = None,
        seed: int = 0,
        patience_s: float = 3.0,
        senders: tuple[str, ...] = (),
        clock: Literal["stepped", "system"] = "stepped",
        group_ms: int | None = None,
    ) -> None:
        self.settings = Settings.load(
            data_dir,
            clock=clock,
            group_ms=group_ms,
            web=web,
            mqtt_port=0,
            web_port=0,
            broker=broker,
            partition_senders=senders or None,
        )
        self.seed = seed
        self._patience_s = patience_s
        self.tags: dict[str, VirtualTag] = {}
        self._lines: dict[str, SerialLine] = {}
        self._worn: dict[str, str] = {}
        self.channel = Channel(seed)
        self.aired: dict[str, list[Beacon]] = {}
        """What each RF tag has sent up to now."""
        self._keys: dict[str, bytes] = {}
        self._units: dict[str, dict[str, Place]] = {}
        self._ears: dict[tuple[str, str], Ear] = {}
        self.now_ms = 0

    def __enter__(self) -> Self:
        self.gateway = GatewayProcess(self.settings)
        self.gateway.start()
        self.store = Store.open(self.settings.store_place)
        self.authority = Authority.of(self.settings)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for tag in self.tags.values():
            tag.stop()
        self.store.close()
        self.gateway.stop()

    def enrol(
        self,
        device: str,
        start_ms: int,
        line: Iterable[tuple[int, bytes]],
        *,
        order: Mapping[str, Any] | None = None,
        kind: str = "gps_tag",
        clock_set: bool = True,
        clock_off_s: int = 0,
        **config: object,
    ) -> VirtualTag:
        """Add a device with its keys, fit it under ``order`` at ``start_ms``, and switch it on.

        ``line`` is what its receiver will say; ``config`` overrides the tag's settings (``sample_s``, ``every_fix`` …).
        Its clock is set, as whoever provisions a tag does, unless ``clock_set`` is False;
        ``clock_off_s`` is how far ahead it is then.
        """
        credentials = add_device(self.store, self.authority, device, settings=self.settings, kind=kind)
        self._keys[device] = credentials.key
        if order is not None:
            added = add_order(self.store, order)
            self._worn[device] = activate(self.store, device, added.order_id, start_ms)
        tag = VirtualTag(
            self.settings.data_dir / "tags" / device,
            credentials,
            start_ms=start_ms,
            seed=self.seed,
            config=config,
            patience_s=self._patience_s,
            clock_set=clock_set,
            clock_off_s=clock_off_s,
            kind=kind,
        )
        tag.start()
        self.tags[device] = tag
        self._lines[device] = SerialLine(line)
        return tag

    def enrol_unit(
        self,
        device: str,
        start_ms: int,
        tags: Sequence[str],
        *,
        provisioned: bool = True,
        ears: Mapping[str, Ear] | None = None,
        addresses: Mapping[str, str] | None = None,
        **config: object,
    ) -> VirtualTag:
        """Add a home unit that listens for ``tags``, which were enrolled before, and install it for their wearers.

        Each tag is in the next room, until `place` says otherwise, or is heard as its ``ears`` say. With
        ``provisioned`` False the unit knows of no tag until the gateway tells it. ``addresses`` names the address at
        which the unit stands, where the order of a tag's wearer has several.
        """
        heard = [[beacon_number(tag), self.beacon_key(tag).hex()] for tag in tags] if provisioned else []
        unit = self.enrol(
            device,
            start_ms,
            (),
            kind="home_unit",
            order=None,
            clock_set=True,
            clock_off_s=0,
            tags=heard,
            **config,
        )
        self._units[device] = dict.fromkeys(tags, NEAR)
        self._ears |= {(device, tag): ear for tag, ear in (ears or {}).items()}
        for tag in tags:
            if tag in self._worn:
                address = (addresses or {}).get(tag)
                install(self.store, device, self._worn[tag], address, installed=start_ms)
        return unit

    def mac_key(self, device: str) -> bytes:
        """What a device seals its messages with."""
        return self._keys[device]

    def beacon_key(self, tag: str) -> bytes:
        """What a home unit is given to know a tag's beacons by."""
        return beacon_key(self._keys[tag])

    def place(self, tag: str, place: Place = AWAY, *units: str) -> None:
        """From now on an RF tag is there, as home units (all that listen for it, or those named) see it."""
        for unit in units or self._units:
            if tag in self._units[unit]:
                self._units[unit][tag] = place

    def _air(self, tag: VirtualTag) -> None:
        """Carry what an RF tag has sent to the home units that hear it."""
        sent = tag.beacons()
        self.aired.setdefault(tag.device, []).extend(sent)
        at_ms = np.array([beacon.at_ms for beacon in sent], np.int64)
        for unit, places in self._units.items():
            place, ear = places.get(tag.device), self._ears.get((unit, tag.device))
            if place is None:
                continue
            heard = self.channel.at(f"{tag.device}/{unit}", at_ms, place) if ear is None else ear(at_ms)
            for beacon, dbm in zip(sent, heard.tolist(), strict=True):
                if not math.isnan(dbm):
                    self.tags[unit].hear(beacon.at_ms, round(dbm), beacon.data)

    def advance(self, t_ms: int, *devices: str, fed: bool = True, judge: bool = True) -> None:
        """Let the tags (all, or those named) live until ``t_ms``, then the gateway judge at that instant.

        Home units come after the tags, and hear what those have sent.

        ``fed=False`` unplugs their receivers meanwhile; ``judge=False`` is for a gateway that does not run.
        """
        moving = [self.tags[device] for device in (devices or self.tags)]
        for tag in moving if fed else ():
            for at_ms, data in self._lines[tag.device].until(t_ms):
                tag.feed(at_ms, data)
        units = [tag for tag in moving if tag.device in self._units]
        for group in ([tag for tag in moving if tag not in units], units):
            for tag in group:
                tag.begin_run(t_ms)
            for tag in group:
                tag.finish_run()
                if tag.kind == "rf_tag":
                    self._air(tag)
        self.now_ms = max(self.now_ms, t_ms)
        if judge:
            self.gateway.advance(self.now_ms)

    def drain(self, *devices: str) -> None:
        """Go on with the receivers unplugged, until every reading that was made has been sent and committed."""
        self.advance(self.now_ms + _LAST_UPLOAD_MS, *devices, fed=False)

    def retire(self, device: str) -> dict[str, int]:
        """Take a tag off its wearer and switch it off for good; returns what it counted."""
        tag = self.tags.pop(device)
        tag.stop()
        if device in self._worn:
            deactivate(self.store, self._worn.pop(device), tag.now_ms)
        return tag.counters()

    def positions(self, device: str) -> Positions:
        """The positions of a device as the gateway has committed them, in the order in which they were made."""
        with self.store.read() as connection:
            return positions_of(connection, device)

    def alerts(self, device: str | None = None) -> list[dict[str, Any]]:
        """The alerts in the store, oldest first."""
        with self.store.read() as connection:
            return alert_book.listing(connection, device=device, limit=_ALL)[::-1]
