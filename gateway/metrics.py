"""How the gateway is, for machines: is it ready (`parts`), and Prometheus' numbers (`exposition`).

All of it is made anew for each question, from what the ingest says over its control socket, from the store and from the
disk; nothing here counts by itself, so nothing is lost when the page's process is started again. No number is about a
person, and no label names a device.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from cryptography import x509
from prometheus_client.core import (
    CollectorRegistry,
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from gateway import findings, reach
from gateway.findings import Finding, IngestFacts
from gateway.settings import Settings

__all__ = ["CONTENT_TYPE_LATEST", "Part", "Vitals", "exposition", "found", "look", "parts"]

ANSWER_S = 1.0
"""An ingest that is busy answers within milliseconds."""
PARTS = ("broker", "ingest", "store", "judging", "clock")

# what the ingest counts -> name and meaning of the metric; Prometheus adds _total to a counter
COUNTERS = {
    "messages": ("tagwatch_messages", "Messages that were received from devices."),
    "committed": ("tagwatch_readings_committed", "Readings that were committed to disk."),
    "duplicates": ("tagwatch_readings_duplicate", "Readings that came again and were known."),
    "conflicts": ("tagwatch_readings_conflicting", "Readings that came again with other bytes."),
    "forgotten": ("tagwatch_readings_forgotten", "Numbers that a device said it can not tell of any more."),
}
PROCESS_COUNTERS = {
    "groups": ("tagwatch_ingest_commits", "Groups of messages committed since the ingest started."),
    "failed_writes": (
        "tagwatch_ingest_failed_writes",
        "Writes to the store that failed and were tried again.",
    ),
    "judge_errors": ("tagwatch_ingest_judge_errors", "Times that judging failed and was begun anew."),
    "internal_errors": ("tagwatch_ingest_internal_errors", "Messages over which this program failed."),
    "callback_errors": ("tagwatch_ingest_link_errors", "Faults contained in the link to the broker."),
    "connections": ("tagwatch_ingest_connections", "Connections to the broker since the ingest started."),
    "queue_full": (
        "tagwatch_ingest_queue_full",
        "Times that the ingest stopped reading because its queue was full.",
    ),
    "beyond_rate": (
        "tagwatch_ingest_beyond_rate",
        "Messages beyond what one device may say; they stay in its journal.",
    ),
    "unsent": ("tagwatch_ingest_unsent", "Commits and commands that found no connection; devices ask again."),
    "commands_said": ("tagwatch_ingest_commands_said", "Times that a command was said to a device."),
}


@dataclass(frozen=True, slots=True)
class Vitals:
    """What was found out just now. ``ingest`` is its status, None where it did not answer; ``facts`` what is judged."""

    ingest: Mapping[str, Any] | None
    facts: IngestFacts
    store_readable: bool
    free_bytes: int
    size_bytes: int
    read_only: bool
    store_bytes: int | None
    newest_commit_s: float | None
    free_inodes: int | None = None
    starts: Mapping[str, int] = field(default_factory=dict)
    resident_bytes: Mapping[str, int] = field(default_factory=dict)
    expires_s: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that must work, and what is wrong with it; empty where nothing is."""

    name: str
    problem: str


def found(vitals: Vitals) -> list[Finding]:
    """All that can be told of this gateway by what was found out; the limits are those of `gateway.findings`."""
    every = [
        *findings.ingest(vitals.facts),
        *findings.disk(vitals.free_bytes, vitals.size_bytes, vitals.free_inodes, read_only=vitals.read_only),
    ]
    return every if vitals.store_readable else [findings.unreadable_store(), *every]


def parts(vitals: Vitals) -> list[Part]:
    """Broker, ingest, store, judging, clock, and the replica if there is one; ready is who has no problem."""
    problems: dict[str, str] = {}
    for one in findings.stopping(found(vitals)):
        problems.setdefault(one.part, one.fact)
    if vitals.facts.problem:
        # nothing else is known of these
        problems |= dict.fromkeys(("broker", "judging", "clock"), problems["ingest"])
    every = (*PARTS, "replica") if vitals.facts.replica else PARTS
    return [Part(name, problems.get(name, "")) for name in every]


def look(settings: Settings, store_readable: bool, newest_commit_s: float | None) -> Vitals:
    """Find out how the gateway on this machine is. Never fails; takes at most about `ANSWER_S`."""
    said, facts = findings.ask_ingest(settings, ANSWER_S)
    free = size = 0
    inodes: int | None = None
    read_only = False
    with suppress(OSError):
        disk = os.statvfs(settings.data_dir)
        free, size = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
        inodes = disk.f_favail if disk.f_files else None
        read_only = bool(disk.f_flag & os.ST_RDONLY)
    run: Mapping[str, Any] = {}
    with suppress(OSError, ValueError):
        run = json.loads(settings.run_path.read_text())
    return Vitals(
        ingest=said,
        facts=facts,
        store_readable=store_readable,
        free_bytes=free,
        size_bytes=size,
        read_only=read_only,
        free_inodes=inodes,
        store_bytes=_sizes(settings.store_place),
        newest_commit_s=newest_commit_s,
        starts=dict(run.get("lives", {})),
        resident_bytes=dict(_resident(run)),
        expires_s=dict(_expiries(settings)),
    )


def _sizes(place: Path | str) -> int | None:
    """Bytes of the SQLite file and what belongs to it; None where a database server keeps the store."""
    if isinstance(place, str):
        return None
    found = 0
    for path in place.parent.glob(f"{place.name}*"):
        with suppress(OSError):
            found += path.stat().st_size
    return found


def _resident(run: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    for name, pid in run.items():
        if name.endswith("_pid") and isinstance(pid, int):
            with suppress(OSError, ValueError, IndexError):
                pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
                yield name.removesuffix("_pid"), pages * os.sysconf("SC_PAGE_SIZE")


def _expiries(settings: Settings) -> Iterator[tuple[str, float]]:
    files = {name: settings.authority_dir / f"{name}.pem" for name in ("ca", "server", "gateway")}
    shown = reach.certificate(settings)
    if shown is not None:
        files["page"] = shown.chain
    for name, path in files.items():
        with suppress(OSError, ValueError):
            certificate = x509.load_pem_x509_certificate(path.read_bytes())
            yield name, certificate.not_valid_after_utc.timestamp()


def exposition(vitals: Vitals) -> bytes:
    """Prometheus' text format of ``vitals``."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Numbers(vitals))
    return generate_latest(registry)


class _Numbers(Collector):
    """Everything that is known, each as a metric; what is not known is left out rather than made 0."""

    def __init__(self, vitals: Vitals) -> None:
        self._vitals = vitals

    def collect(self) -> Iterator[Metric]:
        """All metrics."""
        vitals = self._vitals
        working_parts = parts(vitals)
        yield InfoMetricFamily("tagwatch_build", "Version of the program.", {"version": _version()})
        yield _gauge(
            "tagwatch_ready",
            "Whether broker, ingest, store, judging and clock all work.",
            not _bad(working_parts),
        )
        working = GaugeMetricFamily("tagwatch_part_ready", "Whether this part works.", labels=["part"])
        for part in working_parts:
            working.add_metric([part.name], not part.problem)
        yield working
        counted = GaugeMetricFamily(
            "tagwatch_findings", "Things that are not as they should be, by severity.", labels=["severity"]
        )
        for severity in ("warning", "problem"):
            counted.add_metric([severity], sum(one.severity == severity for one in found(vitals)))
        yield counted
        yield _gauge("tagwatch_ingest_up", "Whether the ingest answers.", vitals.ingest is not None)
        yield _gauge("tagwatch_disk_free_bytes", "Free space where the store lies.", vitals.free_bytes)
        yield _gauge("tagwatch_disk_size_bytes", "Size of that file system.", vitals.size_bytes)
        if vitals.store_bytes is not None:
            yield _gauge("tagwatch_store_size_bytes", "Size of the store's files.", vitals.store_bytes)
        if vitals.newest_commit_s is not None:
            yield _gauge(
                "tagwatch_newest_commit_timestamp_seconds",
                "When a message was last committed, seconds since 1970.",
                vitals.newest_commit_s,
            )
        yield from self._processes()
        if vitals.ingest is not None:
            yield from _ingest(vitals.ingest)

    def _processes(self) -> Iterator[Metric]:
        starts = CounterMetricFamily(
            "tagwatch_process_starts", "Times a process was started by this supervisor.", labels=["process"]
        )
        for name, count in self._vitals.starts.items():
            starts.add_metric([name], count)
        yield starts
        resident = GaugeMetricFamily(
            "tagwatch_process_resident_memory_bytes", "Resident memory of a process.", labels=["process"]
        )
        for name, size in self._vitals.resident_bytes.items():
            resident.add_metric([name], size)
        yield resident
        expires = GaugeMetricFamily(
            "tagwatch_certificate_expiry_timestamp_seconds",
            "When a certificate ends, seconds since 1970.",
            labels=["certificate"],
        )
        for name, instant_s in self._vitals.expires_s.items():
            expires.add_metric([name], instant_s)
        yield expires


def _ingest(said: Mapping[str, Any]) -> Iterator[Metric]:
    """What the ingest told."""
    yield _gauge(
        "tagwatch_broker_connected", "Whether the ingest is connected to the broker.", said["connected"]
    )
    yield _gauge("tagwatch_queue_messages", "Messages between socket and disk.", said["queue"])
    yield _gauge(
        "tagwatch_ingest_stalled_seconds",
        "For how long the ingest has done nothing.",
        said.get("stalled_s", 0.0),
    )
    yield _gauge(
        "tagwatch_unjudged_wearers",
        "Wearers who are still to be judged by what is stored of them.",
        said.get("unjudged", 0),
    )
    yield _gauge(
        "tagwatch_put_aside_wearers",
        "Wearers whom this program can not judge.",
        len(said.get("put_aside", ())),
    )
    if said.get("judged_ago_s") is not None:
        yield _gauge(
            "tagwatch_judged_ago_seconds", "How long ago everybody was judged.", said["judged_ago_s"]
        )
    if said.get("now_ms") is not None:
        yield _gauge(
            "tagwatch_clock_offset_seconds",
            "How far the gateway's time is ahead of this machine's clock.",
            said["now_ms"] / 1000 - time.time(),
        )
    if said.get("time"):
        yield _gauge(
            "tagwatch_clock_certain",
            "Whether the gateway is certain what time it is; tags are told it only then.",
            said["time"]["certain"],
        )
    copied = said.get("replica")
    if copied:
        yield _gauge("tagwatch_replica_up", "Whether the second store can be written.", not copied["trouble"])
        yield _gauge("tagwatch_replica_failing_seconds", "For how long it has not been.", copied["failing_s"])
        yield _gauge(
            "tagwatch_replica_unanswered",
            "Devices that wait for their commit because of the second store.",
            copied["unanswered"],
        )
    yield _gauge(
        "tagwatch_activations_ahead",
        "Wearers with readings dated ahead of the gateway's clock.",
        len(said.get("ahead", {})),
    )
    for key, (name, meaning) in COUNTERS.items():
        yield CounterMetricFamily(name, meaning, value=said.get(key, 0))
    for key, (name, meaning) in PROCESS_COUNTERS.items():
        yield CounterMetricFamily(name, meaning, value=said["process"].get(key, 0))
    refused = CounterMetricFamily(
        "tagwatch_messages_quarantined", "Messages that were put aside, by reason.", labels=["reason"]
    )
    for reason, count in said.get("quarantined_by_reason", {}).items():
        refused.add_metric([reason], count)
    yield refused
    alerts = GaugeMetricFamily("tagwatch_alerts", "Alerts in the store, by state.", labels=["state"])
    for state, count in said.get("alerts_by_state", {}).items():
        alerts.add_metric([state], count)
    yield alerts


def _bad(every: list[Part]) -> bool:
    return any(part.problem for part in every)


def _gauge(name: str, meaning: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, meaning, value=float(value))


def _version() -> str:
    try:
        return version("tagwatch")
    except PackageNotFoundError:  # run from its sources
        return "unknown"
