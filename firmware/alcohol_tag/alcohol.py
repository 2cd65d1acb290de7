"""An alcohol tag put together: what every device has, its sensors at the skin, and the watch over itself."""

import channels
import device
import records
import rhythm
from baseline import Baseline
from boards.esp32_skin import AlcoholBoard
from device import Device
from equipment import Equipment
from skin import Skin

try:
    from typing import TYPE_CHECKING
except ImportError:
    TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import NoReturn


KIND = "alcohol_tag"


async def live(board: AlcoholBoard) -> None:
    """Be an alcohol tag; returns only by raising what one of its parts could not deal with."""
    parts = Device(board, KIND, rhythm.SLOW_S)
    try:
        calibration = channels.load("/config.json")
    except ValueError as problem:
        raise device.Unfit(str(problem)) from None
    journal, clock, link = parts.journal, parts.clock, parts.link
    baseline = Baseline(parts.folder)
    parts.tell(baseline.lost, records.TAMPER_KEPT_LOST, records.LOST_BASELINE)
    equipment = Equipment(journal, clock, link, board)
    skin = Skin(journal, clock, link, board, calibration, parts.changeable, baseline, equipment)
    console = parts.console
    console.tests.update(equipment.tests())
    console.tests["skin"] = skin.test
    console.handlers["check"] = equipment.checked
    console.check = channels.load
    if not parts.safe_mode.on:
        console.handlers["baseline"] = skin.console
        parts.commands.handlers["baseline"] = skin.command
    await parts.run(equipment.run(), skin.run())


def run() -> "NoReturn":
    """Be an alcohol tag until a reset."""
    device.run(AlcoholBoard(), live, KIND)
