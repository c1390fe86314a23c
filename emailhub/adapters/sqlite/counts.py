"""Counting what is in the outbox, for charts and sentences."""

from __future__ import annotations

import math
import sqlite3

from emailhub.core.delivery import State
from emailhub.core.records import Latency, Minute, Totals

LATENCY_SAMPLE = 20_000
"""Messages whose time to send is ranked; enough for a p95, and bounded for a busy hour."""


def totals(connection: sqlite3.Connection) -> Totals:
    by_state = {State(row[0]): row[1] for row in connection.execute("SELECT state, messages FROM tally")}
    oldest = connection.execute("SELECT min(waiting_since) FROM message WHERE waiting_since IS NOT NULL").fetchone()[0]
    return Totals(
        by_state=by_state,
        waiting=by_state[State.QUEUED] + by_state[State.DEFERRED] + by_state[State.SENDING],
        oldest_waiting=oldest,
        scheduled=by_state[State.SCHEDULED],
    )


def minutes(connection: sqlite3.Connection, since: float, until: float, step: float) -> tuple[Minute, ...]:
    width = max(int(step) // 60, 1) * 60
    first = int(since) // width * width
    found = {
        row[0]: Minute(row[0], row[1], row[2], row[3], row[4])
        for row in connection.execute(
            "SELECT at / ?1 * ?1 AS bucket, sum(accepted), sum(sent), sum(deferred), sum(failed) "
            "FROM minute WHERE at >= ?2 AND at < ?3 GROUP BY bucket",
            (width, first, until),
        )
    }
    return tuple(found.get(at, Minute(at)) for at in range(first, math.ceil(until), width))


FAILURES = 5_000
"""Latest failed messages whose reasons are counted: a purge of a hundred thousand must not slow the first page."""


def latency(connection: sqlite3.Connection, since: float) -> Latency:
    took = sorted(
        row[0]
        for row in connection.execute(
            # Left to itself SQLite sorts everything that was ever sent.
            "SELECT final_at - max(coalesce(scheduled_at, accepted_at), accepted_at) FROM message "
            "INDEXED BY message_final WHERE final_at >= ? AND state = 'sent' ORDER BY final_at DESC LIMIT ?",
            (since, LATENCY_SAMPLE),
        )
    )
    if not took:
        return Latency(0, None, None)
    return Latency(len(took), took[len(took) // 2], took[min(len(took) * 95 // 100, len(took) - 1)])


def causes(connection: sqlite3.Connection, since: float, limit: int) -> tuple[tuple[str, int], ...]:
    found = connection.execute(
        "SELECT r.last, count(*) AS n FROM "
        "(SELECT seq, final_at FROM message WHERE state = 'failed' ORDER BY seq DESC LIMIT ?) m "
        "JOIN recipient r ON r.seq = m.seq AND r.state = 'failed' "
        "WHERE m.final_at >= ? GROUP BY r.last ORDER BY n DESC, r.last LIMIT ?",
        (FAILURES, since, limit),
    )
    return tuple((row[0], row[1]) for row in found)


def waiting_at(connection: sqlite3.Connection, relay: str, most: int) -> int:
    """See `SqliteHistory.waiting_at`."""
    # Left to itself SQLite walks through the relay's whole history.
    found = connection.execute(
        "SELECT count(*) FROM (SELECT 1 FROM message INDEXED BY message_due WHERE relay = ? AND due_at IS NOT NULL "
        "AND state IN ('queued', 'deferred') LIMIT ?)",
        (relay, most),
    )
    return int(found.fetchone()[0])
