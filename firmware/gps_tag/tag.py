"""A GPS tag put together: what every device has, its receiver, and the watch over itself."""

import device
from boards.esp32 import Board
from device import Device
from equipment import Equipment
from sampler import Sampler

try:
    from typing import TYPE_CHECKING
except ImportError:
    TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import NoReturn


async def live(board: Board) -> None:
    """Be a GPS tag; returns only by raising what one of its parts could not deal with."""
    parts = Device(board)
    journal, clock, link, settings = parts.journal, parts.clock, parts.link, parts.settings
    sampler = Sampler(journal, clock, link, settings.sample_s, settings.every_fix)
    equipment = Equipment(journal, clock, link, board)
    await parts.run(equipment.run(), sampler.run(board.gnss))


def run() -> "NoReturn":
    """Be a GPS tag until a reset."""
    device.run(Board(), live)
