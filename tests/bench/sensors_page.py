"""Writes the satellite and radio parts of ``docs/sensors.md`` and pictures: ``python -m tests.bench.sensors_page``.

Needs the data (``TAGWATCH_DATA``). What else stands on the page (``## Alcohol``) is left as it is.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from core.readings import F64
from sim import gnss, radio
from sim.gnss import RECEPTION
from sim.radio import SENSITIVITY_DBM, Channel
from sim.way import Surroundings
from tests.bench import sensor_recordings as found
from tests.bench.pictures import draw
from tests.bench.sensor_recordings import LAGS_S, PERCENT

DOCS = Path(__file__).resolve().parents[2] / "docs"
TEXT = Path(__file__).with_name("sensors_page.md")
OTHERS = "\n## Alcohol\n"
"""Where the part begins that is not written here."""
MODELLED = (Surroundings.OPEN, Surroundings.STREET, Surroundings.INDOORS)
SEEN = (*MODELLED, Surroundings.VEHICLE, Surroundings.TRAIN)
COLOURS = {
    Surroundings.OPEN: "#1d70b8",
    Surroundings.STREET: "#d4351c",
    Surroundings.INDOORS: "#00703c",
    Surroundings.VEHICLE: "#f47738",
    Surroundings.TRAIN: "#4c2c92",
}


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _figures(values: Sequence[float] | F64, places: int = 1) -> list[str]:
    return [f"{value:.{places}f}" for value in values]


def _word(about: Surroundings) -> str:
    return about.name.lower()


def reception_table() -> str:
    """The figures of `RECEPTION`."""
    rows = []
    for about in SEEN:
        here = RECEPTION[about]
        often = " and ".join(f"{here.excursions * 3600 / cell_s:.1f}" for cell_s in gnss.EXCURSION_S)
        excursions = f"{often}, {here.excursion_m} m" if here.excursions else "none"
        rows.append(
            _row(
                [
                    _word(about),
                    f"{here.multipath_m}",
                    f"{here.still_s} s, {here.moving_s} s",
                    excursions,
                    "by building" if about == Surroundings.INDOORS else f"{here.lost:.0%}",
                    f"{here.cn0_dbhz} ± {here.spread_db:.0f} dB-Hz",
                    f"{here.satellites}",
                    f"{here.hdop}",
                ]
            )
        )
    return "\n".join([*rows, _row(["deep", *["·"] * 3, "always", "nothing is heard", "0", "·"])])


def error_table() -> str:
    """What comes of them."""
    rows = []
    for about in SEEN:
        one = found.modelled_error(about)
        off = [f"{value:.1f} m" for value in one.off_m]
        held = [f"{one.claim_m:.1f} m", f"{one.held:.0%}", f"{one.optimism:.1f}"]
        rows.append(_row([_word(about), f"{one.fix:.0%}", *off, *held]))
    return "\n".join(rows)


def drift_table(data: Path) -> str:
    """Logs and model at the lags."""
    logs = np.array([one.drift_m for one in found.logs(data).still])
    rows = [_row(["logs", *(f"{value:.2f} m" for value in np.nanmedian(logs, axis=0))])]
    rows += [
        _row([f"model, {_word(about)}", *(f"{value:.2f} m" for value in found.modelled_drift(about))])
        for about in MODELLED
    ]
    return "\n".join(rows)


def sky_table(data: Path) -> str:
    """HDOP, satellites and strengths."""
    logs = found.logs(data)
    return "\n".join(
        _row(
            [
                name,
                " · ".join(_figures(np.percentile(values, (10, 50, 90)))),
                " · ".join(str(getattr(RECEPTION[about], column)) for about in MODELLED),
            ]
        )
        for name, values, column in (
            ("HDOP", logs.hdop, "hdop"),
            ("satellites in use", logs.satellites, "satellites"),
            ("mean C/N0, dB-Hz", logs.strength_dbhz, "cn0_dbhz"),
            ("its spread among satellites, dB", logs.spread_db, "spread_db"),
        )
    )


def room_table(data: Path) -> str:
    """Stays of phones and of the model."""
    return "\n".join(
        _row([name, *(f"{value:.1f} m" for value in np.median([one.off_m() for one in stays], axis=0))])
        for name, stays in (("phones", found.dwells(data)), ("model, indoors", found.modelled_dwells()))
    )


def walk_table(data: Path) -> str:
    """Walks of phones and of the model."""
    walks = [("phones", found.walked(data))]
    walks += [(f"model, {_word(about)}", found.modelled_walk(about)) for about in MODELLED[:2]]
    return "\n".join(
        _row([name, *(f"{value:.1f} m" for value in np.percentile(off, PERCENT))]) for name, off in walks
    )


def flat_table(data: Path) -> str:
    """Strengths in the flat."""
    flat = found.flat(data)
    rows = [("recorded", flat.heard(), flat.quick_db()), ("model", flat.modelled, found.modelled_quick_db())]
    return "\n".join(
        _row(
            [
                name,
                *_figures(np.percentile(dbm, (5, 25, 50, 75, 95))),
                f"{dbm.std():.1f} dB",
                f"{quick:.1f} dB",
            ]
        )
        for name, dbm, quick in rows
    )


def corridor_table(data: Path) -> str:
    """Means over the four tags of each place."""
    rows = []
    tags = found.corridor(data)
    for state in sorted({tag.state for tag in tags}):
        there = [tag for tag in tags if tag.state == state]
        model = [found.modelled_corridor(tag.mean_dbm) for tag in there]
        rows.append(
            _row(
                [
                    state.lower().replace("_", " "),
                    f"{np.mean([tag.mean_dbm for tag in there]):.1f}",
                    f"{np.mean([tag.spread_db for tag in there]):.1f}",
                    f"{np.mean([tag.spread_db for tag in model]):.1f}",
                    f"{np.mean([tag.heard for tag in there]):.0%}",
                    f"{np.mean([tag.heard for tag in model]):.0%}",
                ]
            )
        )
    return "\n".join(rows)


def text(data: Path) -> str:
    """The page up to the part of others."""
    fields = {
        "SKY_M": f"{gnss.SKY_M}",
        "SKY_MIN": f"{gnss.SKY_S / 60:.0f}",
        "NOISE_M": f"{gnss.NOISE_M}",
        "TABLE": reception_table(),
        "WEARERS": "200",
        "ERRORS": error_table(),
        "COLD": "{:.0f} to {:.0f}".format(*gnss.COLD_S),
        "WARM": "{:.0f} to {:.0f}".format(*gnss.WARM_S),
        "JAMMED": f"{gnss.JAMMED_DB:.0f}",
        "LED": f"{gnss.LED_KMH:.0f}",
        "ASTRAY": "{:.0f} to {:.0f}".format(*gnss.ASTRAY_M),
        "STILL": str(len(found.logs(data).still)),
        "DRIFT": drift_table(data),
        "SKIES": sky_table(data),
        "DWELLS": str(len(found.dwells(data))),
        "ROOMS": room_table(data),
        "WALKS": f"{len(found.walked(data)):,}",
        "WALKED": walk_table(data),
        "P1": f"−{-Channel().at_1m_dbm:.0f}",
        "SOJOURN": f"{radio.SOJOURN_S / 60:.0f}",
        "TURN": f"{radio.TURN_S:.0f}",
        "FAINT": f"−{-SENSITIVITY_DBM:.0f}",
        "CARRIED": f"−{-found.CARRIED_DBM:.0f}",
        "FLAT": flat_table(data),
        "CORRIDOR": corridor_table(data),
    }
    page = TEXT.read_text(encoding="utf-8")
    for name, value in fields.items():
        page = page.replace("{{" + name + "}}", value)
    return page


# ------------------------------------------------------------------------------------------------- pictures


def _figure(wide: int, height: float = 3.4, width: float = 7.6) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, list(np.atleast_1d(figure.subplots(1, wide)).ravel())


def _share(axes: Axes, values: F64, **style: object) -> None:
    """The share below each value, in 60 steps."""
    shares = np.linspace(0, 100, 61)
    axes.plot(np.percentile(values, shares), shares, **style)  # type: ignore[arg-type]


def errors_picture() -> Figure:
    """How far fixes are off, and how that compares with the claim."""
    figure, (off_axes, claim_axes) = _figure(2)
    t_ms = found.START_MS + np.arange(0, 1440, 3) * found.MINUTE_MS
    for about in SEEN:
        parts = [found.errors(found.life(about, 1440, seed), t_ms) for seed in range(60)]
        east, north, claim = (np.concatenate(column) for column in zip(*parts, strict=True))
        off, fix = np.hypot(east, north), ~np.isnan(east)
        _share(off_axes, off[fix], color=COLOURS[about], label=_word(about))
        _share(claim_axes, off[fix] / claim[fix], color=COLOURS[about])
    off_axes.set(xscale="log", xlim=(0.5, 120), xlabel="metres off", ylabel="% of fixes")
    off_axes.plot([10, 30], [90, 80], "kx", label="NIJ: outdoors, indoors")
    off_axes.legend(fontsize=7)
    claim_axes.axvline(1, color="#555", linewidth=0.8)
    claim_axes.axhline(95, color="#555", linewidth=0.8)
    claim_axes.set(xlim=(0, 3), xlabel="metres off ÷ metres claimed")
    return figure


def street_picture() -> Figure:
    """One walk along a street: fixes a second, and what is claimed."""
    figure, (axes,) = _figure(1, 2.4)
    one = found.life(Surroundings.STREET, 20, 4, walking=True)
    t_ms = np.arange(one.start_ms, one.end_ms, 4000)
    east, north, claim = found.errors(one, t_ms)
    minutes = (t_ms - one.start_ms) / found.MINUTE_MS
    axes.fill_between(minutes, -claim, claim, color="#ddd", label="claimed, 95 %")
    axes.plot(minutes, east, color=COLOURS[Surroundings.STREET], linewidth=1, label="off to the side")
    axes.plot(minutes, north, color="#777", linewidth=1, label="off along the street")
    axes.set(xlabel="minutes of a walk along a street", ylabel="m")
    axes.legend(fontsize=7, ncols=3)
    return figure


def drift_picture(data: Path) -> Figure:
    """Receivers that stand, one line each, and the model."""
    figure, (axes,) = _figure(1)
    for one in found.logs(data).still:
        axes.plot(LAGS_S, one.drift_m, color="#999", linewidth=0.8, marker=".", markersize=3)
    axes.plot([], [], color="#999", marker=".", label="receivers of the logs")
    for about in MODELLED:
        axes.plot(LAGS_S, found.modelled_drift(about), color=COLOURS[about], label=f"model, {_word(about)}")
    axes.set(xscale="log", yscale="log", xlabel="seconds apart", ylabel="metres apart, RMS")
    axes.set_xticks(LAGS_S, [str(lag) for lag in LAGS_S])
    axes.minorticks_off()
    axes.legend(fontsize=7)
    return figure


def rooms_picture(data: Path) -> Figure:
    """Stays of phones above, of the model below."""
    figure = Figure(figsize=(7.6, 4.2), layout="constrained")
    above, below = figure.subplots(2, 4, sharex=True, sharey=True)
    stays = sorted(found.dwells(data), key=lambda stay: stay.off_m()[2])
    rooms = sorted(found.modelled_dwells(), key=lambda stay: stay.off_m()[2])
    for row, some, colour, name in (
        (above, stays, "#444", "phone"),
        (below, rooms, COLOURS[Surroundings.INDOORS], "model"),
    ):
        for axes, share in zip(row, (0.05, 0.35, 0.65, 0.95), strict=True):
            stay = some[round(share * (len(some) - 1))]
            axes.plot(stay.east_m[:60], stay.north_m[:60], ".", color=colour, markersize=3)
            axes.set(xlim=(-60, 60), ylim=(-60, 60), aspect="equal")
            axes.set_title(f"{name}: 95 % within {stay.off_m()[2]:.0f} m", fontsize=8)
    figure.supxlabel("metres east and north of the median, one fix a minute", fontsize=8)
    return figure


def radio_picture(data: Path) -> Figure:
    """Strengths in the flat; how many beacons are heard how far off."""
    figure, (flat_axes, far_axes) = _figure(2)
    flat = found.flat(data)
    _share(flat_axes, flat.heard(), color="#444", label="recorded")
    _share(flat_axes, flat.modelled, color=COLOURS[Surroundings.OPEN], label="model")
    flat_axes.set(xlabel="dBm in a flat", ylabel="% of readings")
    flat_axes.legend(fontsize=7)
    distances = np.geomspace(1, 100, 25)
    t_ms = np.arange(3000) * 3_600_000
    for walls, colour in zip(range(4), ("#1d70b8", "#00703c", "#f47738", "#d4351c"), strict=True):
        heard = [
            100
            * np.mean(
                ~np.isnan(Channel(1).strengths("a", t_ms, np.full(3000, d), np.full(3000, float(walls))))
            )
            for d in distances
        ]
        far_axes.plot(distances, heard, color=colour, label=f"{walls} walls")
    far_axes.set(xscale="log", xlabel="metres from the home unit, on an ankle", ylabel="% of beacons heard")
    far_axes.legend(fontsize=7)
    return figure


def main() -> None:
    """Write the page and its pictures."""
    data = Path(os.environ.get("TAGWATCH_DATA", DOCS.parents[1] / "shared" / "data"))
    page = DOCS / "sensors.md"
    others = page.read_text(encoding="utf-8").partition(OTHERS)[2] if page.exists() else ""
    page.write_text(text(data) + (OTHERS + others if others else ""), encoding="utf-8")
    draw(
        DOCS / "sensors",
        {
            "errors": errors_picture,
            "street": street_picture,
            "drift": lambda: drift_picture(data),
            "rooms": lambda: rooms_picture(data),
            "radio": lambda: radio_picture(data),
        },
    )


if __name__ == "__main__":
    main()
