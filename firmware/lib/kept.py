"""Small things that a device keeps over its boots beside the journal: each a file of one record and its CRC.

Written by temporary file and rename: after a power cut the old or the new is there. One that is there and can not be
read (worn flash) is told apart from one that was never written.
"""

import binascii
import struct

try:
    from typing import TYPE_CHECKING
except ImportError:
    TYPE_CHECKING = False

if TYPE_CHECKING:
    from folder import Folder

FOLDER = "/kept"
_MOST_BYTES = 2048


def read(folder: "Folder", name: str) -> bytes | None:
    """What was written last; None when nothing was. Raises ValueError when it can not be read."""
    if name not in folder.names():
        return None
    try:
        # no more room is asked for than it takes: it is looked up on a heap of many small things, too
        data = folder.read(name, 0, min(folder.size(name), _MOST_BYTES))
    except OSError:
        data = b""
    if len(data) < 4 or struct.unpack("<I", data[-4:])[0] != binascii.crc32(data[:-4]):
        raise ValueError("%s/%s is not what was written" % (FOLDER, name))
    return data[:-4]


def write(folder: "Folder", name: str, data: bytes) -> None:
    """Keep ``data`` under ``name``. Raises OSError when flash refuses; the old stays then."""
    folder.replace(name, data + struct.pack("<I", binascii.crc32(data)))
