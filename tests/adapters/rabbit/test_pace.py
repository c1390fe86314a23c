"""How fast requests are taken, when a rate was set."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from emailhub.adapters.rabbit.pace import HOLD, Pace, held
from emailhub.adapters.rabbit.valve import Valve
from emailhub.core.limits import Rate, Used
from emailhub.core.status import Link
from tests.adapters.rabbit.conftest import Hub, running
from tests.adapters.rabbit.test_valve import Timers

START = 1_800_000_000.0


class Line:
    """A pace on a clock of its own: who waits, moves it."""

    def __init__(self, *rates: Rate, past: Sequence[Used] = ()) -> None:
        self.now = START
        self.slept: list[float] = []
        self.timers = Timers()
        self.valve = Valve(lambda low, high: (low + high) / 2, self.timers.later)
        self.pace = Pace(rates, self.valve, lambda: self.now, self.sleep, past)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    async def taken_until(self, end: float) -> int:
        """How many are taken of an endless queue, as fast as it lets."""
        taken = 0
        while self.now < end and self.valve.open:
            room = await self.pace.room(200)
            self.pace.take(room)
            taken += room
        return taken


async def test_without_a_rate_everything_is_taken_at_once() -> None:
    line = Line()
    assert await line.pace.room(200) == 200
    assert not line.slept


@pytest.mark.parametrize(("rate", "seconds"), ((Rate(10, 1.0), 20), (Rate(600, 60.0), 60), (Rate(500, 1.0), 3)))
async def test_a_rate_is_kept_and_used(rate: Rate, seconds: int) -> None:
    line = Line(rate)
    allowed = rate.limit / rate.seconds * seconds
    assert 0.9 * allowed <= await line.taken_until(START + seconds) <= allowed + rate.limit
    assert line.valve.open


async def test_who_would_wait_long_closes_the_valve_and_leaves_the_rest_with_rabbitmq() -> None:
    line = Line(Rate(3, 86400.0))
    assert await line.taken_until(START + 60) == 3
    assert not line.valve.open
    assert "3/d" in line.valve.why
    (wait,) = line.timers.waits
    assert HOLD < wait <= 86400.0 * 1.01
    line.now += wait
    line.timers.pass_by()
    assert line.valve.open
    assert await line.pace.room(200) > 0


async def test_what_was_taken_before_counts_for_the_span_it_is_in() -> None:
    line = Line(Rate(10, 3600.0), past=[Used(START - 3000, 4), Used(START - 4000, 100)])
    assert await line.taken_until(START + 60) == 6
    assert not line.valve.open
    (wait,) = line.timers.waits
    assert 600 - HOLD <= wait <= 600 * 1.02


async def test_an_end_of_another_wait_does_not_cut_a_rest_short() -> None:
    line = Line()
    line.valve.rest("used up", 3600.0)
    line.valve.pause("an operator")
    line.valve.resume()
    assert line.valve.why == "used up"


@pytest.mark.parametrize(
    ("rates", "expected"),
    (((), 200), ((Rate(10, 1.0),), 200), ((Rate(60, 3600.0),), 1), ((Rate(100, 1.0), Rate(7200, 86400.0)), 5)),
)
def test_no_more_is_fetched_than_goes_in_a_minute(rates: tuple[Rate, ...], expected: int) -> None:
    assert held(200, rates) == expected


async def test_what_is_over_the_rate_waits_in_the_queue(rabbit_vhost: str) -> None:
    hub = Hub(rabbit_vhost, rates=(Rate(2, 3600.0),), prefetch=held(200, (Rate(2, 3600.0),)))
    async with running(hub):
        await hub.linked(Link.CONSUMING)
        await hub.publish(*(b"%d" % n for n in range(5)))
        await hub.until(lambda: hub.rabbit.status().link is Link.PAUSED)
        await hub.until(lambda: hub.rabbit.status().unacked == 0)
        assert "2/h" in hub.rabbit.status().detail
        assert sorted(hub.bodies) == [b"0", b"1"]
        assert await hub.depth() == 3
