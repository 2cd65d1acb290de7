"""What messages of the order service mean: the recorded ones as checked by hand, and all that can be wrong with one."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway.orders.meaning import Known, Meaning, meaning_of
from gateway.orders.reading import read
from gateway.orders.told import addresses_told, conditions_told, duties_told, local
from tests.gateway.order_service import filled_in, recorded

DATA = Path(os.environ.get("TAGWATCH_DATA", "../shared/data"))
PAGE = Path(__file__).resolve().parents[2] / "docs" / "intake-orders.md"
EVERY = recorded(DATA) if DATA.is_dir() else []
NOW_MS = 1_760_000_000_000
ALWAYS_KEPT = {"issp", "order_status", "released_under_prarr"}
"""Fields that every recorded order carries, and that change nothing of what is monitored."""


def meant(order: Mapping[str, Any], wearer: Mapping[str, Any] | None = None, *before: Any) -> Meaning:
    about = None if wearer is None else read(json.dumps(wearer).encode())
    return meaning_of(read(json.dumps(order).encode()), about, Known("o-1", "w-1", before), NOW_MS)


def row(name: str, meaning: Meaning) -> str:
    """One line of the table in docs/intake-orders.md."""
    order = meaning.order
    assert order.start_ms is not None
    assert order.end_ms is not None
    dates = f"{'variation, ' if meaning.is_variation else ''}{local(order.start_ms)} to {local(order.end_ms)}"
    kinds = Counter(one.kind for one in meaning.found)
    cells = [
        f"`{name}`",
        f"{order.regime}, {dates}",
        "<br>".join(conditions_told(order)),
        "<br>".join(addresses_told(meaning)),
        "<br>".join(duties_told(meaning)),
        ", ".join(f"{kind}{f' ×{n}' if n > 1 else ''}" for kind, n in sorted(kinds.items())),
        ", ".join(sorted(set(meaning.unused) - ALWAYS_KEPT)),
    ]
    return f"| {' | '.join(cells)} |"


@pytest.mark.parametrize(("name", "wearer", "order"), EVERY, ids=[name for name, _, _ in EVERY])
def test_a_recorded_order_means_what_was_found_by_hand(name: str, wearer: Path, order: Path) -> None:
    assert row(name, meant(filled_in(order), filled_in(wearer))) in PAGE.read_text().splitlines()
