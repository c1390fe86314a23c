"""The durable queue: every verb is one guarded transaction."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from functools import partial

import msgspec
from msgspec.structs import replace

from emailhub.adapters.sqlite import claims, rows
from emailhub.adapters.sqlite.database import Database
from emailhub.adapters.sqlite.writer import Transaction
from emailhub.core.delivery import Outcome, Reason, State, Verb, Wish
from emailhub.core.errors import IdempotencyConflict
from emailhub.core.records import AttemptResult, Job, Parcel, Receipt, Result, Scalar
from emailhub.core.verdict import Report, Stage

_encode = msgspec.json.Encoder().encode


class SqliteOutbox:
    """Accept, claim, record. `dead_letters` says whether failed recipients are to be published."""

    def __init__(self, database: Database, *, dead_letters: bool) -> None:
        self._database = database
        self._dead_letters = dead_letters

    async def add(self, parcels: Sequence[Parcel]) -> list[Receipt | Exception]:
        """Store each parcel, or answer with the receipt it already has, or IdempotencyConflict or OutboxError."""
        writes = (self._database.write(partial(_add, parcel=p), weight=_weight(p)) for p in parcels)
        answers = await asyncio.gather(*writes, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, Exception):
                raise answer
        return [answer for answer in answers if isinstance(answer, Receipt | Exception)]

    async def claim(
        self, relay: str, *, limit: int, now: float, ids: Sequence[str] = (), probe: bool = False
    ) -> list[Job]:
        """Open an attempt for up to `limit` messages that are due; `ids` (untouched ones only) go before the rest."""
        return await self._database.write(
            partial(claims.claim, relay=relay, limit=limit, now=now, ids=ids, probe=probe)
        )

    async def mark_body(self, job: Job, now: float) -> None:
        """Record that the body is about to go: from here on a crash leaves the outcome unknown."""
        mark = "UPDATE attempt SET body_at = ? WHERE id = ? AND finished_at IS NULL"
        await self._database.write(lambda tx: tx.execute(mark, (now, job.attempt_id)).rowcount)

    async def record(self, job: Job, results: Sequence[Result], report: Report, now: float) -> tuple[Result, ...]:
        """Apply what an attempt found out; the results as applied, which a wish made meanwhile may have changed.

        Empty: the attempt was closed before, nothing was changed.
        """
        return await self._database.write(
            partial(_record, job=job, results=results, report=report, now=now, bury=self._dead_letters)
        )

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


def _add(tx: Transaction, parcel: Parcel) -> Receipt:
    if parcel.key is not None:
        known = _known(tx, parcel, parcel.key)
        if known is not None:
            return known
    if parcel.companion is not None:
        # First, so that the newest message of its request id is the one that goes out.
        _store(tx, parcel.companion, {"companion": parcel.id})
    _store(tx, parcel, {"companion": parcel.companion.id} if parcel.companion is not None else {})
    return Receipt(parcel.id)


def _store(tx: Transaction, parcel: Parcel, more: dict[str, Scalar]) -> None:
    seq = _insert_message(tx, parcel)
    _insert_recipients(tx, parcel, seq)
    tx.count(parcel.accepted_at, "accepted")
    facts: dict[str, Scalar] = {
        "state": _first_state(parcel).value,
        "face": parcel.origin.face,
        "detail": parcel.origin.detail,
        "recipients": _count(parcel),
        **more,
    }
    if parcel.note:
        facts["text"] = parcel.note
    if parcel.diverted:
        facts["diverted"] = len(parcel.diverted)
    tx.tell("accepted", parcel.accepted_at, facts, seq=seq, message=parcel.id)


def _weight(parcel: Parcel) -> int:
    return len(parcel.content) * (1 if parcel.companion is None else 2)


def _known(tx: Transaction, parcel: Parcel, key: str) -> Receipt | None:
    """The receipt of the message that is stored under `key` already; None: the key is this message's now."""
    row = (parcel.fingerprint, parcel.key_explicit, parcel.id, parcel.accepted_at)
    if not tx.execute(f"{_KEEP_KEY} DO NOTHING", (key, *row)).rowcount:
        fingerprint, id, created_at = tx.execute(
            "SELECT fingerprint, id, created_at FROM idempotency_key WHERE key = ?", (key,)
        ).fetchone()
        if parcel.key_matches and created_at >= parcel.key_since:
            if fingerprint != parcel.fingerprint:
                raise IdempotencyConflict(key, id)
            return Receipt(id, replayed=True)
        tx.execute(f"{_KEEP_KEY} {_TAKE_KEY}", (key, *row))
    return None


_KEEP_KEY = (
    "INSERT INTO idempotency_key (key, fingerprint, explicit, id, created_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT (key)"
)
_TAKE_KEY = (
    "DO UPDATE SET fingerprint = excluded.fingerprint, explicit = excluded.explicit, id = excluded.id, "
    "created_at = excluded.created_at"
)


def _first_state(parcel: Parcel) -> State:
    return State.SCHEDULED if parcel.scheduled_at is not None else State.QUEUED


def _count(parcel: Parcel) -> int:
    return len(parcel.to) + len(parcel.cc) + len(parcel.bcc)


_INSERT_MESSAGE = """
INSERT INTO message (id, message_id, relay, state, reason, due_at, priority, on_unknown, accepted_at, scheduled_at,
    expires_at, changed_at, waiting_since, face, origin, correlation_id, request_id, sender, from_header, to_header,
    recipients, subject, size, smtputf8, diverted)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
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
            parcel.accepted_at if parcel.scheduled_at is None else None,
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
            _encode(parcel.diverted).decode() if parcel.diverted else "",
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


_SENDING = """
SELECT r.id, r.address, r.wish, m.recipients FROM attempt a
JOIN message m ON m.seq = a.seq LEFT JOIN recipient r ON r.seq = a.seq AND r.state = 'sending'
WHERE a.id = ? AND a.finished_at IS NULL
"""


def _record(
    tx: Transaction, job: Job, results: Sequence[Result], report: Report, now: float, bury: bool
) -> tuple[Result, ...]:
    # The attempt's row is the fencing token: a late result of an attempt that was closed meanwhile must not end the
    # one that runs now.
    found = tx.execute(_SENDING, (job.attempt_id,)).fetchall()
    if not found:
        return ()
    sending = {row[0]: rows.Sending(row[0], row[1], Wish(row[2]) if row[2] else None) for row in found}
    ended = [result for result in results if result.recipient_id in sending]
    changes = [rows.end_attempt(tx, sending[one.recipient_id], one.outcome, one.text, now) for one in ended]
    kept = [_kept(result, change) for result, change in zip(ended, changes, strict=True)]
    _close_attempt(tx, job, kept, report, now, any(change.outcome.costs for change in changes))
    facts: dict[str, Scalar] = {"over": job.relay, "number": job.number}
    rows.settle(tx, job.seq, job.id, changes, now, facts, bury=bury, all_changed=len(changes) == found[0][3])
    return tuple(replace(result, outcome=change.outcome) for result, change in zip(ended, changes, strict=True))


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
