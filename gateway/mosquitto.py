"""An outside Mosquitto: everything that it is configured with, and how a revoked device is made to leave it.

Tried with 2.0.11, Debian 12's: permissions come from the certificate's name alone, a client id that is not one's own is
replaced by that name, and the list of revoked certificates is read again on SIGHUP. That keeps a revoked device from
coming in, but leaves a connection that stands; so the gateway then connects once in the device's name, with a
certificate made for that moment, which ends the other. Who says too much is kept out in the same way, for a minute.
"""

from __future__ import annotations

import shlex
import subprocess
import tempfile
import time
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway import broker
from gateway.authority import GATEWAY_NAME, Authority
from gateway.identities import GATEWAY, SENDER, Rights
from gateway.rates import is_barred
from gateway.settings import LOOPBACK, Settings
from gateway.store import Store, device_certificates, devices
from gateway.whole_files import write_whole

_MOST_BYTES = 65_536
_UNANSWERED = 4
_QUEUED_BYTES = 64 * 1024 * 1024
_RELOAD_S = 30.0


class MosquittoError(RuntimeError):
    """Something that an operator has to see to; the text says what."""


def write(settings: Settings, authority: Authority, store: Store, folder: Path, installed: Path) -> None:
    """Write all that Mosquitto needs into ``folder``; paths in it are those under ``installed``."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    certificate, key = authority.paths("server")
    write_whole(folder / "ca.pem", authority.ca_pem.read_bytes(), 0o644)
    write_whole(folder / "server.pem", certificate.read_bytes(), 0o644)
    write_whole(folder / "server.key.pem", key.read_bytes(), 0o600)
    write_whole(folder / "permissions.acl", permissions(settings.partition_senders).encode(), 0o644)
    write_revoked(authority, store, folder)
    write_whole(folder / "README.md", _README.format(folder=folder, installed=installed).encode(), 0o644)
    # the last: who finds it finds all the others
    write_whole(folder / "tagwatch.conf", configuration(settings, installed).encode(), 0o644)


def configuration(settings: Settings, installed: Path) -> str:
    """The text of ``tagwatch.conf``."""
    place = broker.address(settings)
    port = broker.DEFAULT_PORTS["mqtts"] if settings.embedded else place.port
    here = not settings.embedded and place.host in LOOPBACK
    listener = f"listener {port} {place.host}" if here else f"listener {port}"
    return f"""# Made by `tagwatch broker config mosquitto`; make it anew rather than change it.
per_listener_settings false
allow_anonymous false
# nothing that counts lies in the broker: tags keep what the gateway has not committed
persistence false
max_packet_size {_MOST_BYTES}
# what is said to a tag is some dozen bytes: waiting to fill a packet would cost 40 ms each
set_tcp_nodelay true
max_keepalive 3600
# what is too much for the gateway at the moment waits here: four messages of each tag at most, if it obeys the protocol
max_queued_messages {_UNANSWERED * settings.broker_connections}
max_queued_bytes {_QUEUED_BYTES}
max_inflight_messages {settings.queue_size // 2}
acl_file {installed}/permissions.acl

{listener}
cafile {installed}/ca.pem
certfile {installed}/server.pem
keyfile {installed}/server.key.pem
crlfile {installed}/revoked.pem
require_certificate true
# said before the listener, this would open another one, bare, on port 1883
max_connections {settings.broker_connections}
# who somebody is, his certificate says: neither a user name nor a client id of his choice
use_identity_as_username true
use_username_as_clientid true
"""


def permissions(senders: Sequence[str] = ()) -> str:
    """The text of the access list. A device's lines hold for every device: %u is its certificate's name."""
    people = [(GATEWAY_NAME, GATEWAY), *((name, SENDER) for name in senders)]
    own = [f"pattern write em/v1/+/%u/{leaf}" for leaf in ("up", "state")] + ["pattern read em/v1/+/%u/down"]
    return "\n".join([*(line for name, rights in people for line in _lines(name, rights)), *own]) + "\n"


def _lines(name: str, rights: Rights) -> list[str]:
    reads, writes = set(rights.reads), set(rights.writes)
    return [
        f"user {name}",
        *(
            f"topic {'readwrite' if one in reads & writes else 'read' if one in reads else 'write'} {one}"
            for one in sorted(reads | writes)
        ),
        "",
    ]


def write_revoked(authority: Authority, store: Store, folder: Path) -> tuple[bool, int | None]:
    """Write the list of revoked certificates: those of every device that was revoked, and those that were replaced.

    For as long as a device is kept out for saying too much its certificates are on it, too. Returns whether others are
    on the list than before, and when (ms, the box's clock) the first of these may come back.
    """
    now_ms = time.time_ns() // 1_000_000
    with store.read() as connection:
        barred = devices.barred_until(connection)
        until_ms = {name: until for name, until in barred.items() if is_barred(until, now_ms)}
        names = devices.revoked(connection) | until_ms.keys()
        gone = []
        late = set()
        for row in device_certificates.every(connection):
            if row.use == "retired" or row.device in names:
                gone.append(row.certificate)
            elif row.until_ms is not None and row.until_ms <= now_ms:
                late.add(row.device)
        gone += [one.certificate for name in names | late if (one := devices.one(connection, name))]
    serials = {x509.load_der_x509_certificate(der).serial_number for der in gone if der}
    place = folder / "revoked.pem"
    before = {one.serial_number for one in _list_in(place)}
    write_whole(place, authority.revocations(sorted(serials)), 0o644)
    return serials != before, min(until_ms.values(), default=None)


def _list_in(place: Path) -> x509.CertificateRevocationList | tuple[x509.RevokedCertificate, ...]:
    try:
        return x509.load_pem_x509_crl(place.read_bytes())
    except (FileNotFoundError, ValueError):
        return ()


def keep_out(
    settings: Settings, authority: Authority, store: Store, unwanted: Collection[str], *, reload: bool = False
) -> int | None:
    """Make who says too much leave an outside broker, and stay out for as long as the store says.

    Returns when (ms, the box's clock) the first may come back: then to be called again. Raises MosquittoError where the
    broker can not be made to read its list again; then to be called with ``reload``.
    """
    folder, problem, until_ms = settings.mosquitto_dir, "", None
    if settings.broker_reload and (folder / "tagwatch.conf").exists():
        changed = True
        while changed:  # another process may have revoked somebody between look and write
            changed, until_ms = write_revoked(authority, store, folder)
            if changed or reload:
                problem, reload = _reload(settings), False
    place = broker.address(settings)
    for device in sorted(unwanted) if place.tls else ():
        _take_place(settings, authority, place, device)
    if problem:
        raise MosquittoError(problem)
    return until_ms


def _reload(settings: Settings) -> str:
    """Have the broker read the list again; what went wrong, or ""."""
    try:
        subprocess.run(
            shlex.split(settings.broker_reload), check=True, timeout=_RELOAD_S, capture_output=True
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return (
            f"broker_reload failed ({error}): make the broker read {settings.mosquitto_dir}/revoked.pem again"
        )
    return ""


def read_again(settings: Settings, authority: Authority, store: Store) -> list[str]:
    """Have an outside broker read the list of revoked certificates again; what has to be done by hand instead."""
    folder = settings.mosquitto_dir
    if (folder / "tagwatch.conf").exists():
        write_revoked(authority, store, folder)
    problems = []
    if settings.broker_reload:
        problem = _reload(settings)
        problems += [problem] if problem else []
    else:
        problems.append(
            f"broker_reload is not set: put {folder}/revoked.pem where the broker reads it and send it SIGHUP"
        )
    return problems


def cut_off(settings: Settings, authority: Authority, store: Store, device: str) -> None:
    """Make a revoked device leave an outside broker, and stay out.

    Raises MosquittoError where something of it has to be done by hand; the gateway believes nothing of it in any case.
    """
    place = broker.address(settings)
    if not place.tls:
        return  # a bare broker on this machine knows no identities
    problems = read_again(settings, authority, store)
    if not _take_place(settings, authority, place, device):
        problems.append("the broker does not answer, so whether the device is connected is not known")
    if problems:
        raise MosquittoError(
            f"device {device} is revoked and nothing of it is believed; but " + "; ".join(problems)
        )


def _take_place(settings: Settings, authority: Authority, place: broker.Address, device: str) -> bool:
    """Connect in the device's name and leave: the broker ends a connection of the same name."""
    made = authority.certify(device, until=datetime.now(UTC) + timedelta(minutes=5))
    certificate = x509.load_der_x509_certificate(made.cert_der).public_bytes(Encoding.PEM)
    with tempfile.TemporaryDirectory(dir=authority.folder) as name:
        folder = Path(name)
        write_whole(folder / "cert.pem", certificate, 0o600)
        write_whole(folder / "key.pem", made.key_pem, 0o600)
        tls = broker.client_tls_of(authority, folder / "cert.pem", folder / "key.pem")
    return broker.connects(place, tls, settings.server_names[0], device, timeout_s=10)


_README = """# Mosquitto for Tagwatch

Made by `tagwatch broker config mosquitto`. `server.key.pem` is secret: it is the broker's identity.

On the broker's machine (Debian 12, Mosquitto 2.0.11), as root, in this folder:

    install -d -o mosquitto -g mosquitto -m 700 {installed}
    install -o mosquitto -g mosquitto -m 600 *.pem *.acl {installed}/
    install -m 644 tagwatch.conf /etc/mosquitto/conf.d/
    systemctl restart mosquitto

and on the gateway, in `tagwatch.toml`:

    broker = "mqtts://NAME:8883"     # a name of the broker's certificate (`server_names`): tags dial it, too

A tag that is added may connect at once. A tag that is revoked (`tagwatch device revoke ID`), and for a minute one that
says too much, is cut off at once; that it can not come back needs the new `revoked.pem` at {installed}, and SIGHUP to
the broker. `broker_reload` in `tagwatch.toml` is the command that does both. The gateway's user may neither write there
nor send the signal; where the broker runs on the gateway's machine, let systemd do it whenever the file changes:

    # /etc/systemd/system/tagwatch-revoked.path
    [Path]
    PathChanged={folder}/revoked.pem
    [Install]
    WantedBy=multi-user.target

    # /etc/systemd/system/tagwatch-revoked.service
    [Service]
    Type=oneshot
    ExecStart=/usr/bin/install -o mosquitto -g mosquitto -m 600 {folder}/revoked.pem {installed}/
    ExecStart=/usr/bin/systemctl reload mosquitto

`systemctl enable --now tagwatch-revoked.path`, and

    broker_reload = "sleep 1"        # by then systemd has done it

Without `broker_reload` one tag that says too much makes all others late for as long as it likes.
"""
