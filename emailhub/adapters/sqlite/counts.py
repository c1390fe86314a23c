"""Counting what is in the outbox, for charts and sentences."""

from __future__ import annotations

import math
import sqlite3

from emailhub.core.delivery import State
from emailhub.core.figures import Latency, Minute, Totals

LATENCY_SAMPLE = 20_000
"""Messages whose time to send is ranked; enough for a p95, and bounded for a busy hour."""


# The relays that have mail waiting, and then the oldest of each: the first entries of their parts of one index.
_OLDEST = """
WITH RECURSIVE line (relay) AS (
    SELECT min(relay) FROM message INDEXED BY message_waiting WHERE waiting_since IS NOT NULL
    UNION ALL
    SELECT (SELECT min(m.relay) FROM message m INDEXED BY message_waiting
            WHERE m.waiting_since IS NOT NULL AND m.relay > line.relay)
    FROM line WHERE line.relay IS NOT NULL
)
SELECT min((SELECT min(m.waiting_since) FROM message m INDEXED BY message_waiting
            WHERE m.relay = line.relay AND m.waiting_since IS NOT NULL)) FROM line
"""


def totals(connection: sqlite3.Connection) -> Totals:
    by_state = {State(row[0]): row[1] for row in connection.execute("SELECT state, messages FROM tally")}
    oldest = connection.execute(_OLDEST).fetchone()[0]
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


# A message shows what was said to its only recipient.
_CAUSES = """
WITH latest (seq, last, recipients) AS MATERIALIZED (
    SELECT seq, last, recipients FROM message INDEXED BY message_failed
    WHERE state = 'failed' AND final_at >= ? ORDER BY final_at DESC LIMIT ?
)
SELECT last, count(*) AS failures FROM (
    SELECT last FROM latest WHERE recipients = 1
    UNION ALL
    SELECT r.last FROM latest JOIN recipient r ON r.seq = latest.seq AND r.state = 'failed' WHERE latest.recipients > 1
) GROUP BY last ORDER BY failures DESC, last LIMIT ?
"""


def causes(connection: sqlite3.Connection, since: float, limit: int) -> tuple[tuple[str, int], ...]:
    return tuple(connection.execute(_CAUSES, (since, FAILURES, limit)))


# Nothing but the index is read; what is being sent waits no more, and is as much as there are connections.
_WAITING = """
WITH sending (messages) AS (
    SELECT count(*) FROM message INDEXED BY message_state WHERE state = 'sending' AND relay = ?1
)
SELECT count(*) - (SELECT messages FROM sending) FROM (
    SELECT 1 FROM message INDEXED BY message_waiting WHERE relay = ?1 AND waiting_since IS NOT NULL
    LIMIT ?2 + (SELECT messages FROM sending)
)
"""


def waiting_at(connection: sqlite3.Connection, relay: str, most: int) -> int:
    """See `SqliteHistory.waiting_at`."""
    return int(connection.execute(_WAITING, (relay, most)).fetchone()[0])
