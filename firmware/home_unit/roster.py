"""The tags that a home unit is provisioned with: ``"tags"`` in ``/config.json``; and the highest counters believed."""

import json
import struct

import kept
from counters import count

try:
    from typing import TYPE_CHECKING
except ImportError:
    TYPE_CHECKING = False

if TYPE_CHECKING:
    from folder import Folder

MOST_TAGS = 30
KEY_BYTES = 32
_FILE = "counters"
_PAIR = "<II"
_PAIR_BYTES = 8


class Roster:
    """``tags`` as (beacon number, beacon key); ``interval_s`` is how often contacts are told."""

    def __init__(self, tags: list[tuple[int, bytes]], interval_s: int) -> None:
        self.tags = tags
        self.interval_s = interval_s


def load(path: str) -> Roster:
    """Read ``tags`` (``[[beacon number, beacon key in hexadecimal], …]``) and ``interval_s`` (60) of a JSON file.

    Raises ValueError that names the file and what is wrong; never shows a key.
    """
    with open(path) as file:
        settings = json.load(file)
    interval_s = settings.get("interval_s", 60)
    if type(interval_s) is not int or not 10 <= interval_s <= 3600:
        raise ValueError("%s: 'interval_s' is %r, not within 10 to 3600" % (path, interval_s))
    given = settings.get("tags", [])
    if not isinstance(given, list) or len(given) > MOST_TAGS:
        raise ValueError("%s: 'tags' is not a list of at most %d" % (path, MOST_TAGS))
    tags = [_tag(path, index, entry) for index, entry in enumerate(given)]
    if len({number for number, _key in tags}) != len(tags):
        raise ValueError("%s: 'tags' names a tag twice" % path)
    return Roster(tags, interval_s)


def _tag(path: str, index: int, entry: object) -> tuple[int, bytes]:
    if isinstance(entry, list) and len(entry) == 2 and type(entry[0]) is int and isinstance(entry[1], str):
        try:
            key = bytes.fromhex(entry[1])
        except ValueError:
            key = b""
        if 0 <= entry[0] <= 0xFFFFFFFF and len(key) == KEY_BYTES:
            return entry[0], key
    raise ValueError("%s: tag %d is not [beacon number, key of 32 bytes in hexadecimal]" % (path, index))


def read_counters(folder: "Folder") -> dict[int, int]:
    """The highest counter believed of each tag; nothing where nothing was kept or it can not be read."""
    try:
        data = kept.read(folder, _FILE) or b""
    except ValueError:
        count("counters_unreadable")
        return {}
    found: dict[int, int] = {}
    for at in range(0, len(data) - _PAIR_BYTES + 1, _PAIR_BYTES):
        number, counter = struct.unpack(_PAIR, data[at : at + _PAIR_BYTES])
        found[number] = counter
    return found


def write_counters(folder: "Folder", counters: dict[int, int]) -> None:
    """Keep them, all or none; OSError where flash refuses."""
    pairs = [struct.pack(_PAIR, number, counter) for number, counter in sorted(counters.items())]
    kept.write(folder, _FILE, b"".join(pairs))
