"""Who has to wait after wrong passwords, and who does not."""

from __future__ import annotations

import pytest

from emailhub.engine.guessing import Backoff, Guesses, network_of

NOW = 1_800_000_000.0


def test_waits_double_and_end_at_sixteen_minutes() -> None:
    backoff = Backoff()
    at, waits = NOW, []
    for _ in range(12):
        backoff.failed("somebody", at)
        waits.append(backoff.wait("somebody", at))
        at += waits[-1]
    assert waits == [0, 0, 0, 0, 60, 120, 240, 480, 960, 960, 960, 960]


def test_failures_are_forgotten_after_a_day() -> None:
    backoff = Backoff()
    for _ in range(4):
        backoff.failed("somebody", NOW)
    backoff.failed("somebody", NOW + 86400)
    assert backoff.wait("somebody", NOW + 86400) == 0


def test_a_million_addresses_do_not_fill_the_memory() -> None:
    backoff = Backoff(capacity=100)
    for number in range(10_000):
        backoff.failed(str(number), NOW)
    assert len(backoff) == 100


def test_guesses_from_many_networks_make_the_name_wait_everywhere() -> None:
    guesses = Guesses()
    for number in range(5):
        guesses.wrong("admin", f"10.0.0.{number}", NOW)
    assert guesses.wait("admin", "10.0.1.1", NOW) == 60
    assert guesses.wait("olga", "10.0.1.1", NOW) == 0


def test_guesses_for_many_names_make_their_network_wait() -> None:
    guesses = Guesses()
    for number in range(5):
        guesses.wrong(f"user{number}", "10.0.0.1", NOW)
    assert guesses.wait("olga", "10.0.0.1", NOW) == 60
    assert guesses.wait("olga", "10.0.0.2", NOW) == 0


@pytest.mark.parametrize("before", (True, False))
def test_no_stranger_keeps_out_somebody_where_they_have_logged_in_before(before: bool) -> None:
    guesses = Guesses()
    if before:
        guesses.know([("admin", "192.0.2.7")])
    else:
        guesses.right("admin", "192.0.2.7")
    for number in range(50):
        guesses.wrong("admin", f"10.0.0.{number}", NOW)
    assert guesses.wait("admin", "192.0.2.7", NOW) == 0
    assert guesses.wait("admin", "192.0.2.8", NOW) > 0
    for _ in range(5):
        guesses.wrong("admin", "192.0.2.7", NOW)
    assert guesses.wait("admin", "192.0.2.7", NOW) == 60


def test_neighbours_in_an_ipv6_network_are_one() -> None:
    assert network_of("2001:db8::1") == network_of("2001:db8::99") == "2001:db8::/64"
    assert network_of("2001:db8:0:1::1") != network_of("2001:db8::1")
    assert network_of("10.0.0.1") == "10.0.0.1"
