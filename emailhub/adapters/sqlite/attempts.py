"""Reading attempts: the SMTP transactions of one message, and the latest of one relay."""

from __future__ import annotations

import sqlite3
from typing import Any

import msgspec

from emailhub.core.records import AttemptRecord, AttemptResult
from emailhub.core.verdict import Line, Session

Row = tuple[Any, ...]

_ATTEMPT = (
    "SELECT m.id, a.id, a.number, a.relay, a.started_at, a.body_at, a.finished_at, a.counted, a.results, a.transcript, "
    "a.session, a.why FROM attempt a JOIN message m ON m.seq = a.seq"
)


def _attempt(row: Row) -> AttemptRecord:
    return AttemptRecord(
        message=row[0],
        id=row[1],
        number=row[2],
        relay=row[3],
        started_at=row[4],
        body_at=row[5],
        finished_at=row[6],
        counted=bool(row[7]),
        results=msgspec.json.decode(row[8], type=tuple[AttemptResult, ...]),
        transcript=msgspec.json.decode(row[9], type=tuple[Line, ...]),
        session=msgspec.json.decode(row[10], type=Session),
        why=row[11],
    )


def of_message(connection: sqlite3.Connection, seq: int) -> tuple[AttemptRecord, ...]:
    """In order, the running one last."""
    found = connection.execute(f"{_ATTEMPT} WHERE a.seq = ? ORDER BY a.number", (seq,))
    return tuple(_attempt(row) for row in found)


def of_relay(connection: sqlite3.Connection, relay: str, limit: int) -> tuple[AttemptRecord, ...]:
    """The latest that have finished, newest first."""
    found = connection.execute(
        f"{_ATTEMPT} WHERE a.relay = ? AND a.finished_at IS NOT NULL ORDER BY a.id DESC LIMIT ?", (relay, limit)
    )
    return tuple(_attempt(row) for row in found)
