"""Wearers of alcohol tags whose lives are made by hand: sober days, evenings out, seven people on a bar crawl."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from core.activation import Activation
from core.alerts import Alert
from core.monitor import evaluate
from core.order import order_from_json
from core.readings import F64, I64, Readings, Samples
from core.sobriety import Sobriety
from sim import noise, skin
from sim.itinerary import Itinerary, Place
from sim.life import Body, Drink, Exposure, Life, Span
from sim.way import Surroundings

LONDON = ZoneInfo("Europe/London")
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
HOME = Place(52.96, -1.17)
UNIT_G = 8.0
ORDER: dict[str, Any] = {
    "order_id": "order-1",
    "version": 1,
    "regime": "community_order",
    "wearer": {"id": "wearer-1", "name": "Alex Example"},
    "effective": "2010-01-01T00:00:00Z",
    "conditions": [{"id": "alcohol-1", "type": "alcohol", "mode": "abstinence"}],
}


def clock(text: str) -> int:
    """UTC milliseconds of a civil time of London."""
    return int(datetime.fromisoformat(text).replace(tzinfo=LONDON).timestamp() * 1000)


START_MS = clock("2026-06-01T10:00")


def wearer(
    days: float = 7,
    *,
    seed: int = 1,
    start_ms: int = START_MS,
    body: Body | None = None,
    drinks: tuple[Drink, ...] = (),
    exposures: tuple[Exposure, ...] = (),
    off_ankle: tuple[Span, ...] = (),
    covered_sensor: tuple[Span, ...] = (),
) -> Life:
    """Somebody with an alcohol tag who stays at home, indoors."""
    end_ms = start_ms + int(days * DAY_MS)
    way = Itinerary(start_ms, HOME).stay(end_ms, about=Surroundings.INDOORS).way()
    return Life(
        name=f"w{seed}",
        seed=seed,
        start_ms=start_ms,
        end_ms=end_ms,
        way=way,
        order=ORDER,
        wears=frozenset({"alcohol_tag"}),
        body=body or Body(),
        drinks=drinks,
        exposures=exposures,
        off_ankle=off_ankle,
        covered_sensor=covered_sensor,
    )


def crawler(seed: int) -> Life:
    """Somebody on a bar crawl as in the data: fitted at eleven, from bar to bar from three on, in bed after one."""
    start_ms, first_ms = clock("2026-05-02T11:00"), clock("2026-05-02T15:00")
    drawn = noise.uniform(seed, noise.stream_of("crawl"), np.arange(8)).tolist()
    way = Itinerary(start_ms, HOME).stay(first_ms, about=Surroundings.INDOORS)
    drinks, exposures = [], []
    last_ms = first_ms + int((9 + 2 * drawn[0]) * HOUR_MS)
    number = 0
    while way.end_ms < last_ms:
        number += 1
        bar = way.at.offset(*(400 * (noise.uniform(seed, number, np.arange(2)) - 0.5)).tolist())
        way.walk(bar, about=Surroundings.STREET)
        begin_ms, end_ms = way.end_ms, way.end_ms + 50 * MINUTE_MS
        way.stay(end_ms, about=Surroundings.INDOORS)
        units = (1.2 + 0.6 * drawn[1]) * (65 + 25 * drawn[2]) / 78
        drinks.append(Drink(begin_ms, end_ms - 5 * MINUTE_MS, units * UNIT_G))
        strength = noise.uniform(seed, number, np.arange(2, 4)).tolist()
        exposures += [Exposure(begin_ms + 25 * n * MINUTE_MS, "bar", 2.5 * strength[n]) for n in (0, 1)]
    way.walk(HOME, about=Surroundings.STREET).stay(start_ms + DAY_MS, about=Surroundings.INDOORS)
    return Life(
        name=f"c{seed}",
        seed=seed,
        start_ms=start_ms,
        end_ms=start_ms + DAY_MS,
        way=way.way(),
        order=ORDER,
        wears=frozenset({"alcohol_tag"}),
        body=Body(
            weight_kg=65 + 25 * drawn[2],
            elimination_g_dl_h=0.015 + 0.007 * drawn[3],
            lag_s=4140 * (0.7 + 0.6 * drawn[4]),
            skin_gain=0.8 + 0.9 * drawn[5],
        ),
        drinks=tuple(drinks),
        exposures=tuple(exposures),
    )


def sampled(life: Life, every_ms: int = 30 * MINUTE_MS) -> Samples:
    """A reading every so often, and every five minutes in the first hour, as after a fitting."""
    fitting = np.arange(life.start_ms, life.start_ms + HOUR_MS, 5 * MINUTE_MS)
    return samples_at(life, np.append(fitting, np.arange(life.start_ms + HOUR_MS, life.end_ms, every_ms)))


def as_a_tag_samples(life: Life) -> Samples:
    """Every half-hour, and every five minutes until an hour in which nothing was seen, as the firmware does.

    Seen is alcohol from 0.010 g/dl on, or infrared further than 0.25 V from that of the fitting.
    """
    minutes = np.arange(life.start_ms, life.end_ms, MINUTE_MS)
    felt = skin.feel(life, minutes)
    seen = (felt.tac_g_dl >= 0.010) | (np.abs(felt.ir_v - felt.ir_v[0]) > 0.25)
    taken, i, calm = [], 0, 60
    while i < len(minutes):
        taken.append(i)
        calm = i + 60 if seen[i] else calm
        i += 5 if i < calm else 30
    return samples_at(life, minutes[taken])


def samples_at(life: Life, t_ms: I64) -> Samples:
    felt = skin.feel(life, t_ms)
    n = len(t_ms)
    return Samples(
        t_ms,
        felt.tac_g_dl,
        felt.ir_v,
        felt.temp_c,
        np.full(n, 3, np.uint8),
        np.full(n, 5, np.uint32),
        np.arange(1, n + 1, dtype=np.uint32),
    )


def tagged(life: Life) -> Activation:
    return Activation("activation-1", "alco0001", order_from_json(life.order), life.start_ms, None)


def judged(life: Life, samples: Samples) -> list[Alert]:
    """What the rules make of it at the end of the life."""
    worn = tagged(life)
    return evaluate([worn], {worn.id: Readings(samples=samples)}, life.end_ms, families=(Sobriety,))


@dataclass(frozen=True)
class Traits:
    """What a day and a night with drinking look like, in figures that real and made-up ones are compared by."""

    peak_g_dl: float
    body_peak_g_dl: float
    hours: float
    """From the first reading of the event to its last."""
    rise_g_dl_h: float
    """Steepest from one reading to the next at night."""
    fall_g_dl_h: float
    """Steepest fall over an hour and a half at night."""
    rough_out: float
    """How far a reading lies off the mean of its neighbours, by the level: median, from three until one."""
    rough_bed: float
    """The same from one until eight."""
    ir_sd_v: float
    """About the baseline of fitting, two furthest readings apart."""
    ir_away: float
    """Share of readings beyond 0.25 V of it."""
    day_c: float
    bed_c: float
    step_sd_c: float
    """Of the change from one reading to the next."""


def traits(samples: Samples, drinking: Alert) -> Traits:
    """Of readings half an hour apart after the first hour or so, with local times of a bar crawl."""
    t, tac, ir, temp = samples.t_ms, samples.tac_g_dl, samples.ir_v, samples.temp_c
    hour = np.array([_hours(int(at)) for at in t])
    base = np.median(ir[:12])
    ir_later = np.sort(np.abs(ir[12:] - base))
    bed = (hour >= 25) & (hour < 32)
    ended = drinking.end_ms or int(t[-1])
    return Traits(
        float(tac.max()),
        float(drinking.figures["body_peak_g_dl"]),
        (ended - drinking.start_ms) / HOUR_MS,
        float(np.max(np.diff(tac[bed]) / np.diff(t[bed]) * HOUR_MS)),
        float(np.max((tac[bed][:-3] - tac[bed][3:]) / (t[bed][3:] - t[bed][:-3]) * HOUR_MS)),
        _rough(tac[(hour >= 15) & (hour < 25)]),
        _rough(tac[bed]),
        float(np.sqrt(np.mean(ir_later[:-2] ** 2))),
        float(np.mean(ir_later > 0.25)),
        float(np.median(temp[(hour >= 12) & (hour < 24)])),
        float(np.median(temp[(hour >= 27) & (hour < 32)])),
        float(np.std(np.diff(temp[12:]))),
    )


def _hours(t_ms: int) -> float:
    at = datetime.fromtimestamp(t_ms / 1000, LONDON)
    hours = at.hour + at.minute / 60
    return hours if hours >= 10 else hours + 24


def _rough(tac: F64) -> float:
    middle = np.abs(tac[1:-1] - (tac[2:] + tac[:-2]) / 2)
    return float(np.median(middle) / np.mean(tac))
