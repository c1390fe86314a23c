"""The breaker: when it opens, who may probe, what closes it, and what an operator may force."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emailhub.core.breaker import Breaker, Mode, Permit, Phase, Rules, Signal, Snapshot

RULES = Rules()
BAD = (Signal.TROUBLE, Signal.UNKNOWN)


def fresh(snapshot: Snapshot | None = None) -> Breaker:
    return Breaker(RULES, snapshot or Snapshot())


def permit(breaker: Breaker, now: float) -> Permit:
    given_permit = breaker.permit(now)
    assert given_permit is not None
    return given_permit


def fail(breaker: Breaker, times: int, *, now: float, signal: Signal = Signal.TROUBLE, jitter: float = 0.0) -> None:
    for _ in range(times):
        breaker.record(permit(breaker, now), signal, cause="connection refused", now=now, jitter=jitter)


def phase(breaker: Breaker) -> Phase:
    return breaker.snapshot.phase


def opened(now: float = 0.0) -> Breaker:
    breaker = fresh()
    fail(breaker, RULES.failures, now=now)
    assert phase(breaker) is Phase.OPEN
    return breaker


def test_four_failures_in_a_row_do_not_open_and_the_fifth_does() -> None:
    breaker = fresh()
    fail(breaker, 4, now=10.0)
    assert phase(breaker) is Phase.CLOSED
    fail(breaker, 1, now=11.0)
    assert breaker.snapshot == Snapshot(
        phase=Phase.OPEN,
        epoch=1,
        failures=5,
        openings=1,
        since=11.0,
        cause="connection refused",
        probe_at=41.0,
        trouble_since=10.0,
    )


def test_the_trouble_began_with_its_first_failure_and_ends_with_the_first_success() -> None:
    breaker = fresh()
    fail(breaker, 5, now=10.0)
    fail(breaker, 1, now=41.0)
    assert (breaker.snapshot.since, breaker.snapshot.trouble_since) == (41.0, 10.0)
    assert breaker.record(permit(breaker, 200.0), Signal.WELL, cause="", now=200.0, jitter=0.0)
    assert breaker.snapshot.trouble_since == 0.0


def test_one_well_relay_level_result_starts_the_count_anew() -> None:
    breaker = fresh()
    fail(breaker, 4, now=1.0)
    assert breaker.record(permit(breaker, 2.0), Signal.WELL, cause="", now=2.0, jitter=0.0)
    fail(breaker, 4, now=3.0)
    assert phase(breaker) is Phase.CLOSED
    assert breaker.snapshot.failures == 4


def test_a_well_result_without_failures_changes_nothing_to_be_stored() -> None:
    breaker = fresh()
    before = breaker.snapshot
    assert not breaker.record(permit(breaker, 1.0), Signal.WELL, cause="", now=1.0, jitter=0.0)
    assert breaker.snapshot is before


@pytest.mark.parametrize("jitter", (-1.0, 0.0, 1.0))
def test_a_rejected_login_opens_at_once_for_at_least_a_minute(jitter: float) -> None:
    breaker = fresh()
    fail(breaker, 1, now=100.0, signal=Signal.LOGIN_REJECTED, jitter=jitter)
    assert phase(breaker) is Phase.OPEN
    assert breaker.snapshot.probe_at is not None
    assert 160.0 <= breaker.snapshot.probe_at <= 172.0


def test_nothing_goes_a_moment_before_the_probe_is_due_and_one_probe_exactly_when_it_is() -> None:
    breaker = opened()
    assert breaker.permit(29.999) is None
    assert breaker.next_probe(29.999) == 30.0
    probe = permit(breaker, 30.0)
    assert probe.probe
    assert phase(breaker) is Phase.HALF_OPEN
    assert breaker.permit(30.0) is None
    assert breaker.permit(10_000.0) is None
    assert breaker.next_probe(31.0) is None


def test_a_well_probe_closes_and_everything_may_go() -> None:
    breaker = opened()
    probe = permit(breaker, 30.0)
    assert breaker.record(probe, Signal.WELL, cause="", now=31.0, jitter=0.0)
    assert breaker.snapshot == Snapshot(phase=Phase.CLOSED, epoch=1, since=31.0)
    assert not permit(breaker, 31.0).probe


@pytest.mark.parametrize("signal", BAD)
def test_a_failed_probe_opens_twice_as_long_up_to_ten_minutes(signal: Signal) -> None:
    breaker = opened()
    now, waits = 30.0, []
    for _ in range(7):
        probe = permit(breaker, now)
        assert breaker.record(probe, signal, cause="still away", now=now, jitter=0.0)
        assert breaker.snapshot.probe_at is not None
        waits.append(breaker.snapshot.probe_at - now)
        now = breaker.snapshot.probe_at
    assert waits == [60.0, 120.0, 240.0, 480.0, 600.0, 600.0, 600.0]


def opened_at_mail() -> Breaker:
    breaker = fresh()
    for _ in range(RULES.failures):
        breaker.record(
            permit(breaker, 0.0), Signal.TROUBLE, cause="451 4.3.2 not now", now=0.0, jitter=0.0, at_mail=True
        )
    assert phase(breaker) is Phase.OPEN
    return breaker


def ready(now: float = 31.0) -> Breaker:
    """Opened by trouble at MAIL, and then let in by a probe without a message."""
    breaker = opened_at_mail()
    breaker.record(permit(breaker, now), Signal.WELL, cause="", now=now, jitter=0.0)
    return breaker


def test_where_the_trouble_came_with_mail_a_probe_without_a_message_closes_nothing() -> None:
    breaker = ready()
    state = breaker.snapshot
    assert (state.phase, state.ready, state.cause) == (Phase.HALF_OPEN, True, "451 4.3.2 not now")
    assert breaker.next_probe(31.0) is None
    first = permit(breaker, 40.0)
    assert first == Permit(state.epoch, probe=True, message=True)
    assert not breaker.would_permit(40.0), "one at a time"
    breaker.record(first, Signal.WELL, cause="", now=41.0, jitter=0.0, at_mail=True)
    assert breaker.snapshot == Snapshot(epoch=state.epoch, since=41.0)


def test_when_that_message_meets_the_trouble_too_the_breaker_opens_for_twice_as_long() -> None:
    breaker = ready()
    breaker.record(permit(breaker, 40.0), Signal.TROUBLE, cause="451", now=40.0, jitter=0.0, at_mail=True)
    assert (phase(breaker), breaker.snapshot.ready, breaker.snapshot.probe_at) == (Phase.OPEN, False, 100.0)


def test_a_message_that_is_given_back_leaves_the_place_to_the_next() -> None:
    breaker = ready()
    assert breaker.release(permit(breaker, 40.0), 41.0)
    assert (phase(breaker), breaker.snapshot.ready) == (Phase.HALF_OPEN, True)
    assert permit(breaker, 42.0).message


def test_a_relay_that_could_not_be_reached_since_is_well_as_soon_as_it_lets_us_in() -> None:
    breaker = opened_at_mail()
    breaker.record(permit(breaker, 31.0), Signal.TROUBLE, cause="connection refused", now=31.0, jitter=0.0)
    breaker.record(permit(breaker, 100.0), Signal.WELL, cause="", now=100.0, jitter=0.0)
    assert phase(breaker) is Phase.CLOSED


def test_a_restart_and_an_operator_end_the_wait_for_a_message_with_a_probe() -> None:
    restored = fresh(ready().snapshot)
    assert (restored.snapshot.phase, restored.snapshot.ready) == (Phase.OPEN, False)
    assert restored.would_permit(31.0)
    forced = ready().force(Mode.AUTO, actor="ann", note="", until=None, now=50.0)
    assert (forced.phase, forced.ready, forced.probe_at) == (Phase.OPEN, False, 50.0)


def test_the_doubling_ends_when_the_relay_was_well_again() -> None:
    breaker = opened()
    breaker.record(permit(breaker, 30.0), Signal.TROUBLE, cause="x", now=30.0, jitter=0.0)
    breaker.record(permit(breaker, 90.0), Signal.WELL, cause="", now=90.0, jitter=0.0)
    fail(breaker, 5, now=100.0)
    assert breaker.snapshot.probe_at == 130.0


def test_a_relay_away_for_years_does_not_overflow() -> None:
    breaker = fresh(Snapshot(phase=Phase.OPEN, openings=100_000, probe_at=5.0))
    breaker.record(permit(breaker, 5.0), Signal.TROUBLE, cause="x", now=5.0, jitter=1.0)
    assert breaker.snapshot.probe_at == pytest.approx(5.0 + 600.0 * 1.2)


def test_a_released_probe_may_be_made_again_at_once() -> None:
    breaker = opened()
    assert breaker.release(permit(breaker, 30.0), 32.0)
    assert phase(breaker) is Phase.OPEN
    assert breaker.next_probe(32.0) == 32.0
    assert permit(breaker, 32.0).probe


def test_releasing_an_ordinary_permit_changes_nothing() -> None:
    breaker = fresh()
    assert not breaker.release(permit(breaker, 1.0), 2.0)


@pytest.mark.parametrize("signal", tuple(Signal))
def test_results_from_before_the_opening_change_nothing(signal: Signal) -> None:
    breaker = fresh()
    early = permit(breaker, 0.0)
    fail(breaker, 5, now=1.0)
    before = breaker.snapshot
    assert not breaker.record(early, signal, cause="late", now=2.0, jitter=0.0)
    assert breaker.snapshot is before
    permit(breaker, 31.0)
    half_open = breaker.snapshot
    assert not breaker.record(early, signal, cause="late", now=32.0, jitter=0.0)
    assert breaker.snapshot is half_open


def test_a_probe_that_outlives_a_forcing_changes_nothing_and_blocks_no_new_probe() -> None:
    breaker = opened()
    old = permit(breaker, 30.0)
    breaker.force(Mode.OPEN, actor="ann", note="maintenance", until=None, now=31.0)
    breaker.force(Mode.AUTO, actor="ann", note="", until=None, now=32.0)
    new = permit(breaker, 32.0)
    assert not breaker.record(old, Signal.WELL, cause="", now=33.0, jitter=0.0)
    assert not breaker.release(old, 33.0)
    assert phase(breaker) is Phase.HALF_OPEN
    assert breaker.record(new, Signal.WELL, cause="", now=34.0, jitter=0.0)
    assert phase(breaker) is Phase.CLOSED


def test_forced_open_lets_nothing_go_ever_and_keeps_who_and_why() -> None:
    breaker = fresh()
    state = breaker.force(Mode.OPEN, actor="ann", note="provider change", until=None, now=5.0)
    assert (state.mode, state.phase, state.actor, state.note) == (Mode.OPEN, Phase.OPEN, "ann", "provider change")
    assert breaker.permit(1e12) is None
    assert breaker.next_probe(6.0) is None
    assert not breaker.would_permit(1e12)


def test_forced_open_until_a_time_ends_by_itself_with_a_probe() -> None:
    breaker = fresh()
    breaker.force(Mode.OPEN, actor="ann", note="maintenance", until=100.0, now=5.0)
    assert breaker.next_probe(6.0) == 100.0
    assert not breaker.tick(99.9)
    assert breaker.state(100.0).mode is Mode.AUTO
    assert breaker.snapshot.mode is Mode.OPEN
    assert breaker.would_permit(100.0)
    assert breaker.tick(100.0)
    assert (breaker.snapshot.mode, breaker.snapshot.actor, breaker.snapshot.until) == (Mode.AUTO, "", None)
    assert permit(breaker, 100.0).probe


def test_forced_closed_ignores_failures_and_shows_the_last_cause() -> None:
    breaker = opened()
    breaker.force(Mode.CLOSED, actor="ann", note="it is fine", until=None, now=2.0)
    fail(breaker, 50, now=3.0)
    fail(breaker, 1, now=3.0, signal=Signal.LOGIN_REJECTED)
    assert phase(breaker) is Phase.CLOSED
    assert breaker.snapshot.cause == "connection refused"
    assert breaker.snapshot.failures == 51


def test_back_to_auto_from_forced_closed_starts_with_a_clean_count() -> None:
    breaker = fresh()
    breaker.force(Mode.CLOSED, actor="ann", note="", until=None, now=1.0)
    fail(breaker, 20, now=2.0)
    breaker.force(Mode.AUTO, actor="ann", note="", until=None, now=3.0)
    assert phase(breaker) is Phase.CLOSED
    fail(breaker, 4, now=4.0)
    assert phase(breaker) is Phase.CLOSED


def test_auto_on_an_open_breaker_makes_the_probe_due_at_once() -> None:
    breaker = opened()
    breaker.force(Mode.AUTO, actor="ann", note="", until=None, now=2.0)
    assert permit(breaker, 2.0).probe


def test_restored_half_open_is_open_with_the_probe_due_at_once() -> None:
    breaker = fresh(Snapshot(phase=Phase.HALF_OPEN, epoch=7, openings=2, since=50.0, probe_at=40.0, cause="away"))
    assert phase(breaker) is Phase.OPEN
    probe = permit(breaker, 50.0)
    assert (probe.probe, probe.epoch) == (True, 7)


def test_restored_open_without_a_probe_time_is_not_stuck() -> None:
    assert permit(fresh(Snapshot(phase=Phase.OPEN, since=50.0)), 50.0).probe


def test_a_forced_mode_survives_a_restart() -> None:
    breaker = fresh()
    breaker.force(Mode.OPEN, actor="ann", note="pause", until=90.0, now=5.0)
    again = fresh(breaker.snapshot)
    assert again.snapshot == breaker.snapshot
    assert again.permit(89.0) is None
    assert again.permit(90.0) is not None


def test_a_clock_set_back_by_hours_does_not_keep_the_breaker_open_for_hours() -> None:
    breaker = opened(now=100_000.0)
    assert breaker.permit(99_990.0) is None
    assert breaker.permit(90_000.0) is not None


@given(jitter=st.floats(-1, 1), openings=st.integers(0, 10_000), login=st.booleans())
def test_the_wait_stays_within_twenty_percent_of_its_doubling(jitter: float, openings: int, login: bool) -> None:
    breaker = fresh(Snapshot(phase=Phase.OPEN, openings=openings, probe_at=0.0))
    signal = Signal.LOGIN_REJECTED if login else Signal.TROUBLE
    breaker.record(permit(breaker, 0.0), signal, cause="x", now=0.0, jitter=jitter)
    base = min((60.0 if login else 30.0) * 2.0 ** min(openings, 30), 600.0)
    assert breaker.snapshot.probe_at is not None
    low = max(base * 0.8, 60.0) if login else base * 0.8
    assert low - 1e-6 <= breaker.snapshot.probe_at <= base * 1.2 + 1e-6
