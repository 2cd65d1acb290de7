"""Alcohol tags made up by hypothesis: curves of bodies and of spills, gaps, covered sensors; and the real people."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
from hypothesis import strategies as st

from core.activation import Activation
from core.conditions import AlcoholCondition, AlcoholMode
from core.order import DeviceWearer, Order, Regime
from core.readings import EventCode, Events, Readings, Samples
from tests.core.sobriety_reference import MIN, Sample
from tests.core.wearers import MONDAY_MS

LONDON = ZoneInfo("Europe/London")
PEOPLE = ("BK7610", "CC6740", "DC6359", "JB3156", "MC7070", "MJ8002", "SA0297")
"""Those whose curves have been looked at: the page about sobriety is about them."""
NAN = float("nan")
DATA = Path(os.environ.get("TAGWATCH_DATA") or Path(__file__).parents[3] / "shared" / "data")


def sober_order(limit: float | None = None, **changes: object) -> Order:
    mode = AlcoholMode.ABSTINENCE if limit is None else AlcoholMode.LIMIT
    condition = AlcoholCondition("alcohol-1", "alcohol", mode, limit)
    given: dict[str, object] = {
        "order_id": "order-1",
        "version": 1,
        "regime": Regime.COMMUNITY_ORDER,
        "wearer": DeviceWearer("wearer-1", "A. Person"),
        "effective_ms": 0,
        "conditions": (condition,),
    }
    return Order(**(given | changes))  # type: ignore[arg-type]


def tagged(
    order: Order | None = None, fitted_ms: int = MONDAY_MS, removed_ms: int | None = None
) -> Activation:
    return Activation("activation-1", "alco0001", order or sober_order(), fitted_ms, removed_ms)


def samples_of(
    t_ms: Sequence[int], tac: Sequence[float], ir: Sequence[float] = (), temp: Sequence[float] = ()
) -> Samples:
    n = len(t_ms)
    return Samples(
        np.array(t_ms, np.int64),
        np.array(tac, np.float64),
        np.array(ir if len(ir) else [1.0] * n, np.float64),
        np.array(temp if len(temp) else [30.0] * n, np.float64),
        np.full(n, 3, np.uint8),
        np.full(n, 5, np.uint32),
        np.arange(1, n + 1, dtype=np.uint32),
    )


def events_of(*happened: tuple[int, EventCode]) -> Events:
    n = len(happened)
    return Events(
        np.array([t for t, _ in happened], np.int64),
        np.array([int(code) for _, code in happened], np.int64),
        np.full(n, NAN),
        np.full(n, 6, np.uint32),
        np.arange(1, n + 1, dtype=np.uint32),
    )


def readings_of(samples: list[Sample]) -> Readings:
    """The same with events: a check where an officer saw the tag, strap open before readings that are not worn."""
    happened: list[tuple[int, EventCode]] = []
    worn = True
    for one in samples:
        if worn and not one.worn:
            happened.append((one.t_ms, EventCode.STRAP_OPEN))
        elif one.again:
            happened.append((one.t_ms, EventCode.OFFICER_CHECK))
        worn = one.worn

    def figure(value: float | None) -> float:
        return NAN if value is None else value

    columns = samples_of(
        [one.t_ms for one in samples],
        [NAN if one.tac is None else one.tac / 1e6 for one in samples],
        [figure(one.ir) for one in samples],
        [figure(one.temp) for one in samples],
    )
    return Readings(samples=columns, events=events_of(*happened))


STEPS_MIN = [5, 5, 10, 25, 26, 30, 30, 30, 30, 30, 30, 31, 50, 60, 75, 76, 120, 121, 200]
stretches = st.tuples(
    st.sampled_from([0, 12_000, 24_000, 25_000, 30_000, -6_000, -12_000, -12_000, -17_000, -30_000, 120_000]),
    st.integers(1, 8),
)


@st.composite
def tags(draw: st.DrawFn) -> list[Sample]:
    """Samples of one tag in order of time."""
    steady = draw(st.sampled_from([None, None, 5, 30, 30, 30]))
    value, t_ms = draw(st.sampled_from([0, 0, 0, 19_000, 30_000])), MONDAY_MS + draw(st.integers(0, 40)) * MIN
    worn, covered = True, 0
    found: list[Sample] = []
    for per_reading, count in draw(st.lists(stretches, min_size=1, max_size=12)):
        for _ in range(count):
            noise = draw(st.sampled_from([0, 0, 0, 0, 1_000, -1_000, 9_000, 60_000]))
            odd = draw(st.integers(0, 60))
            covered = 5 if odd == 1 else max(0, covered - 1)
            again = odd == 2
            if odd == 3 and worn:
                worn, again = False, False
            elif again:
                worn = True
            value = max(0, value + per_reading)
            found.append(
                Sample(
                    t_ms,
                    None if odd == 4 else max(0, min(400_000, value + noise)),
                    None
                    if odd == 5
                    else (1.6 if covered else draw(st.sampled_from([1.0, 1.0, 1.0, 1.2, 0.8]))),
                    None if odd == 6 else (draw(st.sampled_from([20.0, 30.0])) if covered else 30.0),
                    worn,
                    again and worn,
                )
            )
            t_ms += (steady or draw(st.sampled_from(STEPS_MIN))) * MIN
    return found


def everybody() -> list[str]:
    """All whose curves lie in the data: the seven, and whoever was added."""
    found = {path.name.removesuffix("_raw.csv") for path in (DATA / "scram-tac").glob("*_raw.csv")}
    return sorted(found | set(PEOPLE))


def person(data: Path, name: str) -> Samples:
    """One of the people; the local clock of the file is read as civil time of London."""
    with (data / "scram-tac" / f"{name}_raw.csv").open() as file:
        rows = list(csv.DictReader(file))
    clock = [datetime.fromisoformat(row["local_time"]).replace(tzinfo=LONDON) for row in rows]
    return samples_of(
        [int(at.timestamp()) * 1000 for at in clock],
        [float(row["tac_g_dl"]) for row in rows],
        [float(row["ir_voltage"]) for row in rows],
        [(float(row["temperature_f"]) - 32) / 1.8 for row in rows],
    )
