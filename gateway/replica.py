"""``commit_after = "replica"``: a tag may forget only what a second store holds, too (law 1).

The store here is written as ever, alerts are made of it, and the broker is told so. Then everything that has changed is
copied, and only when the copy is on its disk the tags hear their commit. The copy is made in transactions that take it
from one moment of the store to a later one, and which note in the same transaction up to where they reach: whatever
breaks, it holds every reading once, and can be gone on with or restored from (``gateway.restore``).

One copy belongs to one store. It knows the highest generation that has written to it, so a store that was restored, or
a box that comes back after another took its place, can not write over what is newer. And it knows the last change that
it has by a random mark: a store that was put back from an older disk has never made that change, and is refused; a copy
that was put back is older than what this store remembers of it, and is made whole.
"""

from __future__ import annotations

import secrets
import threading
import time
from pathlib import Path

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError

from gateway import logs, store_url
from gateway.store import Store, StoreError, copying, dialect, envelopes, state
from gateway.store.copying import Change, Standing

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
        _is_no_copy(connection)
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
        if not copying.watched(connection) and "changes" not in copying.numbers(connection):
            return
    with store.write() as connection:
        _is_no_copy(connection)
        copying.unwatch(connection)


def _is_no_copy(connection: Connection) -> None:
    """What was a copy, and is used as a store by now, is not written to any more by the store whose copy it was."""
    if "changes" in copying.numbers(connection):
        copying.part(connection)


def scrub(store: Store, place: Path | str, *, rewrite: bool, within_s: float) -> bool:
    """Have nothing left in the copy's files of what is deleted here now; False where that can not be done in time.

    The gateway has to copy the deletion first. What was noted of it here, which names what was deleted, goes as well.
    Raises StoreError and DBAPIError where the copy can not be reached.
    """
    with store.read() as connection:
        wanted = copying.last_change(connection)
    deadline = time.monotonic() + within_s
    copy = Store.open(place, busy_timeout_ms=_BUSY_MS)
    try:
        reached = _come_to(store, copy, wanted, deadline)
        if reached is None:
            return False
        with store.write() as connection:
            copying.forget_changes(connection, reached)
        left_s = max(deadline - time.monotonic(), 1.0)
        return all(
            dialect.scrub(one.engine, rewrite=rewrite and one is copy, within_s=left_s)
            for one in (copy, store)
        )
    finally:
        copy.close()


def holds(store: Store, place: Path | str, *, within_s: float) -> bool:
    """Whether the copy has all that is on disk here now, or comes to have it in time: the gateway brings it up.

    Raises StoreError and DBAPIError where the copy can not be reached.
    """
    with store.read() as connection:
        wanted = copying.last_change(connection)
    copy = Store.open(place, busy_timeout_ms=_BUSY_MS)
    try:
        return _come_to(store, copy, wanted, time.monotonic() + within_s) is not None
    finally:
        copy.close()


def _come_to(store: Store, copy: Store, wanted: Change, deadline: float) -> Change | None:
    """Wait until the copy has that change; returns the last that it has, None where it does not come to it."""
    while (reached := _reached(store, copy)) is None or reached.number < wanted.number:
        if time.monotonic() >= deadline:
            return None
        time.sleep(0.1)
    return reached


def _reached(store: Store, copy: Store) -> Change | None:
    """Up to which change of this store the copy has all; None where it is not known to."""
    with store.read() as source, copy.read() as target:
        here, there = copying.numbers(source), copying.numbers(target)
        if "changes" not in there or here.get("resync") or here.get("pair") != there["pair"]:
            return None
        if there["generation"] != state.generation(source):
            return None
        change = _last_of(there)
        return change if copying.standing_of(source, change) == Standing.KNOWN else None


def _last_of(there: dict[str, int]) -> Change:
    return Change(there["changes"], there.get("mark", 0))


def claim(copy: Store, found: dict[str, int], generation: int, numbers: dict[str, int]) -> None:
    """Let only the store of that generation write to the copy from now on, and count its changes from the first.

    ``found`` are the copy's numbers when it was read; ``numbers`` what the next restore is to know, by `state`'s names.
    Raises ReplicaError where the copy was written to since: then a gateway uses it.
    """
    with copy.write() as target:
        if copying.numbers(target) != found:
            raise ReplicaError("another gateway has just written to the copy: end that one, and try again")
        copying.set_numbers(target, generation=generation, changes=0, mark=0)
        for name, number in numbers.items():
            state.set_number(target, name, number)


class Copy:
    """The second store. Used by one thread."""

    def __init__(self, store: Store, place: Path | str) -> None:
        self._store = store
        self._place = place
        self._copy: Store | None = None
        self._file: tuple[int, int] | None = None
        """Which file is open, where it is one."""
        self._trimmed_s = time.monotonic()

    def bring_up(self) -> None:
        """Bring the copy to what the store holds now: on its disk when this returns.

        Raises ReplicaError, StoreError or DBAPIError; then it stands where it stood, and it can be called again.
        """
        copy = self._opened()
        with self._store.read() as source:
            here = copying.numbers(source)
            reached = {
                "pair": here["pair"],
                "generation": state.generation(source),
                "envelopes": envelopes.newest(source),
            }
            last = copying.last_change(source)
            reached |= {"changes": last.number, "mark": last.mark}
            try:
                with copy.write() as target:
                    self._bring(source, target, here, reached, whole=False)
            except IntegrityError:
                # rows that have changed places: step by step two would have been in one for a moment
                log.warning(
                    "what has changed does not fit into the replica as it stands: all of it is copied"
                )
                with copy.write() as target:
                    self._bring(source, target, here, reached, whole=True)
        if self._identity() != self._file:
            self.close()
            raise ReplicaError(
                f"{shown(self._place)} was moved away or replaced while it was in use: is its disk mounted?"
            )
        if here.get("resync") or not here.get("copied"):
            with self._store.write() as connection:
                if copying.numbers(connection)["pair"] == here["pair"]:
                    copying.set_numbers(connection, resync=0, copied=1)
        self._trim(last)

    def _opened(self) -> Store:
        if self._copy is not None and self._identity() != self._file:
            self.close()  # what is open is no longer what lies there
        if self._copy is None:
            self._copy = Store.open(self._place, busy_timeout_ms=_BUSY_MS)
            self._file = self._identity()
        return self._copy

    def _identity(self) -> tuple[int, int] | None:
        if isinstance(self._place, str):
            return None
        try:
            found = self._place.stat()
        except OSError:
            return 0, 0
        return found.st_dev, found.st_ino

    def _bring(
        self,
        source: Connection,
        target: Connection,
        here: dict[str, int],
        reached: dict[str, int],
        *,
        whole: bool,
    ) -> None:
        there = copying.numbers(target)
        older = self._refuse_what_is_not_ours(source, target, here, there, reached["generation"])
        if whole or older or "changes" not in there or here.get("resync"):
            copying.copy_all(source, target)
        elif reached.items() <= there.items():
            return
        else:
            copying.copy_changes(source, target, there["changes"], reached["changes"], there["envelopes"])
            copying.add_envelopes(source, target, there["envelopes"], reached["envelopes"])
        copying.set_numbers(target, **reached)

    def _refuse_what_is_not_ours(
        self,
        source: Connection,
        target: Connection,
        here: dict[str, int],
        there: dict[str, int],
        generation: int,
    ) -> bool:
        """Whether the copy is an older one than it was, so that it is to be made whole. Raises ReplicaError."""
        place = shown(self._place)
        if "pair" not in there:
            if not copying.is_empty(target):
                raise ReplicaError(f"{place} holds another store: give an empty place as replica")
            if here.get("copied"):
                raise ReplicaError(
                    f"{place} is empty, and a copy was made before: is its disk mounted, is it the right "
                    "database? If it is a new one, say `tagwatch replica begin`"
                )
            return False
        if "changes" not in there:
            raise ReplicaError(f"{place} is used as a store: give an empty place as replica")
        if here["pair"] != there["pair"]:
            raise ReplicaError(
                f"{place} is the copy of another store, or of this one before a backup was restored: "
                "restore from it (`tagwatch restore --from-replica`), or give an empty place as replica and say "
                "`tagwatch replica begin`"
            )
        if there["generation"] > generation:
            raise ReplicaError(
                f"another gateway, restored from {place}, has taken this one's place: end this one"
            )
        if there["generation"] < generation:
            raise ReplicaError(
                f"{place} is as it was before this gateway was restored from it: was its disk put back? Give an "
                "empty place as replica and say `tagwatch replica begin`"
            )
        if envelopes.newest(target) > there["envelopes"]:
            raise ReplicaError(f"{place} was written to by somebody else: give an empty place as replica")
        standing = copying.standing_of(source, _last_of(there))
        if standing == Standing.FOREIGN:
            raise ReplicaError(
                f"{place} has what this store has not: was this store put back from an older disk? Tags have forgotten "
                "what is there: restore from it (`tagwatch restore --from-replica`)"
            )
        if standing == Standing.FORGOTTEN:
            log.warning("the replica is older than it was: was its disk put back? All of it is copied again")
        return standing == Standing.FORGOTTEN

    def _trim(self, upto: Change) -> None:
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
            self._copy = self._file = None


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
