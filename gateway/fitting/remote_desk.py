"""The desk of a gateway elsewhere, over HTTPS, as a named officer (`gateway.web.routes.fitting` answers).

Every call does its thing once however often it is said, so one whose answer is lost is said again. The private key of
a new device is made here and stays here until the device has it; its MAC key goes to the gateway once.
"""

from __future__ import annotations

import json
import secrets
import ssl
import time
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from cryptography.x509.oid import NameOID

from core.order import Order
from gateway.devices import DEVICE_ID, KEY_BYTES, Credentials, DeviceError, forget_in
from gateway.fitting.bundle import Signed
from gateway.fitting.desk import Bound, Committed, Exchanged, Happened, OnRecord, Place, Unbound, Worn
from gateway.fitting.doorstep import Doorstep
from gateway.fitting.journal import Journal
from gateway.fitting.leaflet import Contact
from gateway.fitting.local_desk import NUMBER_AGAIN, order_of, time_unknown
from gateway.fitting.officer import Officer
from gateway.fitting.stops import Stop
from gateway.whole_files import sync_folder, write_whole

ANSWER_S = 20.0
"""A gateway on a full disk or a slow box still answers within this."""
_TRIES = 4
_AGAIN_S = 0.5
"""Before the second try; twice as long before each further one."""
_MAC_KEY, _PRIVATE_KEY = "mac.key", "key.der"
AGAIN = "and type the same command again; it goes on where it was"


class Away(Stop):
    """The gateway can not be reached now."""


class RemoteDesk:
    """`gateway.fitting.desk.Desk` over HTTPS, for one visit of ``officer``; ``folder`` holds keys on their way.

    ``tries``: how often a call is said where no answer comes.
    """

    connected = True
    keys_leave = False

    def __init__(self, officer: Officer, folder: Path, order_id: str = "", tries: int = _TRIES) -> None:
        self.officer = officer
        self._devices = folder / "devices"
        self._order_id = order_id
        self._tries = tries
        self._client = httpx.Client(
            base_url=officer.url,
            verify=trusting(officer),
            headers={"authorization": f"Bearer {officer.token}", "accept": "application/json"},
            timeout=httpx.Timeout(ANSWER_S, connect=ANSWER_S / 2),
            follow_redirects=False,
            trust_env=False,
        )
        self._told: dict[str, Any] = {}
        self._told_s = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def begins(self, journal: Journal) -> None:
        """The gateway says with each call whether it may."""

    # ---------------------------------------------------------------------------------------------- looking

    def gateway(self) -> dict[str, Any]:
        """How the gateway is, and as whom it knows us."""
        asked_s = time.monotonic()
        self._told = self._ask("GET", "gateway")
        self._told_s = (asked_s + time.monotonic()) / 2
        return self._told

    def order(self, order_id: str) -> Order:
        """The newest version of an order."""
        return order_of(order_id, self.order_document(order_id))

    def order_document(self, order_id: str) -> dict[str, Any]:
        """The same as it was taken in."""
        self._order_id = order_id
        document: dict[str, Any] = self._ask("GET", "order")["order"]
        return document

    def doorstep(self, order_id: str) -> Doorstep:
        """Who is visited, as whoever knocks has to know it."""
        self._order_id = order_id
        return Doorstep.from_data(self._ask("GET", "doorstep")["doorstep"])

    def contact(self) -> Contact:
        """Whom wearers call."""
        told = self._ask("GET", "doorstep")
        return Contact(told["phone"], told["phone_hours"])

    def task(self, order_id: str, kind: str, about: str, sentence: str) -> None:
        """A task of the order."""
        self._order_id = order_id
        self._ask("POST", "tasks", {"kind": kind, "about": about, "sentence": sentence})

    def ready(self) -> None:
        """Raises Stop where no reading could arrive at this gateway now."""
        problem = self.gateway()["not_ready"]
        if problem:
            raise Stop("the gateway takes no readings now", "call the gateway's operator")

    def now_ms(self) -> int:
        """As the gateway told it last, gone on by this computer's steady clock."""
        if not self._told or not self._told["time_known"]:
            self.gateway()
        if not self._told["time_known"]:
            raise time_unknown()
        return self.stamp_ms()

    def stamp_ms(self) -> int:
        """The same as good as it is known."""
        if not self._told:
            self.gateway()
        return int(self._told["time_ms"] + (time.monotonic() - self._told_s) * 1000)

    def device(self, device: str) -> OnRecord | None:
        """What the gateway has of a device; what lies here of it counts as kept."""
        found = self._ask("GET", f"devices/{_number(device)}")["device"]
        if found is None:
            return None
        return OnRecord(**{**found, "kept": found["kept"] or (self._folder(device) / _MAC_KEY).exists()})

    def worn(self, device: str) -> Worn | None:
        """On whom a device is now."""
        return next(
            (Worn(**one) for one in self._ask("GET", f"devices/{_number(device)}/worn")["worn"]), None
        )

    def on_order(self, order_id: str) -> Sequence[Worn]:
        """What the wearer of an order has on now."""
        self._order_id = order_id
        return [Worn(**one) for one in self._ask("GET", "worn")["worn"]]

    def place(self) -> Place:
        """Where devices find the broker."""
        return _place(self._told["place"] if self._told else self.gateway()["place"])

    def newest_row(self) -> int:
        """The row of the newest message in the gateway's store."""
        return int(self.gateway()["newest_row"])

    def reading_since(self, device: str, row: int, about: str | None, from_ms: int = 0) -> Committed | None:
        """The first message of a device in a later row."""
        asked = {"after_row": str(row), "from_ms": str(from_ms)} | ({} if about is None else {"about": about})
        found = self._ask("GET", f"devices/{_number(device)}/reading", **asked)["reading"]
        return None if found is None else Committed(**found)

    # ----------------------------------------------------------------------------------------------- acting

    def enrol(self, device: str, kind: str) -> Credentials:
        """Make the keys of a new device here, and have the gateway take it in."""
        folder = self._folder(device)
        mac_key, private = _keys(folder)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, device)])
        request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(private, hashes.SHA256())
        body = {
            "kind": kind,
            "key": mac_key.hex(),
            "request": b64encode(request.public_bytes(Encoding.DER)).decode(),
        }
        answer = self._ask("PUT", f"devices/{device}/enrolment", body)
        return _credentials(device, mac_key, _der(private), answer["certificate"], answer["place"])

    def credentials(self, device: str) -> Credentials:
        """Of a device that was enrolled from here, or was added at the gateway and not fitted yet."""
        found = self.device(device)
        if found is None or not found.kept:
            raise Stop(f"the keys of {device} are not kept any more", NUMBER_AGAIN)
        if (self._folder(device) / _MAC_KEY).exists():
            return self.enrol(device, found.kind)
        told = self._ask("POST", f"devices/{_number(device)}/credentials")
        key, private = bytes.fromhex(told["key"]), b64decode(told["private_key"])
        return _credentials(device, key, private, told["certificate"], told["place"])

    def signature(self, device: str, nonce: str, said: bytes, *, following: bool = False) -> bytes:
        """The gateway's signature: the key stays there."""
        body = {"nonce": nonce, "line": said.decode(), "following": following}
        return str(self._ask("POST", f"devices/{_number(device)}/signature", body)["signature"]).encode()

    def following_key(self, device: str) -> bytes:
        """It does not leave the gateway."""
        raise Stop(
            f"{device} is to change its key, and its key does not leave the gateway",
            "take another one, and have this one changed at the gateway (`tagwatch device rekey`)",
        )

    def following_certificate(self, device: str) -> Mapping[str, bytes]:
        """Its private key does not leave the gateway: the device keeps the certificate that it has."""
        return {}

    def key(self, device: str) -> bytes:
        """Of a device that was enrolled from here and not locked yet; no other's."""
        try:
            return (self._folder(device) / _MAC_KEY).read_bytes()
        except OSError:
            raise Stop(
                f"the settings of {device} are not those of today, and its key does not leave the gateway",
                "take another one, and have this one set up at the gateway",
            ) from None

    def beacon_key(self, device: str) -> bytes:
        """By which a home unit believes the beacons of an RF tag."""
        return bytes.fromhex(self._ask("POST", f"devices/{_number(device)}/beacon-key")["key"])

    def bind(
        self, order_id: str, device: str, fitted_ms: int, unit: str | None, address: str | None
    ) -> Bound:
        """The device is this wearer's."""
        self._order_id = order_id
        body = {"device": device, "fitted_ms": fitted_ms, "unit": unit, "address": address}
        return Bound(**self._ask("POST", "activations", body))

    def exchange(self, activation: str, device: str, at_ms: int, *, silent: bool) -> Exchanged:
        """One tag is in the place of another."""
        body = {"device": device, "at_ms": at_ms, "silent": silent}
        return Exchanged(**self._ask("POST", f"activations/{activation}/exchange", body))

    def units_of(self, activation: str) -> Sequence[str]:
        """The home units that listen for what that activation is of."""
        units: list[str] = self._ask("GET", f"activations/{activation}/units")["units"]
        return units

    def unbind(self, activation: str, removed_ms: int) -> Unbound:
        """It is nobody's any more."""
        return Unbound(**self._ask("POST", f"activations/{activation}/end", {"removed_ms": removed_ms}))

    def report(self, device: str, what: Happened, why: str, visit: str) -> None:
        """Into the device's history, at the gateway."""
        body = {"what": what, "why": why, "visit": visit}
        self._ask("POST", f"devices/{_number(device)}/report", body)

    def wipe(self, devices: Sequence[str]) -> Sequence[str]:
        """Here and at the gateway."""
        wiped = []
        for device in devices:
            there = self._ask("POST", f"devices/{_number(device)}/wiping")["wiped"]
            if forget_in(self._devices, device) or there:
                wiped.append(device)
        return wiped

    def bundle(self, bundle_id: str, orders: Sequence[str], devices: Sequence[str], hours: int) -> Signed:
        """What the gateway says for visits without a connection."""
        self._order_id = orders[0]
        body = {"orders": list(orders), "devices": list(devices), "hours": hours}
        told = self._ask("PUT", f"bundles/{bundle_id}", body)
        return Signed(told["document"], b64decode(told["certificate"]), b64decode(told["signature"]))

    def claim(self, bundle_id: str, order_id: str, visit: str, began_ms: int) -> None:
        """That visit is the one that the bundle was used for."""
        self._order_id = order_id
        self._ask("POST", f"bundles/{bundle_id}/visits", {"visit": visit, "began_ms": began_ms})

    def keep(self, record: Mapping[str, Any]) -> None:
        """At the gateway."""
        self._order_id = record["order"]
        self._ask("PUT", f"visits/{record['visit']}", record)

    # ------------------------------------------------------------------------------------------------- asking

    def _folder(self, device: str) -> Path:
        return self._devices / _number(device)

    def _ask(self, method: str, path: str, body: Any = None, **query: str) -> dict[str, Any]:
        """Say it until it is answered. Raises Away where it is not, Stop where the gateway refuses."""
        if self._order_id:
            query["order"] = self._order_id
        data = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"content-type": "application/json"}
        why = ""
        for tried in range(self._tries):
            if tried:
                time.sleep(_AGAIN_S * 2 ** (tried - 1))
            try:
                answer = self._client.request(
                    method, f"/api/v1/fitting/{path}", params=query, content=data, headers=headers
                )
                told = answer.json()
            except httpx.TransportError as error:
                why = _plain(error)
                if isinstance(error, httpx.ConnectError) and "certificate" in why.lower():
                    break
                continue
            except ValueError:
                why = "something else answers there"
                continue
            if answer.status_code == httpx.codes.OK:
                return told  # type: ignore[no-any-return]
            if answer.status_code in (429, 502, 503, 504):
                why = str(told.get("detail", answer.status_code))
                continue
            raise _refusal(self.officer, answer.status_code, told)
        raise Away(
            f"the gateway at {self.officer.url} does not answer ({why})",
            f"see that this computer has a connection, {AGAIN}",
        )


def trusting(officer: Officer) -> ssl.SSLContext:
    """Whom to believe that he is the gateway. Raises Stop."""
    if not officer.url.startswith("https://"):
        raise Stop(f"{officer.url} is no address of a gateway", "give one that begins with https://")
    try:
        return ssl.create_default_context(cadata=officer.trusts or None)
    except ssl.SSLError:
        raise Stop("the certificate to trust can not be read", "give --ca with the file ca.pem") from None


def _refusal(officer: Officer, status: int, told: Mapping[str, Any]) -> Stop:
    detail, remedy = str(told.get("detail", status)), str(told.get("remedy") or "")
    if status == 401:
        return Stop(
            "the gateway does not accept this officer's token",
            "have the operator make a new one (`tagwatch user token`), and type `tagwatch fit login` again",
        )
    if status == 403:
        return Stop(f"the gateway refuses: {detail.rstrip('.')}", "call the gateway's operator")
    return Stop(detail.rstrip("."), remedy or "call the gateway's operator")


def _plain(error: Exception) -> str:
    said = str(error).strip() or type(error).__name__
    return said.splitlines()[0]


def _number(device: str) -> str:
    """It becomes part of an address and of a path."""
    if not DEVICE_ID.fullmatch(device):
        raise Stop(
            f"{device!r} is no device's number", "type the command with 4 to 16 small letters and digits"
        )
    return device


def _place(told: Mapping[str, Any]) -> Place:
    return Place(**{**told, "authority": b64decode(told["authority"])})


def _credentials(
    device: str, key: bytes, private: bytes, certificate: str, told: Mapping[str, Any]
) -> Credentials:
    place = _place(told)
    try:
        return Credentials(
            device,
            key,
            place.authority,
            b64decode(certificate),
            private,
            place.host,
            place.port,
            place.server_name,
            place.tls,
        )
    except (ValueError, DeviceError) as error:
        raise Stop(f"the gateway's answer can not be used ({error})", "call the gateway's operator") from None


def _keys(folder: Path) -> tuple[bytes, ec.EllipticCurvePrivateKey]:
    """The keys of a device on its way to one: those that were made before, else new ones; on disk when this returns."""
    mac_path, private_path = folder / _MAC_KEY, folder / _PRIVATE_KEY
    if not mac_path.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(private_path, _der(ec.generate_private_key(ec.SECP256R1())), 0o600)
        # the second: while it is missing nothing was ever sent
        write_whole(mac_path, secrets.token_bytes(KEY_BYTES), 0o600)
        sync_folder(folder.parent)
    private = load_der_private_key(private_path.read_bytes(), None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    return mac_path.read_bytes(), private


def _der(key: ec.EllipticCurvePrivateKey) -> bytes:
    # SEC1: the form that the tags' TLS reads, too
    return key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
