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

from gateway.control import Control, ControlError
from gateway.settings import Settings

__all__ = ["CONTENT_TYPE_LATEST", "Part", "Vitals", "exposition", "look", "parts"]

ANSWER_S = 1.0
"""An ingest that is busy answers within milliseconds."""
STALLED_S = 5.0
BEHIND_S = 10.0
"""Silence is judged every second; after ten missed times alerts come late."""
LEAST_FREE_BYTES = 32 * 1024 * 1024
"""Below this the next commit may fail: SQLite's log alone may need so much."""

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
    "unsent": ("tagwatch_ingest_unsent", "Commits and commands that found no connection; devices ask again."),
    "commands_said": ("tagwatch_ingest_commands_said", "Times that a command was said to a device."),
}


@dataclass(frozen=True, slots=True)
class Vitals:
    """What was found out just now. ``ingest`` is its status, None where it did not answer: ``ingest_problem``."""

    ingest: Mapping[str, Any] | None
    ingest_problem: str
    store_readable: bool
    free_bytes: int
    size_bytes: int
    read_only: bool
    store_bytes: int | None
    newest_commit_s: float | None
    starts: Mapping[str, int] = field(default_factory=dict)
    resident_bytes: Mapping[str, int] = field(default_factory=dict)
    expires_s: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that must work, and what is wrong with it; empty where nothing is."""

    name: str
    problem: str


def parts(vitals: Vitals) -> list[Part]:
    """Broker, ingest, store and judging; the gateway is ready when none has a problem."""
    said = vitals.ingest
    silent = vitals.ingest_problem or "the ingest does not answer"
    if said is None:
        return [
            Part("broker", silent),
            Part("ingest", silent),
            Part("store", _store(vitals)),
            Part("judging", silent),
        ]
    stalled_s = float(said.get("stalled_s", 0.0))
    ingest = (
        f"it has done nothing for {stalled_s:.0f} s" if stalled_s > STALLED_S else str(said["working"] or "")
    )
    if said["working"] and said["connected"] and stalled_s <= STALLED_S:
        ingest = ""  # it commits
    return [
        Part("broker", "" if said["connected"] else "the ingest is not connected to it"),
        Part("ingest", ingest),
        Part("store", str(said["trouble"]) or _store(vitals)),
        Part("judging", _judging(said)),
    ]


def _store(vitals: Vitals) -> str:
    if not vitals.store_readable:
        return "it can not be read"
    if vitals.read_only:
        return "its disk can only be read"
    if vitals.free_bytes < LEAST_FREE_BYTES:
        return f"its disk is full: {vitals.free_bytes} bytes are free"
    return ""


def _judging(said: Mapping[str, Any]) -> str:
    ago_s = said.get("judged_ago_s")
    if said.get("clock") == "stepped":
        return ""  # it is told when to judge
    if ago_s is None:
        return "nobody has been judged since the ingest started"
    return f"everybody was judged {ago_s:.0f} s ago" if ago_s > BEHIND_S else ""


def look(settings: Settings, store_readable: bool, newest_commit_s: float | None) -> Vitals:
    """Find out how the gateway on this machine is. Never fails; takes at most about `ANSWER_S`."""
    control = Control(settings.control_path, timeout_s=ANSWER_S)
    said: Mapping[str, Any] | None = None
    problem = ""
    try:
        said = control.status()
    except ControlError as error:
        problem = "the ingest does not answer" if "control" in str(error) else str(error)
    finally:
        control.close()
    free = size = 0
    read_only = False
    with suppress(OSError):
        disk = os.statvfs(settings.data_dir)
        free, size = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
        read_only = bool(disk.f_flag & os.ST_RDONLY)
    run: Mapping[str, Any] = {}
    with suppress(OSError, ValueError):
        run = json.loads(settings.run_path.read_text())
    return Vitals(
        ingest=said,
        ingest_problem=problem,
        store_readable=store_readable,
        free_bytes=free,
        size_bytes=size,
        read_only=read_only,
        store_bytes=_sizes(settings.store_place),
        newest_commit_s=newest_commit_s,
        starts=dict(run.get("lives", {})),
        resident_bytes=dict(_resident(run)),
        expires_s=dict(_expiries(settings.authority_dir)),
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


def _expiries(folder: Path) -> Iterator[tuple[str, float]]:
    for name in ("ca", "server", "gateway"):
        with suppress(OSError, ValueError):
            certificate = x509.load_pem_x509_certificate((folder / f"{name}.pem").read_bytes())
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
        found = parts(vitals)
        yield InfoMetricFamily("tagwatch_build", "Version of the program.", {"version": _version()})
        yield _gauge("tagwatch_ready", "Whether broker, ingest, store and judging all work.", not _bad(found))
        working = GaugeMetricFamily("tagwatch_part_ready", "Whether this part works.", labels=["part"])
        for part in found:
            working.add_metric([part.name], not part.problem)
        yield working
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


def _bad(found: list[Part]) -> bool:
    return any(part.problem for part in found)


def _gauge(name: str, meaning: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, meaning, value=float(value))


def _version() -> str:
    try:
        return version("tagwatch")
    except PackageNotFoundError:  # run from its sources
        return "unknown"
