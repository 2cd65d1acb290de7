"""SMS through a modem: what it says, in pieces and among other things, decides whether a message was sent."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.delivery import message
from gateway.delivery import modem as sms
from gateway.delivery.modem import Modem, ModemError, plain
from tests.gateway.receivers import ModemStand

NUMBER = "+447700900123"


@pytest.fixture
def stand(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModemStand]:
    monkeypatch.setattr(sms, "_ANSWER_S", 0.4)  # a silent modem shall not hold up the tests
    opened = ModemStand()
    yield opened
    opened.close()


def send(stand: ModemStand, text: str = "Alert 7") -> int:
    with Modem(stand.device, 115_200, 0.5) as modem:
        return modem.send(NUMBER, text)


def test_a_message_is_sent_when_the_network_has_taken_it(stand: ModemStand) -> None:
    assert send(stand) == 1
    assert send(stand, "Alert 8") == 2
    assert stand.sent == [(NUMBER, "Alert 7"), (NUMBER, "Alert 8")]
    assert "AT+CMGF=1" in stand.commands


def test_what_a_modem_says_unasked_changes_nothing(stand: ModemStand) -> None:
    stand.noise = '\r\nRING\r\n\r\n+CREG: 1,"00A1"\r\n\xff\x00garbage\r\n^RSSI:17\r\n'
    stand.echo = False
    assert send(stand) == 1
    assert stand.sent == [(NUMBER, "Alert 7")]


@pytest.mark.parametrize(
    ("command", "answer", "told"),
    [
        ("AT", "\r\nERROR\r\n", "answered ERROR to AT"),
        ("AT+CPIN?", "\r\n+CPIN: SIM PIN\r\n\r\nOK\r\n", "switch the PIN off"),
        ("AT+CPIN?", "\r\n+CME ERROR: 10\r\n", r"\+CME ERROR: 10"),
        (f'AT+CMGS="{NUMBER}"', "\r\n+CMS ERROR: 304\r\n", r"\+CMS ERROR: 304"),
        (f'AT+CMGS="{NUMBER}"', "", "did not ask for the text"),
        ("text", "\r\n+CMS ERROR: 38\r\n", r"\+CMS ERROR: 38 to AT\+CMGS"),
        ("text", "\r\nNO CARRIER\r\n", "NO CARRIER"),
        ("text", "", "no answer to AT"),
        ("text", "\r\nOK\r\n", "not that the network took"),
        ("AT", "", "no answer to AT"),
    ],
)
def test_whatever_goes_wrong_is_told_and_the_next_message_goes(
    stand: ModemStand, command: str, answer: str, told: str
) -> None:
    stand.says = lambda given: answer if given == command else None
    with pytest.raises(ModemError, match=told):
        send(stand)
    assert stand.sent == []
    stand.says = lambda _: None
    assert send(stand) == 1


def test_a_modem_that_is_not_there_is_told() -> None:
    with pytest.raises(ModemError, match="can not be opened"):
        Modem("/dev/no-such-line", 115_200, 1)


def test_one_at_a_time_has_the_modem(stand: ModemStand) -> None:
    with Modem(stand.device, 115_200, 1), pytest.raises(ModemError, match="can not be opened"):
        Modem(stand.device, 115_200, 1)


def test_every_message_fits_one_sms_with_its_reference() -> None:
    link = "https://tagwatch.a-very-long-name-of-a-probation-service.example.org/alerts/"
    reference = message.key(1, 10**9, 999, "r" * 32, "c" * 32, 99)
    for text in (
        message.text(10**9, 999, "open", "critical", link, reference, doubtful=True),
        message.digest([(10**9 + n, 99, "withdrawn", "low", True) for n in range(50)], link, reference),
    ):
        short = plain(text)
        assert len(short) <= 160
        assert reference in short
    assert plain("Alert 1 €\x1a\n[x_y]") == "Alert 1 ???(x-y)"
