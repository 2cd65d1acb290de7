"""Runs on MicroPython: journal and link in real time, a reading every 20 ms, until killed.

``link_on_board.py FOLDER PORT SERVER_NAME DEVICE KEY JOURNAL`` prints ``made NUMBER VALUE`` for what is on
flash, and once ``free BYTES`` of the heap.
"""
# mypy: ignore-errors
# ruff: noqa: PTH123

import asyncio
import gc
import os
import sys
import time

import counters
import mqtt
import records
import tls_stream
from clock import Clock
from journal import Journal
from link import Link

FOLDER, PORT, SERVER_NAME, DEVICE, KEY, JOURNAL = sys.argv[1:7]


class Board:
    def ticks_ms(self):
        return time.ticks_ms()

    def rtc(self):
        return (2026, 1, 5, 0, 12, 0, 0, 0)

    def set_rtc(self, when):
        pass

    def stay_awake(self, on):
        pass

    def random(self, n):
        return os.urandom(n)

    async def network_up(self):
        pass


def load(name):
    with open(FOLDER + "/" + name, "rb") as file:
        return file.read()


def dial():
    return tls_stream.dial(
        "127.0.0.1", int(PORT), SERVER_NAME, load("ca.der"), load(DEVICE + ".der"), load(DEVICE + "-key.der")
    )


async def main():
    board = Board()
    clock = Clock(board)
    journal = Journal(JOURNAL, 1 << 18, board.random)
    client = lambda: mqtt.Client(dial, DEVICE, clock.uptime_ms)  # noqa: E731 - as short as it gets
    link = Link(journal, clock, client, board, DEVICE, bytes.fromhex(KEY), counters, 1)
    asyncio.create_task(link.run())  # noqa: RUF006 - the loop keeps it
    told = journal.flushed
    samples = 0
    values = {}
    while True:
        t_ds, quality = clock.now()
        value = int.from_bytes(os.urandom(3), "little")
        values[journal.append(records.POSITION, t_ds, records.position(value, 0, 9, 0, 0, 8, 9, quality))] = (
            value
        )
        link.wake(False)
        while told < journal.flushed:
            told += 1
            print("made", told, values.pop(told))
        samples += 1
        if samples == 40:
            gc.collect()
            print("free", gc.mem_free())
        await asyncio.sleep_ms(20)


asyncio.run(main())
