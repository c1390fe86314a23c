"""Fixed windows per caller: never more than the rate in one, headers that are exactly true, bounded memory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emailhub.core.limits import Rate
from emailhub.engine import throttle
from emailhub.engine.throttle import Throttle

START = 1_800_000_000.0


def test_without_a_rate_it_is_false() -> None:
    assert not Throttle()
    assert Throttle([Rate(1, 1.0)])


def test_a_window_gives_its_limit_and_begins_anew_when_it_has_ended() -> None:
    one = Throttle([Rate(2, 10.0)])
    found = [one.take("key 1", START + at) for at in (0, 3, 4, 9.9, 10)]
    assert [quota.over for quota in found] == [False, False, True, True, False]
    assert [quota.remaining for quota in found] == [1, 0, 0, 0, 1]
    assert [quota.reset for quota in found] == pytest.approx([10, 7, 6, 0.1, 10])


def test_every_caller_has_a_window_of_its_own() -> None:
    one = Throttle([Rate(1, 1.0)])
    assert [one.take(name, START).over for name in ("key 1", "key 2", "key 1", "local")] == [False, False, True, False]


def test_of_several_rates_the_tightest_is_told_and_a_refusal_costs_none_of_them() -> None:
    one = Throttle([Rate(2, 1.0), Rate(3, 60.0)])
    assert [one.take("a", START).rate.limit for _ in range(2)] == [2, 2]
    assert one.take("a", START).over
    third = one.take("a", START + 1)
    assert (third.over, third.rate, third.remaining) == (False, Rate(3, 60.0), 0)
    fourth = one.take("a", START + 2)
    assert (fourth.over, fourth.rate, fourth.reset) == (True, Rate(3, 60.0), 58)


def test_the_headers_round_up_so_that_nobody_comes_back_too_early() -> None:
    quota = Throttle([Rate(10, 1.0)]).take("a", START)
    assert dict(quota.headers()) == {
        "ratelimit-limit": "10",
        "ratelimit-remaining": "9",
        "ratelimit-reset": "1",
        "ratelimit-policy": "10;w=1",
    }
    late = Throttle([Rate(1, 60.0)])
    late.take("a", START)
    assert dict(late.take("a", START + 0.5).headers())["ratelimit-reset"] == "60"


def test_a_clock_set_back_begins_a_new_window() -> None:
    one = Throttle([Rate(1, 60.0)])
    one.take("a", START)
    assert not one.take("a", START - 3600).over


def test_callers_without_a_window_are_forgotten_and_their_number_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "_CALLERS", 3)
    one = Throttle([Rate(1, 60.0)])
    for name in "abc":
        one.take(name, START)
    one.take("d", START + 1)
    assert not one.take("a", START + 1).over, "the first made room"
    assert one.take("c", START + 1).over
    for name in "efgh":
        one.take(name, START + 100)
    assert len(one._callers) == 3


@given(
    st.lists(st.floats(0, 5, allow_nan=False), max_size=60),
    st.lists(st.tuples(st.integers(1, 5), st.sampled_from((1.0, 7.0, 60.0))), min_size=1, max_size=2),
)
def test_whoever_waits_as_told_is_never_refused_and_no_window_exceeds_its_limit(
    steps: list[float], rates: list[tuple[int, float]]
) -> None:
    one = Throttle([Rate(*rate) for rate in rates])
    now, taken = START, []
    for step in steps:
        now += step
        quota = one.take("a", now)
        if quota.over:
            now += quota.reset
            quota = one.take("a", now)
        assert not quota.over
        taken.append(now)
    for limit, seconds in rates:
        for first in taken:
            assert sum(first <= at < first + seconds for at in taken) <= 2 * limit
