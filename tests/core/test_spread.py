"""Times to send in buckets: small to keep, added up, ranked to within a fifth."""

import math
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from emailhub.core.spread import BOUNDS, bucket, quantile, timing

_TIMES = st.floats(0.001, 90_000)


@given(st.lists(_TIMES, min_size=1, max_size=60), st.sampled_from((0.5, 0.95)))
def test_a_rank_read_from_the_buckets_is_at_most_half_an_octave_from_the_true_one(
    times: list[float], share: float
) -> None:
    found = quantile(Counter(map(bucket, times)), share)
    true = sorted(times)[math.ceil(share * len(times)) - 1]
    assert found is not None
    assert true / math.sqrt(2) - 1e-9 <= found <= true * math.sqrt(2) + 1e-9


@given(st.lists(_TIMES, min_size=1, max_size=30), st.lists(_TIMES, max_size=30))
def test_spreads_are_merged_by_adding_them(some: list[float], more: list[float]) -> None:
    apart = Counter(map(bucket, some)) + Counter(map(bucket, more))
    together = Counter(map(bucket, some + more))
    assert quantile(apart, 0.95) == quantile(together, 0.95)


def test_a_longer_time_is_never_in_an_earlier_bucket() -> None:
    assert [bucket(0.0), bucket(-1.0), bucket(BOUNDS[0]), bucket(1e9)] == [0, 0, 1, len(BOUNDS)]


def test_of_nothing_there_is_no_time() -> None:
    found = timing(60.0, {})
    assert (found.count, found.p50, found.p95) == (0, None, None)
