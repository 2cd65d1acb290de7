"""From the alert to real receivers, on a stepped clock: refused, slow, gone for days, withdrawn, by SMS."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.clock import SteppedClock
from gateway.delivery import notice, paths, routes, status, trial
from gateway.delivery.notifier import Planner, workers
from gateway.store import Store, alerts, devices, outbox
from gateway.store.alerts import AlertEntry
from gateway.store.outbox import MODEM
from tests.gateway.receivers import SECRET, Mail, ModemStand, Web, black_hole, nobody

START_MS = 1_780_480_800_000  # a Wednesday, 11:00 in London
MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS
DEVICE = "tag0001"
NAME = "Jane Doe"


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    opened = Web()
    yield opened
    opened.close()


@pytest.fixture
def receiver(web: Web) -> Web:
    web.status, web.slow_s = 200, 0.0
    web.got.clear()
    web.calls.clear()
    return web


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = filled(tmp_path / "store.sqlite")
    yield opened
    opened.close()


def filled(place: Path | str) -> Store:
    opened = Store.open(place)
    with opened.write() as connection:
        devices.add(connection, devices.Device(DEVICE, bytes(32), b"", 5, None))
    return opened


class Box:
    """A notifier whose clock, planner and workers a test drives."""

    def __init__(self, store: Store, document: dict[str, Any]) -> None:
        self.store = store
        self.clock = SteppedClock(START_MS)
        self.routes = routes.of(document)
        self.known = True
        self.begin()

    def begin(self) -> None:
        """A new process: it knows what the store knows."""
        known = lambda: self.known  # noqa: E731
        self.planner = Planner(self.store, self.routes, self.now_ms, known)
        made = workers(self.store, self.routes, self.now_ms, known)
        self.workers = {worker.name: worker for worker in made}
        self.planner.begin()

    def now_ms(self) -> int:
        return self.clock.now_ms() or 0

    def alert(self, name: str = "a1", *, state: str = "open", severity: str = "high", more: str = "") -> int:
        text = f'{{"id":"{name}","state":"{state}","sentence":"{NAME} at 1 High Street","more":"{severity}{more}"}}'
        entry = AlertEntry(name, DEVICE, None, "no_contact", state, severity, START_MS, text)
        with self.store.write() as connection:
            return alerts.put(connection, [entry], self.now_ms())[0]

    def work(self, *names: str) -> None:
        """Decide and send all that is due now."""
        assert self.planner.due() or not self.planner.decide()
        self.planner.decide()
        for name, worker in self.workers.items():
            while (not names or name in names) and worker.step():
                pass

    def wait(self, minutes: float, *names: str) -> None:
        """So long later everything due is done; in between the gateway works, too."""
        end_ms = self.now_ms() + round(minutes * MINUTE_MS)
        step_ms = MINUTE_MS * (
            1 if minutes <= 30 else 10 if minutes <= 120 else 60 if minutes <= 1440 else 720
        )
        while self.now_ms() < end_ms:
            self.clock.advance(min(end_ms, self.now_ms() + step_ms))
            self.work(*names)

    def outcomes(self) -> list[tuple[str, str | None]]:
        with self.store.read() as connection:
            return [(one.contact, one.outcome) for n in range(1, 9) for one in outbox.of_alert(connection, n)]


def to(url: str, **more: Any) -> dict[str, Any]:
    return {
        "link": "https://box.example/alerts/",
        "contacts": {"ann": {"url": url, **more}},
        "route": [{"name": "duty", "rota": ["ann"], "minutes": 1440}],
    }


def test_what_is_told_is_number_revision_urgency_and_link_and_nothing_else(
    store: Store, receiver: Web
) -> None:
    box = Box(store, to(receiver.url))
    box.alert()
    box.work()
    assert receiver.got == ["Alert 1, revision 1: high. https://box.example/alerts/1 [1.1.1.duty.ann.0]"]


def test_an_extension_tells_nobody_and_a_change_of_state_start_or_severity_does(
    store: Store, receiver: Web
) -> None:
    box = Box(store, to(receiver.url))
    for more in ("", "longer", "longer still"):
        box.alert(more=more)
        box.work()
    assert len(receiver.got) == 1
    box.alert(severity="critical")
    box.work()
    assert len(receiver.got) == 1  # at most once in 5 minutes
    box.alert(state="ended", severity="critical")
    box.wait(5)
    assert [text.split(".")[0] for text in receiver.got[1:]] == ["Alert 1, revision 5: critical"]


def test_an_alert_that_is_rolled_back_tells_nobody(store: Store, receiver: Web) -> None:
    box = Box(store, to(receiver.url))
    entry = AlertEntry("a1", DEVICE, None, "no_contact", "open", "high", START_MS, "{}")
    with pytest.raises(KeyError), store.write() as connection:
        alerts.put(connection, [entry], START_MS)
        raise KeyError
    box.work()
    assert receiver.calls == []


def test_what_was_said_before_there_were_routes_is_not_told(store: Store, receiver: Web) -> None:
    entry = AlertEntry("old", DEVICE, None, "no_contact", "open", "high", START_MS, "{}")
    with store.write() as connection:
        alerts.put(connection, [entry], START_MS)
    box = Box(store, to(receiver.url))
    box.work()
    box.alert("new")
    box.begin()  # and only the very first time
    box.work()
    assert [text.split(",")[0] for text in receiver.got] == ["Alert 2"]


def test_a_mail_arrives_and_one_that_is_refused_arrives_later(store: Store) -> None:
    mail = Mail()
    try:
        box = Box(store, to(mail.url))
        mail.answer = "451 try again"
        box.alert()
        box.work()
        box.wait(10)
        assert mail.got == []
        mail.answer = "250 taken"
        box.wait(20)
        assert [text.strip() for text in mail.got] == [
            "Alert 1, revision 1: high. https://box.example/alerts/1 [1.1.1.duty.ann.0]"
        ]
    finally:
        mail.close()


@pytest.mark.parametrize("answer", [500, None])
def test_a_provider_that_is_back_after_nine_days_gets_everything_once(
    store: Store, receiver: Web, answer: int | None
) -> None:
    box = Box(store, to(receiver.url if answer else nobody()))
    receiver.status = answer or 200
    for number in range(5):
        box.alert(f"a{number}")
    box.work()
    box.wait(9 * 24 * 60)
    tries = len(receiver.calls)
    assert tries < 9 * 24 * 8
    with store.read() as connection:
        assert {one.outcome for n in range(1, 6) for one in outbox.of_alert(connection, n)} == {None}
    found = status.findings(store, box.routes, box.now_ms())
    assert any("not taken" in one.what and one.since == "2026-06-03T10:00:00Z" for one in found)
    assert SECRET not in repr(found)
    if answer is None:  # the provider has moved, and the operator has told so
        box.routes = routes.of(to(receiver.url))
        box.begin()
    receiver.status = 200
    box.wait(60)
    first = [text for text in receiver.got if text.endswith("ann.0]")]
    assert len(first) == len(set(first)) == 5
    assert len(receiver.got) == len(set(receiver.got))


def test_a_slow_provider_delays_nobody_else_and_what_it_took_late_is_not_sent_again(
    store: Store, receiver: Web
) -> None:
    quick, document = Web(), to(receiver.url, timeout_s=9)
    try:
        document["contacts"]["bob"] = {"url": quick.url}
        document["route"][0]["rota"] = [["ann", "bob"]]
        box = Box(store, document)
        receiver.slow_s = 1.6
        box.workers["ann"].timeout_s = 0.2
        box.alert()
        box.planner.decide()
        assert box.workers["ann"].step()  # given up waiting
        assert box.workers["ann"].waits_for_ever
        assert not box.workers["ann"].step()  # never two at once
        assert box.workers["bob"].step()
        assert len(quick.got) == 1
        while box.workers["ann"].waits_for_ever:
            time.sleep(0.05)
        box.wait(30)
        assert len(receiver.got) == 1
        assert box.outcomes() == [("ann", "sent"), ("bob", "sent")]
    finally:
        quick.close()


def test_a_provider_that_never_answers_is_given_up_and_asked_again(store: Store, receiver: Web) -> None:
    with black_hole() as url:
        box = Box(store, to(url, timeout_s=1))
        box.alert()
        box.work()
        assert box.outcomes() == [("ann", None)]
    box.routes = routes.of(to(receiver.url))
    box.begin()
    box.wait(1)
    assert len(receiver.got) == 1


def test_unacknowledged_it_goes_to_the_next_until_somebody_does_and_then_to_nobody(
    store: Store, receiver: Web
) -> None:
    document = to(receiver.url)
    document["contacts"]["bob"] = {"url": receiver.url}
    document["route"][0] |= {"rota": ["ann", "bob"], "minutes": 10}
    box = Box(store, document)
    number = box.alert()
    box.work()
    box.wait(25)
    assert [one.split("[")[1] for one in receiver.got] == [
        "1.1.1.duty.ann.0]",
        "1.1.1.duty.bob.1]",
        "1.1.1.duty.ann.2]",
    ]
    found = status.findings(store, box.routes, box.now_ms())
    assert [one.remedy for one in found] == ["look at it, then `tagwatch alert ack 1 --by NAME`"]
    assert notice.acknowledge(store, number, "Grace  Hopper", box.now_ms()) == 1
    box.wait(600)
    assert len(receiver.got) == 3
    assert status.findings(store, box.routes, box.now_ms()) == []
    box.alert(state="ended")  # who knows of it hears that it is over; nobody has to acknowledge that
    box.wait(600)
    assert len(receiver.got) == 5


@pytest.mark.parametrize("person", ["", "   ", "x" * 101, "a\x00b"])
def test_an_acknowledgement_needs_a_named_person_and_an_alert(
    store: Store, receiver: Web, person: str
) -> None:
    box = Box(store, to(receiver.url))
    with pytest.raises(notice.AcknowledgementError, match="named person"):
        notice.acknowledge(store, box.alert(), person, START_MS)
    with pytest.raises(notice.AcknowledgementError, match="there is no alert 99"):
        notice.acknowledge(store, 99, "Grace Hopper", START_MS)


def test_a_withdrawn_alert_is_told_to_those_who_were_told_and_to_nobody_else(
    store: Store, receiver: Web
) -> None:
    other, document = Web(), to(receiver.url)
    try:
        document["contacts"]["bob"] = {"url": other.url}
        document["route"][0] |= {"rota": ["ann", "bob"], "minutes": 60}
        box = Box(store, document)
        box.alert()
        box.work()
        box.alert(state="withdrawn")
        box.wait(300)
        assert receiver.got[1:] == [
            "Alert 1, revision 2: withdrawn. https://box.example/alerts/1 [1.1.2.duty.ann.0]"
        ]
        assert other.calls == []
    finally:
        other.close()


def test_low_severity_waits_for_its_digest_and_what_was_withdrawn_by_then_is_left_out(
    store: Store, receiver: Web
) -> None:
    document = to(receiver.url)
    document["route"][0] |= {"digest": ["16:00"]}
    box = Box(store, document)
    for name in ("a1", "a2", "a3"):
        box.alert(name, severity="low")
    box.wait(60)
    box.alert("a2", state="withdrawn", severity="low")
    box.alert("a3", state="ended", severity="low")
    box.wait(60)
    assert receiver.calls == []
    box.wait(24 * 60)
    assert receiver.got == [
        "2 alerts: 1.1 low, 3.2 low. https://box.example/alerts/ [digest.1.3.2.duty.ann.0]"
    ]


@contextmanager
def modem_stand() -> Iterator[ModemStand]:
    stand = ModemStand()
    try:
        yield stand
    finally:
        stand.close()


def test_while_nobody_knows_what_hour_it_is_whoever_is_off_duty_is_told_too_and_digests_wait(
    store: Store, receiver: Web
) -> None:
    document = to(receiver.url, hours=["20:00-21:00"])
    document["route"][0] |= {"hours": ["20:00-21:00"], "severities": ["high"]}
    document["route"].append({"name": "low", "rota": ["ann"], "severities": ["low"], "digest": ["12:00"]})
    box = Box(store, document)
    number = box.alert()
    box.work()
    assert receiver.got == [], "at eleven no route takes it"
    box.known = False
    box.alert("a2", severity="low")
    box.work()
    assert len(receiver.got) == 1 and f"Alert {number}" in receiver.got[0]
    box.wait(180)
    assert len(receiver.got) == 1, "a digest comes at an hour"
    box.known = True
    box.work()
    assert len(receiver.got) == 2


def test_with_a_dead_uplink_messages_go_by_sms_and_afterwards_nothing_is_told_again(
    store: Store, receiver: Web
) -> None:
    with modem_stand() as stand:
        document = to(receiver.url, sms="+447700900123")
        document["modem"] = {"device": stand.device}
        box = Box(store, document)
        receiver.status = 503
        box.alert(severity="medium")
        box.work()
        box.wait(4)
        assert stand.sent == []
        box.wait(2)
        assert stand.sent == [
            ("+447700900123", "Alert 1, revision 1: medium. https://box.example/alerts/1 (1.1.1.duty.ann.0)")
        ]
        receiver.status = 200
        box.wait(30)
        assert receiver.got == []
        assert box.outcomes() == [("ann", "sent by sms")]


def test_a_modem_that_refuses_is_asked_again_and_told_of(store: Store) -> None:
    with modem_stand() as stand:
        document = to(nobody(), sms="+447700900123")
        document["modem"] = {"device": stand.device}
        box = Box(store, document)
        stand.says = lambda command: "\r\n+CMS ERROR: 38\r\n" if command == "text" else None
        box.alert(severity="critical")
        box.work()
        box.wait(5)
        found = status.findings(store, box.routes, box.now_ms())
        assert any(one.what == "the SMS modem does not send" and "+CMS ERROR: 38" in one.why for one in found)
        stand.says = lambda _command: None
        box.wait(20, MODEM)
        assert len(stand.sent) == 1


def test_a_test_message_goes_over_every_path_and_tells_what_fails(store: Store, receiver: Web) -> None:
    with modem_stand() as stand:
        document = to(receiver.url, sms="+447700900123")
        document["contacts"]["bob"] = {"url": nobody()}
        document["modem"] = {"device": stand.device}
        tried = trial.try_all(routes.of(document))
        assert [(one.contact, one.path, one.error is None) for one in tried] == [
            ("ann", "provider", True),
            ("ann", "sms", True),
            ("bob", "provider", False),
        ]
        assert receiver.got == ["Test of the path to ann. No alert. [test.ann]"]
        assert SECRET not in repr(tried)


def test_no_log_and_nothing_stored_for_delivery_holds_a_secret_or_a_name(
    store: Store, receiver: Web, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    receiver.status = 500
    with capture_logs() as told:
        box = Box(store, to(receiver.url))
        box.alert()
        box.work()
        box.wait(10)
        box.routes = routes.of(to(f"nosuch://{SECRET}"))
        box.begin()
        box.wait(10)
    with store.read() as connection:
        stored = [outbox.of_alert(connection, 1), outbox.paths(connection)]
    everything = repr([told, stored, caplog.text.replace(f"/{SECRET} ", ""), capfd.readouterr()])
    assert "not taken" in everything
    assert NAME not in everything and "High Street" not in everything
    assert SECRET not in repr([told, stored, capfd.readouterr()])


def test_every_piece_of_a_url_is_hidden_plain_and_encoded() -> None:
    url = "mailtos://duty%40x.org:pa%20ss@smtp.example.org/inbox?to=boss@example.org"
    said = "refused duty@x.org with pa%20ss or 'pa ss' at smtp.example.org\nfor boss@example.org"
    told = paths.redacted(said, [url])
    assert not any(piece in told for piece in ("duty", "pa%20ss", "smtp", "boss", "\n"))


def test_the_outbox_is_the_same_on_every_database(place: Path | str, receiver: Web) -> None:
    opened = filled(place)
    try:
        document = to(receiver.url)
        document["route"][0]["minutes"] = 10
        box = Box(opened, document)
        number = box.alert()
        box.work()
        box.wait(10)
        notice.acknowledge(opened, number, "Grace Hopper", box.now_ms())
        box.alert(state="withdrawn")
        box.wait(30)
        assert [text.split(": ")[1].split(".")[0] for text in receiver.got] == ["high", "high", "withdrawn"]
        assert box.outcomes() == [("ann", "sent")] * 3
    finally:
        opened.close()
