"""Random verbs in random order against a small model: the outbox and a dictionary must always agree."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emailhub.core.delivery import CLAIMABLE, FINAL, Outcome, Reason, State, Verb, Wish, summarize
from emailhub.core.errors import WrongState
from emailhub.core.records import Job
from emailhub.core.suppression import Listing
from tests.support.factories import DAY, NOW, REFUSED, REPORT, SENT, Store, deferred, opened, parcel, results

HELD = Outcome(Verb.HOLD, State.HELD, Reason.UNKNOWN)
ENDINGS = ("sent", "refused", "transient", "trouble", "unknown", "held")
WISHES = {Wish.CANCEL: State.CANCELED, Wish.HOLD: State.HELD, Wish.EXPIRE: State.FAILED}


class Model:
    """What the outbox should hold: per recipient a state, when due, attempts used, and a wish."""

    def __init__(self) -> None:
        self.messages: dict[str, list[Recipient]] = {}
        self.expires: dict[str, float] = {}
        self.jobs: list[Job] = []
        self.closed: list[Job] = []
        self.listed: set[str] = set()
        self.now = NOW

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


async def accept(model: Model, store: Store, recipients: int, delay: int) -> None:
    id = f"M{len(model.messages):03}"
    at = model.now + delay if delay else None
    to = tuple(f"r{number}@x.test" for number in range(recipients))
    one = parcel(id, to=to, accepted_at=model.now, scheduled_at=at, expires_at=model.now + 500.0)
    await store.outbox.add([one])
    state = State.SCHEDULED if delay else State.QUEUED
    model.messages[id] = [Recipient(address, state, at or model.now, model.listed) for address in to]
    for one in model.messages[id]:
        one.go(state, at or model.now)
    model.expires[id] = model.now + 500.0


async def claim(model: Model, store: Store, limit: int) -> None:
    jobs = await store.claim(model.now, limit=limit)
    due = {
        id
        for id, recipients in model.messages.items()
        if not any(one.state is State.SENDING for one in recipients)
        and any(one.due_at is not None and one.due_at <= model.now for one in recipients)
        and model.expires[id] > model.now
    }
    assert {job.id for job in jobs} <= due
    assert len(jobs) == min(limit, len(due))
    for job in jobs:
        wanted = [one for one in model.messages[job.id] if one.due_at is not None and one.due_at <= model.now]
        assert len(job.recipients) == len(wanted)
        for one in wanted:
            assert one.state in CLAIMABLE
            one.state, one.due_at = State.SENDING, None
    model.jobs += jobs


async def end(model: Model, store: Store, pick: int, ending: str) -> None:
    if not model.jobs:
        return
    job = model.jobs.pop(pick % len(model.jobs))
    later = model.now + 7.0
    outcome = {
        "sent": SENT,
        "refused": REFUSED,
        "transient": deferred(later),
        "trouble": deferred(later, Reason.RELAY_TROUBLE),
        "unknown": deferred(later, Reason.UNKNOWN),
        "held": HELD,
    }[ending]
    assert await store.outbox.record(job, results(job, outcome), REPORT, model.now)
    for one in model.messages[job.id]:
        if one.state is State.SENDING:
            one.go(outcome.to, outcome.due_at, costs=outcome.costs)
    model.closed.append(job)


async def late(model: Model, store: Store, pick: int) -> None:
    if model.closed:
        job = model.closed[pick % len(model.closed)]
        assert not await store.outbox.record(job, results(job, SENT), REPORT, model.now)


async def release(model: Model, store: Store, pick: int) -> None:
    if not model.jobs:
        return
    job = model.jobs.pop(pick % len(model.jobs))
    assert await store.outbox.release(job, Reason.STOPPED, model.now)
    for one in model.messages[job.id]:
        if one.state is State.SENDING:
            one.go(State.QUEUED, model.now)
    model.closed.append(job)


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
        model.expires[id] = until


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


async def crash(model: Model, store: Store) -> None:
    """The process goes: the next one finds the open attempts, and treats all as put off."""
    open_jobs = [job for job, _ in await store.outbox.open_jobs()]
    assert {job.attempt_id for job in open_jobs} == {job.attempt_id for job in model.jobs}
    model.jobs = open_jobs
    while model.jobs:
        await end(model, store, 0, "unknown")


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
steps = st.one_of(
    st.tuples(st.just(accept), st.integers(1, 3), st.sampled_from((0, 0, 20))),
    st.tuples(st.just(claim), st.integers(1, 4)),
    st.tuples(st.just(end), picks, st.sampled_from(ENDINGS)),
    st.tuples(st.just(late), picks),
    st.tuples(st.just(release), picks),
    st.tuples(st.just(stop), picks, st.sampled_from((Wish.CANCEL, Wish.HOLD))),
    st.tuples(st.just(retry), picks),
    st.tuples(st.just(suppress), st.integers(0, 2)),
    st.tuples(st.just(lift), st.integers(0, 2)),
    st.tuples(st.just(expire)),
    st.tuples(st.just(crash)),
    st.integers(1, 200),
)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(steps, min_size=5, max_size=40))
def test_the_outbox_agrees_with_the_model_after_every_verb(story: list[object]) -> None:
    async def play() -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with opened(Path(folder) / "hub.db") as store:
                model = Model()
                final: dict[str, list[State]] = {}
                for step in story:
                    if isinstance(step, int):
                        model.now += step
                        continue
                    verb, *arguments = step  # type: ignore[misc]
                    await verb(model, store, *arguments)
                    await agree(model, store)
                    for id, recipients in model.messages.items():
                        states = [one.state for one in recipients]
                        before = final.get(id, states)
                        pairs = zip(before, states, strict=True)
                        assert all(new is State.SENT for old, new in pairs if old is State.SENT)
                        final[id] = states

    asyncio.run(play())
