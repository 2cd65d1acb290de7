"""The port's os, with random numbers that follow from the seed, the device and the boot."""

import sys

from uos import *


def urandom(n: int) -> bytes:
    return sys.modules["world"].world.random(n)
