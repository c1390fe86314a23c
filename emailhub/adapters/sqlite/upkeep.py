"""What keeps the file in order: erasing what has been kept long enough, dead letters, breakers, identity, backup."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import msgspec

from emailhub.adapters.sqlite import letters, rows, searching, timings
from emailhub.adapters.sqlite.database import Database
from emailhub.adapters.sqlite.writer import Transaction
from emailhub.core.breaker import Snapshot
from emailhub.core.records import DeadLetter, Scalar

PRUNE_BATCH = 500
"""Rows erased in one commit: more would keep mail waiting behind the clean-up."""
PAGES_GIVEN_BACK = 2000
"""Pages returned to the disk in one commit, and how many must be free for it to be worth while."""


class SqliteUpkeep:
    """Keeping, publishing, remembering."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # Whose body was erased already is skipped by time: looking at each of a million would take seconds.
        self._erased_until = 0.0

    async def erase_bodies(self, before: float) -> int:
        """Erase the content of messages that were final `before`; returns how many (at most PRUNE_BATCH)."""
        found = await self._database.read(partial(_old_bodies, since=self._erased_until, before=before))
        erased = await self._database.write(partial(_erase_bodies, found=[seq for seq, _ in found], before=before))
        if found:
            self._erased_until = found[-1][1]
        return erased

    async def erase_messages(self, before: float) -> int:
        """Erase messages that were final `before`, with all that belongs to them; at most PRUNE_BATCH."""
        return await self._database.write(partial(_erase_messages, before=before))

    async def erase_keys(self, before: float) -> int:
        """Free idempotency keys older than `before` whose message was final `before` too (or is gone)."""
        return await self._database.write(partial(_erase_keys, before=before))

    async def erase_audit(self, before: float) -> int:
        """Erase entries of the audit log older than `before`; returns how many (at most PRUNE_BATCH)."""
        sql = "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < ? ORDER BY at LIMIT ?)"
        return await self._database.write(lambda tx: tx.execute(sql, (before, PRUNE_BATCH)).rowcount)

    async def erase_letters(self, *, bodies: float, all: float) -> int:
        """Erase bodies of dead letters of the queue that were settled before `bodies`, and those that came before
        `all` or are more than there may be (see `letters`); returns how many."""
        found = await self._database.read(partial(letters.outlived, bodies=bodies, all=all))
        return await self._database.write(partial(letters.erase, found=found)) if any(found) else 0

    async def empty_log(self) -> bool:
        """Move the log beside the file into it and empty it, when something was erased that it still holds.

        The pages of the file are overwritten by erasing; the log keeps what they held until it is begun anew. False:
        somebody reads just now, it is to be tried again.
        """
        marks = await self._database.read(lambda c: c.execute("SELECT value FROM meta WHERE key = 'erased'").fetchone())
        if marks is None:
            return True
        if not await self._database.empty_log():
            return False
        # Unless more was erased meanwhile.
        await self._database.write(
            lambda tx: tx.execute("DELETE FROM meta WHERE key = 'erased' AND value = ?", marks).rowcount
        )
        return True

    async def give_back(self, *, worth: int = PAGES_GIVEN_BACK) -> int:
        """Return at most PAGES_GIVEN_BACK free pages to the disk when more than `worth` are free; how many still are.

        0 also when it was not worth it.
        """
        return await self._database.write(_give_back_later) if await self._free_pages() > worth else 0

    async def count_times(self, now: float) -> bool:
        """Count how long messages took that were sent in minutes that are over, an hour of them at most; False: none.

        Counted from the messages themselves, so that sending them costs nothing more.
        """
        span = await self._database.read(partial(timings.uncounted, now=now))
        if span is None:
            return False
        since, until = span
        counts = await self._database.read(partial(timings.count, since=since, until=until))
        await self._database.write(partial(timings.store, counts=counts, until=until))
        return True

    async def index(self) -> bool:
        """Make a batch of messages findable by their words, new ones first; False: all are."""
        return await searching.index(self._database) or await searching.index_older(self._database)

    async def _free_pages(self) -> int:
        return await self._database.read(lambda c: int(c.execute("PRAGMA freelist_count").fetchone()[0]))

    async def bury(self, dead: Sequence[DeadLetter]) -> None:
        """Keep what could not be read, to be published and to be looked at; one commit. Their `id` is not used."""
        await self._database.write(partial(_bury, dead=dead), weight=2 * sum(len(one.body) for one in dead))

    async def pending_letters(self, limit: int) -> list[DeadLetter]:
        """The oldest dead letters RabbitMQ does not have yet."""
        return await self._database.read(partial(_pending_letters, limit=limit))

    async def confirm_letter(self, letter: DeadLetter, now: float) -> None:
        """RabbitMQ has it: the row goes, the fact stays as an event of its message."""
        await self._database.write(partial(_confirm_letter, letter=letter, now=now))

    async def load_breaker(self, relay: str) -> Snapshot | None:
        """The breaker as last saved."""

        def ask(connection: sqlite3.Connection) -> Snapshot | None:
            row = connection.execute("SELECT snapshot FROM breaker WHERE relay = ?", (relay,)).fetchone()
            return msgspec.json.decode(row[0], type=Snapshot) if row else None

        return await self._database.read(ask)

    async def save_breaker(
        self, relay: str, snapshot: Snapshot, now: float, event: str | None, data: Mapping[str, Scalar]
    ) -> None:
        """Keep the breaker; `event` names what to tell (None: nothing worth telling, e.g. one more failure)."""

        def work(tx: Transaction) -> None:
            tx.execute(
                "INSERT OR REPLACE INTO breaker (relay, snapshot) VALUES (?, ?)",
                (relay, msgspec.json.encode(snapshot).decode()),
            )
            if event is not None:
                tx.tell(event, now, data, relay=relay)

        await self._database.write(work)

    async def tell(self, kind: str, now: float, data: Mapping[str, Scalar]) -> None:
        """Record something that concerns no message: a start, a stop, an alert, a login."""
        await self._database.write(lambda tx: tx.tell(kind, now, data))

    async def identity(self, fresh: str) -> str:
        """The outbox's own id, `fresh` when it had none yet."""

        def work(tx: Transaction) -> str:
            tx.execute("INSERT OR IGNORE INTO meta (key, value) VALUES ('outbox', ?)", (fresh,))
            return str(tx.execute("SELECT value FROM meta WHERE key = 'outbox'").fetchone()[0])

        return await self._database.write(work)


def _old_bodies(connection: sqlite3.Connection, since: float, before: float) -> list[tuple[int, float]]:
    return connection.execute(
        "SELECT m.seq, m.final_at FROM message m JOIN body b ON b.seq = m.seq "
        "WHERE m.final_at >= ? AND m.final_at < ? AND length(b.content) > 0 ORDER BY m.final_at LIMIT ?",
        (since, before, PRUNE_BATCH),
    ).fetchall()


def _erase_bodies(tx: Transaction, found: Sequence[int], before: float) -> int:
    # A retry may have brought one of them back to life since it was found.
    erased = sum(
        tx.execute(
            f"{rows.ERASE} WHERE seq = ? AND (SELECT final_at FROM message WHERE message.seq = body.seq) < ?",  # noqa: S608
            (seq, before),
        ).rowcount
        for seq in found
    )
    if erased:
        rows.note_erased(tx)
    return erased


def _erase_messages(tx: Transaction, before: float) -> int:
    count = tx.execute(
        "DELETE FROM message WHERE seq IN (SELECT seq FROM message WHERE final_at < ? ORDER BY final_at LIMIT ?)",
        (before, PRUNE_BATCH),
    ).rowcount
    if count:
        rows.note_erased(tx)
    searching.forget(tx)
    tx.execute(
        "DELETE FROM event WHERE id IN (SELECT id FROM event WHERE seq IS NULL AND at < ? ORDER BY id LIMIT ?)",
        (before, PRUNE_BATCH),
    )
    tx.execute("DELETE FROM minute WHERE at < ?", (int(before),))
    tx.execute("DELETE FROM bulk WHERE ended_at < ?", (before,))
    tx.execute("DELETE FROM timing WHERE step = ? AND at < ?", (timings.HOUR, int(before)))
    return count


def _erase_keys(tx: Transaction, before: float) -> int:
    return tx.execute(
        "DELETE FROM idempotency_key WHERE key IN (SELECT k.key FROM idempotency_key k "
        "LEFT JOIN message m ON m.id = k.id WHERE k.created_at < ?1 AND (m.seq IS NULL OR m.final_at < ?1) LIMIT ?2)",
        (before, PRUNE_BATCH),
    ).rowcount


def _give_back_later(tx: Transaction) -> int:
    # Page by page: a step of the pragma gives back one page, and before Python 3.12 sqlite3 makes only the first step.
    for _ in range(min(PAGES_GIVEN_BACK, _free_pages(tx))):
        tx.execute("PRAGMA incremental_vacuum(1)").fetchall()
    return _free_pages(tx)


def _free_pages(tx: Transaction) -> int:
    return int(tx.execute("PRAGMA freelist_count").fetchone()[0])


def _bury(tx: Transaction, dead: Sequence[DeadLetter]) -> None:
    for letter in dead:
        rows.bury(
            tx,
            at=letter.at,
            reason=letter.reason,
            body=letter.body,
            headers=letter.headers,
            content_type=letter.content_type,
            correlation_id=letter.correlation_id,
        )
        facts: dict[str, Scalar] = {"letter": str(letters.keep(tx, letter)), "reason": letter.reason}
        tx.tell("unreadable", letter.at, {**facts, "size": len(letter.body)})


def _pending_letters(connection: sqlite3.Connection, limit: int) -> list[DeadLetter]:
    found = connection.execute(
        "SELECT id, created_at, reason, body, headers, content_type, correlation_id, message, recipient, tries "
        "FROM publication ORDER BY id LIMIT ?",
        (limit,),
    )
    return [
        DeadLetter(
            id=row[0],
            at=row[1],
            reason=row[2],
            body=row[3],
            headers=msgspec.json.decode(row[4], type=dict[str, str]),
            content_type=row[5],
            correlation_id=row[6],
            message=row[7],
            recipient=row[8],
            tries=row[9],
        )
        for row in found
    ]


def _confirm_letter(tx: Transaction, letter: DeadLetter, now: float) -> None:
    tx.execute("DELETE FROM publication WHERE id = ?", (letter.id,))
    seq = tx.execute("SELECT seq FROM message WHERE id = ?", (letter.message,)).fetchone()
    facts = {"recipient": letter.recipient, "reason": letter.reason}
    tx.tell("dead_letter", now, facts, seq=seq[0] if seq else None, message=letter.message)


def backup(source: Path, target: Path, now: float) -> int:
    """Copy a running outbox to `target` (which must not exist) and mark the copy as a restored one.

    Whoever opens the copy gets everything unfinished held, because it may have been sent since. Returns the size in
    bytes. Raises FileExistsError, OSError, sqlite3.Error; then there is no target.
    """
    # Made before SQLite does: it holds mail, and SQLite would let the group and others read it.
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        _copy_into(source, target, now)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return target.stat().st_size


def _copy_into(source: Path, target: Path, now: float) -> None:
    with closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)) as reader:
        reader.execute("PRAGMA busy_timeout = 5000")
        reader.execute("VACUUM INTO ?", (str(target),))
    with closing(sqlite3.connect(target, isolation_level=None)) as copy:
        copy.execute("PRAGMA synchronous = FULL")
        copy.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('restored', ?)", (str(now),))
