"""Law 3 for alcohol tags: however samples arrive, the alerts are those that the sentences promise, once."""

from __future__ import annotations

import itertools
from datetime import datetime

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from core.alerts import Alert
from core.monitor import Monitor, evaluate
from core.readings import Readings
from core.sobriety import Sobriety
from tests.core.drinkers import readings_of, sober_order, tagged, tags
from tests.core.sobriety_reference import MIN, Cover, Drink, Sample, covers, drinks


def promised(samples: list[Sample], level: int, sure: int, now_ms: int) -> list[tuple[object, ...]]:
    found: list[tuple[object, ...]] = []
    for one in (*drinks(samples, level, sure, now_ms), *covers(samples)):
        if isinstance(one, Drink):
            body = round(float(one.body) / 1e6, 3)
            shown: tuple[object, ...] = (one.high, one.beyond, body, round(one.peak / 1e6, 3))
            shown += (one.confirmed_ms and one.confirmed_ms // 1000,)
            outside = one.status == "environmental" or (
                one.status == "suspected" and one.beyond > one.high - one.beyond
            )
            rule = "alcohol_in_surroundings" if outside else "drinking_event"
            found.append((rule, one.start_ms, one.end_ms, one.status, *shown))
        else:
            assert isinstance(one, Cover)
            found.append(("sensor_obstructed", one.start_ms, one.end_ms, one.status, one.readings, one.cold))
    return sorted(found, key=repr)


def as_promised(alert: Alert) -> tuple[object, ...]:
    figures = alert.figures
    head = (alert.rule, alert.start_ms, alert.end_ms, figures["status"])
    if alert.rule == "sensor_obstructed":
        return (*head, figures["readings"], figures["cold_readings"])
    at = figures.get("confirmed_at")
    confirmed = int(datetime.fromisoformat(str(at)).timestamp()) if at else None
    shown = (figures[name] for name in ("readings", "beyond_a_body", "body_peak_g_dl", "peak_g_dl"))
    return (*head, *shown, confirmed)


@pytest.mark.parametrize("limit", [None, 0.08])
@given(tags(), st.sampled_from([1, 119, 121, 2000]))
@settings(max_examples=60, deadline=None)
def test_alerts_about_alcohol_are_what_the_sentences_promise(
    limit: float | None, samples: list[Sample], after_min: int
) -> None:
    now_ms = samples[-1].t_ms + after_min * MIN
    case = tagged(sober_order(limit))
    alerts = evaluate([case], {case.id: readings_of(samples)}, now_ms, families=(Sobriety,))
    true = promised(samples, *((20_000, 20_000) if limit is None else (80_000, 96_000)), now_ms)
    event(f"{min(len(true), 4)} alerts")
    for row in true:
        event(f"{row[0]} {row[3]}")
    assert sorted(map(as_promised, alerts), key=repr) == true


@given(st.data(), tags())
@settings(max_examples=60, deadline=None)
def test_samples_in_any_order_split_and_repetition_end_in_the_same_alerts(
    data: st.DataObject, samples: list[Sample]
) -> None:
    whole = readings_of(samples)
    case, now_ms = tagged(), samples[-1].t_ms + data.draw(st.sampled_from([1, 119, 121, 2000])) * MIN
    n, m = len(whole.samples), len(whole.events)
    order = data.draw(st.permutations(range(n))) if data.draw(st.integers(0, 3)) == 0 else list(range(n))
    for _ in range(data.draw(st.integers(0, 4))):  # some a little late, so that a checkpoint lies before them
        i = data.draw(st.integers(0, n - 1))
        order.insert(min(n - 1, i + data.draw(st.sampled_from([1, 2, 5, 40]))), order.pop(i))
    order += data.draw(st.lists(st.integers(0, n - 1), max_size=5))
    one_by_one = range(len(order) if data.draw(st.booleans()) else 0)
    cuts = {0, len(order), *one_by_one, *data.draw(st.lists(st.integers(0, len(order)), max_size=6))}
    monitor = Monitor(
        families=(Sobriety,),
        checkpoint_readings=data.draw(st.sampled_from([1, 3, 256])),
        keep_readings=10_000,
    )
    monitor.bind(case)
    late = data.draw(st.booleans())
    told: dict[str, Alert] = {}

    def judge(at_ms: int) -> None:
        for alert in monitor.judge(at_ms):
            assert told.get(alert.id) != alert, "told without a change"
            told[alert.id] = alert

    if not late:
        monitor.add(case.id, Readings(events=whole.events))
    for lo, hi in itertools.pairwise(sorted(cuts)):
        batch = whole.samples.take(np.array(order[lo:hi], np.intp))
        monitor.add(case.id, Readings(samples=batch))
        if data.draw(st.booleans()):
            judge(int(batch.t_ms[-1]) + data.draw(st.sampled_from([0, 1, 121, -500])) * MIN)
    for i in range(m if late else 0):
        monitor.add(case.id, Readings(events=whole.events.take(slice(m - 1 - i, m - i))))
    judge(now_ms)
    final = evaluate([case], {case.id: whole}, now_ms, families=(Sobriety,))
    assert monitor.alerts() == final
    assert {alert.id: alert for alert in told.values() if alert.state != "withdrawn"} == {
        alert.id: alert for alert in final
    }
    assert len({alert.id for alert in final}) == len(final)
