"""Real messages with something wrong in them: never a failure, never a lost message, a task where meaning is lost."""

from __future__ import annotations

import copy
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.order import order_from_json
from gateway.orders.meaning import Known, Meaning, meaning_of
from gateway.orders.reading import read
from gateway.orders.told import conditions_told
from gateway.store import intake, orders
from tests.gateway.order_desk import Desk, desk_in
from tests.gateway.order_service import RefusedError, filled_in, recorded

DATA = Path(os.environ.get("TAGWATCH_DATA", "../shared/data"))
EVERY = (
    [(filled_in(wearer), filled_in(order)) for _, wearer, order in recorded(DATA)] if DATA.is_dir() else []
)
PROBE = settings(
    max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

JUNK = st.one_of(
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=40),
    st.sampled_from(
        ["\x00", "\ud800", "0000-00-00", "2025-02-30 10:00:00", "31/13/2025", "25:61", "9999-12-31 23:59:59", "Ａ",
         "{mockStartDate}", "N/A", "true", "2025-01-22T10:00:00+99:99", "-1", "x" * 5000, "Must not leave"]
    ),
    st.lists(st.none() | st.text(max_size=5) | st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=5), st.none() | st.text(max_size=5), max_size=3),
)  # fmt: skip


def places(message: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every field of a message, however deep, and every entry of a list."""
    items = message.items() if isinstance(message, dict) else enumerate(message)
    for key, value in items:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))


def at(message: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        message = message[key]
    return message


@st.composite
def mutations(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any], str, tuple[Any, ...], bool]:
    """A recorded pair of messages with one to three things wrong; the last of them by name and place."""
    wearer, order = copy.deepcopy(draw(st.sampled_from(EVERY)))
    how, path, of_order = "", (), True
    for _ in range(draw(st.sampled_from([1, 1, 1, 2, 3]))):
        of_order = draw(st.booleans())
        message = order if of_order else wearer
        every = list(places(message))
        if not every:
            continue
        path = draw(st.sampled_from(every))
        parent, key = at(message, path[:-1]), path[-1]
        how = draw(st.sampled_from(["drop", "null", "empty", "rename", "retype"]))
        if how == "drop" or (how == "rename" and isinstance(key, int)):
            del parent[key]
        elif how == "null":
            parent[key] = None
        elif how == "empty":
            parent[key] = draw(st.sampled_from(["", "  ", [], {}]))
        elif how == "rename":
            parent[draw(st.text(min_size=1, max_size=10)) + str(key)] = parent.pop(key)
        else:
            parent[key] = draw(JUNK)
    return wearer, order, how, path, of_order


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with desk_in(tmp_path_factory.mktemp("desk")) as found:
        yield found


@PROBE
@given(mutated=mutations(), source=st.sampled_from(["", "CP"]))
def test_a_message_with_anything_wrong_is_taken_in_kept_and_read_back(
    desk: Desk, mutated: Any, source: str
) -> None:
    service, unique = desk.service, secrets.token_hex()  # each time somebody new
    wearer, order, *_ = mutated
    case_id = service.send(f"create{source}DW", wearer | {"unique": unique})
    if order.get("case_id") == "MockDeviceWearerId":
        order = order | {"case_id": case_id}
    try:
        order_id = service.send(f"create{source}MO", order)
    except (
        RefusedError
    ) as refused:  # it names a wearer that is not known: the sender is told, and nothing is kept
        assert refused.status == 404
        assert order["case_id"] not in (case_id, "", None)
        return
    with desk.store.read() as connection:
        newest = intake.newest_message(connection, order_id)
        versions = orders.versions(connection, order_id)
    assert newest is not None
    assert json.loads(newest.data) == order
    assert order_from_json(json.loads(versions[-1].document)).order_id == order_id
    assert service.retrieve(order_id)["monitoring_order"] == order
    assert service.send(f"update{source}MO", order | {"media_interest": unique})


def means(wearer: dict[str, Any], order: dict[str, Any]) -> Meaning:
    return meaning_of(
        read(json.dumps(order).encode()),
        read(json.dumps(wearer).encode()),
        Known("o", "w"),
        1_760_000_000_000,
    )


@pytest.mark.parametrize("number", range(len(EVERY)))
def test_a_field_of_an_order_that_is_lost_or_odd_is_told_of_wherever_it_changes_what_is_monitored(
    number: int,
) -> None:
    """Every field of every recorded order, dropped, renamed, or turned into a list or an object."""
    wearer, order = EVERY[number]
    whole = means(wearer, order)
    before = {(one.kind, one.about, one.sentence) for one in whole.found}
    for path in [path for path in places(order) if not isinstance(path[-1], int)]:
        if at(order, path) in ("", None, [], {}) or path[0] in ("offences", "ac_eligible_offences"):
            continue  # those two change nothing of what is monitored
        for wrong in ("drop", "rename", "list", "object"):
            changed = copy.deepcopy(order)
            parent = at(changed, path[:-1])
            if wrong == "drop":
                del parent[path[-1]]
            elif wrong == "rename":
                parent[f"{path[-1]}_x"] = parent.pop(path[-1])
            else:
                parent[path[-1]] = ["?", "?"] if wrong == "list" else {"?": "?"}
            now = means(wearer, changed)
            tasks = {(one.kind, one.about, one.sentence) for one in now.found} - before
            if wrong != "drop":
                assert tasks, f"{path} {wrong}: nobody is told"
            elif told(now) != told(whole):
                assert tasks, f"{path} dropped: {told(whole)} became {told(now)}, and nobody is told"


def told(meaning: Meaning) -> tuple[Any, ...]:
    order = meaning.order
    return order.regime, order.start_ms, order.end_ms, conditions_told(order)


@settings(max_examples=150)
@given(st.binary(max_size=300))
def test_bytes_of_any_kind_are_a_message_or_are_refused_as_none(data: bytes) -> None:
    from gateway.orders.reading import NoMessageError

    try:
        read(data)
    except NoMessageError as error:
        assert str(error)


@settings(max_examples=120)
@given(st.recursive(JUNK, lambda inner: st.dictionaries(st.sampled_from(
    ["case_id", "enforceable_condition", "condition", "start_date", "end_date", "curfew_duration", "schedule", "day",
     "location", "exclusion_zones", "description", "order_start", "order_end", "disability", "address_1"]), inner)
    | st.lists(inner, max_size=3), max_leaves=20))  # fmt: skip
def test_an_object_of_any_shape_becomes_an_order_that_can_be_read(value: Any) -> None:
    message = value if isinstance(value, dict) else {"order_type": value}
    meaning = means(message, message)
    assert order_from_json(meaning.document) == meaning.order
    assert meaning.found
