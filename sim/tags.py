"""What the devices of a life would have told, and when it arrived: readings as the gateway decodes them.

Without running firmware it follows firmware and gateway in what decides alerts: which instants are sampled, with which
values and flags, what is told of strap, case, battery, charger and disturbed signals, in which order it is numbered,
and when it is committed. A test holds it against the real firmware.

Left out: what a tag says of its own memory and messages (gaps, wrong signatures), clocks that are wrong, commands.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from core.activation import Activation
from core.order import Order, order_from_json
from core.readings import (
    I64,
    U32,
    Contacts,
    Events,
    PositionFlag,
    Positions,
    Readings,
    SampleFlag,
    Samples,
    TimeQuality,
)
from core.senses import SENSES
from gateway.at_once import Wanted, wanted
from gateway.settings import Settings
from sim.alcohol_sampling import sampled
from sim.gnss import Sky
from sim.gps_sampling import HEARD_MS, sample
from sim.home_units import beacons, listen
from sim.in_force import less
from sim.life import Life, Span, spans_hold
from sim.occurrences import CONTACTS, Occurred, occurred
from sim.signs import signs
from sim.uplink import connected, handed_over
from sim.way import Bool, Way

TIMEZONE = "Europe/London"
NAMES = {"gps_tag": "gps0", "rf_tag": "rf00", "alcohol_tag": "alc0", "home_unit": "hmu0"}
"""How a device's id begins; a life's name follows."""
_POSITION = int(TimeQuality.GNSS | PositionFlag.THREE_D | PositionFlag.PRECISION_GST)
_NEAR_ZONE_M = float(Settings.model_fields["near_zone_m"].default)
_Arrived = tuple[I64, I64, I64, I64]


class Sent(NamedTuple):
    """What one device's activation has of readings, and when each was committed (gateway time), kind by kind.

    The order of `Readings.kinds`; what never arrived within the life has `sim.uplink.NEVER_MS`.
    """

    readings: Readings
    arrived_ms: _Arrived


def device_of(life: Life, kind: str) -> str:
    """The id of a wearer's device of a kind; both ways of running a life call it so."""
    return NAMES[kind] + life.name


def activations(life: Life, order: Order | None = None) -> dict[str, Activation]:
    """The activations of a life by kind of device, as the gateway makes them; ``order`` where it was read already."""
    order = order_from_json(dict(life.order)) if order is None else order
    return {
        kind: Activation(
            f"{device_of(life, kind)}-1",
            device_of(life, kind),
            order,
            life.start_ms,
            senses=SENSES[kind],
        )
        for kind in sorted(life.wears)
    }


def wear(life: Life, order: Order | None = None) -> dict[str, Sent]:
    """What each kind of device worn has sent, from the first reading of the life to its last."""
    makers = {"gps_tag": _gps_tag, "alcohol_tag": _alcohol_tag}
    worn = activations(life, order)
    found = {}
    for kind in sorted(life.wears):
        found[kind] = _rf_tag(life) if kind == "rf_tag" else makers[kind](life, worn[kind])
    return found


# ----------------------------------------------------------------------------------------------------- GPS tag


def _gps_tag(life: Life, worn: Activation) -> Sent:
    wish = wanted([worn], life.start_ms, _NEAR_ZONE_M, TIMEZONE)
    times = np.array(wish.times, np.int64).reshape(-1, 2) * 1000
    way = life.way.left_behind(life.off_ankle)
    sampling = sample(life, times, lambda sky: _at_once(wish, times, sky), len(wish.places) > 0, way)
    sky = sampling.fixes
    lives = less([Span(life.start_ms, life.end_ms)], life.flat)
    events = occurred(life, lives, "gps_tag", signs(life, sampling))
    n = len(sky)
    links = _links(life, way, life.flat)
    seq, arrived = handed_over(
        [sky.t_ms + HEARD_MS, events.t_ms], np.append(sampling.hurried, events.urgent), links
    )
    positions = Positions(
        t_ms=sky.t_ms,
        lat=sky.lat,
        lon=sky.lon,
        precision_m=sky.precision_m,
        speed_kmh=sky.speed_kmh,
        course_deg=sky.course_deg,
        hdop=sky.hdop,
        satellites=sky.satellites,
        flags=(_POSITION | sampling.not_moved * PositionFlag.NOT_MOVED).astype(np.uint8),
        epoch=np.ones(n, np.uint32),
        seq=seq[:n],
    )
    return Sent(Readings(positions=positions, events=_events(events, seq[n:])), _by_kind(0, arrived, n))


def _at_once(wish: Wanted, times: I64, sky: Sky) -> Bool:
    """Which positions do not wait: firmware/lib/policy.py, by the times and places that the gateway sets."""
    lat, lon, precision_m = sky.lat, sky.lon, sky.precision_m
    hurry = spans_hold([Span(begin_ms, end_ms) for begin_ms, end_ms in times.tolist()], sky.t_ms)
    for lat_e7, lon_e7, radius_m in wish.places:
        north = np.abs(np.rint(lat * 1e7) - lat_e7) * 0.011057
        latitude = np.maximum(np.abs(lat), abs(lat_e7) / 1e7)
        east = np.abs(np.rint(lon * 1e7) - lon_e7) * 0.011131 * np.cos(np.radians(latitude))
        reach = radius_m + np.floor(precision_m) + 1
        hurry |= north * north + east * east <= (reach + reach // 5000 + 2) ** 2
    return hurry


# ------------------------------------------------------------------------------------------------- alcohol tag


def _alcohol_tag(life: Life, _worn: Activation) -> Sent:
    lives = [Span(life.start_ms, life.end_ms)]
    events = occurred(life, lives, "alcohol_tag")
    felt, fast, baseline, urgent = sampled(life, events.t_ms[np.isin(events.code, CONTACTS)].tolist())
    n = len(felt.t_ms)
    links = _links(life, life.way.left_behind(life.off_ankle), ())
    seq, arrived = handed_over([felt.t_ms, events.t_ms], np.append(urgent, events.urgent), links)
    flags = TimeQuality.KEPT | fast * SampleFlag.FAST | baseline * SampleFlag.BASELINE
    samples = Samples(
        t_ms=felt.t_ms,
        tac_g_dl=np.rint(felt.tac_g_dl * 1e5) * 1e-5,
        ir_v=np.rint(felt.ir_v * 1e3) * 1e-3,
        temp_c=np.rint(felt.temp_c * 1e2) * 0.01,
        flags=flags.astype(np.uint8),
        epoch=np.ones(n, np.uint32),
        seq=seq[:n],
    )
    return Sent(Readings(samples=samples, events=_events(events, seq[n:])), _by_kind(2, arrived, n))


# ------------------------------------------------------------------------------------------------------ RF tag


def _rf_tag(life: Life) -> Sent:
    """What all home units say of it, and of themselves."""
    sent_ms = beacons(life)
    said = [listen(life, unit, number, sent_ms) for number, unit in enumerate(life.units)]
    none = np.zeros(0, np.int64)
    return Sent(
        Readings(
            contacts=Contacts.concatenate([one.contacts for one in said]),
            events=Events.concatenate([one.events for one in said]),
        ),
        (
            none,
            np.concatenate([none, *(one.contacts_arrived_ms for one in said)]),
            none,
            np.concatenate([none, *(one.events_arrived_ms for one in said)]),
        ),
    )


# ------------------------------------------------------------------------------------------------- handing over


def _links(life: Life, way: Way, off: Sequence[Span]) -> I64:
    """When a tag that goes this way is connected."""
    ends = way.ends_ms
    # somebody who is within reach of a network at the end is so afterwards
    ends[-1] += 86_400_000
    reached = np.stack([way.start_ms[way.covered], ends[way.covered]], axis=1)
    return connected(life.seed, reached, life.offline, off)


def _events(told: Occurred, seq: U32) -> Events:
    return Events(told.t_ms, told.code, told.value, np.ones(len(seq), np.uint32), seq)


def _by_kind(kind: int, arrived_ms: I64, count: int) -> _Arrived:
    none = np.zeros(0, np.int64)
    parts = [none, none, none, arrived_ms[count:]]
    parts[kind] = arrived_ms[:count]
    return parts[0], parts[1], parts[2], parts[3]
