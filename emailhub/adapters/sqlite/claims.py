"""Claiming: which messages go next, and opening an attempt for each."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from emailhub.adapters.sqlite import many, rows
from emailhub.adapters.sqlite.writer import Transaction
from emailhub.core.delivery import OnUnknown, Standing
from emailhub.core.records import Job, JobRecipient

CLAIM_BYTES = 16 * 1024 * 1024
"""Bytes of bodies one claim may load: they stay in memory until their attempts end."""

_JOB_COLUMNS = "seq, id, relay, sender, smtputf8, on_unknown, expires_at, accepted_at, request_id, correlation_id, size"


def claim(tx: Transaction, relay: str, limit: int, now: float, ids: Sequence[str], probe: bool) -> list[Job]:
    """See `SqliteOutbox.claim`."""
    chosen: list[tuple[tuple[Any, ...], bool]] = []
    loaded = 0
    for row, fresh in _candidates(tx, relay, limit, now, ids, probe):
        loaded += row[10]
        if chosen and loaded > CLAIM_BYTES:
            break
        chosen.append((row, fresh))
    return _open(tx, chosen, now)


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


_TAKE = "UPDATE recipient SET state = 'sending', due_at = NULL, changed_at = ?1 WHERE seq"
_TAKEN = f"""AND state IN ({rows.CLAIMABLE_SQL}) {{}}
    RETURNING seq, id, address, attempts, troubles, unknowns, troubled_at"""
_CARRIED = "SELECT seq, max(number) FROM attempt WHERE seq"
_ATTEMPT = "INSERT INTO attempt (id, seq, number, relay, started_at)"
_SENDING = """UPDATE message SET state = 'sending', due_at = NULL, changed_at = ?1,
    waiting_since = coalesce(waiting_since, max(scheduled_at, accepted_at), ?1) WHERE seq"""


def _open(tx: Transaction, chosen: Sequence[tuple[tuple[Any, ...], bool]], now: float) -> list[Job]:
    """Open an attempt for each chosen message of which a recipient may go; with `True` also before it is due."""
    taken: dict[int, list[tuple[Any, ...]]] = {}
    for early, until in ((True, ""), (False, "AND due_at <= ?1")):
        seqs = [row[0] for row, fresh in chosen if fresh is early]
        for seq, *recipient in many.among(tx, _TAKE, seqs, _TAKEN.format(until), given=(now,)):
            taken.setdefault(seq, []).append(tuple(recipient))
    opened = [row for row, _ in chosen if row[0] in taken]
    seqs = [row[0] for row in opened]
    numbers = dict(many.among(tx, _CARRIED, seqs, "GROUP BY seq"))
    ids = dict(enumerate(opened, many.next_id(tx, "attempt", "id")))
    many.insert(tx, _ATTEMPT, [(id, row[0], numbers.get(row[0], 0) + 1, row[2], now) for id, row in ids.items()])
    many.among(tx, _SENDING, seqs, given=(now,))
    contents = dict(many.among(tx, "SELECT seq, content FROM body WHERE seq", seqs))
    jobs = []
    for id, row in ids.items():
        number = numbers.get(row[0], 0) + 1
        tx.tell("sending", now, {"state": "sending", "over": row[2], "number": number}, seq=row[0], message=row[1])
        jobs.append(_job(row, contents[row[0]], id, number, sorted(taken[row[0]])))
    return jobs


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
