"""Group commit: a group of messages becomes one transaction, on disk before anyone is answered (rule 6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

from sqlalchemy import Connection

from gateway import evidence, incidents, rotation, verify
from gateway.commands import TIME, TIME_MS
from gateway.group import Committed, Group, Received
from gateway.keys import Keyring
from gateway.seal import Vault
from gateway.sequences import ERASED, Known, Range, hear
from gateway.store import Store, commands, device_keys, devices, envelopes, erasures, quarantine, state

REMEMBERED = 750_000
"""Enough for a country of 230,000 devices with one journal without holes each."""


class Committer:
    """Turns groups of messages into transactions. One per store; used by one thread.

    What is known of a device's numbers is read from the store when the device is first heard, and kept for those heard
    last: ``remembered`` devices, journals and ranges in all, some 200 bytes each.
    """

    def __init__(
        self,
        store: Store,
        vault: Vault,
        *,
        quarantine_rows: int,
        quarantine_bytes: int,
        remembered: int = REMEMBERED,
    ) -> None:
        self._store = store
        self._quarantine_rows = quarantine_rows
        self._quarantine_bytes = quarantine_bytes
        self._known: dict[str, dict[int, Known]] = {}
        """The device heard last stands last."""
        self._weights: dict[str, int] = {}
        self._remembered, self._weight = remembered, 0
        self._vault = vault
        self._keys = Keyring(vault)
        self._revoked: set[str] = set()
        self._changes = -1
        self.generation = 1

    def key(self, device: str) -> bytes | None:
        """The MAC key of a device that is believed."""
        return self._keys.get(device)

    def refresh(self) -> None:
        """Take note of devices that were added or revoked, and of the generation. Raises DBAPIError."""
        with self._store.read() as connection:
            self._refresh(connection)

    def commit(self, messages: Sequence[Received]) -> Committed:
        """Decide upon ``messages`` in their order and write all of it in one transaction.

        When this returns, all of it is on disk. When it raises (``sqlalchemy.exc.DBAPIError``: disk full, store
        locked …) nothing of it is, nothing may be acknowledged, and the same messages can be given again.
        """
        group = Group()
        try:
            with self._store.write() as connection:
                self._refresh(connection)
                read = [self._read(connection, group, message) for message in messages]
                self._learn(connection, read)
                for message, found in zip(messages, read, strict=True):
                    group.count(message)
                    self._take(connection, group, message, found)
                self._write(connection, group)
        except BaseException:
            # nothing was written: what these devices are known for is read from the store again
            for device, _ in group.before:
                self._forget(device)
            if group.committed.adopted:
                self._changes = -1
            raise
        self._forget_the_oldest(read)
        return group.committed

    def refuse(self, message: Received, detail: str) -> Committed:
        """Put a message aside that this program itself stumbled over, so that the others can go on."""
        group = Group()
        group.count(message)
        group.put_aside(message, verify.Refused("internal_error", detail), self._quarantine_bytes)
        with self._store.write() as connection:
            self._write(connection, group)
        return group.committed

    def _refresh(self, connection: Connection) -> None:
        changes = state.changes(connection)
        if changes != self._changes:
            self._keys.take(
                devices.sealed_keys(connection),
                device_keys.sealed(connection, "next"),
                device_keys.sealed(connection, "retired"),
            )
            self._revoked = devices.revoked(connection)
            self.generation = state.generation(connection)
            self._changes = changes

    def _read(
        self, connection: Connection, group: Group, message: Received
    ) -> verify.Authentic | verify.Refused:
        """Judge one message; what is sealed under its device's next key makes that the one in use, from here on."""
        found = verify.read(message.topic, message.data, self._keys, self._revoked, self._keys.beside)
        if isinstance(found, verify.Authentic) and found.by_next:
            # noted first: whatever fails from here on, what the store says is read again
            group.committed.adopted.add(found.device)
            kept = rotation.adopt(connection, self._vault, found.device, message.received_ms)
            self._keys.adopt(found.device, *kept)
            group.committed.counts["keys_changed"] += 1
        return found

    def _learn(self, connection: Connection, read: Sequence[verify.Authentic | verify.Refused]) -> None:
        """Read from the store what is known of the devices that are heard for the first time, all at once."""
        new = {
            one.device: None
            for one in read
            if isinstance(one, verify.Authentic) and one.device not in self._known
        }
        for device, ranges in envelopes.ranges_of(connection, list(new)).items():
            self._known[device] = {epoch: Known(parts) for epoch, parts in ranges.items()}

    def _forget(self, device: str) -> None:
        self._known.pop(device, None)
        self._weight -= self._weights.pop(device, 0)

    def _forget_the_oldest(self, read: Sequence[verify.Authentic | verify.Refused]) -> None:
        """Keep no more in memory than was allowed, of those that were heard last."""
        for device in dict.fromkeys(one.device for one in read if isinstance(one, verify.Authentic)):
            known = self._known[device] = self._known.pop(device)
            weight = 1 + sum([1 + len(one.ranges) for one in known.values()])
            self._weight += weight - self._weights.get(device, 0)
            self._weights[device] = weight
        while self._weight > self._remembered:
            self._forget(next(iter(self._known)))

    def _take(
        self,
        connection: Connection,
        group: Group,
        message: Received,
        found: verify.Authentic | verify.Refused,
    ) -> None:
        if isinstance(found, verify.Refused):
            group.put_aside(message, found, self._quarantine_bytes)
            return
        group.hear(found.device, message.received_ms)
        if found.heard is None:
            assert found.unread is not None
            group.put_aside(message, found.unread, self._quarantine_bytes, authentic=True)
            return
        device, epoch = found.device, found.heard.epoch
        known = self._known[device].setdefault(epoch, Known())
        group.before.setdefault((device, epoch), list(known.ranges))

        def stored_content(first: int, last: int) -> Mapping[int, object]:
            stored = envelopes.holding(connection, device, epoch, first, last)
            found = evidence.contents(chain(stored, group.unwritten(device, epoch)), first, last)
            if len(found) < last - first + 1:
                gone = erasures.numbers_gone(connection, device, epoch, first, last)
                found |= dict.fromkeys(gone - found.keys(), ERASED)
            return found

        decision = hear(known, found.heard, stored_content)
        group.committed.commits[device, epoch] = decision.commit
        if found.unread is not None:
            group.put_aside(
                message, found.unread, self._quarantine_bytes, authentic=True, unread=bool(decision.unread)
            )
        if found.up is not None:
            group.account(message, device, found.up, decision)

    def _write(self, connection: Connection, group: Group) -> None:
        envelopes.add(connection, group.envelopes)
        envelopes.add_gaps(connection, group.gaps)
        envelopes.add_conflicts(connection, group.conflicts)
        self._write_ranges(connection, group)
        if group.quarantine:
            quarantine.add(connection, group.quarantine, self._quarantine_rows)
        group.committed.alerts = len(incidents.record(connection, group.incidents, group.at_ms))
        devices.hear(connection, group.committed.heard)
        commands.acknowledge(connection, group.committed.answers)
        commands.lose(connection, group.losses)
        for device, (nonce, at_ms) in group.committed.nonces.items():
            # an older nonce is not believed any more
            commands.expire(connection, device, TIME, at_ms)
            commands.prune(connection, device, TIME, at_ms)
            commands.add(connection, device, TIME, {"nonce": nonce}, at_ms, at_ms + TIME_MS)
        state.count(connection, group.committed.counts)

    def _write_ranges(self, connection: Connection, group: Group) -> None:
        gone: list[tuple[str, int, int]] = []
        written: list[tuple[str, int, Range]] = []
        for (device, epoch), before in group.before.items():
            after = self._known[device][epoch].ranges
            if before == after:
                continue
            firsts = {part.first for part in after}
            gone += [(device, epoch, part.first) for part in before if part.first not in firsts]
            old = set(before)
            written += [(device, epoch, part) for part in after if part not in old]
        envelopes.change_ranges(connection, gone, written)
