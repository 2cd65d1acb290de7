"""Processes that are kept alive: real ones, that say what these tests have them say."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable

import pytest

from gateway.supervise import Child, Line, Supervisor, told_ready

STARTS_S = 1.0
PATIENCE_S = 30.0

SILENT = "import time; time.sleep(600)"
GOING_ON_WITHOUT_BEING_READY = """
import os, time
while True:
    os.write({fd}, b"5\\n")
    time.sleep(0.2)
"""
READY_AND_GOING_ON = 'import os; os.write({fd}, b"ready\\n")' + GOING_ON_WITHOUT_BEING_READY
STUCK_AFTER_A_WORD = """
import os, time
os.write({fd}, b"ready\\n1\\n")
time.sleep(600)
"""


async def at_once(_line: Line) -> None:
    """It is seen to work, though it says nothing."""


def child(words: str, ready: Callable[[Line], Awaitable[None]] = told_ready) -> Child:
    return Child("part", lambda fd: [sys.executable, "-c", words.format(fd=fd)], ready)


def lives(one: Child, until: Callable[[], bool], at_most_s: float) -> int:
    """How often ``one`` was begun until ``until`` held, or for ``at_most_s``."""

    async def run() -> int:
        supervisor = Supervisor([one], {}, lambda: None, STARTS_S)
        stopping = asyncio.Event()
        running = asyncio.create_task(supervisor.run(stopping, lambda: None))
        deadline = time.monotonic() + at_most_s
        while not until() and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        begun = one.lives
        stopping.set()
        await running
        return begun

    return asyncio.run(run())


def test_a_process_that_hangs_as_it_begins_is_ended_and_begun_again() -> None:
    one = child(SILENT)
    assert lives(one, lambda: one.lives > 1, PATIENCE_S) == 2


def test_a_process_that_was_ready_and_is_not_heard_within_what_it_said_is_begun_again() -> None:
    one = child(STUCK_AFTER_A_WORD)
    assert lives(one, lambda: one.lives > 1, PATIENCE_S) == 2


@pytest.mark.parametrize(
    "one",
    [
        pytest.param(child(SILENT, at_once), id="seen-to-work-and-silent"),
        pytest.param(child(READY_AND_GOING_ON), id="ready-and-going-on"),
        pytest.param(child(GOING_ON_WITHOUT_BEING_READY), id="long-in-beginning-and-says-so"),
    ],
)
def test_a_process_that_works_or_says_that_it_goes_on_lives(one: Child) -> None:
    assert lives(one, lambda: False, 4 * STARTS_S) == 1
