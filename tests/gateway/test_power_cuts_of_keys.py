"""SIGKILL at random moments of every change of keys: what is left is a gateway that starts, and believes its tags.

As in `test_power_cuts`: each work is begun anew on the same files and killed at an instant drawn from the span that it
takes here. With the real firmware: `tests/system/test_changed_keys.py`.
"""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from core import wire
from gateway import keys, renewal, rotation, shredding
from gateway.authority import Authority
from gateway.check import check
from gateway.commands import Outbox, masked_next
from gateway.devices import Credentials
from gateway.shredding import ShredError
from gateway.store import device_certificates, device_keys, devices, state
from gateway.whole_files import write_whole
from tests.gateway.kept_store import Kept, keep
from tests.gateway.stand_in import positions
from tests.gateway.test_changed_keys import NOW_MS, TAG, Tag, numbers, rekeys
from tests.gateway.test_power_cuts import ROUNDS, Cuts
from tests.gateway.test_shredded_keys import LATER_MS, changed, delete, remains, sealed_of, shreds

READINGS = 6


def started(box: Path) -> Kept:
    """A gateway that is started on what is left."""
    kept = keep(box / "data")
    keys.make_ready(kept.settings, kept.store, kept.authority)
    shredding.scrubbed(kept.store)
    return kept


def tag_of(box: Path) -> Tag:
    """The tag, as its own flash says it."""
    tag = Tag(Credentials.read(box / "flash"))
    tag.key = bytes.fromhex((box / "flash" / "key").read_text())
    return tag


def obey(box: Path, tag: Tag, command: wire.Command) -> None:
    """Take the next key as the firmware does: on flash first, whole or not at all."""
    (masked,) = command.arguments
    key = masked_next(tag.key, masked[16:], masked[:16])[16:]
    write_whole(box / "flash" / "key", key.hex().encode(), 0o600)
    tag.key = key


def heard(kept: Kept) -> list[wire.Command]:
    """What the gateway says to the tag now."""
    with kept.store.read() as connection:
        changes = state.changes(connection)
    rotation.Rekeys(kept.store).look(NOW_MS, changes)
    kept.committer.refresh()
    outbox = Outbox(kept.store, kept.vault, kept.committer.key)
    outbox.refresh(NOW_MS)
    return [command for _, command in outbox.due(NOW_MS)]


def change_again_and_again(box: Path) -> None:
    """Keys are changed, the master key too, and the tag speaks all the while."""
    kept, tag = started(box), tag_of(box)
    for n in range(1, READINGS + 1):
        rekeys(kept)
        kept.committer.commit([tag.seal(positions(1, n))])
        for command in heard(kept):
            obey(box, tag, command)
        if n == READINGS // 2:
            keys.change_master(kept.settings, kept.store)
    kept.store.close()


@pytest.mark.parametrize(("rounds", "seed"), ROUNDS)
def test_changes_of_a_devices_key_killed_at_any_moment_leave_its_tag_believed(
    tmp_path: Path, rounds: int, seed: int
) -> None:
    template = tmp_path / "template"
    kept = keep(template / "data")
    credentials = kept.add(TAG)
    kept.store.close()
    credentials.write(template / "flash")
    (template / "flash" / "key").write_text(credentials.key.hex())
    cuts = Cuts(seed, change_again_and_again, template, tmp_path / "box")
    seen = set()
    for box in cuts.until(rounds):
        found, tag = started(box), tag_of(box)
        before = numbers(found.store)
        assert before == list(range(1, len(before) + 1))
        assert check(found.store, found.vault).faults == []
        done = found.committer.commit([tag.seal(positions(1, READINGS + 1))])
        assert done.counts["quarantined"] == 0
        assert numbers(found.store) == list(range(1, READINGS + 2)), (
            "what it says next is committed, all of it"
        )
        assert found.committer.key(TAG) == tag.key
        assert check(found.store, found.vault).faults == []
        with found.store.read() as connection:
            seen.add(len(device_keys.of_device(connection, TAG)))
        found.store.close()
    assert len(seen) > 2, "some were killed in the midst of it"


@pytest.mark.parametrize(("rounds", "seed"), ROUNDS)
def test_shredding_killed_at_any_moment_leaves_a_key_there_or_proven_to_be_gone(
    tmp_path: Path, rounds: int, seed: int
) -> None:
    template = tmp_path / "template"
    kept, _ = changed(template / "data")
    delete(kept)
    with kept.store.write() as connection:
        devices.revoke(connection, TAG, NOW_MS)
    sealed = sealed_of(kept)
    assert remains(kept, sealed) == 2
    kept.store.close()

    def work(box: Path) -> None:
        opened = keep(box / "data")
        shreds(opened)
        opened.store.close()

    cuts = Cuts(seed, work, template, tmp_path / "box")
    seen = set()
    for box in cuts.until(rounds):
        found = started(box)
        assert check(found.store, found.vault).faults == []
        gone = set(sealed_of(found)) == {b""}
        seen.add(gone)
        if not gone:
            assert shreds(found).numbers == (1, 2)
        else:
            with pytest.raises(ShredError, match="no key of tag0001 is left"):
                shreds(found)
        assert remains(found, sealed) == 0
        assert check(found.store, found.vault).faults == []
        found.store.close()
    assert seen == {True, False}, "some were killed before, some after"
    assert LATER_MS > NOW_MS


def vouches(authority: Authority, cert_der: bytes) -> bool:
    """Whether a broker of this gateway would let in who shows this."""
    certificate = x509.load_der_x509_certificate(cert_der)
    issuers = x509.load_pem_x509_certificates(authority.ca_pem.read_bytes())
    for issuer in issuers:
        if issuer.subject == certificate.issuer:
            certificate.verify_directly_issued_by(issuer)
            return True
    return False


def believed_by(authority: Authority, ca_der: bytes) -> bool:
    """Whether a tag that trusts this believes the broker."""
    server = x509.load_pem_x509_certificate(authority.paths("server")[0].read_bytes())
    pem = ssl.DER_cert_to_PEM_cert
    ends = [at for at in range(len(ca_der)) if ca_der[at : at + 2] == b"\x30\x82"]
    for at in ends:
        length = 4 + int.from_bytes(ca_der[at + 2 : at + 4], "big")
        try:
            issuer = x509.load_pem_x509_certificate(pem(ca_der[at : at + length]).encode())
        except ValueError:  # a part of one
            continue
        if issuer.subject == server.issuer:
            server.verify_directly_issued_by(issuer)
            return True
    return False


@pytest.mark.parametrize(("rounds", "seed"), ROUNDS)
def test_changes_of_certificates_killed_at_any_moment_leave_tag_and_broker_believing_each_other(
    tmp_path: Path, rounds: int, seed: int
) -> None:
    template = tmp_path / "template"
    kept = keep(template / "data")
    first = kept.add(TAG)
    kept.store.close()

    def work(box: Path) -> None:
        opened = keep(box / "data")
        opened.authority.begin_change()
        renewal.renew(opened.store, opened.authority, TAG, settings=opened.settings)
        renewal.adopt(opened.store, TAG)  # the tag has shown it
        opened.authority.end_change(opened.settings.server_names)
        opened.store.close()

    cuts = Cuts(seed, work, template, tmp_path / "box")
    seen = set()
    for box in cuts.until(rounds):
        found = started(box)
        with found.store.read() as connection:
            entry = devices.one(connection, TAG)
            coming = device_certificates.next_of(connection, TAG)
        assert entry is not None
        assert vouches(found.authority, entry.certificate), "what is let in is vouched for"
        if coming is not None:
            given = Credentials.read(box / "data" / "devices" / TAG)
            assert coming.certificate == given.cert_der, "what is waited for can be provisioned"
            assert vouches(found.authority, coming.certificate)
            assert believed_by(found.authority, given.ca_der)
        if entry.certificate == first.cert_der:
            assert believed_by(found.authority, first.ca_der), "who was not visited yet goes on"
        else:
            assert believed_by(found.authority, (box / "data" / "devices" / TAG / "ca.der").read_bytes())
        client = x509.load_pem_x509_certificate(found.authority.paths("gateway")[0].read_bytes())
        assert vouches(found.authority, client.public_bytes(Encoding.DER))
        key = found.authority.paths("server")[1]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(found.authority.paths("server")[0], key)
        assert vouches(found.authority, found.authority.certify("tag0009").cert_der)
        state_now = (entry.certificate == first.cert_der, found.authority.changes, coming is not None)
        seen.add(state_now)
        assert not (box / "data" / "authority" / "ca.next.takes-place").exists()
        found.store.close()
    assert len(seen) > 2, "some were killed in the midst of it"
