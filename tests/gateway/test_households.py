"""Whose readings are whose, and that no restart, and no forgetting of what is kept in memory, changes an alert."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from core import envelope, wire
from core.readings import Kind, TamperCode, UnitFlag
from gateway import topics
from gateway.clock import utc_text
from gateway.commit import Committer
from gateway.group import Committed, Received
from gateway.installations import install, uninstall
from gateway.judge import Judge
from gateway.orders import OrderRefused, activate, add_order, deactivate
from gateway.store import Store, alerts, devices, installations
from tests.community_order import community_order, every_day
from tests.core.wearers import DAY_MS, MONDAY_MS
from tests.gateway.stand_in import block
from tests.gateway.vaults import VAULT, sealed

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
KEY = bytes(32)
KINDS = {
    "gps0001": "gps_tag",
    "rf0001": "rf_tag",
    "rf0002": "rf_tag",
    "home0001": "home_unit",
    "home0002": "home_unit",
}
FLAT = {"name": "flat", "latitude": 51.5, "longitude": -0.1, "radius_m": 50}
MOTHERS = {"name": "mother's", "latitude": 51.6, "longitude": -0.2, "radius_m": 50}
NIGHTLY = every_day("19:00", "23:00")
CURFEW_MS = MONDAY_MS + 18 * HOUR_MS
MAINS = int(UnitFlag.MAINS)


@dataclass
class Street:
    """A store with tags, home units and wearers, and somebody who commits what they say."""

    store: Store
    committer: Committer = field(init=False)
    numbers: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        with self.store.write() as connection:
            for device, kind in KINDS.items():
                devices.add(connection, devices.Device(device, sealed(device, KEY), b"", 0, None, kind))
        self.committer = Committer(self.store, VAULT, quarantine_rows=10, quarantine_bytes=64)

    def wear(self, device: str, *addresses: dict[str, Any], fitted_ms: int = MONDAY_MS) -> str:
        first, *more = addresses or (FLAT,)
        curfew: dict[str, Any] = {"id": "c", "type": "curfew", "address": first, "timetable": NIGHTLY}
        if more:
            curfew["also"] = [{"address": address, "timetable": NIGHTLY} for address in more]
        add_order(self.store, community_order(f"o-{device}", curfew))
        return activate(self.store, device, f"o-{device}", fitted_ms)

    def says(self, device: str, *blocks: wire.Block, at_ms: int) -> Received:
        """A message that the gateway receives at ``at_ms``; a block's numbers go on where the last ended."""
        topic = topics.up(device)
        epoch = 100 + sorted(KINDS).index(device)
        numbered = []
        for one in blocks:
            first = self.numbers.get(device, 0) + 1
            self.numbers[device] = first + one.count - 1
            assert one.records is not None
            numbered.append(wire.make_block(one.kind, first, one.base_time_s, one.records))
        first = numbered[0].first if numbered else 1
        payload = wire.encode_up(wire.Up(epoch, first, tuple(numbered)))
        return Received(topic, envelope.seal(KEY, device, topic, payload), at_ms)

    def commit(self, *messages: Received) -> Committed:
        return self.committer.commit(messages)

    def told(self, activation: str, rule: str | None = None) -> list[dict[str, Any]]:
        with self.store.read() as connection:
            rows = alerts.listing(connection, limit=10_000)[::-1]
        return [
            row
            for row in rows
            if row["activation"] == activation
            and row["state"] != "withdrawn"
            and (rule is None or row["rule"] == rule)
        ]

    def final(self) -> set[tuple[object, ...]]:
        """What stands, without what depends on when it was written."""
        with self.store.read() as connection:
            rows = alerts.listing(connection, limit=10_000)
        return {
            (row["rule"], row["id"], row["state"], row["sentence"], str(row["figures"]), str(row["readings"]))
            for row in rows
            if row["state"] != "withdrawn"
        }


@pytest.fixture
def street(tmp_path: Path) -> Iterator[Street]:
    store = Store.open(tmp_path / "store.sqlite")
    yield Street(store)
    store.close()


def heard(tag: str, from_ms: int, minutes: int, count: int, ok: int = MAINS) -> wire.Block:
    ends = [from_ms + MINUTE_MS * (n + 1) for n in range(minutes)]
    return block(
        Kind.RF_CONTACT,
        1,
        ends,
        beacon=wire.beacon_number(tag),
        span=60,
        count=count,
        strongest=-60 if count else 127,
        median=127,
        unit=ok,
    )


def tamper(t_ms: int, code: TamperCode, detail: int = 1) -> wire.Block:
    return block(Kind.TAMPER, 1, [t_ms], code=code, detail=detail)


def judged(street: Street, now_ms: int, *messages: Received, judge: Judge | None = None) -> Judge:
    judge = judge or Judge(street.store)
    judge.refresh()
    if messages:
        judge.add(street.commit(*messages))
    judge.judge(now_ms)
    return judge


def test_a_units_own_troubles_concern_everybody_it_listens_for(street: Street) -> None:
    one, two = street.wear("rf0001"), street.wear("rf0002")
    for worn in (one, two):
        install(street.store, "home0001", worn, None, MONDAY_MS)
    at = MONDAY_MS + HOUR_MS
    codes = (TamperCode.MOVED, TamperCode.CASE, TamperCode.BACKUP_BATTERY_LOW)
    blocks = [tamper(at, code) for code in codes]
    judged(street, at + MINUTE_MS, street.says("home0001", *blocks, at_ms=at))
    for worn in (one, two):
        assert {alert["rule"]: alert["figures"]["unit"] for alert in street.told(worn)} == {
            "home_unit_moved": 0,
            "home_unit_case_open": 0,
            "home_unit_battery_low": 0,
        }
    checked = tamper(at + HOUR_MS, TamperCode.UNIT_CHECKED)
    judged(street, at + 2 * HOUR_MS, street.says("home0001", checked, at_ms=at + HOUR_MS))
    assert {alert["rule"] for alert in street.told(one) if alert["state"] == "open"} == {
        "home_unit_battery_low"
    }


def test_a_unit_speaks_for_the_address_at_which_it_is_installed(street: Street) -> None:
    worn = street.wear("rf0001", FLAT, MOTHERS)
    install(street.store, "home0002", worn, "mother's", MONDAY_MS)
    at = MONDAY_MS + HOUR_MS
    judged(street, at, street.says("home0002", tamper(at, TamperCode.MAINS), at_ms=at))
    (alert,) = street.told(worn)
    assert (alert["rule"], alert["figures"]["unit"]) == ("home_unit_no_mains", 1)


def test_what_a_unit_heard_where_it_was_not_installed_is_stored_and_not_judged(street: Street) -> None:
    worn = street.wear("rf0001")
    now = CURFEW_MS + HOUR_MS
    message = street.says("home0001", heard("rf0001", CURFEW_MS, 60, 0), at_ms=now)
    judge = judged(street, now, message)
    assert street.told(worn, "absent_during_curfew") == []
    # and is judged once it is known that it stood there
    install(street.store, "home0001", worn, None, CURFEW_MS)
    judged(street, now, judge=judge)
    assert [alert["state"] for alert in street.told(worn, "absent_during_curfew")] == ["open"]


def test_what_a_unit_heard_after_it_was_taken_away_is_withdrawn(street: Street) -> None:
    worn = street.wear("rf0001")
    install(street.store, "home0001", worn, None, MONDAY_MS)
    now = CURFEW_MS + HOUR_MS
    message = street.says("home0001", heard("rf0001", CURFEW_MS, 60, 0), at_ms=now)
    judge = judged(street, now, message)
    assert len(street.told(worn, "absent_during_curfew")) == 1
    uninstall(street.store, "home0001", None, CURFEW_MS)
    judged(street, now, judge=judge)
    assert street.told(worn, "absent_during_curfew") == []
    assert len(street.told(worn, "whereabouts_unknown")) == 1


def test_a_tag_without_a_link_of_its_own_is_heard_of_through_its_home_unit(street: Street) -> None:
    worn, alone = street.wear("rf0001"), street.wear("rf0002")
    install(street.store, "home0001", worn, None, MONDAY_MS)
    at = MONDAY_MS + 20 * HOUR_MS
    judge = judged(street, at, street.says("home0001", at_ms=at))
    judged(street, MONDAY_MS + DAY_MS + HOUR_MS, judge=judge)
    assert street.told(worn, "no_contact") == []
    assert len(street.told(alone, "no_contact")) == 1
    judged(street, at + DAY_MS, judge=judge)
    assert len(street.told(worn, "no_contact")) == 1


def test_a_home_unit_says_nothing_of_the_link_of_a_tag_that_has_its_own(street: Street) -> None:
    worn = street.wear("gps0001")
    install(street.store, "home0001", worn, None, MONDAY_MS)
    at = MONDAY_MS + 20 * HOUR_MS
    judged(street, MONDAY_MS + DAY_MS, street.says("home0001", at_ms=at))
    assert len(street.told(worn, "no_contact")) == 1


def test_a_silence_that_ended_while_nobody_judged_is_over(street: Street) -> None:
    worn, gone = street.wear("gps0001"), street.wear("rf0001")
    judged(street, MONDAY_MS + DAY_MS)
    assert [alert["state"] for alert in street.told(worn, "no_contact")] == ["open"]
    street.commit(street.says("gps0001", at_ms=MONDAY_MS + DAY_MS + 7000))  # and then the ingest is gone
    deactivate(street.store, gone, MONDAY_MS + DAY_MS + 9000)
    judged(street, MONDAY_MS + 2 * DAY_MS - HOUR_MS)
    ends = [street.told(name, "no_contact")[0]["end"] for name in (worn, gone)]
    assert ends == ["2026-06-02T00:00:07Z", "2026-06-02T00:00:09Z"]


def test_a_number_said_again_with_other_content_changes_nothing_of_the_law(street: Street) -> None:
    worn = street.wear("gps0001")
    at = MONDAY_MS + HOUR_MS
    judge = judged(street, at, street.says("gps0001", tamper(at, TamperCode.STRAP, 1), at_ms=at))
    street.numbers.clear()
    denied = street.says("gps0001", tamper(at, TamperCode.TAG_CHECKED, 1), at_ms=at)
    judged(street, at, denied, judge=judge)
    judged(street, at)
    states = {alert["rule"]: alert["state"] for alert in street.told(worn)}
    assert states == {"strap_tamper": "open", "sequence_conflict": "open"}


def evenings(street: Street) -> list[tuple[int, list[Received]]]:
    """Two days of two wearers: what is received when; late, together, and with a day of silence."""
    tag, unit, at = "gps0001", "home0001", MONDAY_MS

    def here(from_ms: int, minutes: int, lat: float) -> wire.Block:
        times = [from_ms + MINUTE_MS * n for n in range(minutes)]
        fields = {"lat": round(lat * 1e7), "lon": -1_000_000, "precision": 80}
        return block(Kind.POSITION, 1, times, **fields)

    late = street.says(tag, here(at + HOUR_MS, 40, 51.5), at_ms=CURFEW_MS)
    return [
        (at + 8 * HOUR_MS, [street.says(unit, at_ms=at + 8 * HOUR_MS)]),
        (
            CURFEW_MS + HOUR_MS,
            [
                street.says(unit, heard("rf0001", CURFEW_MS - HOUR_MS, 60, 4), at_ms=CURFEW_MS),
                street.says(unit, heard("rf0001", CURFEW_MS, 30, 0), at_ms=CURFEW_MS),
                street.says(tag, here(CURFEW_MS - HOUR_MS, 90, 51.52), at_ms=CURFEW_MS + HOUR_MS),
            ],
        ),
        (
            CURFEW_MS + 2 * HOUR_MS,
            [
                street.says(
                    unit, heard("rf0001", CURFEW_MS + HOUR_MS // 2, 30, 4), at_ms=CURFEW_MS + HOUR_MS
                ),
                street.says(tag, tamper(CURFEW_MS + HOUR_MS, TamperCode.STRAP), at_ms=CURFEW_MS + HOUR_MS),
            ],
        ),
        (CURFEW_MS + 3 * HOUR_MS, [late]),
        (CURFEW_MS + 9 * HOUR_MS, []),
        (CURFEW_MS + 26 * HOUR_MS + MINUTE_MS, []),
        (
            CURFEW_MS + 27 * HOUR_MS,
            [
                street.says(
                    tag,
                    tamper(CURFEW_MS + 20 * HOUR_MS, TamperCode.TAG_CHECKED),
                    at_ms=CURFEW_MS + 27 * HOUR_MS,
                ),
                street.says(
                    unit, tamper(CURFEW_MS + 23 * HOUR_MS, TamperCode.MAINS), at_ms=CURFEW_MS + 27 * HOUR_MS
                ),
            ],
        ),
        (CURFEW_MS + 28 * HOUR_MS, []),
    ]


def lived_through(
    folder: Path,
    restarts: Sequence[int],
    before_judging: bool = False,
    keep: int = 512,
    checkpoint: int = 256,
) -> set[tuple[object, ...]]:
    """The alerts that stand after `evenings`, with a new judge after the steps named in ``restarts``."""
    folder.mkdir()
    store = Store.open(folder / "store.sqlite")
    street = Street(store)
    street.wear("gps0001")
    install(store, "home0001", street.wear("rf0001"), None, MONDAY_MS)
    judge = Judge(store, keep_readings=keep, checkpoint_readings=checkpoint)
    for number, (now_ms, messages) in enumerate(evenings(street)):
        judge.refresh()
        for message in messages:
            judge.add(street.commit(message))
        if number in restarts and before_judging:
            judge = Judge(store, keep_readings=keep, checkpoint_readings=checkpoint)
            judge.refresh()
        judge.judge(now_ms)
        if number in restarts and not before_judging:
            judge = Judge(store, keep_readings=keep, checkpoint_readings=checkpoint)
    found = street.final()
    store.close()
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> set[tuple[object, ...]]:
    found = lived_through(tmp_path_factory.mktemp("street") / "calm", ())
    rules = {
        "absent_during_curfew",
        "strap_tamper",
        "no_contact",
        "home_unit_no_mains",
        "whereabouts_unknown",
    }
    assert rules <= {name for name, *_ in found}
    return found


@pytest.mark.parametrize("before_judging", [False, True], ids=["after judging", "before judging"])
@pytest.mark.parametrize("restarts", [*((n,) for n in range(8)), (1, 3, 5), tuple(range(8))], ids=str)
def test_a_restart_at_any_point_ends_in_the_same_alerts(
    undisturbed: set[tuple[object, ...]], tmp_path: Path, restarts: tuple[int, ...], before_judging: bool
) -> None:
    assert lived_through(tmp_path / "street", restarts, before_judging) == undisturbed


def test_a_judge_that_keeps_next_to_nothing_in_memory_ends_in_the_same_alerts(
    undisturbed: set[tuple[object, ...]], tmp_path: Path
) -> None:
    assert lived_through(tmp_path / "one", (), keep=2, checkpoint=4) == undisturbed
    assert lived_through(tmp_path / "two", (2, 4), keep=2, checkpoint=4) == undisturbed


def test_an_installation_is_refused_with_what_to_do(street: Street) -> None:
    worn = street.wear("rf0001", FLAT, MOTHERS)
    with pytest.raises(OrderRefused, match=r"is no home unit .* --kind home_unit"):
        install(street.store, "gps0001", worn, "flat", MONDAY_MS)
    with pytest.raises(OrderRefused, match="activation rf0001-9 is not known"):
        install(street.store, "home0001", "rf0001-9", "flat", MONDAY_MS)
    with pytest.raises(OrderRefused, match=r"several addresses: give one of flat, mother's"):
        install(street.store, "home0001", worn, None, MONDAY_MS)
    with pytest.raises(OrderRefused, match="no address 'cellar'"):
        install(street.store, "home0001", worn, "cellar", MONDAY_MS)
    install(street.store, "home0001", worn, "flat", MONDAY_MS)
    with pytest.raises(OrderRefused, match="home0001 listens for rf0001-1 at this address"):
        install(street.store, "home0002", worn, "flat", MONDAY_MS)
    with pytest.raises(OrderRefused, match="at another address"):
        install(street.store, "home0001", worn, "mother's", MONDAY_MS)
    with pytest.raises(OrderRefused, match="before it was installed"):
        uninstall(street.store, "home0001", worn, MONDAY_MS - 1)
    with pytest.raises(OrderRefused, match="home0002 is not installed"):
        uninstall(street.store, "home0002", None, MONDAY_MS)
    uninstall(street.store, "home0001", worn, MONDAY_MS + 1)
    install(street.store, "home0001", worn, "mother's", MONDAY_MS + 1)
    with street.store.read() as connection:
        assert [(one.place, one.removed_ms) for one in installations.every(connection)] == [
            (0, MONDAY_MS + 1),
            (1, None),
        ]


def counted(tag: str, end_ms: int, counter: int, refused: int = 0, number: int = 1) -> wire.Block:
    """One minute's contact that ends at ``end_ms``, with the highest counter heard."""
    return block(
        Kind.RF_CONTACT,
        number,
        [end_ms],
        beacon=wire.beacon_number(tag),
        span=60,
        count=4,
        strongest=-60,
        median=-70,
        counter=counter,
        refused=refused,
        unit=MAINS,
    )


def test_forged_beacons_are_told_of_the_tag_in_whose_name_they_were(street: Street) -> None:
    one, two = street.wear("rf0001"), street.wear("rf0002")
    for worn in (one, two):
        install(street.store, "home0001", worn, None, MONDAY_MS)
    at = MONDAY_MS + HOUR_MS
    judged(street, at, street.says("home0001", counted("rf0002", at, 9, refused=3), at_ms=at))
    assert street.told(one) == []
    (alert,) = street.told(two)
    assert (alert["rule"], alert["figures"]["unit"]) == ("forged_beacons", 0)


def test_a_strap_that_a_home_unit_heard_of_is_the_tags(street: Street) -> None:
    one, two = street.wear("rf0001"), street.wear("rf0002")
    for worn in (one, two):
        install(street.store, "home0001", worn, None, MONDAY_MS)
    at = MONDAY_MS + HOUR_MS
    state = block(Kind.TAG_STATE, 1, [at], beacon=wire.beacon_number("rf0001"), battery=190, state=3, age=6)
    judged(street, at, street.says("home0001", state, at_ms=at))
    (alert,) = street.told(one)
    assert alert["rule"] == "strap_tamper"
    assert alert["start"] == utc_text(at - 60_000)
    assert street.told(two) == []


@pytest.mark.parametrize("late_first", [False, True])
def test_a_counter_that_goes_back_from_one_home_unit_to_another_is_told_in_any_order(
    street: Street, late_first: bool
) -> None:
    worn = street.wear("rf0001", FLAT, MOTHERS)
    install(street.store, "home0001", worn, "flat", MONDAY_MS)
    install(street.store, "home0002", worn, "mother's", MONDAY_MS)
    at = MONDAY_MS + HOUR_MS
    true = street.says("home0001", counted("rf0001", at, 1000), at_ms=at)
    played = street.says("home0002", counted("rf0001", at + HOUR_MS, 900), at_ms=at + HOUR_MS)
    messages = [played, true] if late_first else [true, played]
    judge = judged(street, at + HOUR_MS, messages[0])
    judged(street, at + HOUR_MS, messages[1], judge=judge)
    (alert,) = [alert for alert in street.told(worn) if alert["rule"] == "beacon_goes_back"]
    assert alert["severity"] == "high"
    assert "home0002" in alert["sentence"]
    # a new judge finds the same in the store, and says it once
    judged(street, at + HOUR_MS)
    assert len([alert for alert in street.told(worn) if alert["rule"] == "beacon_goes_back"]) == 1


def test_counters_that_go_on_are_nobodys_concern(street: Street) -> None:
    worn = street.wear("rf0001", FLAT, MOTHERS)
    install(street.store, "home0001", worn, "flat", MONDAY_MS)
    install(street.store, "home0002", worn, "mother's", MONDAY_MS)
    at = MONDAY_MS + HOUR_MS
    judge = judged(street, at, street.says("home0001", counted("rf0001", at, 1000), at_ms=at))
    # the clock of the other is two minutes behind
    judged(street, at, street.says("home0002", counted("rf0001", at + 120_000, 998), at_ms=at), judge=judge)
    after = counted("rf0001", at + HOUR_MS, 1240, number=2)
    judged(street, at + HOUR_MS, street.says("home0001", after, at_ms=at + HOUR_MS), judge=judge)
    assert [alert for alert in street.told(worn) if alert["rule"] == "beacon_goes_back"] == []
