"""Who is told what, and when: the rules alone, through years of civil time in milliseconds."""

from __future__ import annotations

import copy
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path as File
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.delivery import plan, routes
from gateway.delivery.hours import clock_time, hours, next_time, within
from gateway.delivery.routes import Routes, RoutesError
from gateway.doctor.gathering import alert_paths
from gateway.settings import Settings
from gateway.store.outbox import About, Delivery, Escalation, Path, Telling

LONDON = ZoneInfo("Europe/London")
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
NOW_MS = round(datetime(2026, 6, 3, 10, 0, tzinfo=UTC).timestamp() * 1000)  # a Wednesday, 11:00 in London
CURFEW = About("absent_during_curfew", "community_order", "W-1")

DOCUMENT: dict[str, Any] = {
    "link": "https://box.example/alerts/",
    "contacts": {
        "ann": {"url": "json://127.0.0.1:1/", "sms": "+447700900001"},
        "bob": {"url": "json://127.0.0.1:2/"},
        "desk": {"url": "json://127.0.0.1:3/"},
        "night": {"sms": "+447700900002", "hours": ["22:00-06:00"]},
    },
    "route": [
        {"name": "duty", "rota": ["ann", ["bob", "desk"]], "severities": ["critical", "high"]},
        {"name": "quiet", "rota": ["desk"], "severities": ["low"], "digest": ["08:00", "16:00"]},
        {"name": "rest", "rota": ["desk"], "otherwise": True},
    ],
    "modem": {"device": "/dev/ttyUSB0"},
}
ROUTES = routes.of(DOCUMENT)


def utc_ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def with_route(**changes: Any) -> Routes:
    document = copy.deepcopy(DOCUMENT)
    document["route"][0] |= changes
    return routes.of(document)


def telling(
    revision: int = 1, *, state: str = "open", severity: str = "high", at_ms: int = NOW_MS
) -> Telling:
    return Telling(revision, 7, revision, state, severity, NOW_MS - HOUR_MS, at_ms)


def told(one: Telling, at_ms: int = NOW_MS) -> Telling:
    return replace(one, decided_ms=at_ms, outcome="told")


def decide(
    one: Telling,
    last: Telling | None = None,
    sent: tuple[Delivery, ...] = (),
    *,
    about: About = CURFEW,
    acknowledged: int = 0,
    by: Routes = ROUTES,
    now_ms: int = NOW_MS,
) -> plan.Decision:
    found = plan.decide(one, last, about, sent, acknowledged, by, 1, now_ms)
    assert found is not None
    return found


def who(decision: plan.Decision) -> list[str]:
    return [one.contact for one in decision.messages]


def done(*messages: Delivery) -> tuple[Delivery, ...]:
    return tuple(replace(one, id=n, attempts=1, outcome="sent") for n, one in enumerate(messages, 1))


def test_a_new_alert_goes_to_the_first_on_the_rota_of_its_route() -> None:
    decision = decide(telling())
    assert who(decision) == ["ann"]
    assert decision.messages[0].key == "1.7.1.duty.ann.0"
    assert decision.escalations == (Escalation(7, "duty", 1, NOW_MS, 0, NOW_MS + 10 * MINUTE_MS),)


def test_what_no_route_takes_goes_to_the_one_for_everything_else() -> None:
    assert [one.route for one in decide(telling(severity="medium")).messages] == ["rest"]


def test_what_no_route_takes_at_this_hour_waits_for_the_hour() -> None:
    by = routes.of(DOCUMENT | {"route": [{"name": "day", "rota": ["ann"], "hours": ["mon-fri 12:00-13:00"]}]})
    assert plan.decide(telling(), None, CURFEW, (), 0, by, 1, NOW_MS) is None
    assert who(decide(telling(), by=by, now_ms=NOW_MS + HOUR_MS)) == ["ann"]  # 12:00 in London


@pytest.mark.parametrize(
    ("route", "about", "taken"),
    [
        ({"rules": ["absent_during_curfew"]}, CURFEW, True),
        ({"rules": ["strap"]}, CURFEW, False),
        ({"regimes": ["bail", "community_order"]}, CURFEW, True),
        ({"regimes": ["bail"]}, CURFEW, False),
        ({"regimes": ["bail"]}, About("no_contact"), False),
        ({"hours": ["wed 10:30-11:30"]}, CURFEW, True),
        ({"hours": ["wed 09:30-10:30"]}, CURFEW, False),  # UTC is not what people's clocks show
    ],
)
def test_routes_choose_by_rule_regime_and_civil_hour(
    route: dict[str, Any], about: About, taken: bool
) -> None:
    decision = decide(telling(), about=about, by=with_route(**route))
    assert [one.route for one in decision.messages] == (["duty"] if taken else ["rest"])


def test_routes_choose_by_officer() -> None:
    document = copy.deepcopy(DOCUMENT)
    document["officer"] = [{"name": "J. Smith", "wearers": ["W-1", "W-2"]}]
    document["route"][0]["officers"] = ["J. Smith"]
    by = routes.of(document)
    assert decide(telling(), by=by).messages[0].route == "duty"
    assert decide(telling(), by=by, about=replace(CURFEW, wearer="W-3")).messages[0].route == "rest"


def test_who_is_off_duty_is_left_out_and_nobody_on_duty_means_all() -> None:
    document = copy.deepcopy(DOCUMENT)
    document["contacts"]["ann"]["hours"] = ["22:00-06:00"]
    assert who(decide(telling(), by=routes.of(document))) == ["bob", "desk"]
    for name in ("bob", "desk"):
        document["contacts"][name]["hours"] = ["22:00-06:00"]
    assert who(decide(telling(), by=routes.of(document))) == ["ann"]


def test_people_are_told_of_one_alert_at_most_once_in_five_minutes_and_then_of_the_newest() -> None:
    last = told(telling())
    later = [telling(2, severity="critical", at_ms=NOW_MS + 1), telling(3, state="ended", at_ms=NOW_MS + 2)]
    assert plan.merge(later, last, NOW_MS + 5 * MINUTE_MS - 1) is None
    merged = plan.merge(later, last, NOW_MS + 5 * MINUTE_MS)
    assert merged == plan.Merged(later[1], (2,), True)
    back = plan.merge([*later, telling(4)], last, NOW_MS + 5 * MINUTE_MS)
    assert back is not None and not back.worth  # it says again what was told


def test_what_came_and_was_withdrawn_before_anybody_was_told_is_told_to_nobody() -> None:
    merged = plan.merge([telling(), telling(2, state="withdrawn")], None, NOW_MS)
    assert merged is not None and not merged.worth


def test_a_clock_that_was_set_back_holds_nothing_up() -> None:
    assert plan.merge([telling(2, state="ended")], told(telling(), NOW_MS + DAY_MS), NOW_MS) is not None
    assert plan.is_due(NOW_MS + DAY_MS, plan.LAST_RETRY_MS, NOW_MS)
    waiting = Escalation(7, "duty", 1, NOW_MS + DAY_MS, 0, NOW_MS + DAY_MS + 10 * MINUTE_MS)
    assert plan.next_round(waiting, told(telling()), ROUTES, 1, NOW_MS) is not None


def test_a_withdrawn_alert_is_told_to_exactly_those_who_were_told_of_it() -> None:
    ann = done(*decide(telling()).messages)
    quietly = replace(ann[0], id=2, contact="desk", route="quiet", digest=True, attempts=0, outcome=None)
    perhaps = replace(ann[0], id=3, contact="bob", attempts=1, outcome=None)
    decision = decide(telling(2, state="withdrawn"), told(telling()), (*ann, quietly, perhaps))
    assert who(decision) == ["ann", "bob"]  # bob's message may have got through
    assert decision.dropped == (2,)
    assert decision.escalations == ()


def test_a_withdrawal_reaches_those_told_also_outside_the_hours_of_their_route() -> None:
    ann = done(*decide(telling()).messages)
    by = with_route(hours=["sat 10:00-11:00"])
    assert who(decide(telling(2, state="withdrawn"), told(telling()), ann, by=by)) == ["ann"]


def test_a_change_is_told_to_those_who_know_and_asks_for_nobody_anew() -> None:
    ann = done(*decide(telling()).messages)
    decision = decide(telling(2, state="ended"), told(telling()), ann, acknowledged=1)
    assert (who(decision), decision.escalations) == (["ann"], ())


def test_an_alert_that_grew_more_severe_begins_anew_with_the_routes_of_that_severity() -> None:
    low = decide(telling(severity="low"))
    assert (who(low), low.messages[0].digest, low.escalations) == (["desk"], True, ())
    waiting = tuple(replace(one, id=5) for one in low.messages)
    high = decide(telling(2), told(telling(severity="low")), waiting, acknowledged=1)
    assert {one.contact for one in high.messages} == {"ann", "desk"}
    assert high.dropped == (5,)  # the digest has been overtaken
    assert [one.route for one in high.escalations] == ["duty"]


def test_what_somebody_has_acknowledged_before_it_was_told_is_not_told() -> None:
    assert decide(telling(), acknowledged=1) == plan.Decision("acknowledged")


def test_nobody_is_told_twice_of_one_revision() -> None:
    both = DOCUMENT["route"] + [{"name": "also", "rota": ["ann"]}]
    assert who(decide(telling(), by=routes.of(DOCUMENT | {"route": both}))) == ["ann"]


def test_the_next_on_the_rota_is_told_until_somebody_acknowledges_ever_more_slowly() -> None:
    waiting = decide(telling()).escalations[0]
    now_ms, heard, at = NOW_MS, [], []
    for _ in range(2000):
        now_ms += MINUTE_MS
        found = plan.next_round(waiting, told(telling()), ROUTES, 1, now_ms)
        if found is not None:
            waiting, messages = found
            heard.append([one.contact for one in messages])
            at.append((now_ms - NOW_MS) // MINUTE_MS)
    assert heard[:4] == [["bob", "desk"], ["ann"], ["bob", "desk"], ["ann"]]
    assert at[:6] == [10, 20, 40, 60, 100, 140]
    assert at[-1] - at[-2] == 60


def test_rounds_that_went_by_while_the_gateway_was_off_are_one() -> None:
    waiting = decide(telling()).escalations[0]
    found = plan.next_round(waiting, told(telling()), ROUTES, 1, NOW_MS + 3 * DAY_MS)
    assert found is not None
    assert (found[0].round, found[0].next_ms) == (1, NOW_MS + 3 * DAY_MS + 10 * MINUTE_MS)


def test_every_message_of_years_has_a_key_of_its_own() -> None:
    keys = [
        message.key
        for day in range(3 * 365)
        for message in decide(telling(day + 1), now_ms=NOW_MS + day * DAY_MS).messages
    ]
    assert len(keys) == len(set(keys)) == 3 * 365


def test_digests_come_at_their_civil_times_through_ten_years_of_clock_changes() -> None:
    times = [clock_time("08:00"), clock_time("16:00")]
    now_ms, seen = NOW_MS, []
    while now_ms < NOW_MS + 3653 * DAY_MS:
        now_ms = next_time(times, now_ms, LONDON)
        seen.append(datetime.fromtimestamp(now_ms / 1000, LONDON))
    assert {(one.hour, one.minute) for one in seen} == {(8, 0), (16, 0)}
    assert len({one.date() for one in seen}) * 2 in range(len(seen) - 1, len(seen) + 2)


def test_a_time_that_is_left_out_or_happens_twice_comes_once_a_day() -> None:
    half_one = [clock_time("01:30")]
    for day in ("2026-03-29", "2026-10-25"):
        first = next_time(half_one, utc_ms(f"{day}T00:00:00+00:00") - 2 * HOUR_MS, LONDON)
        second = next_time(half_one, first, LONDON)
        assert datetime.fromtimestamp(first / 1000, LONDON).date().isoformat() == day
        assert second - first > 22 * HOUR_MS


@pytest.mark.parametrize(
    ("spans", "instant", "inside"),
    [
        ("mon-fri 08:00-18:00", "2026-06-03T07:30:00+00:00", True),  # 08:30 in summer
        ("mon-fri 08:00-18:00", "2026-12-02T07:30:00+00:00", False),
        ("mon-fri 08:00-18:00", "2026-06-06T10:00:00+00:00", False),
        ("fri 22:00-06:00", "2026-06-06T04:59:00+00:00", True),  # Saturday 05:59
        ("fri 22:00-06:00", "2026-06-06T05:00:00+00:00", False),
        ("fri 22:00-06:00", "2026-06-05T04:00:00+00:00", False),  # of Thursday's night
        ("sat-mon 00:00-24:00", "2026-06-08T10:00:00+00:00", True),
        ("00:00-00:00", "2026-06-08T10:00:00+00:00", True),
        ("01:15-01:45", "2026-10-25T00:30:00+00:00", True),  # the hour that happens twice
        ("01:15-01:45", "2026-10-25T01:30:00+00:00", True),
        ("01:15-01:45", "2026-03-29T01:30:00+00:00", False),  # the hour that is left out
    ],
)
def test_hours_are_those_of_clocks_on_the_wall(spans: str, instant: str, inside: bool) -> None:
    assert within([hours(spans)], utc_ms(instant), LONDON) is inside


@given(st.integers(0, 10 * 365 * 24 * 60), st.sampled_from(["22:00-06:00", "mon-fri 22:00-06:00"]))
def test_hours_and_the_rest_of_the_day_leave_no_minute_out(minute: int, span: str) -> None:
    now_ms = NOW_MS + minute * MINUTE_MS
    rest = [hours("06:00-22:00"), hours("sat-sun 22:00-00:00"), hours("sun-mon 00:00-06:00")]
    inside = within([hours(span)], now_ms, LONDON)
    assert inside != within(rest[:1] if span.startswith("22") else rest, now_ms, LONDON)


@given(st.integers(1, 10_000))
def test_a_provider_is_asked_again_for_ever_and_at_least_every_quarter_of_an_hour(failures: int) -> None:
    assert 5_000 <= plan.back_off_ms(failures) <= plan.back_off_ms(failures + 1) <= 15 * MINUTE_MS


def test_what_matters_most_goes_first_and_what_is_not_taken_holds_up_no_other() -> None:
    low, high = (
        replace(decide(telling()).messages[0], id=n, severity=s) for n, s in ((1, "low"), (2, "high"))
    )
    stubborn = replace(high, id=3, severity="critical", attempts=4)
    assert plan.next_messages([low, stubborn, high], NOW_MS) == [high]
    assert plan.next_messages([low, stubborn], NOW_MS) == [low]
    assert plan.next_messages([stubborn], NOW_MS) == [stubborn]


def test_a_digest_is_one_message_at_its_time() -> None:
    waiting = [replace(decide(telling(n, severity="low")).messages[0], id=n) for n in (1, 2, 3)]
    due_ms = waiting[0].next_ms
    assert datetime.fromtimestamp(due_ms / 1000, LONDON).hour == 16
    assert plan.next_messages(waiting, due_ms - 1) == []
    assert plan.next_messages(waiting, due_ms) == waiting


FAILING = Path("ann", failing_ms=NOW_MS, failures=3, retry_ms=NOW_MS)


@pytest.mark.parametrize(
    ("severity", "paths", "minutes", "goes"),
    [
        ("medium", [FAILING], 4, False),
        ("medium", [FAILING], 5, True),
        ("medium", [FAILING, Path("bob", sent_ms=NOW_MS - 1)], 5, True),  # nobody was reached since
        ("medium", [FAILING, Path("bob", sent_ms=NOW_MS + 1)], 60, False),
        ("high", [FAILING, Path("bob", sent_ms=NOW_MS + 1)], 2, False),
        ("high", [FAILING, Path("bob", sent_ms=NOW_MS + 1)], 3, True),
        ("critical", [], 3, True),  # the provider holds on to an earlier message
    ],
)
def test_the_modem_is_for_a_dead_uplink_and_for_what_is_urgent_and_late(
    severity: str, paths: list[Path], minutes: int, goes: bool
) -> None:
    waiting = [replace(decide(telling(), None).messages[0], id=1, severity=severity)]
    now_ms = NOW_MS + minutes * MINUTE_MS
    assert bool(plan.by_sms(waiting, {one.contact: one for one in paths}, ROUTES, now_ms)) is goes


def test_who_has_only_a_telephone_gets_everything_by_sms_at_once() -> None:
    by = with_route(rota=["night"])
    waiting = [replace(one, id=1) for one in decide(telling(), by=by).messages]
    assert plan.by_sms(waiting, {}, by, NOW_MS) == waiting
    digest = with_route(rota=["night"], digest=["16:00"])
    quiet = [replace(one, id=1) for one in decide(telling(), by=digest).messages]
    assert plan.by_sms(quiet, {}, digest, NOW_MS) == []
    assert plan.by_sms(quiet, {}, digest, quiet[0].next_ms) == quiet


SECRET = "tgram://geheim4711/chat"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"rota": ["eve"]}, r"route.0.rota: no contact is called 'eve'"),
        ({"rota": []}, r"route\.0\.rota"),
        ({"severity": ["high"]}, r"route\.0\.severity: there is no such key"),
        ({"severities": ["urgent"]}, r"route\.0\.severities\.0"),
        ({"regimes": ["parole"]}, r"route\.0\.regimes\.0"),
        ({"hours": ["mon-fri 8-18"]}, r"route\.0\.hours\.0: 'mon-fri 8-18' are no hours"),
        ({"hours": ["25:00-26:00"]}, r"route\.0\.hours\.0: .*no 25:00 o'clock"),
        ({"digest": ["8"], "rota": ["ann"]}, r"route\.0\.digest\.0: '8' is no time of day"),
        ({"digest": ["08:00"]}, r"route\.0: rota: a digest is not escalated"),
        ({"minutes": 0}, r"route\.0\.minutes"),
        ({"officers": ["J. Smith"]}, r"route.0.officers: no \[\[officer\]\] is called 'J. Smith'"),
        ({"name": "rest"}, r"route.2.name: 'rest' stands twice"),
        ({"name": "Duty!"}, r"route\.0\.name"),
    ],
)
def test_an_error_in_the_routes_names_the_key(change: dict[str, Any], named: str) -> None:
    with pytest.raises(RoutesError, match=named):
        with_route(**change)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"contacts": {}}, "no contact is called 'ann'"),
        ({"contacts": {"ann": {"hours": []}}}, r"contacts\.ann: give url, sms, or both"),
        ({"contacts": {"ann": {"url": SECRET, "sms": "call me"}}}, r"contacts\.ann\.sms"),
        ({"contacts": {"modem": {"url": SECRET}}, "route": []}, "modem: that name is taken"),
        ({"modem": None}, r"contacts.night.sms: there is no \[modem\]"),
        ({"timezone": "Europe/Londinium"}, "timezone: .*is no time zone"),
        ({"heartbeat": {"url": "ftp://geheim4711"}}, r"heartbeat: url: write https"),
        ({"heartbeat": {"url": "https://x/geheim4711", "every_s": 600}}, r"heartbeat\.every_s"),
        ({"route": []}, "route: nobody is told"),
        ({"link": "javascript:geheim4711"}, "link"),
    ],
)
def test_an_error_elsewhere_names_the_key_and_no_secret(change: dict[str, Any], named: str) -> None:
    with pytest.raises(RoutesError, match=named) as raised:
        routes.of(DOCUMENT | change)
    if change.get("contacts") or "heartbeat" in change:
        assert "geheim4711" not in str(raised.value)


def test_routes_that_others_may_read_are_refused_with_the_remedy(tmp_path: File) -> None:
    file = tmp_path / "routes.toml"
    file.write_text('[heartbeat]\nurl = "https://example.org/geheim4711"\n')
    file.chmod(0o640)
    with pytest.raises(RoutesError, match="chmod 600"):
        routes.read(file)
    file.chmod(0o600)
    found = routes.read(file)
    assert "geheim4711" not in repr(found)
    file.write_text("[heartbeat\n")
    with pytest.raises(RoutesError, match="is not TOML"):
        routes.read(file)
    with pytest.raises(RoutesError, match="can not be read"):
        routes.read(tmp_path / "none.toml")


def test_the_example_in_the_documents_can_be_used(tmp_path: File) -> None:
    example = File(__file__).parents[2] / "docs" / "routes.toml"
    file = tmp_path / "routes.toml"
    file.write_bytes(example.read_bytes())
    file.chmod(0o600)
    found = routes.read(file)
    assert found.modem is not None and found.heartbeat is not None
    assert alert_paths(Settings.load(tmp_path)) == ("providers over the uplink", "SMS modem")
    chosen = {
        severity: routes.taken(found, CURFEW, severity, NOW_MS)
        for severity in ("critical", "high", "medium", "low")
    }
    assert all(chosen.values())


def test_a_doubt_about_the_evidence_is_told_to_those_who_know_of_the_alert_and_gets_nobody_up_again() -> None:
    first = told(telling())
    sent = done(*decide(telling()).messages)
    doubt = replace(telling(2), doubtful=True, only_doubt=True)
    merged = plan.merge([doubt], first, NOW_MS + HOUR_MS)
    assert merged is not None
    assert merged.worth
    decision = decide(doubt, first, sent)
    assert who(decision) == ["ann"]
    assert decision.messages[0].doubtful
    assert decision.escalations == ()
    # taken back: they are told that, too; the same once more: nobody
    back = replace(telling(3), only_doubt=True)
    assert who(decide(back, told(doubt), sent)) == ["ann"]
    assert plan.merge([replace(back, revision=4)], told(back), NOW_MS + HOUR_MS) == plan.Merged(
        replace(back, revision=4), (), False
    )


def test_who_never_heard_of_an_alert_does_not_learn_of_it_by_a_doubt() -> None:
    doubt = replace(telling(2), doubtful=True, only_doubt=True)
    merged = plan.merge([doubt], None, NOW_MS)
    assert merged is not None
    assert not merged.worth
    # one that is raised with doubtful evidence, or doubted before anybody was told, is told like any other
    for waiting in ([replace(telling(), doubtful=True)], [telling(), doubt]):
        merged = plan.merge(waiting, None, NOW_MS)
        assert merged is not None
        assert merged.worth
        decision = decide(merged.newest)
        assert who(decision) == ["ann"]
        assert decision.messages[0].doubtful
        assert decision.escalations
