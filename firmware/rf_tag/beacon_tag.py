"""An RF tag put together: it looks at its strap and says over the short-range radio, four times a minute, how it is."""

import asyncio

import beacon
import device
import kept
from boards.esp32_radio import BeaconBoard
from clock import Clock
from console import Console, serve
from counters import COUNTERS
from device import provisioned
from fitting import Fitting
from folder import Folder
from sender import Sender

try:
    from typing import TYPE_CHECKING
except ImportError:
    TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import NoReturn


KIND = "rf_tag"


async def live(board: BeaconBoard) -> None:
    """Be an RF tag; returns only by raising what it could not deal with."""
    settings = provisioned()
    key, number = beacon.beacon_key(settings.key), beacon.number(settings.device)
    sender = Sender(board, Clock(board), key, number, Folder("/beacon"))
    console = Console(KIND, board.random, Folder(kept.FOLDER), Fitting(), settings)
    console.tests.update(sender.guard.tests())
    console.tests["radio"] = lambda: COUNTERS.get("beacons_sent", 0) > 0 or "no beacon sent yet"
    console.handlers["check"] = sender.guard.checked

    async def fit() -> None:
        await serve(console, board.console)
        board.reset()

    await asyncio.gather(sender.run(), fit())


def run() -> "NoReturn":
    """Be an RF tag until a reset."""
    device.run(BeaconBoard(), live, KIND)
