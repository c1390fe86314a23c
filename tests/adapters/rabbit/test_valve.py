"""Whether we take from the queue: pauses, refusals with growing waits, and the end."""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

import pytest

from emailhub.adapters.rabbit.valve import Valve


class Call(NamedTuple):
    """Something to be done later."""

    act: Callable[[], None]
    gone: list[bool]

    def cancel(self) -> None:
        self.gone.append(True)


class Timers:
    """Keeps what is to be called, and after how long."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self.calls: list[Call] = []

    def later(self, seconds: float, act: Callable[[], None]) -> Call:
        self.waits.append(seconds)
        self.calls.append(Call(act, []))
        return self.calls[-1]

    def pass_by(self) -> None:
        """Let the time of the last one come."""
        call = self.calls.pop()
        assert not call.gone
        call.act()


@pytest.fixture
def timers() -> Timers:
    return Timers()


@pytest.fixture
def valve(timers: Timers) -> Valve:
    return Valve(lambda low, high: (low + high) / 2, timers.later)


async def test_refusals_wait_longer_and_longer_up_to_a_minute(valve: Valve, timers: Timers) -> None:
    for _ in range(9):
        valve.refuse("full")
        assert not valve.open
        timers.pass_by()
        assert valve.open
    assert timers.waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]


async def test_after_deliveries_were_taken_the_next_refusal_waits_a_second_again(valve: Valve, timers: Timers) -> None:
    valve.refuse("full")
    valve.refuse("full")
    valve.took()
    valve.refuse("full")
    assert timers.waits == [1, 2, 1]


async def test_deliveries_that_rabbitmq_will_soon_drop_wait_a_quarter_of_an_hour(valve: Valve, timers: Timers) -> None:
    valve.refuse("full", careful=True)
    assert timers.waits == [900]
    valve.resume()
    assert valve.open


async def test_a_pause_outlives_the_end_of_a_refusal(valve: Valve, timers: Timers) -> None:
    valve.refuse("not stored")
    valve.pause("the disk is nearly full")
    timers.pass_by()
    assert valve.why == "the disk is nearly full"
    valve.resume()
    assert valve.open


async def test_shut_is_for_good(valve: Valve, timers: Timers) -> None:
    valve.refuse("not stored")
    valve.shut("stopping")
    valve.resume()
    assert valve.why == "stopping"
    assert timers.calls[0].gone


async def test_whoever_waits_for_a_change_is_told_once(valve: Valve) -> None:
    valve.pause("a")
    valve.resume()
    await valve.change()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await valve.change()
