"""The index of words: filled behind the mail, so that accepting a message costs nothing more."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from typing import NamedTuple

from emailhub.adapters.sqlite.database import Database
from emailhub.adapters.sqlite.writer import Transaction
from emailhub.core.errors import OutboxError

BATCH = 250
"""Messages of one commit, which takes some 3 ms: more would keep mail waiting behind it."""
AT_ONCE = 20
"""Batches before a search that wait for it at most."""

# One statement without a row in Python: it lets go of the interpreter's lock for all of it.
_INDEX = """
INSERT INTO search (rowid, subject, people, sender, tags)
SELECT m.seq, m.subject,
    m.to_header || ' ' || (SELECT group_concat(r.address, ' ') FROM recipient r WHERE r.seq = m.seq),
    m.from_header, (SELECT b.tags FROM body b WHERE b.seq = m.seq)
FROM message m WHERE m.seq > ? AND m.seq <= ? ORDER BY m.seq
"""


class Reach(NamedTuple):
    """How far the index reaches: messages `since` … `until` are in it, of those from `first` to `last`."""

    first: int
    since: int
    until: int
    last: int

    @property
    def behind(self) -> bool:
        """Whether a message that came in lately is not in it."""
        return self.until < self.last

    @property
    def left(self) -> int:
        """How many old ones are not in it yet, at most."""
        return max(self.since - self.first, 0)


def reach(connection: sqlite3.Connection | Transaction) -> Reach:
    """How far the index reaches now."""
    found = connection.execute(
        "SELECT (SELECT min(seq) FROM message), (SELECT max(seq) FROM message), since, until FROM searchable"
    ).fetchone()
    first, last, since, until = found
    return Reach(first or since, since, until, last or 0)


async def index(database: Database) -> bool:
    """Index a batch of what came in since; False when there was nothing. Raises OutboxError."""
    if not (await database.read(reach)).behind:
        return False
    return await database.write(_index)


async def index_older(database: Database) -> bool:
    """Index a batch of what was there before there was an index; False when there was nothing. Raises OutboxError."""
    if not (await database.read(reach)).left:
        return False
    return await database.write(_index_older)


async def catch_up(database: Database) -> None:
    """Index what came in since the last round, as the keeper would in a moment, so that a search finds it.

    An outbox that cannot be written is searched as far as it is indexed.
    """
    with suppress(OutboxError):
        for _ in range(AT_ONCE):
            if not await index(database):
                return


async def left(database: Database) -> int:
    """How many old messages no search finds by their words yet."""
    return await database.read(lambda connection: reach(connection).left)


def forget(tx: Transaction) -> None:
    """After messages were erased: the numbers of the latest are given again when there is nothing after them."""
    tx.execute("UPDATE searchable SET until = min(until, (SELECT coalesce(max(seq), 0) FROM message))")
    tx.execute("UPDATE searchable SET since = min(since, until + 1)")


def _index(tx: Transaction) -> bool:
    # Read again: another search may have done it meanwhile.
    now = reach(tx)
    if not now.behind:
        return False
    until = min(now.until + BATCH, now.last)
    tx.execute(_INDEX, (now.until, until))
    tx.execute("UPDATE searchable SET until = ?", (until,))
    return True


def _index_older(tx: Transaction) -> bool:
    now = reach(tx)
    if not now.left:
        return False
    since = max(now.since - BATCH, now.first)
    tx.execute(_INDEX, (since - 1, now.since - 1))
    tx.execute("UPDATE searchable SET since = ?", (since,))
    return True
