"""Flash for journal tests: files in memory, power cut or failing at any single step of any write."""

from __future__ import annotations

import errno


class PowerCut(BaseException):
    """The processor stops here; nothing of the journal's own code may run on."""


class Flash:
    """Stands in for ``folder.Folder`` and can be cut, or can refuse, at every step a plain folder takes.

    Steps: an append may leave nothing, some of its bytes, or all; a replacement half of the temporary file, all of
    it, or the renamed file; a removal nothing or the file gone. ``cut_at`` is the step at which power goes, ``fail_at``
    those at which flash refuses (OSError) after the same partial effect. ``steps`` counts.
    """

    def __init__(self, files: dict[str, bytes] | None = None) -> None:
        self.files = dict(files or {})
        self.steps = 0
        self.cut_at: int | None = None
        self.fail_at: set[int] = set()

    def _step(self) -> None:
        self.steps += 1
        if self.steps == self.cut_at:
            raise PowerCut
        if self.steps in self.fail_at:
            raise OSError(errno.EIO, "flash refuses")

    def _put(self, name: str, old: bytes, data: bytes) -> None:
        self._step()
        self.files[name] = old + data[: len(data) * 2 // 3]
        self._step()
        self.files[name] = old + data
        self._step()

    def names(self) -> list[str]:
        return list(self.files)

    def size(self, name: str) -> int:
        if name not in self.files:
            raise OSError(errno.ENOENT, name)
        return len(self.files[name])

    def read(self, name: str, offset: int, n: int) -> bytes:
        if name not in self.files:
            raise OSError(errno.ENOENT, name)
        return self.files[name][offset : offset + n]

    def read_into(self, name: str, offset: int, buffer: bytearray) -> int:
        data = self.read(name, offset, len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def append(self, name: str, data: bytes) -> None:
        self._put(name, self.files.get(name, b""), data)

    def replace(self, name: str, data: bytes) -> None:
        self._put(name + ".tmp", b"", data)
        self.files[name] = self.files.pop(name + ".tmp")
        self._step()

    def remove(self, name: str) -> None:
        self._step()
        if name not in self.files:
            raise OSError(errno.ENOENT, name)
        del self.files[name]
        self._step()


class Shelf:
    """A folder in memory."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.worn = False

    def names(self) -> list[str]:
        return list(self.files)

    def read(self, name: str, offset: int, n: int) -> bytes:
        return self.files[name][offset : offset + n]

    def size(self, name: str) -> int:
        return len(self.files[name])

    def replace(self, name: str, data: bytes) -> None:
        if self.worn:
            raise OSError(28)
        self.files[name] = data
