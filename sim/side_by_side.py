"""The same work on several parts of a population, a process for each processor."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

Part = TypeVar("Part")
Done = TypeVar("Done")


def side_by_side(work: Callable[[Part], Done], parts: Sequence[Part]) -> Iterator[Done]:
    """``work`` on each of ``parts``, in their order; in this process where another would be of no use.

    Work and parts are pickled: a function of a module, or a `functools.partial` of one.
    """
    processors = len(os.sched_getaffinity(0))
    if processors == 1 or len(parts) == 1:
        yield from map(work, parts)
        return
    # not forked: whoever draws a progress bar has a thread
    with ProcessPoolExecutor(processors, mp_context=get_context("spawn")) as pool:
        yield from pool.map(work, parts)
