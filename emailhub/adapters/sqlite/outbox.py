"""The durable queue: every verb is one guarded transaction."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from functools import partial

from emailhub.adapters.sqlite import adding, claims, recording
from emailhub.adapters.sqlite.database import Database
from emailhub.core.claiming import ANY, Claimed, Terms
from emailhub.core.delivery import Outcome, Reason, State, Verb
from emailhub.core.errors import IdempotencyConflict, OutboxError
from emailhub.core.records import Job, Parcel, Receipt, Result
from emailhub.core.verdict import Report, Stage


def _nobody_counts(_recipients: int) -> None: ...


def _as_told(now: float) -> float:
    return now


class SqliteOutbox:
    """Accept, claim, record. `dead_letters` says whether failed recipients are to be published.

    `suppress_refused`, which may be changed while it runs: addresses that turn out to take no mail at all go on the
    suppression list; `withheld` gets the number of recipients that are suppressed by that. `sure(now)` is the time by
    which mail expires: before `now` while that is not to be believed.
    """

    def __init__(
        self,
        database: Database,
        *,
        dead_letters: bool,
        suppress_refused: bool = False,
        withheld: Callable[[int], None] = _nobody_counts,
        sure: Callable[[float], float] = _as_told,
    ) -> None:
        self._database = database
        self._dead_letters = dead_letters
        self.suppress_refused = suppress_refused
        self._withheld = withheld
        self._sure = sure

    async def add(self, parcels: Sequence[Parcel]) -> list[Receipt | Exception]:
        """Store each parcel, or answer with the receipt it already has, or IdempotencyConflict or OutboxError."""
        try:
            writes = [self._database.write_one(adding.add, one, weight=adding.weight(one)) for one in parcels]
        except OutboxError as closed:
            return [closed] * len(parcels)
        if len(writes) == 1:
            return [await _answer(writes[0])]
        answers = await asyncio.gather(*writes, return_exceptions=True)
        return [answer for answer in answers if isinstance(answer, Receipt | Exception)]

    async def add_all(self, parcels: Sequence[Parcel]) -> list[Receipt]:
        """Store the parcels in one commit, or none of them. Raises BatchRefused, OutboxError."""
        size = sum(map(adding.weight, parcels))
        return await self._database.write(partial(adding.add_all, parcels=parcels), weight=size)

    async def known(self, key: str, fingerprint: bytes, since: float = 0.0) -> Receipt | IdempotencyConflict | None:
        """What a message with this key and content would be answered; None: nothing is known under the key `since`."""
        return await self._database.read(partial(_known, key=key, fingerprint=fingerprint, since=since))

    async def claim(
        self,
        relay: str,
        *,
        limit: int,
        now: float,
        ids: Sequence[str] = (),
        probe: bool = False,
        terms: Terms = ANY,
    ) -> Claimed:
        """Open an attempt for up to `limit` messages that are due; `ids` (untouched ones only) go before the rest.

        `probe`: of those due first the one that met the least relay trouble. What `terms` do not allow stays, is put
        off or moved, in the same commit.
        """
        alive = self._sure(now)
        return await self._database.write(
            partial(claims.claim, relay=relay, limit=limit, now=now, alive=alive, ids=ids, probe=probe, terms=terms)
        )

    async def mark_body(self, job: Job, now: float) -> None:
        """Record that the body is about to go: from here on a crash leaves the outcome unknown."""
        mark = "UPDATE attempt SET body_at = ? WHERE id = ? AND finished_at IS NULL"
        await self._database.write(lambda tx: tx.execute(mark, (now, job.attempt_id)).rowcount)

    async def record(self, job: Job, results: Sequence[Result], report: Report, now: float) -> tuple[Result, ...]:
        """Apply what an attempt found out; the results as applied, which a wish made meanwhile may have changed.

        Empty: the attempt was closed before, nothing was changed.
        """
        ended = recording.Ended(
            job, results, report, now, self._dead_letters, self._withheld if self.suppress_refused else None
        )
        return await self._database.write_one(recording.record, ended)

    async def release(self, job: Job, reason: Reason, now: float) -> tuple[Result, ...]:
        """Give a claimed message back, no attempt used: nothing that could deliver it was sent. Returns as `record`."""
        outcome = Outcome(Verb.RELEASE, State.QUEUED, reason, now, costs=False)
        results = [Result(r.id, outcome, "released", Stage.CONNECT, f"given back: {reason}") for r in job.recipients]
        return await self.record(job, results, Report(()), now)

    async def next_due(self, relay: str) -> float | None:
        """When the next message of `relay` is due (maybe past), None when none waits."""
        return await self._database.read(partial(_next_due, relay=relay))

    async def open_jobs(self) -> list[tuple[Job, bool]]:
        """The attempts a crash left open, and whether their body may have gone out."""
        return await self._database.read(claims.open_jobs)


async def _answer(write: asyncio.Future[Receipt]) -> Receipt | Exception:
    try:
        return await write
    except Exception as error:  # noqa: BLE001 - the caller is told of each parcel by itself
        return error


def _known(
    connection: sqlite3.Connection, key: str, fingerprint: bytes, since: float
) -> Receipt | IdempotencyConflict | None:
    select = "SELECT fingerprint, id FROM idempotency_key WHERE key = ? AND created_at >= ?"
    row = connection.execute(select, (key, since)).fetchone()
    if row is None:
        return None
    return Receipt(row[1], replayed=True) if row[0] == fingerprint else IdempotencyConflict(key, row[1])


_NEXT_DUE = """SELECT
    (SELECT min(due_at) FROM message WHERE relay = ?1 AND priority = 0 AND due_at IS NOT NULL),
    (SELECT min(due_at) FROM message WHERE relay = ?1 AND priority = 1 AND due_at IS NOT NULL),
    (SELECT min(due_at) FROM message WHERE relay = ?1 AND priority = 2 AND due_at IS NOT NULL)"""
"""For each priority the end of an index."""


def _next_due(connection: sqlite3.Connection, relay: str) -> float | None:
    return min((due for due in connection.execute(_NEXT_DUE, (relay,)).fetchone() if due is not None), default=None)
