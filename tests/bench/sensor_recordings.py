"""The same statistics of real recordings and of the simulator's sensors, to be laid beside each other.

Real: receivers that stood still (``gnss-logs``), phones that people carried (``trails``), a flat with six radios and a
corridor with two (``rf-presence``). What they are and what they are not stands in docs/sensors.md.
"""

from __future__ import annotations

import csv
import sys
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

import numpy as np
import shapely

from core.readings import F64, I64
from sim.gnss import RECEPTION, receive
from sim.itinerary import Itinerary, Place
from sim.life import Life
from sim.radio import Channel
from sim.recordings import load
from sim.way import Bool, Surroundings

_FIRMWARE = Path(__file__).resolve().parents[2] / "firmware"
sys.path += [
    str(_FIRMWARE / name) for name in ("lib", "gps_tag")
]  # as pytest has it; a page is also written without
from nmea import Receiver  # noqa: E402

STILL = """
bu353s4 cat-ms352 ch-4711 gr601-w mt3339 neo-m8n quectel-L70 sirfstarv-nmea st-teseo-liv3f telit-pls83-w ublox-lea-5h
ublox-neo-m9n-nmea
""".split()  # noqa: SIM905  a list of names reads better as text
"""Logs of receivers that stood, without a vehicle, a torn line or a frozen position."""
LAGS_S = (1, 5, 10, 20, 50)
PERCENT = (50, 80, 95, 99)
HOME = Place(52.96, -1.17)
START_MS = 1_793_600_000_000
MINUTE_MS = 60_000
DWELL_MIN, DWELL_M = 20, 60.0
WALK_LAG_S = 10
CARRIED_DBM = -49.0
"""`sim.radio.Channel.at_1m_dbm` for a radio that is carried about, as in the flat, and not worn on an ankle."""
RECEIVED = tuple(about for about in Surroundings if RECEPTION[about].lost < 1)
"""Where a receiver has a fix at all."""
_M_PER_DEGREE = 111_195.0


def _metres(lat: F64, lon: F64) -> tuple[F64, F64]:
    """East and north of the first place."""
    north = (lat - lat[0]) * _M_PER_DEGREE
    return (lon - lon[0]) * _M_PER_DEGREE * np.cos(np.radians(lat[0])), north


def rms(values: F64) -> float:
    """Root of the mean square."""
    return float(np.sqrt(np.mean(np.square(values))))


# ------------------------------------------------------------------------------------------------ satellites


@dataclass(frozen=True)
class Still:
    """A receiver that stands: how far its fixes drift apart (RMS, m) at `LAGS_S`, NaN where the log is too short."""

    name: str
    drift_m: tuple[float, ...]


def drift(t_s: F64, east_m: F64, north_m: F64) -> tuple[float, ...]:
    """How far apart fixes lie that are so many seconds apart, RMS."""
    found = []
    for lag in LAGS_S:
        later = np.searchsorted(t_s, t_s + lag - 0.25)
        pair = later < len(t_s)
        later = np.minimum(later, len(t_s) - 1)
        pair &= np.abs(t_s[later] - t_s - lag) <= 0.25
        apart = np.hypot(east_m[later] - east_m, north_m[later] - north_m)[pair]
        found.append(rms(apart) if len(apart) >= 3 else np.nan)
    return tuple(found)


@dataclass(frozen=True)
class Logs:
    """What the logs say of drift, and (one figure a log) of HDOP, satellites in use, strength and its spread."""

    still: list[Still]
    hdop: F64
    satellites: F64
    strength_dbhz: F64
    spread_db: F64


@cache
def logs(data: Path) -> Logs:
    """All receiver logs, read by the firmware's parser."""
    still, hdop, satellites, strength, spread = [], [], [], [], []
    for path in sorted((data / "gnss-logs").glob("*.log")):
        receiver, fixes = Receiver(), []
        views: list[list[int]] = []
        receiver.sky.want()
        for _, piece in load(path, 0).pieces:
            fixes += receiver.feed(piece)
            if receiver.sky.taken > len(views):
                views.append([value & 0xFF for value in receiver.sky.view.values() if value & 0xFF])
                receiver.sky.want()
        fixes += receiver.flush()
        views = [view for view in views if len(view) >= 4]
        if views:
            strength.append(np.mean([np.mean(view) for view in views]))
            spread.append(np.mean([np.std(view) for view in views]))
        timed = [fix for fix in fixes if fix.time_ds is not None]
        if len(timed) < 6:
            continue
        hdop.append(np.median([fix.hdop / 10 for fix in timed]))
        satellites.append(np.median([fix.satellites for fix in timed]))
        if path.stem in STILL:
            east, north = _metres(
                *(np.array([getattr(f, n) for f in timed]) / 1e7 for n in ("lat_e7", "lon_e7"))
            )
            t_s = np.array([fix.time_ds for fix in timed]) / 10
            still.append(Still(path.stem, drift(t_s, east, north)))
    known = np.array(hdop) < 25.5
    return Logs(
        still, np.array(hdop)[known], np.array(satellites)[known], np.array(strength), np.array(spread)
    )


def life(about: Surroundings, minutes: float, seed: int, *, walking: bool = False) -> Life:
    """One who stays in a place of his own, or walks straight on."""
    home = HOME.offset(137.0 * seed, 0)
    way = Itinerary(START_MS, home)
    if walking:
        way.walk(home.offset(0, minutes / 60 * 5000), about=about)
    else:
        way.stay(START_MS + round(minutes * MINUTE_MS), about=about)
    return Life("a", seed, START_MS, way.end_ms, way.way(), {})


def errors(one: Life, t_ms: I64) -> tuple[F64, F64, F64]:
    """East, north and claim of each fix, m; NaN without one."""
    sky = receive(one, t_ms)
    lat, lon = one.way.at(t_ms)
    north = (sky.lat - lat) * _M_PER_DEGREE
    return (sky.lon - lon) * _M_PER_DEGREE * np.cos(np.radians(lat)), north, sky.precision_m


def modelled_drift(about: Surroundings, receivers: int = 200) -> tuple[float, ...]:
    """Median over receivers of `drift`, as of the logs."""
    found = []
    for seed in range(receivers):
        t_ms = START_MS + np.arange(100) * 1000
        east, north, _ = errors(life(about, 2, seed), t_ms)
        fix = ~np.isnan(east)
        if fix.sum() > 50:
            found.append(drift(t_ms[fix] / 1000, east[fix], north[fix]))
    return tuple(np.nanmedian(np.array(found), axis=0).tolist())


@dataclass(frozen=True)
class Spread:
    """How far fixes are off (percentiles `PERCENT`, m), their claims, the share with a fix, and of claims that hold."""

    off_m: tuple[float, ...]
    claim_m: float
    fix: float
    held: float
    optimism: float
    """So many times its claim a fix is off, at most, in 95 % of cases; 1 is an honest 95 % radius."""


@cache
def modelled_error(about: Surroundings, wearers: int = 200) -> Spread:
    """A day of each of many, each in a place of his own."""
    t_ms = START_MS + np.arange(0, 1440, 3) * MINUTE_MS
    parts = [errors(life(about, 1440, seed), t_ms) for seed in range(wearers)]
    east, north, claim = (np.concatenate(column) for column in zip(*parts, strict=True))
    fix = ~np.isnan(east)
    if not fix.any():
        return Spread((np.nan,) * len(PERCENT), np.nan, 0.0, np.nan, np.nan)
    off = np.hypot(east, north)[fix]
    return Spread(
        tuple(np.percentile(off, PERCENT).tolist()),
        float(np.median(claim[fix])),
        float(fix.mean()),
        float((off <= claim[fix]).mean()),
        float(np.percentile(off / claim[fix], 95)),
    )


@dataclass(frozen=True)
class Day:
    """One phone's day."""

    name: str
    t_s: F64
    east_m: F64
    north_m: F64
    walks: Bool


@cache
def days(data: Path) -> list[Day]:
    """All days of the phones."""
    found = []
    for path in sorted((data / "trails").glob("*.csv")):
        with path.open(newline="") as lines:
            rows = list(csv.DictReader(lines))
        t_s = np.array([datetime.fromisoformat(row["timestamp"]).timestamp() for row in rows])
        east, north = _metres(*(np.array([float(row[n]) for row in rows]) for n in ("latitude", "longitude")))
        walks = np.array([row["mode"] == "Walk" for row in rows])
        found.append(Day(path.stem.partition("geodata-")[2], t_s, east, north, walks))
    return found


@dataclass(frozen=True)
class Dwell:
    """A stay: the first fix of each minute, about their median."""

    name: str
    east_m: F64
    north_m: F64

    def off_m(self) -> F64:
        """Percentiles 50, 80, 95 and 100 of the distance from the median."""
        return np.percentile(np.hypot(self.east_m, self.north_m), (50, 80, 95, 100))


def _about_median(name: str, east_m: F64, north_m: F64) -> Dwell:
    return Dwell(name, east_m - np.median(east_m), north_m - np.median(north_m))


@cache
def dwells(data: Path) -> list[Dwell]:
    """Stays of phones: for `DWELL_MIN` and more no minute's median lies `DWELL_M` from that of those before.

    The two minutes at each end are left out. So is a stay in which a phone repeats one position for hours: it had
    switched its receiver off, and tells where it was last.
    """
    found = []
    for day in days(data):
        minute = (day.t_s // 60).astype(np.int64)
        each, first = np.unique(minute, return_index=True)
        east = np.array([np.median(day.east_m[minute == one]) for one in each])
        north = np.array([np.median(day.north_m[minute == one]) for one in each])
        at = 0
        while at < len(each):
            end = at + 1
            while (
                end < len(each)
                and each[end] - each[end - 1] <= 5
                and np.hypot(east[end] - np.median(east[at:end]), north[end] - np.median(north[at:end]))
                < DWELL_M
            ):
                end += 1
            stay = first[at:end][(each[at:end] >= each[at] + 2) & (each[at:end] <= each[end - 1] - 2)]
            if each[end - 1] - each[at] >= DWELL_MIN and len(stay) >= 12:
                dwell = _about_median(day.name, day.east_m[stay], day.north_m[stay])
                if len(np.unique(dwell.east_m)) > len(stay) / 4:
                    found.append(dwell)
            at = end if each[end - 1] - each[at] >= DWELL_MIN else at + 1
    return found


@cache
def modelled_dwells(rooms: int = 300, minutes: int = 80) -> list[Dwell]:
    """Stays in rooms of as many buildings."""
    found = []
    for seed in range(rooms):
        t_ms = START_MS + np.arange(minutes) * MINUTE_MS
        east, north, _ = errors(life(Surroundings.INDOORS, minutes, seed), t_ms)
        fix = ~np.isnan(east)
        if fix.sum() >= 12:
            found.append(_about_median(f"room {seed}", east[fix], north[fix]))
    return found


def _astray(t_s: F64, east_m: F64, north_m: F64, among: Bool) -> F64:
    """How far fixes lie from the middle of those `WALK_LAG_S` before and after, where one walks."""
    at, first = np.unique(np.round(t_s).astype(np.int64), return_index=True)
    east, north, among = east_m[first], north_m[first], among[first]
    before = np.searchsorted(at, at - WALK_LAG_S)
    after = np.minimum(np.searchsorted(at, at + WALK_LAG_S), len(at) - 1)
    pace = np.hypot(east[after] - east[before], north[after] - north[before]) / (2 * WALK_LAG_S)
    among &= (at[before] == at - WALK_LAG_S) & (at[after] == at + WALK_LAG_S) & (pace > 0.8) & (pace < 2.5)
    off: F64 = np.hypot(east - (east[before] + east[after]) / 2, north - (north[before] + north[after]) / 2)
    return off[among]


def walked(data: Path) -> F64:
    """`_astray` of all who say that they walk."""
    return np.concatenate([_astray(day.t_s, day.east_m, day.north_m, day.walks) for day in days(data)])


def modelled_walk(about: Surroundings, walkers: int = 60) -> F64:
    """`_astray` of walkers who never turn."""
    found = []
    for seed in range(walkers):
        one = life(about, 25, seed, walking=True)
        t_ms = np.arange(one.start_ms, one.end_ms, 1000)
        sky = receive(one, t_ms)
        east, north = _metres(sky.lat[sky.fix], sky.lon[sky.fix])
        found.append(_astray(t_ms[sky.fix] / 1000, east, north, np.ones(int(sky.fix.sum()), np.bool_)))
    return np.concatenate(found)


# ----------------------------------------------------------------------------------------------------- radio


@dataclass(frozen=True)
class Flat:
    """Strengths in the flat, dBm: of a person's walk at six anchors; and what the model makes of such a flat."""

    walk: list[F64]
    """Per anchor, three a second; NaN where nothing was heard."""
    modelled: F64

    def heard(self) -> F64:
        """All strengths of the walk."""
        every = np.concatenate(self.walk)
        return every[~np.isnan(every)]

    def quick_db(self) -> float:
        """What changes from one reading to the next, of all that changes: standard deviation."""
        return float(np.sqrt(0.5 * np.nanmean([np.nanmean(np.diff(one) ** 2) for one in self.walk])))


def _table(path: Path) -> dict[str, F64]:
    with path.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    return {
        name: np.array([float(row[name]) if row[name] else np.nan for row in rows])
        for name in rows[0]
        if name
    }


@cache
def flat(data: Path) -> Flat:
    """The walk, and the channel at evenly spread places of the same flat: its distances, its walls, a radio in hand.

    The layout is the walls' outline, so a line that crosses it twice goes through one wall.
    """
    folder = data / "rf-presence" / "flat"
    walk, anchors, layout = (_table(folder / f"{name}.csv") for name in ("test_walk_df", "anchors", "layout"))
    outline = np.column_stack([layout["x"], layout["y"]])
    rooms, walls = shapely.Polygon(outline), shapely.LineString(outline)
    spots = np.random.default_rng(1).uniform(outline.min(axis=0), outline.max(axis=0), (4000, 2))
    spots = spots[shapely.contains_xy(rooms, spots)]
    t_ms = np.arange(len(spots)) * 3_600_000
    strengths = []
    for number, x, y, z in zip(*(anchors[name] for name in ("id", "x", "y", "z")), strict=True):
        anchor = np.array([x, y])
        distance_m = np.sqrt(np.sum((spots - anchor) ** 2, axis=1) + (z - 1.0) ** 2)
        sight = shapely.linestrings(np.stack([np.broadcast_to(anchor, spots.shape), spots], axis=1))
        crossed = np.ceil(shapely.get_num_geometries(shapely.intersection(sight, walls)) / 2)
        crossed[~shapely.intersects(sight, walls)] = 0
        channel = Channel(1, at_1m_dbm=CARRIED_DBM)
        strengths.append(channel.strengths(f"anchor {number:.0f}", t_ms, distance_m, crossed))
    modelled = np.concatenate(strengths)
    return Flat([walk[f"rssi_{n}"] for n in range(1, 7)], modelled[~np.isnan(modelled)])


def modelled_quick_db() -> float:
    """As `Flat.quick_db`: beacons a third of a second apart from one who stands still."""
    n = 20_000
    t_ms = np.arange(n) // 10 * 3_600_000 + np.arange(n) % 10 * 333
    strengths = Channel(1).strengths("a", t_ms, np.full(n, 4.0), np.full(n, 1.0))
    pairs = np.diff(strengths)[np.arange(n - 1) % 10 != 9]
    return float(np.sqrt(0.5 * np.nanmean(pairs**2)))


@dataclass(frozen=True)
class Carried:
    """One tag in the corridor over 20 min, which sends each second: mean and spread of what was heard, and how much."""

    state: str
    mean_dbm: float
    spread_db: float
    heard: float


@cache
def corridor(data: Path) -> list[Carried]:
    """The twelve tags at the first receiver."""
    tags: dict[tuple[str, str], dict[int, float]] = {}
    with (data / "rf-presence" / "corridor" / "raw_rssi.csv").open(newline="") as lines:
        for row in csv.DictReader(lines):
            heard = tags.setdefault((row["locationStatus"], row["name"]), {})
            heard[int(row["timestamp"])] = float(row["rssiOne"])
    found = []
    for (state, _), heard in sorted(tags.items()):
        t_ms, dbm = np.array(sorted(heard)), np.array([heard[t] for t in sorted(heard)])
        seconds = len(np.unique(t_ms // 1000)) / ((t_ms[-1] - t_ms[0]) / 1000)
        found.append(Carried(state, float(dbm.mean()), float(dbm.std()), seconds))
    return found


def modelled_corridor(mean_dbm: float) -> Carried:
    """Of a tag that is carried about some metres of the corridor and would be heard at so much on average."""
    n = 40_000
    t_ms = np.arange(n) * 3_600_000
    distance_m = np.random.default_rng(2).uniform(4.0, 12.0, n)
    near = 10 * 2.2 * float(np.mean(np.log10(distance_m)))
    dbm = Channel(1, at_1m_dbm=mean_dbm + near).strengths("a", t_ms, distance_m, np.zeros(n))
    heard = dbm[~np.isnan(dbm)]
    return Carried("model", float(heard.mean()), float(heard.std()), len(heard) / n)
