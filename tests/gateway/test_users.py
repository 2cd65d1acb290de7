"""Users in a real store: passwords, sessions and tokens, and what an operator does with them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert, update
from typer.testing import CliRunner, Result

from gateway import backup, restore, users
from gateway.cli import app
from gateway.settings import Settings
from gateway.sign_in import Limits, SignIn, SignInError, TooOftenError, WrongError, over
from gateway.store import Store, accounts, clock, looks, outbox
from gateway.store.accounts import Session
from gateway.store.tables import access_token, session
from gateway.throttle import ADDRESS, USER, Throttle
from gateway.trust import Basis, Line
from gateway.users import UserError
from tests.gateway.kept_store import keep

PASSWORD = "three random words"
LIMITS = Limits(idle_ms=3_600_000, longest_ms=12 * 3_600_000)


@pytest.fixture
def store(place: Path | str) -> Iterator[Store]:
    opened = Store.open(place)
    users.add(opened, "alex", "Alex Example", "practitioner", PASSWORD, "test")
    yield opened
    opened.close()


@pytest.fixture
def door(store: Store) -> SignIn:
    return SignIn(store, LIMITS)


def told(store: Store) -> list[tuple[str, str]]:
    with store.read() as connection:
        return [(look["viewer"], look["view"]) for look in looks.listing(connection)]


def later(store: Store, ms: int) -> None:
    """As if everything about sessions and tokens had been so much earlier."""
    with store.write() as connection:
        connection.execute(
            update(session).values(made_ms=session.c.made_ms - ms, seen_ms=session.c.seen_ms - ms)
        )
        columns = {"made_ms": access_token.c.made_ms - ms, "expires_ms": access_token.c.expires_ms - ms}
        connection.execute(update(access_token).values(columns))


def test_somebody_signs_in_is_known_and_signs_out_and_the_log_tells(store: Store, door: SignIn) -> None:
    made = door.sign_in("Alex ", PASSWORD, "192.0.2.1", "")
    person = door.who(made.session, active=True)
    assert person is not None
    assert (person.name, person.full_name, person.role) == ("alex", "Alex Example", "practitioner")
    assert person.may("acknowledge") and not person.may("order")
    door.sign_out(person, "192.0.2.1")
    assert door.who(made.session, active=True) is None
    assert told(store)[:2] == [("alex", "sign out"), ("alex", "sign in")]


def test_nothing_in_the_store_lets_anybody_in_who_reads_it(store: Store, door: SignIn) -> None:
    made = door.sign_in("alex", PASSWORD, "192.0.2.1", "")
    token, _ = users.issue_token(store, "alex", "a script", 1, "test")
    with store.read() as connection:
        kept = repr(
            [
                list(connection.execute(table.select()))
                for table in (session, access_token, *session.metadata.tables.values())
            ]
        )
    for secret in (PASSWORD, made.session, token, token[-43:]):
        assert secret not in kept
    (row,) = (one for one in kept.split("'") if one.startswith("$argon2id$"))
    assert "m=19456,t=2,p=1" in row
    assert door.who(users.digest(made.session), active=True) is None


@pytest.mark.parametrize(
    ("name", "password"),
    [("alex", "wrong words here"), ("alex", ""), ("nobody1", PASSWORD), ("", PASSWORD), ("alex\0", PASSWORD)],
)
def test_a_wrong_password_and_a_user_that_is_not_there_are_told_alike(
    store: Store, door: SignIn, name: str, password: str
) -> None:
    with pytest.raises(WrongError, match="do not belong together"):
        door.sign_in(name, password, "192.0.2.1", "")
    viewer = "alex" if name == "alex" else "nobody"
    assert told(store)[0] == (viewer, "sign in refused"), "what was typed may be a password"


def test_a_disabled_user_is_cut_off_at_once_and_not_told_why(store: Store, door: SignIn) -> None:
    made = door.sign_in("alex", PASSWORD, "192.0.2.1", "")
    token, _ = users.issue_token(store, "alex", "a script", 1, "test")
    assert door.bearer(token) is not None
    assert users.disable(store, "alex", "test") == 2
    assert door.who(made.session, active=True) is None
    assert door.bearer(token) is None
    with pytest.raises(WrongError, match="do not belong together"):
        door.sign_in("alex", PASSWORD, "192.0.2.1", "")
    users.enable(store, "alex", "test")
    assert door.who(made.session, active=True) is None, "what was ended stays so"
    assert door.sign_in("alex", PASSWORD, "192.0.2.1", "")


def test_another_password_ends_every_session(store: Store, door: SignIn) -> None:
    first, second = (door.sign_in("alex", PASSWORD, "192.0.2.1", "") for _ in range(2))
    person = door.who(first.session, active=True)
    assert person is not None
    with pytest.raises(SignInError, match="do not belong"):
        door.change_password(person, "wrong words here", "other random words", "192.0.2.1", "")
    with pytest.raises(UserError, match="12"):
        door.change_password(person, PASSWORD, "short", "192.0.2.1", "")
    fresh = door.change_password(person, PASSWORD, "other random words", "192.0.2.1", "")
    assert door.who(first.session, active=True) is None and door.who(second.session, active=True) is None
    assert door.who(fresh.session, active=True) is not None
    assert users.set_password(store, "alex", PASSWORD, "test") == 1
    assert door.who(fresh.session, active=True) is None


def test_a_password_that_an_operator_hands_out_is_for_one_sign_in(store: Store, door: SignIn) -> None:
    old = door.sign_in("alex", PASSWORD, "192.0.2.1", "")
    once = users.reset(store, "alex", "test")
    assert door.who(old.session, active=True) is None
    with pytest.raises(WrongError):
        door.sign_in("alex", PASSWORD, "192.0.2.1", "")
    made = door.sign_in("alex", once, "192.0.2.1", "")
    assert made.must_change
    with pytest.raises(WrongError):
        door.sign_in("alex", once, "192.0.2.1", "")
    person = door.who(made.session, active=True)
    assert person is not None and person.must_change
    fresh = door.change_password(person, "", "other random words", "192.0.2.1", "")
    changed = door.who(fresh.session, active=True)
    assert changed is not None and not changed.must_change
    late = users.reset(store, "alex", "test")
    with store.write() as connection:
        connection.execute(
            update(session.metadata.tables["account"]).values(password_ms=0)  # handed out long ago
        )
    with pytest.raises(WrongError):
        door.sign_in("alex", late, "192.0.2.1", "")


def test_a_session_ends_when_nothing_is_done_and_after_a_shift(store: Store, door: SignIn) -> None:
    made = door.sign_in("alex", PASSWORD, "192.0.2.1", "")
    later(store, LIMITS.idle_ms - 60_000)
    assert door.who(made.session, active=True) is not None, "and that is noted as something done"
    later(store, LIMITS.idle_ms - 60_000)
    assert door.who(made.session, active=False) is not None
    later(store, 120_000)
    assert door.who(made.session, active=False) is None, "what the page asks by itself keeps nobody signed in"
    assert told(store)[0] == ("alex", "signed out: nothing was done for too long")
    made = door.sign_in("alex", PASSWORD, "192.0.2.1", "")
    for _ in range(14):
        seen = door.who(made.session, active=True)
        later(store, LIMITS.idle_ms - 60_000)
    assert seen is None
    assert told(store)[0] == ("alex", "signed out: it was a shift old")


@given(
    made=st.integers(0, 10**13),
    seen=st.lists(st.integers(0, 10**8), max_size=20),
    idle=st.integers(1, 10**8),
    longest=st.integers(1, 10**9),
)
def test_a_session_lives_as_long_as_both_limits_say_and_no_longer(
    made: int, seen: list[int], idle: int, longest: int
) -> None:
    limits, now_ms = Limits(idle, longest), made
    one = Session("", "alex", made, made, "")
    for wait_ms in seen:
        now_ms += wait_ms
        why = over(one, now_ms, limits)
        assert bool(why) == (wait_ms >= idle or now_ms - made >= longest)
        if why:
            return
        one = Session("", "alex", made, now_ms, "")


def test_a_token_is_good_until_it_expires_or_is_revoked(store: Store, door: SignIn) -> None:
    users.add(store, "orders", "Order service", "order_service", None, "test")
    token, made = users.issue_token(store, "orders", "the order service", 2, "test")
    other, unused = users.issue_token(store, "orders", "another", 2, "test")
    machine = door.bearer(token)
    assert machine is not None and machine.may("order") and not machine.may("look")
    forged = token[:-1] + ("A" if token[-1] != "A" else "B")
    anothers = other.replace(unused.id, made.id)
    for wrong in (forged, anothers, token.replace("tagwatch_", ""), f"tagwatch_{made.id}_", ""):
        assert door.bearer(wrong) is None
    users.revoke_token(store, unused.id, "test")
    assert door.bearer(other) is None
    with pytest.raises(UserError, match="no token"):
        users.revoke_token(store, unused.id, "test")
    later(store, 2 * users.DAY_MS + 1)
    assert door.bearer(token) is None
    for days in (0, -1, 401, float("nan")):
        with pytest.raises(UserError, match="--days"):
            users.issue_token(store, "orders", "x", days, "test")


def test_guessing_is_slowed_down_and_does_not_lock_the_user_out(store: Store) -> None:
    throttle = Throttle()
    door = SignIn(store, LIMITS, throttle)
    known = door.sign_in("alex", PASSWORD, "192.0.2.1", "").browser
    for _ in range(ADDRESS.burst):
        with pytest.raises(WrongError):
            door.sign_in("alex", "a guess or two", "192.0.2.66", "")
    with pytest.raises(TooOftenError) as refused:
        door.sign_in("alex", PASSWORD, "192.0.2.66", "")
    assert 0 < refused.value.wait_s <= ADDRESS.every_s
    assert ("alex", "sign in held up: too many attempts") in told(store)
    before = len(told(store))
    for _ in range(50):
        with pytest.raises(TooOftenError):
            door.sign_in("alex", "a guess or two", "192.0.2.66", "")
    assert len(told(store)) == before, "what is not even tried fills no disk"
    assert door.sign_in("alex", PASSWORD, "192.0.2.7", ""), "from elsewhere"
    assert door.sign_in("alex", PASSWORD, "192.0.2.66", known), (
        "from a known browser, at the guesser's address"
    )
    for number in range(USER.burst):  # from everywhere
        throttle.begin("alex", f"198.51.{number}.1", None, time.monotonic())
    with pytest.raises(TooOftenError):
        door.sign_in("alex", PASSWORD, "192.0.2.8", "")
    assert door.sign_in("alex", PASSWORD, "192.0.2.8", known)


def test_what_proves_a_browser_is_of_one_user_and_of_one_password(store: Store, door: SignIn) -> None:
    users.add(store, "sam", "Sam Sample", "practitioner", PASSWORD, "test")
    known = door.sign_in("alex", PASSWORD, "192.0.2.1", "").browser
    nonce, _, mac = known.partition(".")
    forged = [f"{nonce}.{'0' * 64}", f"{'A' * 22}.{mac}", "", "x", known + "0"]
    for number in range(ADDRESS.burst):
        with pytest.raises(WrongError):
            door.sign_in("alex", "a guess or two", "192.0.2.66", forged[number % len(forged)])
    for cookie in forged:
        with pytest.raises(TooOftenError):
            door.sign_in("alex", PASSWORD, "192.0.2.66", cookie)
    with pytest.raises(TooOftenError):
        door.sign_in("sam", PASSWORD, "192.0.2.66", known)
    assert door.sign_in("alex", PASSWORD, "192.0.2.66", known)


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("short", "has 5 characters"),
        ("alex example", "hardly more than the name"),
        ("AlexExample2026!", "hardly more than the name"),
        ("tagwatch-alex-1", "hardly more than the name"),
        ("aaaaaaaaaaaaaaaa", "again and again"),
        ("x" * 257, "more than 256"),
    ],
)
def test_a_password_is_long_and_not_the_name(password: str, why: str) -> None:
    assert why in users.password_problem(password, "alex", "Alex Example")


@given(
    words=st.lists(
        st.sampled_from(["correct", "horse", "battery", "staple", "ünïcode"]), min_size=3, max_size=5
    )
)
def test_random_words_make_a_password(words: list[str]) -> None:
    text = " ".join(words)
    assert len(set(text)) < 5 or users.password_problem(text, "alex", "Alex Example") == ""


def test_a_password_may_be_typed_on_another_keyboard(store: Store, door: SignIn) -> None:
    users.set_password(store, "alex", "café und brötchen", "test")
    assert door.sign_in("alex", "café und brötchen", "192.0.2.1", "")


@pytest.mark.parametrize("name", ["A", "x", "local", "nobody", "al ex", "alex\n", "-alex", "a" * 33, "älex"])
def test_a_name_is_plain_and_none_of_the_logs_own_words(store: Store, name: str) -> None:
    with pytest.raises(UserError, match="user's name"):
        users.add(store, name, "Somebody Else", "practitioner", PASSWORD, "test")


def test_a_user_has_one_account_a_full_name_and_a_role(store: Store) -> None:
    with pytest.raises(UserError, match="already"):
        users.add(store, "alex", "Alex Example", "operator", PASSWORD, "test")
    with pytest.raises(UserError, match="full name"):
        users.add(store, "sam", "  ", "operator", PASSWORD, "test")
    with pytest.raises(UserError, match="is no role"):
        users.add(store, "sam", "Sam Sample", "king", PASSWORD, "test")
    assert set(users.MAY) == set(users.ROLES)


def test_nobodys_hash_takes_as_long_as_somebodys() -> None:
    assert not users.outdated(users.NOBODYS)
    assert not users.is_password(users.NOBODYS, PASSWORD)
    assert not users.is_password("no hash at all", PASSWORD)


def test_a_restored_backup_signs_nobody_in_and_lets_nobody_in_who_was_kept_out(tmp_path: Path) -> None:
    kept = keep(tmp_path / "gateway")
    store, door = kept.store, SignIn(kept.store, LIMITS)
    for name in ("alex", "sam"):
        users.add(store, name, "Somebody Else", "practitioner", PASSWORD, "test")
    made = door.sign_in("alex", PASSWORD, "192.0.2.1", "")
    token, issued = users.issue_token(store, "alex", "a script", 9, "test")
    good, _ = users.issue_token(store, "alex", "another", 9, "test")
    backup.backup(kept.settings, tmp_path / "file")
    users.disable(store, "sam", "test")
    users.revoke_token(store, issued.id, "test")
    store.close()
    restore.restore(kept.settings, tmp_path / "file")
    again = Store.open(kept.settings.store_place)
    door = SignIn(again, LIMITS)
    assert door.who(made.session, active=True) is None
    assert door.bearer(token) is None and door.bearer(good) is not None
    with pytest.raises(WrongError):
        door.sign_in("sam", PASSWORD, "192.0.2.1", "")
    assert door.sign_in("alex", PASSWORD, "192.0.2.1", "")
    again.close()


class Typed:
    """The command, as an operator types it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *words: str, typed: str = "") -> Result:
        return CliRunner().invoke(app, ["user", *words, "--data-dir", str(self.folder)], input=typed)


def test_an_operator_adds_lists_resets_and_disables_users(tmp_path: Path) -> None:
    tagwatch = Typed(tmp_path)
    added = tagwatch("add", "alex", "--name", "Alex Example", "--role", "practitioner", typed=f"{PASSWORD}\n")
    assert added.exit_code == 0 and "acknowledge" in added.stdout, added.output
    refused = tagwatch("add", "sam", "--name", "Sam Sample", "--role", "practitioner", typed="short\n")
    assert refused.exit_code == 1 and "has 5 characters" in refused.output
    assert tagwatch("add", "orders", "--name", "Order service", "--role", "order_service").exit_code == 0
    assert tagwatch("add", "x1", "--name", "X", "--role", "king").exit_code == 1
    listed = json.loads(tagwatch("list", "--json").stdout)
    assert [(one["user"], one["role"], one["password"]) for one in listed] == [
        ("alex", "practitioner", "set"),
        ("orders", "order_service", "none"),
    ]
    token = json.loads(tagwatch("token", "orders", "--for", "orders in", "--days", "7", "--json").stdout)
    once = tagwatch("reset", "alex").stdout.strip()
    store = Store.open(Settings.load(tmp_path).store_place)
    door = SignIn(store, LIMITS)
    assert door.bearer(token["token"]) is not None
    assert door.sign_in("alex", once, "192.0.2.1", "").must_change
    sessions = json.loads(tagwatch("sessions", "--json").stdout)
    assert [(one["user"], one["from"], one["ended"]) for one in sessions] == [("alex", "192.0.2.1", None)]
    assert "1 sessions ended" in tagwatch("sessions", "alex", "--end").stdout
    assert tagwatch("revoke", token["id"]).exit_code == 0
    assert door.bearer(token["token"]) is None
    assert [one["id"] for one in json.loads(tagwatch("tokens", "--json").stdout)] == [token["id"]]
    assert token["token"] not in tagwatch("tokens").stdout
    assert tagwatch("password", "alex", typed=f"{PASSWORD}\n").exit_code == 0
    assert door.sign_in("alex", PASSWORD, "192.0.2.1", "")
    assert tagwatch("disable", "alex").exit_code == 0
    with pytest.raises(WrongError):
        door.sign_in("alex", PASSWORD, "192.0.2.1", "")
    assert tagwatch("enable", "alex").exit_code == 0
    assert tagwatch("disable", "nobody1").exit_code == 1
    views = [view for viewer, view in told(store) if viewer.startswith("command")]
    assert set(views) >= {"user added as practitioner", "password reset", "user disabled", "sessions ended"}
    store.close()


def test_no_command_takes_a_password_as_an_argument() -> None:
    for command in ("add", "password", "reset"):
        said = CliRunner().invoke(app, ["user", command, "--help"]).stdout
        assert "--password" not in said


def test_who_says_twice_that_notice_was_taken_has_said_it_once(store: Store) -> None:
    tables = session.metadata.tables
    with store.write() as connection:
        device = {"id": "tag001", "key": b"", "certificate": b"", "added_at_ms": 1, "kind": "gps_tag"}
        connection.execute(insert(tables["device"]).values(device))
        row = {"number": 1, "id": "a", "revision": 3, "device": "tag001", "rule": "r", "state": "open"}
        stamps = {"severity": "high", "start_ms": 1, "raised_at_ms": 1, "changed_at_ms": 1, "document": "{}"}
        connection.execute(insert(tables["alert"]).values(row | stamps))
        for _ in range(3):
            assert outbox.acknowledge(connection, 1, "Alex", 5, seen=2, note="seen", account="alex") == 2
        outbox.acknowledge(connection, 1, "Alex", 6, seen=9, note="seen", account="alex")
        outbox.acknowledge(connection, 1, "Sam", 7, seen=3, account="sam")
        said = [(one.person, one.revision, one.note) for one in outbox.acknowledgements(connection, 1)]
        assert said == [("Alex", 2, "seen"), ("Alex", 3, "seen"), ("Sam", 3, "")]
        assert outbox.acknowledged_of(connection, [1, 2]) == {1: 3}
        assert accounts.find(connection, "alex") is not None


def test_when_time_is_put_right_sessions_and_tokens_go_on_as_long_as_they_had(
    store: Store, door: SignIn
) -> None:
    made = door.sign_in("alex", PASSWORD, "192.0.2.1", "")
    token, _ = users.issue_token(store, "alex", "a script", 1, "test")
    with store.read() as connection:
        before = accounts.sessions(connection)[0], accounts.tokens(connection)[0]
        now_ms = users.present_ms(connection)
    old = Line(1, 0, Basis.FLOOR, now_ms - 1_000_000, 0, 0)
    year_ms = 365 * users.DAY_MS
    with store.write() as connection:
        clock.correct(connection, old, replace(old, offset_ms=year_ms), now_ms + year_ms)
        after = accounts.sessions(connection)[0], accounts.tokens(connection)[0]
    assert after[0].made_ms - before[0].made_ms == after[0].seen_ms - before[0].seen_ms == year_ms
    assert after[1].expires_ms - before[1].expires_ms == after[1].made_ms - before[1].made_ms == year_ms
    assert made and token


def test_the_page_about_users_tells_what_each_role_may() -> None:
    columns = ("look", "acknowledge", "fit", "order", "measure")
    page = (Path(__file__).parents[2] / "docs" / "users.md").read_text("utf-8")
    told = {}
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 1 + len(columns) and cells[0].startswith("`"):
            may = {right for right, cell in zip(columns, cells[1:], strict=True) if cell == "yes"}
            told[cells[0].split("`")[1]] = may
    assert told == {role: set(rights) for role, rights in users.MAY.items()}
    assert set(columns) == set().union(*users.MAY.values())
