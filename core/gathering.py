"""Readings of many activations, taken together for the rule families: one call of a kernel serves them all."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from core.case import Case
from core.family import Batch
from core.history import Ends
from core.rows import DTYPES, Rows, columns_of
from core.strap import mask

_NO_ROWS = tuple(np.zeros(0, dtype) for dtype in DTYPES)
_BATCH_READINGS = 16_384
Stride = tuple[Case, Ends]
"""A case, and up to where it is to be judged now: so many readings of each kind."""


def groups(strides: Iterable[Stride]) -> Iterator[list[Stride]]:
    """The same in groups whose readings fit a processor's cache: seven families read them one after the other."""
    group: list[Stride] = []
    count = 0
    for case, ends in strides:
        group.append((case, ends))
        count += sum(ends) - case.fed
        if count >= _BATCH_READINGS:
            yield group
            group, count = [], 0
    if group:
        yield group


def gather(strides: Sequence[Stride]) -> tuple[Batch, list[list[tuple[int, int]]]]:
    """The readings of every case from where it stands to the given ends, in one batch; and by kind where each lies."""
    kinds: list[Rows] = []
    places: list[list[tuple[int, int]]] = []
    for kind, dtype in enumerate(DTYPES):
        ends = list(itertools.accumulate([upto[kind] - case.ends[kind] for case, upto in strides]))
        if not ends[-1]:
            kinds.append(_NO_ROWS[kind])
            places.append([(0, 0)] * len(strides))
            continue
        rows = np.empty(ends[-1], dtype)
        begins = [0, *ends[:-1]]
        for (case, upto), lo, hi in zip(strides, begins, ends, strict=True):
            if lo < hi:
                rows[lo:hi] = case.timeline.rows(kind)[case.ends[kind] : upto[kind]]
                if case.unworn is not None:
                    mask(rows[lo:hi], kind, case.unworn)
        kinds.append(rows)
        places.append(list(zip(begins, ends, strict=True)))
    positions, contacts, samples, events = kinds
    return Batch(positions, contacts, samples, events, columns_of(positions)), places
