"""Drinking events and obstructed sensors, sentence by sentence."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from core.activation import Activation
from core.alerts import Alert
from core.conditions import AlcoholCondition, AlcoholMode
from core.monitor import Monitor, evaluate
from core.order import Suspension
from core.readings import EventCode, Readings, Samples
from core.rules import DEFAULT_RULES
from core.sobriety import MEDICAL_NOTE, Sobriety
from core.sobriety_sensors import level_of
from tests.core.drinkers import NAN, events_of, samples_of, sober_order, tagged
from tests.core.wearers import MONDAY_MS

MIN = 60_000
HALF_HOUR = 30 * MIN
# a body: up by 0.024 a half-hour, down by 0.012
BODY = [0.0, 0.0, 0.024, 0.048, 0.072, *[round(0.06 - 0.012 * i, 3) for i in range(6)], *[0.0] * 5]
SPILL = [0.0, 0.0, 0.18, 0.12, 0.06, 0.03, *[0.0] * 6]


def every(step_ms: int, tac: list[float], **more: list[float]) -> Samples:
    return samples_of([MONDAY_MS + i * step_ms for i in range(len(tac))], tac, **more)


def judged(samples: Samples, after_min: int = 60, case: Activation | None = None) -> list[Alert]:
    case = case or tagged()
    now_ms = int(samples.t_ms[-1]) + after_min * MIN
    return evaluate([case], {case.id: Readings(samples=samples)}, now_ms, families=(Sobriety,))


def test_a_curve_that_a_body_makes_is_a_confirmed_drinking_event() -> None:
    (alert,) = judged(every(HALF_HOUR, BODY))
    assert (alert.rule, alert.figures["status"], alert.severity) == ("drinking_event", "confirmed", "high")
    assert alert.start_ms == MONDAY_MS + 2 * HALF_HOUR
    assert alert.end_ms == MONDAY_MS + 9 * HALF_HOUR
    assert alert.figures["beyond_a_body"] == 0
    assert alert.figures["body_peak_g_dl"] == alert.figures["peak_g_dl"] == 0.072
    began = datetime.fromtimestamp(alert.start_ms / 1000 - 69 * 60, UTC)
    assert alert.figures["drinking_began"] == began.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_spill_that_comes_and_goes_faster_than_a_body_is_from_the_surroundings() -> None:
    (alert,) = judged(every(HALF_HOUR, SPILL))
    assert (alert.rule, alert.figures["status"], alert.severity) == (
        "alcohol_in_surroundings",
        "environmental",
        "low",
    )
    assert "no body can have made" in alert.sentence


@pytest.mark.parametrize(
    "tac",
    [
        pytest.param([0.0, *[0.1] * 20, *[0.0] * 6], id="varnish all day: sudden, steady, sudden"),
        pytest.param(
            [0.0, 0.1, *[round(0.1 - 0.012 * i, 3) for i in range(9)], *[0.0] * 5], id="sudden rise"
        ),
        pytest.param([0.0, *[round(0.02 * i, 3) for i in range(1, 6)], *[0.0] * 6], id="sudden fall"),
    ],
)
def test_a_rise_or_a_fall_that_no_body_can_make_leaves_an_event_unconfirmed(tac: list[float]) -> None:
    (alert,) = judged(every(HALF_HOUR, tac))
    assert alert.figures["status"] in ("environmental", "suspected")


def test_what_ends_unconfirmed_stays_suspected_where_a_body_can_have_made_most_of_it() -> None:
    # foil comes off the sensor when all has been drunk: nobody saw the rise
    falling = [0.055, 0.053, 0.05, 0.046, 0.042, 0.036, 0.03, 0.022, 0.01, *[0.0] * 6]
    (alert,) = judged(every(HALF_HOUR, falling))
    assert (alert.rule, alert.figures["status"], alert.severity) == ("drinking_event", "suspected", "medium")
    assert "no body can have made" not in alert.sentence


def test_drinking_in_a_bar_full_of_vapour_is_confirmed_by_what_the_body_gave_off() -> None:
    vapour = [0.0, 0.0, 0.2, 0.048, 0.3, *BODY[5:]]
    (alert,) = judged(every(HALF_HOUR, vapour))
    assert alert.figures["status"] == "confirmed"
    assert alert.figures["beyond_a_body"] == 2


def test_an_event_is_suspected_at_its_third_reading_and_not_before() -> None:
    samples = every(HALF_HOUR, BODY)
    assert judged(samples.take(slice(0, 4)), 1) == []
    (alert,) = judged(samples.take(slice(0, 5)), 1)
    assert (alert.state, alert.figures["status"], alert.severity) == ("open", "suspected", "medium")


def test_two_readings_or_readings_just_below_the_level_raise_nothing() -> None:
    assert judged(every(HALF_HOUR, [0.0, 0.3, 0.3, 0.0, 0.0, 0.3, 0.3, 0.0])) == []
    assert judged(every(HALF_HOUR, [0.0, *[0.019] * 10, 0.0])) == []
    assert judged(every(HALF_HOUR, [0.0, *[0.020] * 10, 0.0])) != []


def test_fast_sampling_is_not_believed_sooner() -> None:
    quick = [0.0, *[0.1] * 10, 0.0, 0.0]
    assert judged(every(5 * MIN, quick)) == []
    slow = [value for value in BODY for _ in range(6)]
    (alert,) = judged(every(5 * MIN, slow))
    assert alert.rule == "drinking_event"


def test_a_body_sampled_every_five_minutes_is_confirmed() -> None:
    up = [i * 0.004 for i in range(20)]
    down = [0.08 - i * 0.0015 for i in range(54)]
    (alert,) = judged(every(5 * MIN, [*up, *down, *[0.0] * 30]))
    assert (alert.figures["status"], alert.state) == ("confirmed", "ended")


def test_one_lost_reading_breaks_no_series_and_two_do() -> None:
    tac = [0.0, 0.03, 0.04, 0.05]
    at = [MONDAY_MS, MONDAY_MS + HALF_HOUR, MONDAY_MS + 2 * HALF_HOUR]
    assert judged(samples_of([*at, MONDAY_MS + 4 * HALF_HOUR], tac), 1) != []
    assert judged(samples_of([*at, MONDAY_MS + 5 * HALF_HOUR], tac), 1) == []


def test_one_low_reading_ends_no_event() -> None:
    tac = [*BODY[:6], 0.0, *BODY[6:]]
    assert len(judged(every(HALF_HOUR, tac))) == 1


def test_readings_that_cease_end_an_event_unseen_by_the_clock_alone() -> None:
    case, samples = tagged(), every(HALF_HOUR, BODY[:6])
    monitor = Monitor(families=(Sobriety,))
    monitor.bind(case)
    monitor.add(case.id, Readings(samples=samples))
    last = int(samples.t_ms[-1])
    (alert,) = monitor.judge(last + 120 * MIN)
    assert alert.state == "open"
    (alert,) = monitor.judge(last + 120 * MIN + 1)
    assert (alert.state, alert.end_ms, alert.figures["status"]) == ("ended", last, "suspected")
    assert "(readings cease)" in alert.sentence


def test_in_limit_mode_the_level_is_the_orders_and_the_words_are_its_own() -> None:
    case = tagged(sober_order(0.08))
    assert judged(every(HALF_HOUR, BODY), case=case) == []
    high = [0.0, *[round(0.02 * i, 3) for i in range(1, 6)], 0.11, 0.1, 0.09, 0.08]
    high += [round(0.07 - 0.012 * i, 3) for i in range(5)]
    (alert,) = judged(every(HALF_HOUR, high), case=case)
    assert alert.start_ms == MONDAY_MS + 4 * HALF_HOUR
    assert alert.sentence.startswith("Alcohol above the limit, confirmed")
    assert "0.080 g/dl, the limit of the order" in alert.sentence


@pytest.mark.parametrize(("most", "status"), [(0.094, "suspected"), (0.098, "confirmed")])
def test_above_a_limit_only_what_is_a_fifth_above_it_confirms(most: float, status: str) -> None:
    case = tagged(sober_order(0.08))
    rise = [0.0, *[round(0.02 * i, 3) for i in range(1, 5)], 0.09]
    fall = [round(most - 0.012 * i, 3) for i in range(1, 8)]
    (alert,) = judged(every(HALF_HOUR, [*rise, most, most, most, *fall]), case=case)
    assert (alert.figures["status"], alert.figures["level_g_dl"]) == (status, 0.08)


def test_a_limit_never_comes_from_a_default() -> None:
    condition = AlcoholCondition("a", "a", AlcoholMode.LIMIT)
    with pytest.raises(ValueError, match="level of the order"):
        level_of(condition, DEFAULT_RULES)


def test_heavy_drinking_carries_a_note_about_medical_help_and_no_diagnosis() -> None:
    heavy = [
        0.0,
        *[round(0.024 * i, 3) for i in range(1, 9)],
        *[round(0.18 - 0.012 * i, 3) for i in range(16)],
    ]
    (alert,) = judged(every(HALF_HOUR, heavy))
    assert alert.figures["note"] == MEDICAL_NOTE
    (light,) = judged(every(HALF_HOUR, BODY))
    assert "note" not in light.figures


def test_a_covered_sensor_is_suspected_and_after_two_hours_confirmed() -> None:
    ir = [1.0] * 12 + [1.4] * 3
    (alert,) = judged(every(HALF_HOUR, [0.0] * 15, ir=ir), 1)
    assert (alert.rule, alert.figures["status"]) == ("sensor_obstructed", "suspected")
    assert (alert.figures["looks_like"], alert.state) == ("obstruction", "open")
    ir = [1.0] * 12 + [1.4] * 5 + [1.0]
    (alert,) = judged(every(HALF_HOUR, [0.0] * 18, ir=ir), 1)
    assert (alert.figures["status"], alert.state) == ("confirmed", "ended")
    assert alert.end_ms == MONDAY_MS + 17 * HALF_HOUR


def test_a_sensor_off_the_skin_turns_cold_and_is_a_removal_confirmed_at_once() -> None:
    ir, temp = [1.0] * 12 + [0.6] * 3, [31.0] * 12 + [24.0] * 3
    (alert,) = judged(every(HALF_HOUR, [0.0] * 15, ir=ir, temp=temp), 1)
    assert (alert.figures["looks_like"], alert.figures["status"]) == ("removal", "confirmed")


def test_cold_alone_or_two_readings_or_a_quarter_volt_exactly_show_nothing() -> None:
    assert judged(every(HALF_HOUR, [0.0] * 20, temp=[31.0] * 12 + [20.0] * 8)) == []
    assert judged(every(HALF_HOUR, [0.0] * 20, ir=[1.0] * 12 + [1.6, 1.6] + [1.0] * 6)) == []
    assert judged(every(HALF_HOUR, [0.0] * 20, ir=[1.0] * 12 + [1.25] * 8)) == []


def test_no_skin_is_as_cold_or_hot_as_this() -> None:
    (alert,) = judged(every(HALF_HOUR, [0.0] * 8, temp=[30.0, *[4.0] * 6, 30.0]))
    assert (alert.rule, alert.figures["looks_like"]) == ("sensor_obstructed", "removal")


def test_alcohol_at_a_covered_sensor_is_no_drinking_event() -> None:
    tac, ir = [0.0] * 12 + BODY[2:9], [1.0] * 12 + [1.5] * 7
    assert {alert.rule for alert in judged(every(HALF_HOUR, tac, ir=ir))} == {"sensor_obstructed"}


def test_from_strap_open_until_a_check_samples_prove_nothing_and_a_check_sets_a_new_baseline() -> None:
    case = tagged()
    tac = [0.0] * 14 + [0.1] * 6 + [0.0] * 10
    samples = every(HALF_HOUR, tac, ir=[1.0] * 20 + [1.5] * 10)
    events = events_of(
        (MONDAY_MS + 13 * HALF_HOUR + 1, EventCode.STRAP_OPEN),
        (MONDAY_MS + 20 * HALF_HOUR - 1, EventCode.OFFICER_CHECK),
    )
    readings = Readings(samples=samples, events=events)
    now_ms = MONDAY_MS + 31 * HALF_HOUR
    assert evaluate([case], {case.id: readings}, now_ms, families=(Sobriety,)) == []


@pytest.mark.parametrize("odd", [NAN, float("inf"), float("-inf"), -5.0, 77.0])
def test_figures_that_are_none_raise_nothing_and_hide_nothing(odd: float) -> None:
    assert judged(every(HALF_HOUR, [odd] * 20)) == []
    tac = [value for each in BODY for value in (each, odd)]
    (alert,) = judged(every(HALF_HOUR // 2, tac))
    assert alert.figures["status"] == "confirmed"
    # an infinite voltage or temperature is unknown; what is a figure and absurd shows a sensor that is away
    alerts = judged(every(HALF_HOUR, BODY, ir=[1.0, 1.0, 1.0, *[odd] * (len(BODY) - 3)]))
    assert {alert.rule for alert in alerts} <= {"drinking_event", "sensor_obstructed"}


def test_nothing_is_judged_before_the_order_or_during_a_suspension() -> None:
    order = sober_order(effective_ms=MONDAY_MS + 20 * HALF_HOUR)
    assert judged(every(HALF_HOUR, BODY), case=tagged(order)) == []
    whole = (Suspension(MONDAY_MS, MONDAY_MS + 20 * HALF_HOUR, "hospital"),)
    assert judged(every(HALF_HOUR, BODY), case=tagged(sober_order(suspensions=whole))) == []


def test_an_event_that_outlasts_the_activation_ends_with_it() -> None:
    case = tagged(removed_ms=MONDAY_MS + 6 * HALF_HOUR)
    (alert,) = judged(every(HALF_HOUR, BODY), case=case)
    assert (alert.state, alert.end_ms) == ("ended", case.removed_ms)


def test_a_new_version_of_the_order_makes_no_second_event() -> None:
    first = sober_order()
    second = replace(first, version=2, effective_ms=MONDAY_MS + 5 * HALF_HOUR)
    case = Activation("activation-1", "alco0001", second, MONDAY_MS, earlier=(first,))
    (alert,) = judged(every(HALF_HOUR, BODY), case=case)
    assert (alert.figures["status"], alert.order_version) == ("confirmed", 1)


def test_a_steady_vapour_just_above_the_level_is_not_confirmed() -> None:
    (alert,) = judged(every(HALF_HOUR, [0.0, *[0.03] * 16, *[0.0] * 6]))
    assert (alert.rule, alert.figures["status"]) == ("drinking_event", "suspected")


def test_a_sample_of_unknown_time_proves_nothing() -> None:
    samples = every(HALF_HOUR, BODY)
    assert judged(replace(samples, flags=np.zeros(len(samples), np.uint8))) == []
