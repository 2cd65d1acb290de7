"""Certificates are changed at both brokers: of a device, and of the authority; with the real firmware, too."""

from __future__ import annotations

import os
import random
import select
import shlex
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from cryptography import x509
from typer.testing import CliRunner

from gateway import broker, mosquitto, renewal
from gateway.authority import Authority
from gateway.backup import backup
from gateway.check import check
from gateway.cli import app
from gateway.devices import Credentials, DeviceError, add_device
from gateway.restore import restore
from gateway.settings import Settings
from gateway.store import Store, device_certificates, devices
from sim.rig import Rig
from tests.gateway.stand_in import tls_of
from tests.system.brokers import PROGRAM as MOSQUITTO
from tests.system.brokers import free_port
from tests.system.test_changed_keys import provision
from tests.system.test_commands import Post

WAIT_S = 60.0


class Site:
    """A gateway's folder, and its broker whenever ``running``."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.folder, self.embedded = folder, kind == "nats"
        self.pid = folder / "mosquitto.pid"
        data = folder / "gateway"
        if self.embedded:
            self.settings = Settings.load(data, mqtt_port=0)
        else:
            reload = shlex.join(["/bin/sh", "-c", f"kill -HUP $(cat {self.pid}) 2>/dev/null || true"])
            # so that a command of another process finds the same broker
            data.mkdir(parents=True)
            place = f"mqtts://localhost:{free_port()}"
            (data / "tagwatch.toml").write_text(f"broker = {place!r}\nbroker_reload = {reload!r}\n")
            self.settings = Settings.load(data)
        self.store = Store.open(self.settings.store_place)
        self._tried = 0

    @property
    def authority(self) -> Authority:
        return Authority.of(self.settings)

    @contextmanager
    def running(self) -> Iterator[None]:
        authority = self.authority
        if self.embedded:
            # a module of its own, as the service starts it
            commands = [
                broker.prepare(self.settings, authority),
                [sys.executable, "-m", "gateway.doorkeeper", "--data-dir", str(self.settings.data_dir)],
            ]
        else:
            made = self.settings.mosquitto_dir
            mosquitto.write(self.settings, authority, self.store, made, made)
            file = self.folder / "mosquitto.conf"
            file.write_text("user root\n" + (made / "tagwatch.conf").read_text())
            commands = [[MOSQUITTO, "-c", str(file)]]
        processes = [subprocess.Popen(one, stderr=subprocess.DEVNULL) for one in commands]
        self.pid.write_text(str(processes[0].pid))
        try:
            deadline = time.monotonic() + WAIT_S
            while (self.embedded and not broker.door_is_open(self.settings)) or not broker.answers(
                broker.address(self.settings), broker.probe_tls(authority), "localhost"
            ):
                assert time.monotonic() < deadline, "the broker did not start"
                time.sleep(0.05)
            yield
        finally:
            for process in reversed(processes):
                process.send_signal(signal.SIGTERM)
                process.wait(60)

    def add(self, device: str) -> Credentials:
        return add_device(self.store, self.authority, device, settings=self.settings)

    def renewed(self, tag: Credentials) -> Credentials:
        """What the tag has once it is provisioned with what was made for it."""
        made = renewal.renew(self.store, self.authority, tag.device, settings=self.settings)
        ca, cert, key = ((made.folder / name).read_bytes() for name in made.files)
        return replace(tag, ca_der=ca, cert_der=cert, key_der=key)

    def lets_in(self, tag: Credentials) -> bool:
        """Whether tag and broker believe each other."""
        self._tried += 1
        tls: ssl.SSLContext = tls_of(tag, self.folder / f"try-{self._tried}")
        return broker.connects(broker.address(self.settings), tls, "localhost", tag.device)

    def run(self, *words: str) -> str:
        done = CliRunner().invoke(app, [*words, "--data-dir", str(self.settings.data_dir)])
        assert done.exit_code == 0, done.output
        return done.output


@pytest.fixture(params=["nats", "mosquitto"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    opened = Site(tmp_path, request.param)
    yield opened
    opened.store.close()


def test_the_old_certificate_of_a_device_is_good_until_the_new_one_was_shown(site: Site) -> None:
    old = site.add("tag0001")
    with site.running():
        assert site.lets_in(old)
        new = site.renewed(old)
        assert site.lets_in(old)
        assert site.lets_in(new)
        if not site.embedded:
            assert site.lets_in(old), "Mosquitto does not tell who has shown what"
            site.run("device", "renewed", "tag0001")
            time.sleep(0.5)
        assert not site.lets_in(old)
        assert site.lets_in(new)
        if site.embedded:
            assert (
                "has shown it"
                in CliRunner()
                .invoke(app, ["device", "renewed", "tag0001", "--data-dir", str(site.settings.data_dir)])
                .output
            )


def test_from_its_date_on_the_old_certificate_is_good_no_more(site: Site) -> None:
    old = site.add("tag0001")
    past = datetime.now(UTC) - timedelta(days=1)
    site.run("device", "renew", "tag0001", "--until", past.strftime("%Y-%m-%dT%H:%M:%SZ"))
    with site.running():
        assert not site.lets_in(old)


def test_the_authority_is_changed_with_both_trusted_meanwhile(site: Site) -> None:
    old, late = site.add("tag0001"), site.add("tag0002")
    first = site.authority.ca_der
    site.run("keys", "rotate-authority")
    assert site.authority.changes
    both = site.authority.ca_der
    assert both.startswith(first)
    young = site.add("tag0003")
    with site.running():
        assert site.lets_in(old), "nobody has visited it yet"
        new = site.renewed(old)
        assert site.lets_in(new)
        assert site.lets_in(young)
        if not site.embedded:
            site.run("device", "renewed", "tag0001")
    refused = CliRunner().invoke(
        app, ["keys", "rotate-authority", "--finish", "--data-dir", str(site.settings.data_dir)]
    )
    assert (refused.exit_code, "tag0002" in refused.output) == (1, True)
    assert "tag0001" not in refused.output
    renewed = site.renewed(late)
    with site.running():
        assert site.lets_in(renewed)
        if not site.embedded:
            site.run("device", "renewed", "tag0002")
    site.run("keys", "rotate-authority", "--finish")
    assert not site.authority.changes
    assert both == first + site.authority.ca_der
    with site.running():
        assert site.lets_in(new)
        assert site.lets_in(young)
        assert site.lets_in(renewed)
        assert not site.lets_in(old)
        assert not site.lets_in(late)
        assert not site.lets_in(replace(new, cert_der=late.cert_der, key_der=late.key_der))


def test_no_certificate_is_made_for_a_device_that_is_not_let_in(tmp_path: Path) -> None:
    site = Site(tmp_path, "nats")
    site.add("tag0001")
    with pytest.raises(DeviceError, match="not known"):
        renewal.renew(site.store, site.authority, "tag0009", settings=site.settings)
    site.run("device", "revoke", "tag0001")
    with pytest.raises(DeviceError, match="revoked"):
        renewal.renew(site.store, site.authority, "tag0001", settings=site.settings)
    site.store.close()


def test_a_certificate_that_was_made_twice_is_good_only_as_it_was_made_last(tmp_path: Path) -> None:
    site = Site(tmp_path, "nats")
    old = site.add("tag0001")
    first, second = site.renewed(old), site.renewed(old)
    with site.running():
        assert not site.lets_in(first)
        assert site.lets_in(old)
        assert site.lets_in(second)
    with site.store.read() as connection:
        rows = device_certificates.of_device(connection, "tag0001")
        entry = devices.one(connection, "tag0001")
    assert entry is not None
    assert entry.certificate == second.cert_der
    assert {row.certificate for row in rows} == {old.cert_der, first.cert_der}
    assert {row.use for row in rows} == {"retired"}
    site.store.close()


def test_what_ends_within_a_year_is_made_anew_at_a_start(tmp_path: Path) -> None:
    site = Site(tmp_path, "nats")
    authority = site.authority
    kept = {name: authority.paths(name)[0].read_bytes() for name in ("server", "gateway", "probe")}
    assert {name: site.authority.paths(name)[0].read_bytes() for name in kept} == kept
    soon = authority.certify("localhost", ("localhost", "127.0.0.1"), server=True, until=_in(days=364))
    for name in kept:
        path, key = authority.paths(name)
        path.write_text(ssl.DER_cert_to_PEM_cert(soon.cert_der))
        key.write_bytes(soon.key_pem)
    for name in kept:
        found = x509.load_pem_x509_certificate(site.authority.paths(name)[0].read_bytes())
        assert found.not_valid_after_utc > _in(days=3000), name
    site.store.close()


def _in(days: int) -> datetime:
    return datetime.now(UTC) + timedelta(days=days)


def test_a_change_of_the_authority_is_in_the_backup(tmp_path: Path) -> None:
    site = Site(tmp_path / "site", "nats")
    site.run("keys", "rotate-authority")
    site.run("keys", "rotate-master")
    trusted = site.authority.ca_der
    backup(site.settings, tmp_path / "b")
    other = Settings.load(tmp_path / "other", mqtt_port=0)
    restore(other, tmp_path / "b", site.settings.master_key_path)
    found = Authority.of(other)
    assert found.changes
    assert found.ca_der == trusted
    assert found.is_of_next(found.certify("tag0001").cert_der)
    site.store.close()


def test_a_real_tag_that_trusts_both_goes_on_when_the_authority_has_changed(tmp_path: Path) -> None:
    with Rig(tmp_path, patience_s=1.0) as rig:
        rig.gateway.stop()
        rig.authority.begin_change()
        rig.gateway.start()
        post = Post(rig, "gps00001")
        post.live(2)
        before = len(rig.positions(post.device))
        assert before
        rig.gateway.stop()
        rig.authority = rig.authority.end_change(rig.settings.server_names)
        rig.gateway.start()
        post.live(5)
        assert len(rig.positions(post.device)) > before
        assert rig.gateway.status()["quarantined"] == 0


def killed_after(work: Callable[[], object], after_s: float) -> None:
    """Do some work in a process that is killed after so long, if it has not ended."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    ended = os.pidfd_open(pid)
    if not select.select([ended], [], [], after_s)[0]:
        os.kill(pid, signal.SIGKILL)
    os.close(ended)
    os.waitpid(pid, 0)


def goes_on(post: Post) -> None:
    """The tag gets its next readings committed, and all that is stored verifies."""
    before = len(post.rig.positions(post.device))
    post.until(lambda: len(post.rig.positions(post.device)) > before)
    assert check(post.rig.store, post.rig.authority.vault).faults == []
    assert post.rig.gateway.status()["quarantined"] == 0


@pytest.mark.parametrize(
    ("rounds", "seed"),
    [
        pytest.param(
            2, 20261122, id="2-of-seed-20261122", marks=[pytest.mark.long, pytest.mark.timeout(900)]
        ),
        pytest.param(20, 7, id="20-of-seed-7", marks=[pytest.mark.long, pytest.mark.timeout(7200)]),
    ],
)
def test_a_real_tag_goes_on_while_every_step_of_a_change_of_the_authority_is_killed(
    tmp_path: Path, rounds: int, seed: int
) -> None:
    dice = random.Random(seed)
    with Rig(tmp_path, patience_s=1.0) as rig:
        post = Post(rig, "gps00001")
        names = rig.settings.server_names
        for _ in range(rounds):
            rig.gateway.stop()
            killed_after(lambda: Authority.of(rig.settings).begin_change(), dice.uniform(0, 0.06))
            rig.authority = Authority.of(rig.settings)
            rig.gateway.start()
            goes_on(post)
            rig.gateway.stop()
            rig.authority.begin_change()
            rig.gateway.start()
            killed_after(partial(renew, rig, post.device), dice.uniform(0, 0.06))
            goes_on(post)
            made = renew(rig, post.device)
            provision(rig.tags[post.device], {name: (made.folder / name).read_bytes() for name in made.files})
            goes_on(post)
            assert renewal.not_renewed(rig.store, rig.authority) == []
            rig.gateway.stop()
            killed_after(partial(rig.authority.end_change, names), dice.uniform(0, 0.06))
            rig.gateway.start()
            goes_on(post)
            rig.gateway.stop()
            rig.authority = Authority.of(rig.settings).end_change(names)
            rig.gateway.start()
            goes_on(post)
            assert not rig.authority.changes


def renew(rig: Rig, device: str) -> renewal.Renewed:
    store = Store.open(rig.settings.store_place)
    try:
        return renewal.renew(store, Authority.of(rig.settings), device, settings=rig.settings)
    finally:
        store.close()
