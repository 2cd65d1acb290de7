"""Files that an order service sends with an order: streamed to disk, bounded, whole or not at all.

A file is written under a temporary name, brought to the disk, given its own name, and only then written of in the
store: what the store tells of is there. What was half received when power went is removed when the intake begins.

Where there is a second store the bytes are rows as well, in pieces, so that it has them; a box that is made from it
lays them out again (docs/decisions/0035-files-that-came-with-orders-are-rows-as-well.md).
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from gateway.backup import ATTACHMENTS
from gateway.store import Store, intake
from gateway.whole_files import sync_folder

_PART = ".part"
_PIECE = 64 << 10


class Arriving:
    """A file that is being received. Leaving the context without `keep` removes it."""

    def __init__(self, data_dir: Path, *, as_rows: bool = False) -> None:
        self._as_rows = as_rows
        self.id = secrets.token_hex(16)
        self.size = 0
        self._digest = hashlib.sha256()
        self._folder = data_dir / ATTACHMENTS
        self._part = self._folder / (self.id + _PART)
        self._file: BinaryIO | None = None
        self._kept = False

    @property
    def sha256(self) -> str:
        """Of what was written so far, hex."""
        return self._digest.hexdigest()

    def write(self, piece: bytes) -> None:
        """Write the next bytes. Raises OSError."""
        if self._file is None:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = os.fdopen(os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        self._file.write(piece)
        self._digest.update(piece)
        self.size += len(piece)

    def keep(self, store: Store, case_id: str, file_name: str, about: str, client: str, now_ms: int) -> str:
        """Bring it to the disk and write of it; returns its id, or that of the same file that came before.

        Raises OSError, and DBAPIError where the store fails; then nothing is kept.
        """
        place = self.put(self.id)
        try:
            with store.write() as connection:
                before = intake.same_attachment(connection, case_id, file_name, self.sha256)
                if before is not None:
                    place.unlink()
                    return before.id
                one = intake.Attachment(
                    self.id, case_id, file_name, about, client, now_ms, self.size, self.sha256
                )
                intake.add_attachment(connection, one)
                if self._as_rows:
                    intake.add_pieces(connection, self.id, _pieces(place))
        except BaseException:
            place.unlink(missing_ok=True)
            raise
        return self.id

    def put(self, name: str) -> Path:
        """Bring it to the disk under its name. Raises OSError."""
        self.write(b"")
        assert self._file is not None
        self._file.flush()
        os.fsync(self._file.fileno())
        place = self._folder / name
        self._part.rename(place)
        sync_folder(self._folder)
        return place

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
        self._part.unlink(missing_ok=True)


def tidy(data_dir: Path, store: Store) -> tuple[int, int]:
    """Remove what was only half received when power went; returns how many files, and how many nobody tells of.

    Those lie there whole: power went before they were written of, so that their sender sends them again, or the store
    was restored from a copy that is older. They may be evidence, so they stay. Raises OSError.
    """
    folder = data_dir / ATTACHMENTS
    if not folder.exists():
        return 0, 0
    with store.read() as connection:
        told = {one.id for one in intake.attachments(connection)}
    gone = list(folder.glob(f"*{_PART}"))
    for path in gone:
        path.unlink()
    return len(gone), sum(path.name not in told for path in folder.iterdir())


def take_in(data_dir: Path, store: Store) -> int:
    """Have the bytes of every file in the store, too, where that had no second store before; returns of how many.

    Each is a transaction. Raises OSError, and DBAPIError where the store fails.
    """
    with store.read() as connection:
        told = [one.id for one in intake.attachments(connection)]
        known = intake.in_pieces(connection)
    missing = [one for one in told if one not in known and (data_dir / ATTACHMENTS / one).is_file()]
    for one in missing:
        with store.write() as connection:
            if any(still.id == one for still in intake.attachments(connection)):
                intake.add_pieces(connection, one, _pieces(data_dir / ATTACHMENTS / one))
    return len(missing)


def lay_out(data_dir: Path, store: Store) -> list[str]:
    """Write the files whose bytes the store has and that are not here, as after a restore from the second store.

    Returns the ids of those that are neither here nor whole in the store. Raises OSError and DBAPIError.
    """
    folder = data_dir / ATTACHMENTS
    lost = []
    with store.read() as connection:
        for one in intake.attachments(connection):
            if (folder / one.id).exists():
                continue
            with Arriving(data_dir) as arriving:
                for piece in intake.pieces(connection, one.id):
                    arriving.write(piece)
                if arriving.sha256 == one.sha256:
                    arriving.put(one.id)
                else:
                    lost.append(one.id)
    return lost


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        piece = file.read(_PIECE)
        yield piece  # of an empty file one that is empty
        while piece := file.read(_PIECE):
            yield piece


def path_of(data_dir: Path, attachment: intake.Attachment) -> Path:
    """Where its bytes lie."""
    return data_dir / ATTACHMENTS / attachment.id
