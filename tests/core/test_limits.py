"""Limits: no span sees more than it may, nothing waits longer than it must, and nothing waits for ever."""

from __future__ import annotations

import heapq
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emailhub.core.limits import Limiter, Rate, Used

T0 = 1_800_000_000.0
DAY = 86400.0


def drained(
    limiter: Limiter, messages: list[int], latencies: list[float], *, most: float = 10 * DAY
) -> list[tuple[float, int]]:
    """Give out `messages` (recipients of each) in order, as soon as they may go; what a server saw: (time, count).

    A message reaches the server at the end of its latency, the worst moment it can.
    """
    now, seen, flying = T0, list[tuple[float, int]](), list[tuple[float, int]]()
    waiting = list(enumerate(messages))
    while waiting or flying:
        while waiting and limiter.fits(waiting[0][1], now):
            number, count = waiting.pop(0)
            limiter.begin(count, now)
            heapq.heappush(flying, (now + latencies[number % len(latencies)], count))
        times = [flying[0][0]] if flying else []
        if waiting and (free := limiter.next_free(waiting[0][1], now)) is not None:
            assert free > now or not limiter.fits(waiting[0][1], now)
            times.append(max(free, now + 1e-4))
        assert times, f"waits for ever: {waiting[0]}"
        now = min(times)
        assert now < T0 + most, "takes for ever"
        while flying and flying[0][0] <= now:
            at, count = heapq.heappop(flying)
            seen.append((at, count))
            limiter.end(count, now, tried=count, taken=count)
    return seen


def most_in(seen: list[tuple[float, int]], seconds: float) -> int:
    """The most recipients in any half-open span of `seconds`."""
    best, first, total = 0, 0, 0
    for at, count in seen:
        total += count
        while seen[first][0] <= at - seconds:
            total -= seen[first][1]
            first += 1
        best = max(best, total)
    return best


@given(
    st.sampled_from((Rate(1, 1.0), Rate(7, 1.0), Rate(50, 1.0), Rate(90, 60.0), Rate(30, 3600.0), Rate(2000, DAY))),
    st.lists(st.integers(1, 12), min_size=1, max_size=120),
    st.lists(st.floats(0.0, 3.0), min_size=1, max_size=7),
)
def test_no_span_at_the_server_ever_sees_more_than_the_limit(
    rate: Rate, messages: list[int], latencies: list[float]
) -> None:
    messages = [min(count, rate.limit) for count in messages]
    seen = drained(Limiter((rate,), now=T0), messages, latencies, most=100 * DAY)
    assert sum(count for _, count in seen) == sum(messages)
    assert most_in(seen, rate.seconds) <= rate.limit


@given(st.lists(st.integers(1, 60), min_size=1, max_size=60), st.floats(0.0, 0.5))
def test_several_rates_hold_at_once(messages: list[int], latency: float) -> None:
    seen = drained(Limiter((Rate(20, 1.0), Rate(100, 3600.0)), now=T0), [min(n, 20) for n in messages], [latency])
    assert most_in(seen, 1.0) <= 20
    assert most_in(seen, 3600.0) <= 100


def test_a_backlog_of_600_at_50_a_second_drains_without_an_idle_second_and_at_that_rate() -> None:
    seen = drained(Limiter((Rate(50, 1.0),), now=T0), [1] * 600, [0.005])
    took = seen[-1][0] - seen[0][0]
    assert 11.5 <= took <= 12.5
    for tenth in range(int((took - 1.0) * 10)):
        start = seen[0][0] + tenth / 10
        assert 45 <= sum(start <= at < start + 1.0 for at, _ in seen) <= 50


def test_a_fast_rate_is_spread_over_its_second_not_given_out_in_one_burst() -> None:
    seen = drained(Limiter((Rate(100, 1.0),), now=T0), [1] * 300, [0.001])
    assert most_in(seen, 0.1) <= 16


def test_a_day_s_allowance_may_go_at_once_and_comes_back_a_day_later() -> None:
    limiter = Limiter((Rate(2000, DAY),), now=T0)
    assert limiter.allowance(T0) == 2000
    limiter.begin(2000, T0)
    limiter.end(2000, T0 + 5, tried=2000, taken=2000)
    assert limiter.allowance(T0 + DAY - 1) == 0
    free = limiter.next_free(1, T0 + 100)
    assert free is not None
    assert T0 + DAY + 5 <= free <= T0 + DAY + 5 + DAY / 1000
    assert limiter.allowance(free) == 2000


def test_a_message_larger_than_the_whole_limit_goes_when_the_span_is_empty() -> None:
    seen = drained(Limiter((Rate(5, 1.0),), now=T0), [3, 12, 1, 12], [0.01])
    assert [count for _, count in seen] == [3, 12, 1, 12]
    gaps = [b[0] - a[0] for a, b in itertools.pairwise(seen)]
    assert all(gap >= 1.0 for gap in gaps)


def test_a_message_larger_than_a_burst_waits_for_a_full_one_and_lends_from_the_future() -> None:
    seen = drained(Limiter((Rate(50, 1.0),), now=T0), [40] * 4, [0.001])
    assert most_in(seen, 1.0) <= 50
    assert seen[-1][0] - seen[0][0] < 4.0


def test_what_was_not_taken_does_not_use_up_a_day_but_is_counted_for_the_second() -> None:
    limiter = Limiter((Rate(10, 1.0), Rate(10, DAY)), now=T0)
    limiter.begin(10, T0)
    assert limiter.allowance(T0 + 5) == 0, "what is under way counts until it ends"
    limiter.end(10, T0 + 5, tried=10, taken=2)
    second, day = limiter.status(T0 + 5)
    assert (second.used, day.used) == (10, 2)
    assert second.free_at is not None
    assert limiter.allowance(T0 + 7) == 1


def test_what_never_left_gives_its_place_back() -> None:
    limiter = Limiter((Rate(10, DAY),), now=T0)
    limiter.begin(10, T0)
    limiter.end(10, T0 + 1, tried=0, taken=0)
    assert limiter.allowance(T0 + 1) == 10


def test_when_only_flying_mail_stands_in_the_way_no_time_is_named() -> None:
    limiter = Limiter((Rate(2, DAY),), now=T0)
    limiter.begin(2, T0)
    assert limiter.next_free(1, T0) is None
    (status,) = limiter.status(T0)
    assert (status.used, status.free_at) == (2, T0 + DAY)


def test_a_start_remembers_what_was_used_before_it() -> None:
    past = [Used(T0 - 3600, 1500), Used(T0 - 7200, 400), Used(T0 - 2 * DAY, 9999)]
    limiter = Limiter((Rate(2000, DAY),), past, T0)
    assert limiter.allowance(T0) == 100
    assert limiter.allowance(T0 + DAY - 7000) == 500


def test_other_rates_keep_what_is_under_way() -> None:
    old = Limiter((), now=T0)
    old.begin(4, T0)
    new = old.changed((Rate(10, DAY),), [Used(T0 - 60, 5)], T0)
    assert new.allowance(T0) == 1
    new.end(4, T0, tried=4, taken=0)
    assert new.allowance(T0) == 5


def test_a_reached_day_stays_reached_while_single_drops_fall_out_of_it() -> None:
    past = [Used(T0 - DAY + 60 * minute, 1) for minute in range(1, 1001)]
    limiter = Limiter((Rate(1000, DAY),), past, T0)
    assert limiter.reached_since(T0) == T0
    assert limiter.reached_since(T0 + 300) == T0
    assert limiter.allowance(T0 + 300) > 0
    assert limiter.reached_since(T0 + 3600 * 2) is None
    fast = Limiter((Rate(1, 1.0),), now=T0)
    fast.begin(1, T0)
    assert fast.reached_since(T0) is None


@pytest.mark.parametrize("back", (3600.0, 30 * DAY))
def test_a_clock_set_back_does_not_stop_mail_for_longer_than_a_span(back: float) -> None:
    limiter = Limiter((Rate(10, 60.0),), now=T0)
    for _ in range(10):
        limiter.begin(1, T0)
        limiter.end(1, T0, tried=1, taken=1)
    earlier = T0 - back
    assert limiter.allowance(earlier) == 0
    assert limiter.allowance(earlier + 121.0) >= 1


def test_no_rates_hold_nothing() -> None:
    limiter = Limiter()
    assert not limiter
    assert limiter.fits(10**9, T0)
    assert limiter.status(T0) == ()
    assert limiter.reached_since(T0) is None
