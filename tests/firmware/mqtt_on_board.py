"""Runs on MicroPython: the MQTT client over mutual TLS against a real broker.

``mqtt_on_board.py FOLDER PORT SERVER_NAME AUTHORITY DEVICE [echo]`` prints what happened. Certificates in FOLDER.
"""
# mypy: ignore-errors
# ruff: noqa: PTH123, UP031

import asyncio
import gc
import sys
import time

import mqtt
import tls_stream

FOLDER, PORT, SERVER_NAME, AUTHORITY, DEVICE = sys.argv[1:6]
UP, DOWN, STATE = ["em/v1/00/%s/%s" % (DEVICE, leaf) for leaf in ("up", "down", "state")]


def load(name):
    with open(FOLDER + "/" + name, "rb") as file:
        return file.read()


def dial():
    return tls_stream.dial(
        "127.0.0.1", int(PORT), SERVER_NAME, load(AUTHORITY), load(DEVICE + ".der"), load(DEVICE + "-key.der")
    )


async def heard(got, n):
    while len(got) < n:
        await asyncio.sleep_ms(2)


async def main():
    client = mqtt.Client(dial, DEVICE, time.ticks_ms)
    got = []
    client.on_message = lambda topic, payload: got.append((topic, payload))
    try:
        await asyncio.wait_for(client.connect((STATE, b"offline")), 10)
    except (OSError, ValueError) as problem:
        print("refused", problem)
        return
    await client.subscribe(DOWN)
    print("connected")
    for size in (0, 1, 121, 122, 1000, 4096):
        await client.publish(DOWN, bytes([size & 255]) * size, 1)
        await heard(got, 1)
        assert got.pop() == (DOWN, bytes([size & 255]) * size)
    await client.publish(DOWN, bytes(5000), 0)  # larger than is read: passes without harm
    await client.publish(DOWN, b"after", 0)
    await heard(got, 1)
    assert got.pop() == (DOWN, b"after")
    while client.waiting():
        await asyncio.sleep_ms(2)
    started, free = time.ticks_ms(), 1 << 30
    client.on_message = lambda topic, payload: None
    for i in range(300):
        await client.publish(UP, bytes(250), 1)
        while client.waiting():
            await asyncio.sleep_ms(0)
        if i % 50 == 0:
            gc.collect()
            free = min(free, gc.mem_free())
    print("300 in", time.ticks_diff(time.ticks_ms(), started), "ms, free heap", free)
    await client.publish(STATE, b"online", 0, True)
    while True:  # until it is killed
        await client.keep_alive()
        client.check()
        await asyncio.sleep_ms(20)


asyncio.run(main())
