"""A real broker for firmware tests: nats-server's MQTT listener under mutual TLS, with throw-away certificates."""

from __future__ import annotations

import datetime
import ipaddress
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

BIN = Path(sys.executable).parent
SERVER_NAME = "broker.test"


class Authority:
    """A certificate authority of P-256, good for a day."""

    def __init__(self, name: str = "test authority") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = self._sign(self._name, self._key, authority=True, names=[])

    def _sign(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, authority: bool, names: list[str]
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if names:
            general: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
            general.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
            builder = builder.add_extension(x509.SubjectAlternativeName(general), critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def issue(self, name: str, folder: Path) -> None:
        """Write ``NAME.pem``, ``NAME-key.pem``, ``NAME.der`` and ``NAME-key.der`` into ``folder``."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._sign(subject, key, authority=False, names=[name])
        for encoding, suffix in ((serialization.Encoding.PEM, "pem"), (serialization.Encoding.DER, "der")):
            (folder / f"{name}.{suffix}").write_bytes(certificate.public_bytes(encoding))
            (folder / f"{name}-key.{suffix}").write_bytes(
                key.private_bytes(
                    encoding, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
                )
            )

    def write(self, folder: Path, name: str = "ca") -> None:
        """Write the authority's own certificate as ``NAME.pem`` and ``NAME.der``."""
        for encoding, suffix in ((serialization.Encoding.PEM, "pem"), (serialization.Encoding.DER, "der")):
            (folder / f"{name}.{suffix}").write_bytes(self.certificate.public_bytes(encoding))


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Broker:
    """nats-server on a fixed free port, to be started, killed and started again."""

    def __init__(self, folder: Path, authority: Authority | None) -> None:
        self.port = free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        security = ""
        if authority is not None:
            authority.write(folder)
            authority.issue(SERVER_NAME, folder)
            security = (
                f'tls {{ cert_file: "{folder}/{SERVER_NAME}.pem", key_file: "{folder}/{SERVER_NAME}-key.pem",'
                f' ca_file: "{folder}/ca.pem", verify: true }}'
            )
        (folder / "nats.conf").write_text(
            f'server_name: "test"\nhost: "127.0.0.1"\nport: {free_port()}\n'
            f'jetstream {{ store_dir: "{folder}/store" }}\n'
            f'mqtt {{ host: "127.0.0.1", port: {self.port}\n {security} }}\n'
        )

    def start(self) -> None:
        """Start, and wait until it listens."""
        self._process = subprocess.Popen(
            [
                str(BIN / "nats-server"),
                "-c",
                str(self._folder / "nats.conf"),
                "-l",
                str(self._folder / "nats.log"),
            ]
        )
        deadline = time.monotonic() + 60
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"nats-server did not start: {(self._folder / 'nats.log').read_text()}")
            time.sleep(0.02)

    def kill(self, *, wipe: bool = False) -> None:
        """Kill -9; with ``wipe`` its store goes too."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None
        if wipe:
            shutil.rmtree(self._folder / "store", ignore_errors=True)
