"""Who is let in, and what an attacker gets: real HTTP to the real process."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from gateway import users
from gateway.store import looks, outbox
from gateway.store.outbox import Escalation
from gateway.store.tables import session
from gateway.web.signed_in import safe_path
from tests.browser.caseload import Caseload
from tests.browser.server import WebProcess, served

PASSWORD = "three random words"
HTML = {"accept": "text/html,*/*"}
FORM_TOKEN = re.compile(r'name="form_token" value="([0-9a-f]*)"')
GATED = ["/", "/alerts", "/alerts/1", "/alerts/1/detail", "/alerts/list", "/gateway", "/events", "/password"]
PROGRAMS = ["/api/v1/alerts", "/api/v1/status", "/api/v1/events", "/api/v1/openapi.json", "/nothing"]


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caseload]:
    """An alert that waits for somebody, and users of three roles."""
    cases = Caseload(tmp_path_factory.mktemp("users"))
    cases.raised()
    for name, full_name, role in (
        ("alex", "Alex Officer", "practitioner"),
        ("sam", "Sam Officer", "practitioner"),
        ("orders", "Order service", "order_service"),
        ("meter", "Prometheus", "monitor"),
    ):
        password = None if role in users.MACHINES else PASSWORD
        users.add(cases.store, name, full_name, role, password, "test")
    yield cases
    cases.close()


@pytest.fixture(scope="module")
def web(cases: Caseload) -> Iterator[WebProcess]:
    with served(cases.folder) as process:
        yield process


@pytest.fixture
def client(web: WebProcess) -> Iterator[httpx.Client]:
    """A browser in which nobody is signed in."""
    with httpx.Client(base_url=web.url, headers=HTML, timeout=30) as client:
        yield client


def form_token(page: httpx.Response) -> str:
    found = FORM_TOKEN.findall(page.text)
    assert found, page.text
    return str(found[-1])


def signed_in(
    client: httpx.Client, name: str = "alex", password: str = PASSWORD, to: str = ""
) -> httpx.Response:
    token = form_token(client.get("/sign-in", params={"next": to}))
    fields = {"form_token": token, "name": name, "password": password, "next": to}
    return client.post("/sign-in", data=fields)


def newest_look(cases: Caseload) -> dict[str, object]:
    with cases.store.read() as connection:
        return looks.listing(connection, 1)[0]


def test_nobody_sees_anything_before_signing_in_but_whether_the_gateway_works(client: httpx.Client) -> None:
    for path in GATED:
        answer = client.get(path)
        assert answer.status_code == 303, path
        assert answer.headers["location"].startswith("/sign-in")
        assert "Alex Example" not in answer.text
    for path in PROGRAMS:
        answer = client.get(path, headers={"accept": "application/json"})
        assert (answer.status_code, answer.json()["type"]) == (401, "not-signed-in"), path
        assert answer.headers["www-authenticate"] == "Bearer"
    for path in ("/health", "/ready", "/metrics", "/sign-in", "/static/tagwatch.css"):
        assert client.get(path).status_code in (200, 503), path


def test_whoever_signs_in_goes_on_to_where_they_wanted_and_looks_under_their_name(
    client: httpx.Client, cases: Caseload
) -> None:
    refused = client.get("/alerts/1")
    assert refused.headers["location"] == "/sign-in?next=/alerts/1"
    answer = signed_in(client, "Alex", to="/alerts/1")
    assert (answer.status_code, answer.headers["location"]) == (303, "/alerts/1")
    page = client.get("/alerts/1")
    assert "Alex Example" in page.text
    assert "Signed in as <strong>Alex Officer</strong>, practitioner" in page.text
    look = newest_look(cases)
    assert (look["viewer"], look["view"], look["alerts"]) == ("alex", "alert", ["1.1"])
    out = client.post("/sign-out", data={"form_token": form_token(page)})
    assert (out.status_code, out.headers["location"]) == (303, "/sign-in")
    assert client.get("/alerts/1").status_code == 303


def test_a_wrong_password_says_so_in_words_and_keeps_the_name(client: httpx.Client) -> None:
    answer = signed_in(client, "alex", "wrong words here")
    assert answer.status_code == 422
    assert "There is a problem" in answer.text and "do not belong together" in answer.text
    assert 'value="alex"' in answer.text and "wrong words here" not in answer.text
    empty = signed_in(client, " ", "")
    assert "Enter your user name" in empty.text and "Enter your password" in empty.text
    assert client.get("/alerts").status_code == 303


def test_the_cookie_is_for_this_site_and_no_script(client: httpx.Client) -> None:
    answer = signed_in(client)
    kept: dict[str, SimpleCookie] = {}
    for header in answer.headers.get_list("set-cookie"):
        cookie = SimpleCookie(header)
        kept |= dict.fromkeys(cookie, cookie)
    morsel = kept["tagwatch"]["tagwatch"]
    assert (morsel["httponly"], morsel["samesite"], morsel["path"]) == (True, "strict", "/")
    assert not morsel["domain"] and not morsel["max-age"]
    assert not morsel["secure"], "without TLS no browser would send it back"


def test_a_session_that_an_attacker_planted_is_not_taken(client: httpx.Client, web: WebProcess) -> None:
    planted = "A" * 43
    client.cookies.set("tagwatch", planted)
    signed_in(client)
    mine = client.cookies.get("tagwatch", domain="127.0.0.1") or ""
    assert mine and mine != planted
    for token in (
        planted,
        mine[:-1] + ("A" if mine[-1] != "A" else "B"),
        users.digest(mine),
        "",
        "'",
        "x" * 5000,
    ):
        forged = httpx.get(web.url + "/alerts", headers=HTML, cookies={"tagwatch": token})
        assert forged.status_code == 303, token
    assert httpx.get(web.url + "/alerts", headers=HTML, cookies={"tagwatch": mine}).status_code == 200


def test_signing_in_again_ends_the_session_of_before(client: httpx.Client, web: WebProcess) -> None:
    signed_in(client)
    first = client.cookies.get("tagwatch") or ""
    other = httpx.Client(base_url=web.url, headers=HTML, timeout=30)
    token = form_token(other.get("/sign-in"))
    other.cookies.set(
        "tagwatch", "stale" * 8 + "abc"
    )  # one that is over: the form is bound to the other cookie
    other.post("/sign-in", data={"form_token": token, "name": "sam", "password": PASSWORD})
    assert other.cookies.get("tagwatch", domain="127.0.0.1") not in (first, None)
    other.close()
    assert client.get("/alerts").status_code == 200


def test_a_form_of_another_site_does_nothing(client: httpx.Client, cases: Caseload, web: WebProcess) -> None:
    signed_in(client)
    page = client.get("/alerts/1")
    fields = {"form_token": form_token(page), "revision": "1", "note": "forged"}
    before = len(cases_acknowledgements(cases))
    for headers in (
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ):
        answer = client.post("/alerts/1/notice", data=fields, headers=headers)
        assert answer.status_code == 403, headers
    for token in ("", "0" * 64, form_token(httpx.get(web.url + "/sign-in", headers=HTML))):
        answer = client.post("/alerts/1/notice", data=fields | {"form_token": token})
        assert answer.status_code == 403, "another browser's token"
        assert client.post("/sign-out", data={"form_token": token}).status_code == 403
    json_body = client.post("/alerts/1/notice", json=fields)
    assert json_body.status_code == 415
    large = client.post("/alerts/1/notice", data=fields | {"note": "x" * 20_000})
    assert large.status_code == 413
    assert client.get("/alerts").status_code == 200, "still signed in"
    assert len(cases_acknowledgements(cases)) == before


def test_nobody_is_signed_in_under_an_attackers_name(client: httpx.Client) -> None:
    fields = {"name": "sam", "password": PASSWORD}
    assert client.post("/sign-in", data=fields).status_code == 403
    assert client.post("/sign-in", data=fields | {"form_token": ""}).status_code == 403
    token = form_token(client.get("/sign-in"))
    answer = client.post(
        "/sign-in", data=fields | {"form_token": token}, headers={"sec-fetch-site": "cross-site"}
    )
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "to",
    [
        "https://evil.example/", "//evil.example", "/\\evil.example", "/%5Cevil.example", "javascript:alert(1)",
        "/alerts\r\nset-cookie: x=y", "/alerts?next=//evil.example", "evil.example", "/alerts/../../evil", "/" * 300,
    ],
)  # fmt: skip
def test_after_signing_in_nobody_is_sent_to_another_site(client: httpx.Client, to: str) -> None:
    answer = signed_in(client, to=to)
    assert answer.headers["location"] == "/alerts"
    again = client.get("/sign-in", params={"next": to})
    assert again.headers["location"] == "/alerts"


@settings(max_examples=500)
@given(path=st.text(max_size=40) | st.from_regex(r"/[/\\a-z.:@]{0,9}[a-z.]{0,9}", fullmatch=True))
def test_no_address_of_another_site_passes_for_a_path(path: str) -> None:
    safe = safe_path(path)
    assert safe in ("", path)
    if safe:
        assert httpx.URL("http://here.example/sign-in").join(safe).host == "here.example"
        assert not safe.startswith(("//", "/\\")) and safe.isascii() and safe.isprintable()


def test_a_disabled_user_is_cut_off_in_the_middle_of_what_they_hear(cases: Caseload, web: WebProcess) -> None:
    users.add(cases.store, "robin", "Robin Officer", "practitioner", PASSWORD, "test")
    with httpx.Client(base_url=web.url, headers=HTML, timeout=30) as client:
        signed_in(client, "robin")
        with client.stream("GET", f"/events?after={cases.latest()}", timeout=30) as stream:
            assert stream.status_code == 200
            lines = stream.iter_lines()
            assert next(lines)
            users.disable(cases.store, "robin", "test")
            for _ in lines:
                pass  # it ends by itself, or the timeout fails this test
        assert client.get("/alerts").status_code == 303
        assert client.get("/alerts/list", headers={"hx-request": "true"}).status_code == 401
        assert signed_in(client, "robin").status_code == 422


def test_a_session_that_is_old_or_idle_is_over(client: httpx.Client, cases: Caseload) -> None:
    for column, ms in (("seen_ms", 3_600_000), ("made_ms", 12 * 3_600_000)):
        signed_in(client, "sam")
        assert client.get("/alerts").status_code == 200
        with cases.store.write() as connection:
            mine = session.c.account == "sam"
            connection.execute(update(session).where(mine).values({column: session.c[column] - ms}))
        assert client.get("/alerts").status_code == 303
        client.cookies.clear()


def test_a_password_for_one_sign_in_must_be_changed_before_anything_else(
    client: httpx.Client, cases: Caseload
) -> None:
    users.add(cases.store, "jo", "Jo Officer", "practitioner", PASSWORD, "test")
    once = users.reset(cases.store, "jo", "test")
    assert signed_in(client, "jo", once, to="/alerts/1").headers["location"] == "/password"
    assert client.get("/alerts").headers["location"] == "/password"
    assert client.get("/api/v1/alerts", headers={"accept": "application/json"}).status_code == 403
    page = client.get("/password")
    fields = {"form_token": form_token(page), "new": "jo officer 123", "again": "jo officer 123"}
    refused = client.post("/password", data=fields)
    assert refused.status_code == 422 and "hardly more than the name" in refused.text
    fields |= {"new": "other random words", "again": "other random"}
    assert "the same new password twice" in client.post("/password", data=fields).text
    before = client.cookies.get("tagwatch")
    assert client.post("/password", data=fields | {"again": "other random words"}).status_code == 303
    assert client.cookies.get("tagwatch") != before
    assert client.get("/alerts").status_code == 200
    page = client.get("/password")
    fields = {"form_token": form_token(page), "old": "wrong words here", "new": PASSWORD, "again": PASSWORD}
    assert client.post("/password", data=fields).status_code == 422
    assert client.post("/password", data=fields | {"old": "other random words"}).status_code == 303


def test_a_machine_shows_its_token_and_may_what_its_role_may(cases: Caseload, web: WebProcess) -> None:
    def asks(token: str, path: str, method: str = "GET") -> int:
        headers = {"authorization": f"Bearer {token}", "accept": "application/json"}
        return httpx.request(method, web.url + path, headers=headers).status_code

    mine, issued = users.issue_token(cases.store, "alex", "a script", 1, "test")
    orders, _ = users.issue_token(cases.store, "orders", "orders in", 1, "test")
    assert asks(mine, "/api/v1/alerts") == 200
    assert newest_look(cases)["viewer"] == "alex"
    assert asks(orders, "/api/v1/alerts") == 403, "it hands in orders, and looks at nobody"
    assert asks(orders, "/api/v1/status") == 200
    assert asks(orders, "/alerts/1/notice", "POST") == 415, "a token has no forms"
    assert asks(mine + "x", "/api/v1/alerts") == asks("tagwatch_0", "/api/v1/alerts") == 401
    users.revoke_token(cases.store, issued.id, "test")
    assert asks(mine, "/api/v1/alerts") == 401
    short, _ = users.issue_token(cases.store, "alex", "a moment", 1e-7, "test")
    time.sleep(0.05)
    assert asks(short, "/api/v1/alerts") == 401, "it has expired"


def test_a_token_beside_a_cookie_counts_and_a_cookie_changes_nothing_in_the_interface(
    client: httpx.Client, cases: Caseload
) -> None:
    signed_in(client)
    headers = {"accept": "application/json"}
    assert client.get("/api/v1/alerts", headers=headers).status_code == 200
    assert client.post("/api/v1/alerts", headers=headers).status_code == 401, "by the cookie alone"
    wrong = headers | {"authorization": "Bearer tagwatch_0"}
    assert client.get("/api/v1/alerts", headers=wrong).status_code == 401


def cases_acknowledgements(cases: Caseload) -> list[outbox.Acknowledgement]:
    with cases.store.read() as connection:
        return outbox.acknowledgements(connection, 1)


def test_taking_notice_on_the_page_ends_the_escalation_once_however_often_it_is_sent(
    client: httpx.Client, cases: Caseload
) -> None:
    with cases.store.write() as connection:
        outbox.put_escalations(connection, [Escalation(1, "duty", 1, 0, 0, 0)])
    signed_in(client)
    page = client.get("/alerts/1")
    assert "Nobody yet." in page.text
    fields = {"form_token": form_token(page), "revision": "1", "note": "Rang <b>home</b>.\r\nNobody there."}
    for _ in range(3):
        answer = client.post("/alerts/1/notice", data=fields)
        assert (answer.status_code, answer.headers["location"]) == (303, "/alerts/1#notice")
    (one,) = cases_acknowledgements(cases)
    assert (one.person, one.account, one.revision) == ("Alex Officer", "alex", 1)
    with cases.store.read() as connection:
        assert outbox.escalations(connection, 1) == []
        views = [(look["viewer"], look["view"], *look["alerts"]) for look in looks.listing(connection, 3)]
    assert set(views) == {("alex", "acknowledged", "1.1")}
    shown = client.get("/alerts/1").text
    assert "Alex Officer" in shown and "Rang &lt;b&gt;home&lt;/b&gt;." in shown
    assert "Notice taken" in client.get("/alerts").text


def test_only_what_was_seen_is_acknowledged_and_the_page_tells_that_it_has_changed(
    client: httpx.Client, cases: Caseload
) -> None:
    found = cases.raised()
    number = cases.number(found)
    signed_in(client)
    page = client.get(f"/alerts/{number}")
    cases.ended(found)  # meanwhile
    with cases.store.write() as connection:
        outbox.put_escalations(connection, [Escalation(number, "duty", 2, 0, 0, 0)])
    fields = {"form_token": form_token(page), "revision": "1"}
    client.post(f"/alerts/{number}/notice", data=fields)
    with cases.store.read() as connection:
        assert [one.alert for one in outbox.escalations(connection, number)] == [number], (
            "nobody has seen revision 2"
        )
    shown = client.get(f"/alerts/{number}").text
    assert "It has changed since:" in shown and "of revision 1" in shown
    assert "Changed since notice was taken" in client.get("/alerts").text
    client.post(f"/alerts/{number}/notice", data=fields | {"revision": "2"})
    assert "It has changed since:" not in client.get(f"/alerts/{number}").text
    for wrong in ("", "0", "-1", "x", "9" * 30, "１"):
        assert client.post(f"/alerts/{number}/notice", data=fields | {"revision": wrong}).status_code == 400
    assert client.post("/alerts/999/notice", data=fields).status_code == 404
    long = client.post(f"/alerts/{number}/notice", data=fields | {"note": "x" * 1001})
    assert long.status_code == 422 and "may have 1000" in long.text and "x" * 1001 in long.text


def test_guessing_at_the_page_is_slowed_down_with_the_time_to_wait(cases: Caseload, tmp_path: Path) -> None:
    guessed = Caseload(tmp_path)
    users.add(guessed.store, "alex", "Alex Officer", "practitioner", PASSWORD, "test")
    process = WebProcess(tmp_path)
    process.start()
    try:
        with httpx.Client(base_url=process.url, headers=HTML, timeout=60) as client:
            token = form_token(client.get("/sign-in"))
            fields = {"form_token": token, "name": "alex", "password": "a guess or two"}
            answers = [client.post("/sign-in", data=fields) for _ in range(25)]
        assert {answer.status_code for answer in answers[:20]} == {422}
        assert answers[-1].status_code == 429
        assert 0 < int(answers[-1].headers["retry-after"]) <= 31
        assert "too many attempts" in answers[-1].text
        assert "alex" not in process.log(), "logs name nobody"
    finally:
        process.kill()
        guessed.close()


def test_before_the_first_user_this_machine_may_look_and_nobody_may_act(tmp_path: Path) -> None:
    first = Caseload(tmp_path)
    first.raised()
    process = WebProcess(tmp_path)
    process.start()
    try:
        with httpx.Client(base_url=process.url, headers=HTML, timeout=30) as client:
            page = client.get("/alerts/1")
            assert page.status_code == 200 and "tagwatch user add" in page.text
            fields = {"form_token": form_token(client.get("/sign-in")), "revision": "1"}
            assert client.post("/alerts/1/notice", data=fields).status_code == 401
            assert client.get("/password").status_code == 401
            with client.stream("GET", "/events?after=1", timeout=30) as stream:
                lines = stream.iter_lines()
                assert next(lines)
                users.add(first.store, "orders", "Order service", "order_service", None, "test")
                for _ in lines:
                    pass  # whoever listens is cut off, too
            assert client.get("/alerts/1").status_code == 303, "from now on everybody has to sign in"
            users.disable(first.store, "orders", "test")
            assert client.get("/alerts/1").status_code == 303, "also when nobody is left"
    finally:
        process.kill()
        first.close()
