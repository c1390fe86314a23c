"""The waits between attempts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emailhub.core.backoff import GREYLISTED, PATIENT, Schedule

PATIENTLY = Schedule()


def waits(schedule: Schedule, count: int) -> list[float | None]:
    return [schedule.after(attempt, 0.0) for attempt in range(1, count + 1)]


def test_without_a_limit_the_waits_grow_to_an_hour_and_stay_there() -> None:
    assert waits(PATIENTLY, 11) == [2, 4, 8, 16, 60, 300, 900, 1800, 3600, 3600, 3600]


def test_with_a_limit_the_waits_double_from_the_first_and_the_limit_counts_all_attempts() -> None:
    assert waits(Schedule(limit=5), 6) == [2, 4, 8, 16, None, None]


def test_a_limit_of_one_means_no_second_attempt() -> None:
    assert Schedule(limit=1).after(1, 0.0) is None


def test_a_first_wait_below_a_second_doubles_too() -> None:
    assert waits(Schedule(limit=4, first=0.2), 3) == pytest.approx([0.2, 0.4, 0.8])


def test_a_first_wait_of_zero_retries_at_once_every_time() -> None:
    assert waits(Schedule(limit=4, first=0.0), 4) == [0.0, 0.0, 0.0, None]


def test_the_doubling_stops_at_the_cap() -> None:
    assert waits(Schedule(limit=100, first=1000.0), 4) == [1000, 2000, 3600, 3600]
    assert Schedule(limit=10, first=10.0, cap=15.0).after(3, 0.0) == 15.0


def test_the_millionth_attempt_does_not_overflow() -> None:
    assert Schedule(limit=10_000_000).after(1_000_000, 0.0) == 3600.0
    assert PATIENTLY.after(1_000_000, 0.0) == 3600.0


@pytest.mark.parametrize(("attempt", "least"), ((1, 60.0), (2, 300.0), (3, 900.0), (4, 900.0), (9, 2880.0)))
@pytest.mark.parametrize("jitter", (-1.0, 0.0, 1.0))
def test_greylisting_waits_out_the_usual_windows(attempt: int, least: float, jitter: float) -> None:
    wait = PATIENTLY.after(attempt, jitter, greylisted=True)
    assert wait is not None
    assert wait >= least


def test_greylisting_moves_the_retry_only_later() -> None:
    assert PATIENTLY.after(1, -1.0, greylisted=True) == pytest.approx(72.0)
    assert PATIENTLY.after(1, 1.0, greylisted=True) == pytest.approx(72.0)


def test_greylisting_does_not_outlast_the_limit() -> None:
    assert Schedule(limit=2).after(2, 0.0, greylisted=True) is None


@pytest.mark.parametrize("jitter", (-1.0, 0.0, 1.0))
def test_a_delay_named_by_the_reply_is_never_undercut(jitter: float) -> None:
    wait = PATIENTLY.after(1, jitter, named=500.0)
    assert wait == 500.0


def test_a_named_delay_shorter_than_the_schedule_does_not_hurry_it() -> None:
    assert PATIENTLY.after(5, 0.0, named=1.0) == 60.0
    assert PATIENTLY.after(1, 0.0, greylisted=True, named=1.0) == 60.0


@given(
    attempts=st.integers(-3, 10_000),
    jitter=st.floats(-1, 1),
    limit=st.none() | st.integers(1, 100),
    first=st.floats(0, 1e6),
    greylisted=st.booleans(),
    named=st.none() | st.floats(0, 3600),
)
def test_every_wait_is_finite_and_within_its_jitter(
    attempts: int, jitter: float, limit: int | None, first: float, greylisted: bool, named: float | None
) -> None:
    schedule = Schedule(limit=limit, first=first)
    wait = schedule.after(attempts, jitter, greylisted=greylisted, named=named)
    if limit is not None and attempts >= limit:
        assert wait is None
        return
    assert wait is not None
    plain = schedule.after(attempts, 0.0)
    assert plain is not None
    assert wait >= plain * 0.8 - 1e-9
    assert wait <= max(plain * 1.2, GREYLISTED[-1] * 1.2 if greylisted else 0.0, named or 0.0) + 1e-9
    assert plain <= PATIENT[-1]
