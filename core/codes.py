"""Which of many event codes are of some kinds: looked up, since `numpy.isin` compares with each kind in turn."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from core.readings import I64

Kinds = npt.NDArray[np.bool_]
"""Of each code from 0 on whether it is one; the first and the last are none."""


def kinds_of(codes: Iterable[int]) -> Kinds:
    """To look up whether a code is one of ``codes``, all above 0."""
    chosen = [int(code) for code in codes]
    kinds = np.zeros(max(chosen) + 2, np.bool_)
    kinds[chosen] = True
    return kinds


def among(codes: I64, kinds: Kinds) -> Kinds:
    """Which of ``codes``, any whole numbers, are of ``kinds``; shape of ``codes``."""
    return kinds.take(codes, mode="clip")
