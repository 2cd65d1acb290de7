"""Messages through a real broker into a real store, and the answers that come back."""

from __future__ import annotations

import hashlib
import os
import queue
import resource
import sqlite3

import cbor2
import pytest

from core import envelope, wire
from gateway import evidence, topics
from gateway.devices import revoke_device
from gateway.store import alerts, envelopes, quarantine
from tests.gateway.conftest import House
from tests.gateway.stand_in import EPOCH, StandIn, boot, gap, link_tamper, positions, strange


def evident(house: House, device: str) -> dict[int, object]:
    """What the store is evidence of."""
    with house.store.read() as connection:
        return evidence.contents(envelopes.holding(connection, device, EPOCH, 1, 5000), 1, 5000)


def alerts_of(house: House, device: str) -> list[tuple[str, str]]:
    with house.store.read() as connection:
        return [(found["rule"], found["state"]) for found in alerts.listing(connection, device=device)]


def test_fresh_readings_are_stored_and_committed(house: House) -> None:
    tag = house.new_tag()
    before = house.settle()["committed"]
    assert tag.say(positions(1, 3)) == wire.Down(1, (EPOCH, 3))
    assert sorted(evident(house, tag.device)) == [1, 2, 3]
    assert house.settle()["committed"] == before + 3


def test_the_store_keeps_the_envelope_exactly_as_it_was_received(house: House) -> None:
    tag = house.new_tag()
    sealed = tag.seal(positions(1, 2), boot(3))
    tag.publish(sealed)
    tag.answer()
    with house.store.read() as connection:
        (stored,) = envelopes.of_device(connection, tag.device)
    assert stored.data == sealed


def test_a_hello_is_answered_with_the_commit(house: House) -> None:
    tag = house.new_tag()
    assert tag.say(base=1).commit == (EPOCH, 0)
    tag.say(positions(1, 2))
    assert tag.say(base=3).commit == (EPOCH, 2)


def test_a_message_resent_or_replayed_is_a_duplicate_and_committed_again(house: House) -> None:
    tag = house.new_tag()
    tag.say(positions(1, 3))
    before = house.settle()
    assert tag.say(positions(1, 3)).commit == (EPOCH, 3)
    after = house.settle()
    assert after["duplicates"] == before["duplicates"] + 3
    assert after["committed"] == before["committed"]
    assert not alerts_of(house, tag.device)


def test_readings_batched_differently_are_stored_once(house: House) -> None:
    tag = house.new_tag()
    tag.say(positions(1, 2), positions(3, 2))
    assert tag.say(positions(2, 5)).commit == (EPOCH, 6)
    assert sorted(evident(house, tag.device)) == [1, 2, 3, 4, 5, 6]
    assert not alerts_of(house, tag.device)


def test_a_hole_is_not_committed_until_it_is_filled(house: House) -> None:
    tag = house.new_tag()
    assert tag.say(positions(1, 2), positions(5, 1)).commit == (EPOCH, 2)
    assert tag.say(positions(3, 2), base=3).commit == (EPOCH, 5)


def test_an_urgent_reading_goes_first_and_forgets_nothing(house: House) -> None:
    tag = house.new_tag()
    assert tag.say(link_tamper(2000, 1), base=1).commit == (EPOCH, 0)
    assert tag.say(positions(1, 2), base=1).commit == (EPOCH, 2)


def test_other_content_under_a_known_number_is_kept_and_alarmed(house: House) -> None:
    tag = house.new_tag()
    tag.say(positions(1, 3))
    first = evident(house, tag.device)
    assert tag.say(positions(2, 3, lat=52.0)).commit == (EPOCH, 4)
    assert evident(house, tag.device).items() >= first.items(), "the first stay the evidence"
    with house.store.read() as connection:
        (kept,) = envelopes.conflicts(connection, tag.device)
    assert (kept["first_seq"], kept["last_seq"]) == (2, 3)
    assert alerts_of(house, tag.device) == [("sequence_conflict", "open")]


def test_a_conflict_sent_again_is_the_same_alarm(house: House) -> None:
    tag = house.new_tag()
    tag.say(positions(1, 1))
    for _ in range(3):
        tag.say(positions(1, 1, lat=52.0))
    with house.store.read() as connection:
        assert len(envelopes.conflicts(connection, tag.device)) == 1
        (found,) = alerts.listing(connection, device=tag.device)
    assert (found["revision"], found["readings"]) == (1, [[EPOCH, 1]])


def test_a_gap_record_lets_the_commit_pass_over_what_was_dropped(house: House) -> None:
    tag = house.new_tag()
    tag.say(positions(1, 2))
    assert tag.say(gap(6, 3, 3), base=6).commit == (EPOCH, 6)
    with house.store.read() as connection:
        assert [(row["first"], row["count"]) for row in envelopes.gaps(connection, tag.device)] == [(3, 3)]
    assert not alerts_of(house, tag.device)


def test_a_gap_record_says_nothing_of_readings_after_it(house: House) -> None:
    tag = house.new_tag()
    assert tag.say(positions(1, 1), gap(2, 1, 2**32 - 1)).commit == (EPOCH, 2)


def test_readings_forgotten_before_they_were_stored_are_told(house: House) -> None:
    tag = house.new_tag()
    assert tag.say(positions(8, 2)).commit == (EPOCH, 9)
    assert alerts_of(house, tag.device) == [("forgotten_readings", "open")]
    tag.say(positions(8, 2))
    assert len(alerts_of(house, tag.device)) == 1


def test_a_tag_that_was_lied_to_is_told_of(house: House) -> None:
    tag = house.new_tag()
    tag.say(link_tamper(1, 4))
    tag.say(link_tamper(1, 4))
    with house.store.read() as connection:
        (found,) = alerts.listing(connection, device=tag.device)
    assert (found["rule"], found["severity"]) == ("link_tamper", "high")
    assert found["figures"]["forged_messages"] == 4


def in_quarantine(house: House, data: bytes) -> dict[str, object]:
    """The row in quarantine of these bytes."""
    house.settle()
    digest = hashlib.sha256(data).hexdigest()
    with house.store.read() as connection:
        (row,) = [row for row in quarantine.listing(connection) if row["sha256"] == digest]
    return row


def refused(house: House, tag: StandIn, data: bytes, topic: str | None = None) -> str:
    """The reason for which these bytes are refused, having checked that nothing else came of them."""
    before = house.settle()
    tag.forget_answers()
    if topic is None:
        tag.publish(data)
    else:
        house.lie(data, topic)
    row = in_quarantine(house, data)
    after = house.settle()
    reason = str(row["reason"])
    assert after["quarantined"] == before["quarantined"] + 1
    assert after["quarantined_by_reason"][reason] == before["quarantined_by_reason"].get(reason, 0) + 1
    assert after["committed"] == before["committed"]
    assert tag.downs.empty(), "a message that is not authentic must not be answered"
    assert not row["authentic"]
    return reason


def test_a_forged_mac_is_refused(house: House) -> None:
    tag = house.new_tag()
    assert refused(house, tag, tag.seal(positions(1, 1), key=bytes(32))) == "bad_mac"


def test_a_message_moved_to_another_devices_topic_is_refused(house: House) -> None:
    tag, other = house.new_tag(), house.new_tag()
    moved = tag.seal(positions(1, 1))
    assert refused(house, tag, moved, topics.up(other.device)) == "foreign_device"


def test_a_message_under_another_devices_name_is_refused(house: House) -> None:
    tag, other = house.new_tag(), house.new_tag()
    topic = topics.up(other.device)
    payload = wire.encode_up(wire.Up(EPOCH, 1, (positions(1, 1),)))
    forged = envelope.seal(tag.credentials.key, other.device, topic, payload)
    assert refused(house, tag, forged, topic) == "bad_mac"


def test_a_down_reflected_as_an_up_is_refused(house: House) -> None:
    tag = house.new_tag()
    tag.publish(tag.seal(positions(1, 1)))
    assert refused(house, tag, tag.downs.get(timeout=60)) == "bad_mac"


def test_a_device_that_was_never_added_is_refused(house: House) -> None:
    tag = house.new_tag()
    topic = topics.up("nobody")
    data = envelope.seal(tag.credentials.key, "nobody", topic, b"")
    assert refused(house, tag, data, topic) == "unknown_device"


def test_a_revoked_device_is_refused_from_that_moment(house: House) -> None:
    tag = house.new_tag()
    tag.say(positions(1, 1))
    revoke_device(house.store, tag.device, settings=house.settings)
    assert refused(house, tag, tag.seal(positions(2, 1)), topics.up(tag.device)) == "revoked_device"


@pytest.mark.parametrize(
    "topic", ["em/v1/99/{device}/up", "em/v1/{wrong}/{device}/up", "em/v1/00/UPPER/up", "em/v1/gw/x/up"]
)
def test_a_topic_of_another_shape_is_refused(house: House, topic: str) -> None:
    tag = house.new_tag()
    wrong = f"{(topics.partition(tag.device) + 1) % 64:02d}"
    data = tag.seal(positions(1, 1)) + topic.encode()
    assert refused(house, tag, data, topic.format(device=tag.device, wrong=wrong)) == "bad_topic"


@pytest.mark.parametrize("cut", [1, 10, 40])
def test_a_truncated_envelope_is_refused(house: House, cut: int) -> None:
    tag = house.new_tag()
    assert refused(house, tag, tag.seal(positions(1, 2))[:-cut]) == "malformed"


def test_bytes_after_the_end_are_refused(house: House) -> None:
    tag = house.new_tag()
    assert refused(house, tag, tag.seal(positions(1, 2)) + b"\0") == "malformed"


def test_a_megabyte_of_noise_is_put_aside_in_part_and_stops_nothing(house: House) -> None:
    tag = house.new_tag()
    noise = os.urandom(1024 * 1024)
    assert refused(house, tag, noise) == "too_large"
    row = in_quarantine(house, noise)
    assert (row["size"], row["data"]) == (len(noise), noise[: house.settings.quarantine_bytes])
    assert tag.say(positions(1, 1)).commit == (EPOCH, 1)


def test_what_is_authentic_but_not_understood_is_kept_committed_and_told_once(house: House) -> None:
    tag = house.new_tag()
    mixed = positions(1, 2).raw[:-1] + b"\0"  # the second reading's time is unset, the first one's is not
    sealed = tag.seal_payload(_canonical({1: 1, 2: EPOCH, 4: [[1, 1, 0, mixed]]}))
    for _ in range(2):
        tag.publish(sealed)
        assert tag.answer().commit == (EPOCH, 2)
    row = in_quarantine(house, sealed)
    assert (row["reason"], row["authentic"], row["unread"], row["times"]) == ("undecodable", True, True, 2)
    assert row["data"] == sealed
    assert not evident(house, tag.device)


def test_what_is_authentic_but_tells_no_numbers_is_kept_and_not_answered(house: House) -> None:
    tag = house.new_tag()
    sealed = tag.seal_payload(b"\xff\xff")
    tag.publish(sealed)
    row = in_quarantine(house, sealed)
    assert (row["reason"], row["authentic"], row["unread"]) == ("undecodable", True, False)
    assert tag.downs.empty()


def test_a_kind_that_is_not_known_here_is_kept_and_committed_beside_what_is(house: House) -> None:
    tag = house.new_tag()
    assert tag.say(positions(1, 2), strange(3, 4), positions(7, 1)).commit == (EPOCH, 7)
    assert sorted(evident(house, tag.device)) == [1, 2, 7]
    with house.store.read() as connection:
        reasons = [row["reason"] for row in quarantine.listing(connection)]
    assert "unknown_kind" in reasons


def test_nothing_is_answered_before_the_store_has_written_it(house: House) -> None:
    tag = house.new_tag()
    tag.say(base=1)
    other = sqlite3.connect(house.settings.store_path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    tag.publish(tag.seal(positions(1, 2)))
    with pytest.raises(queue.Empty):
        tag.downs.get(timeout=0.7)
    other.execute("ROLLBACK")
    other.close()
    assert tag.answer().commit == (EPOCH, 2)


def test_a_store_that_fails_stops_answers_and_recovers(house: House) -> None:
    tag = house.new_tag()
    tag.say(base=1)
    other = sqlite3.connect(house.settings.store_path, isolation_level=None)
    other.execute("CREATE TRIGGER full BEFORE INSERT ON envelope BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    tag.publish(tag.seal(positions(1, 2)))
    with pytest.raises(queue.Empty):
        tag.downs.get(timeout=0.7)
    assert "disk full" in house.gateway.status()["trouble"]
    other.execute("DROP TRIGGER full")
    other.close()
    assert tag.answer().commit == (EPOCH, 2)
    assert house.settle()["trouble"] == ""


def test_a_full_disk_stops_answers_and_nothing_else(house: House) -> None:
    tag = house.new_tag()
    tag.say(base=1)
    pid = house.gateway.ingest_pid
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, before[1]))  # no file can grow, the log neither
    tag.publish(tag.seal(positions(1, 2)))
    with pytest.raises(queue.Empty):
        tag.downs.get(timeout=0.7)
    assert house.gateway.status()["trouble"]
    resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
    assert tag.answer().commit == (EPOCH, 2)
    assert house.gateway.ingest_pid == pid
    assert sorted(evident(house, tag.device)) == [1, 2]


def test_a_message_that_this_program_stumbles_over_is_put_aside_and_stops_no_other(house: House) -> None:
    tag, other = house.new_tag(), house.new_tag()
    tag.say(positions(1, 1))
    store = sqlite3.connect(house.settings.store_path)
    store.execute("UPDATE envelope SET data = x'00' WHERE device = ?", (tag.device,))
    store.commit()
    store.close()
    again = tag.seal(positions(1, 1))  # can not be compared with the evidence any more
    tag.publish(again)
    assert other.say(positions(1, 2)).commit == (EPOCH, 2)
    assert in_quarantine(house, again)["reason"] == "internal_error"
    assert tag.downs.empty()


def _canonical(document: object) -> bytes:
    return cbor2.dumps(document, canonical=True)
