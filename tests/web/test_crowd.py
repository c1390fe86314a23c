"""Which connection gives way to a new one."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from emailhub.web.crowd import Crowd, first_to_go


@dataclass(frozen=True)
class Line:
    peer: str
    waiting_since: float | None


def test_the_one_that_has_waited_longest_of_whoever_has_most_goes_first() -> None:
    greedy = [Line("10.0.0.1", since) for since in (5.0, 4.0, 6.0)]
    patient = [Line("10.0.0.2", since) for since in (1.0, 2.0)]
    assert first_to_go([*patient, *greedy]) is greedy[1]


def test_who_has_an_ipv6_network_has_all_its_addresses() -> None:
    spread = [Line(f"2001:db8::{number}", 5.0 + number) for number in range(3)]
    others = [Line(f"2001:db8:{number}::1", 1.0) for number in (7, 8)]
    assert first_to_go([*others, *spread]) is spread[0]


def test_what_is_answered_just_now_stays_however_many_one_has() -> None:
    busy = [Line("10.0.0.1", None) for _ in range(5)]
    only = Line("10.0.0.2", 3.0)
    assert first_to_go([*busy, only]) is only
    assert first_to_go(busy) is None


def test_a_flood_of_connections_is_no_flood_of_lines_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    time = 100.0
    busy = Crowd(3, lambda: time)
    for _ in range(50):
        busy.gives_way([Line("10.0.0.1", 1.0)])
        busy.gives_way([Line("10.0.0.1", None)])
    time = 111.0
    busy.gives_way([])
    assert [vars(record)["emailhub_fields"] for record in caplog.records] == [
        {"limit": 3, "gave_way": 1, "refused": 0},
        {"limit": 3, "gave_way": 49, "refused": 51},
    ]
