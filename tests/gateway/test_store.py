"""The store on a real disk, as a file and on a real PostgreSQL.

Migration, transactions, alerts with revisions, bounded quarantine.
"""

from __future__ import annotations

import sqlite3
import stat
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from core.alerts import Alert, Source
from gateway.settings import Settings, SettingsError
from gateway.store import Store, StoreError, alerts, devices, envelopes, looks, quarantine, state
from gateway.store.alerts import AlertEntry
from gateway.store.database import HEAD, MIGRATIONS
from gateway.store.dialect import WRITES, make_engine, url_of
from gateway.store.quarantine import QuarantineRow
from gateway.store.tables import metadata
from tests.gateway.postgres import PostgresServer

DEVICE = "tag0001"


@pytest.fixture
def store(place: Path | str) -> Iterator[Store]:
    opened = Store.open(place)
    with opened.write() as connection:
        devices.add(connection, devices.Device(DEVICE, bytes(32), b"", 5, None))
    yield opened
    opened.close()


def test_the_migrations_make_exactly_the_tables_that_the_program_uses(store: Store) -> None:
    with store.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_the_newest_migration_is_the_one_that_opening_checks_for() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_a_store_opened_again_keeps_what_it_holds(store: Store, place: Path | str) -> None:
    again = Store.open(place)
    with again.read() as connection:
        assert [entry.id for entry in devices.every(connection)] == [DEVICE]
    again.close()


def test_several_that_open_a_new_database_at_once_all_succeed(postgres_server: PostgresServer) -> None:
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            for opened in pool.map(Store.open, [postgres_server.empty()] * 8):
                opened.close()


def test_several_that_open_a_new_store_at_once_all_succeed(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        for number in range(25):  # the switch to write-ahead mode was refused to one in 600
            for opened in pool.map(Store.open, [tmp_path / f"{number}.sqlite"] * 8):
                opened.close()


def test_a_store_of_a_newer_program_is_refused_with_the_remedy(store: Store, place: Path | str) -> None:
    with store.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match=r"version 9999, .* run the newer program"):
        Store.open(place)


def test_what_is_no_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store.sqlite").write_bytes(b"something else" * 100)
    with pytest.raises(StoreError, match="can not be opened"):
        Store.open(tmp_path / "store.sqlite")


def test_the_store_waits_for_the_disk_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store.sqlite")
    with store.read() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2, "2 is FULL"
        assert connection.execute(text("PRAGMA foreign_keys")).scalar() == 1
    assert stat.S_IMODE((tmp_path / "store.sqlite").stat().st_mode) == 0o600
    store.close()


def test_a_database_waits_for_its_disk_even_where_the_server_would_not(
    postgres_server: PostgresServer,
) -> None:
    place = postgres_server.empty()
    postgres_server.run("ALTER ROLE tagwatch SET synchronous_commit = off")
    store = Store.open(place)
    with store.write() as connection:
        assert connection.execute(text("SHOW synchronous_commit")).scalar() == "on"
    store.close()
    postgres_server.run("ALTER ROLE tagwatch RESET synchronous_commit")


def test_a_database_that_can_not_hold_every_character_is_refused(postgres_server: PostgresServer) -> None:
    postgres_server.run("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
    with pytest.raises(StoreError, match="its encoding is LATIN1"):
        Store.open(postgres_server.url("latin"))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://tagwatch:hunter2@127.0.0.1:1/store",
        "postgresql://127.0.0.1:1/store?password=hunter2",
        "postgresql://tagwatch:hunter2@127.0.0.1:port/store",
        "postgresql://tagwatch:hunter2@[/store",
        "mysql://tagwatch:hunter2@127.0.0.1/store",
        "postgresql://tagwatch:hunter2@127.0.0.1",
    ],
)
def test_a_url_that_does_not_work_is_refused_without_its_password(url: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError) as refusal:
        Store.open(url)
    assert "hunter2" not in "".join(traceback.format_exception(refusal.value))
    try:
        settings = Settings.load(tmp_path, store=url)
    except SettingsError as error:
        assert "hunter2" not in "".join(traceback.format_exception(error))
    else:
        assert "hunter2" not in repr(settings) + settings.model_dump_json()
        assert settings.environment()["TAGWATCH_STORE"] == url, "what a child process needs"


def test_what_a_statement_was_given_does_not_show_when_it_fails(store: Store) -> None:
    again = devices.Device(DEVICE, b"hunter2" * 5, b"", 5, None)
    with pytest.raises(IntegrityError) as failure, store.write() as connection:
        devices.add(connection, again)
    assert "hunter2" not in "".join(traceback.format_exception(failure.value))


def test_a_writer_waits_for_another_no_longer_than_it_was_told(place: Path | str) -> None:
    first, second = Store.open(place), Store.open(place, busy_timeout_ms=50)
    with first.write() as connection:
        state.note_change(connection)
        with pytest.raises(DBAPIError), second.write():
            pass
    with second.write() as connection:
        assert state.changes(connection) == 1
    first.close()
    second.close()


def test_a_writer_that_has_waited_sees_what_the_other_wrote(place: Path | str) -> None:
    with ThreadPoolExecutor(4) as pool:

        def count_up(_: int) -> None:
            opened = Store.open(place)
            for _ in range(25):
                with opened.write() as connection:
                    # read, then written: without a true lock some of these would be lost
                    state.set_number(connection, "n", state.number(connection, "n") + 1)
            opened.close()

        list(pool.map(count_up, range(4)))
    opened = Store.open(place)
    with opened.read() as connection:
        assert state.number(connection, "n") == 100
    opened.close()


def test_a_transaction_that_raises_leaves_nothing(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.write() as connection:
        state.count(connection, {"messages": 3})
        raise ZeroDivisionError
    with store.read() as connection:
        assert state.counters(connection) == {}


def test_an_envelope_of_a_device_that_is_not_known_can_not_be_written(store: Store) -> None:
    row = envelopes.EnvelopeRow("nobody", 1, 1, 1, None, None, 0, b"")
    with pytest.raises(IntegrityError), store.write() as connection:
        envelopes.add(connection, [row])


def test_a_reader_sees_one_moment_and_does_not_hold_up_a_writer(store: Store) -> None:
    with store.read() as reader:
        assert state.changes(reader) == 1
        with store.write() as writer:
            state.note_change(writer)
        assert state.changes(reader) == 1
    with store.read() as reader:
        assert state.changes(reader) == 2


def test_a_number_is_looked_for_only_as_far_back_as_an_envelope_can_reach(store: Store) -> None:
    with store.write() as connection:
        rows = [envelopes.EnvelopeRow(DEVICE, 1, n, n, None, None, 0, b"%d" % n) for n in range(1, 4001)]
        urgent = envelopes.EnvelopeRow(DEVICE, 1, 2, 3999, None, None, 0, b"urgent")
        envelopes.add(connection, [urgent, *rows])
    with store.read() as connection:
        found = [stored.data for stored in envelopes.holding(connection, DEVICE, 1, 3000, 3000)]
        assert found == [b"urgent", b"3000"]
        if connection.dialect.name != "sqlite":
            return
        connection.execute(text("ANALYZE"))
        plan = connection.execute(
            text(
                "EXPLAIN QUERY PLAN SELECT data FROM envelope WHERE device = 'x' AND epoch = 1 "
                "AND ((wide = 0 AND first_seq >= 1) OR wide = 1) AND first_seq <= 9 AND last_seq >= 9"
            )
        ).all()
        assert all("SCAN" not in row.detail for row in plan), plan


def entry(alert_id: str = "a1", state_: str = "open", document: str = '{"id":"a1"}') -> AlertEntry:
    return AlertEntry(alert_id, DEVICE, None, "some_rule", state_, "high", 1000, document)


def test_an_alert_written_again_unchanged_is_no_revision(store: Store) -> None:
    with store.write() as connection:
        assert alerts.put(connection, [entry()], 10) == [1]
        assert alerts.put(connection, [entry()], 20) == []
        assert [found["revision"] for found in alerts.revisions(connection, 1)] == [1]


def test_every_change_of_an_alert_is_a_revision_that_stays(store: Store) -> None:
    with store.write() as connection:
        alerts.put(connection, [entry()], 10)
        alerts.put(connection, [entry(state_="ended", document='{"id":"a1","end":5}')], 20)
        assert [(found["revision"], found["at_ms"]) for found in alerts.revisions(connection, 1)] == [
            (1, 10),
            (2, 20),
        ]
        (shown,) = alerts.listing(connection)
        assert (shown["number"], shown["revision"], shown["end"], shown["wearer"]) == (1, 2, 5, None)
        assert alerts.count_by_state(connection) == {"ended": 1}


def test_notices_tell_each_alert_once_at_its_last_change(store: Store) -> None:
    with store.write() as connection:
        alerts.put(connection, [entry("a1"), entry("a2")], 10)
        alerts.put(connection, [entry("a1", document='{"id":"a1","more":1}')], 20)
        notices = alerts.notices_after(connection, 0)
        assert [(found["notice"], found["id"]) for found in notices if "id" in found] == [
            (2, "a1"),
            (3, "a1"),
        ]
        assert [found["number"] for found in notices] == [2, 1]
        assert alerts.notices_after(connection, 3) == []
        assert alerts.last_notice(connection) == 3


def put_aside(number: int, reason: str = "bad_mac", *, unread: bool = False) -> QuarantineRow:
    return QuarantineRow(number, reason, "", "topic", unread, unread, 1, f"{number:064d}", b"x")


def test_quarantine_keeps_the_newest_of_each_reason_and_what_was_committed_as_unread(store: Store) -> None:
    with store.write() as connection:
        quarantine.add(connection, [put_aside(1, unread=True)], keep=3)
        for number in range(2, 12):
            quarantine.add(connection, [put_aside(number), put_aside(number, "bad_topic")], keep=3)
        kept = [(row["reason"], row["received_ms"]) for row in quarantine.listing(connection)]
    assert sorted(kept) == [("bad_mac", n) for n in (1, 9, 10, 11)] + [("bad_topic", n) for n in (9, 10, 11)]


def test_the_same_bytes_again_are_one_row_in_quarantine(store: Store) -> None:
    with store.write() as connection:
        for _ in range(5):
            quarantine.add(connection, [put_aside(1)], keep=3)
        (row,) = quarantine.listing(connection)
    assert row["times"] == 5


def test_a_topic_that_no_database_can_hold_is_put_aside_like_any_other(store: Store) -> None:
    strange = replace(put_aside(1), topic="em/v1/00/\0/up", detail="a\0b")
    with store.write() as connection:
        quarantine.add(connection, [strange], keep=3)
        (row,) = quarantine.listing(connection)
    assert (row["topic"], row["detail"]) == ("em/v1/00/\ufffd/up", "a\ufffdb")


def test_looks_are_kept_newest_first(store: Store) -> None:
    with store.write() as connection:
        looks.add(connection, 1, "local", "alerts", alerts=["a1"], activations=["tag0001-1"])
        looks.add(connection, 2, "local", "alert", alerts=["a2"])
        assert [look["alerts"] for look in looks.listing(connection)] == [["a2"], ["a1"]]


def test_secrets_do_not_show_in_a_devices_text(store: Store) -> None:
    with store.read() as connection:
        shown = repr(devices.one(connection, DEVICE))
    assert DEVICE in shown
    assert "key" not in shown


def test_a_power_cut_in_the_middle_of_a_migration_leaves_a_store_that_opens(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    half = sqlite3.connect(path, isolation_level=None)
    half.execute("PRAGMA journal_mode=WAL")
    half.execute("BEGIN IMMEDIATE")
    half.execute("CREATE TABLE device (id TEXT)")
    half.close()  # never committed
    Store.open(path).close()


def test_a_power_cut_in_the_middle_of_a_migration_leaves_a_database_that_opens(
    postgres_server: PostgresServer,
) -> None:
    place = postgres_server.empty()
    engine = make_engine(url_of(place), 0)
    connection = engine.connect()
    connection.execution_options(**{WRITES: True})
    connection.execute(text("SET TRANSACTION READ WRITE"))
    connection.execute(text("CREATE TABLE device (id TEXT)"))
    postgres_server.kill()
    postgres_server.start()
    connection.invalidate()
    engine.dispose()
    Store.open(place).close()


def test_a_store_of_the_first_form_is_taken_over_with_when_each_device_was_heard(place: Path | str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    engine = make_engine(url_of(place), 0)
    with engine.execution_options(**{WRITES: True}).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        nothing = {"nothing": b""}
        connection.execute(
            text(
                "INSERT INTO device (id, key, certificate, added_at_ms) VALUES ('tag0001', :nothing, :nothing, 5)"
            ),
            nothing,
        )
        for n, received_ms in enumerate((100, 300, 200)):
            connection.execute(
                text(
                    "INSERT INTO envelope (device, epoch, first_seq, last_seq, wide, received_ms, data) "
                    f"VALUES ('tag0001', 1, {n}, {n}, false, {received_ms}, :nothing)"
                ),
                nothing,
            )
    engine.dispose()
    opened = Store.open(place)
    with opened.read() as connection:
        assert devices.last_heard(connection) == {"tag0001": 300}
        assert devices.kinds(connection) == {"tag0001": "gps_tag"}
    opened.close()


def test_when_a_device_was_heard_never_goes_back(store: Store) -> None:
    with store.write() as connection:
        devices.hear(connection, {DEVICE: 50})
        devices.hear(connection, {DEVICE: 40})
        assert devices.last_heard(connection) == {DEVICE: 50}
        devices.hear(connection, {DEVICE: 60})
        assert devices.last_heard(connection) == {DEVICE: 60}


def test_an_alert_is_read_back_as_it_was_written(store: Store) -> None:
    found = Alert(
        "a1",
        "",
        "equipment",
        "no_contact",
        "ended",
        "medium",
        1_500,
        9_000,
        1,
        "ew-1",
        "So.",
        {"n": 1},
        ((1, 2),),
        (Source("contact", 1),),
    )
    assert alerts.alert_of(alerts.entry(found, DEVICE)) == found
