"""After the clock was set back: what was put off must not wait for a time that is hours or days away."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import partial

from emailhub.adapters.sqlite import many
from emailhub.adapters.sqlite.database import Database
from emailhub.adapters.sqlite.writer import Transaction

BATCH = 1000
"""Messages changed in one commit: other writes wait meanwhile."""

_RECIPIENTS = (
    "UPDATE recipient SET due_at = max(due_at - ?1, ?2) WHERE state IN ('queued', 'deferred') AND due_at > ?2 AND seq"
)
_MESSAGES = (
    "UPDATE message SET due_at = (SELECT min(due_at) FROM recipient r WHERE r.seq = message.seq) "
    "WHERE due_at IS NOT NULL AND seq"
)
# Accepted while the clock was ahead, so it was to live from then on; what is scheduled goes by the calendar.
_LIVES = "UPDATE message SET expires_at = expires_at - ?1 WHERE accepted_at > ?2 AND scheduled_at IS NULL AND seq"
_WAITS = "UPDATE message SET waiting_since = ?1 WHERE waiting_since > ?1 AND seq"


class SqlitePutOff:
    """The outbox, as far as it knows times to come."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def last_told(self) -> float | None:
        """When the last event was told, by the clock as it was then; None: nothing has happened yet."""

        def ask(connection: sqlite3.Connection) -> float | None:
            row = connection.execute("SELECT at FROM event ORDER BY id DESC LIMIT 1").fetchone()
            return float(row[0]) if row else None

        return await self._database.read(ask)

    async def put_forward(self, seconds: float, now: float) -> int:
        """Let everything queued or deferred to after `now` be due so many `seconds` sooner; how many messages.

        What is scheduled stays: it goes by the calendar. Told as the event `clock_set_back`. Raises OutboxError.
        """
        found = await self._database.read(_unfinished)
        moved = 0
        for start in range(0, len(found), BATCH):
            work = partial(_put_forward, seqs=found[start : start + BATCH], seconds=seconds, now=now)
            moved += await self._database.write(work)
        facts = {"seconds": round(seconds), "messages": moved}
        await self._database.write(lambda tx: tx.tell("clock_set_back", now, facts))
        return moved


def _unfinished(connection: sqlite3.Connection) -> list[int]:
    found = connection.execute("SELECT seq FROM message WHERE final_at IS NULL AND state <> 'scheduled' ORDER BY seq")
    return [seq for (seq,) in found]


def _put_forward(tx: Transaction, seqs: Sequence[int], seconds: float, now: float) -> int:
    moved = many.among(tx, _RECIPIENTS, seqs, "RETURNING seq", given=(seconds, now))
    many.among(tx, _MESSAGES, seqs)
    many.among(tx, _LIVES, seqs, given=(seconds, now))
    many.among(tx, _WAITS, seqs, given=(now,))
    return len({seq for (seq,) in moved})
