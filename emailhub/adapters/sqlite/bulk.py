"""Jobs over many messages in the outbox: what is wanted, how far it is, and a few of them at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import msgspec

from emailhub.adapters.sqlite import narrowing, searching, verbs
from emailhub.adapters.sqlite.database import Database
from emailhub.adapters.sqlite.writer import Transaction
from emailhub.core.bulk import Action, Candidate, Job, Order, Phase, Preview
from emailhub.core.delivery import Outcome, Reason, State, Verb, Wish
from emailhub.core.errors import JobEnded, NotFound, WrongState
from emailhub.core.records import Filter

_JOB = "SELECT id, made_at, phase, wanted, total, done, skipped, at, why, ended_at, ended_by FROM bulk"
Ways = Callable[[Candidate], Sequence[str]]
"""The relays a message may go over, the one that takes it first; raises WrongState when there is none."""


_MANY = 100_000
"""A state with fewer messages is read through for those that have the words, since all of them are counted."""


class SqliteBulk:
    """See `engine.bulk.BulkStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def preview(self, filter: Filter, upto: int | None = None) -> Preview:
        """What `filter` wants now, by state, up to message number `upto`; None: the latest there is."""
        if narrowing.searches_words(filter):
            await searching.catch_up(self._database)
        return await self._database.read(partial(_preview, filter=filter, most=upto))

    async def add(self, id: str, order: Order, total: int, now: float) -> Job:
        """Keep a new job, to be worked on."""
        return await self._database.write(partial(_add, id=id, order=order, total=total, now=now))

    async def find(self, id: str) -> Job:
        """The job as it stands. Raises NotFound."""
        return await self._database.read(partial(_find, id=id))

    async def latest(self, limit: int) -> tuple[Job, ...]:
        """The newest jobs."""
        sql = f"{_JOB} ORDER BY id DESC LIMIT ?"
        return await self._database.read(lambda c: tuple(_job(row) for row in c.execute(sql, (limit,)).fetchall()))

    async def next(self) -> Job | None:
        """The oldest job that is not at its end."""
        sql = f"{_JOB} WHERE phase = 'running' ORDER BY id LIMIT 1"
        return await self._database.read(lambda c: _job(row) if (row := c.execute(sql).fetchone()) else None)

    async def candidates(self, job: Job, limit: int) -> tuple[Candidate, ...]:
        """The next messages the job is about, the oldest first."""
        if narrowing.searches_words(job.order.filter):
            await searching.catch_up(self._database)
        return await self._database.read(partial(_candidates, job=job, limit=limit))

    async def step(self, id: str, some: Sequence[Candidate], ways: Ways, now: float, expires_at: float) -> Job:
        """Do what the job wants to `some` messages, in one commit with how far it is; the job as it stands then.

        One that was stopped meanwhile does nothing.
        """
        work = partial(_step, id=id, some=some, ways=ways, now=now, expires_at=expires_at)
        return await self._database.write(work)

    async def finish(self, id: str, now: float) -> None:
        """Nothing is left to do."""
        await self._database.write(partial(_end, id=id, phase=Phase.DONE, now=now))

    async def stop(self, id: str, actor: str, note: str, now: float) -> Job:
        """Do no more of it. Raises NotFound; JobEnded."""
        return await self._database.write(partial(_stop, id=id, actor=actor, note=note, now=now))


def _job(row: Sequence[Any]) -> Job:
    id, made_at, phase, wanted, total, done, skipped, at, why, ended_at, ended_by = row
    return Job(
        id=id,
        order=msgspec.json.decode(wanted, type=Order),
        phase=Phase(phase),
        made_at=made_at,
        total=total,
        done=done,
        skipped=skipped,
        at=at,
        why=why,
        ended_at=ended_at,
        ended_by=ended_by,
    )


def _find(connection: sqlite3.Connection | Transaction, id: str) -> Job:
    row = connection.execute(f"{_JOB} WHERE id = ?", (id,)).fetchone()
    if row is None:
        raise NotFound("bulk job", id)
    return _job(row)


def _preview(connection: sqlite3.Connection, filter: Filter, most: int | None) -> Preview:
    last = connection.execute("SELECT coalesce(max(seq), 0) FROM message").fetchone()[0]
    upto = last if most is None else min(most, last)
    narrow = narrowing.narrowed(connection, filter, _MANY)
    if narrow.words:
        return Preview(upto, _having_words(connection, narrow.words, upto))
    narrow.and_also(f"{narrow.seq} <= ?", upto)
    found = connection.execute(narrow.select("message.state, count(*)", "GROUP BY message.state"), narrow.given())
    return Preview(upto, {State(state): count for state, count in found})


def _having_words(connection: sqlite3.Connection, words: str, upto: int) -> dict[State, int]:
    """How many messages up to `upto` have the words, by state, without a look at those in the state most are in."""
    (most,) = connection.execute("SELECT state FROM tally ORDER BY messages DESC LIMIT 1").fetchone()
    others = [state.value for state in State if state != most]
    found = connection.execute(
        "SELECT state, count(*) FROM message INDEXED BY message_state "  # noqa: S608 - question marks
        f"WHERE state IN ({', '.join('?' * len(others))}) AND seq <= ? "
        "AND +seq IN (SELECT rowid FROM search WHERE search MATCH ?) GROUP BY state",
        (*others, upto, words),
    )
    counts = {State(state): count for state, count in found}
    sql = "SELECT count(*) FROM search WHERE search MATCH ? AND rowid <= ?"
    (all,) = connection.execute(sql, (words, upto)).fetchone()
    return counts | {State(most): left} if (left := all - sum(counts.values())) else counts


def _candidates(connection: sqlite3.Connection, job: Job, limit: int) -> tuple[Candidate, ...]:
    states = sorted(job.order.action.states)
    narrow = narrowing.narrowed(connection, job.order.filter)
    narrow.and_also(f"{narrow.seq} > ?", job.at)
    narrow.and_also(f"{narrow.seq} <= ?", job.order.upto)
    # Without the + SQLite gathers and sorts all messages in these states for the next few.
    narrow.and_also(f"+message.state IN ({', '.join('?' * len(states))})", *states)
    what, rest = "message.seq, message.id, message.domain, message.relay", f"ORDER BY {narrow.seq} LIMIT ?"
    found = connection.execute(narrow.select(what, rest), narrow.given(limit))
    return tuple(Candidate(*row) for row in found.fetchall())


def _add(tx: Transaction, id: str, order: Order, total: int, now: float) -> Job:
    tx.execute(
        "INSERT INTO bulk (id, made_at, phase, wanted, total) VALUES (?, ?, 'running', ?, ?)",
        (id, now, msgspec.json.encode(order).decode(), total),
    )
    facts = {"bulk": id, "action": order.action.value, "query": order.query, "messages": total}
    tx.tell("bulk_started", now, {**facts, "actor": order.actor, "note": order.reason})
    return _find(tx, id)


def _step(tx: Transaction, id: str, some: Sequence[Candidate], ways: Ways, now: float, expires_at: float) -> Job:
    job = _find(tx, id)
    if job.phase is not Phase.RUNNING:
        return job
    done, why = 0, job.why
    for one in some:
        try:
            _act(tx, job.order, one, ways, now, expires_at)
            done += 1
        except (WrongState, NotFound) as refused:
            # Raised before anything of this message was changed.
            why = str(refused)
    tx.execute(
        "UPDATE bulk SET done = done + ?, skipped = skipped + ?, at = ?, why = ? WHERE id = ?",
        (done, len(some) - done, some[-1].seq, why, id),
    )
    return _find(tx, id)


def _act(tx: Transaction, order: Order, one: Candidate, ways: Ways, now: float, expires_at: float) -> None:
    signed = {"actor": order.actor, "note": order.reason}
    match order.action:
        case Action.RETRY | Action.RELEASE:
            verbs.retry(tx, one.id, ways(one), now, expires_at, **signed)
        case Action.HOLD:
            verbs.stop(tx, one.id, Outcome(Verb.HOLD, State.HELD, Reason.OPERATOR), Wish.HOLD, now, **signed)
        case Action.CANCEL:
            verbs.stop(tx, one.id, Outcome(Verb.CANCEL, State.CANCELED, Reason.OPERATOR), Wish.CANCEL, now, **signed)


def _stop(tx: Transaction, id: str, actor: str, note: str, now: float) -> Job:
    job = _find(tx, id)
    if job.phase is not Phase.RUNNING:
        raise JobEnded(id, job.phase.value)
    _end(tx, id, Phase.STOPPED, now, actor)
    facts = {"bulk": id, "action": job.order.action.value, "messages": job.done}
    tx.tell("bulk_stopped", now, {**facts, "actor": actor, "note": note})
    return _find(tx, id)


def _end(tx: Transaction, id: str, phase: Phase, now: float, actor: str = "") -> None:
    changed = tx.execute(
        "UPDATE bulk SET phase = ?, ended_at = ?, ended_by = ? WHERE id = ? AND phase = 'running'",
        (phase.value, now, actor, id),
    ).rowcount
    if changed and phase is Phase.DONE:
        tx.tell("bulk_done", now, {"bulk": id})
