"""Stopping the courier, and what the next start makes of what was being sent."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from emailhub.core.delivery import OnUnknown, Policy, Reason, State
from emailhub.core.judge import judge
from emailhub.core.reply import Reply
from emailhub.core.verdict import Envelope, Progress, Report, Stage
from emailhub.engine.meter import Meter
from emailhub.engine.rescuer import rescue
from tests.support.clock import now, virtual
from tests.support.courier_line import line
from tests.support.factories import Store, opened, parcel
from tests.support.relays import ScriptedRelay, answers, takes

OK = answers(250, "2.0.0 ok")


@virtual
async def test_what_has_not_reached_the_body_is_given_back_at_once(tmp_path: Path) -> None:
    async with line(tmp_path, ScriptedRelay(always=takes(1000, OK, Stage.RCPT))) as at:
        await at.accept("A", "B")
        await asyncio.sleep(1)
        began = now()
        await at.stop(grace=25)
        assert now() == began
        for id in "AB":
            found = await at.find(id)
            assert (found.summary.state, found.summary.reason) == (State.QUEUED, Reason.STOPPED)
            assert found.recipients[0].attempts == 0


@virtual
async def test_what_is_past_the_body_may_finish_within_the_grace(tmp_path: Path) -> None:
    async with line(tmp_path, ScriptedRelay(takes(20, OK))) as at:
        await at.accept("A")
        await asyncio.sleep(1)
        await at.stop(grace=25)
        assert await at.state("A") is State.SENT


@virtual
async def test_what_is_not_finished_after_the_grace_is_unknown(tmp_path: Path) -> None:
    async with line(tmp_path, ScriptedRelay(takes(1000, OK))) as at:
        await at.accept("A")
        await asyncio.sleep(1)
        began = now()
        await at.stop(grace=25)
        assert now() - began == 25
        found = await at.find("A")
        assert (found.summary.state, found.summary.reason) == (State.DEFERRED, Reason.UNKNOWN)
        assert found.recipients[0].attempts == 1


@pytest.mark.parametrize(
    ("body_sent", "state", "reason", "attempts"),
    ((True, State.DEFERRED, Reason.UNKNOWN, 1), (False, State.DEFERRED, Reason.RELAY_TROUBLE, 0)),
)
def test_stopped_in_a_later_transaction_recipients_keep_what_an_earlier_one_settled(
    tmp_path: Path, body_sent: bool, state: State, reason: Reason, attempts: int
) -> None:
    async def second(_: ScriptedRelay, __: Envelope, progress: Progress, ___: object) -> Report:
        progress.settled = {0: judge(Stage.FINAL, Reply(250)), 1: judge(Stage.RCPT, Reply(550, "5.1.1", "no"))}
        progress.body_sent, progress.stage = body_sent, Stage.FINAL if body_sent else Stage.MAIL
        await asyncio.sleep(1000)
        raise AssertionError("never")

    @virtual
    async def story() -> None:
        async with line(tmp_path, ScriptedRelay(second)) as at:
            await at.accept("A", to=("a@x.test", "b@x.test", "c@x.test"))
            await asyncio.sleep(1)
            await at.stop(grace=25)
            ann, bob, cat = (await at.find("A")).recipients
            assert (ann.state, bob.state, cat.state) == (State.SENT, State.FAILED, state)
            assert (cat.reason, cat.attempts) == (reason, attempts)

    story()


@virtual
async def test_a_claim_under_way_while_stopping_is_given_back_and_not_tried(tmp_path: Path) -> None:
    async with line(tmp_path, ScriptedRelay()) as at:
        await asyncio.sleep(1)
        claim = at.outbox.claim

        async def slow(*args: object, **given: object) -> object:
            jobs = await claim(*args, **given)  # type: ignore[arg-type]
            await asyncio.sleep(3)
            return jobs

        at.outbox.claim = slow  # type: ignore[method-assign, assignment]
        await at.accept("A")
        await asyncio.sleep(1)
        await at.stop(grace=25)
        assert at.relay.asked == []
        assert await at.state("A") is State.QUEUED


@virtual
async def test_a_reply_is_recorded_though_the_courier_is_told_to_stop_in_that_moment(tmp_path: Path) -> None:
    async with line(tmp_path, ScriptedRelay(takes(5, OK))) as at:
        await at.accept("A")
        record = at.outbox.record

        async def slow(*args: object) -> bool:
            await asyncio.sleep(3)
            return await record(*args)  # type: ignore[arg-type]

        at.outbox.record = slow  # type: ignore[method-assign, assignment]
        await asyncio.sleep(6)
        await at.stop(grace=0)
        assert await at.state("A") is State.SENT


@virtual
async def test_a_disk_that_stays_full_does_not_keep_the_process_from_ending(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        from emailhub.core.breaker import Rules, Snapshot
        from tests.support.courier_line import Line

        at = Line(store, ScriptedRelay(), Policy(), Rules(), Snapshot())
        at.start()
        at.outbox.full.add("record")
        await at.accept("A")
        await asyncio.sleep(5)
        began = now()
        await at.stop(grace=25)
        assert now() - began <= 1
        assert await at.state("A") is State.SENDING


async def crashed(store: Store, on_unknown: OnUnknown, *, marked: bool) -> None:
    """Message A is being sent when the process goes."""
    await store.outbox.add([parcel("A", on_unknown=on_unknown, accepted_at=now())])
    (job,) = await store.claim(now())
    if marked:
        await store.outbox.mark_body(job, now())


@pytest.mark.parametrize(
    ("on_unknown", "marked", "state", "reason", "attempts"),
    (
        (OnUnknown.RETRY, False, State.DEFERRED, Reason.RESCUED, 1),
        (OnUnknown.HOLD, True, State.HELD, Reason.RESCUED, 1),
        (OnUnknown.FAIL, True, State.FAILED, Reason.RESCUED, 1),
        (OnUnknown.HOLD, False, State.QUEUED, Reason.RESCUED, 0),
        (OnUnknown.FAIL, False, State.QUEUED, Reason.RESCUED, 0),
    ),
)
def test_after_a_crash_the_senders_policy_decides(
    tmp_path: Path, on_unknown: OnUnknown, marked: bool, state: State, reason: Reason, attempts: int
) -> None:
    @virtual
    async def story() -> None:
        async with opened(tmp_path / "hub.db") as store:
            await crashed(store, on_unknown, marked=marked)
        async with opened(tmp_path / "hub.db") as store:
            assert await rescue(store.outbox, policy=Policy(), meter=Meter(), now=now, jitter=lambda: 0.0) == 1
            found = await store.history.find("A")
            recipient = found.recipients[0]
            assert (found.summary.state, recipient.reason, recipient.attempts) == (state, reason, attempts)
            unknowns = await store.rows("SELECT unknowns FROM recipient")
            assert unknowns == [(attempts,)]
            if state is State.DEFERRED:
                assert recipient.due_at == now() + 300
            assert await rescue(store.outbox, policy=Policy(), meter=Meter(), now=now, jitter=lambda: 0.0) == 0

    story()


@virtual
async def test_a_rescued_message_goes_out_again_with_the_same_bytes(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await crashed(store, OnUnknown.RETRY, marked=False)
    async with opened(tmp_path / "hub.db") as store:
        await rescue(store.outbox, policy=Policy(), meter=Meter(), now=now, jitter=lambda: 0.0)
    async with line(tmp_path, ScriptedRelay()) as at:
        await at.carried()
        assert at.relay.asked[0].envelope.content == parcel("A").content
        assert [one.number for one in await at.store.history.attempts("A")] == [1, 2]
