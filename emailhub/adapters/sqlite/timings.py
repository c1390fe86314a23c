"""How long messages took to be sent: counted from what is in the outbox, minute by minute, behind the mail."""

from __future__ import annotations

import math
import sqlite3
from collections import Counter
from collections.abc import Mapping
from typing import TypeAlias

from emailhub.adapters.sqlite.writer import Transaction
from emailhub.core.spread import BOUNDS, Timings, bucket, timing

MINUTE, HOUR = 60, 3600
SETTLED = 10.0
"""Seconds after its end until a minute is counted: what became final in it is committed by then."""
LOOK_BACK = 7 * 86400
"""So far back an outbox that has counted nothing yet begins."""
MINUTES_KEPT = 2 * 86400
TAIL = 5_000
"""Latest messages looked at for the minute that is not counted yet: bounded, whatever a minute brings."""
_COUNTED = "timed_until"
_TOOK = "final_at - max(coalesce(scheduled_at, accepted_at), accepted_at)"
_LADDER = " ".join(f"WHEN took < {bound!r} THEN {number}" for number, bound in enumerate(BOUNDS))
Counts: TypeAlias = Mapping[tuple[int, int], int]
"""Messages by minute and bucket."""


def uncounted(connection: sqlite3.Connection, now: float) -> tuple[int, int] | None:
    """The next stretch of whole minutes to count, at most an hour; None while there is none."""
    done = int(now - SETTLED) // MINUTE * MINUTE
    since = _counted_until(connection)
    if since is None:
        since = _beginning(connection, done)
    if since > done + HOUR:
        # The clock was ahead for a while: without this nothing would be counted until it is there again.
        since = done - MINUTE
    return (since, min(since // HOUR * HOUR + HOUR, done)) if since < done else None


def _counted_until(connection: sqlite3.Connection) -> int | None:
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (_COUNTED,)).fetchone()
    return int(row[0]) if row else None


def _beginning(connection: sqlite3.Connection, done: int) -> int:
    row = connection.execute(
        "SELECT min(final_at) FROM message WHERE final_at IS NOT NULL AND final_at >= ?", (done - LOOK_BACK,)
    ).fetchone()
    return min(int(row[0]) // MINUTE * MINUTE, done) if row[0] is not None else done


def count(connection: sqlite3.Connection, since: int, until: int) -> Counts:
    """Messages that were sent in [since, until), by minute and bucket."""
    found = connection.execute(
        f"SELECT minute, CASE {_LADDER} ELSE {len(BOUNDS)} END AS bucket, count(*) FROM ("  # noqa: S608 - our numbers
        f"SELECT CAST(final_at AS INTEGER) / 60 * 60 AS minute, {_TOOK} AS took "
        "FROM message INDEXED BY message_final WHERE final_at >= ? AND final_at < ? AND state = 'sent') "
        "GROUP BY minute, bucket",
        (since, until),
    )
    return {(row[0], row[1]): row[2] for row in found}


def store(tx: Transaction, counts: Counts, until: int) -> None:
    """Keep `counts`, and that everything before `until` is counted."""
    for (at, number), messages in counts.items():
        for step in (MINUTE, HOUR):
            tx.execute(
                "INSERT INTO timing VALUES (?, ?, ?, ?) "
                "ON CONFLICT DO UPDATE SET messages = messages + excluded.messages",
                (step, at // step * step, number, messages),
            )
    tx.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (_COUNTED, str(until)))
    tx.execute("DELETE FROM timing WHERE step = ? AND at < ?", (MINUTE, until - MINUTES_KEPT))


def timings(connection: sqlite3.Connection, since: float, until: float, step: float) -> Timings:
    """See `SqliteHistory.timings`."""
    width = max(int(step) // MINUTE, 1) * MINUTE
    first = int(since) // width * width
    counts: dict[int, Counter[int]] = {at: Counter() for at in range(first, math.ceil(until), width)}
    for at, number, messages in connection.execute(
        "SELECT at / ?1 * ?1 AS start, bucket, sum(messages) FROM timing "
        "WHERE step = ?2 AND at >= ?3 AND at < ?4 GROUP BY start, bucket",
        (width, HOUR if width % HOUR == 0 else MINUTE, first, until),
    ):
        counts[at][number] += messages
    for final_at, took in _tail(connection, first, until):
        counts[int(final_at) // width * width][bucket(took)] += 1
    whole = sum(counts.values(), Counter[int]())
    return Timings(timing(first, whole), tuple(timing(at, counts[at]) for at in sorted(counts)))


def _tail(connection: sqlite3.Connection, first: int, until: float) -> list[tuple[float, float]]:
    counted = _counted_until(connection)
    return connection.execute(
        # Left to itself SQLite sorts everything that was ever sent.
        f"SELECT final_at, {_TOOK} FROM message INDEXED BY message_final "  # noqa: S608 - our own expression
        "WHERE final_at >= ? AND final_at < ? AND state = 'sent' ORDER BY final_at DESC LIMIT ?",
        (max(first, first if counted is None else counted), until, TAIL),
    ).fetchall()
