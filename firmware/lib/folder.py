"""The few things that the journal asks of a file system; on a board LittleFS, under CPython a plain folder.

What is promised on LittleFS: :meth:`append` and :meth:`replace` happen wholly or not at all, and are on flash when they
return. On a plain folder an append may be torn by a power cut; the journal reads past that too.
"""

import os

_sync = getattr(os, "fsync", None)  # LittleFS syncs when a file is closed; MicroPython has no fsync


def _write(path: str, mode: str, data: bytes) -> None:
    with open(path, mode) as file:
        file.write(data)
        if _sync is not None:
            file.flush()
            _sync(file.fileno())


class Folder:
    """One directory of files; every file is closed again at once, so that nothing is written after a power cut."""

    def __init__(self, root: str) -> None:
        self._root = root.rstrip("/") + "/"
        try:
            os.mkdir(root)
        except OSError:
            os.listdir(root)  # there already; or the error is told by what fails

    def names(self) -> list[str]:
        """Names of the files, in no order."""
        return os.listdir(self._root[:-1] or "/")

    def size(self, name: str) -> int:
        """Bytes in a file; OSError when it is not there."""
        size: int = os.stat(self._root + name)[6]
        return size

    def read(self, name: str, offset: int, n: int) -> bytes:
        """At most n bytes of a file; OSError when it is not there."""
        with open(self._root + name, "rb") as file:
            file.seek(offset)
            data: bytes = file.read(n)
            return data

    def read_into(self, name: str, offset: int, buffer: bytearray) -> int:
        """Fill a buffer with a file from ``offset`` on, as far as both go; how far. OSError when it is not there."""
        with open(self._root + name, "rb") as file:
            file.seek(offset)
            return file.readinto(buffer) or 0

    def append(self, name: str, data: bytes) -> None:
        """Add ``data`` to the end of a file."""
        _write(self._root + name, "ab", data)

    def replace(self, name: str, data: bytes) -> None:
        """Make ``data`` the content of a file, new or old: the old stays until the new is whole."""
        _write(self._root + name + ".tmp", "wb", data)
        os.rename(self._root + name + ".tmp", self._root + name)

    def remove(self, name: str) -> None:
        """Unlink a file."""
        os.remove(self._root + name)
