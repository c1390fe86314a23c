"""A search in stretches: nothing is left out and nothing looked at twice, and its patience ends it."""

from __future__ import annotations

from itertools import chain

from hypothesis import given
from hypothesis import strategies as st

from emailhub.adapters.sqlite.stretches import FIRST, stretches


@given(st.integers(1, 10), st.integers(0, 10 * FIRST), st.booleans())
def test_every_number_is_in_one_stretch_and_they_follow_each_other(low: int, high: int, down: bool) -> None:
    found = list(stretches(low, high, down=down))
    if down:
        found.reverse()
    assert list(chain.from_iterable(range(first, last + 1) for first, last in found)) == list(range(low, high + 1))


def test_without_patience_there_is_one_stretch_at_the_end_it_begins_at() -> None:
    assert list(stretches(1, 10 * FIRST, down=True, patience=0.0)) == [(9 * FIRST + 1, 10 * FIRST)]
    assert list(stretches(1, 10 * FIRST, down=False, patience=0.0)) == [(1, FIRST)]


def test_a_million_take_few_stretches() -> None:
    assert len(list(stretches(1, 1_000_000, down=True))) < 6
