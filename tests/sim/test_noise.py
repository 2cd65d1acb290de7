"""Chance that follows from seed, stream and index."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import partial

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from core.readings import F64, I64
from sim import noise

SEEDS = st.integers(-(2**70), 2**70)


@settings(deadline=None)  # the first of them compiles
@given(
    SEEDS, st.lists(st.integers(-(2**60), 2**60), min_size=1, max_size=30), st.randoms(use_true_random=False)
)
def test_every_number_is_the_same_whoever_asks_for_it_in_whatever_order(
    seed: int, instants: list[int], order: object
) -> None:
    asked = np.array(instants)
    backwards = asked[::-1]
    made: Callable[[I64], F64]
    for made in (
        partial(noise.uniform, seed, 3),
        partial(noise.normal, seed, 3),
        partial(noise.wander, seed, 3, memory_s=60.0),
    ):
        together = made(asked)
        assert np.array_equal(made(backwards)[::-1], together)
        assert [made(asked[i : i + 1])[0] for i in range(len(asked))] == together.tolist()


def test_numbers_spread_as_they_should_and_streams_have_nothing_in_common() -> None:
    index = np.arange(200_000)
    even, normal = noise.uniform(1, 2, index), noise.normal(1, 2, index)
    assert 0.0 < even.min() < 1e-4
    assert 1 - 1e-4 < even.max() < 1.0
    assert np.allclose(np.histogram(even, 20, (0, 1))[0], 10_000, rtol=0.05)
    assert abs(normal.mean()) < 0.01
    assert abs(normal.std() - 1) < 0.01
    assert abs(np.mean(np.abs(normal) > 1.96) - 0.05) < 0.003
    for other in (noise.normal(1, 3, index), noise.normal(2, 2, index), noise.normal(1, 2, index + 1)):
        assert abs(np.corrcoef(normal, other)[0, 1]) < 0.01


def test_a_wander_has_variance_one_everywhere_and_forgets_within_its_memory() -> None:
    t_ms = np.arange(400_000) * 1000
    walk = noise.wander(5, 6, t_ms, 50.0)
    assert abs(walk.std() - 1) < 0.02
    # at knots and between them alike, over many seeds
    for at in range(0, 120_000, 7000):
        here = np.array([noise.wander(seed, 6, np.array([at]), 50.0)[0] for seed in range(600)])
        assert 0.85 < here.std() < 1.15
    together = {lag: float(np.corrcoef(walk[:-lag], walk[lag:])[0, 1]) for lag in (1, 50, 130)}
    assert together[1] > 0.99
    assert 0.3 < together[50] < 0.43
    assert abs(together[130]) < 0.05


def test_quantiles_are_those_of_the_standard_library() -> None:
    exact = statistics.NormalDist()
    for share in [*np.linspace(1e-6, 1 - 1e-6, 999).tolist(), 1e-16, 0.02425, 0.97575]:
        assert abs(noise.quantile(share) - exact.inv_cdf(share)) < 1e-8
