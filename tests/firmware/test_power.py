"""When the processor may sleep lightly."""

from __future__ import annotations

import power
from hypothesis import given
from hypothesis import strategies as st
from power import ANSWER, LEAST_MS, RECEIVER, SETTLE_MS, TOOL

MS = st.integers(-1, 1 << 29)


@given(st.sampled_from([RECEIVER, ANSWER, TOOL, RECEIVER | TOOL]), MS, MS)
def test_never_while_anybody_needs_the_processor(needed: int, quiet_ms: int, wait_ms: int) -> None:
    assert power.light_ms(needed, quiet_ms, wait_ms) == 0


@given(MS, MS)
def test_only_after_a_while_of_quiet_and_never_beyond_what_is_due(quiet_ms: int, wait_ms: int) -> None:
    light_ms = power.light_ms(0, quiet_ms, wait_ms)
    assert light_ms == (wait_ms if quiet_ms >= SETTLE_MS and wait_ms >= LEAST_MS else 0)
    assert power.light_ms(0, quiet_ms, -1) == 0, (
        "nothing but a stream can end such a wait, and it would not be heard"
    )
