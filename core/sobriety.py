"""Sobriety: drinking events and obstructed sensors, from the samples of an alcohol tag.

A drinking event (the sentence that defines it stands in `core.sobriety_watch`) is *suspected* while it goes on. It is
**confirmed as soon as the readings that a body can have made show by themselves three consecutive ones at or above the
level (in limit mode a fifth above it, since sensors differ), a rise of 0.020 g/dl and a later steady fall as great**
(`core.sobriety_curve`). Confirmed it stays: what comes later is another matter. Drinking began 69 min before the skin
shows it. **An event of which most readings are more than a body can have made came from the surroundings**: *alcohol in
surroundings*, a question, not a drinking event. One that ends neither so nor confirmed stays suspected: who covers the
sensor while drinking hides the rise.

In limit mode the level is the order's, and the alert says *above the limit*.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from core.activation import ALWAYS_MS, Activation, watches
from core.alerts import Alert, Figures, Severity, about_watch, civil, iso_utc, of_tag, raise_alert
from core.conditions import AlcoholCondition, AlcoholMode
from core.episodes import OPEN_MS
from core.family import Batch, Part
from core.readings import EventCode
from core.rules import RuleSet
from core.sobriety_sensors import AlcoholWatch, SensorStates, pieces_of
from core.sobriety_state import CONFIRMED, DRINKING, Findings

DRANK, SURROUNDINGS, COVERED_SENSOR = "drinking_event", "alcohol_in_surroundings", "sensor_obstructed"
STATUS = ("suspected", "confirmed", "environmental")
MEDICAL_NOTE = (
    "This says nothing about the wearer's health. Stopping suddenly after heavy drinking can be dangerous: if the "
    "wearer shakes, sweats, is confused or has a fit, ask for medical help at once (999; else NHS 111)."
)


@dataclass(frozen=True, slots=True)
class Sensor:
    """Where the state of one activation's alcohol conditions lies."""

    first: int
    watches: tuple[AlcoholWatch, ...]


class Sobriety:
    """The rule family of alcohol conditions."""

    def __init__(self, rules: RuleSet) -> None:
        self._rules = rules
        self._states = SensorStates(rules)

    def enrol(self, activation: Activation) -> Sensor | None:
        """Take on an activation; None where its orders have no alcohol condition."""
        mine = tuple(watches(activation, AlcoholCondition))
        if not mine:
            return None
        sensor = Sensor(self._states.slots.take(len(mine), activation), mine)
        self._states.slots.owners[sensor.first : sensor.first + len(mine)] = mine
        self.reset(sensor)
        return sensor

    def dismiss(self, sensor: Sensor) -> None:
        """Let an activation go."""
        self._states.slots.give_back(sensor.first, len(sensor.watches))

    def reset(self, sensor: Sensor) -> None:
        """Back to nothing known."""
        self._states.begin(sensor.first, len(sensor.watches))

    def save(self, sensor: Sensor) -> bytes:
        """What is known now, to come back to."""
        return self._states.slots.save(sensor.first, len(sensor.watches))

    def restore(self, sensor: Sensor, saved: bytes) -> None:
        """Go back to what `save` gave."""
        self._states.slots.restore(sensor.first, len(sensor.watches), saved)

    def advance(self, batch: Batch, parts: Sequence[Part]) -> list[Alert]:
        """Judge the samples of each part; the alerts that they settle."""
        pieces = []
        for part in parts:
            events = batch.events[part.events[0] : part.events[1]]
            checks = events["t_ms"][events["code"] == int(EventCode.OFFICER_CHECK)].tolist()
            for slot, watch in enumerate(part.handle.watches, part.handle.first):
                pieces += pieces_of(slot, watch, batch.samples, *part.samples, checks, self._rules)
        if not pieces:
            return []
        found, _ = self._states.run(batch.samples, pieces)
        return [self._alert(finding) for finding in found]

    def tail(self, sensors: Iterable[Sensor], now_ms: int) -> tuple[list[Alert], list[int]]:
        """The alerts that go on at ``now_ms``, or that silence has ended; and when time alone will change something."""
        alerts, deadlines = [], []
        for sensor in sensors:
            deadline = ALWAYS_MS
            for slot, watch in enumerate(sensor.watches, sensor.first):
                found, due_ms = self._states.standing(slot, watch.to_ms, now_ms, self._rules.tac_gap_s * 1000)
                alerts += [self._alert(finding) for finding in found]
                deadline = min(deadline, due_ms)
            deadlines.append(deadline)
        return alerts, deadlines

    def _alert(self, finding: Findings) -> Alert:
        watch: AlcoholWatch = self._states.slots.owners[int(finding["watch"])]
        start_ms, end_ms, status = int(finding["start_ms"]), int(finding["end_ms"]), int(finding["status"])
        ended = end_ms != OPEN_MS
        figures: Figures = {
            "status": STATUS[status],
            "readings": int(finding["readings"]),
        }
        if ended:
            figures["duration_s"] = (end_ms - start_ms) // 1000
        severity: Severity = "medium"
        if finding["kind"] == DRINKING:
            outside = _from_outside(finding)
            rule = SURROUNDINGS if outside else DRANK
            severity = "low" if outside else "high" if status == CONFIRMED else "medium"
            sentence = self._drinking(finding, watch.at(start_ms).condition, figures)
        else:
            rule = COVERED_SENSOR
            sentence = self._obstructed(finding, figures)
        if finding["confirm_ms"]:
            figures["confirmed_at"] = iso_utc(int(finding["confirm_ms"]))
        return raise_alert(
            about_watch(watch, start_ms, self._rules.version),
            rule,
            severity,
            start_ms,
            end_ms if ended else None,
            sentence,
            figures,
            of_tag(
                "sample",
                *(int(finding[f"{role}_key"]) for role in ("first", "confirm", "peak", "last", "end")),
            ),
            (start_ms,),
        )

    def _drinking(self, finding: Findings, condition: AlcoholCondition, figures: Figures) -> str:
        start_ms, end_ms, status = int(finding["start_ms"]), int(finding["end_ms"]), int(finding["status"])
        began_ms = start_ms - self._rules.tac_lag_s * 1000
        peak, body = round(float(finding["peak"]), 3), round(float(finding["body"]), 3)
        level = round(float(finding["level"]), 3)
        zone = self._rules.timezone
        figures |= {"level_g_dl": level, "peak_g_dl": peak, "body_peak_g_dl": body}
        figures |= {"beyond_a_body": int(finding["beyond"]), "drinking_began": iso_utc(began_ms)}
        abstains = condition.mode == AlcoholMode.ABSTINENCE
        what = f"{'Drinking event' if abstains else 'Alcohol above the limit'}, {STATUS[status]}"
        if _from_outside(finding):
            what = "Alcohol at the sensor that no body can have made"
        limit = "" if abstains else ", the limit of the order"
        sentence = f"{what}: from {civil(start_ms, zone)} "
        if end_ms != OPEN_MS:
            sentence += f"until {civil(end_ms, zone)} " + ("" if finding["end_seen"] else "(readings cease) ")
        sentence += (
            f"{figures['readings']} readings at or above {level:.3f} g/dl{limit}, the highest {peak:.3f}; "
            f"{figures['beyond_a_body']} of them rise or fall faster than a body can, and under them a body can have "
            f"made {body:.3f} at most."
        )
        if not _from_outside(finding):
            sentence += f" The skin lags: what was drunk was drunk from about {civil(began_ms, zone)}"
            near = start_ms - int(finding["since_ms"]) <= self._rules.tac_join_s * 1000
            sentence += "." if near else " or earlier."
        heavy = body >= self._rules.tac_note_g_dl or (
            int(finding["seen_to_ms"]) - start_ms >= self._rules.tac_note_s * 1000
        )
        if status == CONFIRMED and heavy:
            figures["note"] = MEDICAL_NOTE
        return sentence

    def _obstructed(self, finding: Findings, figures: Figures) -> str:
        start_ms, end_ms, status = int(finding["start_ms"]), int(finding["end_ms"]), int(finding["status"])
        zone = self._rules.timezone
        removed = 2 * int(finding["cold"]) >= int(finding["readings"])
        figures |= {
            "looks_like": "removal" if removed else "obstruction",
            "cold_readings": int(finding["cold"]),
        }
        figures["farthest_v"] = round(float(finding["peak"]), 3)
        until = "" if end_ms == OPEN_MS else f" until {civil(end_ms, zone)}"
        return (
            f"Alcohol sensor {'off' if removed else 'away from'} the skin, {STATUS[status]}: from "
            f"{civil(start_ms, zone)}{until} {figures['readings']} readings not as at fitting, infrared by up to "
            f"{figures['farthest_v']:.3f} V, {figures['cold_readings']} of them as cold as off the skin. They show "
            f"nothing about drinking."
        )


def _from_outside(finding: Findings) -> bool:
    """Whether what was measured came from the surroundings: most of it is more than a body can have made.

    So it is *environmental* when it ends, and called that while it goes on.
    """
    return int(finding["status"]) != CONFIRMED and 2 * int(finding["beyond"]) > int(finding["readings"])
