"""What came with orders is on the second store before the order service is told that it is kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway import replica
from gateway.authority import Authority
from gateway.orders import attachments, interface
from gateway.orders.attachments import Arriving
from gateway.replica import Copy
from gateway.restore import restore
from gateway.settings import Settings
from gateway.store import Store, intake
from tests.gateway.kept_store import everything, keep
from tests.gateway.order_desk import desk_in
from tests.gateway.order_service import RefusedError

NOW_MS = 1_760_000_000_000
CONTENT = b"%PDF an order " * 20_000
"""More than one piece."""


@contextmanager
def copied_all_the_time(store: Store, place: Path) -> Iterator[None]:
    """As the ingest does it."""
    stop = threading.Event()

    def work() -> None:
        with closing(Copy(store, place)) as copy:
            while not stop.is_set():
                copy.bring_up()
                time.sleep(0.05)

    replica.begin(store)
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def kept_file(settings: Settings, store: Store, content: bytes, name: str, *, as_rows: bool) -> str:
    with store.write() as connection:
        if intake.case(connection, "1" * 32) is None:
            intake.add_case(connection, intake.Case("1" * 32, "wearer", None, "", NOW_MS))
    with Arriving(settings.data_dir, as_rows=as_rows) as arriving:
        arriving.write(content)
        return arriving.keep(store, "1" * 32, name, "x", "cemo", NOW_MS)


def test_a_box_that_burnt_down_is_made_again_with_what_came_with_orders(tmp_path: Path) -> None:
    place = tmp_path / "disk" / "copy.sqlite"
    chosen: dict[str, Any] = {"commit_after": "replica", "replica": str(place)}
    kept = keep(tmp_path / "data", **chosen)
    before = kept_file(kept.settings, kept.store, CONTENT, "a.pdf", as_rows=False)  # there was no copy then
    replica.begin(kept.store)
    assert attachments.take_in(kept.settings.data_dir, kept.store) == 1
    assert attachments.take_in(kept.settings.data_dir, kept.store) == 0
    later = kept_file(kept.settings, kept.store, CONTENT[::-1], "b.pdf", as_rows=True)
    empty = kept_file(kept.settings, kept.store, b"", "c.pdf", as_rows=True)
    gone = kept_file(kept.settings, kept.store, b"what retention deletes", "d.pdf", as_rows=True)
    with kept.store.write() as connection:
        intake.forget_attachments(connection, [gone])
    with closing(Copy(kept.store, place)) as copy:
        copy.bring_up()
    kept.store.close()
    with closing(Store.open(place)) as other:
        assert b"what retention deletes" not in repr(everything(other)).encode()
    new = Settings.load(tmp_path / "new", mqtt_port=0, **chosen)
    new.data_dir.mkdir()
    kept.settings.authority_dir.rename(new.authority_dir)
    done = restore(new, None, kept.settings.master_key_path)
    assert done.missing == 0
    folder = new.data_dir / "attachments"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        before: CONTENT,
        later: CONTENT[::-1],
        empty: b"",
    }
    assert Authority.of(new).ca_der


def test_a_file_of_which_not_all_is_there_is_told_as_missing(tmp_path: Path) -> None:
    kept = keep(tmp_path / "data")
    name = kept_file(kept.settings, kept.store, CONTENT, "a.pdf", as_rows=False)
    (kept.settings.data_dir / "attachments" / name).unlink()
    assert attachments.lay_out(kept.settings.data_dir, kept.store) == [name]
    assert list((kept.settings.data_dir / "attachments").iterdir()) == []
    kept.store.close()


def test_an_order_service_is_answered_when_the_second_store_has_what_it_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "disk" / "copy.sqlite"
    monkeypatch.setattr(interface, "_COPIED_S", 0.2)
    with desk_in(tmp_path / "data", commit_after="replica", replica=str(place)) as desk:
        with pytest.raises(RefusedError, match="503"):
            desk.service.send("createDW", {"first_name": "Alex", "pnc_id": "1"})
        monkeypatch.setattr(interface, "_COPIED_S", 60.0)
        with copied_all_the_time(desk.store, place):
            case_id = desk.service.send("createDW", {"first_name": "Alex", "pnc_id": "1"})
            kept = desk.service.attach(case_id, "order.pdf", CONTENT)
            with closing(Store.open(place)) as other, other.read() as connection:
                assert [row.times for row in intake.messages(connection, case_id)] == [2]
                assert b"".join(intake.pieces(connection, kept["sys_id"])) == CONTENT
