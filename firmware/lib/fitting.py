"""What fitting a device changes on its flash: provisioned wholly or not at all, and emptied wholly or not at all.

Files come in pieces into a folder of their own. What is to become of them, or of all the rest, is one small record in
that folder; :meth:`Fitting.finish` does it at the next boot before anything else reads the flash, and does it again
from the beginning after a power cut.
"""

import hashlib
import os

import kept
from folder import Folder

FILES = ("ca.der", "cert.der", "key.der", "config.json")
MOST_BYTES = 4096  # of a file: a home unit's settings with 30 tags take 2,500
_TODO = "todo"
_PROVISION, _EMPTY, _EMPTY_ALL = b"p", b"e", b"a"
# The key that the gateway has given; under it its commands go on being counted. The other counts resets.
_STAYS = ("command", "crashes", "key", "key2")


class Fitting:
    """The files of one device below ``root``."""

    def __init__(self, root: str = "") -> None:
        self._root = root
        self._folder = Folder(root + "/fitting")

    def put(self, name: str, at: int, data: bytes) -> int:
        """Keep a piece of a file, which begins at 0 and goes on where it has ended; its size now. Raises ValueError."""
        if name not in FILES:
            raise ValueError("no such file: " + name)
        held = 0 if at == 0 else self._size(name)
        if at != held:
            raise ValueError("%s has %d bytes: go on there, or begin at 0" % (name, held))
        if at + len(data) > MOST_BYTES:
            raise ValueError("%s has more than %d bytes" % (name, MOST_BYTES))
        if at == 0:
            self._folder.replace(name, data)
        else:
            self._folder.append(name, data)
        return at + len(data)

    def path(self, name: str) -> str:
        """Where a file lies that has been put and not yet provisioned."""
        return self._root + "/fitting/" + name

    def path_in_use(self, name: str) -> str:
        """Where a file lies that has been provisioned."""
        return self._root + "/" + name

    def staged(self, name: str) -> str:
        """SHA-256 of what has been put, in hexadecimal; an empty string where nothing was."""
        return _digest(self._folder, name)

    def provisioned(self) -> dict[str, str]:
        """SHA-256 of the certificates in use, in hexadecimal; and "held" where the private key is there."""
        found = {}
        folder = Folder(self._root + "/")
        for name in FILES[:2]:
            found[name] = _digest(folder, name)
        found["key.der"] = "held" if _digest(folder, "key.der") else ""
        return found

    def provision(self, names: list[str]) -> None:
        """From the next boot on, these files that have been put are the device's."""
        kept.write(self._folder, _TODO, _PROVISION + bytes([FILES.index(name) for name in names]))

    def empty(self, identity: bool) -> None:
        """From the next boot on: no reading, no setting of the gateway's; with ``identity`` nothing provisioned."""
        kept.write(self._folder, _TODO, _EMPTY_ALL if identity else _EMPTY)

    def finish(self) -> None:
        """Do what was asked for before the last reset; nothing where nothing was. Raises OSError."""
        try:
            todo = kept.read(self._folder, _TODO)
        except ValueError:
            todo = b""  # it was never whole, or flash has lost it: the device stays as it is
        if todo is None:
            return
        if todo[:1] == _PROVISION:
            for i in todo[1:]:
                try:
                    os.rename(self.path(FILES[i]), self.path_in_use(FILES[i]))
                except OSError:
                    pass  # moved before the power was cut
        elif todo[:1] in (_EMPTY, _EMPTY_ALL):
            _empty(self._root + "/journal", ())
            _empty(self._root + "/kept", _STAYS if todo[:1] == _EMPTY else ())
            if todo[:1] == _EMPTY_ALL:
                # /beacon stays: no counter of a beacon is ever used twice
                _empty(self._root + "/heard", ())
                for name in FILES:
                    _remove(self.path_in_use(name))
        self._folder.remove(_TODO)
        _empty(self._root + "/fitting", ())

    def _size(self, name: str) -> int:
        try:
            return self._folder.size(name)
        except OSError:
            return 0


def _digest(folder: Folder, name: str) -> str:
    try:
        data = folder.read(name, 0, MOST_BYTES)
    except OSError:
        return ""
    digest: str = hashlib.sha256(data).digest().hex()
    return digest


def _empty(path: str, but: tuple[str, ...]) -> None:
    try:
        names = os.listdir(path)
    except OSError:
        return  # this kind of device has no such folder
    for name in names:
        if name not in but:
            _remove(path + "/" + name)


def _remove(path: str) -> None:
    try:
        os.remove(path)
    except OSError:
        pass  # not there
