"""Jobs over many messages, over the real outbox: what is touched, at what pace, stopped, and after a restart."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from pathlib import Path

import pytest

from emailhub.adapters.sqlite.audit import SqliteAudit
from emailhub.adapters.sqlite.bulk import SqliteBulk
from emailhub.core.audit import AuditFilter
from emailhub.core.bulk import Action, Job, Phase
from emailhub.core.delivery import State
from emailhub.core.errors import JobEnded, NotFound, OutboxError
from emailhub.core.query import parse
from emailhub.core.records import Filter
from emailhub.engine import bulk as engine
from emailhub.engine.bulk import Bulk
from emailhub.engine.desk import Actor
from tests.support.factories import DAY, NOW, REFUSED, SENT, Store, opened, parcel

ANN = Actor("ann", "dashboard", "10.0.0.7")


class Ways:
    """Where mail goes: over the relay `default`, but for senders of nobody's domain."""

    expire_after = DAY

    def ways_for(self, domain: str, relay: str) -> tuple[str, ...]:
        return () if domain == "nobody.test" else ("default",)


class Line:
    """The jobs of a store, the pauses they made, and how often the couriers were woken."""

    def __init__(self, store: Store) -> None:
        self.store = SqliteBulk(store.database)
        self.pauses: list[float] = []
        self.woken = 0
        numbers = itertools.count()
        self.bulk = Bulk(
            self.store,
            Ways(),
            wake=self._wake,
            now=lambda: NOW + 5,
            entropy=lambda size: next(numbers).to_bytes(size),
            sleep=self._sleep,
        )

    def _wake(self) -> None:
        self.woken += 1

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0)

    async def finished(self, job: Job) -> Job:
        """Work until the job is at its end."""
        task = asyncio.create_task(self.bulk.run())
        try:
            while (found := await self.bulk.find(job.id)).phase is Phase.RUNNING:
                pass
            return found
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def failed(store: Store, *ids: str) -> None:
    await store.outbox.add([parcel(id, subject="hello") for id in ids])
    for job in await store.claim(ids=ids, limit=len(ids)):
        await store.finish(job, REFUSED)


async def states(store: Store, ids: str) -> list[State]:
    return [(await store.history.find(id)).summary.state for id in ids]


def asked(text: str) -> Filter:
    return Filter(terms=parse(text, NOW).terms)


async def test_a_job_does_what_it_says_to_all_that_match_and_nothing_else(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await failed(store, "A", "B", "C")
        await store.outbox.add([parcel("D", subject="hello"), parcel("E", subject="other")])
        line = Line(store)
        preview = await line.bulk.preview(asked("hello"))
        assert preview.touched(Action.RETRY) == {State.FAILED: 3}
        assert preview.untouched(Action.RETRY) == {State.QUEUED: 1}
        job = await line.bulk.start(Action.RETRY, asked("hello"), "hello", ANN, reason="fixed")
        assert (job.total, job.left, job.phase) == (3, 3, Phase.RUNNING)
        job = await line.finished(job)
        assert (job.phase, job.done, job.skipped, job.left) == (Phase.DONE, 3, 0, 0)
        assert await states(store, "ABCDE") == [State.QUEUED] * 5
        told = [event for event in store.events if event.kind == "queued"]
        assert [(event.message, event.data["actor"], event.data["note"]) for event in told] == [
            (id, "ann from 10.0.0.7", "fixed") for id in "ABC"
        ]
        assert line.woken > 0


@pytest.mark.parametrize(
    ("action", "ends"),
    (
        (Action.HOLD, (State.HELD, State.HELD, State.SENT, State.HELD)),
        (Action.CANCEL, (State.CANCELED, State.CANCELED, State.SENT, State.CANCELED)),
        (Action.RELEASE, (State.QUEUED, State.QUEUED, State.SENT, State.QUEUED)),
        (Action.RETRY, (State.QUEUED, State.QUEUED, State.SENT, State.QUEUED)),
    ),
)
async def test_each_action_leaves_alone_what_it_does_not_apply_to(
    tmp_path: Path, action: Action, ends: Sequence[State]
) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel(id) for id in "ABCD"])
        (job,) = await store.claim(ids=["C"], limit=1)
        await store.finish(job, SENT)
        await store.verbs.hold("B", now=NOW, actor="op", note="")
        line = Line(store)
        done = await line.finished(await line.bulk.start(action, Filter(), "", ANN))
        assert await states(store, "ABCD") == list(ends)
        touched = {Action.HOLD: 2, Action.CANCEL: 3, Action.RELEASE: 1, Action.RETRY: 1}
        assert (done.total, done.done, done.skipped) == (touched[action], touched[action], 0)


async def test_mail_accepted_after_the_question_is_not_touched(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A")])
        line = Line(store)
        upto = (await line.bulk.preview(Filter())).upto
        await store.outbox.add([parcel("B")])
        job = await line.bulk.start(Action.CANCEL, Filter(), "", ANN, upto=upto)
        await store.outbox.add([parcel("C")])
        await line.finished(job)
        assert await states(store, "ABC") == [State.CANCELED, State.QUEUED, State.QUEUED]


async def test_named_messages_alone_are_touched(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel(id) for id in "ABC"])
        line = Line(store)
        await line.finished(await line.bulk.start(Action.HOLD, Filter(ids=("A", "C", "X")), "", ANN))
        assert await states(store, "ABC") == [State.HELD, State.QUEUED, State.HELD]


async def test_what_cannot_be_done_is_skipped_and_the_last_cause_told(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await failed(store, "A", "B", "C")
        await store.outbox.add([parcel("D", sender="x@nobody.test")])
        await store.verbs.hold("D", now=NOW, actor="op", note="")
        await store.upkeep.erase_bodies(NOW + 1)
        line = Line(store)
        job = await line.finished(await line.bulk.start(Action.RETRY, Filter(), "", ANN))
        assert (job.done, job.skipped) == (0, 4)
        assert "no relay may send for this sender" in job.why
        assert await states(store, "ABCD") == [State.FAILED] * 3 + [State.HELD]


@pytest.mark.parametrize(
    ("pace", "pauses"),
    (
        (None, [0.0]),
        (1.0, [1.0] * 4),
        (10.0, [0.1] * 4),
        (20.0, [0.1] * 2),
        (0.5, [2.0] * 4),
    ),
)
async def test_a_pace_holds_messages_a_second(tmp_path: Path, pace: float | None, pauses: list[float]) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel(id) for id in "ABCD"])
        line = Line(store)
        await line.finished(await line.bulk.start(Action.HOLD, Filter(), "", ANN, pace=pace))
        assert line.pauses == pytest.approx(pauses)


async def test_a_stopped_job_does_no_more_and_says_who_stopped_it(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel(id) for id in "ABCD"])
        line = Line(store)
        job = await line.bulk.start(Action.HOLD, Filter(), "", ANN, pace=1.0)
        pauses = asyncio.Event()

        async def pause(_seconds: float) -> None:
            line.pauses.append(_seconds)
            if len(line.pauses) == 2:
                await line.bulk.stop(job.id, ANN)
                pauses.set()

        line.bulk._sleep = pause
        found = await line.finished(job)
        assert (found.phase, found.done, found.left, found.ended_by) == (Phase.STOPPED, 2, 2, "ann from 10.0.0.7")
        assert await states(store, "ABCD") == [State.HELD] * 2 + [State.QUEUED] * 2
        with pytest.raises(JobEnded):
            await line.bulk.stop(job.id, ANN)
        with pytest.raises(NotFound):
            await line.bulk.stop("X", ANN)


async def test_a_restart_goes_on_where_it_broke_off_and_touches_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "TOGETHER", 1)
    async with opened(tmp_path / "hub.db") as store:
        await failed(store, "A", "B", "C", "D")
        line = Line(store)
        job = await line.bulk.start(Action.RETRY, Filter(), "", ANN)
        (first, second, *_) = await line.store.candidates(job, 10)
        await line.store.step(job.id, [first, second], lambda _: ["default"], NOW, NOW + DAY)
    async with opened(tmp_path / "hub.db") as store:
        line = Line(store)
        (again,) = await store.claim(ids=["A"], limit=1)
        await store.finish(again, REFUSED)
        found = await line.finished(job)
        assert (found.done, found.total) == (4, 4)
        # It was retried by the job before it failed anew: once is what was asked for.
        assert await states(store, "ABCD") == [State.FAILED] + [State.QUEUED] * 3


async def test_jobs_wait_for_each_other(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel(id) for id in "AB"])
        line = Line(store)
        first = await line.bulk.start(Action.HOLD, Filter(), "", ANN)
        second = await line.bulk.start(Action.RELEASE, asked("state:held,queued"), "", ANN)
        await line.finished(second)
        assert (await line.bulk.find(first.id)).phase is Phase.DONE
        assert await states(store, "AB") == [State.QUEUED] * 2
        assert [job.id for job in await line.bulk.latest(5)] == [second.id, first.id]


async def test_an_outbox_in_trouble_halts_a_job_until_it_is_over(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A")])
        line = Line(store)
        job = await line.bulk.start(Action.HOLD, Filter(), "", ANN)
        real, failures = line.store.step, [OutboxError("full"), OutboxError("full")]

        async def step(*given: object) -> Job:
            if failures:
                raise failures.pop()
            return await real(*given)  # type: ignore[arg-type]

        line.store.step = step  # type: ignore[method-assign, assignment]
        assert (await line.finished(job)).phase is Phase.DONE
        assert line.pauses[:2] == [engine.TROUBLE] * 2


async def test_start_and_stop_are_in_the_audit_log(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A")])
        line = Line(store)
        job = await line.bulk.start(Action.HOLD, asked("state:queued"), "state:queued", ANN, reason="wait")
        await line.bulk.stop(job.id, ANN)
        page = await SqliteAudit(store.database).page(AuditFilter(what="bulk"), before=None, after=None, limit=9)
        deeds = [(one.deed.what, one.deed.actor, one.deed.target, one.deed.reason) for one in page.items]
        assert deeds == [("bulk.stop", "ann", job.id, ""), ("bulk.start", "ann", job.id, "wait")]
        assert page.items[1].deed.detail == "hold: 1 messages of state:queued"


async def test_jobs_are_kept_as_long_as_messages(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A")])
        line = Line(store)
        job = await line.bulk.start(Action.HOLD, Filter(), "", ANN)
        await store.upkeep.erase_messages(NOW + DAY)
        assert (await line.finished(job)).done == 1
        await store.upkeep.erase_messages(NOW + DAY)
        assert await line.bulk.latest(5) == ()
