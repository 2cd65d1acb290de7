"""What devices are told: each that was heard its commit, as soon as that is safe, and whoever it concerns a command.

With ``commit_after = "replica"`` a commit is owed until the replica holds what it is about (`gateway.replica`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

from core import envelope, wire
from gateway import topics
from gateway.clock import Clock
from gateway.commands import Outbox
from gateway.commit import Committer
from gateway.duties import Duties
from gateway.ears import Ears
from gateway.group import Committed
from gateway.ingest.progress import Progress
from gateway.orders import Orders, unfitted
from gateway.replica import Copier
from gateway.rotation import Rekeys
from gateway.seal import Vault
from gateway.settings import Settings
from gateway.store import Store, state
from gateway.uplink import Uplink

_LOOK_S = 0.05
"""For so long at a time it is looked what tags are to be told: whatever was received waits meanwhile."""


class Answers:
    """Used by the ingest's thread; ``unanswered`` from any. ``copier`` is None where one disk is enough."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        vault: Vault,
        link: Uplink,
        clock: Clock,
        committer: Committer,
        orders: Orders,
        copier: Copier | None,
        progress: Progress,
    ) -> None:
        self._store = store
        self._link = link
        self._clock = clock
        self._committer = committer
        self._copier = copier
        self._progress = progress
        # whoever steps the clock waits for all of it
        self._within_s = _LOOK_S if settings.clock == "system" else math.inf
        self._outbox = Outbox(store, vault, committer.key)
        self._duties = Duties(store, settings.near_zone_m, compiled=orders)
        self._ears = Ears(store)
        self._rekeys = Rekeys(store)
        self._owed: list[tuple[int, Committed]] = []
        """What is to be answered once the replica holds it; the number is what its copier was asked for."""
        self._copied: tuple[int, int] | None = None
        """A count of changes, and what the copier was asked for when the store stood there."""

    @property
    def imminent(self) -> bool:
        """Is the replica about to have what tags wait to be told?"""
        return self._copier is not None and bool(self._owed) and not self._copier.trouble

    @property
    def unanswered(self) -> int:
        """How many commits wait for the replica."""
        return sum(len(owed.commits) for _, owed in list(self._owed))

    def forget(self) -> None:
        """Gateway time was not right: which commands wait is read from the store anew."""
        self._outbox.forget()

    def answer(self, committed: Committed) -> None:
        """Answer what is on disk here, as soon as it is wherever else it has to be."""
        if self._copier is None:
            self._tell(committed)
        else:
            self._owe(self._copier, committed)

    def answer_owed(self) -> None:
        """Answer what the replica has got since."""
        while self._copier is not None and self._owed and self._owed[0][0] <= self._copier.done:
            self._tell(self._owed.pop(0)[1])

    def answer_all(self, within_s: float, going_on: Callable[[], bool]) -> bool:
        """Wait until nothing is owed, while ``going_on()``; False where the replica does not come to it."""
        deadline = time.monotonic() + within_s
        while self._owed and time.monotonic() < deadline and going_on():
            time.sleep(0.002)
            self.answer_owed()
        return not self._owed

    def say_commands(self, *, present: bool) -> None:
        """Say the commands that it is time to say to devices that do not speak by themselves."""
        now_ms = self._clock.now_ms()
        if now_ms is None:
            return
        look = self._progress.look
        look(lambda: self._duties.look(now_ms, self._within_s))
        look(lambda: self._ears.look(now_ms))
        look(lambda: unfitted.look(self._store, now_ms, self._within_s))
        look(lambda: self._tell_next_keys(now_ms))
        if not look(lambda: self._outbox.refresh(now_ms)):
            return
        if not look(self._committer.refresh):  # a device may have been added, and never heard
            return
        generation = self._committer.generation
        self._say(
            [
                (device, wire.Down(generation, None, command))
                for device, command in self._outbox.due(now_ms, present=present)
            ]
        )

    def _owe(self, copier: Copier, committed: Committed) -> None:
        """Answer this when the replica has it. While it has not, one entry holds all: a line for each device."""
        if not committed.commits:
            return
        if self._owed and self._owed[-1][0] > copier.began:
            _, owed = self._owed.pop()
        else:
            owed = Committed()
        owed.commits |= committed.commits
        owed.hellos |= committed.hellos
        owed.nonces |= committed.nonces
        owed.answers += committed.answers
        owed.adopted |= committed.adopted
        self._owed.append((copier.ask(), owed))

    def _tell(self, committed: Committed) -> None:
        """Tell each device that was heard its commit, and with it a command that it is time to say."""
        now_ms = self._clock.now_ms()
        changed = {answer.device for answer in committed.answers} | set(committed.nonces) | committed.adopted
        if changed and now_ms is not None:
            self._progress.look(lambda: self._outbox.refresh(now_ms, changed))
        downs: list[tuple[str, wire.Down]] = []
        for (device, epoch), upto in committed.commits.items():
            command = None
            if now_ms is not None:
                command = self._outbox.next_for(
                    device,
                    now_ms,
                    hello=device in committed.hellos,
                    present=self._clock.certain,
                )
            downs.append((device, wire.Down(self._committer.generation, (epoch, upto), command)))
        self._say(downs)

    def _tell_next_keys(self, now_ms: int) -> None:
        """Have devices told the keys that they are to change to: those only that every copy has."""
        with self._store.read() as connection:
            changes = state.changes(connection)
        if self._copier is not None:
            if self._copied is None or self._copied[0] != changes:
                self._copied = changes, self._copier.ask()
            if self._copier.done < self._copied[1]:
                return
        self._rekeys.look(now_ms, changes)

    def _say(self, downs: Sequence[tuple[str, wire.Down]]) -> None:
        sealed: list[tuple[str, bytes]] = []
        for device, down in downs:
            key = self._committer.key(device)
            if key is None:
                continue
            topic = topics.down(device)
            sealed.append((topic, envelope.seal(key, device, topic, wire.encode_down(down))))
            self._progress.counts["commands_said"] += down.command is not None
        self._link.send(sealed)
