"""The lag watch: a stall of the event loop is measured, told with what caused it, and counted."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest

from emailhub.core.figures import Totals
from emailhub.engine import lag
from emailhub.engine.lag import LagWatch
from emailhub.engine.meter import Meter, Reading


@contextlib.asynccontextmanager
async def watched(meter: Meter, shown: list[float]) -> AsyncIterator[LagWatch]:
    watch = LagWatch(meter.loop_lag, shown.append)
    running = asyncio.create_task(watch.run())
    await asyncio.sleep(lag.BEAT / 2)
    try:
        yield watch
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def hold_the_loop(seconds: float) -> None:
    time.sleep(seconds)


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, dict[str, object]]]:
    records = [record for record in caplog.records if record.message == "event loop late"]
    return [(record.levelname, vars(record)["emailhub_fields"]) for record in records]


async def counted(meter: Meter, above: float) -> float:
    """Beats that were later than `above` seconds."""
    text = meter.render(Reading(now=0.0, totals=Totals({}, 0, None, 0))).decode()
    found = dict(line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("emailhub_loop_late_seconds"))
    below = found[f'emailhub_loop_late_seconds_bucket{{le="{above}"}}']
    return float(found["emailhub_loop_late_seconds_count"]) - float(below)


async def test_a_stall_is_logged_with_its_length_and_with_what_held_the_loop(caplog: pytest.LogCaptureFixture) -> None:
    meter, shown = Meter(), list[float]()
    with caplog.at_level("INFO"):
        async with watched(meter, shown):
            hold_the_loop(0.35)
            await asyncio.sleep(lag.BEAT)
    ((level, fields),) = told(caplog)
    assert level == "INFO"
    assert 0.2 < float(str(fields["seconds"])) < 5.0
    assert "hold_the_loop (test_lag.py" in str(fields["doing"])
    assert max(shown) == pytest.approx(float(str(fields["seconds"])), abs=0.001)
    assert await counted(meter, above=0.1) >= 1


async def test_a_long_stall_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    async with watched(Meter(), []):
        hold_the_loop(1.2)
        await asyncio.sleep(lag.BEAT)
    assert [level for level, _ in told(caplog)] == ["WARNING"]


async def test_many_short_stalls_are_one_line(caplog: pytest.LogCaptureFixture) -> None:
    meter = Meter()
    with caplog.at_level("INFO"):
        async with watched(meter, []):
            for _ in range(3):
                hold_the_loop(0.25)
                await asyncio.sleep(lag.BEAT)
    assert len(told(caplog)) == 1
    assert await counted(meter, above=0.1) >= 3


async def test_the_longest_lag_is_shown_for_a_while_and_then_the_present_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lag, "SHOWN", 0.0)
    shown: list[float] = []
    async with watched(Meter(), shown):
        hold_the_loop(0.3)
        await asyncio.sleep(3 * lag.BEAT)
    assert max(shown) > 0.1
    assert shown[-1] < 0.1
