"""A GPS tag put together: what every device has, its receiver, and the watch over itself."""

import device
from boards.esp32 import Board
from counters import COUNTERS
from device import Device
from duty import Duty
from equipment import Equipment
from motor import Motor
from sampler import Sampler

try:
    from typing import TYPE_CHECKING
except ImportError:
    TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import NoReturn


KIND = "gps_tag"


async def live(board: Board) -> None:
    """Be a GPS tag; returns only by raising what one of its parts could not deal with."""
    parts = Device(board, KIND)
    journal, clock, link = parts.journal, parts.clock, parts.link
    equipment = Equipment(journal, clock, link, board)
    console = parts.console
    console.tests.update(equipment.tests())
    console.tests["motion"] = lambda: board.motion_self_test() is True or "it does not pass its self-test"
    console.tests["gnss"] = lambda: COUNTERS.get("fixes", 0) > 0 or "no fix yet"
    console.handlers["check"] = equipment.checked
    if parts.safe_mode.on:
        # what may be to blame is not even made: a motion sensor that holds its bus does not let a self-test end
        await parts.run(equipment.run())
        return
    duty = Duty(parts.changeable, clock, board, parts.folder)
    sampler = Sampler(journal, clock, link, duty, parts.settings.every_fix)
    console.handlers["sky"] = sampler.sky
    motor = Motor(board)
    parts.commands.handlers["pursuit"] = duty.pursuit
    parts.commands.handlers["locate"] = duty.locate
    parts.commands.handlers["vibrate"] = motor.vibrate
    await parts.run(equipment.run(), sampler.run(board.gnss), sampler.watch(), motor.run())


def run() -> "NoReturn":
    """Be a GPS tag until a reset."""
    device.run(Board(), live, KIND)
