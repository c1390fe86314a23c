"""Limits: no span sees more than it may, nothing waits longer than it must, and nothing waits for ever."""

from __future__ import annotations

import heapq
import itertools
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from emailhub.core.limits import Flight, Limiter, Rate, Used

T0 = 1_800_000_000.0
DAY = 86400.0


def drained(
    limiter: Limiter, messages: list[int], latencies: list[float], *, most: float = 10 * DAY
) -> list[tuple[float, int]]:
    """Give out `messages` (recipients of each) in order, as soon as they may go; what a server saw: (time, count).

    A message reaches the server at the end of its latency, the worst moment it can.
    """
    now, seen, flying = T0, list[tuple[float, int]](), list[tuple[float, int, Flight]]()
    waiting = list(enumerate(messages))
    while waiting or flying:
        while waiting and limiter.fits(waiting[0][1], now):
            number, count = waiting.pop(0)
            flight = limiter.begin(count, now)
            heapq.heappush(flying, (now + latencies[number % len(latencies)], number, flight))
        times = [flying[0][0]] if flying else []
        if waiting and (free := limiter.next_free(waiting[0][1], now)) is not None:
            assert free > now or not limiter.fits(waiting[0][1], now)
            times.append(max(free, now + 1e-4))
        assert times, f"waits for ever: {waiting[0]}"
        now = min(times)
        assert now < T0 + most, "takes for ever"
        while flying and flying[0][0] <= now:
            at, _, flight = heapq.heappop(flying)
            seen.append((at, flight.count))
            limiter.end(flight, now, tried=flight.count, taken=flight.count)
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


def slowly_answered(
    limiter: Limiter, messages: int, *, handing: list[float], answer: float, transit: float = 0.0
) -> list[tuple[float, int]]:
    """Give out `messages` as soon as they may go, when `handing` seconds pass before the body is handed over, and then
    `answer` seconds until the reply; when a server sees each body, which takes up to `transit` to it."""
    now, seen = T0, list[tuple[float, int]]()
    events: list[tuple[float, int, str, Flight]] = []
    sent = 0
    while sent < messages or events:
        if sent < messages and limiter.fits(1, now):
            heapq.heappush(events, (now + handing[sent % len(handing)], sent, "handed", limiter.begin(1, now)))
            sent += 1
            continue
        free = limiter.next_free(1, now) if sent < messages else None
        now = min([max(free, now + 1e-4)] if free is not None else [], default=math.inf)
        if (events and events[0][0] <= now) or now == math.inf:
            at, number, what, flight = heapq.heappop(events)
            now = at
            if what == "handed":
                limiter.hand(flight, now)
                seen.append((now + transit * (number % 2), 1))
                heapq.heappush(events, (now + answer, number, "answered", flight))
            else:
                limiter.end(flight, now, tried=1, taken=1)
    return sorted(seen)


@pytest.mark.parametrize("rate", (Rate(10, 1.0), Rate(50, 1.0), Rate(300, 60.0)))
@pytest.mark.parametrize("answer", (0.01, 0.5, 5.0, 200.0))
def test_the_rate_is_reached_and_held_however_slow_the_answers_are(rate: Rate, answer: float) -> None:
    messages = rate.limit * 6
    seen = slowly_answered(Limiter((rate,), now=T0), messages, handing=[0.01], answer=answer)
    assert most_in(seen, rate.seconds) <= rate.limit
    assert seen[-1][0] - seen[0][0] <= 6 * rate.seconds * 1.06


@example(Rate(3, 1.0), [0.0, 1.0, 1.0, 0.2], 0.0, 0.0)  # arrives as a slice ends, and is rounded to before its end
@given(
    st.sampled_from((Rate(3, 1.0), Rate(10, 1.0), Rate(50, 1.0), Rate(90, 60.0))),
    st.lists(st.floats(0.0, 3.0), min_size=1, max_size=7),
    st.floats(0.0, 8.0),
    st.floats(0.0, 0.045),
)
def test_no_span_sees_more_arrive_than_the_limit_whatever_happens_on_the_way(
    rate: Rate, handing: list[float], answer: float, transit: float
) -> None:
    # An answer is never sooner than the message has come.
    seen = slowly_answered(Limiter((rate,), now=T0), 120, handing=handing, answer=answer + transit, transit=transit)
    assert len(seen) == 120
    assert most_in(seen, rate.seconds) <= rate.limit


@pytest.mark.parametrize("stall", (0.1, 0.3, 0.45))
def test_a_server_that_usually_answers_at_once_sees_no_more_after_it_was_held_up(stall: float) -> None:
    """What it was sent meanwhile comes to it all at once, with what comes then."""
    limiter, now, sent, seen = Limiter((Rate(50, 1.0),), now=T0), T0, list[Flight](), list[float]()
    while now < T0 + 5:
        if limiter.fits(1, now):
            flight = limiter.begin(1, now)
            limiter.hand(flight, now)
            sent.append(flight)
        held_up = T0 + 2 <= now < T0 + 2 + stall
        for flight in () if held_up else sent:
            seen.append(now + 0.001)
            limiter.end(flight, now + 0.001, tried=1, taken=1)
        if not held_up:
            sent.clear()
        now += 0.002
    assert most_in([(at, 1) for at in seen], 1.0) <= 50
    assert len(seen) > 50 * 4


def test_a_day_s_count_waits_for_the_answer() -> None:
    limiter = Limiter((Rate(2, DAY), Rate(10, 1.0)), now=T0)
    flight = limiter.begin(2, T0)
    limiter.hand(flight, T0)
    assert limiter.status(T0 + 60)[0].used == 2
    assert limiter.status(T0 + 60)[1].used == 0
    limiter.end(flight, T0 + 60, tried=2, taken=1)
    assert [one.used for one in limiter.status(T0 + 60)] == [1, 0]
    free = limiter.next_free(2, T0 + 60)
    assert free is not None
    assert free >= T0 + 60 + DAY


def test_a_body_that_is_handed_over_once_more_counts_once_more() -> None:
    limiter = Limiter((Rate(4, 1.0),), now=T0)
    flight = limiter.begin(2, T0)
    limiter.hand(flight, T0)
    assert limiter.status(T0 + 0.8)[0].used == 2
    limiter.hand(flight, T0 + 0.8)
    assert limiter.status(T0 + 0.9)[0].used == 4
    limiter.end(flight, T0 + 0.9, tried=2, taken=2)
    assert limiter.status(T0 + 1.6)[0].used == 2
    assert limiter.status(T0 + 2.0)[0].used == 0


def test_other_rates_know_what_is_on_its_way_without_an_answer() -> None:
    old = Limiter((Rate(10, 1.0),), now=T0)
    flight = old.begin(3, T0)
    old.hand(flight, T0 + 10)
    new = old.changed((Rate(5, 1.0),), [], T0 + 10.02)
    assert new.allowance(T0 + 10.03) <= 2
    assert new.status(T0 + 11.2)[0].used == 0
    new.end(flight, T0 + 20, tried=3, taken=3)
    assert new.status(T0 + 20)[0].used == 0


def test_a_fast_rate_is_spread_over_its_second_not_given_out_in_one_burst() -> None:
    seen = drained(Limiter((Rate(100, 1.0),), now=T0), [1] * 300, [0.001])
    assert most_in(seen, 0.1) <= 16


def test_a_day_s_allowance_may_go_at_once_and_comes_back_a_day_later() -> None:
    limiter = Limiter((Rate(2000, DAY),), now=T0)
    assert limiter.allowance(T0) == 2000
    flight = limiter.begin(2000, T0)
    limiter.end(flight, T0 + 5, tried=2000, taken=2000)
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
    flight = limiter.begin(10, T0)
    assert limiter.allowance(T0 + 5) == 0, "what is under way counts until it ends"
    limiter.end(flight, T0 + 5, tried=10, taken=2)
    second, day = limiter.status(T0 + 5)
    assert (second.used, day.used) == (10, 2)
    assert second.free_at is not None
    assert limiter.allowance(T0 + 7) == 1


def test_what_never_left_gives_its_place_back() -> None:
    limiter = Limiter((Rate(10, DAY),), now=T0)
    flight = limiter.begin(10, T0)
    limiter.end(flight, T0 + 1, tried=0, taken=0)
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
    flight = old.begin(4, T0)
    new = old.changed((Rate(10, DAY),), [Used(T0 - 60, 5)], T0)
    assert new.allowance(T0) == 1
    new.end(flight, T0, tried=4, taken=0)
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
        flight = limiter.begin(1, T0)
        limiter.end(flight, T0, tried=1, taken=1)
    earlier = T0 - back
    assert limiter.allowance(earlier) == 0
    assert limiter.allowance(earlier + 121.0) >= 1


def test_no_rates_hold_nothing() -> None:
    limiter = Limiter()
    assert not limiter
    assert limiter.fits(10**9, T0)
    assert limiter.status(T0) == ()
    assert limiter.reached_since(T0) is None
