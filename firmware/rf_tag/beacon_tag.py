"""An RF tag put together: it looks at its strap and says over the short-range radio, four times a minute, how it is."""

import beacon
import config
import device
from boards.esp32_radio import BeaconBoard
from clock import Clock
from folder import Folder
from sender import Sender

try:
    from typing import TYPE_CHECKING
except ImportError:
    TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import NoReturn


async def live(board: BeaconBoard) -> None:
    """Be an RF tag; returns only by raising what it could not deal with."""
    settings = config.load("/config.json")
    key, number = beacon.beacon_key(settings.key), beacon.number(settings.device)
    await Sender(board, Clock(board), key, number, Folder("/beacon")).run()


def run() -> "NoReturn":
    """Be an RF tag until a reset."""
    device.run(BeaconBoard(), live)
