"""Events reach every listener once and in order, whatever happens to the listener, the server or the store."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest
from sqlalchemy import delete

from gateway.listener import STALLED_MS, listen
from gateway.store.tables import alert, alert_revision, telling
from gateway.web.stored import StoredBook
from gateway.web.watch import Watch
from tests.browser.caseload import Caseload
from tests.browser.server import WebProcess


@dataclass
class Event:
    """One server-sent event."""

    name: str
    id: str | None
    data: dict[str, object]


class Stream:
    """A listener that reads one event at a time."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.iter_lines()

    def next(self, name: str) -> Event:
        """The next event called ``name``; others are passed over."""
        return self.next_of(name)

    def next_of(self, *names: str) -> Event:
        """The next event called by one of ``names``."""
        found: dict[str, str] = {}
        for line in self._lines:
            if line:
                field, _, value = line.partition(": ")
                found[field] = value
                continue
            if found.get("event") in names:
                return Event(found["event"], found.get("id"), json.loads(found["data"]))
            found = {}
        raise AssertionError(f"the stream ended before any {names}")

    def revisions(self, count: int) -> list[Event]:
        """The next ``count`` revisions."""
        return [self.next("revision") for _ in range(count)]


@contextmanager
def listening(web: WebProcess, path: str = "/api/v1/events", *, last: str | None = None) -> Iterator[Stream]:
    """A stream from the server, its greeting already heard."""
    headers = {} if last is None else {"Last-Event-ID": last}
    with httpx.stream("GET", web.url + path, headers=headers, timeout=15) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        stream = Stream(response)
        stream.next("hello")
        yield stream


def test_each_revision_is_one_event_with_its_number_as_id(caseload: Caseload, web: WebProcess) -> None:
    with listening(web) as stream:
        found = caseload.raised()
        caseload.ended(found)
        first, second = stream.revisions(2)
    assert (first.id, second.id) == ("1", "2")
    assert [event.data["number"] for event in (first, second)] == [1, 2]
    said = second.data["alert"]
    assert isinstance(said, dict)
    assert (said["state"], said["number"], said["revision"]) == ("ended", 1, 2)
    assert first.data["at"] == "2026-03-29T18:00:01Z"


def test_a_listener_goes_on_exactly_after_the_last_id_it_has_seen(
    caseload: Caseload, web: WebProcess
) -> None:
    before = caseload.latest()
    for _ in range(20):
        caseload.raised()
    expected = [str(number) for number in range(before + 8, before + 21)]
    with listening(web, last=str(before + 7)) as stream:
        assert [event.id for event in stream.revisions(13)] == expected
    web.kill()
    caseload.raised()
    web.start()
    with listening(web, "/api/v1/events?after_revision=3", last=expected[-2]) as stream:
        assert [event.id for event in stream.revisions(2)] == [expected[-1], str(before + 21)]
    with listening(web, f"/api/v1/events?after_revision={expected[-1]}") as stream:
        assert stream.next("revision").id == str(before + 21)


def test_a_listener_far_behind_hears_everything_once_while_more_is_written(
    caseload: Caseload, web: WebProcess
) -> None:
    before = caseload.latest()
    caseload.put(*(caseload.found() for _ in range(400)))
    with listening(web, last=str(before)) as stream:
        writer = threading.Thread(target=lambda: [caseload.raised() for _ in range(50)])
        writer.start()
        numbers = [int(event.id or 0) for event in stream.revisions(450)]
        writer.join()
    assert numbers == list(range(before + 1, before + 451))


def test_what_is_written_while_the_store_is_looked_at_is_told_once(caseload: Caseload) -> None:
    class Overtaken(StoredBook):
        """Somebody writes just after the newest number was read."""

        def latest_revision(self) -> int:
            latest = super().latest_revision()
            if latest < 20:
                caseload.raised()
            return latest

    async def heard() -> list[int]:
        watch = Watch(Overtaken(caseload.store), poll_s=0.001)
        await watch.open()
        numbers: list[int] = []
        async for told in watch.follow(0):
            if isinstance(told, Sequence):
                numbers += [revision.number for revision in told]
            if numbers[-1:] == [20]:
                break
        await watch.close()
        return numbers

    assert asyncio.run(heard()) == list(range(1, 21))


def test_the_page_hears_which_alert_changed_and_nothing_about_whom(
    caseload: Caseload, web: WebProcess
) -> None:
    with listening(web, f"/events?after={caseload.latest()}") as stream:
        number = caseload.number(caseload.raised())
        heard = stream.next("revision")
    assert heard.data == {"alert": number, "rule": "In an exclusion zone", "state": "open", "raised": True}
    assert heard.id == str(caseload.latest())


def test_a_page_made_just_before_the_next_look_at_the_store_is_no_restored_store(
    caseload: Caseload, web: WebProcess
) -> None:
    with listening(web):
        caseload.raised()  # not looked at yet: the server looks three times a second
        latest = caseload.latest()
        with listening(web, last=str(latest)) as stream:
            caseload.raised()
            heard = stream.next_of("revision", "restored")
            assert (heard.name, heard.id) == ("revision", str(latest + 1))


def test_a_store_set_back_to_a_backup_is_told(caseload: Caseload, web: WebProcess) -> None:
    kept = caseload.latest()
    for _ in range(3):
        caseload.raised()
    lost = caseload.latest()
    with listening(web, last=str(lost)) as stream:
        with caseload.store.write() as connection:
            gone = connection.execute(
                delete(alert_revision).where(alert_revision.c.number > kept).returning(alert_revision.c.alert)
            )
            numbers = gone.scalars().all()
            connection.execute(delete(telling).where(telling.c.alert.in_(numbers)))
            connection.execute(delete(alert).where(alert.c.number.in_(numbers)))
        heard = stream.next("restored")
        assert (heard.id, heard.data) == (str(kept), {"latest_revision": kept})
    with listening(web, last=str(lost)) as stream:
        assert stream.next("restored").id == str(kept)


def test_streams_end_at_once_when_the_server_is_told_to_stop(caseload: Caseload, web: WebProcess) -> None:
    with listening(web) as stream:
        assert web.stop() < 2
        with pytest.raises((AssertionError, httpx.TransportError)):
            stream.next("revision")
    web.start()


def memory_kb(pid: int) -> int:
    """Resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def test_a_stalled_listener_holds_no_memory_and_delays_nobody(caseload: Caseload, web: WebProcess) -> None:
    stalled = []
    host, port = web.url.removeprefix("http://").split(":")
    for _ in range(20):
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect((host, int(port)))
        connection.sendall(b"GET /api/v1/events?after_revision=0 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        stalled.append(connection)
    try:
        long = "Inside the exclusion zone. " * 400
        resident = []
        with listening(web) as stream:
            for _ in range(3):
                for _ in range(8):
                    caseload.put(*(replace(caseload.found(), sentence=long) for _ in range(50)))
                begun = time.monotonic()
                assert len(stream.revisions(400)) == 400
                assert time.monotonic() - begun < 60
                resident.append(memory_kb(web.pid))
        # buffers are full after the first third; the last third would be 4 MB for each of the twenty
        assert resident[2] - resident[1] < 24_000
    finally:
        for connection in stalled:
            connection.close()


def test_the_kernel_cuts_off_whoever_reads_nothing_for_half_a_minute() -> None:
    with listen("127.0.0.1", 0) as listener:
        listener.listen()
        with socket.create_connection(listener.getsockname()):
            accepted, _ = listener.accept()
            with accepted:
                option = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
                assert option == STALLED_MS
