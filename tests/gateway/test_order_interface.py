"""Orders in over HTTP: the real process, and a client that was written from the description alone."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from gateway.backup import ATTACHMENTS
from gateway.cli import app
from gateway.orders import clients
from gateway.orders.clients import Credentials
from gateway.orders.intake import state_of, take_in
from gateway.settings import Settings
from gateway.store import Store, intake, looks, orders
from tests.gateway.order_service import OrderService, RefusedError, filled_in, recorded

DATA = Path(os.environ["TAGWATCH_DATA"])
EVERY = recorded(DATA)
WEARER, ORDER = {"first_name": "Alex", "last_name": "Example"}, {"order_id": "o-1"}
NOBODY = "0" * 32


@dataclass
class Intake:
    """The process that takes in orders, on a data folder of its own."""

    settings: Settings
    process: subprocess.Popen[bytes]
    store: Store
    credentials: Credentials
    clients: list[httpx.Client] = field(default_factory=list)
    token: str = ""

    def service(self, credentials: Credentials | None = None) -> OrderService:
        port = int((self.settings.data_dir / "order-port").read_text())
        http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)
        self.clients.append(http)
        service = OrderService(http, credentials or self.credentials)
        if credentials is None:
            self.token = service.token = self.token or service.get_token()
        return service

    def restart(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = start(self.settings)

    def end(self) -> None:
        for http in self.clients:
            http.close()
        self.process.terminate()
        assert self.process.wait(60) in (0, -signal.SIGTERM)
        self.store.close()


def start(settings: Settings) -> subprocess.Popen[bytes]:
    """Start the process, and wait until it says that it is ready."""
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "gateway.orders",
            "--data-dir",
            str(settings.data_dir),
            "--ready-fd",
            str(writing),
        ],
        pass_fds=[writing],
        env=os.environ | settings.environment(),
    )
    os.close(writing)
    with os.fdopen(reading, "rb") as line:
        assert any(said == b"ready\n" for said in iter(line.readline, b"")), "it did not become ready"
        threading.Thread(target=lambda fd: os.read(fd, 1), args=(os.dup(line.fileno()),), daemon=True).start()
    return process


def house(folder: Path, **chosen: object) -> Intake:
    settings = Settings.load(folder, order_port=0, orders=True, **chosen)
    store = Store.open(settings.store_place)
    credentials = clients.add(store, "cemo", 0)
    return Intake(settings, start(settings), store, credentials)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Intake]:
    found = house(tmp_path_factory.mktemp("intake"))
    yield found
    found.end()


@pytest.fixture
def service(running: Intake) -> OrderService:
    return running.service()


def rows(running: Intake) -> tuple[int, int, int]:
    with running.store.read() as connection:
        found = [*intake.newest_messages(connection, "wearer"), *intake.newest_messages(connection, "order")]
        of_wearers, of_orders = (intake.cases(connection, kind) for kind in ("wearer", "order"))
    return len(found), len(of_wearers), len(of_orders)


@pytest.mark.parametrize(("name", "wearer", "order"), EVERY, ids=[name for name, _, _ in EVERY])
@pytest.mark.parametrize("source", ["", "CP"])
def test_every_recorded_order_is_taken_in_and_read_back_as_it_was_sent(
    service: OrderService, name: str, wearer: Path, order: Path, source: str
) -> None:
    about = filled_in(wearer)
    case_id = service.send(f"create{source}DW", about)
    imposed = filled_in(order, case_id=case_id)
    order_id = service.send(f"create{source}MO", imposed)
    assert order_id != case_id
    assert service.retrieve(case_id) == {
        "case_id": case_id,
        "device_wearer": about,
        "monitoring_order": imposed,
    }
    assert service.state(case_id) == service.state(order_id)
    changed = about | {"phone_number": f"0044 {name}"}
    assert service.send(f"update{source}DW", changed | {"pnc_id": f"{source}{name}"})
    varied = imposed | {"order_request_type": "Variation", "order_end": "2026-01-01 00:00:00"}
    assert service.send(f"update{source}MO", varied) == order_id
    assert service.retrieve(case_id)["monitoring_order"] == varied


def test_a_message_is_kept_word_for_word_with_who_sent_it_and_when(
    running: Intake, service: OrderService
) -> None:
    body = b'\xef\xbb\xbf{ "first_name" : "Zo\\u00eb",\n"last_name": "Verbatim", "n": 1.50, "big": 1e999}\n'
    case_id = service.send("createDW", body)
    with running.store.read() as connection:
        kept = intake.newest_message(connection, case_id)
    assert kept is not None
    assert (kept.data, kept.client, kept.operation) == (body, "cemo", "createDW")
    assert kept.received_ms > 0
    answer = service.http.get(
        "/monitoring_order/retrieveDWandMO",
        params={"u_case_id": case_id},
        headers={"Authorization": f"Bearer {service.token}"},
    )
    assert body.decode("utf-8-sig").strip() in answer.text


def test_a_token_needs_all_four_of_its_credentials(running: Intake) -> None:
    good = running.credentials
    assert running.service(good).get_token()
    for wrong in (
        Credentials("someone", good.client_secret, good.username, good.password),
        Credentials(good.client_id, "guess", good.username, good.password),
        Credentials(good.client_id, good.client_secret, "someone", good.password),
        Credentials(good.client_id, good.client_secret, good.username, "guess"),
        Credentials("", "", "", ""),
    ):
        with pytest.raises(RefusedError) as refused:
            running.service(wrong).get_token()
        assert refused.value.status == 403


def test_a_token_that_is_missing_or_wrong_is_refused_and_nothing_is_stored(running: Intake) -> None:
    before = rows(running)
    for header in (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic abc"},
        {"Authorization": ""},
    ):
        http = running.service().http
        for method, path in (
            ("POST", "/x_seem_cemo/device_wearer/createDW"),
            ("POST", "/x_seem_cemo/monitoring_order/updateCPMO"),
            ("POST", f"/now/v1/attachment_csm/file?table_name=t&table_sys_id={NOBODY}&file_name=f"),
            ("GET", f"/now/table/x_serg2_ems_csm_case/{NOBODY}"),
            ("GET", f"/monitoring_order/retrieveDWandMO?u_case_id={NOBODY}"),
        ):
            answer = http.request(method, path, headers=header, content=b"{}" if method == "POST" else None)
            assert RefusedError(answer).status == 401
            assert answer.headers["www-authenticate"] == "Bearer"
    assert rows(running) == before


def test_a_token_expires_and_a_revoked_service_is_out_at_once(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store.sqlite")
    made = clients.add(store, "cemo", 0)
    token = clients.issue(store, made, 1_000, 60)
    assert token is not None
    assert clients.client_of(store, token, 60_999) == "cemo"
    assert clients.client_of(store, token, 61_000) is None
    other = clients.issue(store, made, 1_000, 60)
    assert other is not None
    clients.revoke(store, "cemo", 2_000)
    assert clients.client_of(store, other, 2_001) is None
    assert clients.issue(store, made, 3_000, 60) is None
    with pytest.raises(clients.ClientError, match="give another name"):
        clients.add(store, "cemo", 4_000)
    store.close()


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'"order"', b"null", b"{]", b"\xff\xfe\x00", b"NaN", b'{"a": NaN}', b"[" * 100_000,
     b'{"a":' * 5_000 + b"1" + b"}" * 5_000],
)  # fmt: skip
def test_what_is_no_message_is_refused_and_nothing_is_stored(
    running: Intake, service: OrderService, body: bytes
) -> None:
    before = rows(running)
    for operation in ("createDW", "createMO", "updateCPDW"):
        with pytest.raises(RefusedError) as refused:
            service.send(operation, body)
        assert refused.value.status == 400
    assert rows(running) == before


def test_a_wearer_that_is_not_known_is_refused_and_nothing_is_stored(
    running: Intake, service: OrderService
) -> None:
    before = rows(running)
    for ask in (
        lambda: service.send("createMO", ORDER | {"case_id": NOBODY}),
        lambda: service.send("updateCPMO", ORDER | {"case_id": NOBODY}),
        lambda: service.state(NOBODY),
        lambda: service.state("\ud800x".encode("utf-8", "replace").decode()),
        lambda: service.retrieve(NOBODY),
        lambda: service.attach(NOBODY, "order.pdf", b"%PDF"),
    ):
        with pytest.raises(RefusedError) as refused:
            ask()
        assert refused.value.status == 404
    assert rows(running) == before


def test_what_is_too_large_is_refused_and_nothing_of_it_is_left(
    running: Intake, service: OrderService
) -> None:
    case_id = service.send("createDW", WEARER | {"last_name": "Large"})
    before = rows(running)
    folder = running.settings.data_dir / ATTACHMENTS
    for length in (20_000_000, running.settings.order_attachment_bytes + 1):
        with pytest.raises(RefusedError) as refused:
            service.attach(case_id, "large.pdf", bytes(length))
        assert refused.value.status == 413
    with pytest.raises(RefusedError) as refused:
        service.send("createDW", {"first_name": "x" * running.settings.order_body_bytes})
    assert refused.value.status == 413
    assert rows(running) == before
    assert not folder.exists() or not list(folder.iterdir())


def test_an_attachment_is_kept_byte_for_byte_and_the_same_one_twice_is_one(
    running: Intake, service: OrderService
) -> None:
    case_id = service.send("createDW", WEARER | {"last_name": "Attached"})
    content = os.urandom(running.settings.order_attachment_bytes)
    kept = service.attach(case_id, "../../etc/Order (signed) ü.pdf", content)
    assert kept["file_name"] == "../../etc/Order (signed) ü.pdf"
    assert kept["size_bytes"] == str(len(content))
    assert (running.settings.data_dir / ATTACHMENTS / kept["sys_id"]).read_bytes() == content
    assert service.attach(case_id, "../../etc/Order (signed) ü.pdf", content) == kept
    assert service.attach(case_id, "empty.pdf", b"")["size_bytes"] == "0"
    with running.store.read() as connection:
        assert len(intake.attachments(connection, case_id)) == 2


def test_an_upload_that_stops_half_way_leaves_nothing(running: Intake, service: OrderService) -> None:
    case_id = service.send("createDW", WEARER | {"last_name": "Half"})
    folder = running.settings.data_dir / ATTACHMENTS
    before = sorted(folder.iterdir()) if folder.exists() else []

    def half() -> Iterator[bytes]:
        yield bytes(100_000)
        raise ConnectionAbortedError

    with pytest.raises(ConnectionAbortedError):
        service.http.post(
            "/now/v1/attachment_csm/file",
            params={"table_name": "t", "table_sys_id": case_id, "file_name": "half"},
            content=half(),
            headers={"Authorization": f"Bearer {service.token}", "Content-Length": "200000"},
        )
    deadline = time.monotonic() + 60
    while (sorted(folder.iterdir()) if folder.exists() else []) != before:
        assert time.monotonic() < deadline, "something of it is left"
        time.sleep(0.02)
    with running.store.read() as connection:
        assert intake.attachments(connection, case_id) == []


def test_the_same_message_twice_makes_one_wearer_also_when_many_send_it_at_once(
    running: Intake, service: OrderService
) -> None:
    message = WEARER | {"last_name": "Twice"}

    def send(i: int) -> str:
        one = running.service()
        # spaces and the order of keys make no other message
        return one.send(
            "createDW", json.dumps(dict(sorted(message.items(), reverse=i % 2 == 0)), indent=i).encode()
        )

    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(send, range(24)))
    assert len(ids) == 1
    with running.store.read() as connection:
        (kept,) = intake.messages(connection, ids.pop())
    assert kept.times == 24


def test_a_message_whose_answer_was_lost_when_the_process_was_killed_is_one_when_it_is_sent_again(
    tmp_path: Path,
) -> None:
    found = house(tmp_path)
    try:
        service = found.service()
        case_id = service.send("createDW", WEARER)
        order = ORDER | {"case_id": case_id}
        for year in range(2030, 2033):
            order = order | {"order_end": f"{year}-01-01"}
            sending = threading.Thread(target=lambda said=order: _quietly(service, said))
            sending.start()
            while not _stored(found.store, order) and sending.is_alive():
                time.sleep(0.001)
            found.restart()
            sending.join()
            order_id = service.send("updateMO", order)
            with found.store.read() as connection:
                same = [one for one in intake.messages(connection, order_id) if json.loads(one.data) == order]
                (only,) = intake.cases(connection, "order")
            assert (len(same), only.id) == (1, order_id)
    finally:
        found.end()


def _quietly(service: OrderService, order: dict[str, str]) -> None:
    with contextlib.suppress(httpx.HTTPError, RefusedError):
        service.send("updateMO", order)


def _stored(store: Store, order: dict[str, str]) -> bool:
    with store.read() as connection:
        return any(json.loads(one.data) == order for one in intake.newest_messages(connection, "order"))


def test_what_an_upload_that_was_killed_has_left_is_gone_when_the_process_begins_again(
    tmp_path: Path,
) -> None:
    found = house(tmp_path)
    service = found.service()
    case_id = service.send("createDW", WEARER)
    kept = service.attach(case_id, "order.pdf", b"%PDF")
    (tmp_path / ATTACHMENTS / "0123.part").write_bytes(b"half")
    found.restart()
    assert [path.name for path in (tmp_path / ATTACHMENTS).iterdir()] == [kept["sys_id"]]
    found.end()


def test_other_addresses_and_methods_are_answered_with_the_documented_error(service: OrderService) -> None:
    assert RefusedError(service.http.get("/nothing")).status == 404
    refused = service.http.get("/x_seem_cemo/device_wearer/createDW")
    assert RefusedError(refused).status == 405
    assert refused.headers["allow"] == "POST"


def test_a_store_that_can_not_be_written_refuses_the_message_and_it_can_be_sent_again(tmp_path: Path) -> None:
    found = house(tmp_path, busy_timeout_ms=50)
    try:
        service = found.service()
        with found.store.write(), pytest.raises(RefusedError) as refused:
            service.send("createDW", WEARER)
        assert refused.value.status == 503
        assert service.send("createDW", WEARER)
    finally:
        found.end()


def test_the_commands_show_what_is_not_monitored_and_what_waits_for_a_person(
    tmp_path: Path,
) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["order", *arguments, "--data-dir", str(tmp_path)])
        return done.exit_code, done.output

    code, said = run("client", "add", "cemo", "--json")
    assert code == 0
    secrets = json.loads(said)
    assert set(secrets) == {"client_id", "client_secret", "username", "password"}
    store = Store.open(tmp_path / "store.sqlite")
    assert clients.issue(store, Credentials(**secrets), 0, 60) is not None
    assert secrets["client_secret"] not in run("client", "list")[1]
    _, wearer, order = next(one for one in EVERY if one[0] == "CCIC_bail_curfew")
    case_id = take_in(store, "createDW", "cemo", wearer.read_bytes(), 1_760_000_000_000)
    body = json.dumps(filled_in(order, case_id=case_id)).encode()
    order_id = take_in(store, "createMO", "cemo", body, 1_760_000_000_000)
    code, said = run("list")
    assert code == 0
    assert order_id in said
    assert "NOT MONITORED: 1 of 1 conditions; 1 tasks" in said
    code, said = run("show", order_id)
    assert code == 0
    assert "NOT MONITORED: no timetable. curfew" in said
    with store.read() as connection:
        (look,) = looks.listing(connection)
    assert look["view"] == f"order show {order_id}"
    code, said = run("tasks", "--json")
    assert code == 1, "something waits"
    (task,) = json.loads(said)
    assert (task["kind"], task["order"]) == ("no_timetable", order_id)
    assert state_of(store, order_id) == "18"
    assert run("done", str(task["task"]), "--by", "Ann Example", "--note", "rang the court")[0] == 0
    assert run("done", str(task["task"]), "--by", "Ann Example", "--note", "again")[0] == 1
    assert run("tasks") == (0, "none\n")
    assert state_of(store, order_id) == "10"
    assert "Ann Example: rang the court" in run("tasks", "--all")[1]
    # the next message says the same of the same thing: a person has seen to it
    take_in(store, "updateMO", "cemo", body.replace(b"New Order", b"Variation"), 1_760_000_100_000)
    assert "no_timetable" not in run("tasks")[1]
    assert run("client", "revoke", "cemo")[0] == 0
    assert run("client", "revoke", "cemo")[0] == 1
    assert run("show", "nothing")[0] == 1
    store.close()


def test_an_order_that_came_without_its_wearer_finds_it_when_it_is_sent_again(service: OrderService) -> None:
    lost = service.send("createMO", {"order_id": "lost-1", "order_type": "Community"})
    assert service.state(lost) == "18"
    case_id = service.send("createDW", WEARER | {"last_name": "Found"})
    found = service.send("createMO", {"order_id": "lost-1", "order_type": "Community", "case_id": case_id})
    assert found == lost
    assert service.retrieve(case_id)["device_wearer"] == WEARER | {"last_name": "Found"}


def test_a_change_to_a_wearer_makes_a_version_of_each_of_their_orders(
    running: Intake, service: OrderService
) -> None:
    person = WEARER | {"last_name": "Moved", "pnc_id": "MOVED/1", "address_1": "1 High Street"}
    case_id = service.send("createDW", person)
    curfew = {
        "case_id": case_id,
        "order_id": "moved-1",
        "enforceable_condition": [{"condition": "Curfew with EM"}],
        "curfew_duration": [
            {"location": "primary", "schedule": [{"day": "Mo", "start": "19:00", "end": "07:00"}]}
        ],
    }
    order_id = service.send("createMO", curfew)
    assert service.send("updateDW", person | {"address_1": "2 Low Street"}) == case_id
    with running.store.read() as connection:
        versions = orders.versions(connection, order_id)
    assert [one.version for one in versions] == [1, 2]
    assert "2 Low Street" in versions[1].document
    assert service.send("updateDW", person | {"address_1": "2 Low Street", "alias": "Al"}) == case_id
    with running.store.read() as connection:
        assert len(orders.versions(connection, order_id)) == 2, "an alias changes nothing of the order"
    assert service.send("createDW", person) == case_id
    with running.store.read() as connection:
        again = [one.kind for one in intake.tasks(connection, case_id)]
    assert again == ["came_again"], "an old message after newer ones changes nothing, and somebody is told"
