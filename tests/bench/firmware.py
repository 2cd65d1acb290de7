"""``make bench BENCH=firmware``: every device on its virtual board, on this machine.

Processor time is what the kernel has counted.

``heap_peak_bytes``          live beside code and board, after a collection, at the worst minute of a busy day; of the
                             worst device, and of each. Words have 64 bits here: a 32-bit board takes about half
``heap_code_bytes``          what names, dictionaries and functions of the compiled code take besides, run in place
``mpy_bytes``                the compiled code of the largest device, and of each
``wire_bytes_per_position``  MQTT PUBLISH before TLS, as a broker got them from a tag, batches of ten
``virtual_speed``            times real time, one GPS tag at 1 Hz through broker and gateway with mutual TLS, by the
                             clock; the machine's load counts. ``_by_processor``: by all processor time that the tag,
                             the broker and the gateway took, which is what a machine with nothing else to do needs
``tags_per_core``            GPS tags at one message a second in real time, whole firmware, mutual TLS: one over the
                             share of a core that one takes, of TAGS (environment; 400) that really run
``tags_400_cores``           cores that 400 of them take, by that share; ``_broker`` what the broker takes besides
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean, median

from rich.progress import Progress

from core import envelope, wire
from core.readings import Kind
from gateway import topics
from sim.bench.bundle import compile_device, devices
from sim.bench.tag import VirtualTag
from sim.gnss import GnssReceiver
from sim.itinerary import Itinerary, Place
from sim.rig import Rig
from sim.sentences import fix
from tests.bench import report
from tests.sim.days import FEEDS, START_MS, begin, live_a_day
from tests.sim.stand_in import StandIn

HOUR_MS = 3_600_000
SPEED_HOURS, SPEED_ROUNDS = 4, 3
TAGS = int(os.environ.get("TAGS", "400"))
TAGS_S = 20
BATCH = 10


def processor_s(of: int) -> float:
    """Processor time that a process and all below it have taken, the dead ones included."""
    total = 0.0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            stat = path.read_text()
        except OSError:
            continue
        fields = stat.rpartition(")")[2].split()
        if int(path.parent.name) == of:
            total += sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
        elif int(fields[1]) == of:
            total += processor_s(int(path.parent.name))
    return total


def heap(folder: Path, kind: str, passed: Callable[[int], None]) -> tuple[int, int]:
    """Live bytes at the worst minute of a busy day, and what the code takes."""
    with StandIn(folder / "gateway") as gateway, begin(gateway, folder / "tag", kind) as tag:
        live_a_day(gateway, tag, step_ms=1000, passed=passed)
        return max(live for _, live in tag.heap), tag.code_bytes


def virtual_speed(folder: Path) -> tuple[float, float, float]:
    """Hours of a walk at 1 Hz: times real time by the clock, by all processor time, and by the tag's alone."""
    end_ms = START_MS + SPEED_HOURS * HOUR_MS
    way = Itinerary(START_MS, Place(52.96, -1.17)).walk(Place(53.3, -1.17)).stay(end_ms + HOUR_MS)
    line = list(GnssReceiver(way, seed=1, interval_ms=1000).sentences(START_MS, end_ms))
    with Rig(folder) as rig:
        tag = rig.enrol("gps00001", START_MS, line)
        rig.advance(START_MS + 60_000)
        began_s, began, began_tag = time.perf_counter(), processor_s(os.getpid()), tag.processor_s()
        for at_ms in range(START_MS + 360_000, end_ms + 1, 300_000):
            rig.advance(at_ms)
        lived_s = (end_ms - START_MS) / 1000 - 60
        took_s, took, took_tag = (
            time.perf_counter() - began_s,
            processor_s(os.getpid()) - began,
            tag.processor_s() - began_tag,
        )
        assert len(rig.positions("gps00001")) >= lived_s // 60 - 5
    return lived_s / took_s, lived_s / took, lived_s / took_tag


def wire_bytes_per_position(folder: Path) -> float:
    """PUBLISH bytes of the messages of a tag that hold ten positions and nothing else, divided by ten."""
    device = "gps00001"
    with StandIn(folder / "gateway") as gateway:
        credentials = gateway.credentials(device)
        config = {"every_fix": True, "upload_s": BATCH}
        with VirtualTag(folder / "tag", credentials, start_ms=START_MS, config=config, clock_set=True) as tag:
            tag.start()
            for t_ms in range(START_MS + 1000, START_MS + HOUR_MS, 1000):
                tag.feed(t_ms, fix(t_ms, 52.1, 4.9))
            tag.run_until(START_MS + HOUR_MS)
        topic = topics.up(device)
        sizes = []
        for sealed in gateway.envelopes[device]:
            blocks = wire.decode_up(envelope.parse(sealed).payload).blocks
            if [(block.kind, block.count) for block in blocks] == [(Kind.POSITION, BATCH)]:
                remaining = 2 + len(topic) + 2 + len(sealed)
                sizes.append(1 + (1 if remaining < 128 else 2) + remaining)
    assert len(sizes) > 100
    return mean(sizes) / BATCH


def tags_at_once(folder: Path) -> tuple[float, float]:
    """Shares of a core: of one tag at a message a second in real time, and of the broker for each tag."""
    config = {"every_fix": True, "upload_s": 1}
    with StandIn(folder / "gateway") as gateway:
        names = [f"gps{number:05}" for number in range(TAGS)]
        tags = [
            VirtualTag(
                folder / name,
                gateway.credentials(name),
                start_ms=START_MS,
                config=config,
                clock_set=True,
                patience_s=30.0,
            )
            for name in names
        ]
        try:
            now_ms = START_MS
            for tag in tags:
                tag.start()
            for seconds in (10, TAGS_S):  # the first for handshakes
                broker_before = gateway.processor_s()
                before = [tag.processor_s() for tag in tags]
                heard = sum(len(gateway.envelopes[name]) for name in names)
                for tag in tags:
                    for t_ms in range(now_ms, now_ms + seconds * 1000, 1000):
                        tag.feed(t_ms + 500, fix(t_ms, 52.1, 4.9))
                began_s = time.perf_counter()
                now_ms += seconds * 1000
                for tag in tags:
                    tag.begin_run(now_ms, pace=1.0)
                for tag in tags:
                    tag.finish_run()
                took_s = time.perf_counter() - began_s
            said = sum(len(gateway.envelopes[name]) for name in names) - heard
            assert said >= 0.8 * TAGS * TAGS_S, f"only {said} messages within {took_s:.0f} s"
            spent = [tag.processor_s() - then for tag, then in zip(tags, before, strict=True)]
            # by messages, so that a machine that is too slow to keep the pace flatters nobody
            return sum(spent) / said, (gateway.processor_s() - broker_before) / said
        finally:
            for tag in tags:
                tag.stop()


def main() -> None:
    """Measure, and write ``bench.json``."""
    figures: dict[str, float | int | str] = {}
    kinds = sorted(FEEDS)
    with tempfile.TemporaryDirectory() as name, Progress(transient=True) as progress:
        folder = Path(name)
        bar = progress.add_task("measuring", total=24 * len(kinds) + 10 * SPEED_ROUNDS + 40)
        for device in devices():
            figures[f"mpy_bytes_{device}"] = compile_device(device, folder / "bundle").mpy_bytes
        for kind in kinds:
            peak, code = heap(folder / kind, kind, lambda _hour: progress.advance(bar))
            figures[f"heap_peak_bytes_{kind}"], figures[f"heap_code_bytes_{kind}"] = peak, code
        speeds = []
        for number in range(SPEED_ROUNDS):
            speeds.append(virtual_speed(folder / f"speed-{number}"))
            progress.advance(bar, 10)
        figures["wire_bytes_per_position"] = round(wire_bytes_per_position(folder / "wire"), 2)
        progress.advance(bar, 10)
        share, broker_share = tags_at_once(folder / "many")
    for figure in ("mpy_bytes", "heap_peak_bytes", "heap_code_bytes"):
        figures[figure] = max(int(value) for key, value in figures.items() if key.startswith(f"{figure}_"))
    for figure, rounds in zip(
        ("virtual_speed", "virtual_speed_by_processor", "virtual_speed_of_the_tag_alone"),
        zip(*speeds, strict=True),
        strict=True,
    ):
        figures[figure] = round(median(rounds))
    figures |= {
        "tags_per_core": round(1 / share),
        "tags_that_ran": TAGS,
        "tags_400_cores": round(400 * share, 2),
        "tags_400_cores_broker": round(400 * broker_share, 2),
    }
    report.write(dict(sorted(figures.items())))


if __name__ == "__main__":
    main()
