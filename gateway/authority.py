"""The gateway's own certificate authority: who may connect to the broker at all.

P-256 throughout (what the tags' TLS handles in milliseconds). A certificate's common name is the identity: the device
id, ``gateway``, or the broker's name. The authority's own key is sealed (``gateway.seal``) and opened only to sign; the
keys of broker and gateway, which those programs read themselves, are readable by their owner only and made anew where
they are missing.
"""

from __future__ import annotations

import fcntl
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway import seal
from gateway.seal import AUTHORITY, AUTHORITY_KEY, MASTER_FILE, SealError, Vault
from gateway.settings import Settings
from gateway.whole_files import sync_folder, wipe, write_whole

GATEWAY_NAME = "tagwatch-gateway"
"""Has a hyphen, so that no device can be called so."""
PROBE_NAME = f"{GATEWAY_NAME}-probe"
"""Who tries whether the broker answers, and may do nothing there: a second connection in the gateway's own name would
end the first at some brokers."""
LOOPBACK_NAMES = ("localhost", "127.0.0.1")
"""The broker's certificate stands for these as well: so the gateway finds it on its own machine."""

AUTHORITY_NAME = "Tagwatch authority"
SEALED_KEY = "ca.key.sealed"
NEXT_CERTIFICATE, NEXT_SEALED_KEY = "ca.next.pem", "ca.next.key.sealed"
"""Of the authority that is to take its place; while the first lies there both are trusted."""
TAKES_PLACE = "ca.next.takes-place"
"""While this lies there, the one is being put in the place of the other."""
_TRUSTED = "trusted.pem"
_OPEN_KEY = "ca.key.pem"
"""Where earlier versions kept it, as it is."""
VALID_FROM = datetime(2020, 1, 1, tzinfo=UTC)
"""Before any tag's clock can start: a board without battery wakes in the past and must still reach its gateway."""

AUTHORITY_YEARS = 30
CERTIFICATE_YEARS = 10
RENEWED_BEFORE = timedelta(days=365)
"""So long before they end, the certificates of broker and gateway are made anew at a start."""


@dataclass(frozen=True, slots=True)
class Certified:
    """A private key and its certificate, both in DER."""

    key_der: bytes = field(repr=False)
    cert_der: bytes = field(repr=False)

    @property
    def key_pem(self) -> bytes:
        """The key as PEM, which OpenSSL wants."""
        return _pem_of_key(self.key_der)


class Authority:
    """The authority of one gateway, its files in one folder.

    ``ca.pem``, ``server.pem``, ``gateway.pem`` (and ``.der``) are certificates, ``*.key.pem`` their keys, but for
    ``ca.key.sealed``. ``vault`` holds the master key under which that and the devices' keys are sealed.

    While the authority is changed there is a next one: both are trusted, the next one signs for devices, and the
    present one for the broker, because the devices in the field know no other yet.
    """

    def __init__(
        self,
        folder: Path,
        vault: Vault,
        certificate: x509.Certificate,
        following: x509.Certificate | None = None,
    ) -> None:
        self.folder = folder
        self.vault = vault
        self._certificate = certificate
        self._next = following

    @classmethod
    def open(cls, folder: Path, server_names: tuple[str, ...], master_key: Path | None = None) -> Authority:
        """Load the authority in ``folder``, or make it there; ``master_key`` lies beside ``folder`` if left out.

        The broker's certificate is made anew whenever ``server_names`` (DNS names or addresses) have changed. Raises
        SealError where the master key can not be used.
        """
        master_key = folder.parent / MASTER_FILE if master_key is None else master_key
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two programs at once must not make two authorities
            cert_path, sealed = folder / "ca.pem", folder / SEALED_KEY
            vault = Vault.open(master_key) if sealed.exists() else Vault.open_or_make(master_key)
            _put_in_place(folder)
            if cert_path.exists():
                coming = folder / NEXT_CERTIFICATE
                authority = cls(
                    folder,
                    vault,
                    x509.load_pem_x509_certificate(cert_path.read_bytes()),
                    x509.load_pem_x509_certificate(coming.read_bytes()) if coming.exists() else None,
                )
                if (folder / _OPEN_KEY).exists():
                    seal_authority(folder, vault)
            else:
                key = ec.generate_private_key(ec.SECP256R1())
                certificate = _authority_certificate(key, AUTHORITY_NAME)
                _write_sealed(folder / SEALED_KEY, vault, key, 1)
                authority = cls(folder, vault, certificate)
                write_whole(folder / "ca.der", certificate.public_bytes(Encoding.DER), 0o644)
                write_whole(cert_path, certificate.public_bytes(Encoding.PEM), 0o644)
            authority._write_trusted()
            names = tuple(dict.fromkeys((*server_names, *LOOPBACK_NAMES)))
            authority._ensure("server", server_names[0], names, server=True)
            authority._ensure("gateway", GATEWAY_NAME, (), server=False)
            authority._ensure("probe", PROBE_NAME, (), server=False)
            return authority

    @classmethod
    def of(cls, settings: Settings) -> Authority:
        """Load the authority of the gateway with these settings, or make it."""
        return cls.open(settings.authority_dir, settings.server_names, settings.master_key_path)

    def begin_change(self) -> None:
        """Make the next authority: from now on both are trusted. Where there is one, it stays. Raises OSError."""
        if self._next is not None:
            return
        key = ec.generate_private_key(ec.SECP256R1())
        number = seal.number_of((self.folder / SEALED_KEY).read_bytes()) + 1
        certificate = _authority_certificate(key, f"{AUTHORITY_NAME} {number}")
        # the key goes first: a certificate without its key would look finished
        _write_sealed(self.folder / NEXT_SEALED_KEY, self.vault, key, number)
        write_whole(self.folder / NEXT_CERTIFICATE, certificate.public_bytes(Encoding.PEM), 0o644)
        self._next = certificate
        self._write_trusted()

    def end_change(self, server_names: tuple[str, ...]) -> Authority:
        """The next authority takes the place of the present one, which is trusted no more. Raises OSError."""
        if self._next is not None:
            # from its being on disk on, whoever opens the authority carries it out to the end
            write_whole(self.folder / TAKES_PLACE, b"", 0o600)
        return Authority.open(self.folder, server_names, self.vault.path)

    @property
    def changes(self) -> bool:
        """Whether there is a next authority."""
        return self._next is not None

    def is_of_next(self, cert_der: bytes) -> bool:
        """Whether a certificate was signed by the next authority."""
        return self._next is not None and _signed_by(x509.load_der_x509_certificate(cert_der), self._next)

    def _write_trusted(self) -> None:
        path = self.folder / _TRUSTED
        if self._next is None:
            path.unlink(missing_ok=True)
            return
        both = b"".join(one.public_bytes(Encoding.PEM) for one in (self._certificate, self._next))
        if not path.exists() or path.read_bytes() != both:
            write_whole(path, both, 0o644)

    def _key(self, *, following: bool = False) -> ec.EllipticCurvePrivateKey:
        """The authority's own key, or the next one's; it is not held longer than it signs. Raises SealError."""
        path = self.folder / (NEXT_SEALED_KEY if following else SEALED_KEY)
        try:
            sealed = path.read_bytes()
        except OSError as error:
            raise SealError(f"the authority's key can not be read: {error}") from None
        return _key_of(self.vault.open_sealed(AUTHORITY_KEY, AUTHORITY, sealed), path)

    def reseal(self) -> None:
        """Seal the authority's key under the present master key. Raises SealError or OSError."""
        seal_authority(self.folder, self.vault)

    @property
    def ca_pem(self) -> Path:
        """The certificate of the authority, and of the next one: who is trusted."""
        return trusted_path(self.folder)

    @property
    def ca_der(self) -> bytes:
        """The same, DER, one after the other: what a device is provisioned with."""
        both = (self._certificate, self._next)
        return b"".join(one.public_bytes(Encoding.DER) for one in both if one is not None)

    def paths(self, name: str) -> tuple[Path, Path]:
        """Certificate and key file (PEM) of ``server``, ``gateway`` or ``probe``."""
        return self.folder / f"{name}.pem", self.folder / f"{name}.key.pem"

    def certify(
        self,
        common_name: str,
        names: tuple[str, ...] = (),
        *,
        server: bool = False,
        until: datetime | None = None,
    ) -> Certified:
        """A new key and certificate for ``common_name``; ``names`` become subject alternative names.

        It is good for ten years, or ``until`` then.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self.sign(key.public_key(), common_name, names, server=server, until=until)
        return Certified(_key_bytes(key, Encoding.DER), certificate)

    def sign(
        self,
        public_key: ec.EllipticCurvePublicKey,
        common_name: str,
        names: tuple[str, ...] = (),
        *,
        server: bool = False,
        until: datetime | None = None,
    ) -> bytes:
        """The certificate (DER) of a key that was made elsewhere, and stays there."""
        following = self._next is not None and not server and common_name not in (GATEWAY_NAME, PROBE_NAME)
        issuer = self._next if following and self._next is not None else self._certificate
        own = self._key(following=following)
        usage = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
            .issuer_name(issuer.subject)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(VALID_FROM)
            .not_valid_after(_years_from_now(CERTIFICATE_YEARS) if until is None else until)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(own.public_key()), critical=False
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        )
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False
            )
        return builder.sign(own, hashes.SHA256()).public_bytes(Encoding.DER)

    def revocations(self, serials: Sequence[int]) -> bytes:
        """The list of revoked certificates (CRL, PEM), by serial number. It is good for as long as the authority.

        A list that runs out would shut everybody out, and a broker's clock may be wrong. While the authority is changed
        there are two, one after the other: a broker wants one of each authority that it trusts.
        """
        lists = []
        for issuer in (self._certificate, self._next):
            if issuer is None:
                continue
            builder = (
                x509.CertificateRevocationListBuilder()
                .issuer_name(issuer.subject)
                .last_update(VALID_FROM)
                .next_update(issuer.not_valid_after_utc)
            )
            for serial in serials:
                entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(VALID_FROM)
                builder = builder.add_revoked_certificate(entry.build())
            signed = builder.sign(self._key(following=issuer is self._next), hashes.SHA256())
            lists.append(signed.public_bytes(Encoding.PEM))
        return b"".join(lists)

    def _ensure(self, name: str, common_name: str, names: tuple[str, ...], *, server: bool) -> None:
        cert_path, key_path = self.paths(name)
        if cert_path.exists() and key_path.exists():
            certificate = x509.load_pem_x509_certificate(cert_path.read_bytes())
            lasts = certificate.not_valid_after_utc - datetime.now(UTC) > RENEWED_BEFORE
            same = not names or _names_of(certificate) == sorted(names)
            if same and lasts and _signed_by(certificate, self._certificate):
                return
        made = self.certify(common_name, names, server=server)
        certificate = x509.load_der_x509_certificate(made.cert_der)
        # the key goes first: a certificate without its key would look finished
        cert_path.unlink(missing_ok=True)
        write_whole(key_path, _pem_of_key(made.key_der), 0o600)
        write_whole(cert_path.with_suffix(".der"), made.cert_der, 0o644)
        write_whole(cert_path, certificate.public_bytes(Encoding.PEM), 0o644)


def trusted_path(folder: Path) -> Path:
    """Where the certificates stand of who is trusted, in the folder of an authority."""
    both = folder / _TRUSTED
    return both if both.exists() else folder / "ca.pem"


def _put_in_place(folder: Path) -> None:
    """Put the next authority in the place of the present one, if that was begun. May be cut off and done again."""
    if not (folder / TAKES_PLACE).exists():
        return
    key, certificate = folder / NEXT_SEALED_KEY, folder / NEXT_CERTIFICATE
    if key.exists():
        key.replace(folder / SEALED_KEY)
        sync_folder(folder)
    if certificate.exists():
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
        write_whole(folder / "ca.der", found.public_bytes(Encoding.DER), 0o644)
        certificate.replace(folder / "ca.pem")
    (folder / _TRUSTED).unlink(missing_ok=True)
    sync_folder(folder)
    (folder / TAKES_PLACE).unlink()
    sync_folder(folder)


def _signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _authority_certificate(key: ec.EllipticCurvePrivateKey, called: str) -> x509.Certificate:
    # no two of one gateway have the same name: which list of revoked certificates is whose, brokers tell by it
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, called)])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(VALID_FROM)
        .not_valid_after(_years_from_now(AUTHORITY_YEARS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _names_of(certificate: x509.Certificate) -> list[str]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return sorted(str(name.value) for name in extension.value)


def _years_from_now(years: int) -> datetime:
    return datetime.now(UTC) + timedelta(days=365 * years)


def seal_authority(folder: Path, vault: Vault) -> None:
    """Seal the key of the authority in ``folder`` under the present master key, also one that lies open there.

    Power may go meanwhile: then there is what was, or what is to be. Raises SealError and OSError.
    """
    lies_open, path = folder / _OPEN_KEY, folder / SEALED_KEY
    if lies_open.exists():
        if not path.exists():
            _write_sealed(path, vault, _key_of(lies_open.read_bytes(), lies_open), 1)
        wipe(lies_open)
    for one in (path, folder / NEXT_SEALED_KEY):
        if one is not path and not one.exists():
            continue
        sealed = one.read_bytes()
        anew = vault.resealed(AUTHORITY_KEY, AUTHORITY, sealed)
        if anew != sealed:
            write_whole(one, anew, 0o600)


def _write_sealed(path: Path, vault: Vault, key: ec.EllipticCurvePrivateKey, number: int) -> None:
    write_whole(path, vault.seal(AUTHORITY_KEY, AUTHORITY, _key_bytes(key, Encoding.PEM), number), 0o600)


def _key_of(pem: bytes, path: Path) -> ec.EllipticCurvePrivateKey:
    key = load_pem_private_key(pem, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{path} does not hold a P-256 key: restore the authority folder from a backup")
    return key


def _key_bytes(key: ec.EllipticCurvePrivateKey, encoding: Encoding) -> bytes:
    # SEC1: the form that the tags' TLS reads, too
    return key.private_bytes(encoding, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def _pem_of_key(key_der: bytes) -> bytes:
    key = load_der_private_key(key_der, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return _key_bytes(key, Encoding.PEM)
