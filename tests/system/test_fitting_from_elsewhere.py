"""Visits over HTTPS, as a named officer: whatever is cut, lost or killed on the way makes one thing."""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from collections.abc import Iterator

import httpx
import pytest

from gateway import users
from gateway.fitting import Stop
from gateway.fitting.remote_desk import Away, RemoteDesk, trusting
from gateway.store import looks
from tests.system.fitting_faults import STEPS, whole
from tests.system.fitting_room import Plug, leg
from tests.system.gateway_elsewhere import Cut, Elsewhere

ACTING = ("identity", "bind", "lock", "wipe", "record")
"""Steps that change something at the gateway, or need a key of it."""


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elsewhere]:
    with Elsewhere(tmp_path_factory.mktemp("elsewhere")) as made:
        yield made


@pytest.fixture
def api(room: Elsewhere) -> Iterator[httpx.Client]:
    with httpx.Client(
        base_url=f"{room.page.url}/api/v1/fitting",
        verify=trusting(room.officer(room.token)),
        headers={"authorization": f"Bearer {room.token}"},
        params={"order": "any"},
        timeout=30,
    ) as client:
        yield client


def cut_visit(room: Elsewhere, cut: Cut, steps: tuple[str, ...]) -> None:
    """A whole visit in which the wire is cut around every request of these steps."""
    name = f"cut{cut}{len(steps)}"
    order_id, device = room.order(name), f"g{name}"
    before = room.wire.cuts

    def at(step: str) -> None:
        room.wire.cut = cut if step in steps else ""

    try:
        with leg(room, name) as tag, Plug(tag) as plug:
            fitted = room.from_elsewhere(order_id, plug, device, at)
            with plug.console() as console:
                said = console.identify()
                assert (said.device, said.locked) == (device, True)
    finally:
        room.wire.cut = ""
    assert room.wire.cuts - before >= len(ACTING)
    assert [row.id for row in room.active(device)] == [fitted.activation] == [f"{device}-1"]
    kept = room.settings.data_dir / "visits" / "done" / fitted.visit / "record.json"
    record = json.loads(kept.read_text())
    assert (record["officer"], record["account"], record["activation"]) == (
        "Sam Officer",
        "sam",
        f"{device}-1",
    )
    assert not (room.laptop / "devices" / device).exists()
    assert not (room.settings.devices_dir / device).exists()


def test_a_visit_over_a_wire_that_loses_every_answer_makes_one_of_each_thing(room: Elsewhere) -> None:
    cut_visit(room, "after", ACTING)
    with room.store.read() as connection:
        seen = [one for one in looks.listing(connection) if one["viewer"] == "sam"]
    views = {one["view"] for one in seen}
    assert {"fitting: order shown", "fitting: device enrolled", "fitting: device bound"} <= views
    assert {one.get("order") for one in seen if one["view"] == "fitting: device bound"} == {"cutafter5"}
    key = room.key("gcutafter5").hex()
    everything = [path for path in room.laptop.rglob("*") if path.is_file()]
    assert everything and all(key not in path.read_text("latin-1") for path in everything)


@pytest.mark.long
@pytest.mark.parametrize("cut", ["before", "after"])
def test_a_visit_goes_through_a_wire_that_is_cut_at_every_request(room: Elsewhere, cut: Cut) -> None:
    cut_visit(room, cut, STEPS)


@pytest.mark.long
def test_a_tag_takes_anothers_place_from_elsewhere_over_a_wire_that_loses_answers(room: Elsewhere) -> None:
    order_id = room.order("swapfar")

    def lose(step: str) -> None:
        room.wire.cut = "after" if step in ("bind", "old last readings") else ""

    with leg(room, "goesfar") as old, leg(room, "comesfar") as new:
        with Plug(old) as plug:
            room.from_elsewhere(order_id, plug, "goesfar1")
        try:
            with Plug(old, new) as plug:
                done = room.from_elsewhere(order_id, plug, "comesfar1", lose, purpose="swap")
        finally:
            room.wire.cut = ""
    assert (done.outcome, done.activation) == ("swapped", "comesfar1-1")
    assert (len(room.active("goesfar1")), len(room.active("comesfar1"))) == (0, 1)


@pytest.mark.long
@pytest.mark.parametrize("step", [*STEPS, *(f"after {step}" for step in STEPS[:-1])])
def test_a_command_killed_at_any_step_goes_on_from_elsewhere(room: Elsewhere, step: str) -> None:
    name = f"kill{zlib.crc32(step.encode()) % 10**8}"
    order_id = room.order(name)
    with leg(room, name) as tag, Plug(tag) as plug:
        command = (sys.executable, "-m", "tests.system.gateway_elsewhere", str(room.laptop))
        ended = subprocess.run(
            [*command, order_id, name, plug.paths[0], step], capture_output=True, text=True, timeout=200
        )
        assert ended.returncode == -9, ended.stderr
        whole(room, plug, name)
        fitted = room.from_elsewhere(order_id, plug, name)
        assert (fitted.resumed, fitted.activation) == (True, f"{name}-1")
        assert len(room.active(name)) == 1


def test_a_gateway_that_is_away_or_does_not_know_us_is_told_of_in_one_sentence(room: Elsewhere) -> None:
    order_id = room.order("away")
    room.wire.cut = "unplugged"
    try:
        with (
            RemoteDesk(room.officer(room.token), room.laptop, tries=2) as desk,
            pytest.raises(Away, match=r"does not answer .* has a connection"),
        ):
            desk.order(order_id)
    finally:
        room.wire.cut = ""
    with (
        RemoteDesk(room.officer("tagwatch_000000000000_" + "x" * 43), room.laptop) as desk,
        pytest.raises(Stop, match=r"does not accept this officer's token: have the operator"),
    ):
        desk.order(order_id)
    users.add(room.store, "reader", "Reads Only", "practitioner", None, "test")
    token, _ = users.issue_token(room.store, "reader", "reading", 1, "test")
    with (
        RemoteDesk(room.officer(token), room.laptop) as desk,
        pytest.raises(Stop, match=r"refuses: Reads Only is signed in as practitioner"),
    ):
        desk.order(order_id)
    stranger = room.officer(room.token)
    with (
        RemoteDesk(type(stranger)(stranger.url, stranger.token), room.laptop) as desk,
        pytest.raises(Away, match=r"certificate"),
    ):
        desk.order(order_id)
    with (
        RemoteDesk(room.officer(room.token), room.laptop) as desk,
        pytest.raises(Stop, match=r"is not known"),
    ):
        desk.order("nobodys")


def test_an_officer_may_not_do_at_the_gateway_what_no_visit_does(room: Elsewhere, api: httpx.Client) -> None:
    nonce = "00" * 16
    for line in ('{"do": "reset", "force": true}', '{"do": "unlock"}', "[]", "no line at all"):
        answer = api.post("/devices/tag00001/signature", json={"nonce": nonce, "line": line})
        assert (answer.status_code, answer.json()["type"]) == (409, "visit-stops"), line
    with RemoteDesk(room.officer(room.token), room.laptop) as desk:
        desk.order(room.order("mine"))
        desk.enrol("gpsmine1", "gps_tag")
        now_ms = desk.now_ms()
        desk.bind("mine", "gpsmine1", now_ms, None, None)
    another = api.post(
        "/devices/gpsmine1/signature", json={"nonce": nonce, "line": '{"do": "lock"}'}, params={"order": "x"}
    )
    assert (another.status_code, another.json()["type"]) == (409, "visit-stops")
    assert another.json()["detail"] == "gpsmine1 is on another wearer on record"
    late = api.post("/activations/gpsmine1-1/end", json={"removed_ms": 0}, params={"order": "mine"})
    assert "too far from now" in late.json()["detail"]
    others = api.post("/activations/gpsmine1-1/end", json={"removed_ms": now_ms}, params={"order": "x"})
    assert "no activation under order x" in others.json()["detail"]
    long = api.put("/devices/gpsmine2/enrolment", content=b"x" * 600_000)
    assert (long.status_code, long.json()["type"]) == (413, "too-much")
    assert [row.id for row in room.active("gpsmine1")] == ["gpsmine1-1"]


def test_a_number_is_given_once_and_the_same_request_again_gives_the_same(room: Elsewhere) -> None:
    order_id = room.order("once")
    with RemoteDesk(room.officer(room.token), room.laptop) as desk:
        desk.order(order_id)
        first = desk.enrol("gpsonce1", "gps_tag")
        assert desk.enrol("gpsonce1", "gps_tag") == first
        found = desk.device("gpsonce1")
        assert found is not None and found.kept
    other = room.folder / "other-laptop"
    with RemoteDesk(room.officer(room.token), other) as desk:
        desk.order(order_id)
        found = desk.device("gpsonce1")
        assert found is not None and not found.kept
        with pytest.raises(Stop, match=r"number gpsonce1 was given to a device before"):
            desk.enrol("gpsonce1", "gps_tag")
