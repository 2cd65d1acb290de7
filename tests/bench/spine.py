"""``make bench``: the whole chain, one tag, on this machine. Medians of several; read them beside ``fsync_ms``.

``virtual_speed``            times real time, one tag at 1 Hz through broker and gateway with mutual TLS
``wire_bytes_per_position``  MQTT PUBLISH before TLS, batches of ten, an eight-character device id
``gateway_ready_s``          from nothing to broker, ingest and page ready, kernels compiled before
``ingest_back_s``            from SIGKILL of the ingest to its first answer
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
from rich.progress import Progress

from core import envelope, wire
from core.readings import POSITION_WIRE
from gateway.process import GatewayProcess
from gateway.settings import Settings
from sim.gnss import GnssReceiver
from sim.itinerary import Itinerary, Place
from sim.rig import Rig
from tests.bench import report

HOUR_MS = 3_600_000
START_MS = 1_793_600_000_000
ROUNDS = 3


def virtual_speed(folder: Path) -> float:
    """Two virtual hours of a walk at 1 Hz; how many times faster than life."""
    way = Itinerary(START_MS, Place(52.96, -1.17)).walk(Place(53.1, -1.17)).stay(START_MS + 3 * HOUR_MS)
    with Rig(folder) as rig:
        line = GnssReceiver(way, seed=1, interval_ms=1000).sentences(START_MS, START_MS + 2 * HOUR_MS)
        rig.enrol("gps00001", START_MS, list(line))
        rig.advance(START_MS + 60_000)
        began = time.perf_counter()
        for at_ms in range(START_MS + 360_000, START_MS + 2 * HOUR_MS + 1, 300_000):
            rig.advance(at_ms)
        took_s = time.perf_counter() - began
        assert len(rig.positions("gps00001")) >= 115
    return (2 * HOUR_MS - 60_000) / 1000 / took_s


def wire_bytes_per_position() -> float:
    """Fixed header, topic, packet id and envelope of ten positions, divided by ten."""
    device, batch = "gps00001", 10
    topic = f"em/v1/63/{device}/up"
    records = np.zeros(batch, POSITION_WIRE)
    records["flags"] = 3
    block = wire.make_block(1, 70_000, START_MS // 1000, records)
    sealed = envelope.seal(bytes(32), device, topic, wire.encode_up(wire.Up(2**32 - 1, 70_000, (block,))))
    remaining = 2 + len(topic) + 2 + len(sealed)
    return (1 + 1 + (remaining > 127) + remaining) / batch


def starts(folder: Path) -> tuple[float, float]:
    """Seconds until a gateway is ready, and until its killed ingest answers again."""
    gateway = GatewayProcess(Settings.load(folder, mqtt_port=0, web_port=0, clock_trust="box"))
    began = time.perf_counter()
    gateway.start()
    ready_s = time.perf_counter() - began
    gateway.status()
    began = time.perf_counter()
    gateway.kill_part("ingest")
    gateway.status()
    back_s = time.perf_counter() - began
    gateway.stop()
    return ready_s, back_s


def main() -> None:
    """Measure, and write ``bench.json``."""
    with tempfile.TemporaryDirectory() as name, Progress(transient=True) as progress:
        folder, bar = Path(name), progress.add_task("measuring", total=2 * ROUNDS)
        speeds, readies, backs = [], [], []
        starts(folder / "warm")  # the first start of all compiles the rules
        for number in range(ROUNDS):
            ready_s, back_s = starts(folder / f"start-{number}")
            readies.append(ready_s)
            backs.append(back_s)
            progress.advance(bar)
            speeds.append(virtual_speed(folder / f"speed-{number}"))
            progress.advance(bar)
    report.write(
        {
            "virtual_speed": round(median(speeds)),
            "wire_bytes_per_position": wire_bytes_per_position(),
            "gateway_ready_s": round(median(readies), 2),
            "ingest_back_s": round(median(backs), 2),
        }
    )


if __name__ == "__main__":
    main()
