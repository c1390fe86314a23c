"""Turns at a recipients' domain: so many at a time, so fast, and whoever waits goes before newcomers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from emailhub.core.limits import Flight, Rate
from emailhub.core.turns import SWEEP, Gate, Spare, Wait, first_of

T0 = 1_800_000_000.0


def gate(connections: int | None = None, *rates: Rate) -> Gate:
    return Gate(Spare(domain="big.test", connections=connections, rates=rates), T0)


def asked(of: Gate, recipients: list[int], now: float) -> tuple[list[int], list[Wait]]:
    """One claim of messages with one recipient each: who goes, who waits until when."""
    turn = of.turn(now).copy()
    goes = [one for one in recipients if turn.admits(one, now, along=False)]
    waits = [turn.wait(one, now) for one in recipients if one not in goes]
    of.queued(waits)
    for one in goes:
        of.begin([one], now)
    return goes, waits


def test_so_many_messages_go_at_a_time_and_a_message_with_many_recipients_is_one() -> None:
    of = gate(2)
    turn = of.turn(T0)
    assert turn.admits(1, T0, along=False)
    assert turn.admits(2, T0, along=True)
    assert turn.admits(3, T0, along=False)
    assert not turn.admits(4, T0, along=False)
    assert turn.admits(5, T0, along=True)


def test_a_place_is_free_again_when_an_attempt_ends() -> None:
    of = gate(1)
    assert asked(of, [1, 2], T0)[0] == [1]
    assert asked(of, [3], T0 + 0.1)[0] == []
    of.end(Flight(1), T0 + 0.5, 0.5)
    assert asked(of, [2], T0 + 1.0)[0] == [2]


def test_those_who_wait_get_places_one_step_apart_each_a_different_one() -> None:
    of = gate(None, Rate(10, 1.0))
    goes, waits = asked(of, list(range(30)), T0)
    assert goes == [0]
    assert [round(wait.until - T0, 3) for wait in waits[:4]] == [0.1, 0.2, 0.3, 0.4]
    more = asked(of, [99], T0)[1]
    assert more[0].until > waits[-1].until


def test_newcomers_do_not_overtake_the_line() -> None:
    of = gate(None, Rate(10, 1.0))
    _, waits = asked(of, [1, 2, 3], T0)
    now = waits[0].until
    goes, _ = asked(of, [50, waits[0].recipient], now)
    assert goes == [waits[0].recipient]


def test_whose_turn_has_come_and_is_not_possible_is_next_and_not_last() -> None:
    of = gate(1)
    _, waits = asked(of, [1, 2, 3, 4], T0)
    now = waits[0].until
    _, again = asked(of, [waits[0].recipient], now)
    assert again[0].until < waits[1].until + 1.0
    assert again[0].until - now <= 1.0


def test_a_line_nobody_comes_to_any_more_is_forgotten() -> None:
    of = gate(None, Rate(1, 1.0))
    asked(of, [1, 2, 3], T0)
    of.end(Flight(1), T0 + 0.1, 0.1)
    assert asked(of, [9], T0 + 4 + 2 * SWEEP)[0] == [9]


def test_the_first_pattern_that_matches_the_domain_decides() -> None:
    gates = [Gate(Spare(domain=domain), T0) for domain in ("a.test", "*.a.test")]
    assert first_of(gates, "x@A.test") is gates[0]
    assert first_of(gates, "x@mx.a.test") is gates[1]
    assert first_of(gates, "x@b.test") is None


@given(st.integers(1, 30), st.integers(1, 40), st.floats(0.01, 3.0))
def test_a_line_moves_on_until_nobody_is_left_and_never_goes_faster_than_the_rate(
    limit: int, count: int, took: float
) -> None:
    of = gate(3, Rate(limit, 1.0))
    due = dict.fromkeys(range(count), T0)
    flying: list[tuple[float, int]] = []
    began: list[float] = []
    steps = 0
    while due or flying:
        now = min([*due.values(), *(end for end, _ in flying)])
        steps += 1
        assert steps < 5000, "it does not move on"
        for end, one in [item for item in flying if item[0] <= now]:
            flying.remove((end, one))
            of.end(Flight(1), now, took)
        ready = [one for one, at in due.items() if at <= now]
        goes, waits = asked(of, ready, now) if ready else ([], [])
        for one in goes:
            del due[one]
            flying.append((now + took, one))
            began.append(now)
        for wait in waits:
            assert wait.until > now
            due[wait.recipient] = wait.until
        assert len(flying) <= 3
    assert all(sum(start <= at < start + 1.0 for at in began) <= limit for start in began)


def test_a_clock_set_back_does_not_put_mail_off_until_it_has_caught_up() -> None:
    of = gate(1)
    asked(of, [1, 2, 3], T0)
    of.turn(T0 + 7200)
    goes, waits = asked(of, [4, 5], T0 - 3600)
    assert goes == []
    assert [wait.until for wait in waits] == [T0 - 3599, T0 - 3598]


def test_an_attempt_during_which_the_clock_jumped_is_not_taken_for_a_slow_server() -> None:
    for seconds in (3 * 86400.0, -3 * 86400.0):
        of = gate(1)
        of.end(of.begin([1], T0), T0 + seconds, seconds)
        asked(of, [2], T0 + seconds)
        _, waits = asked(of, [3], T0 + seconds)
        assert T0 + seconds < waits[0].until < T0 + seconds + 60
