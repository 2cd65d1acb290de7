"""A scenario on real firmware, broker and gateway, whose time is moved to each thing that happens.

Each device runs its firmware on a virtual board and is fed what its sensors would say of the life of its wearer. What
goes wrong goes wrong in earnest: a tag without power is a process that was killed, a broker that restarts too, a place
without coverage cuts the device's connection (`sim.relay`), and whoever copies beacons knows the tag's key.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import runpy
import shutil
import struct
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from core.alerts import instant_ms
from core.wire import beacon_number
from gateway import broker
from gateway.orders import add_order
from gateway.process import GatewayProcess, Part
from gateway.store import alerts as alert_book
from sim import equipment, motion, radio, skin
from sim.alcohol_feed import CALIBRATION, Curve
from sim.bench.tag import (
    FIRMWARE,
    MOVING_PIN,
    SENSOR_HANGING,
    SENSOR_HEALTHY,
    SENSOR_PIN,
    BenchError,
    VirtualTag,
)
from sim.echo import NAME as ECHO
from sim.echo import Echo
from sim.faults import Fault
from sim.gnss import receive
from sim.gps_sampling import FIX_MS
from sim.life import Life, Span, spans_hold
from sim.relay import Relay
from sim.rig import Rig
from sim.runs import Moved
from sim.scenario import DEVICE_PREFIX, Scenario, Wearer
from sim.sentences import sentences
from sim.verdict import Raised

STEP_MS = 60_000
"""How often the gateway judges."""
_BACKUP_MS = 24 * 3_600_000
_PATIENCE_S = 2.0
_SHAKE_MS = 6_000
_CLOSED_MS = 2_500
"""A tag looks at its strap every 2 s, and an officer does not ask it sooner."""
_PLAYED_DBM, _COPIED_DBM = -50, -60
_SLOT_MS = 15_000
_COPY_COUNTER = 5000
_BEACON, _MAC_BYTES = "<BIIBBH", 7
_HEAD = bytes.fromhex("02010417ffffff")
"""Of an advertisement, before the beacon: firmware/boards/esp32_radio.py."""
_POLL_S = 0.01
_WIRING: dict[str, int] = runpy.run_path(str(FIRMWARE / "boards" / "esp32_pins.py"))["PINS"]
Action = Callable[[], object]


class _Planned(NamedTuple):
    t_ms: int
    number: int
    action: Action


def run_firmware(scenario: Scenario, folder: Path, moved: Moved = lambda share: None) -> list[Raised]:
    """Run a scenario with everything real but time; the alerts that the gateway's store holds at the end, by start.

    ``folder`` becomes the gateway's. Raises BenchError where a device ends by itself.
    """
    with Rig(folder, seed=scenario.seed, patience_s=_PATIENCE_S, senders=(ECHO,)) as rig:
        place = broker.address(rig.settings)
        with Relay(lambda: (place.host, place.port)) as relay:
            stage = Stage(rig, relay, scenario)
            stage.enrol()
            stage.play(moved)
            return stage.raised()


class Stage:
    """One scenario on one rig, which may carry others beside it whose devices have other names.

    Either `play` moves the rig, or who does so calls `act` at each instant that `next_ms` names.
    """

    def __init__(self, rig: Rig, relay: Relay, scenario: Scenario) -> None:
        self._rig, self._relay, self._scenario = rig, relay, scenario
        self._plan: list[_Planned] = []
        self.worn: dict[str, tuple[Wearer, str]] = {}
        """Who wears each device, and its kind."""
        self._down = False

    # -------------------------------------------------------------------------------------------- fitting

    def enrol(self) -> None:
        """Fit everybody with everything, and plan what is to happen."""
        scenario, rig = self._scenario, self._rig
        for wearer in scenario.wearers:
            for kind in sorted(wearer.life.wears):
                self._fit(wearer, kind)
            for version in wearer.versions[1:]:
                self._at(version.told_ms, partial(add_order, rig.store, version.document))
        for name in dict.fromkeys(name for wearer in scenario.wearers for name in wearer.units):
            self._install(name)
        for fault in scenario.faults:
            self._spoil(fault)
        self._plan.sort(reverse=True)

    def leave(self) -> None:
        """Switch everything off for good, and forget it: what has been raised stays in the store."""
        units = dict.fromkeys(name for wearer in self._scenario.wearers for name in wearer.units)
        for device in (*self.worn, *(f"{DEVICE_PREFIX['home_unit']}{name}" for name in units)):
            tag = self._rig.tags[device]
            self._rig.retire(device)
            if tag.kind != "rf_tag":
                self._relay.cut(device)
            shutil.rmtree(tag.folder)

    def _fit(self, wearer: Wearer, kind: str) -> None:
        life, device = wearer.life, wearer.device(kind)
        config: dict[str, Any] = {"port": self._relay.port(device)} if kind != "rf_tag" else {}
        if kind == "alcohol_tag":
            config |= CALIBRATION
        mine = {
            fault.kind: fault
            for fault in self._scenario.faults
            if fault.wearer == life.name and fault.device == kind
        }
        line = _sentences(life) if kind == "gps_tag" else iter(())
        tag = self._rig.enrol(
            device,
            life.start_ms,
            line,
            order=wearer.versions[0].document,
            kind=kind,
            clock_set="no_clock" not in mine,
            clock_off_s=mine["slow_clock"].off_s if "slow_clock" in mine else 0,
            **config,
        )
        self.worn[device] = wearer, kind
        for at_ms, pin, level in equipment.levels(life, kind, life.start_ms, life.end_ms):
            tag.set_pin(at_ms, pin, level)
        if kind == "gps_tag":
            for begin_ms, still_ms in motion.felt(life).tolist():
                tag.set_pin(begin_ms, MOVING_PIN, 1)
                tag.set_pin(still_ms, MOVING_PIN, 0)
            self._without(device, life.flat)
        if kind == "alcohol_tag":
            t_ms = np.arange(life.start_ms, life.end_ms, 60_000)
            felt = skin.feel(life, t_ms)
            Curve(felt.t_ms, felt.tac_g_dl, felt.ir_v, felt.temp_c).play(tag, life.start_ms, life.end_ms)
            self._at(life.start_ms, lambda: self._tool(device, "baseline"))
        if kind != "rf_tag":
            self._dark_in(device, _uncovered(life))
        for span in (*life.off_ankle, *life.case_open):
            self._at(span.end_ms + _CLOSED_MS, lambda: self._tool(device, "check"))

    def _install(self, name: str) -> None:
        """A home unit, for all who live with it."""
        device = f"{DEVICE_PREFIX['home_unit']}{name}"
        homes = [
            (wearer, wearer.life.units[wearer.units.index(name)])
            for wearer in self._scenario.wearers
            if name in wearer.units and "rf_tag" in wearer.life.wears
        ]
        unit = self._rig.enrol_unit(
            device,
            self._scenario.start_ms,
            [wearer.device("rf_tag") for wearer, _ in homes],
            ears={wearer.device("rf_tag"): partial(radio.heard, wearer.life, one) for wearer, one in homes},
            addresses={wearer.device("rf_tag"): one.address for wearer, one in homes},
            port=self._relay.port(device),
        )
        wearer, place = homes[0]
        self._dark_in(device, [*wearer.life.offline])
        for span in place.no_mains:
            self._levels(unit, "mains", span)
            if span.end_ms - span.start_ms > _BACKUP_MS:
                self._without(device, (Span(span.start_ms + _BACKUP_MS, span.end_ms),))
        self._without(device, place.off)
        for span in place.moved:
            self._levels(unit, "moved", Span(span.start_ms, span.start_ms + _SHAKE_MS))
            self._at(span.end_ms + _CLOSED_MS, lambda: self._tool(device, "check"))

    def _levels(self, tag: VirtualTag, pin: str, span: Span) -> None:
        for at_ms, level in ((span.start_ms, 1), (span.end_ms, 0)):
            tag.set_pin(at_ms, _WIRING[pin], level)

    # ------------------------------------------------------------------------------------------ the plan

    def _at(self, t_ms: int, action: Action) -> None:
        if t_ms <= self._scenario.end_ms:
            self._plan.append(_Planned(t_ms, len(self._plan), action))

    def _without(self, device: str, spans: tuple[Span, ...]) -> None:
        """Without power in these."""
        for span in spans:
            self._at(span.start_ms, lambda: self._rig.tags[device].kill())
            if span.end_ms < self._scenario.end_ms:
                self._at(span.end_ms, lambda: self._rig.tags[device].start())

    def _dark_in(self, device: str, spans: list[Span]) -> None:
        """Without network in these."""
        for span in spans:
            self._at(span.start_ms, lambda: self._relay.cut(device))
            self._at(span.end_ms, lambda: self._relay.connect(device))

    def _tool(self, device: str, do: str) -> None:
        """An officer's tool, at the device."""
        tag = self._rig.tags[device]
        answer = tag.console(json.dumps({"do": do}))
        tag.connect_tool(False)
        if not answer.get("ok"):
            raise BenchError(f"{device} would not {do}: {answer}")

    @property
    def next_ms(self) -> int:
        """When the next thing happens that is planned; the end, where nothing is."""
        return self._plan[-1].t_ms if self._plan else self._scenario.end_ms

    def act(self, now_ms: int) -> None:
        """Let happen what is planned up to an instant."""
        while self._plan and self._plan[-1].t_ms <= now_ms:
            self._plan.pop().action()

    def play(self, moved: Moved) -> None:
        """Let everything live until the end."""
        scenario = self._scenario
        now_ms = scenario.start_ms
        while now_ms < scenario.end_ms:
            self.act(now_ms)
            now_ms = min((now_ms // STEP_MS + 1) * STEP_MS, self.next_ms, scenario.end_ms)
            self._rig.advance(now_ms, judge=not self._down)
            moved((now_ms - scenario.start_ms) / (scenario.end_ms - scenario.start_ms))

    # -------------------------------------------------------------------------------------------- faults

    def _spoil(self, fault: Fault) -> None:
        rig = self._rig
        device = f"{DEVICE_PREFIX[fault.device]}{fault.wearer}" if fault.device else ""
        if fault.device == "home_unit":
            (wearer,) = [one for one in self._scenario.wearers if one.life.name == fault.wearer]
            device = f"{DEVICE_PREFIX['home_unit']}{wearer.units[0]}"
        if fault.kind == "gateway":
            self._at(fault.start_ms, self._kill_gateway)
            self._at(fault.end_ms, self._start_gateway)
        elif fault.kind == "broker" or fault.kind == "ingest":
            self._at(fault.start_ms, partial(self._restart, fault.kind))
        elif fault.kind == "outage":
            self._at(fault.start_ms, lambda: self._all(self._relay.cut))
            self._at(fault.end_ms, lambda: self._all(self._relay.connect))
        elif fault.kind in ("twice", "shuffled"):
            echo = Echo(rig, shuffled=fault.kind == "shuffled", seed=self._scenario.seed)
            for t_ms in range(self._scenario.start_ms, self._scenario.end_ms, 30 * STEP_MS):
                self._at(t_ms + 29 * STEP_MS, echo.repeat)
            self._at(self._scenario.end_ms, echo.leave)
        elif fault.kind == "power":
            self._without(device, (Span(fault.start_ms, fault.end_ms),))
        elif fault.kind == "restart":
            self._without(device, (Span(fault.start_ms, fault.start_ms),))
        elif fault.kind == "hang":
            for at_ms, level in ((fault.start_ms, SENSOR_HANGING), (fault.end_ms, SENSOR_HEALTHY)):
                rig.tags[device].set_pin(at_ms, SENSOR_PIN, level)
        elif fault.kind == "replay":
            self._at(fault.start_ms, lambda: self._replay(fault, device))
        elif fault.kind == "clone":
            self._at(fault.start_ms, lambda: self._copy(fault, device))

    def _all(self, what: Callable[[str], None]) -> None:
        for device in self._rig.tags:
            if self._rig.tags[device].kind != "rf_tag":
                what(device)

    def _kill_gateway(self) -> None:
        gateway = self._rig.gateway
        children = [gateway.pid("ingest"), gateway.pid("broker")]
        gateway.kill()
        self._down = True
        while any(Path(f"/proc/{pid}").exists() for pid in children):
            time.sleep(_POLL_S)

    def _start_gateway(self) -> None:
        self._rig.gateway = GatewayProcess(self._rig.settings)
        self._rig.gateway.start()
        self._down = False

    def _restart(self, part: Part) -> None:
        killed = self._rig.gateway.kill_part(part)
        self._rig.gateway.wait_restarted(part, killed)

    def _home_unit(self, device: str) -> VirtualTag:
        """The unit that hears a tag at its wearer's home."""
        wearer, _ = self.worn[device]
        return self._rig.tags[f"{DEVICE_PREFIX['home_unit']}{wearer.units[0]}"]

    def _replay(self, fault: Fault, device: str) -> None:
        """Play to the home unit what was recorded of the tag's beacons, as fast and in that order."""
        unit, later_ms = self._home_unit(device), fault.start_ms - fault.from_ms
        for one in self._rig.aired[device]:
            if fault.start_ms <= one.at_ms + later_ms < fault.end_ms:
                unit.hear(one.at_ms + later_ms, _PLAYED_DBM, one.data)

    def _copy(self, fault: Fault, device: str) -> None:
        """Let a second tag with the same key speak to the home unit."""
        unit, key, number = self._home_unit(device), self._rig.beacon_key(device), beacon_number(device)
        for slot, t_ms in enumerate(range(fault.start_ms, fault.end_ms, _SLOT_MS)):
            said = struct.pack(_BEACON, 1, number, _COPY_COUNTER + slot, 0, 190, 0xFFFF)
            unit.hear(t_ms, _COPIED_DBM, _HEAD + said + hmac.digest(key, said, hashlib.sha256)[:_MAC_BYTES])

    # ----------------------------------------------------------------------------------------- the outcome

    def raised(self) -> list[Raised]:
        """What the store holds of alerts about people."""
        found = []
        for alert in (alert for device in self.worn for alert in self._rig.alerts(device)):
            wearer, kind = self.worn[alert["device"]]
            with self._rig.store.read() as connection:
                told_ms = alert_book.revisions(connection, alert["number"])[0]["at_ms"]
            found.append(
                Raised(
                    alert["id"],
                    wearer.life.name,
                    alert["device"],
                    kind,
                    alert["rule"],
                    alert["condition"],
                    alert["state"],
                    instant_ms(alert["start"]),
                    None if alert["end"] is None else instant_ms(alert["end"]),
                    told_ms,
                    alert["sentence"],
                    alert["figures"],
                )
            )
        return sorted(found, key=lambda one: (one.start_ms, one.rule, one.device))


def _sentences(life: Life) -> Iterator[tuple[int, bytes]]:
    """What the receiver says of a life."""
    first_ms = -(-life.start_ms // FIX_MS) * FIX_MS
    return sentences(receive(life, np.arange(first_ms, life.end_ms + 1, FIX_MS)))


def _uncovered(life: Life) -> list[Span]:
    """When a tag worn has no network."""
    way = life.way.left_behind(life.off_ankle)
    edges = {life.start_ms, *way.start_ms.tolist(), *(t_ms for span in life.offline for t_ms in span)}
    t_ms = np.array(sorted(t for t in edges if life.start_ms <= t < life.end_ms), np.int64)
    dark = ~way.covered[way.leg(t_ms)] | spans_hold(life.offline, t_ms)
    changed = np.flatnonzero(np.diff(dark.astype(int), prepend=0))
    ends = [*t_ms[changed].tolist(), life.end_ms][: len(changed) + len(changed) % 2]
    return [Span(begin, end) for begin, end in zip(ends[::2], ends[1::2], strict=True)]
