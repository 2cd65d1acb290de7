"""Which tags a home unit hears now: those of its provisioning, as gateway and officers have changed them since.

The changes stand on flash beside what the unit believes of its tags, in one small file that is replaced as a whole.
Like that they outlast an emptying of journal and settings, and go with the identity.
"""

import struct

import envelope
import kept
import roster
from commands import DONE, NOT_UNDERSTOOD, REFUSED
from roster import KEY_BYTES, MOST_TAGS

try:
    from typing import TYPE_CHECKING
except ImportError:
    TYPE_CHECKING = False

if TYPE_CHECKING:
    from folder import Folder
    from roster import Roster

    Tags = list[tuple[int, bytes]]

_FILE = "tags"
_PURPOSE = b"hear"  # what else is made with the device's key begins otherwise
_TAG_BYTES = 4 + KEY_BYTES
_MOST_U32 = 0xFFFFFFFF


class Listening:
    """``tags`` as (beacon number, beacon key); ``changed`` since it was last set to False by who hears them.

    ``lost``: the changes could not be read from flash, and the tags are those of the provisioning. ``key`` is the
    unit's own, under which the gateway masks those of tags.
    """

    def __init__(self, provisioned: "Roster", folder: "Folder", key: bytes) -> None:
        self.lost = False
        self.changed = False
        self._provisioned = provisioned.tags
        self._folder = folder
        self._key = key
        self._added: Tags = []
        self._removed: list[int] = []  # of those provisioned
        try:
            data = kept.read(folder, _FILE)
            if data is not None:
                self._added, self._removed = _unpack(data)
        except ValueError:
            self.lost = True
        self.tags: Tags = self._together(self._provisioned, self._added, self._removed)[:MOST_TAGS]

    def rekey(self, key: bytes, _key_before: bytes) -> None:
        """The unit has another key: the gateway masks those of tags under it from now on."""
        self._key = key

    # ------------------------------------------------------------------------------------------ commands

    def hear(self, arguments: "list[object]") -> int:
        """The command ``hear``: this tag too, whatever was known of it. Raises OSError when flash refuses."""
        number, salt, masked = arguments
        if not (_is_number(number) and _is_number(salt) and isinstance(masked, bytes)):
            return NOT_UNDERSTOOD
        if len(masked) != KEY_BYTES:
            return NOT_UNDERSTOOD
        mask = envelope.hmac(self._key, _PURPOSE + struct.pack("<II", number, salt))
        return self._hear(number, bytes([mask[i] ^ masked[i] for i in range(KEY_BYTES)]))

    def _hear(self, number: object, key: bytes) -> int:
        if not _is_number(number) or len(key) != KEY_BYTES:
            return NOT_UNDERSTOOD
        assert isinstance(number, int)
        added = [tag for tag in self._added if tag[0] != number]
        if (number, key) not in self._provisioned:
            added.append((number, key))
        return self._keep(added, [one for one in self._removed if one != number])

    def unhear(self, arguments: "list[object]") -> int:
        """The command ``unhear``: not this tag. Raises OSError when flash refuses."""
        (number,) = arguments
        if not _is_number(number):
            return NOT_UNDERSTOOD
        assert isinstance(number, int)
        provisioned = [one for one, _key in self._provisioned]
        removed = [one for one in self._removed if one != number and one in provisioned]
        if number in provisioned:
            removed.append(number)
        return self._keep([tag for tag in self._added if tag[0] != number], removed)

    # ------------------------------------------------------------------------------------------- console

    def console_hear(self, wish: "dict[str, object]") -> "dict[str, object]":
        """``hear`` with ``beacon`` and ``key``, from an officer's tool. Raises ValueError that says why not."""
        number, digits = wish["beacon"], wish["key"]
        key = bytes.fromhex(digits) if isinstance(digits, str) else b""
        outcome = self._hear(number, key)
        if outcome == REFUSED:
            raise ValueError("it hears %d tags, which is all it can" % MOST_TAGS)
        if outcome != DONE:
            raise ValueError("hear needs beacon, and key of %d bytes in hexadecimal" % KEY_BYTES)
        return self.console_tags(wish)

    def console_unhear(self, wish: "dict[str, object]") -> "dict[str, object]":
        """``unhear`` with ``beacon``, likewise."""
        if self.unhear([wish["beacon"]]) != DONE:
            raise ValueError("unhear needs beacon")
        return self.console_tags(wish)

    def console_tags(self, _wish: "dict[str, object]") -> "dict[str, object]":
        """The beacon numbers of the tags that it hears now; no keys."""
        return {"tags": [number for number, _key in self.tags]}

    def check(self, path: str) -> None:
        """What is to be provisioned must go together with the changes. Raises ValueError."""
        tags = roster.load(path).tags
        if len(self._together(tags, self._added, self._removed)) > MOST_TAGS:
            raise ValueError(
                "%s: with those that it was told to hear since, 'tags' are more than %d" % (path, MOST_TAGS)
            )

    # -------------------------------------------------------------------------------------------- flash

    def _together(self, provisioned: "Tags", added: "Tags", removed: list[int]) -> "Tags":
        others = [number for number, _key in added] + removed
        return [tag for tag in provisioned if tag[0] not in others] + added

    def _keep(self, added: "Tags", removed: list[int]) -> int:
        tags = self._together(self._provisioned, added, removed)
        if len(tags) > MOST_TAGS:
            return REFUSED
        if self.lost or added != self._added or removed != self._removed:
            kept.write(self._folder, _FILE, _pack(added, removed))
            self._added, self._removed, self.tags = added, removed, tags
            self.lost = False
            self.changed = True
        return DONE


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_U32


def _pack(added: "Tags", removed: list[int]) -> bytes:
    """How many were added, each as number and key; then the numbers of those removed. At most 1,201 bytes."""
    pieces = [bytes((len(added),))]
    pieces += [struct.pack("<I", number) + key for number, key in added]
    pieces += [struct.pack("<I", number) for number in removed]
    return b"".join(pieces)


def _unpack(data: bytes) -> "tuple[Tags, list[int]]":
    end = 1 + data[0] * _TAG_BYTES
    added = [
        (int.from_bytes(data[at : at + 4], "little"), data[at + 4 : at + _TAG_BYTES])
        for at in range(1, end, _TAG_BYTES)
    ]
    return added, [int.from_bytes(data[at : at + 4], "little") for at in range(end, len(data), 4)]
