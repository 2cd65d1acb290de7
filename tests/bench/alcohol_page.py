"""Writes the alcohol part of ``docs/sensors.md`` and its pictures: ``python -m tests.bench.alcohol_page``.

Needs the data (``TAGWATCH_DATA``). The parts above it are `tests.bench.sensors_page`'s.
"""

from __future__ import annotations

import os
from dataclasses import astuple, fields
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.figure import Figure

from core.alerts import Alert
from core.monitor import evaluate
from core.readings import F64, Readings, Samples
from core.sobriety import Sobriety
from sim import skin
from sim.life import Drink, Exposure
from tests.bench.pictures import draw
from tests.core import drinkers as real
from tests.sim.drinkers import (
    HOUR_MS,
    MINUTE_MS,
    Traits,
    as_a_tag_samples,
    clock,
    crawler,
    judged,
    sampled,
    traits,
    wearer,
)

DOCS = Path(__file__).resolve().parents[2] / "docs"
HEADING = "\n## Alcohol\n"
"""Where this part of the page begins."""
TEXT = Path(__file__).with_name("alcohol_page.md")
MADE_UP = 40
EVENING_MS = clock("2026-06-02T19:00")
Kind = Literal["sanitiser", "perfume", "cleaning", "bar"]
BLUE, RED, GREEN, GREY = "#1d70b8", "#d4351c", "#00703c", "#999"
NAMES = {
    "peak_g_dl": "highest reading, g/dl",
    "body_peak_g_dl": "a body can have made of it, g/dl",
    "hours": "drinking event, h",
    "rise_g_dl_h": "steepest rise at night, g/dl an hour",
    "fall_g_dl_h": "steepest fall at night, over 90 min",
    "rough_out": "a reading off the mean of its neighbours, in bars",
    "rough_bed": "the same in bed",
    "ir_sd_v": "infrared about its baseline, V",
    "ir_away": "readings beyond 0.25 V of it",
    "day_c": "temperature by day, °C",
    "bed_c": "and in bed",
    "step_sd_c": "change from reading to reading, °C",
}


def crawls(data: Path) -> tuple[list[tuple[str, Samples, Alert]], list[tuple[str, Samples, Alert]]]:
    """Name, readings and drinking event of the seven, and of those made up."""
    people, made_up = [], []
    for name in real.PEOPLE:
        samples = real.person(data, name)
        worn = real.tagged(real.sober_order(), fitted_ms=int(samples.t_ms[0]) - 1000)
        found = evaluate(
            [worn], {worn.id: Readings(samples=samples)}, int(samples.t_ms[-1]), families=(Sobriety,)
        )
        (alert,) = [alert for alert in found if alert.rule == "drinking_event"]
        people.append((name, samples, alert))
    for seed in range(1, MADE_UP + 1):
        life = crawler(seed)
        samples = sampled(life, int(30.6 * MINUTE_MS))
        told = ("drinking_event", "alcohol_in_surroundings")
        (alert,) = [alert for alert in judged(life, samples) if alert.rule in told]
        made_up.append((life.name, samples, alert))
    return people, made_up


def table(people: list[tuple[str, Samples, Alert]]) -> F64:
    """The traits of each, shape ``(people, traits)``."""
    return np.array([astuple(traits(samples, alert)) for _, samples, alert in people])


def lag_table() -> str:
    """One quick drink, as measured in a laboratory."""
    life = wearer(2, drinks=(Drink(EVENING_MS, EVENING_MS + 15 * MINUTE_MS, 56),))
    t_ms = np.arange(EVENING_MS, EVENING_MS + 12 * HOUR_MS, MINUTE_MS)
    bac, tac = skin.blood(life, t_ms), skin.given_off(life, t_ms)
    aligned = max(range(180), key=lambda lag: float(np.corrcoef(bac[: len(bac) - lag], tac[lag:])[0, 1]))
    rows = (
        ("highest in blood or breath", "0.08 g/dl (aimed at)", f"{bac.max():.3f} g/dl"),
        (
            "alcohol seen after the first sip",
            "within 30 min",
            f"{int(np.argmax(tac > 0.002))} min (0.002 g/dl)",
        ),
        ("skin behind breath, all of the curve", "69 min", f"{aligned} min"),
        (
            "highest at the skin after the highest in breath",
            "120 min",
            f"{np.argmax(tac) - np.argmax(bac)} min",
        ),
    )
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def text(data: Path) -> str:
    """The part of the page."""
    people, made_up = crawls(data)
    seen, made = table(people), table(made_up)
    rows = []
    for index, field in enumerate(fields(Traits)):
        places = 1 if field.name in ("hours", "day_c", "bed_c", "step_sd_c") else 3

        def said(column: F64, places: int = places) -> str:
            middle, least, most = np.median(column), column.min(), column.max()
            return f"{middle:.{places}f} ({least:.{places}f} to {most:.{places}f})"

        rows.append(f"| {NAMES[field.name]} | {said(seen[:, index])} | {said(made[:, index])} |")
    puffs = [
        f"| {name} | {puff.peak_g_dl:.2f} | {puff.rise_min:g} min | {puff.lasts_min:g} min | {puff.fall_min:g} min |"
        for name, puff in skin.PUFFS.items()
    ]
    confirmed = [
        sum(alert.figures["status"] == "confirmed" for _, _, alert in some) for some in (people, made_up)
    ]
    page = TEXT.read_text("utf-8")
    for name, value in {
        "UPTAKE": f"{skin.UPTAKE_MIN:g}",
        "DELAY": f"{skin.DELAY_MIN}",
        "LAG": lag_table(),
        "PUFFS": "\n".join(puffs),
        "MET": "384",
        "GAIN": f"{skin.GAIN_SHARE:.0%}",
        "SCATTER": f"{skin.SCATTER_G_DL:.3f}",
        "DAY": f"{skin.DAY_C:g}",
        "BED": f"{skin.BED_C:g}",
        "OUT": f"{skin.OUT_C:g}",
        "COVERED": f"{skin.COVERED_C:g}",
        "ROOM": f"{skin.ROOM_C:g}",
        "TRAITS": "\n".join(rows),
        "REAL": str(confirmed[0]),
        "MADE": str(confirmed[1]),
    }.items():
        page = page.replace("{{" + name + "}}", value)
    return "\n" + page


def lag_picture() -> Figure:
    """Blood, skin and readings of one evening."""
    figure = Figure(figsize=(7.6, 2.8), layout="constrained")
    axes = figure.subplots()
    life = wearer(2, seed=4, drinks=(Drink(EVENING_MS, EVENING_MS + 15 * MINUTE_MS, 56),))
    t_ms = np.arange(EVENING_MS - 2 * HOUR_MS, EVENING_MS + 12 * HOUR_MS, MINUTE_MS)
    hours = (t_ms - EVENING_MS) / HOUR_MS
    axes.plot(hours, skin.blood(life, t_ms), color=RED, label="blood")
    axes.plot(hours, skin.given_off(life, t_ms), color=BLUE, label="given off by the skin")
    samples = as_a_tag_samples(life)
    at_h = (samples.t_ms - EVENING_MS) / HOUR_MS
    near = (at_h > -2) & (at_h < 12)
    axes.plot(at_h[near], samples.tac_g_dl[near], ".", color="#444", markersize=3, label="a tag's samples")
    axes.set(xlabel="hours after 56 g in a quarter of an hour", ylabel="g/dl")
    axes.legend(fontsize=7)
    return figure


def air_picture() -> Figure:
    """A shift of each kind beside an evening of drinking."""
    figure = Figure(figsize=(7.6, 2.8), layout="constrained")
    axes = figure.subplots(1, 5, sharey=True)
    t_ms = np.arange(EVENING_MS - HOUR_MS, EVENING_MS + 11 * HOUR_MS, MINUTE_MS)
    drawn = np.random.default_rng(3)
    shifts: list[tuple[Kind | None, int]] = [
        ("sanitiser", 12),
        ("perfume", 200),
        ("cleaning", 70),
        ("bar", 12),
        (None, 0),
    ]
    for one, (kind, gap_min) in zip(axes, shifts, strict=True):
        begins = range(EVENING_MS, EVENING_MS + 8 * HOUR_MS, gap_min * MINUTE_MS) if kind else ()
        exposures = [Exposure(at_ms, kind, float(drawn.uniform(0.5, 1.5))) for at_ms in begins if kind]
        drinks = () if kind else (Drink(EVENING_MS, EVENING_MS + 3 * HOUR_MS, 64),)
        life = wearer(3, seed=9, exposures=tuple(exposures), drinks=drinks)
        hours = (t_ms - EVENING_MS) / HOUR_MS
        one.plot(hours, skin.feel(life, t_ms).tac_g_dl, color=RED if kind is None else GREEN, linewidth=0.8)
        one.set_title(kind or "eight units drunk", fontsize=8)
        one.axhline(0.02, color=GREY, linewidth=0.6)
    figure.supxlabel("hours", fontsize=8)
    axes[0].set_ylabel("g/dl")
    return figure


def people_picture(data: Path) -> Figure:
    """The seven above, seven made up below."""
    figure = Figure(figsize=(7.6, 3.6), layout="constrained")
    above, below = figure.subplots(2, 7, sharex=True, sharey=True)
    people, made_up = crawls(data)
    for row, some, colour in ((above, people, "#444"), (below, made_up, BLUE)):
        for one, (name, samples, _) in zip(row, some[:7], strict=True):
            one.plot(
                (samples.t_ms - samples.t_ms[0]) / HOUR_MS, samples.tac_g_dl, color=colour, linewidth=0.8
            )
            one.set_title(name, fontsize=7)
    figure.supxlabel("hours after the fitting", fontsize=8)
    figure.supylabel("g/dl", fontsize=8)
    return figure


def main() -> None:
    """Write this part of the page and its pictures."""
    data = Path(os.environ.get("TAGWATCH_DATA", DOCS.parents[1] / "shared" / "data"))
    page = DOCS / "sensors.md"
    above = page.read_text(encoding="utf-8").partition(HEADING)[0]
    page.write_text(above + HEADING + text(data), encoding="utf-8")
    draw(
        DOCS / "sensors",
        {
            "alcohol-lag": lag_picture,
            "alcohol-air": air_picture,
            "alcohol-people": lambda: people_picture(data),
        },
    )


if __name__ == "__main__":
    main()
