"""A GPS tag put together: board, settings, journal, clock, link, receiver."""

import asyncio
import sys

import config
import counters
from boards.esp32 import Board
from clock import Clock
from equipment import Equipment
from journal import Journal
from link import Link
from mqtt import Client
from sampler import Sampler
from tls_stream import dial, dial_bare

try:
    from typing import TYPE_CHECKING
except ImportError:
    TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import NoReturn

    from tls_stream import TlsStream

# Of 1 MiB of flash; the rest is for the certificates and for LittleFS to copy while it writes.
JOURNAL_BYTES = 640 * 1024


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        content: bytes = file.read()
    return content


async def live(board: Board) -> None:
    """Be a tag; returns only by raising what one of its parts could not deal with."""
    settings = config.load("/config.json")
    clock = Clock(board)
    journal = Journal("/journal", JOURNAL_BYTES, board.random)

    async def connect() -> "TlsStream":
        if not settings.tls:
            return await dial_bare(settings.host, settings.port)
        # read at each connection, not held: DER files are larger than what else the link keeps
        return await dial(
            settings.host,
            settings.port,
            settings.server_name,
            _read("/ca.der"),
            _read("/cert.der"),
            _read("/key.der"),
        )

    def client() -> Client:
        return Client(connect, settings.device, clock.uptime_ms)

    link = Link(journal, clock, client, board, settings.device, settings.key, counters, settings.upload_s)
    sampler = Sampler(journal, clock, link, settings.sample_s, settings.every_fix)
    equipment = Equipment(journal, clock, link, board)
    await asyncio.gather(equipment.run(), sampler.run(board.gnss), link.run())


def run() -> "NoReturn":
    """Be a tag; whatever ends that is printed and answered with a reset, of which the next boot record tells."""
    board = Board()
    try:
        asyncio.run(live(board))
    except Exception as problem:
        sys.print_exception(problem)
    board.reset()
