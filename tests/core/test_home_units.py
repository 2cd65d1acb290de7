"""Presence from home units: what hearing a tag shows and what silence does; and units that can not be trusted."""

from __future__ import annotations

import csv
import itertools
import random
import statistics
from dataclasses import replace

import numpy as np
import pytest

from core.activation import Activation
from core.alerts import Alert
from core.family import Batch, batch_of
from core.home_status import home_status
from core.monitor import Monitor, evaluate
from core.order import Address, CurfewCondition, order_from_json
from core.presence import Presence
from core.readings import Contacts, EventCode, Events, Positions, Readings, UnitFlag
from core.rows import rows_from
from core.rules import DEFAULT_RULES
from tests.core.homes import DATA, MAINS, beacons, contacts, degraded, events, listened, recordings
from tests.core.wearers import MONDAY_MS, activation, curfew, order_json, positions

HOME, NOT_HOME, UNKNOWN = Presence.HOME, Presence.NOT_HOME, Presence.UNKNOWN
CURFEW_MS = MONDAY_MS + 18 * 3_600_000
"""19:00 British Summer Time; the curfew ends at 07:00, 12 h later."""
VOUCH_MS = DEFAULT_RULES.vouch_s * 1000
RECORDINGS = recordings()
SOMEWHERE = Address("primary", 51.5, 0.03, 50.0)


def at(minutes: float) -> int:
    """Minutes after the curfew begins."""
    return CURFEW_MS + int(minutes * 60_000)


def heard(
    first: int, last: int, count: int = 4, dbm: float = -60.0, ok: int = MAINS
) -> list[tuple[int, int, float, int]]:
    """A contact for every minute that ends after ``first`` and by ``last``."""
    return [(at(m), count, dbm, ok) for m in range(first + 1, last + 1)]


def silent(first: int, last: int, ok: int = MAINS) -> list[tuple[int, int, float, int]]:
    return heard(first, last, 0, ok=ok)


def stay(place: str, first: int, last: int, precision_m: float = 10.0) -> list[tuple[int, str, float]]:
    return [(at(m + 0.5), place, precision_m) for m in range(first, last)]


def watched() -> Activation:
    return activation(order_from_json(order_json(conditions=[curfew()])), fitted_ms=at(-600))


def batch(rf: Contacts, gps: Positions | None = None, told: Events | None = None) -> Batch:
    kinds = rows_from(
        Readings(positions=gps or Positions.empty(), contacts=rf, events=told or Events.empty()),
        DEFAULT_RULES.precision_floor_m,
    )
    named = zip(("positions", "contacts", "samples", "events"), kinds, strict=True)
    return batch_of(**{name: rows for name, rows in named if rows is not None})


def status(rf: Contacts, until: float, told: Events | None = None) -> list[tuple[float, float, Presence]]:
    found = home_status(batch(rf, told=told), SOMEWHERE, DEFAULT_RULES, at(0), at(until))
    return [((a - CURFEW_MS) / 60_000, (b - CURFEW_MS) / 60_000, state) for a, b, state in found]


def judged(now: float, rf: Contacts, gps: Positions | None = None, told: Events | None = None) -> list[Alert]:
    case = watched()
    readings = Readings(positions=gps or Positions.empty(), contacts=rf, events=told or Events.empty())
    # what is said of the equipment itself has its own tests (test_equipment)
    return [a for a in evaluate([case], {case.id: readings}, at(now)) if a.condition != "equipment"]


def rules_of(alerts: list[Alert]) -> list[str]:
    return [alert.rule for alert in alerts]


def test_heard_is_home_and_a_night_of_it_raises_nothing() -> None:
    assert status(contacts(*heard(0, 10)), 10) == [(0, 10, HOME)]
    assert judged(12 * 60 + 5, contacts(*heard(-5, 12 * 60 + 5))) == []


def test_missed_beacons_are_no_absence() -> None:
    rows = contacts(*heard(-5, 60), *silent(60, 62), *heard(62, 120))
    assert judged(120, rows) == []
    assert NOT_HOME not in [state for _, _, state in status(rows, 120)]


@pytest.mark.parametrize(("minutes", "raised"), [(2, False), (3, True)])
def test_a_healthy_unit_must_listen_in_vain_for_180_seconds(minutes: int, raised: bool) -> None:
    alerts = judged(60 + minutes, contacts(*heard(-5, 60), *silent(60, 60 + minutes)))
    assert rules_of(alerts) == (["absent_during_curfew"] if raised else [])


def test_an_absence_by_the_home_unit_begins_with_the_silence_and_ends_when_the_tag_is_heard_again() -> None:
    (alert,) = judged(120, contacts(*heard(-5, 60), *silent(60, 100), *heard(100, 120)))
    assert (alert.start_ms, alert.end_ms) == (at(61), at(101))
    # last heard at some moment of the minute that ended at 60, heard again at some moment of that which ended at 101
    assert (alert.figures["at_least_min"], alert.figures["at_most_min"]) == (39, 42)
    assert (alert.figures["positions"], alert.figures["contacts"]) == (0, 40)
    assert alert.figures["kind"] == "out_during"
    assert alert.sentence == (
        "Away from the primary address during the curfew that began at 19:00 on 1 June 2026, "
        "from 20:01 on 1 June 2026 until 20:41 on 1 June 2026: at least 39 min, at most 42 min; "
        "the home unit there listened and did not hear the tag."
    )
    assert "farthest_m" not in alert.figures
    assert alert.readings


def test_silence_before_the_curfew_alerts_at_its_start_by_time_alone() -> None:
    monitor, case = Monitor(), watched()
    monitor.bind(case)
    monitor.add(case.id, Readings(contacts=contacts(*silent(-30, 0)[:-1])))
    assert monitor.judge(at(0) - 1) == []
    (alert,) = monitor.judge(at(0))
    assert (alert.rule, alert.start_ms, alert.figures["kind"]) == (
        "absent_during_curfew",
        CURFEW_MS,
        "already_out",
    )


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(heard(20, 60, dbm=-97.0), id="weak"),
        pytest.param(heard(20, 60, count=1), id="one beacon"),
        pytest.param(heard(20, 60, dbm=float("nan")), id="no strength told"),
        pytest.param(heard(20, 60, count=-3), id="a count that can not be"),
    ],
)
def test_a_weak_signal_is_neither_presence_nor_absence(rows: list[tuple[int, int, float, int]]) -> None:
    assert status(contacts(*heard(0, 20), *rows), 60) == [(0, 22.5, HOME), (22.5, 60, UNKNOWN)]
    (alert,) = judged(60, contacts(*heard(0, 20), *rows))
    assert (alert.rule, alert.start_ms) == ("whereabouts_unknown", at(22.5))


@pytest.mark.parametrize("count", [0, 4])
@pytest.mark.parametrize(
    "ok",
    [
        pytest.param(0, id="mains lost"),
        pytest.param(MAINS | UnitFlag.MOVED, id="moved"),
        pytest.param(MAINS | UnitFlag.CASE_OPEN, id="case open"),
    ],
)
def test_a_unit_without_mains_moved_or_open_shows_nothing_and_never_absence(count: int, ok: int) -> None:
    rows = contacts(*heard(0, 20), *heard(20, 60, count, ok=ok))
    assert status(rows, 60) == [(0, 22.5, HOME), (22.5, 60, UNKNOWN)]
    (alert,) = judged(60, rows)
    assert (alert.rule, alert.start_ms) == ("whereabouts_unknown", at(22.5))


@pytest.mark.parametrize("count", [0, 4])
def test_while_two_send_with_one_key_a_unit_shows_neither_presence_nor_absence(count: int) -> None:
    rows = contacts(*heard(0, 20), *heard(20, 60, count, ok=MAINS | UnitFlag.DOUBTFUL))
    assert status(rows, 60) == [(0, 22.5, HOME), (22.5, 60, UNKNOWN)]
    (alert,) = judged(60, rows)
    assert (alert.rule, alert.start_ms) == ("whereabouts_unknown", at(22.5))


def test_a_unit_on_a_low_battery_but_on_mains_is_healthy() -> None:
    assert status(contacts(*heard(0, 20, ok=MAINS | UnitFlag.BATTERY_LOW)), 20) == [(0, 20, HOME)]


def test_a_unit_that_was_unplugged_or_whose_link_is_down_says_nothing_and_that_is_not_absence() -> None:
    (alert,) = judged(120, contacts(*heard(-5, 60)))
    assert (alert.rule, alert.state, alert.start_ms) == ("whereabouts_unknown", "open", at(62.5))
    # its contacts were only late
    assert judged(120, contacts(*heard(-5, 120))) == []


def test_a_unit_that_was_moved_means_the_address_again_only_after_an_officer_saw_it() -> None:
    moved = heard(20, 21, ok=MAINS | UnitFlag.MOVED)
    rows = contacts(*heard(0, 20), *moved, *heard(21, 60))
    assert status(rows, 60) == [(0, 22.5, HOME), (22.5, 60, UNKNOWN)]
    # an interval that began before the check says nothing
    checked = events((at(39.5), EventCode.UNIT_CHECKED, 0))
    assert status(rows, 60, checked) == [(0, 22.5, HOME), (22.5, 40, UNKNOWN), (40, 60, HOME)]
    another = events((at(40), EventCode.UNIT_CHECKED, 1))
    assert status(rows, 60, another)[-1] == (22.5, 60, UNKNOWN)


def test_an_event_that_says_moved_counts_as_the_flag_does() -> None:
    told = events((at(20.2), EventCode.UNIT_MOVED, 0))
    assert status(contacts(*heard(0, 60)), 60, told) == [(0, 22.5, HOME), (22.5, 60, UNKNOWN)]


def test_a_cut_tag_left_beside_the_unit_is_not_home() -> None:
    told = events((at(20), EventCode.STRAP_OPEN))
    (alert,) = [a for a in judged(60, contacts(*heard(-5, 60)), told=told) if a.rule == "whereabouts_unknown"]
    assert alert.start_ms <= at(22.5)


def test_moments_of_listening_add_up_to_no_silence() -> None:
    rows = contacts(*((at(m / 60), 0) for m in range(600)), span_s=0.0)
    assert rules_of(judged(10, rows)) == []
    negative = replace(rows, span_s=np.full(600, -5.0))
    assert rules_of(judged(10, negative)) == []
    overlapping = contacts(*((at(m / 60), 0) for m in range(60, 120)), span_s=60.0)
    assert rules_of(judged(2, overlapping)) == []


def test_contacts_of_another_units_index_say_nothing_of_this_address() -> None:
    assert status(contacts(*silent(0, 60), unit=1), 60) == [(0, 60, UNKNOWN)]
    assert status(contacts(*heard(0, 60), unit=-1), 60) == [(0, 60, UNKNOWN)]


def test_contacts_of_two_units_are_two_even_where_time_epoch_and_number_are_the_same() -> None:
    """Each unit draws the epoch of its journal by chance; whose journal it is tells them apart."""
    mine, other = contacts(*heard(-5, 60), *silent(60, 100)), contacts(*heard(-5, 100), unit=1)
    case = watched()
    apart = evaluate([case], {case.id: Readings(contacts=Contacts.concatenate([mine, other]))}, at(100))
    assert "absent_during_curfew" in rules_of(apart)
    same = replace(other, epoch=mine.epoch)
    for some in ([mine, same], [same, mine]):
        assert evaluate([case], {case.id: Readings(contacts=Contacts.concatenate(some))}, at(100)) == apart
        monitor = Monitor()
        monitor.bind(case)
        for half in some:
            for first in (50, 0):
                monitor.add(case.id, Readings(contacts=half.take(slice(first, first + 60))))
        monitor.judge(at(100))
        assert monitor.alerts() == apart


def test_home_unit_and_positions_that_agree_are_one_absence() -> None:
    rf = contacts(*heard(-5, 60), *silent(60, 100), *heard(100, 120))
    gps = positions(*stay("home", -5, 60), *stay("street", 61, 99), *stay("home", 101, 120))
    (alert,) = judged(120, rf, gps)
    assert alert.figures["kind"] == "out_during"
    # the silence of the minute that ended at 61 was contradicted by the position at home at 59:30
    assert alert.start_ms == at(61.5)
    assert alert.figures["positions"] == 38
    assert alert.figures["contacts"] == 39
    assert alert.figures["farthest_m"] == pytest.approx(347, abs=2)


def test_positions_alone_show_an_absence_when_the_home_unit_says_nothing() -> None:
    (alert,) = judged(100, contacts(*heard(-5, 60)), positions(*stay("street", 70, 100)))
    assert (alert.rule, alert.start_ms) == ("absent_during_curfew", at(70.5))


def test_sources_that_disagree_are_unknown_and_an_equipment_alert_never_an_absence() -> None:
    rf = contacts(*heard(-5, 120))
    gps = positions(*stay("home", -5, 30), *stay("street", 30, 60), *stay("home", 60, 120))
    found = {alert.rule: alert for alert in judged(120, rf, gps)}
    assert set(found) == {"sources_disagree", "whereabouts_unknown"}
    alert = found["sources_disagree"]
    assert (alert.state, alert.severity, alert.start_ms, alert.end_ms) == (
        "ended",
        "medium",
        at(30.5),
        at(60.5),
    )
    assert alert.figures["disagreed_min"] == 30
    assert "contradict each other" in alert.sentence
    assert alert.readings
    shown = home_status(batch(rf, gps), SOMEWHERE, DEFAULT_RULES, at(0), at(120))
    assert [state for _, _, state in shown] == [HOME, UNKNOWN, HOME]


def test_sources_disagree_for_less_than_600_seconds_is_somebody_coming_or_going() -> None:
    rf = contacts(*heard(-5, 120))
    # the last position in the street vouches for 150 s more, and the unit contradicts it as long
    for minutes, raised in ((8, False), (9, True)):
        gps = positions(*stay("home", -5, 30), *stay("street", 30, 30 + minutes), *stay("home", 60, 120))
        assert rules_of(judged(120, rf, gps)) == (["sources_disagree"] if raised else [])


def test_the_other_way_round_a_silent_unit_against_positions_at_home_is_unknown_too() -> None:
    rf = contacts(*heard(-5, 30), *silent(30, 120))
    found = judged(120, rf, positions(*stay("home", -5, 120)))
    assert set(rules_of(found)) == {"sources_disagree", "whereabouts_unknown"}
    assert all(alert.state == "open" for alert in found)


def test_a_disagreement_ends_by_time_alone_when_nothing_more_is_heard() -> None:
    monitor, case = Monitor(), watched()
    monitor.bind(case)
    gps = positions(*stay("street", 30, 60))
    monitor.add(case.id, Readings(positions=gps, contacts=contacts(*heard(-5, 60))))
    opened = [alert for alert in monitor.judge(at(60)) if alert.rule == "sources_disagree"]
    assert [alert.state for alert in opened] == ["open"]
    ended = [alert for alert in monitor.judge(at(62.5)) if alert.rule == "sources_disagree"]
    assert [(alert.id, alert.state, alert.end_ms) for alert in ended] == [(opened[0].id, "ended", at(62.5))]


def test_one_wrong_position_against_the_home_unit_raises_nothing() -> None:
    gps = positions(*stay("home", -5, 30), (at(30.5), "street", 2.0), *stay("home", 31, 120))
    assert judged(120, contacts(*heard(-5, 120)), gps) == []


@pytest.mark.parametrize("name", RECORDINGS)
@pytest.mark.parametrize(("every_s", "span_s"), [(0.0, 30.0), (10.0, 60.0), (15.0, 60.0)])
def test_in_the_flat_nobody_leaves_and_every_anchor_says_so(name: str, every_s: float, span_s: float) -> None:
    """All beacons, at about 3 Hz; and only those that a frugal tag would have sent, one in 10 or 15 s."""
    recorded = beacons(name)
    from_ms = min(rows[0][0] for rows in recorded.values())
    to_ms = max(rows[-1][0] for rows in recorded.values())
    assert recorded
    for rows, phase_ms in itertools.product(recorded.values(), range(0, 10_000, 2_500)):
        # of a frugal tag's beacon only what was heard in the third of a second in which it would have been sent
        sent = [
            (t, dbm) for t, dbm in rows if not every_s or (t - from_ms - phase_ms) % (every_s * 1000) < 333
        ]
        rf = listened(sent, from_ms, to_ms, span_s)
        last_ms = int(rf.t_ms[-1])
        found = home_status(batch(rf), SOMEWHERE, DEFAULT_RULES, from_ms, last_ms)
        lengths = dict.fromkeys(Presence, 0)
        for start, end, state in found:
            lengths[state] += end - start
        assert lengths[NOT_HOME] == 0
        assert lengths[HOME] >= 0.95 * (last_ms - from_ms)
        # and through a curfew of that time nothing is raised
        case = watched()
        moved = replace(rf, t_ms=rf.t_ms - from_ms + at(30))
        before = contacts(*heard(-5, 30), first=10_000)
        both = Contacts.concatenate([before, moved])
        assert evaluate([case], {case.id: Readings(contacts=both)}, int(moved.t_ms[-1])) == []


@pytest.mark.parametrize("name", RECORDINGS)
@pytest.mark.parametrize("weaker_db", [0, 10, 20, 25])
@pytest.mark.parametrize("span_s", [30.0, 60.0])
def test_in_the_flat_with_half_of_few_faint_beacons_lost_nobody_is_absent_whose_tag_is_heard(
    name: str, weaker_db: int, span_s: float
) -> None:
    """One beacon in 15 s, weaker, half of them lost: every second one, or by chance. An evening of three hours.

    By chance twelve in a row are lost now and then: then the unit has listened in vain for 180 s, and says so.
    """
    cases = kept = 0
    for number, (anchor, rows) in enumerate(beacons(name).items()):
        from_ms, to_ms = rows[0][0], rows[0][0] + 3 * 3_600_000
        chance = random.Random(f"{anchor} {weaker_db}")
        by_chance = {i for i in range(720) if chance.random() < 0.5}
        for lost in (lambda i, odd=number % 2: i % 2 == odd, by_chance.__contains__):
            rf = listened(degraded(rows, 15_000, weaker_db, lost, to_ms), from_ms, to_ms, span_s)
            last_ms = int(rf.t_ms[-1])
            heard_ms = rf.t_ms[rf.count > 0]
            longest_ms = np.diff(heard_ms, prepend=from_ms, append=last_ms).max()
            found = home_status(batch(rf), SOMEWHERE, DEFAULT_RULES, from_ms, last_ms)
            for start, end, state in found:
                if state == NOT_HOME:
                    assert not ((heard_ms > start) & (heard_ms - span_s * 1000 < end - VOUCH_MS)).any()
            case = watched()
            moved = replace(rf, t_ms=rf.t_ms - from_ms + at(30))
            both = Contacts.concatenate([contacts(*heard(-5, 30), first=10_000), moved])
            alerts = evaluate([case], {case.id: Readings(contacts=both)}, int(moved.t_ms[-1]))
            cases += 1
            if longest_ms < DEFAULT_RULES.rf_missed_s * 1000:
                kept += 1
                assert NOT_HOME not in {state for _, _, state in found}
                assert "absent_during_curfew" not in rules_of(alerts)
    assert 2 * kept >= cases


def test_one_beacon_breaks_a_silence_and_a_silence_that_lasts_is_absence_all_the_same() -> None:
    broken = [*silent(60, 62), *heard(62, 63, count=1), *silent(63, 65), *heard(65, 66, dbm=-99.0)]
    rows = contacts(*heard(-5, 60), *broken)
    assert judged(66, rows) == []
    assert NOT_HOME not in [state for _, _, state in status(rows, 66)]
    rows = contacts(*heard(-5, 60), *broken, *silent(66, 69))
    (alert,) = judged(69, rows)
    assert (alert.rule, alert.start_ms) == ("absent_during_curfew", at(67))
    assert status(rows, 69)[-1] == (66, 69, NOT_HOME)


def test_a_beacon_breaks_no_absence_that_positions_show_and_ends_none_that_silence_showed() -> None:
    gps = positions(*stay("street", 60, 90))
    (alert,) = judged(90, contacts(*heard(-5, 57), *heard(57, 90, count=1)), gps)
    assert (alert.rule, alert.start_ms) == ("absent_during_curfew", at(60.5))
    (alert,) = judged(80, contacts(*heard(-5, 60), *silent(60, 70), *heard(70, 80, count=1)))
    assert (alert.rule, alert.start_ms, alert.end_ms) == ("absent_during_curfew", at(61), None)


def test_a_beacon_before_the_curfew_takes_the_silence_from_its_beginning_and_one_after_it_does_not() -> None:
    quiet = silent(-30, -1)
    assert judged(0.5, contacts(*quiet, *heard(-1, 0, count=1))) == []
    for rows in (quiet, [*quiet, *heard(0, 1, count=1)]):
        (alert,) = judged(2, contacts(*rows))
        assert (alert.rule, alert.start_ms) == ("absent_during_curfew", CURFEW_MS)


def test_a_position_at_home_after_a_beacon_is_not_contradicted_by_the_silence_before_it() -> None:
    rf = contacts(*heard(-5, 60), *silent(60, 63), *heard(63, 64, count=1), *silent(64, 66))
    gps = positions((at(64), "home", 10.0), (at(64.5), "home", 10.0))
    status_ = home_status(batch(rf, gps), SOMEWHERE, DEFAULT_RULES, at(60), at(66))
    assert (at(64), at(66), HOME) in status_


def test_no_strength_of_signal_tells_inside_from_outside_so_none_makes_an_absence() -> None:
    """The corridor: twelve tags, two receivers. Those inside are *weaker* than those outside."""
    tags: dict[tuple[str, str], list[tuple[int, float]]] = {}
    with (DATA / "corridor" / "raw_rssi.csv").open(newline="") as lines:
        for row in csv.DictReader(lines):
            tag = tags.setdefault((row["name"], row["locationStatus"]), [])
            tag.append((int(row["timestamp"]), float(row["rssiOne"])))
    assert len(tags) == 12
    medians: dict[str, list[float]] = {}
    for (_, where), beaconed in tags.items():
        medians.setdefault(where, []).append(statistics.median(dbm for _, dbm in beaconed))
        rows = sorted(set(beaconed))  # one tag's rows repeat
        rf = listened(rows, rows[0][0], rows[-1][0], 60.0)
        found = home_status(batch(rf), SOMEWHERE, DEFAULT_RULES, rows[0][0], int(rf.t_ms[-1]))
        assert {state for _, _, state in found} == {
            HOME
        }  # heard: within reach of the unit; it can tell no more
    assert max(medians["INSIDE"]) < min(medians["OUTSIDE"])


def test_the_condition_that_is_judged_is_the_one_in_the_order() -> None:
    (condition,) = watched().order.conditions
    assert isinstance(condition, CurfewCondition)
    assert (condition.address.latitude, condition.address.longitude) == (51.5, 0.03)
