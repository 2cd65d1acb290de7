"""``make bench BENCH=gateway``: the gateway under the load of a country, on this machine. Read it beside ``fsync_ms``.

``caseload_realtime_factor``    times 767 messages/s that one ingest commits, broker and load on the same cores
``messages_per_s_core``         committed by a whole core of the ingest: messages by its processor time
``disk_bytes_per_position``     in the store's files
``alert_latency_p50_s``, ``_p99_s``  from PUBLISH to the alert in the store, at factor 1
``rss_bytes``                   all gateway processes without broker at that load
``small_box_rss_bytes``         gateway and broker, 5,000 wearers, all judged
``bytes_written_per_day``       by gateway and broker to the disk for those; ``bytes_written_per_wearer_day`` of each
``recovery_day_s``, ``recovery_load_s``  from kill -9 of the ingest until all is ready and judged: with a day of 1,000
                                wearers stored, and with 5 minutes of the whole caseload; ``_cpu_s``: its processor
                                time; ``_anew_``: without checkpoints, as after an upgrade of the rules
``commit_us_<n>_wearers``       processor time of a commit for each message with n wearers registered; ``growth_<n>`` is
                                that of the largest by that of the smallest

Sizes come from the environment: ``TAGWATCH_BENCH_WEARERS`` (230000), ``_SECONDS`` (60), ``_JUDGED`` (5000 of them at
factor 1), ``_SMALL`` (5000), ``_DAY`` (1000), ``_GROWTH`` (10000,100000,1000000), ``_GROWTH_MESSAGES`` (100000),
``_DIR`` (a folder on the disk to be measured).
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.console import Console

from gateway.authority import Authority
from gateway.commit import Committer
from gateway.group import Received
from gateway.process import GatewayProcess
from gateway.seal import Vault
from gateway.settings import Settings
from gateway.store import Store
from sim import fleet
from sim.fleet_messages import POSITIONS, Message, messages
from sim.market import MARKET
from tests.bench import report

CASELOAD = 230_000
REALTIME = CASELOAD / (fleet.FIX_S * POSITIONS)
"""Messages a second of the whole caseload."""
SECRET = b"bench"
GROUP = 1000
PARTS = ("serve", "broker", "ingest", "web")
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_LOOK_S = 0.01
_say = Console(stderr=True).print


def size(name: str, default: int) -> int:
    """A size that the environment may change."""
    return int(os.environ.get(f"TAGWATCH_BENCH_{name}", default))


@dataclass(frozen=True, slots=True)
class Process:
    """What Linux tells of a process: seconds on a processor, bytes in memory, bytes it had written to disks."""

    cpu_s: float
    rss_bytes: int
    written_bytes: int

    @classmethod
    def now(cls, pid: int) -> Process:
        """Raises OSError where it has ended."""
        place = Path(f"/proc/{pid}")
        fields = (place / "stat").read_text().rsplit(")", 1)[1].split()
        written = (place / "io").read_text().split("\nwrite_bytes: ")[1].split()[0]
        resident = int((place / "statm").read_text().split()[1]) * _PAGE
        return cls((int(fields[11]) + int(fields[12])) / _TICKS, resident, int(written))


@dataclass
class Loaded:
    """What a gateway did under a load. ``latencies_s`` of alerts, published → committed."""

    committed: int = 0
    committed_per_s: float = 0.0
    took_s: float = 0.0
    grown_bytes: int = 0
    used: dict[str, Process] = field(default_factory=dict)
    latencies_s: list[float] = field(default_factory=list)


def settings_of(folder: Path) -> Settings:
    """A gateway with everything, on free ports, that lets the fleet speak for its devices."""
    own = {"mqtt_port": 0, "web_port": 0, "clock_trust": "box", "partition_senders": fleet.SENDERS}
    return Settings.load(folder, **own)


def northern_half() -> dict[str, object]:
    """A zone that half of the fleet walks in, and that has an edge near the others."""
    west, south, east, north = MARKET.lon - 0.5, MARKET.lat, MARKET.lon + 0.5, MARKET.lat + 0.5
    corners = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [corners]}


def store_bytes(settings: Settings) -> int:
    """What the store takes on the disk."""
    return sum(file.stat().st_size for file in settings.data_dir.glob("store.sqlite*"))


def under_load(folder: Path, wearers: int, rate: float, for_s: float, judged: int) -> Loaded:
    """Send ``rate`` messages a second for ``for_s``, and look at what the gateway's processes do."""
    settings = settings_of(folder)
    authority = Authority.open(settings.authority_dir, settings.server_names)
    # half of the judged stand where they may not
    fleet.register(settings, SECRET, wearers, min(judged, wearers), zone=northern_half())
    count = max(1, round(rate * for_s))
    ring = messages(SECRET, wearers, count, round(time.time() * 1000), 1, lambda done: None)
    found = Loaded()
    with GatewayProcess(settings) as gateway:
        gateway.status()
        time.sleep(5)  # what silence alone says of the judged is told, and tags were told their places
        began_bytes = store_bytes(settings)
        pids = {part: gateway.run()[f"{part}_pid"] for part in PARTS}
        before = {part: Process.now(pid) for part, pid in pids.items()}
        load = fleet.Fleet(ring, rate)
        began_s = time.monotonic()
        with noticed_alerts(settings) as noticed:
            asyncio.run(load.drive(settings, fleet.identities(authority, folder / "fleet")))
            time.sleep(1)
        found.took_s = time.monotonic() - began_s
        for part, pid in pids.items():
            now = Process.now(pid)
            found.used[part] = Process(
                now.cpu_s - before[part].cpu_s,
                now.rss_bytes,
                now.written_bytes - before[part].written_bytes,
            )
    found.committed = len(load.committed_s)
    found.committed_per_s = found.committed / load.last_committed_s
    found.grown_bytes = store_bytes(settings) - began_bytes
    assert found.committed == count, f"{count - found.committed} messages were not committed in time"
    found.latencies_s = list(latencies(noticed, load.published_s))
    return found


Noticed = list[tuple[float, str, str]]
"""When (monotonic seconds) the first revision of an alert was there, its device, its document."""


@contextmanager
def noticed_alerts(settings: Settings) -> Iterator[Noticed]:
    """Look into the store for alerts that are new, a hundred times a second."""
    noticed: Noticed = []
    stopping = threading.Event()
    ready = threading.Event()

    def watch() -> None:
        connection = sqlite3.connect(f"file:{settings.store_path}?mode=ro", uri=True)
        (last,) = connection.execute("SELECT coalesce(max(number), 0) FROM alert").fetchone()
        ready.set()
        while not stopping.wait(_LOOK_S):
            rows = connection.execute(
                "SELECT number, device, document FROM alert WHERE number > ? ORDER BY number", (last,)
            ).fetchall()
            now = time.monotonic()
            noticed.extend((now, device, document) for _, device, document in rows)
            last = rows[-1][0] if rows else last
        connection.close()

    watching = threading.Thread(target=watch)
    watching.start()
    ready.wait()
    try:
        yield noticed
    finally:
        stopping.set()
        watching.join()


def latencies(noticed: Noticed, published_s: dict[str, list[tuple[int, float]]]) -> Iterator[float]:
    """Of the alerts that rest on readings: from the PUBLISH of the newest of these to the alert."""
    for at_s, device, document in noticed:
        numbers = [number for _, number in json.loads(document)["readings"]]
        if numbers:
            yield at_s - next(sent_s for last, sent_s in published_s[device] if last >= max(numbers))


def commit_all(settings: Settings, *rings: list[Message]) -> float:
    """Put messages into the store without a broker; returns the processor time that the last of them took, seconds."""
    store = Store.open(settings.store_path)
    vault = Vault.open(settings.master_key_path)
    committer = Committer(store, vault, quarantine_rows=1000, quarantine_bytes=4096)
    committer.refresh()
    now_ms = round(time.time() * 1000)
    took_s = 0.0
    for ring in rings:
        began_s = time.process_time()
        for at in range(0, len(ring), GROUP):
            committer.commit(
                [Received(message.topic.decode(), message.data, now_ms) for message in ring[at : at + GROUP]]
            )
        took_s = time.process_time() - began_s
    store.close()
    return took_s


def recovery(what: str, folder: Path, wearers: int, rounds: int, judged: int) -> dict[str, float | int]:
    """From kill -9 of an ingest with so much in its store until it is ready and has judged what is stored.

    ``_cpu_s`` is the processor time that the new ingest took for it; ``_anew_`` is without checkpoints, as after an
    upgrade that changes a rule.
    """
    settings = settings_of(folder)
    fleet.register(settings, SECRET, wearers, judged)
    until_ms = round(time.time() * 1000)
    commit_all(settings, messages(SECRET, wearers, wearers * rounds, until_ms, 1, lambda done: None))
    found: dict[str, float | int] = {}
    with GatewayProcess(settings) as gateway:
        gateway.status()
        for name in (what, f"{what}_anew"):
            if name != what:
                settings.judged_path.unlink()
            began_s = time.monotonic()
            pid = gateway.kill_part("ingest")
            pid = gateway.wait_restarted("ingest", pid, timeout_s=600)
            gateway.status()
            found[f"recovery_{name}_s"] = round(time.monotonic() - began_s, 2)
            found[f"recovery_{name}_cpu_s"] = round(Process.now(pid).cpu_s, 2)
    return found


def growth(folder: Path, sizes: list[int], count: int) -> dict[str, float]:
    """Processor time of a commit for each message, µs, with more and more wearers registered."""
    found: dict[int, float] = {}
    for wearers in sizes:
        settings = settings_of(folder / f"growth-{wearers}")
        fleet.register(settings, SECRET, wearers, 0)
        # each wearer has been heard before, by this process, too; what is measured is a day like any other
        first = min(wearers, count)
        ring = messages(SECRET, first, first + count, round(time.time() * 1000), 1, lambda done: None)
        found[wearers] = commit_all(settings, ring[:first], ring[first:]) / count * 1e6
    figures = {f"commit_us_{wearers}_wearers": round(us, 1) for wearers, us in found.items()}
    return figures | {f"growth_{sizes[-1]}": round(found[sizes[-1]] / found[sizes[0]], 2)}


def main() -> None:
    """Measure, and write ``bench.json``."""
    wearers, seconds = size("WEARERS", CASELOAD), size("SECONDS", 60)
    small, day = size("SMALL", 5000), size("DAY", 1000)
    sizes = [int(text) for text in os.environ.get("TAGWATCH_BENCH_GROWTH", "10000,100000,1000000").split(",")]
    figures: dict[str, float | int | str] = {}

    def part(what: str, measure: Callable[[Path], dict[str, float | int]]) -> None:
        _say(f"· {what}")
        os.sync()  # the part before has thrown away some gigabytes, which is not to be waited for in this one
        with tempfile.TemporaryDirectory(dir=os.environ.get("TAGWATCH_BENCH_DIR")) as name:
            figures.update(measure(Path(name)))

    def full(folder: Path) -> dict[str, float | int]:
        load = under_load(folder, wearers, 5 * REALTIME, seconds, 0)
        return {
            "caseload_realtime_factor": round(load.committed_per_s / REALTIME, 2),
            "messages_per_s_core": round(load.committed / load.used["ingest"].cpu_s),
            "disk_bytes_per_position": round(load.grown_bytes / (load.committed * POSITIONS), 1),
        }

    def factor_one(folder: Path) -> dict[str, float | int]:
        load = under_load(folder, wearers, REALTIME, seconds, size("JUDGED", 5000))
        p50, p99 = np.percentile(load.latencies_s, (50, 99)) if load.latencies_s else (np.nan, np.nan)
        return {
            "alert_latency_p50_s": round(float(p50), 3),
            "alert_latency_p99_s": round(float(p99), 3),
            "alerts_measured": len(load.latencies_s),
            "rss_bytes": sum(load.used[part].rss_bytes for part in PARTS if part != "broker"),
        }

    def small_box(folder: Path) -> dict[str, float | int]:
        load = under_load(folder, small, small / (fleet.FIX_S * POSITIONS), seconds, small)
        a_day = sum(used.written_bytes for used in load.used.values()) * 86_400 / load.took_s
        return {
            "small_box_rss_bytes": sum(used.rss_bytes for used in load.used.values()),
            "bytes_written_per_day": round(a_day),
            "bytes_written_per_wearer_day": round(a_day / small),
        }

    part("five times the caseload", full)
    part("the caseload, with judged wearers", factor_one)
    part("a small box", small_box)
    a_day = 86_400 // (fleet.FIX_S * POSITIONS)
    part("recovery with a day", lambda folder: recovery("day", folder, day, a_day, day))
    part(
        "recovery with 5 minutes of the caseload",
        lambda folder: recovery("load", folder, wearers, 1, min(wearers, day)),
    )
    part("growth", lambda folder: dict(growth(folder, sizes, size("GROWTH_MESSAGES", 100_000))))
    report.write(figures)


if __name__ == "__main__":
    main()
