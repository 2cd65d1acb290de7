"""One gateway, one receiver of notifications, and round upon round of faults (`fault_plan`), with what must hold after.

A round is one person's evening through the real chain, the same each time, a day later, with a new tag.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Self
from zoneinfo import ZoneInfo

from sqlalchemy import select

from core import envelope, wire
from core.readings import Kind
from core.rules import RuleSet
from gateway import broker, clock_alarm, topics
from gateway.control import Control, ControlError
from gateway.process import GatewayError, GatewayProcess, Part
from gateway.sequences import How
from gateway.store import alerts, envelopes, outbox
from gateway.store.tables import delivery, telling
from sim.bench.tag import BenchError
from sim.echo import NAME as ECHO
from sim.echo import Echo
from sim.gnss import GnssReceiver
from sim.itinerary import Itinerary, Place
from sim.relay import Relay
from sim.rig import Rig
from tests.community_order import community_order, every_day
from tests.gateway import stepped_box
from tests.gateway.receivers import Web
from tests.system.brokers import Mosquitto
from tests.system.fault_apparatus import Disk, Failing
from tests.system.fault_diary import Diary, keep, parts_of
from tests.system.fault_plan import FAIL, FILL, LENGTH_MIN, REFUSE, Fault, Plan
from tests.system.flash import journal_of

HOME = Place(52.9630, -1.1710)
CORNERS = [HOME.offset(*corner) for corner in ((300, -150), (600, -150), (600, 150), (300, 150), (300, -150))]
ZONE = {"type": "Polygon", "coordinates": [[[round(p.lon, 6), round(p.lat, 6)] for p in CORNERS]]}
DAY_MS, MINUTE_MS = 86_400_000, 60_000
LONDON = ZoneInfo("Europe/London")
LENGTH_MS = LENGTH_MIN * MINUTE_MS
FIX_MS = 15_000
AHEAD_S = RuleSet().ahead_s
OFFICER = "ann"
CONTRADICTED = "sequence_conflict"
_DISK_MB = 256
_LAST_LINES = 40
_PATIENCE_S = 120.0
_WAITS_MS, _DRAIN_MS, _LAST_UPLOAD_MS = 150_000, 30_000, 12 * MINUTE_MS
"""A reading waits 120 s at most. After a quarter of an hour without positions the curfew asks where somebody is."""
_POLL_S, _LOOK_S, _WATCH_S = 0.02, 1.0, 0.0005
_AS_ONE_MS = 5 * MINUTE_MS
"""People are told of one alert at most once in 5 minutes (law 3)."""
_SHORT_PATIENCE_S, _LONG_PATIENCE_S = 0.3, 5.0
_NOTIFIER_S, _TRIED_S, _ECHO_S = 1.2, 5.0, 1.0
_PAUSE_S = 0.005
"""Between two transactions, while one of them is waited for: or no kill would ever fall between them."""
_GROUP_MS = 2
"""Two hundred times an evening a tag's time stands still for a commit; with the default of 20 ms that is 4 s more."""
_OVERTAKEN = "dropped: overtaken"
"""What is said of a message about an alert that was withdrawn before anybody was told of it."""
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT[0-9:.]+Z")
MESSAGE = re.compile(r"Alert (\d+), revision (\d+): (\w+)\. \[(.*)\]")
_HANGS = "a process hangs and is ended"
"""Of a broker that has lost its disk the supervisor may say so before the ingest misses an answer."""
_SAID_OF_DISKS = (
    "the store can not be written",
    "the store can not be opened",
    "the store does not answer",
    "the broker takes nothing and is started anew",
)


def evening(start_ms: int) -> Itinerary:
    """Home, to the zone before the curfew of 19:00, out of it during the curfew, home late."""
    way = Itinerary(start_ms, HOME).stay(start_ms + 4 * MINUTE_MS).walk(HOME.offset(450, 0))
    way.stay(way.end_ms + 9 * MINUTE_MS).walk(HOME.offset(900, 0)).stay(way.end_ms + 6 * MINUTE_MS)
    return way.walk(HOME).stay(start_ms + DAY_MS)


def order(name: str) -> dict[str, Any]:
    """What the evening breaks twice."""
    address = {"name": "primary", "latitude": HOME.lat, "longitude": HOME.lon, "radius_m": 30}
    return community_order(
        name,
        {"id": "zone", "type": "exclusion", "name": "Zone", "zone": ZONE},
        {"id": "curfew", "type": "curfew", "address": address, "timetable": every_day("19:00", "07:00")},
    )


def routes(web: Web) -> str:
    """Everybody is told of everything at once; who is told has a day to acknowledge."""
    return (
        f'[contacts.{OFFICER}]\nurl = "{web.url}"\n[[route]]\nname = "duty"\nrota = ["{OFFICER}"]\n'
        "minutes = 1440\n"
    )


class Raised(NamedTuple):
    """An alert that stands at the end, times in seconds since the evening began; and what people know of it."""

    rule: str
    condition: str | None
    start_s: int
    end_s: int | None
    state: str
    severity: str
    figures: str
    positions: int
    told: bool


class Outcome(NamedTuple):
    """What a round has led to: the alerts, and how many positions the tag has made twice, under two numbers."""

    alerts: list[Raised]
    repeated: int

    def is_like(self, undisturbed: Outcome) -> bool:
        """Whether the alerts are the same; of positions that were made twice either may count, or both."""
        found = [
            one._replace(positions=min(one.positions, other.positions))
            if one.positions <= other.positions + self.repeated
            else one
            for one, other in zip(self.alerts, undisturbed.alerts, strict=False)
        ]
        return len(self.alerts) == len(undisturbed.alerts) and found == undisturbed.alerts


@dataclass
class World:
    """What is amiss in a round at the moment, and what has been done in it."""

    plan: Plan
    device: str
    lasting: list[Fault] = field(default_factory=list)
    """Faults that have begun and not ended."""
    soon: list[Fault] = field(default_factory=list)
    """Faults that strike within this minute."""
    notifier_deaths: int = 0
    watches: list[Watch] = field(default_factory=list)
    shift_s: int = 0
    """What the tag's clock is to step by before it has power again."""

    def holds(self, *kinds: str) -> bool:
        """Whether a fault of one of these kinds lasts."""
        return any(fault.kind in kinds for fault in self.lasting)

    def strongest(self, *kinds: str) -> float:
        """The largest amount of the faults of these kinds that last; 0 where none does."""
        return max((fault.amount for fault in self.lasting if fault.kind in kinds), default=0.0)

    @property
    def commits(self) -> bool:
        """Whether the gateway can write anything within this minute; if not, the tag's time goes on without it."""
        stops = [fault for fault in (*self.lasting, *self.soon) if fault.minutes]
        return not any(fault.kind in {*FILL, *REFUSE, "sick", "gateway"} for fault in stops)


class Hand(threading.Thread):
    """Does things at moments of real time, ``(after_ms, action)`` ascending; ``error`` is what went wrong with one."""

    def __init__(self, acts: Sequence[tuple[int, Callable[[], object]]]) -> None:
        super().__init__(name="the hand that breaks things")
        self._acts = acts
        self.error: Exception | None = None

    def run(self) -> None:
        began = time.monotonic()
        try:
            for after_ms, action in self._acts:
                time.sleep(max(0.0, began + after_ms / 1000 - time.monotonic()))
                action()
        except Exception as error:  # noqa: BLE001 (told to who waits for this thread)
            self.error = error


class Watch(threading.Thread):
    """Does something once, as soon as what ``look`` returns has changed, unless it is stopped before."""

    def __init__(self, look: Callable[[], object], act: Callable[[], object]) -> None:
        super().__init__(name="the hand that waits")
        self._look, self._act, self._first = look, act, look()
        self._stopping = threading.Event()
        self.start()

    def run(self) -> None:
        while not self._stopping.wait(_WATCH_S):
            if self._look() != self._first:
                self._act()
                return

    def stop(self) -> None:
        """It is not waited for any more."""
        self._stopping.set()
        self.join()


class Stage:
    """A context: one gateway on a disk of its own, for as many rounds as one likes.

    With ``outside`` its broker is a Mosquitto, which is started again by us: it has a supervisor of its own.
    """

    def __init__(self, folder: Path, *, outside: bool = False) -> None:
        self._folder = folder
        self._disk = Disk(folder / "disk", _DISK_MB)
        self._brokers_disk = Disk(folder / "brokers-disk", _DISK_MB)
        data = self._disk.place / "gateway"
        data.mkdir(mode=0o700)
        self._box, environment = stepped_box.made(folder, data)
        self._failing = Failing(folder / "fiu", environment)
        self._web = Web()
        (data / "broker").symlink_to(self._brokers_disk.place)
        (folder / "tags").mkdir()
        (data / "tags").symlink_to(folder / "tags")  # a tag's flash is not on the gateway's disk
        (data / "routes.toml").touch(0o600)
        (data / "routes.toml").write_text(routes(self._web))
        log = self._brokers_disk.place / "mosquitto.log"
        self._outside = (
            Mosquitto(data, folder=folder / "outside", log=log, partition_senders=(ECHO,))
            if outside
            else None
        )
        self._rig = Rig(
            data, patience_s=_SHORT_PATIENCE_S, senders=(ECHO,), clock="system", group_ms=_GROUP_MS
        )
        self._today = datetime.now(LONDON).replace(hour=18, minute=50, second=0, microsecond=0)
        self._down = False
        self._revived: GatewayProcess | None = None
        self._fails: dict[int, float] = {}
        """How often fsync fails, by process."""
        self._made: dict[str, tuple[int, int]] = {}
        self._flashes: dict[str, Path] = {}
        """Epoch, and how many readings each tag has made, when its flash was looked at last."""
        self._warnings: set[int] = set()
        """Alerts of earlier rounds that end only when the gateway's clock gets to where a tag's was."""
        self._days = 0
        self._copies = 0
        self._logged = self._log_began = 0
        self.diary = Diary()
        """What has happened in the round that is played, or was played last."""
        self.healthy = True
        """False once a round has failed: what it left behind is not to spoil the next."""

    def __enter__(self) -> Self:
        if self._outside is not None:
            self._outside.__enter__()
        with self._failing.preloaded():
            self._rig.__enter__()
        place = broker.address(self._rig.settings)
        self._relay = Relay(lambda: (place.host, place.port)).__enter__()
        self._echo = Echo(self._rig, shuffled=False, seed=0)
        return self

    def __exit__(self, *_: object) -> None:
        self._echo.leave()
        self._rig.__exit__(None, None, None)
        if self._outside is not None:
            self._outside.stop()
        self._relay.__exit__(None, None, None)
        self._web.close()
        self._disk.close()
        self._brokers_disk.close()

    def lacks(self, plan: Plan) -> str:
        """What this machine has not that the plan needs; "" where it has everything."""
        if FILL & set(plan.kinds) and not self._disk.mounted:
            return "a small file system can not be mounted here"
        if FAIL & set(plan.kinds) and not self._failing.works:
            return "no libfiu on this machine: `make system` installs Debian's fiu-utils"
        return ""

    def last_words(self) -> str:
        """What gateway and broker wrote last, for whoever looks into a failure."""
        folder = self._rig.settings.data_dir
        said = []
        brokers = self._rig.settings.broker_dir / "broker.log"
        for log in (folder / "gateway.log", brokers if self._outside is None else self._outside.log):
            with suppress(OSError):
                said += [f"{log.name}:", *log.read_text(errors="replace").splitlines()[-_LAST_LINES:]]
        return "\n".join(said)

    def leave_behind(self, plan: Plan) -> Path:
        """Copy whatever tells why the round that was played last has failed; returns the folder."""
        folder, device = self._rig.settings.data_dir, f"tag{self._days:05d}"
        self.diary.note(f"the gateway is {'away' if self._down else self._gateway.serve_pid}")
        for what, tell in (
            ("processes", self._parts),
            ("written of them", self._gateway.run),
            ("committed", partial(self._known, device)),
            ("how often fsync fails", lambda: self._fails),
            ("the receiver answers", lambda: self._web.status),
            (
                "log",
                lambda: (folder / "gateway.log").read_bytes()[self._log_began :].decode(errors="replace"),
            ),
        ):
            try:
                self.diary.note(f"{what}: {tell()}")
            except Exception as error:  # noqa: BLE001 (what can not be told is not to hide why the round failed)
                self.diary.note(f"{what}: {error!r}")
        brokers = self._rig.settings.broker_dir / "broker.log"
        files = [folder / name for name in ("gateway.log", "run.json", "store.sqlite", "store.sqlite-wal")]
        files.append(brokers if self._outside is None else self._outside.log)
        files += [folder / "tags" / device / name for name in ("flash.img", "tag.log")]
        name = f"round-{plan.seed}-{os.getpid()}-{self._days}"
        return keep(self._folder.parent / "failed", name, self.diary, files)

    # ---------------------------------------------------------------------------------------- a round

    def play(self, plan: Plan) -> Outcome:
        """One evening under these faults: the alerts that stand after it. Asserts what must hold whatever happens."""
        self.healthy = False
        self.diary = Diary()
        self._days += 1
        device = f"tag{self._days:05d}"
        self._log_began = self._logged
        self.diary.note(f"{device}; processes: {self._parts()}")
        # ten to seven by the clock on the wall, also when the rounds have come as far as summer time
        start_ms = int((self._today + timedelta(days=self._days)).timestamp() * 1000)
        line = GnssReceiver(evening(start_ms), seed=1, interval_ms=FIX_MS).sentences(
            start_ms, start_ms + LENGTH_MS
        )
        self._let_pass(start_ms)
        port = self._relay.port(device)
        self._rig.enrol(device, start_ms, line, order=order(device), every_fix=True, upload_s=30, port=port)
        world = World(plan, device)
        try:
            for minute in range(1, LENGTH_MIN + 1):
                # five seconds after a fix: what the receiver said has been read, and what was read can be asked for
                self._live(world, minute, start_ms + minute * MINUTE_MS + 5000)
        finally:
            for watch in world.watches:
                watch.stop()
            self._box.pause(0)
        self._mend(world, LENGTH_MIN + 1)
        assert not world.lasting and not self._down
        self._drain(world)
        if "liar" in plan.kinds:
            self._contradict(device)  # the same once more, now that nothing can keep it from being heard
            self._until_contradicted(device)
        self._flash(device)
        self._rig.retire(device)
        self._relay.cut(device)
        self._until_told(device)
        self._web.taken = lambda: None
        self._check_committed(world)
        told = self._check_told(world)
        self._check_log(plan)
        self._acknowledge(device)
        found = self._standing(device, start_ms, told)
        self.healthy = True
        return Outcome(_without_warnings(found, plan), self._repeated(device))

    def _live(self, world: World, minute: int, at_ms: int) -> None:
        """One minute: what is over ends, what begins strikes while tag and gateway are at work."""
        self.diary.minute(minute)
        world.soon = [fault for fault in world.plan.faults if fault.minute == minute]
        self._mend(world, minute)
        standing = self._standing_still(world)
        hand = Hand([(fault.after_ms, partial(self._strike, world, fault)) for fault in world.soon])
        hand.start()
        try:
            self._advance(world, at_ms)
        finally:
            hand.join()
            self._take_over()
        if hand.error is not None:
            raise hand.error
        if standing is not None and standing[0] == self._parts().get("ingest"):
            assert self._known(world.device) == standing[1], (
                "something counts as committed that is on no disk"
            )
        if world.commits and not self._down:
            self._until_connected()
        if world.soon or world.lasting:
            self._check_flash(world.device)

    def _standing_still(self, world: World) -> tuple[int | None, Mapping[int, object]] | None:
        """The ingest, where nothing that it writes can get to disk, and what is committed; None where something can."""
        if self._down:
            return None
        pid = self._parts().get("ingest")
        if not world.holds(*REFUSE) and self._fails.get(pid or 0) != 1.0:
            return None
        return pid, self._known(world.device)

    def _advance(self, world: World, at_ms: int) -> None:
        """To ``at_ms``; a tag that was killed gets its power back, and hears again what it had not yet kept."""
        tag = self._rig.tags[world.device]
        self._let_pass(at_ms)
        while True:
            try:
                self._rig.advance(at_ms, judge=False)
                break
            except BenchError as error:
                assert "exit code -9" in str(error), error
                self.diary.note(f"the tag has power again, its clock steps by {world.shift_s} s")
                tag.step_clock(world.shift_s)
                world.shift_s = 0
                tag.start()

    def _let_pass(self, at_ms: int) -> None:
        """In the gateway's box it becomes as late as it is for the tag; later it may be already."""
        self._box.let_pass(max(0, at_ms - self._box.now_ms()) / 1000)

    def _until_connected(self) -> None:
        """Wait until the gateway hears the tags: their time runs much faster than ours."""
        self._until(lambda control: control.link()[0], "the ingest has its connection")

    def _settle(self) -> None:
        """Wait until the gateway has judged all that it has committed."""
        self._until(lambda control: bool(control.ask({"do": "settle"})), "everything is judged")

    def _until(self, true: Callable[[Control], bool], what: str) -> None:
        give_up = time.monotonic() + _PATIENCE_S
        while True:
            refusal = "it says no"
            with closing(self._rig.gateway.control()) as control:
                try:
                    if true(control):
                        return
                except ControlError as error:
                    refusal = str(error)
            assert time.monotonic() < give_up, f"{what}: not within {_PATIENCE_S:.0f} s ({refusal})"
            time.sleep(_POLL_S)

    # -------------------------------------------------------------------------------------- the faults

    def _strike(self, world: World, fault: Fault) -> None:
        """``fault`` begins."""
        self.diary.note(f"{fault.kind} begins{' (the gateway is away)' if self._down else ''}")
        if fault.minutes:
            world.lasting.append(fault)
        match fault.kind:
            case "broker" if self._outside is not None:
                self._outside.kill_at_once()
            case "ingest" | "broker" | "notifier" | "door" if not self._down:
                self._kill_part(fault.kind)
                world.notifier_deaths += fault.kind == "notifier"
            case "raised":
                self._box.pause(_PAUSE_S)
                world.watches.append(Watch(self._alerts_by_state, self._kill_ingest_once))
            case "taken":
                self._web.taken = partial(self._kill_notifier_once, world)
            case "gateway":
                world.notifier_deaths += 1
                self._kill_gateway()
                self._start_gateway(world)
            case "tag" | "clock":
                world.shift_s += round(fault.amount)
                process = self._rig.tags[world.device]._process
                if process is not None:
                    process.kill()
            case "link":
                self._relay.cut(world.device)
                if not world.holds("link"):
                    self._relay.connect(world.device)
            case "full" | "brim":
                self._disk.fill()
                if fault.kind == "brim":
                    self._brokers_disk.fill()
            case "fsync" | "sick" | "notes":
                self._spoil_fsync(world)
            case "provider":
                self._web.status = 503
            case "box":
                self._box.set_wall(fault.amount, kept=False)
            case "readonly":
                self._box.read_only(True)
            case "liar":
                self._contradict(world.device)
            case "twice":
                self._echo.repeat(wait_s=_ECHO_S)
            case "shuffled":
                self._echo.repeat(random.Random(f"{world.plan.seed}/{fault}"), wait_s=_ECHO_S)

    def _contradict(self, device: str) -> None:
        """Say, under the device's own key, that it was elsewhere when it made its first positions; always the same."""
        with self._rig.store.read() as connection:
            for stored in envelopes.of_device(connection, device):
                up = wire.decode_up(envelope.parse(stored.data).payload)
                if any(block.kind == Kind.POSITION for block in up.blocks):
                    break
            else:
                return  # it has not said where it was
        blocks = tuple(_moved(block) if block.kind == Kind.POSITION else block for block in up.blocks)
        topic, payload = topics.up(device), wire.encode_up(replace(up, blocks=blocks))
        self._echo.say(topic, envelope.seal(self._rig.mac_key(device), device, topic, payload))

    def _mend(self, world: World, minute: int) -> None:
        """What has lasted long enough by ``minute`` is put right; what lasts befalls new processes, too."""
        over = [fault for fault in world.lasting if fault.end <= minute]
        if over:
            self.diary.note(f"over: {[fault.kind for fault in over]}")
        world.lasting = [fault for fault in world.lasting if fault not in over]
        if not world.holds("brim"):
            self._brokers_disk.clear()
        if not world.holds(*FILL):
            self._disk.clear()
        if not world.holds(*REFUSE):
            self._box.read_only(False)
        if not world.holds("box"):
            self._box.set_wall(0, kept=True)
        if not world.holds("link"):
            self._relay.connect(world.device)
        if not world.holds("provider"):
            self._web.status = 200
        if self._down:
            self._start_gateway(world)
            self._take_over()
        self._spoil_fsync(world)

    def _alerts_by_state(self) -> object:
        with self._rig.store.read() as connection:
            return alerts.count_by_state(connection)

    def _parts(self) -> dict[str, int]:
        """The gateway's processes that there are now: what it has written of them may be old where no disk takes it."""
        return parts_of(None if self._down else self._gateway.serve_pid)

    @property
    def _gateway(self) -> GatewayProcess:
        """What was started last: the rig's only when this minute is over."""
        return self._revived or self._rig.gateway

    def _kill_part(self, part: Part) -> None:
        """Kill a process; one that is being started again is waited for."""
        give_up = time.monotonic() + _PATIENCE_S
        while not self._kill_at_once(part):
            assert time.monotonic() < give_up, f"{part} does not run"
            time.sleep(_POLL_S)

    def _kill_at_once(self, part: Part) -> bool:
        """Kill what runs now, if it does. Returns whether it did."""
        pid = self._parts().get(part)
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                self.diary.note(f"killed: {part}, {pid}")
                return True
        return False

    def _kill_ingest_once(self) -> None:
        self._kill_at_once("ingest")
        self._box.pause(0)

    def _kill_notifier_once(self, world: World) -> None:
        self._web.taken = lambda: None
        world.notifier_deaths += 1
        self._kill_at_once("notifier")

    def _kill_gateway(self) -> None:
        if self._down:
            return
        pid, parts = self._gateway.serve_pid, self._parts()
        assert pid is not None
        self._down = True
        os.kill(pid, signal.SIGKILL)
        while any(Path(f"/proc/{part}").exists() for part in parts.values()):
            time.sleep(0.01)
        self.diary.note(f"killed: the gateway, {pid} with {parts}")

    def _start_gateway(self, world: World) -> None:
        """Start it, where nothing keeps it from running; on a full disk it is tried, as systemd would."""
        if world.holds("gateway"):
            return
        revived = GatewayProcess(self._rig.settings)
        try:
            with self._failing.preloaded():
                revived.start(_TRIED_S if world.holds(*FILL, *REFUSE) else _PATIENCE_S)
        except GatewayError as error:
            self.diary.note(f"the gateway could not be started: {error}")
            if not world.holds(*FILL, *REFUSE):
                raise
            return
        self._revived, self._down = revived, False
        self.diary.note(f"the gateway is ready: {revived.serve_pid} with {parts_of(revived.serve_pid)}")

    def _take_over(self) -> None:
        """The gateway that was started is the rig's from now on."""
        if self._revived is not None:
            old, self._rig.gateway, self._revived = self._rig.gateway, self._revived, None
            old.stop()

    def _spoil_fsync(self, world: World) -> None:
        """Have fsync fail in ingest and notifier as often as what lasts says."""
        parts = self._parts()
        for part, kinds in (("ingest", ("fsync", "sick")), ("notifier", ("notes",))):
            wanted = 1.0 if part == "ingest" and world.holds("sick") else world.strongest(*kinds)
            pid = parts.get(part)
            if pid is None or self._fails.get(pid, 0.0) == wanted:
                continue
            self.diary.note(f"{wanted:.0%} of the fsyncs of {part}, {pid}, fail")
            self._failing.fsync_fails(pid, wanted)
            self._fails[pid] = wanted

    # ------------------------------------------------------------------------------------ what must hold

    def _drain(self, world: World) -> None:
        """The tag sends the rest, until its journal is empty.

        Its time runs much faster than ours, so it is held until the broker takes messages (one that has lost its disk
        is started anew within a minute of ours), has patience, and gives the gateway time that does not answer.
        """
        give_up = time.monotonic() + _PATIENCE_S
        while not self._echo.is_taken(_LOOK_S):
            assert time.monotonic() < give_up, "the broker takes no message"
        self._until_connected()
        tag = self._rig.tags[world.device]
        tag.patience_s = _LONG_PATIENCE_S
        until_ms = self._rig.now_ms + _LAST_UPLOAD_MS
        self._advance(world, self._rig.now_ms + _WAITS_MS)
        held = self._check_flash(world.device)
        while held and self._rig.now_ms < until_ms:
            self._advance(world, self._rig.now_ms + _DRAIN_MS)
            before, held = held, self._check_flash(world.device)
            if held == before:
                time.sleep(_LOOK_S)
        assert not held, f"{world.device} still holds {held} readings"
        self._settle()

    def _check_flash(self, device: str) -> int:
        """No tag has deleted an uncommitted reading. Returns how many it holds."""
        self._copies += 1
        image = self._flash(device)
        journal = journal_of(image, self._folder / f"flash-{self._copies}")
        known = self._known(device).get(journal.epoch, [])
        upto = known[0][1] if known and known[0][0] == 1 else 0
        assert journal.base - 1 <= upto, (
            f"{device} has deleted up to {journal.base - 1}, committed is {upto}: {known}"
        )
        self._made[device] = journal.epoch, journal.next - 1
        shutil.rmtree(self._folder / f"flash-{self._copies}")
        return int(journal.next - journal.base)

    def _flash(self, device: str) -> Path:
        """Where its flash lies, also when it is worn no more."""
        if device in self._rig.tags:
            self._flashes[device] = self._rig.tags[device].folder / "flash.img"
        return self._flashes[device]

    def _known(self, device: str) -> dict[int, list[tuple[int, int, int]]]:
        with self._rig.store.read() as connection:
            known = envelopes.ranges(connection, device)
        return {epoch: [(one.first, one.last, one.how) for one in ranges] for epoch, ranges in known.items()}

    def _until_contradicted(self, device: str) -> None:
        """Wait until the gateway says that it has heard two things under one number."""
        give_up = time.monotonic() + _PATIENCE_S
        while not any(alert["rule"] == CONTRADICTED for alert in self._rig.alerts(device)):
            assert time.monotonic() < give_up, "a contradiction is not told"
            time.sleep(_POLL_S)

    def _check_committed(self, world: World) -> None:
        """Every reading that the tag made is stored, once, and as the tag said it first."""
        device = world.device
        known = self._known(device)
        # it may have answered what it was told last, and has not heard what came of that, after it held nothing
        held = self._check_flash(device)
        epoch, made = self._made.pop(device)
        upto = known[epoch][0][1]
        assert known == {epoch: [(1, upto, How.STORED)]}, f"of {made} numbers of {epoch} are known: {known}"
        assert made - held <= upto <= made, f"made {made}, {held} held, committed {upto}"
        positions = self._rig.positions(device)
        named = list(zip(positions.epoch.tolist(), positions.seq.tolist(), strict=True))
        assert len(named) == len(set(named)), "a reading is there twice"
        # every quarter of a minute was sampled: what a killed tag had not kept, it heard again
        assert len(set(positions.t_ms.tolist())) == LENGTH_MS // FIX_MS
        with self._rig.store.read() as connection:
            contradictions = len(envelopes.conflicts(connection, device))
        assert contradictions == ("liar" in world.plan.kinds), f"{contradictions} contradictions are kept"
        status = self._rig.gateway.status()
        amiss = {name: status[name] for name in ("quarantined", "forgotten") if status[name]}
        assert not amiss, amiss

    def _until_told(self, device: str) -> None:
        """Let gateway time go on until nobody waits to be told anything; by the clock on the wall a minute at most."""
        give_up = time.monotonic() + _PATIENCE_S
        while True:
            look_until = time.monotonic() + _NOTIFIER_S
            while time.monotonic() < look_until:
                with self._rig.store.read() as connection:
                    waiting = [outbox.undecided(connection), outbox.waiting(connection)]
                if not any(waiting):
                    return
                time.sleep(0.02)
            assert time.monotonic() < give_up, f"people are never told: {waiting}"
            self._box.let_pass(_AS_ONE_MS / 1000)

    def _check_told(self, world: World) -> set[int]:
        """Whoever is to be told knows each alert as it stands; nothing is lost, and nothing told twice without need.

        Returns the numbers of the alerts that somebody was told of.
        """
        mine = self._rig.alerts(world.device)
        numbers = [alert["number"] for alert in mine]
        got = [MESSAGE.fullmatch(text) for text in list(self._web.got)]
        heard = [(int(one[1]), int(one[2]), one[3], one[4]) for one in got if one is not None]
        assert len(heard) == len(got), "a message that is none of ours"
        self._web.got.clear()
        heard = [one for one in heard if one[0] not in self._warnings]
        assert {number for number, *_ in heard} <= set(numbers), "somebody was told of another's alert"
        # twice only where the notifier died between a provider's taking it and the note of it
        copies = Counter(key for *_, key in heard)
        assert copies.total() - len(copies) <= world.notifier_deaths, copies
        assert len({(number, revision) for number, revision, *_ in heard}) == len(copies), "one has two keys"
        with self._rig.store.read() as connection:
            sent = connection.execute(
                select(delivery.c.key).where(delivery.c.alert.in_(numbers), delivery.c.outcome == "sent")
            )
            assert set(sent.scalars()) == copies.keys(), "what was sent is not what arrived"
            dropped = connection.execute(
                select(delivery.c.alert, delivery.c.revision).where(
                    delivery.c.alert.in_(numbers), delivery.c.outcome == _OVERTAKEN
                )
            )
            overtaken = {(one.alert, one.revision) for one in dropped}
            tellings = connection.execute(select(telling).where(telling.c.alert.in_(numbers))).all()
            revisions = {number: alerts.revisions(connection, number) for number in numbers}
        outcomes = {(one.alert, one.revision): one.outcome for one in tellings}
        for number in numbers:
            changes = _changes(revisions[number])
            assert [revision for alert, revision in sorted(outcomes) if alert == number] == list(changes)
            known = {revision: word for alert, revision, word, _ in heard if alert == number}
            for revision, word in known.items():
                state, severity, _ = changes[revision]
                assert word == ("withdrawn" if state == "withdrawn" else severity), (number, revision)
            last = changes[max(changes)]
            if known:
                assert changes[max(known)] == last, f"alert {number}: people know revision {max(known)}"
            else:
                assert last[0] == "withdrawn", f"nobody was told of alert {number}"
            for revision in changes.keys() - known.keys():
                # a newer one took its place within 5 minutes, or it came back to what people knew, or it was withdrawn
                # while nobody could be told yet
                nothing = last[0] == "withdrawn" and (number, revision) in overtaken
                settled = outcomes[number, revision] in ("merged", "unchanged")
                assert settled or nothing or _is_withdrawal(changes, revision, known), (
                    number,
                    revision,
                    outcomes,
                )
        self._warnings |= {alert["number"] for alert in mine if alert["rule"] == clock_alarm.RULE}
        return {number for number, *_ in heard}

    def _check_log(self, plan: Plan) -> None:
        """No process complained of anything but the faults of this round."""
        log = (self._rig.settings.data_dir / "gateway.log").read_bytes()
        said, self._logged = log[self._logged :].decode(errors="replace"), len(log)
        disk = bool((FILL | FAIL | REFUSE) & set(plan.kinds))
        amiss = []
        for line in filter(None, said.split("\n")):
            try:
                told = json.loads(line)
            except ValueError:
                if FILL & set(plan.kinds) and line.startswith("{"):
                    continue  # half a line: there was no room for the rest
                told = {"level": "error", "event": line}
            bad = told["level"] in ("error", "critical") or "error" in told
            known = disk and told["event"].startswith(_SAID_OF_DISKS)
            known = known or (bool(FAIL & set(plan.kinds)) and line.startswith("libfiu:"))
            known = known or (
                "brim" in plan.kinds and (told["event"], told.get("part")) == (_HANGS, "broker")
            )
            if bad and not known:
                amiss.append(line)
        assert not amiss, "\n".join(amiss)

    def _acknowledge(self, device: str) -> None:
        """As an officer does in the morning: nobody else has to be told."""
        with self._rig.store.write() as connection:
            for alert in self._rig.alerts(device):
                outbox.acknowledge(connection, alert["number"], OFFICER, self._box.now_ms())

    def _standing(self, device: str, start_ms: int, told: set[int]) -> list[Raised]:
        """The alerts that are not withdrawn."""

        def since(instant: str) -> int:
            return int(datetime.fromisoformat(instant).timestamp()) - start_ms // 1000

        def raised(alert: Mapping[str, Any]) -> Raised:
            figures = dict(alert["figures"])
            positions = figures.pop("positions", 0)
            told_of = INSTANT.sub(lambda at: f"{since(at[0])} s", json.dumps(figures, sort_keys=True))
            end_s = since(alert["end"]) if alert["end"] else None
            facts = (alert["rule"], alert["condition"], since(alert["start"]), end_s)
            return Raised(
                *facts, alert["state"], alert["severity"], told_of, positions, alert["number"] in told
            )

        listed = self._rig.alerts(device)
        return sorted((raised(alert) for alert in listed if alert["state"] != "withdrawn"), key=str)

    def _repeated(self, device: str) -> int:
        """How many positions the tag has made once more: whose power was cut lives the last moments again."""
        t_ms = self._rig.positions(device).t_ms
        return len(t_ms) - len(set(t_ms.tolist()))


def _moved(block: wire.Block) -> wire.Block:
    """The same positions, a few metres away."""
    assert block.records is not None
    records = block.records.copy()
    records["lat"] += 1000
    return wire.make_block(block.kind, block.first, block.base_time_s, records)


def _without_warnings(found: list[Raised], plan: Plan) -> list[Raised]:
    """Alerts without what the gateway itself has to say, which is there where it is to be.

    A contradiction; and that readings are dated ahead of its clock, where a tag's clock was ahead: that follows from
    when something was received, so that it stands outside of what is the same in any order (law 3).
    """
    contradictions = [alert for alert in found if alert.rule == CONTRADICTED]
    assert [alert.told for alert in contradictions] == [True] * ("liar" in plan.kinds), contradictions
    warnings = [alert for alert in found if alert.rule == clock_alarm.RULE]
    ahead = [fault for fault in plan.faults if fault.kind == "clock" and fault.amount > AHEAD_S]
    assert len(warnings) <= len(ahead), "nothing was ahead of the gateway's clock"
    return [alert for alert in found if alert not in (*warnings, *contradictions)]


def _is_withdrawal(
    changes: Mapping[int, tuple[str, str, str]], revision: int, known: Mapping[int, str]
) -> bool:
    """Whether a revision says that an alert is nothing, of which nobody was told: nobody need hear of that either."""
    return changes[revision][0] == "withdrawn" and not any(number < revision for number in known)


def _changes(revisions: Sequence[Mapping[str, Any]]) -> dict[int, tuple[str, str, str]]:
    """Revisions of an alert of which people are to be told, with what they say: state, severity and start."""
    found: dict[int, tuple[str, str, str]] = {}
    last = None
    for one in revisions:
        facts = (one["state"], one["severity"], one["start"])
        if facts != last:
            found[one["revision"]] = last = facts
    return found
