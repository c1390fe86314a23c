"""The durable queue: every verb is one guarded transaction."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec

from emailhub.adapters.sqlite import rows
from emailhub.adapters.sqlite.database import Database
from emailhub.adapters.sqlite.writer import Transaction
from emailhub.core.delivery import OnUnknown, Outcome, Reason, Standing, State, Verb
from emailhub.core.errors import IdempotencyConflict
from emailhub.core.records import AttemptResult, Job, JobRecipient, Parcel, Receipt, Result, Scalar
from emailhub.core.verdict import Report, Stage

CLAIM_BYTES = 16 * 1024 * 1024
"""Bytes of bodies one claim may load: they stay in memory until their attempts end."""
_encode = msgspec.json.Encoder().encode


class SqliteOutbox:
    """Accept, claim, record. `dead_letters` says whether failed recipients are to be published."""

    def __init__(self, database: Database, *, dead_letters: bool) -> None:
        self._database = database
        self._dead_letters = dead_letters

    async def add(self, parcels: Sequence[Parcel]) -> list[Receipt | Exception]:
        """Store each parcel, or answer with the receipt it already has, or IdempotencyConflict or OutboxError."""
        writes = (self._database.write(partial(_add, parcel=p), weight=len(p.content)) for p in parcels)
        answers = await asyncio.gather(*writes, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, Exception):
                raise answer
        return [answer for answer in answers if isinstance(answer, Receipt | Exception)]

    async def claim(
        self, relay: str, *, limit: int, now: float, ids: Sequence[str] = (), probe: bool = False
    ) -> list[Job]:
        """Open an attempt for up to `limit` messages that are due; `ids` (untouched ones only) go before the rest."""
        return await self._database.write(partial(_claim, relay=relay, limit=limit, now=now, ids=ids, probe=probe))

    async def mark_body(self, job: Job, now: float) -> None:
        """Record that the body is about to go: from here on a crash leaves the outcome unknown."""
        await self._database.write(
            lambda tx: tx.execute("UPDATE attempt SET body_at = ? WHERE id = ?", (now, job.attempt_id)).rowcount
        )

    async def record(self, job: Job, results: Sequence[Result], report: Report, now: float) -> bool:
        """Apply what an attempt found out. False: the attempt was closed before, nothing was changed."""
        return await self._database.write(
            partial(_record, job=job, results=results, report=report, now=now, bury=self._dead_letters)
        )

    async def release(self, job: Job, reason: Reason, now: float) -> bool:
        """Give a claimed message back, no attempt used, because nothing that could deliver it was sent."""
        outcome = Outcome(Verb.RELEASE, State.QUEUED, reason, now, costs=False)
        results = [Result(r.id, outcome, "released", Stage.CONNECT, f"given back: {reason}") for r in job.recipients]
        return await self.record(job, results, Report(()), now)

    async def next_due(self, relay: str) -> float | None:
        """When the next message of `relay` is due (maybe past), None when none waits."""
        return await self._database.read(partial(_next_due, relay=relay))

    async def open_jobs(self) -> list[tuple[Job, bool]]:
        """The attempts a crash left open, and whether their body may have gone out."""
        return await self._database.read(_open_jobs)


def _add(tx: Transaction, parcel: Parcel) -> Receipt:
    if parcel.key is not None:
        known = _known(tx, parcel, parcel.key)
        if known is not None:
            return known
    seq = _insert_message(tx, parcel)
    _insert_recipients(tx, parcel, seq)
    rows.count_minute(tx, parcel.accepted_at, Counter(accepted=1))
    facts: dict[str, Scalar] = {
        "state": _first_state(parcel).value,
        "face": parcel.origin.face,
        "detail": parcel.origin.detail,
        "recipients": _count(parcel),
    }
    tx.tell("accepted", parcel.accepted_at, facts, seq=seq, message=parcel.id)
    return Receipt(parcel.id)


def _known(tx: Transaction, parcel: Parcel, key: str) -> Receipt | None:
    row = tx.execute("SELECT fingerprint, id FROM idempotency_key WHERE key = ?", (key,)).fetchone()
    if row is not None and parcel.key_matches:
        if row[0] != parcel.fingerprint:
            raise IdempotencyConflict(key, row[1])
        return Receipt(row[1], replayed=True)
    tx.execute(
        "INSERT OR REPLACE INTO idempotency_key (key, fingerprint, explicit, id, created_at) VALUES (?, ?, ?, ?, ?)",
        (key, parcel.fingerprint, parcel.key_explicit, parcel.id, parcel.accepted_at),
    )
    return None


def _first_state(parcel: Parcel) -> State:
    return State.SCHEDULED if parcel.scheduled_at is not None else State.QUEUED


def _count(parcel: Parcel) -> int:
    return len(parcel.to) + len(parcel.cc) + len(parcel.bcc)


_INSERT_MESSAGE = """
INSERT INTO message (id, message_id, relay, state, reason, due_at, priority, on_unknown, accepted_at, scheduled_at,
    expires_at, changed_at, face, origin, correlation_id, request_id, sender, from_header, to_header, recipients,
    subject, size, smtputf8)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


def _insert_message(tx: Transaction, parcel: Parcel) -> int:
    seq = tx.execute(
        _INSERT_MESSAGE,
        (
            parcel.id,
            parcel.message_id,
            parcel.relay,
            _first_state(parcel).value,
            Reason.ACCEPTED.value,
            parcel.due_at,
            int(parcel.priority),
            parcel.on_unknown.value,
            parcel.accepted_at,
            parcel.scheduled_at,
            parcel.expires_at,
            parcel.accepted_at,
            parcel.origin.face,
            parcel.origin.detail,
            parcel.origin.correlation_id,
            parcel.request_id,
            parcel.sender,
            parcel.from_header,
            parcel.to_header,
            _count(parcel),
            parcel.subject,
            len(parcel.content),
            int(parcel.smtputf8),
        ),
    ).lastrowid
    assert seq is not None
    tx.execute(
        "INSERT INTO body (seq, content, queue_body, snippet, tags, metadata) VALUES (?, ?, ?, ?, ?, ?)",
        (
            seq,
            parcel.content,
            parcel.queue_body,
            parcel.snippet,
            _encode(parcel.tags).decode(),
            _encode(parcel.metadata).decode(),
        ),
    )
    return seq


def _insert_recipients(tx: Transaction, parcel: Parcel, seq: int) -> None:
    state = _first_state(parcel).value
    kinds = (("to", parcel.to), ("cc", parcel.cc), ("bcc", parcel.bcc))
    for kind, addresses in kinds:
        for address in addresses:
            tx.execute(
                "INSERT INTO recipient (seq, address, kind, state, reason, due_at, changed_at) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (seq, address, kind, state, Reason.ACCEPTED.value, parcel.due_at, parcel.accepted_at),
            )


_JOB_COLUMNS = "seq, id, relay, sender, smtputf8, on_unknown, expires_at, accepted_at, request_id, correlation_id, size"


def _claim(tx: Transaction, relay: str, limit: int, now: float, ids: Sequence[str], probe: bool) -> list[Job]:
    jobs: list[Job] = []
    loaded = 0
    for row, fresh in _candidates(tx, relay, limit, now, ids, probe):
        loaded += row[10]
        if jobs and loaded > CLAIM_BYTES:
            break
        job = _open(tx, row, now, fresh)
        if job is not None:
            jobs.append(job)
    return jobs


def _candidates(
    tx: Transaction, relay: str, limit: int, now: float, ids: Sequence[str], probe: bool
) -> list[tuple[tuple[Any, ...], bool]]:
    """Rows to claim with whether they were handed off (those may be claimed before they are due by themselves)."""
    if probe:
        row = tx.execute(
            f"SELECT {_JOB_COLUMNS} FROM message WHERE relay = ?1 AND due_at <= ?2 AND expires_at > ?2 "  # noqa: S608
            "ORDER BY troubles, priority, due_at LIMIT 1",
            (relay, now),
        ).fetchone()
        return [(row, False)] if row else []
    found: list[tuple[tuple[Any, ...], bool]] = []
    seen: set[int] = set()
    for id in ids[:limit]:
        row = tx.execute(
            f"SELECT {_JOB_COLUMNS} FROM message "  # noqa: S608
            "WHERE id = ? AND relay = ? AND state = 'queued' AND attempts = 0 AND due_at IS NOT NULL "
            "AND expires_at > ?",
            (id, relay, now),
        ).fetchone()
        if row and row[0] not in seen:
            seen.add(row[0])
            found.append((row, True))
    for priority in (0, 1, 2):
        if len(found) >= limit:
            break
        due = tx.execute(
            f"SELECT {_JOB_COLUMNS} FROM message "  # noqa: S608
            "WHERE relay = ?1 AND priority = ?2 AND due_at <= ?3 AND expires_at > ?3 ORDER BY due_at LIMIT ?4",
            (relay, priority, now, limit),
        ).fetchall()
        found.extend((row, False) for row in due if row[0] not in seen)
    return found[:limit]


def _open(tx: Transaction, row: tuple[Any, ...], now: float, fresh: bool) -> Job | None:
    seq, id = row[0], row[1]
    until = "" if fresh else "AND due_at <= ?2"
    recipients = tx.execute(
        "UPDATE recipient SET state = 'sending', due_at = NULL, changed_at = ?2 "  # noqa: S608
        f"WHERE seq = ?1 AND state IN ({rows.CLAIMABLE_SQL}) {until} "
        "RETURNING id, address, attempts, troubles, unknowns, troubled_at",
        (seq, now),
    ).fetchall()
    if not recipients:
        return None
    number = tx.execute("SELECT coalesce(max(number), 0) + 1 FROM attempt WHERE seq = ?", (seq,)).fetchone()[0]
    attempt_id = tx.execute(
        "INSERT INTO attempt (seq, number, relay, started_at) VALUES (?, ?, ?, ?)", (seq, number, row[2], now)
    ).lastrowid
    content = tx.execute("SELECT content FROM body WHERE seq = ?", (seq,)).fetchone()[0]
    tx.execute("UPDATE message SET state = 'sending', due_at = NULL, changed_at = ? WHERE seq = ?", (now, seq))
    tx.tell("sending", now, {"state": "sending", "over": row[2], "number": number}, seq=seq, message=id)
    return _job(row, content, attempt_id or 0, number, recipients)


def _job(
    row: tuple[Any, ...], content: bytes, attempt_id: int, number: int, recipients: Sequence[tuple[Any, ...]]
) -> Job:
    seq, id, relay, sender, smtputf8, on_unknown, expires_at, accepted_at, request_id, correlation_id, _ = row
    return Job(
        id,
        seq,
        attempt_id,
        number,
        relay,
        sender,
        content,
        bool(smtputf8),
        OnUnknown(on_unknown),
        expires_at,
        accepted_at,
        request_id,
        correlation_id,
        tuple(JobRecipient(r[0], r[1], Standing(r[2], r[3], r[4]), r[5]) for r in recipients),
    )


def _record(tx: Transaction, job: Job, results: Sequence[Result], report: Report, now: float, bury: bool) -> bool:
    # The attempt's row is the fencing token: a late result of an attempt that was closed meanwhile must not end the
    # one that runs now.
    if not tx.execute("SELECT 1 FROM attempt WHERE id = ? AND finished_at IS NULL", (job.attempt_id,)).fetchone():
        return False
    changes = []
    kept = []
    for result in results:
        change = rows.end_attempt(tx, result.recipient_id, result.outcome, result.text, now)
        if change is None:
            continue
        changes.append(change)
        kept.append(_kept(result, change))
    _close_attempt(tx, job, kept, report, now, any(c.outcome.costs for c in changes))
    rows.settle(tx, job.seq, job.id, changes, now, {"over": job.relay, "number": job.number}, bury=bury)
    return True


def _kept(result: Result, change: rows.Change) -> AttemptResult:
    reply = result.reply
    return AttemptResult(
        change.address,
        result.kind,
        result.stage,
        result.text,
        change.outcome.to,
        reply.code if reply else None,
        reply.enhanced if reply else "",
    )


def _close_attempt(
    tx: Transaction, job: Job, kept: Sequence[AttemptResult], report: Report, now: float, counted: bool
) -> None:
    tx.execute(
        "UPDATE attempt SET finished_at = ?, counted = ?, results = ?, transcript = ?, session = ? WHERE id = ?",
        (
            now,
            int(counted),
            _encode(kept).decode(),
            _encode(report.transcript).decode(),
            _encode(report.session).decode(),
            job.attempt_id,
        ),
    )


def _next_due(connection: sqlite3.Connection, relay: str) -> float | None:
    found = [
        connection.execute(
            "SELECT min(due_at) FROM message WHERE relay = ? AND priority = ? AND due_at IS NOT NULL", (relay, priority)
        ).fetchone()[0]
        for priority in (0, 1, 2)
    ]
    return min((due for due in found if due is not None), default=None)


def _open_jobs(connection: sqlite3.Connection) -> list[tuple[Job, bool]]:
    found = connection.execute(
        f"SELECT {', '.join('m.' + name.strip() for name in _JOB_COLUMNS.split(','))}, "  # noqa: S608
        "a.id, a.number, a.body_at FROM attempt a JOIN message m ON m.seq = a.seq WHERE a.finished_at IS NULL"
    ).fetchall()
    jobs = []
    for row in found:
        recipients = connection.execute(
            "SELECT id, address, attempts, troubles, unknowns, troubled_at FROM recipient "
            "WHERE seq = ? AND state = 'sending'",
            (row[0],),
        ).fetchall()
        on_unknown = OnUnknown(row[5])
        may_be_out = on_unknown is OnUnknown.RETRY or row[13] is not None
        jobs.append((_job(row[:11], b"", row[11], row[12], recipients), may_be_out))
    return jobs
