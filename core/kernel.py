"""How kernels are compiled that only look at what they are given."""

from __future__ import annotations

from typing import Any

BORROWS: dict[str, Any] = {"cache": True, "_nrt": False}
"""For ``njit``: a kernel that makes no array and gives none back, so that it need not count who uses which.

Counting takes an atomic instruction for each array of each call: more than the distance to a zone. The caller holds all
arrays until it has its answer. A kernel compiled so that did make an array would not compile.
"""
