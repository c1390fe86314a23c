"""The clock jumps while the hub works: nothing is lost, sent twice, expired without need, or waits for days."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.acceptance.hub import Hub
from tests.support.smtp_server import SmtpServer
from tests.support.walltime import WallTime

HOUR = 3600
DAYS = 3 * 86400
SOON = 20.0
"""Seconds within which everything must be done after the jump: no wait of the hub's own is longer by then."""


def planned(seconds: int) -> str:
    """A time so many seconds after now."""
    return datetime.fromtimestamp(time.time() + seconds, UTC).isoformat()


async def until_state(hub: Hub, ids: list[str], *states: str) -> None:
    async def are() -> bool:
        found = [(await hub.get(f"/emails/{id}"))["status"] for id in ids]
        return all(state in states for state in found)

    await hub.until(are, f"all are {' or '.join(states)}", SOON)


def told(hub: Hub, component: str, words: str) -> list[str]:
    return [line["event"] for line in hub.log() if line["component"] == component and words in line["event"]]


@pytest.mark.parametrize(
    "jump",
    (
        pytest.param(HOUR, marks=pytest.mark.nightly),
        pytest.param(-HOUR, marks=pytest.mark.nightly),
        DAYS,
        -DAYS,
    ),
)
async def test_a_jump_of_the_clock_loses_doubles_expires_and_delays_nothing(
    jump: int, smtp: SmtpServer, make_hub: Callable[..., Hub], tmp_path: Path
) -> None:
    wall = WallTime(tmp_path)
    hub = make_hub(smtp, **wall.env)
    await hub.start()
    put_off = smtp.on("RCPT", "451 4.3.0 not now", to="later@example.org")
    in_the_air = smtp.on("DOT", hold=asyncio.Event(), times=1)
    flying = await hub.send(to="air@example.org")
    await in_the_air.hit()
    waiting = [await hub.send(to="later@example.org") for _ in range(3)]
    await until_state(hub, waiting, "deferred")
    plan = await hub.send(to="plan@example.org", scheduled_at=planned(1800))

    wall.set(jump)
    during = [await hub.send(to="now@example.org") for _ in range(3)]
    assert in_the_air.hold is not None
    in_the_air.hold.set()
    await until_state(hub, [flying, *during], "sent")
    smtp.rules.remove(put_off)
    due = [*waiting, plan] if jump > 0 else waiting
    await until_state(hub, due, "sent")
    if jump > 0:
        assert told(hub, "clock", "jumped ahead")
        ready = (await hub.client.get("/health/ready")).json()
        assert ready["status"] == "degraded"
        assert "The clock jumped ahead" in ready["parts"]["clock"]["detail"]
        assert "The clock jumped ahead" in (await hub.client.get("/", headers={"accept": "text/html"})).text
    else:
        assert told(hub, "clock", "set back")
        assert (await hub.get(f"/emails/{plan}"))["status"] == "scheduled", "it goes by the calendar"
        wall.set(1800)
        await until_state(hub, [plan], "sent")
    assert await hub.counts() == {"sent": 8}
    assert len({message.message_id for message in smtp.messages}) == len(smtp.messages) == 8
    assert await hub.stop() == 0


@pytest.mark.nightly
async def test_an_open_breaker_is_not_open_for_days_when_the_clock_is_set_back(
    smtp: SmtpServer, make_hub: Callable[..., Hub], tmp_path: Path
) -> None:
    wall = WallTime(tmp_path)
    hub = make_hub(smtp, **wall.env)
    await hub.start()
    await smtp.stop()
    ids = [await hub.send() for _ in range(6)]

    async def opened() -> bool:
        return bool((await hub.breaker())["state"] == "open")

    await hub.until(opened, "the breaker is open")
    await smtp.start()
    wall.set(-DAYS)
    await until_state(hub, ids[-1:], "sent")
    assert (await hub.breaker())["state"] == "closed"

    async def put_forward() -> bool:
        with contextlib.closing(sqlite3.connect(hub.database)) as outbox:
            (latest,) = outbox.execute("SELECT max(due_at) FROM message").fetchone()
        return bool(latest is None or latest < time.time() - DAYS + 120)

    await hub.until(put_forward, "what met the trouble waits no longer than it was to wait")
    assert await hub.stop() == 0


@pytest.mark.nightly
async def test_what_was_put_off_does_not_wait_for_days_when_the_clock_was_set_back_between_two_runs(
    smtp: SmtpServer, make_hub: Callable[..., Hub], tmp_path: Path
) -> None:
    wall = WallTime(tmp_path)
    hub = make_hub(smtp, **wall.env)
    await hub.start()
    put_off = smtp.on("RCPT", "451 4.3.0 not now")
    ids = [await hub.send() for _ in range(3)]
    await until_state(hub, ids, "deferred")
    await hub.stop()
    wall.set(-DAYS)
    smtp.rules.remove(put_off)
    await hub.start()
    await until_state(hub, ids, "sent")
    assert len(smtp.messages) == 3
