"""An alcohol tag put together: what every device has, its sensors at the skin, and the watch over itself."""

import channels
import device
import records
import rhythm
from boards.esp32_skin import AlcoholBoard
from device import Device
from equipment import Equipment
from fitting import Fitting
from skin import Skin

try:
    from typing import TYPE_CHECKING
except ImportError:
    TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import NoReturn


async def live(board: AlcoholBoard) -> None:
    """Be an alcohol tag; returns only by raising what one of its parts could not deal with."""
    parts = Device(board, rhythm.SLOW_S)
    journal, clock, link = parts.journal, parts.clock, parts.link
    fitting = Fitting(parts.folder)
    parts.tell(fitting.lost, records.TAMPER_KEPT_LOST, records.LOST_BASELINE)
    equipment = Equipment(journal, clock, link, board)
    calibration = channels.load("/config.json")
    skin = Skin(journal, clock, link, board, calibration, parts.changeable, fitting, equipment)
    if not parts.safe_mode.on:
        parts.commands.handlers["baseline"] = skin.baseline
    await parts.run(equipment.run(), skin.run())


def run() -> "NoReturn":
    """Be an alcohol tag until a reset."""
    device.run(AlcoholBoard(), live)
