"""Claiming: which messages go next, and opening an attempt for each."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from emailhub.adapters.sqlite import rows
from emailhub.adapters.sqlite.writer import Transaction
from emailhub.core.delivery import OnUnknown, Standing
from emailhub.core.records import Job, JobRecipient

CLAIM_BYTES = 16 * 1024 * 1024
"""Bytes of bodies one claim may load: they stay in memory until their attempts end."""

_JOB_COLUMNS = "seq, id, relay, sender, smtputf8, on_unknown, expires_at, accepted_at, request_id, correlation_id, size"


def claim(tx: Transaction, relay: str, limit: int, now: float, ids: Sequence[str], probe: bool) -> list[Job]:
    """See `SqliteOutbox.claim`."""
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
    attempt_id, number = tx.execute(
        "INSERT INTO attempt (seq, number, relay, started_at) "
        "SELECT ?1, coalesce(max(number), 0) + 1, ?2, ?3 FROM attempt WHERE seq = ?1 RETURNING id, number",
        (seq, row[2], now),
    ).fetchall()[0]
    content = tx.execute("SELECT content FROM body WHERE seq = ?", (seq,)).fetchone()[0]
    tx.execute(
        "UPDATE message SET state = 'sending', due_at = NULL, changed_at = ?1, "
        "waiting_since = coalesce(waiting_since, max(scheduled_at, accepted_at), ?1) WHERE seq = ?2",
        (now, seq),
    )
    tx.tell("sending", now, {"state": "sending", "over": row[2], "number": number}, seq=seq, message=id)
    return _job(row, content, attempt_id, number, recipients)


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


def open_jobs(connection: sqlite3.Connection) -> list[tuple[Job, bool]]:
    """See `SqliteOutbox.open_jobs`."""
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
