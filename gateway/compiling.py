"""Every rule compiled before a gateway says that it is ready: nobody waits for that in the middle of a judgement.

Compiled rules are kept (`gateway.kernels`); a mark beside them says that all are there. A start that finds it compiles
nothing; one that does not lets a made-up wearer live through every kind of reading and condition, which takes a minute
or more the first time.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, TypeVar

import numpy as np

from core.activation import Activation
from core.monitor import Monitor
from core.order import order_from_json
from core.readings import Columns, Contacts, EventCode, Events, Positions, Readings, Samples
from gateway import warm
from gateway.warm import compiled

__all__ = ["compile_all", "compiled"]

C = TypeVar("C", bound=Columns)

_ROUNDS = 400
_BEGIN_MS = 1_780_272_000_000
_MINUTE_MS = 60_000
_PLACE = {"name": "home", "latitude": 51.5, "longitude": 0.03, "radius_m": 50}
_RING = [[0.0, 51.5], [0.02, 51.5], [0.02, 51.51], [0.0, 51.51], [0.0, 51.5]]
_ZONE = {"name": "a zone", "zone": {"type": "Polygon", "coordinates": [_RING]}}
_WEEK = ["Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"]
_VISIT = {"dated": [{"from": "2026-06-01T01:00:00Z", "to": "2026-06-01T03:00:00Z"}]}
_ORDER: dict[str, Any] = {
    "order_id": "compiling",
    "version": 1,
    "regime": "bail",
    "wearer": {"id": "nobody", "name": "Nobody"},
    "effective": "2026-01-01T00:00:00Z",
    "conditions": [
        {
            "id": "curfew",
            "type": "curfew",
            "address": _PLACE,
            "timetable": [{"days": _WEEK, "start": "00:00", "end": "02:00"}],
            "also": [
                {
                    "address": _PLACE | {"name": "other", "latitude": 51.6},
                    "timetable": [{"days": _WEEK, "start": "02:00", "end": "04:00"}],
                }
            ],
        },
        {"id": "exclusion", "type": "exclusion", "warning_m": 100, **_ZONE},
        {"id": "inclusion", "type": "inclusion", **_ZONE},
        {"id": "restriction", "type": "restriction", **_ZONE},
        {"id": "attendance", "type": "attendance", "schedule": _VISIT, "grace_min": 10, **_ZONE},
        {"id": "trail", "type": "trail"},
        {"id": "alcohol", "type": "alcohol", "mode": "abstinence"},
    ],
}


def compile_all() -> None:
    """Have every rule compiled, or taken from where it is kept; then leave the mark."""
    monitor = Monitor()
    monitor.bind(Activation("compiling", "nobody", order_from_json(_ORDER), _BEGIN_MS))
    for readings in _life():
        monitor.add("compiling", readings)
        monitor.judge(_BEGIN_MS + _ROUNDS * _MINUTE_MS)
    monitor.judge(_BEGIN_MS + 3 * _ROUNDS * _MINUTE_MS)
    mark = warm.mark()
    if mark is not None:
        with suppress(OSError):  # then the next start looks again
            mark.touch()


def _life() -> list[Readings]:
    """All kinds together, the later half first."""
    numbers = np.arange(_ROUNDS)
    t_ms = _BEGIN_MS + numbers * _MINUTE_MS
    out = numbers // 20 % 2
    positions = _columns(
        Positions, t_ms, lat=51.5 + 0.005 * out, lon=0.03 - 0.02 * out, precision_m=8.0, satellites=9
    )
    contacts = _columns(
        Contacts, t_ms, span_s=60.0, count=5 * (1 - out), strongest_dbm=-60.0, median_dbm=-70.0, unit_ok=1
    )
    curve = np.clip(np.minimum(numbers - 40, 240 - numbers) / 1000, 0.0, 0.1)
    samples = _columns(Samples, t_ms, tac_g_dl=curve, ir_v=1.0, temp_c=33.0)
    codes = np.resize(np.array([int(code) for code in EventCode if code != EventCode.STRAP_OPEN]), _ROUNDS)
    events = _columns(Events, t_ms, code=codes, value=50.0)
    whole = Readings(positions, contacts, samples, events)
    half = slice(_ROUNDS // 2, _ROUNDS)
    late = Readings(positions.take(half), contacts.take(half), samples.take(half), events.take(half))
    return [late, whole]


def _columns(kind: type[C], t_ms: Any, **given: Any) -> C:
    columns = given | {"t_ms": t_ms, "epoch": 1, "seq": np.arange(1, len(t_ms) + 1)}
    return kind(
        *(
            np.broadcast_to(np.asarray(columns.get(name, 0), dtype), len(t_ms)).copy()
            for name, dtype in kind.DTYPES.items()
        )
    )
