"""Which visits are planned: who goes to which order, when and for what. Sealed at rest, and gone a day after its time.

One file of the data folder, ``visits/planned.sealed``, under the master key like the devices' keys (`gateway.seal`),
0600. It holds order, time, officer and a note; what is known of the wearer is looked up when somebody looks, and is
never copied here. See docs/decisions/0030-the-visit-list-is-sealed-and-goes-away.md.
"""

from __future__ import annotations

import fcntl
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from gateway.seal import SealError, Vault
from gateway.whole_files import write_whole

FOLDER, FILE, LOCK = "visits", "planned.sealed", "planned.lock"
PURPOSES = ("fit", "check", "remove", "swap")
KEPT_MS = 24 * 3_600_000
"""A visit is on the list for so long after its time."""
SINCE_MS, AHEAD_MS = 12 * 3_600_000, 18 * 3_600_000
"""What counts as tonight: from what is late since the morning to what comes by tomorrow's."""
MOST_NOTE = 300
_PURPOSE, _OWNER = "visit list", "planned"


@dataclass(frozen=True, slots=True)
class Planned:
    """One visit. ``at_ms`` is UTC ms; ``officer`` who goes, ``by`` who has planned it."""

    id: str
    order_id: str
    at_ms: int
    officer: str
    purpose: str
    note: str
    by: str

    def tonight(self, now_ms: int) -> bool:
        """Is it to be made about now?"""
        return now_ms - SINCE_MS <= self.at_ms <= now_ms + AHEAD_MS


class VisitList:
    """The planned visits of a data folder. Raises SealError where the file is not this gateway's, OSError."""

    def __init__(self, data_dir: Path, vault: Vault) -> None:
        self._folder = data_dir / FOLDER
        self._vault = vault

    @property
    def path(self) -> Path:
        """Where it lies."""
        return self._folder / FILE

    def every(self, now_ms: int) -> list[Planned]:
        """What is planned and not over, the first first."""
        return sorted((one for one in self._read() if _kept(one, now_ms)), key=lambda one: one.at_ms)

    def add(
        self, order_id: str, at_ms: int, officer: str, purpose: str, note: str, by: str, now_ms: int
    ) -> Planned:
        """Plan a visit; the same of the same officer again is the same one, with the new note."""
        with self._held():
            known = [one for one in self._read() if _kept(one, now_ms)]
            same = (order_id, at_ms, officer, purpose)
            before = [one for one in known if (one.order_id, one.at_ms, one.officer, one.purpose) == same]
            name = before[0].id if before else secrets.token_hex(4)
            made = Planned(name, order_id, at_ms, officer, purpose, note[:MOST_NOTE], by)
            self._write([*(one for one in known if one not in before), made])
        return made

    def cancel(self, name: str, now_ms: int) -> Planned | None:
        """Take a visit off the list; None where there is none of that id."""
        with self._held():
            known = [one for one in self._read() if _kept(one, now_ms)]
            gone = [one for one in known if one.id == name]
            if gone:
                self._write([one for one in known if one.id != name])
        return gone[0] if gone else None

    def made(self, order_id: str, purpose: str, now_ms: int) -> None:
        """A visit was made, however it ended: it is planned for tonight no longer."""
        if not self.path.exists():
            return
        with self._held():
            known = self._read()
            left = [
                one
                for one in known
                if _kept(one, now_ms)
                and not (one.order_id == order_id and one.purpose == purpose and one.tonight(now_ms))
            ]
            if left != known:
                self._write(left)

    def reseal(self) -> None:
        """Under the present master key, for the others are about to go."""
        if self.path.exists():
            with self._held():
                self._write(self._read())

    @contextmanager
    def _held(self) -> Iterator[None]:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self._folder / LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _read(self) -> list[Planned]:
        try:
            sealed = self.path.read_bytes()
        except FileNotFoundError:
            return []
        plain = self._vault.open_sealed(_PURPOSE, _OWNER, sealed)
        try:
            return [Planned(**one) for one in json.loads(plain)["visits"]]
        except (ValueError, KeyError, TypeError) as error:
            raise SealError(
                f"{self.path} is of another version ({error}): delete it, and plan the visits anew"
            ) from None

    def _write(self, visits: list[Planned]) -> None:
        plain = json.dumps({"visits": [asdict(one) for one in visits]}, ensure_ascii=False).encode()
        write_whole(self.path, self._vault.seal(_PURPOSE, _OWNER, plain), 0o600)


def _kept(one: Planned, now_ms: int) -> bool:
    return now_ms < one.at_ms + KEPT_MS
