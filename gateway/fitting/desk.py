"""What a visit asks of a gateway, wherever that is: the desk behind which somebody knows orders, devices and readings.

`gateway.fitting.local_desk` is the gateway's own box with its store and folder. Every call raises Stop, with what to do
next, where it can not be done; said twice, each does its thing once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from core.order import Order
from gateway.devices import Credentials
from gateway.fitting.doorstep import Doorstep
from gateway.fitting.journal import Journal
from gateway.fitting.leaflet import Contact

Happened = Literal["failed", "checked", "lost", "rekeyed"]
"""What a visit may find of a device, beside whose it is."""


@dataclass(frozen=True, slots=True)
class OnRecord:
    """A device as the gateway has it. ``kept``: what it was provisioned with still lies at the gateway.

    ``aside`` says why it is not to be fitted (it is in quarantine, retired or lost), "" where it may be.
    ``following_sha256``: of the certificate that it is to change to, "" where there is none; ``key_changes``: how it is
    given its next key ("air" or "console"), "" where it keeps its key. Until it has shown them both are good.
    """

    id: str
    kind: str
    certificate_sha256: str
    revoked: bool
    kept: bool
    aside: str = ""
    following_sha256: str = ""
    key_changes: str = ""


@dataclass(frozen=True, slots=True)
class Worn:
    """A device on somebody, now."""

    activation: str
    device: str
    kind: str
    order_id: str
    fitted_ms: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where devices find the broker, and whom they trust there: ``authority`` is DER, one or two certificates.

    ``changing``: the authority is being changed, so a device that trusts only one of them is well.
    """

    host: str
    port: int
    server_name: str
    tls: bool
    authority: bytes
    changing: bool

    def settings(self) -> dict[str, Any]:
        """As they stand in a device's settings."""
        return {"host": self.host, "port": self.port, "server_name": self.server_name, "tls": self.tls}


@dataclass(frozen=True, slots=True)
class Committed:
    """A reading that is committed: when it was received, and in which row of the store it lies."""

    received_ms: int
    row: int


@dataclass(frozen=True, slots=True)
class Bound:
    """A tag bound to an order. ``beyond`` are the order's conditions that it can not tell of."""

    activation: str
    fitted_ms: int
    beyond: Sequence[str]


@dataclass(frozen=True, slots=True)
class Exchanged:
    """One tag in the place of another. ``beyond`` as in `Bound`; ``ended`` is the activation that was.

    ``unproven_ms``: from then until the new one was on nothing shows who wore the old one, for its strap was opened or
    it had fallen silent; None where it proved until the end.
    """

    activation: str
    fitted_ms: int
    ended: str
    unproven_ms: int | None
    units: Sequence[str]
    beyond: Sequence[str]


@dataclass(frozen=True, slots=True)
class Unbound:
    """An activation that has ended, and the home units that stood for it."""

    removed_ms: int
    units: Sequence[str]


class Desk(Protocol):
    """A gateway, for one visit.

    ``connected``: it can be asked now; else what needs it waits. ``keys_leave``: it gives out the keys of devices that
    have one already.
    """

    connected: bool
    keys_leave: bool

    def begins(self, journal: Journal) -> None:
        """Raises Stop where the visit of this journal may not begin, or go on, here."""

    def order(self, order_id: str) -> Order:
        """The newest version of an order."""

    def doorstep(self, order_id: str) -> Doorstep:
        """Who is visited, as whoever knocks has to know it."""

    def contact(self) -> Contact:
        """Who wearers call."""

    def task(self, order_id: str, kind: str, about: str, sentence: str) -> None:
        """Somebody has to see to this; ``kind`` is one of ``gateway.orders.tasks.OF_A_VISIT``, ``about`` the visit."""

    def ready(self) -> None:
        """Raises Stop where no reading could arrive at this gateway now."""

    def now_ms(self) -> int:
        """Gateway time. Raises Stop where the gateway was not told it."""

    def stamp_ms(self) -> int:
        """The same, for notes: as good as it is known."""

    def device(self, device: str) -> OnRecord | None:
        """A device; None where that number was never added."""

    def worn(self, device: str) -> Worn | None:
        """On whom a device is now."""

    def on_order(self, order_id: str) -> Sequence[Worn]:
        """What the wearer of an order has on now."""

    def place(self) -> Place:
        """Where devices find the broker."""

    def enrol(self, device: str, kind: str) -> Credentials:
        """Take in a new device under that number, with a key and a certificate of its own."""

    def credentials(self, device: str) -> Credentials:
        """What a device that is on record was or is to be provisioned with, while it is ``kept``."""

    def signature(self, device: str, nonce: str, said: bytes, *, following: bool = False) -> bytes:
        """What goes before a line to a device's console (docs/console.md), in hexadecimal.

        ``following``: under the key that it is to change to, where there is one.
        """

    def following_key(self, device: str) -> bytes:
        """The key that a device is to change to, where it may leave the gateway at all."""

    def following_certificate(self, device: str) -> Mapping[str, bytes]:
        """``ca.der``, ``cert.der``, ``key.der`` that a device is to change to, where they lie at hand; else nothing."""

    def key(self, device: str) -> bytes:
        """A device's own key, where it may leave the gateway at all."""

    def beacon_key(self, device: str) -> bytes:
        """By which a home unit believes the beacons of an RF tag."""

    def newest_row(self) -> int:
        """The row of the newest message in the store."""

    def reading_since(self, device: str, row: int, about: str | None, from_ms: int = 0) -> Committed | None:
        """The first message of a device in a later row, received at ``from_ms`` or later.

        ``about`` is the tag that it must tell of.
        """

    def bind(
        self, order_id: str, device: str, fitted_ms: int, unit: str | None, address: str | None
    ) -> Bound:
        """The device is this wearer's from ``fitted_ms`` on, and the home unit stands for it at that address."""

    def exchange(self, activation: str, device: str, at_ms: int, *, silent: bool) -> Exchanged:
        """``device`` is from ``at_ms`` on in the place of what that activation is of, which was ``silent`` or not."""

    def units_of(self, activation: str) -> Sequence[str]:
        """The home units that listen for what that activation is of."""

    def unbind(self, activation: str, removed_ms: int) -> Unbound:
        """An activation ends, and with it the places of its home units; one that has ended stays as it is."""

    def report(self, device: str, what: Happened, why: str, visit: str) -> None:
        """What a visit has found of a device, for its history; one that ``failed`` is in quarantine from then on.

        ``rekeyed``: an RF tag, of which nothing reaches the gateway that would tell, has its next key.

        Said again for the same visit it stands once.
        """

    def wipe(self, devices: Sequence[str]) -> Sequence[str]:
        """What devices were provisioned with lies nowhere any more; those of which something lay there."""

    def keep(self, record: Mapping[str, Any]) -> None:
        """Keep the record of a visit (``gateway.fitting.record``) where the gateway keeps them."""
