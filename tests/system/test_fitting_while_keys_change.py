"""A visit to a tag whose key or certificate is being changed: it ends the change, and never brings an old key back."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterator
from functools import partial

import pytest

from gateway import rotation
from gateway.authority import Authority
from gateway.broker import Address
from gateway.devices import configuration_of
from gateway.fitting.console import signature
from gateway.fitting.stops import NoAnswer
from gateway.renewal import renew
from gateway.seal import NEXT_KEY
from gateway.store import alerts, device_certificates, device_keys, devices
from tests.system.fitting_courses import fitting_rf
from tests.system.fitting_faults import CutOffError, cut_at
from tests.system.fitting_room import Plug, Room, leg

NOW_MS = 1_780_000_000_000


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    with Room(tmp_path_factory.mktemp("fitting")) as made:
        yield made


def prepared(room: Room, device: str, *, over_air: bool) -> bytes:
    """The next key of a device is made; the key."""
    authority = Authority.of(room.settings)
    rotation.prepare(room.store, authority, device, settings=room.settings, over_air=over_air, now_ms=NOW_MS)
    with room.store.read() as connection:
        row = device_keys.next_of(connection, device)
    assert row is not None
    return authority.vault.open_sealed(NEXT_KEY, device, row.key)


def removed(room: Room, plug: Plug, order_id: str, device: str) -> None:
    """A tag that was worn, and is in stock again, locked."""
    room.visit(order_id, plug, device)
    room.visit(order_id, plug, purpose="remove")


@pytest.mark.long
@pytest.mark.parametrize("point", ["", "identity", "after identity", "unit check", "after bind"])
def test_an_rf_tag_gets_its_next_key_at_the_visit_wherever_that_is_cut_off(room: Room, point: str) -> None:
    """It has no link: only an officer gives it a key, and the home unit hears it under the new one."""
    name = f"key{zlib.crc32(point.encode()) % 10**6}"
    with fitting_rf(room, name) as course:
        tag, unit = course.numbers
        device = course.numbers[tag]
        course.go()
        room.visit(course.order_id, course.plug, device, purpose="remove")
        old, key = room.key(device), prepared(room, device, over_air=False)
        if point:
            with pytest.raises(CutOffError):
                course.go(cut_at(point))
            with course.plug.console(tag=tag) as console:
                known = [console.knows(partial(signature, one)) for one in (old, key)]
            assert sorted(known) == [False, True], "it has one of the two, whole"
        fitted = course.go()
        assert fitted.activation == f"{device}-2"
        assert fitted.steps["read back"]["device"] == device
        with course.plug.console(tag=tag) as console:
            assert [console.knows(partial(signature, one)) for one in (old, key)] == [False, True]
    with room.store.read() as connection:
        assert device_keys.next_of(connection, device) is None, "the officer has told that it knows it"
    assert room.key(device) == key
    assert room.is_told(course.numbers[unit], ("hear", device))
    assert forgeries(room, device) == []


def knows(plug: Plug, key: bytes) -> bool:
    with plug.console() as console:
        return console.knows(lambda nonce, said: signature(key, nonce, said))


def forgeries(room: Room, device: str) -> list[str]:
    with room.store.read() as connection:
        return [
            row["rule"] for row in alerts.listing(connection, device=device) if row["rule"] == "link_tamper"
        ]


@pytest.mark.long
def test_a_key_that_is_to_be_given_at_the_console_is_given_at_the_visit(room: Room) -> None:
    order_id = room.order("console")
    with leg(room, "console") as tag, Plug(tag) as plug:
        removed(room, plug, order_id, "gpsconsole")
        old, key = room.key("gpsconsole"), prepared(room, "gpsconsole", over_air=False)
        fitted = room.visit(order_id, plug)
        assert fitted.steps["identity"]["given"] == ["config.json"]
        assert fitted.activation == "gpsconsole-2"
        assert knows(plug, key) and not knows(plug, old)
    with room.store.read() as connection:
        assert device_keys.next_of(connection, "gpsconsole") is None, "the first reading came under it"
    assert room.key("gpsconsole") == key
    assert not (room.settings.devices_dir / "gpsconsole").exists()
    assert forgeries(room, "gpsconsole") == []


@pytest.mark.long
def test_a_tag_that_has_its_next_key_and_has_not_said_so_is_neither_refused_nor_given_the_old_one(
    room: Room,
) -> None:
    order_id = room.order("silent")
    with leg(room, "silent") as tag, Plug(tag) as plug:
        removed(room, plug, order_id, "gpssilent")
        room.gateway.stop()  # or it may tell the tag its key before the other console does
        old, key = room.key("gpssilent"), prepared(room, "gpssilent", over_air=True)
        given(room, plug, "gpssilent", old, key)
        room.gateway.start()
        fitted = room.visit(order_id, plug)
        assert fitted.steps["identity"]["given"] == []
        assert fitted.activation == "gpssilent-2"
        assert knows(plug, key) and not knows(plug, old)
    assert room.key("gpssilent") == key
    assert forgeries(room, "gpssilent") == []


def given(room: Room, plug: Plug, device: str, old: bytes, key: bytes) -> None:
    """The tag takes its next key at another console."""
    with plug.console(old) as console:
        settings = console.ask("read")["settings"]
    with plug.console(old) as console:
        made = json.loads(configuration_of(device, key, _place(settings), settings["server_name"], old))
        console.put({"config.json": json.dumps(settings | made).encode()})
        for _ in range(100):
            try:
                if console.identify(tries=1).device == device:
                    assert console.knows(lambda nonce, said: signature(key, nonce, said))
                    return
            except NoAnswer:
                continue
    raise AssertionError("it does not come back")


def _place(settings: dict[str, object]) -> Address:
    return Address(str(settings["host"]), int(str(settings["port"])), bool(settings["tls"]))


@pytest.mark.long
def test_a_new_certificate_is_given_at_the_visit_and_one_that_was_given_before_is_not_refused(
    room: Room,
) -> None:
    order_id = room.order("renewed")
    with leg(room, "renewed") as tag, Plug(tag) as plug:
        removed(room, plug, order_id, "gpsrenewed")
        authority = Authority.of(room.settings)
        made = renew(room.store, authority, "gpsrenewed", settings=room.settings)
        wanted = hashlib.sha256((made.folder / "cert.der").read_bytes()).hexdigest()
        fitted = room.visit(order_id, plug)
        assert fitted.steps["identity"]["given"] == ["ca.der", "cert.der", "key.der"]
        assert fitted.steps["read back"]["certificate_sha256"] == wanted
        room.visit(order_id, plug, purpose="remove")
        with room.store.read() as connection:
            entry = devices.one(connection, "gpsrenewed")
            assert device_certificates.next_of(connection, "gpsrenewed") is None, "it was shown"
        assert entry is not None
        assert hashlib.sha256(entry.certificate).hexdigest() == wanted
        # once more; its files are given by hand, and nothing is at hand at the visit
        made = renew(room.store, authority, "gpsrenewed", settings=room.settings)
        files = {name: (made.folder / name).read_bytes() for name in made.files}
        with plug.console(room.key("gpsrenewed")) as console:
            console.put(files)
            for path in made.folder.iterdir():
                path.unlink()
            while True:
                try:
                    console.identify(tries=1)
                    break
                except NoAnswer:
                    continue
        assert room.visit(order_id, plug).activation == "gpsrenewed-3"


@pytest.mark.long
def test_what_the_tag_does_not_get_at_a_visit_is_not_wiped(room: Room) -> None:
    """A check does not give anything; what was made for the tag stays for the one who does."""
    order_id = room.order("checked")
    with leg(room, "checked") as tag, Plug(tag) as plug:
        room.visit(order_id, plug, "gpschecked")
        key = prepared(room, "gpschecked", over_air=False)
        room.visit(order_id, plug, purpose="check")
        assert not knows(plug, key)
    kept = json.loads((room.settings.devices_dir / "gpschecked" / "config.json").read_text())
    assert kept["key"] == key.hex()
