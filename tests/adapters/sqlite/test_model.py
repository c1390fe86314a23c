"""Random verbs in random order against a small model: the outbox and a dictionary must always agree."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from emailhub.adapters.sqlite.putting_forward import SqlitePutOff
from emailhub.core.delivery import CLAIMABLE, FINAL, OnUnknown, Outcome, Policy, Reason, State, Verb, Wish, summarize
from emailhub.core.errors import WrongState
from emailhub.core.records import Job
from emailhub.core.suppression import Listing
from emailhub.engine.findings import rescued
from tests.support.factories import DAY, NOW, REFUSED, REPORT, SENT, Store, deferred, opened, parcel, results

HELD = Outcome(Verb.HOLD, State.HELD, Reason.UNKNOWN)
ENDINGS = ("sent", "refused", "transient", "trouble", "unknown", "held")
WISHES = {Wish.CANCEL: State.CANCELED, Wish.HOLD: State.HELD, Wish.EXPIRE: State.FAILED}


class Model:
    """What the outbox should hold: per recipient a state, when due, attempts used, and a wish."""

    def __init__(self) -> None:
        self.messages: dict[str, list[Recipient]] = {}
        self.expires: dict[str, float] = {}
        self.accepted: dict[str, float] = {}
        self.scheduled: dict[str, float] = {}
        self.stays_unknown: dict[str, bool] = {}
        """Whether a crash leaves the outcome unknown before the body was marked."""
        self.marked: set[int] = set()
        self.jobs: list[Job] = []
        self.closed: list[Job] = []
        self.listed: set[str] = set()
        self.now = NOW

    def ended(self, job: Job, outcomes: Sequence[Outcome]) -> None:
        """The attempt is over, for each of its recipients with one of `outcomes`."""
        sending = [one for one in self.messages[job.id] if one.state is State.SENDING]
        for one, outcome in zip(sending, outcomes, strict=False):
            one.go(outcome.to, outcome.due_at, costs=outcome.costs)
        self.closed.append(job)

    def is_due(self, id: str) -> bool:
        recipients = self.messages[id]
        return (
            not any(one.state is State.SENDING for one in recipients)
            and any(one.due_at is not None and one.due_at <= self.now for one in recipients)
            and self.expires[id] > self.now
        )

    def is_fresh(self, id: str) -> bool:
        """Whether nobody has tried it, and it waits only for its turn."""
        recipients = self.messages[id]
        return (
            summarize(one.state for one in recipients) is State.QUEUED
            and not any(one.attempts for one in recipients)
            and self.expires[id] > self.now
        )

    def among(self, *states: State) -> bool:
        """Whether somebody is in one of these states."""
        return any(one.state in states for one in self.everyone())

    def everyone(self) -> list[Recipient]:
        return [recipient for recipients in self.messages.values() for recipient in recipients]


class Recipient:
    """One recipient of the model."""

    def __init__(self, address: str, state: State, due_at: float, listed: set[str]) -> None:
        self.address = address
        self.listed = listed
        self.state = state
        self.due_at: float | None = due_at
        self.attempts = 0
        self.wish: Wish | None = None

    def go(self, state: State, due_at: float | None = None, *, costs: bool = False) -> None:
        if state is not State.SENT and self.wish is not None:
            state, due_at = WISHES[self.wish], None
        if self.address in self.listed and state not in FINAL:
            state, due_at = State.SUPPRESSED, None
        self.state, self.due_at, self.wish = state, due_at, None
        self.attempts += costs


async def accept(model: Model, store: Store, recipients: int, delay: int, on_unknown: OnUnknown) -> None:
    id = f"M{len(model.messages):03}"
    at = model.now + delay if delay else None
    to = tuple(f"r{number}@x.test" for number in range(recipients))
    until = model.now + 500.0
    one = parcel(id, to=to, accepted_at=model.now, scheduled_at=at, expires_at=until, on_unknown=on_unknown)
    await store.outbox.add([one])
    state = State.SCHEDULED if delay else State.QUEUED
    model.messages[id] = [Recipient(address, state, at or model.now, model.listed) for address in to]
    for one in model.messages[id]:
        one.go(state, at or model.now)
    model.expires[id] = until
    model.accepted[id] = model.now
    model.stays_unknown[id] = on_unknown is OnUnknown.RETRY
    if at is not None:
        model.scheduled[id] = at


async def hand_off(model: Model, store: Store, picks: list[int]) -> None:
    """Fresh messages are claimed by id, also before they are due by themselves, and what is due besides."""
    ids = [sorted(model.messages)[pick % len(model.messages)] for pick in picks] if model.messages else []
    fresh = {id for id in ids if model.is_fresh(id)}
    due = {id for id in model.messages if model.is_due(id)}
    jobs = await store.claim(model.now, ids=ids)
    assert {job.id for job in jobs} == fresh | due
    for job in jobs:
        goes = [
            one
            for one in model.messages[job.id]
            if one.state in CLAIMABLE and one.due_at is not None and (job.id in fresh or one.due_at <= model.now)
        ]
        assert len(job.recipients) == len(goes)
        for one in goes:
            one.state, one.due_at = State.SENDING, None
    model.jobs += jobs


async def reschedule(model: Model, store: Store, pick: int, delay: int) -> None:
    if not model.messages:
        return
    id = sorted(model.messages)[pick % len(model.messages)]
    moved = [one for one in model.messages[id] if one.state is State.SCHEDULED]
    at = model.now + delay
    try:
        await store.verbs.reschedule(id, at=at, now=model.now, actor="op", note="")
    except WrongState:
        assert not moved
        return
    for one in moved:
        one.go(State.SCHEDULED, at)
    model.expires[id] += at - max(model.scheduled[id], model.accepted[id])
    model.scheduled[id] = at


async def mark_body(model: Model, store: Store, pick: int) -> None:
    if model.jobs:
        job = model.jobs[pick % len(model.jobs)]
        await store.outbox.mark_body(job, model.now)
        model.marked.add(job.attempt_id)


async def set_back(model: Model, store: Store, seconds: int) -> None:
    """The clock of the wall was: what was put off is put forward, what is scheduled stays."""
    model.now -= seconds
    await SqlitePutOff(store.database).put_forward(float(seconds), model.now)
    for id, recipients in model.messages.items():
        if summarize(one.state for one in recipients) in FINAL | {State.SCHEDULED}:
            continue
        for one in recipients:
            if one.state in (State.QUEUED, State.DEFERRED) and one.due_at is not None and one.due_at > model.now:
                one.due_at = max(one.due_at - seconds, model.now)
        if model.accepted[id] > model.now and id not in model.scheduled:
            model.expires[id] -= seconds


async def claim(model: Model, store: Store, limit: int) -> None:
    jobs = await store.claim(model.now, limit=limit)
    due = {id for id in model.messages if model.is_due(id)}
    assert {job.id for job in jobs} <= due
    assert len(jobs) == min(limit, len(due))
    for job in jobs:
        wanted = [one for one in model.messages[job.id] if one.due_at is not None and one.due_at <= model.now]
        assert len(job.recipients) == len(wanted)
        for one in wanted:
            assert one.state in CLAIMABLE
            one.state, one.due_at = State.SENDING, None
    model.jobs += jobs


async def end(model: Model, store: Store, pick: int, endings: list[str]) -> None:
    """An attempt ends, for each recipient in its own way."""
    if not model.jobs:
        return
    job = model.jobs.pop(pick % len(model.jobs))
    later = model.now + 7.0
    meant = {
        "sent": SENT,
        "refused": REFUSED,
        "transient": deferred(later),
        "trouble": deferred(later, Reason.RELAY_TROUBLE),
        "unknown": deferred(later, Reason.UNKNOWN),
        "held": HELD,
    }
    outcomes = [meant[ending] for ending in endings[: len(job.recipients)]]
    assert await store.outbox.record(job, results(job, *outcomes), REPORT, model.now)
    model.ended(job, outcomes)


async def late(model: Model, store: Store, pick: int) -> None:
    if model.closed:
        job = model.closed[pick % len(model.closed)]
        assert not await store.outbox.record(job, results(job, SENT), REPORT, model.now)


async def release(model: Model, store: Store, pick: int) -> None:
    if not model.jobs:
        return
    job = model.jobs.pop(pick % len(model.jobs))
    assert await store.outbox.release(job, Reason.STOPPED, model.now)
    model.ended(job, [Outcome(Verb.RELEASE, State.QUEUED, Reason.STOPPED, model.now, costs=False)] * 3)


async def stop(model: Model, store: Store, pick: int, wish: Wish) -> None:
    if not model.messages:
        return
    id = sorted(model.messages)[pick % len(model.messages)]
    to = WISHES[wish]
    allowed = CLAIMABLE if wish is Wish.HOLD else CLAIMABLE | {State.HELD}
    moved = [one for one in model.messages[id] if one.state in allowed]
    sending = [one for one in model.messages[id] if one.state is State.SENDING]
    verb = store.verbs.hold if wish is Wish.HOLD else store.verbs.cancel
    try:
        await verb(id, now=model.now, actor="op", note="")
    except WrongState:
        assert not moved
        assert not sending
        return
    assert moved or sending
    for one in moved:
        one.go(to)
    for one in sending:
        one.wish = wish


async def retry(model: Model, store: Store, pick: int) -> None:
    if not model.messages:
        return
    id = sorted(model.messages)[pick % len(model.messages)]
    over = (State.FAILED, State.CANCELED, State.SUPPRESSED)
    ended = [one for one in model.messages[id] if one.state in over and one.address not in model.listed]
    moved = ended + [one for one in model.messages[id] if one.state in (State.DEFERRED, State.HELD)]
    until = model.now + DAY
    try:
        await store.verbs.retry(id, relays=["default"], now=model.now, expires_at=until, actor="op", note="")
    except WrongState:
        assert not moved
        return
    for one in moved:
        if one in ended:
            one.attempts = 0
        one.go(State.QUEUED, model.now)
    if ended:
        model.expires[id] = max(model.expires[id], until)


async def suppress(model: Model, store: Store, number: int) -> None:
    address = f"r{number}@x.test"
    await store.suppressions.add([Listing(address.upper())], now=model.now, face="http", actor="op")
    model.listed.add(address)
    for one in model.everyone():
        if one.address == address and one.state not in FINAL | {State.SENDING}:
            one.go(State.SUPPRESSED)


async def lift(model: Model, store: Store, number: int) -> None:
    address = f"r{number}@x.test"
    lifted = await store.suppressions.lift([address], now=model.now, face="http", actor="op", note="")
    assert [one.address for one in lifted] == [address] * (address in model.listed)
    model.listed.discard(address)


async def expire(model: Model, store: Store) -> None:
    await store.verbs.expire(model.now)
    for id, recipients in model.messages.items():
        if model.expires[id] > model.now:
            continue
        for one in recipients:
            if one.state is State.SENDING:
                one.wish = one.wish or Wish.EXPIRE
            elif one.state not in FINAL:
                one.go(State.FAILED)


async def recover(model: Model, store: Store) -> None:
    """The next process finds the open attempts: unknown where the body may have gone out, queued again elsewhere."""
    found = await store.outbox.open_jobs()
    assert {job.attempt_id: may_be_out for job, may_be_out in found} == {
        job.attempt_id: model.stays_unknown[job.id] or job.attempt_id in model.marked for job in model.jobs
    }
    model.jobs.clear()
    for job, may_be_out in found:
        if may_be_out:
            told = rescued(job, policy=Policy(), now=model.now, jitter=lambda: 0.0)
            assert await store.outbox.record(job, told, REPORT, model.now)
            model.ended(job, [result.outcome for result in told])
        else:
            assert await store.outbox.release(job, Reason.RESCUED, model.now)
            model.ended(job, [Outcome(Verb.RELEASE, State.QUEUED, Reason.RESCUED, model.now, costs=False)] * 3)


async def agree(model: Model, store: Store) -> None:
    """The outbox says what the model says, and what it derives from that is right."""
    rows = await store.rows(
        "SELECT m.id, r.state, r.due_at, r.attempts, r.wish FROM recipient r JOIN message m ON m.seq = r.seq "
        "ORDER BY r.id"
    )
    expected = [
        (id, one.state.value, one.due_at, one.attempts, one.wish.value if one.wish else None)
        for id, recipients in model.messages.items()
        for one in recipients
    ]
    assert rows == expected
    shown = await store.rows("SELECT id, state, due_at, expires_at, final_at, waiting_since FROM message ORDER BY seq")
    for id, state, due_at, expires_at, final_at, waiting_since in shown:
        recipients = model.messages[id]
        summary = summarize(one.state for one in recipients)
        assert state == summary
        dues = [one.due_at for one in recipients if one.due_at is not None]
        assert due_at == (None if summary is State.SENDING else min(dues, default=None))
        assert expires_at == model.expires[id]
        assert (final_at is not None) == (summary in FINAL)
        assert (waiting_since is not None) == (summary in (State.QUEUED, State.SENDING, State.DEFERRED))
    totals = await store.history.totals()
    counted = Counter(summarize(one.state for one in recipients) for recipients in model.messages.values())
    assert {state: count for state, count in totals.by_state.items() if count} == counted
    opened = await store.rows("SELECT seq, count(*) FROM attempt WHERE finished_at IS NULL GROUP BY seq")
    assert [count for _, count in opened] == [1] * len(model.jobs)
    ids = [event.id for event in store.events]
    assert ids == list(range(1, len(ids) + 1))


picks = st.integers(0, 50)
endings = st.lists(st.sampled_from(ENDINGS), min_size=3, max_size=3)


class AnyOrder(RuleBasedStateMachine):
    """Every verb in any order, on a real database; after each the outbox says what the model says."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.open = AsyncExitStack()
        self.model = Model()
        self.sent: set[tuple[str, int]] = set()
        self.set_back = 0
        self.runner.run(self._open())

    async def _open(self) -> None:
        self.store = await self.open.enter_async_context(opened(Path(self.folder.name) / "hub.db"))

    def teardown(self) -> None:
        self.runner.run(self.open.aclose())
        self.runner.close()
        self.folder.cleanup()

    def do(self, verb: Callable[..., Awaitable[None]], *arguments: object) -> None:
        async def done() -> None:
            await verb(self.model, self.store, *arguments)

        self.runner.run(done())

    @initialize(given=st.lists(st.tuples(st.integers(1, 3), st.sampled_from((0, 0, 20))), min_size=2, max_size=4))
    def begin(self, given: list[tuple[int, int]]) -> None:
        for recipients, delay in given:
            self.do(accept, recipients, delay, OnUnknown.RETRY)

    @rule(seconds=st.integers(1, 200))
    def time_passes(self, seconds: int) -> None:
        self.model.now += seconds

    @precondition(lambda self: self.set_back < 3 and self.model.among(State.QUEUED, State.DEFERRED))
    @rule(seconds=st.integers(61, 4000))
    def clock_is_set_back(self, seconds: int) -> None:
        self.set_back += 1
        self.do(set_back, seconds)

    @rule(recipients=st.integers(1, 3), delay=st.sampled_from((0, 0, 20)), on_unknown=st.sampled_from(OnUnknown))
    def accept(self, recipients: int, delay: int, on_unknown: OnUnknown) -> None:
        self.do(accept, recipients, delay, on_unknown)

    @precondition(lambda self: any(map(self.model.is_due, self.model.messages)))
    @rule(limit=st.integers(1, 4))
    def claim(self, limit: int) -> None:
        self.do(claim, limit)

    @precondition(lambda self: any(map(self.model.is_fresh, self.model.messages)))
    @rule(picks=st.lists(picks, min_size=1, max_size=3))
    def hand_off(self, picks: list[int]) -> None:
        self.do(hand_off, picks)

    @precondition(lambda self: self.model.jobs)
    @rule(pick=picks)
    def mark_body(self, pick: int) -> None:
        self.do(mark_body, pick)

    @precondition(lambda self: self.model.jobs)
    @rule(pick=picks, endings=endings)
    def record(self, pick: int, endings: list[str]) -> None:
        self.do(end, pick, endings)

    @precondition(lambda self: self.model.closed)
    @rule(pick=picks)
    def record_too_late(self, pick: int) -> None:
        self.do(late, pick)

    @precondition(lambda self: self.model.jobs)
    @rule(pick=picks)
    def release(self, pick: int) -> None:
        self.do(release, pick)

    @precondition(lambda self: self.model.among(State.QUEUED, State.SENDING, State.DEFERRED))
    @rule(pick=picks, wish=st.sampled_from((Wish.CANCEL, Wish.HOLD)))
    def cancel_or_hold(self, pick: int, wish: Wish) -> None:
        self.do(stop, pick, wish)

    @precondition(
        lambda self: self.model.among(State.FAILED, State.CANCELED, State.SUPPRESSED, State.DEFERRED, State.HELD)
    )
    @rule(pick=picks)
    def retry(self, pick: int) -> None:
        self.do(retry, pick)

    @precondition(lambda self: self.model.among(State.SCHEDULED))
    @rule(pick=picks, delay=st.integers(1, 100))
    def reschedule(self, pick: int, delay: int) -> None:
        self.do(reschedule, pick, delay)

    @precondition(lambda self: len(self.model.listed) < 2)
    @rule(number=st.integers(0, 2))
    def suppress(self, number: int) -> None:
        self.do(suppress, number)

    @precondition(lambda self: self.model.listed)
    @rule(number=st.integers(0, 2))
    def lift(self, number: int) -> None:
        self.do(lift, number)

    @precondition(lambda self: any(until <= self.model.now for until in self.model.expires.values()))
    @rule()
    def expire(self) -> None:
        self.do(expire)

    @precondition(lambda self: self.model.jobs)
    @rule()
    def crash_and_recover(self) -> None:
        """The file is opened anew, by a process that knows nothing but what it says."""
        self.runner.run(self.open.aclose())
        events = self.store.events
        self.runner.run(self._open())
        self.store.events[:0] = events
        self.do(recover)

    @invariant()
    def the_outbox_agrees_with_the_model(self) -> None:
        self.do(agree)

    @invariant()
    def sent_stays_sent(self) -> None:
        sent = {
            (id, number)
            for id, recipients in self.model.messages.items()
            for number, one in enumerate(recipients)
            if one.state is State.SENT
        }
        assert self.sent <= sent
        self.sent = sent


def _agrees(examples: int, steps: int) -> None:
    slow = [HealthCheck.too_slow]
    how = settings(max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=slow)
    run_state_machine_as_test(AnyOrder, settings=how)


@pytest.mark.timeout(600)  # to find the shortest story that fails takes minutes
def test_the_outbox_agrees_with_the_model_after_every_verb() -> None:
    _agrees(60, 40)


@pytest.mark.nightly
@pytest.mark.timeout(1800)
def test_the_outbox_agrees_with_the_model_for_long() -> None:
    _agrees(500, 80)
