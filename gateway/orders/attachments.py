"""Files that an order service sends with an order: streamed to disk, bounded, whole or not at all.

A file is written under a temporary name, brought to the disk, given its own name, and only then written of in the
store: what the store tells of is there. What was half received when power went is removed when the intake begins.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from gateway.backup import ATTACHMENTS
from gateway.store import Store, intake
from gateway.whole_files import sync_folder

_PART = ".part"


class Arriving:
    """A file that is being received. Leaving the context without `keep` removes it."""

    def __init__(self, data_dir: Path) -> None:
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
        self.write(b"")
        assert self._file is not None
        self._file.flush()
        os.fsync(self._file.fileno())
        place = self._folder / self.id
        self._part.rename(place)
        sync_folder(self._folder)
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
        except BaseException:
            place.unlink(missing_ok=True)
            raise
        return self.id

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


def path_of(data_dir: Path, attachment: intake.Attachment) -> Path:
    """Where its bytes lie."""
    return data_dir / ATTACHMENTS / attachment.id
