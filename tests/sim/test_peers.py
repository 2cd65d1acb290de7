"""The simple rules beside ours, on positions made by hand."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sim.peers import accuracy_counts_as_inside, any_point, five_in_a_row, only_transitions, two_of_three

rows = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40)


@given(rows)
def test_each_rule_is_what_its_name_says(some: list[tuple[bool, bool]]) -> None:
    there = np.array([a for a, _ in some])
    fresh = np.array([b for _, b in some])
    fresh[0] = True
    n = len(there)
    assert any_point(there, ~there, fresh).tolist() == there.tolist()
    assert accuracy_counts_as_inside(there, ~there, fresh).tolist() == (~there).tolist()
    for i in range(n):
        begin = max(k for k in range(i + 1) if fresh[k])
        run = 0
        while i - run >= begin and there[i - run]:
            run += 1
        assert five_in_a_row(there, there, fresh)[i] == (run >= 5)
        assert two_of_three(there, there, fresh)[i] == (there[max(i - 2, 0) : i + 1].sum() >= 2)
        assert only_transitions(there, there, fresh)[i] == (there[i] and not there[begin:i].all())
