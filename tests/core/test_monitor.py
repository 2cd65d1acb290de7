"""The monitor's own manners: what it refuses, what it tells again, what it costs; and it is the same everywhere."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.activation import LATEST_MS
from core.alerts import About, alert_id, iso_utc, of_tag, raise_alert
from core.monitor import Monitor, NotBoundError, evaluate
from core.readings import Positions
from core.rules import DEFAULT_RULES, RuleSet
from tests.core.wearers import DAY_MS, MONDAY_MS, PLACES, activation, made, positions

ROOT = Path(__file__).resolve().parent.parent.parent


def walk(count: int, seed: int = 1) -> Positions:
    """Days of a wearer who goes here and there, a position a minute."""
    rng = np.random.default_rng(seed)
    stays = rng.choice(["home", "home", "street", "zone", "far", "door"], count // 45 + 1)
    places = [PLACES[str(stays[minute // 45])] for minute in range(count)]
    scatter = rng.normal(0, 5e-5, (count, 2))
    return made(
        [MONDAY_MS + minute * 60_000 for minute in range(count)],
        [(lon + dx, lat + dy) for (lon, lat), (dx, dy) in zip(places, scatter, strict=True)],
        rng.choice([3.0, 10.0, 25.0, np.nan], count).tolist(),
    )


def digest() -> str:
    """All alerts of five days, as text, hashed."""
    found = evaluate([activation()], {"activation-1": walk(7200)}, MONDAY_MS + 6 * DAY_MS)
    text = json.dumps([alert.to_json() for alert in found], sort_keys=True)
    return f"{len(found)} {hashlib.sha256(text.encode()).hexdigest()}"


def test_compiled_and_plain_python_give_the_same_alerts_bit_for_bit() -> None:
    compiled = os.environ.get("NUMBA_DISABLE_JIT", "0") == "0"
    script = "from tests.core.test_monitor import digest; print(digest())"
    other = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1" if compiled else "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert other.stdout.strip() == digest()
    assert int(digest().split()[0]) > 20


def test_readings_of_an_activation_that_is_not_bound_are_refused_by_name() -> None:
    monitor = Monitor()
    with pytest.raises(NotBoundError, match="'nobody' is not bound"):
        monitor.add("nobody", Positions.empty())
    with pytest.raises(NotBoundError):
        monitor.rebind(activation())
    with pytest.raises(NotBoundError):
        monitor.unbind("nobody")
    monitor.bind(activation())
    with pytest.raises(ValueError, match="bound already"):
        monitor.bind(activation())


def test_a_clock_beyond_2100_is_refused() -> None:
    with pytest.raises(ValueError, match="set the gateway's clock"):
        Monitor().judge(LATEST_MS)


def test_an_activation_that_can_not_be_is_refused() -> None:
    wrong: list[dict[str, Any]] = [{"fitted_ms": -1}, {"fitted_ms": LATEST_MS}, {"removed_ms": MONDAY_MS - 1}]
    for changes in wrong:
        with pytest.raises(ValueError, match="activation 'activation-1'"):
            activation(**changes)


def test_an_activation_let_go_leaves_nothing_and_can_come_back() -> None:
    monitor = Monitor()
    case, rows, now_ms = activation(), walk(600), MONDAY_MS + DAY_MS
    for _ in range(3):
        monitor.bind(case)
        monitor.add(case.id, rows)
        first = monitor.judge(now_ms)
        assert first == evaluate([case], {case.id: rows}, now_ms) != []
        monitor.unbind(case.id)
        assert monitor.judge(now_ms + 1) == []
        assert monitor.alerts() == []


def test_a_reading_that_comes_again_is_not_told_again() -> None:
    monitor = Monitor()
    case, rows, now_ms = activation(), walk(2000), MONDAY_MS + 2 * DAY_MS
    monitor.bind(case)
    monitor.add(case.id, rows)
    assert monitor.judge(now_ms)
    for part in (rows, rows.take(slice(0, 7)), rows.take(slice(-3, None)), rows.take(slice(None, None, -1))):
        monitor.add(case.id, part)
        assert monitor.judge(now_ms) == []


def test_binding_later_judges_what_lies_behind() -> None:
    case, rows = activation(), walk(2000)
    other = replace(case, id="other")
    monitor = Monitor()
    monitor.bind(case)
    monitor.add(case.id, rows)
    monitor.judge(MONDAY_MS + 2 * DAY_MS)
    monitor.bind(other)
    monitor.add(other.id, rows)
    told = monitor.judge(MONDAY_MS + 2 * DAY_MS)
    assert {alert.activation for alert in told} == {"other"}
    assert len(told) == len(monitor.alerts()) / 2


def test_an_alert_has_the_same_identity_in_every_process_and_differs_by_every_part() -> None:
    known = alert_id("a", "c", "r", 1)
    assert known == hashlib.sha256(b'["a","c","r",1]').hexdigest()[:32]
    others = {
        alert_id("b", "c", "r", 1),
        alert_id("a", "d", "r", 1),
        alert_id("a", "c", "s", 1),
        alert_id("a", "c", "r", 2),
    }
    assert len(others | {known, alert_id("a", "c", "r", 1, 1)}) == 6


def test_an_alert_as_json_has_whole_seconds_and_names_its_readings() -> None:
    rows = positions((MONDAY_MS + 999, "zone"), (MONDAY_MS + 70_999, "zone"))
    alerts = evaluate([activation()], {"activation-1": rows}, MONDAY_MS + 71_000)
    (alert,) = (alert for alert in alerts if alert.condition == "zone-1")
    document = alert.to_json()
    assert json.loads(json.dumps(document)) == document
    assert (document["start"], document["end"], document["state"]) == ("2026-06-01T00:00:00Z", None, "open")
    assert document["readings"] == [[77, 1], [77, 2]]
    assert (document["order_version"], document["rule_set"]) == (1, DEFAULT_RULES.version)
    assert iso_utc(999) == "1970-01-01T00:00:00Z"
    evidence = of_tag("position", 0, 5 << 32 | 7, 5 << 32 | 7)
    raised = raise_alert(About("a", "c", 1, "r"), "rule", "low", 0, None, "Said.", {}, evidence, (0,))
    assert raised.readings == ((5, 7),), "each once, and none where there is none"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"precision_floor_m": 0.0}, "give a positive number"),
        ({"vouch_s": -1}, "give a positive number"),
        ({"address_margin_m": float("nan")}, "give a positive number"),
        ({"confirm_within_s": 10}, "nothing could ever be confirmed"),
        ({"vouch_s": 901}, "must not exceed confirm_within_s"),
    ],
)
def test_a_rule_set_that_can_not_work_is_refused(changes: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        RuleSet(**changes)  # type: ignore[arg-type]


def test_readings_in_order_cost_only_themselves_and_a_late_one_little_more() -> None:
    """Work is counted by positions judged, not by a clock that others share."""
    judged: list[int] = []

    class Counting(Monitor):
        def _feed(self, cases: list) -> None:  # type: ignore[type-arg]
            before = {case.activation.id: case.fed for case in cases}
            super()._feed(cases)
            judged.append(sum(case.fed - before[case.activation.id] for case in cases))

    monitor = Counting()
    case, rows = activation(), walk(4000)
    monitor.bind(case)
    for first in range(0, 4000, 10):
        if first != 2000:
            monitor.add(case.id, rows.take(slice(first, first + 10)))
        monitor.judge(int(rows.t_ms[first]))
    assert sum(judged) == 3990
    late = rows.take(slice(2000, 2010))
    monitor.add(case.id, late)
    monitor.judge(int(rows.t_ms[-1]))
    assert judged[-1] <= 2000 + 256 + 10
    assert monitor.alerts() == evaluate([case], {case.id: rows}, int(rows.t_ms[-1]))


def test_kernels_come_from_the_cache_and_are_not_compiled_again() -> None:
    script = (
        "from tests.core.test_monitor import digest; digest(); "
        "from core import absences, zone_watch; "
        "print([len(kernel.stats.cache_misses) for kernel in (zone_watch.watch_zones, absences.watch_curfews)])"
    )
    env = {**os.environ, "NUMBA_DISABLE_JIT": "0"}
    for _ in range(2):  # compiled and cached by the first, if they have not been yet
        run = subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, env=env, capture_output=True, text=True, check=True
        )
    assert run.stdout.strip() == "[0, 0]"
