"""``commit_after = "replica"``: a tag may forget only what a second store holds, too (law 1).

The store here is written as ever, alerts are made of it, and the broker is told so. Then everything that has changed is
copied, and only when the copy is on its disk the tags hear their commit. The copy is made in transactions that take it
from one moment of the store to a later one, and which note in the same transaction up to where they reach: whatever
breaks, it holds every reading once, and can be gone on with or restored from (``gateway.restore``).

One copy belongs to one store. It knows the highest generation that has written to it, so a store that was restored, or
a box that comes back after another took its place, can not write over what is newer.
"""

from __future__ import annotations

import secrets
import threading
import time
from pathlib import Path

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from gateway import logs, store_url
from gateway.store import Store, StoreError, copying, dialect, envelopes, state

log = structlog.get_logger(__name__)

_RETRY_S = (0.25, 10.0)
_TRIM_S = 30.0
_BUSY_MS = 10_000


class ReplicaError(RuntimeError):
    """The copy can not be gone on with; the text says why and what to do."""


def shown(place: Path | str) -> str:
    """A copy's place as logs and errors may show it."""
    return store_url.shown(str(place))


def reachable(place: Path | str) -> str:
    """Why the copy can not be reached, "" where it can, or is still to be made. It is not touched."""
    if isinstance(place, Path):
        return "" if place.exists() or place.parent.is_dir() else f"there is no folder {place.parent}"
    try:
        engine = dialect.make_engine(dialect.url_of(place), _BUSY_MS)
        try:
            with engine.connect() as connection:
                return dialect.unfit(connection) or ""
        finally:
            engine.dispose()
    except (DBAPIError, ValueError, ModuleNotFoundError) as error:
        return logs.safe(error)


def begin(store: Store) -> None:
    """Have every change of the store noted. To be called before anything is written."""
    with store.write() as connection:
        missed = copying.watch(connection)
        if "pair" not in copying.numbers(connection):
            copying.set_numbers(connection, pair=secrets.randbits(62))
        if missed:
            copying.set_numbers(connection, resync=1)


def begin_anew(store: Store) -> None:
    """The replica is a new, empty place from now on; what was the copy before is left as it is."""
    with store.write() as connection:
        copying.set_numbers(connection, pair=secrets.randbits(62), resync=1, copied=0)


def end(store: Store) -> None:
    """There is no second copy: note nothing."""
    with store.read() as connection:
        if not copying.watched(connection):
            return
    with store.write() as connection:
        copying.unwatch(connection)


def scrub(store: Store, place: Path | str, *, rewrite: bool, within_s: float) -> bool:
    """Have nothing left in the copy's files of what is deleted here now; False where that can not be done in time.

    The gateway has to copy the deletion first. Raises StoreError and DBAPIError where the copy can not be reached.
    """
    with store.read() as connection:
        here, wanted = copying.numbers(connection), copying.last_change(connection)
    deadline = time.monotonic() + within_s
    copy = Store.open(place, busy_timeout_ms=_BUSY_MS)
    try:
        while True:
            with copy.read() as connection:
                there = copying.numbers(connection)
            if there.get("pair") == here.get("pair") and there.get("changes", -1) >= wanted:
                return dialect.scrub(copy.engine, rewrite=rewrite, within_s=within_s)
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.2)
    finally:
        copy.close()


class Copy:
    """The second store. Used by one thread."""

    def __init__(self, store: Store, place: Path | str) -> None:
        self._store = store
        self._place = place
        self._copy: Store | None = None
        self._trimmed_s = time.monotonic()

    def bring_up(self) -> None:
        """Bring the copy to what the store holds now: on its disk when this returns.

        Raises ReplicaError, StoreError or DBAPIError; then it stands where it stood, and it can be called again.
        """
        if self._copy is None:
            self._copy = Store.open(self._place, busy_timeout_ms=_BUSY_MS)
        with self._store.read() as source:
            here = copying.numbers(source)
            generation = state.generation(source)
            changes, newest = copying.last_change(source), envelopes.newest(source)
            with self._copy.write() as target:
                there = copying.numbers(target)
                self._refuse_what_is_not_ours(target, here, there, generation)
                whole = "changes" not in there or bool(here.get("resync"))
                reached = {
                    "pair": here["pair"],
                    "generation": generation,
                    # once those that are there are forgotten here, none is left to say how far it was. A store that
                    # was restored from the copy counts its changes from the beginning again
                    "changes": changes if whole else max(changes, there["changes"]),
                    "envelopes": newest,
                }
                if whole:
                    copying.copy_all(source, target)
                elif reached != there:
                    copying.copy_changes(source, target, there["changes"], changes)
                    copying.add_envelopes(source, target, there["envelopes"], newest)
                if reached != there:
                    copying.set_numbers(target, **reached)
        if here.get("resync") or not here.get("copied"):
            with self._store.write() as connection:
                copying.set_numbers(connection, resync=0, copied=1)
        self._trim(changes)

    def _refuse_what_is_not_ours(
        self, target: Connection, here: dict[str, int], there: dict[str, int], generation: int
    ) -> None:
        if "pair" not in there:
            if not copying.is_empty(target):
                raise ReplicaError(
                    f"{shown(self._place)} holds another store: give an empty place as replica"
                )
            if here.get("copied"):
                raise ReplicaError(
                    f"{shown(self._place)} is empty, and a copy was made before: is its disk mounted, is it the right "
                    "database? If it is a new one, say `tagwatch replica begin`"
                )
            return
        if here["pair"] != there["pair"]:
            raise ReplicaError(
                f"{shown(self._place)} is the copy of another store, or of this one before a backup was restored: "
                "restore from it (`tagwatch restore --from-replica`), or give an empty place as replica and say "
                "`tagwatch replica begin`"
            )
        if there["generation"] > generation:
            raise ReplicaError(
                f"another gateway, restored from {shown(self._place)}, has taken this one's place: end this one"
            )

    def _trim(self, upto: int) -> None:
        """Forget here which changes are there, now and then: each time would be a further write to this disk."""
        if time.monotonic() - self._trimmed_s < _TRIM_S:
            return
        with self._store.write() as connection:
            copying.forget_changes(connection, upto)
        self._trimmed_s = time.monotonic()

    def close(self) -> None:
        """Give back its connections."""
        if self._copy is not None:
            self._copy.close()
            self._copy = None


class Copier:
    """A thread that brings the copy up whenever it is asked, and tries again for as long as that fails."""

    def __init__(self, store: Store, place: Path | str) -> None:
        self.place = shown(place)
        self.trouble = ""
        self.failing_s: float | None = None
        """Since when nothing could be copied, monotonic."""
        self.done = 0
        """Whatever was on disk here when this was asked for, or an earlier one, is on the copy."""
        self.began = 0
        self._asked = 0
        self._copy = Copy(store, place)
        self._wake = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="replica", daemon=True)

    def start(self) -> None:
        """Begin to copy."""
        self._thread.start()

    def ask(self) -> int:
        """Have all copied that is on disk now; returns the number that ``done`` will have reached then."""
        with self._wake:
            self._asked += 1
            self._wake.notify()
            return self._asked

    def stop(self) -> None:
        """End the thread; what it is copying may be copied to its end or not."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join(5)

    def _run(self) -> None:
        wait_s = _RETRY_S[0]
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._stopping or self._asked > self.done)
                if self._stopping:
                    break
                self.began = asked = self._asked
            try:
                self._copy.bring_up()
            except (ReplicaError, StoreError) as error:
                problem = str(error)
            except DBAPIError as error:
                problem = logs.safe(error)
            except Exception as error:
                log.exception("the replica could not be written")
                problem = type(error).__name__
            else:
                if self.trouble:
                    log.info("the replica can be written again")
                self.trouble, self.failing_s, wait_s = "", None, _RETRY_S[0]
                self.done = asked
                continue
            if problem != self.trouble:
                log.error(
                    "the replica can not be written; tags are told no commit until it can", problem=problem
                )
            self.trouble = problem
            self.failing_s = self.failing_s or time.monotonic()
            with self._wake:
                self._wake.wait_for(lambda: self._stopping, wait_s)
            wait_s = min(2 * wait_s, _RETRY_S[1])
        self._copy.close()
