"""What the doctor concludes from facts; one real run of it stands in test_operation."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from gateway import box
from gateway.authority import Authority
from gateway.doctor import conclusions, gathering
from gateway.doctor.facts import (
    DAY_MS,
    CertificateFacts,
    ClockFacts,
    DiskFacts,
    Facts,
    FileFacts,
    Listener,
    PageFacts,
    StoreFacts,
)
from gateway.findings import IngestFacts
from gateway.store import Store
from gateway.store.database import HEAD

NOW_MS = 1_800_000_000_000
GIB = 1024**3
CLOCK = ClockFacts(NOW_MS, True, 12.0, True, False, NOW_MS - 5000)
DISK = DiskFacts(50 * GIB, 100 * GIB, 1_000_000, "ext4", read_only=False, encrypted=True, sd_card=False)
SERVER = CertificateFacts("server", NOW_MS + 900 * DAY_MS, ("gw.example", "localhost"), ("gw.example",))
INGEST = IngestFacts(connected=True, queue_size=100)
STORE = StoreFacts(exists=True, form=HEAD, head=HEAD, sound=True)
PAGE = Listener("web", "0.0.0.0", 8443, loopback=False)
SOUND = Facts(
    settings_problem="",
    clock=CLOCK,
    disk=DISK,
    runs=True,
    user=900,
    folder_owner=900,
    certificates=(SERVER,),
    secrets=(FileFacts("ca.key.pem", 0o600, 900),),
    broker_place="127.0.0.1:8883",
    broker_problem="",
    ingest=INGEST,
    kernels_kept=True,
    kernels_warm=True,
    store=STORE,
    listeners=(Listener("web", "127.0.0.1", 8080, loopback=True),),
    tag_address="0.0.0.0:8883",
    alert_paths=("e-mail", "SMS modem"),
)


def test_a_gateway_without_fault_is_good_throughout_and_ends_with_zero() -> None:
    findings = conclusions.examine(SOUND)
    assert {finding.severity for finding in findings} == {"good"}
    assert conclusions.exit_code(findings) == 0
    assert {finding.check for finding in findings} >= {
        "settings", "clock", "disk", "certificates", "files", "keys", "ingest", "broker", "store", "kernels", "alerts",
        "listening",
    }  # fmt: skip


CASES = {
    "settings that can not be used": (replace(SOUND, settings_problem="mqtt_prot"), "problem", "mqtt_prot"),
    "a box that woke in 1970": (
        replace(SOUND, clock=replace(CLOCK, now_ms=60_000)), "problem", "before this program"),
    "a clock behind what was received": (
        replace(SOUND, clock=replace(CLOCK, newest_receipt_ms=NOW_MS + 3_600_000)), "problem", "60 min before"),
    "no time server": (replace(SOUND, clock=replace(CLOCK, synchronised=False)), "problem", "not synchronised"),
    "a clock that can not be asked": (
        replace(SOUND, clock=replace(CLOCK, synchronised=None)), "unknown", "does not tell"),
    "no hardware clock": (replace(SOUND, clock=replace(CLOCK, rtc=False)), "warning", "no hardware clock"),
    "a time saved on disk instead": (
        replace(SOUND, clock=replace(CLOCK, rtc=False, kept_on_disk=True)), "note", "saved last"),
    "no data folder yet": (replace(SOUND, disk=None), "unknown", "does not exist"),
    "an almost full disk": (
        replace(SOUND, disk=replace(DISK, free_bytes=50 * 1024**2)), "problem", "50 MiB"),
    "a disk that fills": (replace(SOUND, disk=replace(DISK, free_bytes=GIB)), "warning", "1,024 MiB"),
    "a disk out of inodes": (replace(SOUND, disk=replace(DISK, free_inodes=7)), "problem", "only 7 more"),
    "a read-only disk": (replace(SOUND, disk=replace(DISK, read_only=True)), "problem", "only be read"),
    "a disk in memory": (replace(SOUND, disk=replace(DISK, file_system="tmpfs")), "problem", "in memory"),
    "a disk without permissions": (
        replace(SOUND, disk=replace(DISK, file_system="vfat")), "problem", "neither owners"),
    "a disk elsewhere": (replace(SOUND, disk=replace(DISK, file_system="nfs4")), "problem", "another machine"),
    "an unencrypted disk": (replace(SOUND, disk=replace(DISK, encrypted=False)), "warning", "not encrypted"),
    "a disk that can not be seen": (replace(SOUND, disk=replace(DISK, encrypted=None)), "unknown", "can not be told"),
    "a master key that is stolen with the store": (
        replace(SOUND, disk=replace(DISK, encrypted=False), master_key_beside=True), "warning", "holds the master key"),
    "keys that wait to be provisioned": (replace(SOUND, provisioning=3), "note", "of 3 devices lie open"),
    "an SD card": (replace(SOUND, disk=replace(DISK, sd_card=True)), "warning", "SD card"),
    "a certificate that ended": (
        replace(SOUND, certificates=(replace(SERVER, expires_ms=NOW_MS - 3 * DAY_MS),)), "problem", "ended 3 days ago"),
    "a certificate that ends soon": (
        replace(SOUND, certificates=(replace(SERVER, expires_ms=NOW_MS + 30 * DAY_MS),)), "warning", "in 30 days"),
    "a name that is missing": (
        replace(SOUND, certificates=(replace(SERVER, wanted=("new.example",)),)), "warning", "new.example"),
    "a certificate that can not be read": (
        replace(SOUND, certificates=(CertificateFacts("ca", None, problem="no PEM"),)), "problem", "no PEM"),
    "devices whose certificates ended": (
        replace(SOUND, store=replace(STORE, devices_expired=4)), "problem", "of 4 devices"),
    "devices whose certificates end soon": (
        replace(SOUND, store=replace(STORE, devices_expiring=3)), "warning", "of 3 devices"),
    "devices that do not take their new key": (
        replace(SOUND, store=replace(STORE, keys_waiting=3)), "warning", "3 devices have not changed to the key"),
    "two authorities": (
        replace(SOUND, certificates=(SERVER, CertificateFacts("ca.next", NOW_MS + 9_000 * DAY_MS))),
        "note",
        "two are trusted",
    ),
    "a key that others can read": (
        replace(SOUND, secrets=(FileFacts("ca.key.pem", 0o644, 900),)), "problem", "ca.key.pem"),
    "a file of root's": (replace(SOUND, secrets=(FileFacts("store.sqlite", 0o600, 0),)), "problem", "owner"),
    "a command by another user": (replace(SOUND, user=1000), "warning", "another user"),
    "a page for others that nobody can sign in to": (
        replace(SOUND, page=PageFacts("web_host: no user", 0, beyond=True)), "problem", "web_host: no user"),
    "a gateway without users": (replace(SOUND, page=PageFacts("", 0)), "warning", "there is no user"),
    "a page with a certificate that browsers do not know": (
        replace(SOUND, page=PageFacts("", 3, beyond=True, own=True)), "note", "own authority"),
    "a page whose certificate nobody renews": (
        replace(SOUND, page=PageFacts("", 3, expires_ms=NOW_MS + 10 * DAY_MS)), "warning", "ends in 10 days"),
    "a page whose certificate has ended": (
        replace(SOUND, page=PageFacts("", 3, expires_ms=NOW_MS - 2 * DAY_MS)), "problem", "ended 2 days ago"),
    "a page that other machines reach": (
        replace(SOUND, page=PageFacts("", 3, beyond=True), listeners=(PAGE,)),
        "note", "people reach the page"),
    "a page that other machines reach and should not": (
        replace(SOUND, page=PageFacts("", 3), listeners=(PAGE,)),
        "problem", "for other machines to reach"),
    "a gateway that stands still": (replace(SOUND, runs=False), "warning", "does not run"),
    "wearers judged anew": (
        replace(SOUND, ingest=replace(INGEST, unjudged=1234, judged_ago_s=None)),
        "warning",
        "1234 wearers are still to be judged",
    ),
    "an ingest that hangs": (replace(SOUND, ingest=IngestFacts(problem="timed out")), "problem", "timed out"),
    "an ingest that has stalled": (replace(SOUND, ingest=replace(INGEST, stalled_s=90)), "problem", "90 s"),
    "a store that can not be written": (replace(SOUND, ingest=replace(INGEST, trouble="full")), "problem", "full"),
    "an ingest without a broker": (replace(SOUND, ingest=replace(INGEST, connected=False)), "problem", "not connected"),
    "an ingest that compiles": (
        replace(SOUND, ingest=replace(INGEST, connected=False, working="compiling")), "warning", "compiling"),
    "a queue that fills": (replace(SOUND, ingest=replace(INGEST, queue=80)), "warning", "80 messages wait"),
    "a broker that refuses": (replace(SOUND, broker_problem="refused"), "problem", "refused"),
    "an outside broker that never reads its files again": (
        replace(SOUND, broker_reloads=False), "warning", "broker_reload is not set"),
    "rules that can not be kept": (replace(SOUND, kernels_kept=False), "warning", "can not be kept"),
    "rules that are not compiled": (replace(SOUND, kernels_warm=False), "note", "not compiled"),
    "a store of a newer program": (
        replace(SOUND, store=replace(STORE, form="9999", newer=True)), "problem", "9999"),
    "a store of an older program": (replace(SOUND, store=replace(STORE, form="0001")), "warning", "0001"),
    "a damaged store": (
        replace(SOUND, store=replace(STORE, sound=False, damage="page 7")), "problem", "page 7"),
    "a store too large to be read through": (replace(SOUND, store=replace(STORE, sound=None)), "unknown", "in time"),
    "a store that can not be read": (replace(SOUND, store=replace(STORE, problem="disk I/O")), "problem", "disk I/O"),
    "nobody who is told": (replace(SOUND, alert_paths=()), "warning", "nobody is told"),
    "a single way to tell people": (replace(SOUND, alert_paths=("e-mail",)), "warning", "single way"),
    "a page that others can reach": (
        replace(SOUND, listeners=(Listener("web", "0.0.0.0", 8080, loopback=False),)), "problem", "0.0.0.0:8080"),
    "a broker that tags can reach": (
        replace(SOUND, listeners=(Listener("broker", "0.0.0.0", 8883, loopback=False),)), "note", "0.0.0.0:8883"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_is_wrong_is_found_with_its_reason_and_its_remedy(name: str) -> None:
    facts, severity, words = CASES[name]
    found = [finding for finding in conclusions.examine(facts) if finding.severity != "good"]
    assert [finding.severity for finding in found] == [severity], "this and nothing else"
    assert words in found[0].fact
    assert found[0].why and found[0].remedy
    expected = {"note": 0, "unknown": 1, "warning": 1, "problem": 2}[severity]
    assert conclusions.exit_code(conclusions.examine(facts)) == expected


def test_the_gravest_finding_comes_first() -> None:
    facts = replace(SOUND, kernels_warm=False, runs=False, settings_problem="a setting")
    severities = [finding.severity for finding in conclusions.examine(facts)]
    assert severities[:3] == ["problem", "warning", "note"]


def test_looking_at_a_folder_that_is_not_there_makes_nothing(tmp_path: Path) -> None:
    facts = gathering.gather(tmp_path / "none")
    assert (facts.runs, facts.disk, facts.certificates, facts.secrets) == (False, None, (), ())
    assert not (tmp_path / "none").exists()


def test_a_gateway_with_broken_settings_is_still_looked_at(tmp_path: Path) -> None:
    (tmp_path / "tagwatch.toml").write_text("mqtt_prot = 1\n")
    facts = gathering.gather(tmp_path)
    assert "mqtt_prot" in facts.settings_problem
    assert facts.disk is not None


def test_a_damaged_page_and_a_key_that_others_may_read_are_found(tmp_path: Path) -> None:
    Store.open(tmp_path / "store.sqlite").close()
    Authority.open(tmp_path / "authority", ("localhost",))
    assert gathering.gather(tmp_path).master_key_beside
    (tmp_path / "authority" / "ca.key.sealed").chmod(0o640)
    facts = gathering.gather(tmp_path)
    assert facts.store is not None and facts.store.sound and facts.store.form == HEAD
    assert [
        Path(one.path).name for one in facts.secrets if one.mode & 0o077 and not Path(one.path).is_dir()
    ] == ["ca.key.sealed"]
    with sqlite3.connect(tmp_path / "store.sqlite") as connection:
        (root,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'alert_by_device'"
        ).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    with (tmp_path / "store.sqlite").open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\x7f" * size)
    facts = gathering.gather(tmp_path)
    assert facts.store is not None
    assert facts.store.sound is False or facts.store.problem


def test_the_disk_under_a_folder_is_told_by_its_mount(tmp_path: Path) -> None:
    held = box.disk(tmp_path)
    assert held.file_system != "unknown"
    assert 0 < held.free_bytes < held.size_bytes
    assert box.disk(Path("/dev/shm")).file_system == "tmpfs"


def test_the_kernel_tells_whether_its_clock_is_kept() -> None:
    told = box.clock(None)
    assert told.synchronised in (True, False, None)
    assert told.now_ms > NOW_MS - 10 * 365 * DAY_MS


def test_an_address_of_the_kernels_table_is_read_in_its_own_byte_order() -> None:
    assert str(box._address("0100007F")) == "127.0.0.1"
    assert str(box._address("0000000000000000FFFF00000100007F")) == "127.0.0.1"
    assert box._address("00000000000000000000000001000000").is_loopback
