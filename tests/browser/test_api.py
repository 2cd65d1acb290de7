"""The JSON interface: shapes, paging, errors, and what strangers may not do."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.listener import listen
from gateway.store import alerts
from gateway.web.__main__ import main
from tests.browser.caseload import Caseload, entered
from tests.browser.server import WebProcess, served

SEEN = 40


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caseload]:
    """Forty alerts of two devices; every fourth ended, every fifth of the others withdrawn."""
    cases = Caseload(tmp_path_factory.mktemp("api"))
    for occurrence in range(SEEN):
        device = "tag001" if occurrence % 2 else "tag002"
        found = cases.raised(device)
        if occurrence % 4 == 0:
            cases.ended(found, device)
        elif occurrence % 5 == 0:
            cases.withdrawn(found, device)
    yield cases
    cases.close()


@pytest.fixture(scope="module")
def process(cases: Caseload) -> Iterator[WebProcess]:
    """The running web process over them."""
    with served(cases.folder) as process:
        yield process


@pytest.fixture(scope="module")
def api(process: WebProcess) -> Iterator[httpx.Client]:
    """A client of the interface."""
    with httpx.Client(base_url=process.url) as client:
        yield client


def test_an_alert_has_the_shape_of_the_contract(api: httpx.Client) -> None:
    first = api.get("/api/v1/alerts", params={"device": "tag001"}).json()["alerts"][0]
    assert set(first) == {
        "id", "number", "revision", "revision_number", "activation", "device", "order", "wearer", "condition", "rule",
        "state", "severity", "start", "end", "order_version", "rule_set", "sentence", "figures", "readings",
        "sources", "doubts",
    }  # fmt: skip
    assert first["number"] == 2
    assert first["wearer"] == {"id": "W1", "name": "Alex Example"}
    assert first["start"] == "2026-03-29T18:01:00Z"
    assert first["readings"][0] == [3735928559, 4]
    assert api.get(f"/api/v1/alerts/{first['id']}").json() == first


def test_paging_by_revision_reads_every_alert_once(api: httpx.Client) -> None:
    numbers: list[int] = []
    after: int | None = 0
    while after is not None:
        answer = api.get("/api/v1/alerts", params={"after_revision": after, "limit": 7}).json()
        numbers += [alert["number"] for alert in answer["alerts"]]
        after = answer["next_after_revision"]
    assert sorted(numbers) == list(range(1, SEEN + 1))


def test_state_and_device_select(api: httpx.Client) -> None:
    def numbers(**query: str) -> set[int]:
        return {alert["number"] for alert in api.get("/api/v1/alerts", params=query).json()["alerts"]}

    ended = {number for number in range(1, SEEN + 1) if (number - 1) % 4 == 0}
    withdrawn = {number for number in range(1, SEEN + 1) if (number - 1) % 5 == 0} - ended
    assert numbers(state="ended") == ended
    assert numbers(state="withdrawn") == withdrawn
    assert numbers(device="tag001") == set(range(2, SEEN + 1, 2))
    assert numbers(state="withdrawn", device="tag002") == {n for n in withdrawn if n % 2}
    assert numbers(device="tag003") == set()


def test_the_revisions_of_an_alert_tell_its_history(api: httpx.Client) -> None:
    alert = api.get("/api/v1/alerts", params={"state": "ended"}).json()["alerts"][0]
    history = api.get(f"/api/v1/alerts/{alert['id']}/revisions").json()["revisions"]
    assert [revision["alert"]["state"] for revision in history] == ["open", "ended"]
    assert [revision["alert"]["revision"] for revision in history] == [1, 2]
    assert history[-1]["number"] == alert["revision_number"]
    assert history[-1]["alert"] == alert


def test_status_tells_what_is_known_and_null_for_what_is_not(api: httpx.Client) -> None:
    status = api.get("/api/v1/status").json()
    assert status["store"] is True
    assert status["open_alerts"] > 0
    assert status["last_committed"] is None
    assert status["ingest_alive"] is False  # no ingest runs beside these tests, and the page says so
    assert api.get("/health").json() == {"status": "ok"}


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        ("/api/v1/alerts/abc123", 404, "not-found"),
        ("/api/v1/alerts/abc123/revisions", 404, "not-found"),
        ("/api/v1/nothing", 404, "not-found"),
        ("/api/v1/alerts/not-hexadecimal", 422, "bad-request"),
        ("/api/v1/alerts?limit=0", 422, "bad-request"),
        ("/api/v1/alerts?state=breach", 422, "bad-request"),
        ("/api/v1/alerts?after_revision=99999999999999999999", 422, "bad-request"),
        ("/api/v1/events?after_revision=-1", 422, "bad-request"),
    ],
)
def test_errors_are_typed_problems(api: httpx.Client, path: str, status: int, kind: str) -> None:
    answer = api.get(path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["type"], problem["status"]) == (kind, status)
    assert problem["detail"]
    assert bool(problem["parameters"]) == (kind == "bad-request")


def test_writing_is_refused_as_a_problem_too(api: httpx.Client) -> None:
    answer = api.post("/api/v1/alerts", json={})
    assert (answer.status_code, answer.json()["type"]) == (405, "method-not-allowed")


def test_the_interface_describes_itself_and_its_errors(api: httpx.Client) -> None:
    document = api.get("/api/v1/openapi.json").json()
    # what a fitting visit asks has tests of its own
    assert {path for path in document["paths"] if not path.startswith("/api/v1/fitting/")} == {
        "/api/v1/alerts",
        "/api/v1/alerts/{alert_id}",
        "/api/v1/alerts/{alert_id}/revisions",
        "/api/v1/events",
        "/api/v1/status",
        "/health",
        "/ready",
        "/metrics",
    }
    problem = document["paths"]["/api/v1/alerts"]["get"]["responses"]["422"]["content"]
    assert list(problem) == ["application/problem+json"]
    assert problem["application/problem+json"]["schema"] == {"$ref": "#/components/schemas/Problem"}
    assert set(document["components"]["schemas"]["Problem"]["properties"]) >= {
        "type",
        "title",
        "status",
        "detail",
    }
    assert "BadParameter" in document["components"]["schemas"]
    assert "HTTPValidationError" not in json.dumps(document)


JUNK = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
NAMES = st.sampled_from(["state", "device", "after_revision", "limit", "after", ""]) | JUNK
PLACES = st.sampled_from(
    ["/api/v1/alerts", "/alerts", "/alerts/list", "/gateway", "/api/v1/status", "/health"]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    place=PLACES
    | JUNK.map(lambda junk: f"/api/v1/alerts/{quote(junk, safe='')}")
    | JUNK.map(lambda j: f"/alerts/{quote(j)}"),
    query=st.lists(st.tuples(NAMES, JUNK | st.integers().map(str)), max_size=4),
    raw=st.binary(max_size=20),
)
def test_no_junk_makes_the_server_fail(
    api: httpx.Client, place: str, query: list[tuple[str, str]], raw: bytes
) -> None:
    pairs = [f"{quote(name)}={quote(value)}" for name, value in query]
    answer = api.get(f"{place}?{'&'.join([*pairs, quote(raw)])}")
    assert answer.status_code < 500


def test_answers_about_people_are_not_kept_and_load_nothing_from_elsewhere(api: httpx.Client) -> None:
    for path in ("/alerts", "/alerts/1", "/api/v1/alerts", "/nothing"):
        headers = api.get(path).headers
        assert headers["cache-control"] == "no-store"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_another_site_can_not_read_the_page_under_its_own_name(api: httpx.Client) -> None:
    for path in ("/alerts", "/api/v1/alerts", "/api/v1/events", "/health"):
        assert api.get(path, headers={"host": "rebound.example"}).status_code == 400


def test_without_a_user_only_this_machine_can_be_listened_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for host in ("0.0.0.0", "::", "192.0.2.1"):
        assert main(["--data-dir", str(tmp_path), "--host", host]) == 2
        said = capsys.readouterr().err
        assert f"web_host: {host} can be reached from other machines, and nobody can sign in" in said
        assert "tagwatch user add" in said
    assert main(["--data-dir", str(tmp_path), "--host", "gateway.example"]) == 2
    assert "gateway.example is not an address" in capsys.readouterr().err
    for host in ("127.0.0.1", "::1"):
        listen(host, 0).close()


def test_the_address_is_written_when_it_listens_and_taken_away_at_the_end(tmp_path: Path) -> None:
    process = WebProcess(tmp_path)
    process.start()
    try:
        where = json.loads((tmp_path / "web.json").read_text())
        assert where == {"url": f"{process.url}/", "pid": process.pid}
        assert httpx.get(process.url + "/health").status_code == 200
        assert process.stop() < 3
        assert not (tmp_path / "web.json").exists()
        assert stat.S_IMODE((tmp_path / "store.sqlite").stat().st_mode) == 0o600
    finally:
        process.kill()


def test_a_look_that_can_not_be_recorded_is_not_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    caseload = Caseload(tmp_path)
    caseload.raised()
    monkeypatch.setenv("TAGWATCH_BUSY_TIMEOUT_MS", "100")
    process = WebProcess(tmp_path)
    process.start()
    try:
        with caseload.store.write():  # somebody writes for longer than a look may wait
            page = httpx.get(process.url + "/alerts")
            problem = httpx.get(process.url + "/api/v1/alerts")
        assert page.status_code == problem.status_code == 503
        assert "Alex Example" not in page.text
        assert problem.json()["type"] == "look-not-recorded"
        assert httpx.get(process.url + "/alerts").status_code == 200
    finally:
        process.kill()
        caseload.close()


def test_an_alert_of_an_order_without_a_tag_stands_on_the_pages_and_in_the_interface(
    cases: Caseload, api: httpx.Client
) -> None:
    """The last test of those that share these alerts: it adds one."""
    alert = replace(entered(9999), activation="", rule="order_not_monitored", condition="order")
    with cases.store.write() as connection:
        (number,) = alerts.put(connection, [alerts.entry(alert, None, "order-1")], cases.at_ms)
    said = api.get("/api/v1/alerts", params={"state": "open", "limit": 1}).json()["alerts"][0]
    told = next(
        one
        for one in api.get("/api/v1/alerts", params={"after_revision": said["revision_number"] - 1}).json()[
            "alerts"
        ]
        if one["number"] == number
    )
    assert (told["device"], told["activation"], told["order"]) == (None, None, "order-1")
    assert told["wearer"]["name"] == "Alex Example"
    page, listed = api.get(f"/alerts/{number}"), api.get("/alerts")
    assert page.status_code == listed.status_code == 200
    assert "no tag is worn under this order" in page.text
    assert "No tag fitted" in listed.text
