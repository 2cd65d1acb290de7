"""The wearer's leaflet: what stands on it, and what must not."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from pypdf import PdfReader

from core.order import Order, order_from_json
from gateway.fitting.doorstep import Doorstep
from gateway.fitting.leaflet import Contact, html
from gateway.fitting.leaflet_words import ENGLISH, LANGUAGES, WELSH, Language
from gateway.fitting.papers import languages
from gateway.pdf import pdf_of
from tests.community_order import community_order

PRIMARY = {"name": "primary", "latitude": 52.1, "longitude": 4.9, "radius_m": 30}
SECONDARY = PRIMARY | {"name": "secondary"}
SQUARE = {
    "type": "Polygon",
    "coordinates": [
        [[-1.174, 52.961], [-1.168, 52.961], [-1.168, 52.965], [-1.174, 52.965], [-1.174, 52.961]]
    ],
}
CONTACT = Contact("0800 123 4567", "24 hours")


def order(*conditions: dict[str, Any], **changes: Any) -> Order:
    return order_from_json(community_order("ORD-7", *conditions, **changes))


def said(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).replace("&#39;", "'").split())


CURFEW = {
    "id": "c",
    "type": "curfew",
    "address": PRIMARY,
    "timetable": [
        {"days": ["Mo", "Tu", "We", "Th", "Fr"], "start": "19:00", "end": "07:30"},
        {"days": ["Sa", "Su"], "start": "00:00", "end": "12:00"},
    ],
    "also": [{"address": SECONDARY, "timetable": [{"days": ["Mo", "We"], "start": "22:00", "end": "24:00"}]}],
    "from": "2026-01-22T00:00:00Z",
    "to": "2026-06-30T23:00:00Z",
}
EXCLUSION = {"id": "z", "type": "exclusion", "name": "Home of Mrs Secret, 12 High Street", "zone": SQUARE}


def test_the_hours_of_this_order_stand_there_in_words_and_nobody_takes_morning_for_evening() -> None:
    english = said(html(order(CURFEW), "gps_tag", "gps00001", CONTACT, "en"))
    for line in (
        "Monday to Friday: from 19:00 (7pm) until 07:30 (7:30am) the next day, at your main address.",
        "Saturday and Sunday: from 00:00 (midnight) until 12:00 (midday), at your main address.",
        "Monday and Wednesday: from 22:00 (10pm) until 00:00 (midnight), at your second address.",
        "This holds from 22 January 2026 until 1 July 2026, 00:00 (midnight).",
    ):
        assert line in english, english
    welsh = said(html(order(CURFEW), "gps_tag", "gps00001", CONTACT, "cy"))
    for line in (
        "Dydd Llun i ddydd Gwener: o 19:00 (7 yr hwyr) tan 07:30 (7:30 y bore) drannoeth, yn eich prif gyfeiriad.",
        "Dydd Sadwrn a dydd Sul: o 00:00 (hanner nos) tan 12:00 (canol dydd), yn eich prif gyfeiriad.",
        "Mae hyn yn gymwys o 22 Ionawr 2026 tan 1 Gorffennaf 2026, 00:00 (hanner nos).",
    ):
        assert line in welsh, welsh


@pytest.mark.parametrize("language", ["en", "cy"])
def test_no_name_and_no_word_of_a_zone_that_could_betray_a_protected_person_is_on_it(
    language: Language,
) -> None:
    text = {
        "id": "t",
        "type": "exclusion",
        "not_monitored": "drawn by nobody yet",
        "name": "the victim's mother",
    }
    page = html(order(EXCLUSION, text), "gps_tag", "gps00001", CONTACT, language)
    for secret in (
        "Secret",
        "High Street",
        "mother",
        "drawn by nobody",
        "Alex Example",
        "52.96",
        "NOT MONITORED",
    ):
        assert secret not in page
    area = "Area {}: you must not go there." if language == "en" else "Ardal {}: ni chewch fynd yno."
    assert all(area.format(number) in said(page) for number in (1, 2))


def test_an_appointment_and_its_times_are_told() -> None:
    weekly = {"weekly": [{"days": ["We"], "start": "10:00", "end": "11:00"}]}
    dated = {"dated": [{"from": "2026-07-01T09:00:00Z", "to": "2026-07-01T10:00:00Z"}]}
    visits = {"id": "v", "type": "attendance", "name": "Probation office", "zone": SQUARE}
    told = said(html(order(visits | {"schedule": weekly}), "gps_tag", "g", CONTACT, "en"))
    assert "Appointment (Probation office): you must be there on time." in told
    assert "Wednesday: from 10:00 (10am) until 11:00 (11am)." in told
    told = said(html(order(visits | {"schedule": dated}), "gps_tag", "g", CONTACT, "en"))
    assert "1 July 2026, from 10:00 (10am) until 11:00 (11am)." in told


def test_who_may_not_drink_reads_that_and_when_to_get_help_and_others_read_nothing_of_it() -> None:
    abstinence = {"id": "a", "type": "alcohol", "mode": "abstinence"}
    told = said(html(order(abstinence), "alcohol_tag", "a", CONTACT, "en"))
    assert "You must not drink alcohol." in told
    assert "call 111, or 999" in told
    limit = {"id": "a", "type": "alcohol", "mode": "limit", "limit_tac_g_dl": 0.02}
    assert "more alcohol than your order allows" in said(
        html(order(limit), "alcohol_tag", "a", CONTACT, "en")
    )
    assert "alcohol" not in said(html(order(CURFEW), "rf_tag", "r", CONTACT, "en"))


def test_who_to_call_comes_from_the_settings_or_is_left_to_be_written_by_hand() -> None:
    page = html(order(CURFEW), "rf_tag", "r", CONTACT, "en")
    assert "Telephone: 0800 123 4567" in said(page)
    assert 'class="write"' not in page
    page = html(order(CURFEW), "rf_tag", "r", Contact(), "en")
    assert "Your officer writes the number here" in said(page)
    assert 'class="write"' in page


def test_both_languages_say_the_same_things() -> None:
    assert set(ENGLISH.said) == set(WELSH.said)
    assert set(ENGLISH.addresses) == set(WELSH.addresses)
    for name, sentence in ENGLISH.said.items():
        assert re.findall(r"{\w+}", sentence) == re.findall(r"{\w+}", WELSH.said[name]), name
        assert sentence != WELSH.said[name] or name == "alcohol"
    for one in LANGUAGES.values():
        assert (len(one.days), len(one.months)) == (7, 12)
    everything = " ".join(WELSH.said.values())
    assert "ŵ" in everything
    assert "ŷ" in everything


def test_the_leaflet_is_in_the_language_of_the_order_and_in_both_where_asked() -> None:
    def who(language: str) -> Doorstep:
        return Doorstep("o", 1, "Alex Example", language=language)

    assert languages(who("Welsh"), "") == ["cy"]
    assert languages(who(""), "") == languages(who("Polish"), "") == ["en"]
    assert languages(who("Welsh"), "en") == ["en"]
    assert languages(who(""), "both") == ["en", "cy"]


def test_a_reader_aloud_knows_the_language_and_the_pdf_has_the_welsh_letters() -> None:
    page = html(order(CURFEW, EXCLUSION), "gps_tag", "gps00001", CONTACT, "cy")
    assert '<html lang="cy">' in page
    assert "<title>Eich tag</title>" in page
    pdf = PdfReader(io.BytesIO(pdf_of(page)))
    told = " ".join(one.extract_text() for one in pdf.pages)
    assert "sŵn" in told
    assert "symud tŷ" in told
