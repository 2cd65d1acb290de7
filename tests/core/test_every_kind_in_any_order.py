"""Law 3 for readings of every kind, with a witness that swears to all that a family is shown; and the strap's mask."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.activation import ALWAYS_MS
from core.alerts import Alert
from core.contact import NO_CONTACT
from core.monitor import Monitor, evaluate
from core.readings import Contacts, EventCode, Events, Positions, Readings, Samples
from core.rows import CONTACT, EVENT, POSITION, SAMPLE, rows_from
from core.rules import DEFAULT_RULES
from core.strap import mask, unworn
from tests.core.wearers import DAY_MS, MONDAY_MS, activation, made, positions
from tests.core.witness import SILENCE_MS, Witness

MINUTE_MS = 60_000
CODES = [EventCode.STRAP_OPEN, EventCode.STRAP_CLOSED, EventCode.OFFICER_CHECK, EventCode.BATTERY]


def contacts(*rows: tuple[int, float]) -> Contacts:
    """Contacts from (t_ms, span_s), numbered as they stand."""
    n = len(rows)
    known = np.full(n, -70.0)
    return Contacts(
        np.array([row[0] for row in rows], np.int64),
        np.array([row[1] for row in rows], np.float64),
        np.full(n, 5),
        known,
        known - 4,
        np.zeros(n, np.int64),
        np.full(n, 1, np.uint8),
        np.full(n, 78, np.uint32),
        np.arange(1, n + 1, dtype=np.uint32),
    )


def samples(*t_ms: int) -> Samples:
    n = len(t_ms)
    at = np.array(t_ms, np.int64)
    flags, epoch = np.full(n, 3, np.uint8), np.full(n, 79, np.uint32)
    return Samples(
        at, np.zeros(n), np.ones(n), np.full(n, np.nan), flags, epoch, np.arange(1, n + 1, dtype="u4")
    )


def events(*rows: tuple[int, EventCode]) -> Events:
    n = len(rows)
    return Events(
        np.array([row[0] for row in rows], np.int64),
        np.array([row[1] for row in rows], np.int64),
        np.full(n, np.nan),
        np.full(n, 80, np.uint32),
        np.arange(1, n + 1, dtype=np.uint32),
    )


minutes = st.lists(st.integers(0, 40), max_size=12).map(
    lambda all_of: [MONDAY_MS + m * MINUTE_MS for m in all_of]
)


@st.composite
def readings(draw: st.DrawFn) -> Readings:
    """Readings of every kind, many of them at the same instants."""
    t_ms = draw(minutes)
    return Readings(
        made(t_ms, [(0.01, 51.505)] * len(t_ms), [draw(st.sampled_from([10.0, 60.0, np.nan])) for _ in t_ms]),
        contacts(*((t, draw(st.sampled_from([0.0, 60.0, 600.0]))) for t in draw(minutes))),
        samples(*draw(minutes)),
        events(*((t, draw(st.sampled_from(CODES))) for t in draw(minutes))),
    )


def pick(whole: Readings, which: list[tuple[int, int]]) -> Readings:
    """Those readings of ``whole`` that are named by (kind, number), in that order."""
    chosen = [np.array([i for kind, i in which if kind == k], np.intp) for k in range(4)]
    return Readings(
        whole.positions.take(chosen[0]),
        whole.contacts.take(chosen[1]),
        whole.samples.take(chosen[2]),
        whole.events.take(chosen[3]),
    )


def names(whole: Readings) -> list[tuple[int, int]]:
    return [(kind, i) for kind, rows in enumerate(whole.kinds()) for i in range(len(rows))]


@given(st.data(), readings(), st.booleans())
@settings(max_examples=120, deadline=None)
def test_any_split_order_repetition_and_clock_shows_a_family_the_same(
    data: st.DataObject, whole: Readings, forgetful: bool
) -> None:
    case, now_ms = activation(), MONDAY_MS + data.draw(st.integers(0, 90)) * MINUTE_MS
    arrived: list[tuple[int, int]] = []

    def recall(name: str, from_ms: int) -> Readings:
        assert name == case.id
        late = pick(whole, arrived)
        return pick(late, [(kind, i) for kind, i in names(late) if late.kinds()[kind].t_ms[i] >= from_ms])

    monitor = Monitor(
        checkpoint_readings=data.draw(st.sampled_from([1, 2, 5])),
        recall=recall if forgetful else None,
        keep_readings=data.draw(st.sampled_from([1, 4])),
        families=[Witness],
    )
    monitor.bind(case)
    # in order too, so that the readings of one instant come one after the other, with the clock between them
    in_order = sorted(names(whole), key=lambda one: whole.kinds()[one[0]].t_ms[one[1]])
    order = data.draw(st.just(in_order) | st.permutations(in_order)).copy()
    order += data.draw(st.lists(st.sampled_from(order), max_size=6)) if order else []
    cuts = sorted({0, len(order), *data.draw(st.lists(st.integers(0, len(order)), max_size=8))})
    told: dict[str, Alert] = {}

    def judge(at_ms: int) -> None:
        for one in monitor.judge(at_ms):
            assert told.get(one.id) != one, "told without a change"
            told[one.id] = one

    for lo, hi in itertools.pairwise(cuts):
        arrived += order[lo:hi]
        monitor.add(case.id, pick(whole, order[lo:hi]))
        if data.draw(st.booleans()):
            judge(MONDAY_MS + data.draw(st.integers(-20, 90)) * MINUTE_MS)
        if data.draw(st.integers(0, 5)) == 0:
            monitor.rebind(case)
    judge(now_ms)
    true = evaluate([case], {case.id: whole}, now_ms, families=[Witness])
    assert monitor.alerts() == true
    assert {one.id: one for one in told.values() if one.state != "withdrawn"} == {one.id: one for one in true}
    assert monitor.judge(now_ms) == []


def test_a_forgetful_monitor_keeps_few_readings_and_asks_for_no_more_than_it_needs() -> None:
    asked: list[int] = []
    whole = made([MONDAY_MS + i * MINUTE_MS for i in range(5000)], [(0.01, 51.505)] * 5000, [10.0] * 5000)

    def recall(name: str, from_ms: int) -> Positions:
        asked.append(from_ms)
        return whole.take(np.flatnonzero(whole.t_ms >= from_ms))

    case = activation()
    monitor = Monitor(recall=recall, families=[Witness], checkpoint_readings=50, keep_readings=100)
    monitor.bind(case)
    late = 3000
    for lo in range(0, 5000, 10):
        if lo != late:
            monitor.add(case.id, whole.take(slice(lo, lo + 10)))
        monitor.judge(int(whole.t_ms[lo + 9]))
        kept = len(monitor._cases[case.id].timeline)
        assert kept <= 100 + 50 + 10
        assert kept >= min(100, lo), "a reading that is a little late must not need the store"
        assert len(monitor._cases[case.id].checkpoints) <= 12
    assert asked == []
    monitor.add(case.id, whole.take(slice(late, late + 10)))
    now_ms = int(whole.t_ms[-1])
    monitor.judge(now_ms)
    assert len(asked) == 1
    assert MONDAY_MS + 2000 * MINUTE_MS < asked[0] <= whole.t_ms[late]
    assert monitor.alerts() == evaluate([case], {case.id: whole}, now_ms, families=[Witness])
    assert len(monitor._cases[case.id].timeline) <= 100 + 50


@pytest.mark.parametrize("late", [7, 30, 31, 58])
def test_a_store_is_asked_for_all_that_is_needed_to_the_millisecond(late: int) -> None:
    whole = made([MONDAY_MS + i for i in range(60)], [(0.01, 51.505)] * 60, [10.0] * 60)
    case = activation()

    def recall(name: str, from_ms: int) -> Positions:
        return whole.take(np.flatnonzero(whole.t_ms >= from_ms))

    monitor = Monitor(recall=recall, checkpoint_readings=1, keep_readings=1, families=[Witness])
    monitor.bind(case)
    for i in [*(i for i in range(60) if i != late), late]:
        monitor.add(case.id, whole.take(slice(i, i + 1)))
        monitor.judge(MONDAY_MS)
    assert monitor.alerts() == evaluate([case], {case.id: whole}, MONDAY_MS, families=[Witness])


def test_years_handed_in_at_once_leave_no_more_behind_than_the_same_bit_by_bit() -> None:
    whole = made([MONDAY_MS + i * MINUTE_MS for i in range(5000)], [(0.01, 51.505)] * 5000, [10.0] * 5000)
    case = activation()
    monitor = Monitor(
        recall=lambda name, from_ms: whole, families=[Witness], checkpoint_readings=5, keep_readings=100
    )
    monitor.bind(case)
    monitor.add(case.id, whole)
    monitor.judge(int(whole.t_ms[-1]))
    assert len(monitor._cases[case.id].checkpoints) <= 12
    assert 100 <= len(monitor._cases[case.id].timeline) <= 100 + 16 * 5


def test_a_store_that_fails_when_asked_leaves_the_monitor_as_it_was() -> None:
    whole = made([MONDAY_MS + i * MINUTE_MS for i in range(60)], [(0.01, 51.505)] * 60, [10.0] * 60)
    fails = True

    def recall(name: str, from_ms: int) -> Positions:
        if fails:
            raise OSError("disk gone")
        return whole

    case, now_ms = activation(), MONDAY_MS + 2 * DAY_MS
    monitor = Monitor(recall=recall, checkpoint_readings=5, keep_readings=5, families=[Witness])
    monitor.bind(case)
    monitor.add(case.id, whole.take(slice(5, None)))
    monitor.judge(now_ms)
    monitor.add(case.id, whole.take(slice(0, 5)))
    for _ in range(2):
        with pytest.raises(OSError, match="disk gone"):
            monitor.judge(now_ms)
    fails = False
    assert monitor.judge(now_ms)
    assert monitor.alerts() == evaluate([case], {case.id: whole}, now_ms, families=[Witness])


def test_wearers_with_different_kinds_do_not_touch_each_other() -> None:
    t_ms = [MONDAY_MS + i * MINUTE_MS for i in range(10)]
    mine = {
        "a": Readings(positions(*((t, "zone") for t in t_ms))),
        "b": Readings(samples=samples(*t_ms[:7])),
        "c": Readings(contacts=contacts(*((t, 60.0) for t in t_ms)), events=events((t_ms[4], CODES[0]))),
        "d": Readings(),
    }
    bound = [replace(activation(), id=name) for name in mine]
    now_ms = MONDAY_MS + DAY_MS
    together = evaluate(bound, mine, now_ms, families=[Witness])
    alone = [
        one
        for case in bound
        for one in evaluate([case], {case.id: mine[case.id]}, now_ms, families=[Witness])
    ]
    assert together == alone != []
    assert {one.start_ms for one in together if one.rule == "silent"} == {
        t_ms[9] + SILENCE_MS,
        t_ms[6] + SILENCE_MS,
    }


def test_a_cut_tag_left_in_the_zone_or_on_the_bed_proves_nothing_until_an_officer_has_looked() -> None:
    at = [MONDAY_MS + i * MINUTE_MS for i in range(9)]
    places = positions(*((t, "zone") for t in at))
    case, now_ms = activation(), at[-1]

    def visits(*happened: tuple[int, EventCode]) -> list[tuple[int, int | None]]:
        found = evaluate([case], {case.id: Readings(places, events=events(*happened))}, now_ms)
        return [(one.start_ms, one.end_ms) for one in found if one.rule == "in_exclusion_zone"]

    assert visits() == [(at[0], None)]
    assert visits((at[0], EventCode.STRAP_OPEN)) == []
    assert visits((at[0], EventCode.STRAP_OPEN), (at[2], EventCode.STRAP_CLOSED)) == []
    checked = (at[0], EventCode.STRAP_OPEN), (at[5], EventCode.OFFICER_CHECK)
    assert visits(*checked) == [(at[5], None)]
    assert visits((at[0] - 1, EventCode.STRAP_OPEN)) == [(at[0], None)], "before fitting it was on nobody"


def test_a_strap_event_that_comes_late_takes_back_what_its_readings_seemed_to_prove() -> None:
    at = [MONDAY_MS + i * MINUTE_MS for i in range(9)]
    case = activation()
    monitor = Monitor()
    monitor.bind(case)
    monitor.add(case.id, positions(*((t, "zone") for t in at)))
    (raised,) = (one for one in monitor.judge(at[-1]) if one.rule == "in_exclusion_zone")
    monitor.add(case.id, Readings(events=events((at[0], EventCode.STRAP_OPEN))))
    (taken,) = (one for one in monitor.judge(at[-1]) if one.rule == "in_exclusion_zone")
    assert taken == replace(raised, state="withdrawn")


def test_a_strap_event_later_than_all_that_is_kept_takes_back_as_much() -> None:
    at = [MONDAY_MS + i * MINUTE_MS for i in range(60)]
    case, places = activation(), positions(*((t, "zone") for t in at))
    opened = Readings(events=events((at[0], EventCode.STRAP_OPEN)))

    def recall(name: str, from_ms: int) -> Readings:
        return Readings(places, events=opened.events)

    monitor = Monitor(recall=recall, keep_readings=5, checkpoint_readings=5)
    monitor.bind(case)
    for i in range(60):
        monitor.add(case.id, places.take(slice(i, i + 1)))
        monitor.judge(at[i])
    assert "in_exclusion_zone" in {one.rule for one in monitor.alerts()}
    monitor.add(case.id, opened)
    monitor.judge(at[-1])
    assert monitor.alerts() == evaluate([case], {case.id: recall("", 0)}, at[-1])
    assert "in_exclusion_zone" not in {one.rule for one in monitor.alerts()}


def test_a_fitting_told_anew_decides_anew_which_straps_were_the_wearers() -> None:
    at = [MONDAY_MS + i * MINUTE_MS for i in range(9)]
    readings = Readings(positions(*((t, "zone") for t in at)), events=events((at[0], EventCode.STRAP_OPEN)))
    early, right = activation(), activation(fitted_ms=at[1])
    monitor = Monitor()
    monitor.bind(early)
    monitor.add(early.id, readings)
    assert "in_exclusion_zone" not in {one.rule for one in monitor.judge(at[-1])}
    monitor.rebind(right)
    monitor.judge(at[-1])
    assert monitor.alerts() == evaluate([right], {right.id: readings}, at[-1])
    assert {one.rule for one in monitor.alerts()} >= {"in_exclusion_zone"}


@given(st.lists(st.tuples(st.integers(0, 20), st.sampled_from(CODES)), max_size=12), st.integers(0, 20))
@settings(max_examples=100, deadline=None)
def test_the_mask_is_what_the_sentence_says(happened: list[tuple[int, EventCode]], fitted: int) -> None:
    """Instant by instant: unworn from a strap open until the next officer's check."""
    rows = rows_from(Readings(events=events(*happened)), 5.0)[EVENT]
    t_ms = list(range(25))
    whole = Readings(
        made(t_ms, [(0.0, 51.0)] * 25, [10.0] * 25), contacts(*((t, 0.003) for t in t_ms)), samples(*t_ms)
    )
    kinds = [found for found in rows_from(whole, 5.0)[:3] if found is not None]
    spans = np.zeros((0, 2), np.int64) if rows is None else unworn(rows, fitted)
    for kind, found in zip((POSITION, CONTACT, SAMPLE), kinds, strict=True):
        mask(found, kind, spans)
    off = []
    state = False
    for t in t_ms:
        for _, code in sorted((one for one in happened if one[0] == t >= fitted), key=lambda one: 0):
            state = code == EventCode.STRAP_OPEN or (state and code != EventCode.OFFICER_CHECK)
        off.append(state)
    assert [not worn for worn in kinds[POSITION]["worn"]] == off
    assert np.isinf(kinds[POSITION]["radius_m"]).tolist() == off
    assert [not worn for worn in kinds[SAMPLE]["worn"]] == off
    heard = [any(off[max(0, t - 3) : t + 1]) for t in t_ms]
    assert [not worn for worn in kinds[CONTACT]["worn"]] == heard


def test_a_silent_device_is_told_at_its_deadline_and_ended_never_withdrawn() -> None:
    limit_ms = DEFAULT_RULES.no_contact_s * 1000
    case = activation()
    monitor = Monitor()
    monitor.bind(case)

    def told(now_ms: int) -> list[tuple[str, int, int | None]]:
        return [(a.state, a.start_ms, a.end_ms) for a in monitor.judge(now_ms) if a.rule == NO_CONTACT]

    assert told(MONDAY_MS + 9 * limit_ms) == [], "nobody listens yet"
    heard_ms = MONDAY_MS + 10 * limit_ms
    monitor.heard(case.id, heard_ms)
    assert told(heard_ms + limit_ms - 1) == []
    assert told(heard_ms + limit_ms) == [("open", heard_ms + limit_ms, None)]
    assert told(heard_ms + limit_ms + 5) == []
    assert told(heard_ms) == [], "a clock that goes back unsays nothing"
    monitor.heard(case.id, heard_ms - 5)
    assert told(heard_ms + limit_ms + 6) == []
    again_ms = heard_ms + limit_ms + 7
    monitor.heard(case.id, again_ms)
    assert told(again_ms) == [("ended", heard_ms + limit_ms, again_ms)]
    assert [a.state for a in monitor.alerts() if a.rule == NO_CONTACT] == ["ended"]
    assert told(again_ms + limit_ms) == [("open", again_ms + limit_ms, None)]
    monitor.rebind(replace(case, removed_ms=again_ms + limit_ms + 9))
    assert told(again_ms + limit_ms + 9) == [("ended", again_ms + limit_ms, again_ms + limit_ms + 9)]
    assert told(again_ms + 9 * limit_ms) == []


def test_silence_counts_from_fitting_and_not_after_removal() -> None:
    case = activation(removed_ms=MONDAY_MS + DEFAULT_RULES.no_contact_s * 1000)
    monitor = Monitor()
    monitor.bind(case)
    monitor.heard(case.id, MONDAY_MS - DAY_MS)
    assert not [one for one in monitor.judge(MONDAY_MS + 9 * DAY_MS) if one.rule == NO_CONTACT]


def test_without_a_check_a_strap_stays_open() -> None:
    rows = rows_from(Readings(events=events((5, CODES[0]))), 5.0)[EVENT]
    assert rows is not None
    assert unworn(rows, 0).tolist() == [[5, ALWAYS_MS]]
