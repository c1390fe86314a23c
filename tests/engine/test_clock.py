"""The clock of the wall: what a jump may change, and what it may not."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from emailhub.adapters.sqlite.putting_forward import BATCH, SqlitePutOff
from emailhub.core.delivery import State
from emailhub.core.errors import OutboxFull
from emailhub.core.status import ClockStatus
from emailhub.engine.clock import GRACE, TOLERANCE, Clock, ClockWatch, catch_up
from emailhub.engine.flow import clock_flows
from tests.support.factories import DAY, NOW, REPORT, Store, deferred, opened, parcel, results


class Clocks:
    """Both clocks, moved by the test; `wall` may jump."""

    def __init__(self) -> None:
        self.wall = NOW
        self.steady = 100.0
        self.clock = Clock(lambda: self.wall, lambda: self.steady)

    def run(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


@pytest.mark.parametrize("correction", (0.0, 30.0, -30.0, TOLERANCE))
def test_a_small_correction_is_believed_at_once(correction: float) -> None:
    at = Clocks()
    at.wall += correction
    assert at.clock.look() == 0.0
    assert at.clock.sure() == at.wall
    assert at.clock.status() == ClockStatus()


def test_corrections_that_add_up_to_hours_are_no_jump() -> None:
    at = Clocks()
    for _ in range(100):
        at.run(1.0)
        at.wall += 50.0
        at.clock.look()
    assert at.clock.sure() == at.wall == NOW + 5100.0


def test_after_a_jump_ahead_what_expires_goes_by_the_steady_clock_even_before_anybody_looked() -> None:
    at = Clocks()
    at.wall += 3 * DAY
    assert at.clock.sure() == NOW + TOLERANCE
    assert at.clock.now() == NOW + 3 * DAY
    assert at.clock.look() == 3 * DAY
    at.run(500.0)
    at.clock.look()
    assert at.clock.sure() == NOW + TOLERANCE + 500.0
    assert at.clock.status() == ClockStatus(ahead=3 * DAY, believed_in=GRACE - 500.0)


def test_a_jump_ahead_is_believed_after_a_while() -> None:
    at = Clocks()
    at.wall += 3600.0
    at.clock.look()
    at.run(GRACE)
    at.clock.look()
    assert at.clock.sure() == at.wall
    assert at.clock.status() == ClockStatus()


def test_a_jump_that_was_put_right_was_never_believed() -> None:
    at = Clocks()
    at.wall += 3 * DAY
    at.clock.look()
    at.run(60.0)
    at.wall -= 3 * DAY
    assert at.clock.look() == -3 * DAY, "what was put off meanwhile is due in three days"
    assert at.clock.status() == ClockStatus()
    assert at.clock.sure() == at.wall == NOW + 60.0


def test_a_clock_set_back_is_believed_at_once() -> None:
    at = Clocks()
    at.run(10.0)
    at.wall -= 3600.0
    assert at.clock.look() == -3600.0
    assert at.clock.look() == 0.0
    assert at.clock.sure() == at.wall


def test_the_jump_and_the_time_left_are_told_in_words() -> None:
    (flow,) = clock_flows(ClockStatus(ahead=3 * DAY, believed_in=840.0))
    assert (flow.level, flow.headline) == (
        "warn",
        "The clock jumped ahead by 3 days: nothing expires for the next 14 minutes.",
    )
    assert clock_flows(ClockStatus()) == []


async def _deferred(store: Store, id: str, until: float) -> None:
    (job,) = await store.claim(ids=[id], limit=1)
    assert job.id == id
    await store.outbox.record(job, results(job, deferred(until)), REPORT, NOW)


async def test_what_was_put_off_is_put_forward_and_what_is_scheduled_stays(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("deferred", accepted_at=NOW)])
        await _deferred(store, "deferred", NOW + 300)
        await store.outbox.add([parcel("soon", accepted_at=NOW)])
        await _deferred(store, "soon", NOW + 20)
        await store.outbox.add([parcel("planned", accepted_at=NOW, scheduled_at=NOW + 100, expires_at=NOW + DAY)])
        await store.outbox.add([parcel("old", accepted_at=NOW - 2 * 3600, expires_at=NOW + DAY)])
        # Ten seconds later the clock is set back by an hour.
        moved = await SqlitePutOff(store.database).put_forward(3600.0, NOW - 3590)
        assert moved == 2
        found = {
            id: rest for id, *rest in await store.rows("SELECT id, due_at, expires_at, waiting_since FROM message")
        }
        dues = {id: due for id, (due, _, _) in found.items()}
        assert dues == {"deferred": NOW - 3300, "soon": NOW - 3580, "planned": NOW + 100, "old": NOW - 7200}
        assert dict(await store.rows("SELECT m.id, r.due_at FROM recipient r JOIN message m USING (seq)")) == dues
        assert found["old"][1] == NOW + DAY, "it was accepted before, and its day counts from then"
        assert found["deferred"][1] == NOW + DAY - 3600, "its day counts from when it was accepted"
        assert found["planned"][1] == NOW + DAY
        assert max(since or 0.0 for _, _, since in found.values()) <= NOW - 3590
        (event,) = [event for event in store.events if event.kind == "clock_set_back"]
        assert (event.at, event.data) == (NOW - 3590, {"seconds": 3600, "messages": 2})


async def test_messages_beyond_one_commit_are_put_forward_too(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel(f"M{number:05}", accepted_at=NOW) for number in range(BATCH + 5)])
        assert await SqlitePutOff(store.database).put_forward(DAY, NOW - DAY) == BATCH + 5
        assert await store.rows("SELECT DISTINCT due_at FROM message") == [(NOW - DAY,)]


async def test_what_is_being_sent_keeps_no_due_time(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A", accepted_at=NOW)])
        (job,) = await store.claim()
        assert await SqlitePutOff(store.database).put_forward(DAY, NOW - DAY) == 0
        assert await store.rows("SELECT state, due_at FROM message") == [("sending", None)]
        assert await store.outbox.record(job, results(job, deferred(NOW - DAY + 5)), REPORT, NOW - DAY)


async def test_a_start_makes_up_for_a_clock_that_was_set_back_meanwhile_once(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A", accepted_at=NOW)])
        await _deferred(store, "A", NOW + 60)
        outbox = SqlitePutOff(store.database)
        await catch_up(outbox, NOW + 5)
        assert await store.rows("SELECT due_at FROM message") == [(NOW + 60,)]
        await catch_up(outbox, NOW - DAY)
        assert await store.rows("SELECT due_at FROM message") == [(NOW - DAY + 60,)]
        await catch_up(outbox, NOW - DAY + 1)
        assert await store.rows("SELECT due_at FROM message") == [(NOW - DAY + 60,)]


class Refusing:
    """An outbox that cannot be written the first time."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.done = asyncio.Event()

    async def last_told(self) -> float | None:
        return None

    async def put_forward(self, seconds: float, now: float) -> int:
        self.asked.append(seconds)
        if len(self.asked) == 1:
            raise OutboxFull("the disk is full")
        return 0


async def test_who_waits_for_a_time_is_woken_by_a_jump_ahead() -> None:
    at, outbox, woken = Clocks(), Refusing(), asyncio.Event()
    running = asyncio.create_task(ClockWatch(at.clock, outbox, woken.set).run())
    at.wall += DAY
    try:
        await asyncio.wait_for(woken.wait(), 5)
    finally:
        running.cancel()
    assert outbox.asked == []


async def test_what_could_not_be_put_forward_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emailhub.engine.clock.ROUND", 0.01)
    at, outbox = Clocks(), Refusing()
    running = asyncio.create_task(ClockWatch(at.clock, outbox, outbox.done.set).run())
    at.wall -= DAY
    try:
        await asyncio.wait_for(outbox.done.wait(), 5)
    finally:
        running.cancel()
    assert outbox.asked == [DAY, DAY]


async def test_mail_that_expired_only_by_a_jump_is_still_claimed_and_not_failed(tmp_path: Path) -> None:
    at = Clocks()
    async with opened(tmp_path / "hub.db", sure=at.clock.sure) as store:
        await store.outbox.add([parcel(id, accepted_at=NOW, expires_at=NOW + 3600) for id in ("A", "B", "C")])
        at.wall += DAY
        now = at.clock.now()
        assert await store.verbs.expire(now, by=at.clock.sure()) == ()
        (probe,) = await store.claim(now, probe=True, limit=1)
        (handed,) = await store.claim(now, ids=["B"], limit=1)
        (third,) = await store.claim(now)
        assert sorted((probe.id, handed.id, third.id)) == ["A", "B", "C"]
        await store.outbox.record(third, results(third, deferred(now + 1)), REPORT, now)
        at.run(GRACE)
        at.clock.look()
        at.run(GRACE)
        at.clock.look()
        assert await store.claim(at.clock.now()) == []
        await store.verbs.expire(at.clock.now(), by=at.clock.sure())
        assert (await store.history.find(third.id)).summary.state is State.FAILED
