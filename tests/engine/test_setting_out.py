"""A message that would be the next to go is stored as being sent already: one commit less before it leaves."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest

from emailhub.core.breaker import Mode
from emailhub.core.delivery import OnUnknown, State
from emailhub.core.message import Key, Limits, Mailbox, Submission
from emailhub.core.records import Job, Origin, Receipt
from emailhub.engine.intake import Defaults, Intake
from emailhub.engine.meter import Meter
from emailhub.engine.room import Room
from emailhub.engine.solo import NoBroker
from tests.support.clock import now, virtual
from tests.support.courier_line import Line, line
from tests.support.factories import NOW, REPORT, SENT, opened, parcel, results
from tests.support.relays import ScriptedRelay, answers, takes

OK = answers(250, "2.0.0 Ok")


class Door:
    """An intake that asks the courier of `at` for a place."""

    def __init__(self, at: Line, **given: Any) -> None:
        self.counter = 0
        self.intake = Intake(
            at.outbox,
            NoBroker(),
            wake=lambda _: at.courier.wake(),
            room=Room(1000, 0),
            limits=Limits(),
            defaults=Defaults(Mailbox("hub@example.org"), at.relay.name),
            meter=Meter(),
            now=now,
            entropy=self.entropy,
            seat=lambda _: at.courier.seat(),
            **given,
        )

    def entropy(self, count: int) -> bytes:
        self.counter += 1
        return self.counter.to_bytes(4, "big").ljust(count, b"\0")

    async def accept(self, text: str = "Hello", **given: Any) -> Receipt:
        message = Submission(to=(Mailbox("ada@example.com"),), subject="Hi", text=text, **given)
        return await self.intake.accept(message, Origin("http", "c"))


async def resting(at: Line) -> None:
    """Let the courier find out that nothing is due."""
    await asyncio.sleep(1)
    at.outbox.calls.clear()


def free(at: Line) -> bool:
    """Whether a message could set out now."""
    seat = at.courier.seat()
    if seat is not None:
        seat.leave()
    return seat is not None


@virtual
async def test_a_message_sets_out_with_its_acceptance_when_nothing_waits_before_it(tmp_path: Path) -> None:
    async with line(tmp_path, ScriptedRelay()) as at:
        await resting(at)
        receipt = await Door(at).accept()
        await at.carried()
        assert at.outbox.calls == ["record"]
        assert await at.told(receipt.id) == ["accepted", "sending", "sent"]
        (attempt,) = await at.store.history.attempts(receipt.id)
        assert (attempt.number, attempt.counted, attempt.relay) == (1, True, "default")
        assert (await at.find(receipt.id)).summary.attempts == 1
        assert await at.store.rows("SELECT state, messages FROM tally WHERE messages > 0") == [("sent", 1)]


@virtual
async def test_what_finds_no_free_connection_waits_in_line_and_so_does_what_comes_behind_it(tmp_path: Path) -> None:
    async with line(tmp_path, ScriptedRelay(capacity=1, always=takes(10.0, OK))) as at:
        await resting(at)
        door = Door(at)
        first, second = await door.accept("1"), await door.accept("2")
        assert [await at.state(one.id) for one in (first, second)] == [State.SENDING, State.QUEUED]
        assert at.courier.seat() is None
        await at.carried()
        assert at.relay.most_busy == 1
        assert at.relay.times == [0.0, 10.0]
        await resting(at)
        assert (await at.find((await door.accept("3")).id)).summary.state is State.SENDING


@virtual
async def test_a_replayed_key_gives_its_place_back_and_sends_nothing(tmp_path: Path) -> None:
    async with line(tmp_path, ScriptedRelay(capacity=1)) as at:
        await resting(at)
        door = Door(at)
        first = await door.accept(key=Key("k"))
        await at.carried()
        for _ in range(3):
            assert await door.accept(key=Key("k")) == Receipt(first.id, replayed=True)
        assert len(at.relay.asked) == 1
        assert free(at)


@virtual
async def test_a_caller_that_goes_away_takes_no_message_with_it(tmp_path: Path) -> None:
    async with line(tmp_path, ScriptedRelay(capacity=1)) as at:
        await resting(at)
        caller = asyncio.create_task(Door(at).accept())
        await asyncio.sleep(0)
        caller.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await caller
        await asyncio.sleep(1)
        assert len(at.relay.asked) == 1
        assert await at.store.rows("SELECT state FROM message") == [("sent",)]
        assert free(at)


@virtual
async def test_nothing_sets_out_over_an_open_breaker_or_before_what_is_scheduled(tmp_path: Path) -> None:
    async with line(tmp_path, ScriptedRelay()) as at:
        await resting(at)
        door = Door(at)
        later = await door.accept(scheduled_at=now() + 60)
        assert await at.state(later.id) is State.SCHEDULED
        await at.fuse.force(Mode.OPEN, actor="op", note="", until=None)
        waits = await door.accept("2")
        assert await at.state(waits.id) is State.QUEUED
        assert at.relay.asked == []
        await at.fuse.force(Mode.CLOSED, actor="op", note="", until=None)
        await at.carried()


@virtual
async def test_a_breaker_that_opens_meanwhile_has_the_message_given_back_uncounted(tmp_path: Path) -> None:
    async with line(tmp_path, ScriptedRelay()) as at:
        await resting(at)
        door = Door(at)
        accepting = asyncio.create_task(door.accept())
        await asyncio.sleep(0)
        await at.fuse.force(Mode.OPEN, actor="op", note="", until=None)
        receipt = await accepting
        await at.rest()
        assert at.relay.asked == []
        assert await at.state(receipt.id) is State.QUEUED
        assert (await at.find(receipt.id)).summary.attempts == 0
        await at.fuse.force(Mode.CLOSED, actor="op", note="", until=None)
        await at.carried()


@virtual
async def test_stopping_waits_for_what_is_being_stored_and_gives_it_back(tmp_path: Path) -> None:
    async with line(tmp_path, ScriptedRelay()) as at:
        await resting(at)
        accepting = asyncio.create_task(Door(at).accept())
        await asyncio.sleep(0)
        await at.stop()
        receipt = await accepting
        assert at.relay.asked == []
        assert await at.state(receipt.id) is State.QUEUED
        assert at.courier.seat() is None


@virtual
async def test_an_acceptance_that_cannot_be_stored_gives_its_place_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with line(tmp_path, ScriptedRelay(capacity=1)) as at:
        await resting(at)
        assert free(at)

        async def broken(_: object) -> list[Any]:
            raise RuntimeError

        monkeypatch.setattr(at.outbox, "add", broken)
        with pytest.raises(RuntimeError):
            await Door(at).accept()
        assert free(at)


async def test_after_a_crash_what_had_set_out_is_an_open_attempt(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        gone: list[Job] = []
        both = [
            parcel("A", to=("ada@x.test", "bob@x.test"), go=gone.append),
            parcel("B", go=gone.append, on_unknown=OnUnknown.HOLD),
            parcel("C"),
        ]
        await store.outbox.add(both)
        assert [(job.id, job.number, [r.address for r in job.recipients]) for job in gone] == [
            ("A", 1, ["ada@x.test", "bob@x.test"]),
            ("B", 1, ["b@example.com"]),
        ]
        found = await store.outbox.open_jobs()
        assert [(job.id, job.attempt_id, job.recipients, may_be_out) for job, may_be_out in found] == [
            (gone[0].id, gone[0].attempt_id, gone[0].recipients, True),
            (gone[1].id, gone[1].attempt_id, gone[1].recipients, False),
        ]
        assert [await store.states(id) for id in "ABC"] == [[State.SENDING] * 2, [State.SENDING], [State.QUEUED]]
        assert [job.id for job in await store.claim(NOW)] == ["C"]
        (applied,) = await store.outbox.record(gone[1], results(gone[1], SENT), REPORT, NOW)
        assert applied.outcome == SENT
