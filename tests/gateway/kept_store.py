"""A gateway's folder with real evidence in it, made without broker or processes."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Container
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core import envelope, wire
from gateway import topics
from gateway.authority import Authority
from gateway.commit import Committer
from gateway.devices import Credentials, add_device
from gateway.group import Committed, Received
from gateway.seal import Vault
from gateway.settings import Settings
from gateway.store import Store, copying
from tests.gateway.forked import forked, was_killed
from tests.gateway.stand_in import EPOCH

_FILE_EVENTS = frozenset(("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "sqlite3.connect"))


@dataclass
class Kept:
    """An open store in a folder with an authority, and what was said to it."""

    settings: Settings
    store: Store
    authority: Authority
    committer: Committer

    @property
    def vault(self) -> Vault:
        return self.authority.vault

    def add(self, device: str) -> Credentials:
        return add_device(self.store, self.authority, device, settings=self.settings)

    def say(self, tag: Credentials, *blocks: wire.Block, base: int = 1) -> Committed:
        """Commit one message of a tag."""
        topic = topics.up(tag.device)
        payload = wire.encode_up(wire.Up(EPOCH, base, tuple(blocks)))
        sealed = envelope.seal(tag.key, tag.device, topic, payload)
        return self.committer.commit([Received(topic, sealed, 1_760_000_000_000)])


def everything(store: Store, but: Container[str] = ()) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables that belong to a copy, some tables left out."""
    with store.read() as connection:
        return {
            table.name: [
                tuple(row) for row in connection.execute(table.select().order_by(*table.primary_key.columns))
            ]
            for table in copying.TABLES
            if table.name not in but
        }


def keep(folder: Path, **chosen: Any) -> Kept:
    """Open a gateway's folder."""
    settings = Settings.load(folder, mqtt_port=0, **chosen)
    store = Store.open(settings.store_place)
    authority = Authority.of(settings)
    committer = Committer(store, authority.vault, quarantine_rows=10, quarantine_bytes=4096)
    return Kept(settings, store, authority, committer)


def killed_at(step: int, folder: Path, work: Callable[[], object]) -> bool:
    """Do ``work`` in a process that is killed before its ``step``-th touch of a file in ``folder``; was it?"""

    def doomed() -> None:
        left = step

        def watch(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal left
            if event in _FILE_EVENTS and str(folder) in str(arguments[0]):
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(watch)
        work()

    return was_killed(forked(doomed))
