"""The device's MAC key: the one that it was provisioned with, or the one that the gateway has given it since.

What it was given stands on flash twice, beside the digest of the provisioned one that it takes the place of: one file
that is worn out does not make the device a stranger to its gateway, and a key that is provisioned anew is the device's.
See docs/protocol.md "Change of key".
"""

import hashlib

import envelope
import kept
from commands import DONE, NOT_UNDERSTOOD

try:
    from typing import TYPE_CHECKING
except ImportError:
    TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Callable

    from config import Config
    from folder import Folder

KEY_BYTES = 32
SALT_BYTES = 16
FILES = ("key", "key2")
_PURPOSE = b"rekey"  # what else is made with the device's key begins otherwise
_DIGEST_BYTES = 8


class DeviceKey:
    """``now`` is the key; ``before`` the one before it, empty where there was none. ``settings.key`` is kept the same.

    ``told`` are called with both when the key changes; there may be added to them.
    """

    def __init__(self, settings: "Config", folder: "Folder") -> None:
        self.now = settings.key
        self.before = settings.key_before
        self.told: "list[Callable[[bytes, bytes], object]]" = []
        self._settings = settings
        self._folder = folder
        self._of = hashlib.sha256(settings.key).digest()[:_DIGEST_BYTES]
        copies = [self._copy(name) for name in FILES]
        good = [copy for copy in copies if copy is not None]
        if good:
            # the first is written first: where power was cut between them it is the newer
            self._take(good[0])
            if any(copy != good[0] for copy in copies):
                self._repair(good[0])

    def rekey(self, arguments: "list[object]") -> int:
        """The command ``rekey``. Raises OSError when flash refuses: the key stays then, and it will come again."""
        (masked,) = arguments
        if not isinstance(masked, bytes) or len(masked) != SALT_BYTES + KEY_BYTES:
            return NOT_UNDERSTOOD
        pad = envelope.hmac(self.now, _PURPOSE + masked[:SALT_BYTES])
        key = bytes([pad[i] ^ masked[SALT_BYTES + i] for i in range(KEY_BYTES)])
        if key == self.now:
            return DONE
        data = self._of + key + self.now
        kept.write(self._folder, FILES[0], data)
        self._repair(data)
        self._take(data)
        for one in self.told:
            one(self.now, self.before)
        return DONE

    def _take(self, data: bytes) -> None:
        self.now = data[_DIGEST_BYTES : _DIGEST_BYTES + KEY_BYTES]
        self.before = data[_DIGEST_BYTES + KEY_BYTES :]
        self._settings.key = self.now

    def _copy(self, name: str) -> bytes | None:
        try:
            data = kept.read(self._folder, name)
        except ValueError:
            return None
        if data is None or len(data) != _DIGEST_BYTES + 2 * KEY_BYTES or data[:_DIGEST_BYTES] != self._of:
            return None
        return data

    def _repair(self, data: bytes) -> None:
        for name in FILES:
            if self._copy(name) != data:
                try:
                    kept.write(self._folder, name, data)
                except OSError:
                    pass  # the other one stands; it is tried again at the next boot
