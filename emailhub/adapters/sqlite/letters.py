"""Dead letters of the queue in the outbox: kept, read, settled, erased."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec

from emailhub.adapters.sqlite import rows
from emailhub.adapters.sqlite.database import Database
from emailhub.adapters.sqlite.writer import Transaction
from emailhub.core.errors import LetterSettled, NotFound
from emailhub.core.letters import Letter, LetterPage, LetterStatus
from emailhub.core.records import DeadLetter

MOST = 100_000
"""Letters kept: a publisher that goes wrong for days must not fill the disk that mail needs."""
MOST_BYTES = 2**30
"""Bytes of their bodies."""
ERASE_BATCH = 500
_BEGINNING = 300
_REST = "size, headers, content_type, correlation_id, status, settled_at, actor, note, message"
_WHOLE = f"SELECT id, at, reason, body, {_REST} FROM dead_letter"  # noqa: S608 - fixed parts only
_SHORT = _WHOLE.replace(" body,", f" substr(body, 1, {_BEGINNING}),")


class SqliteLetters:
    """See `engine.letters.Letters`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, id: int) -> Letter:
        """The letter, whole. Raises NotFound."""
        return await self._database.read(partial(_find, id=id))

    async def page(
        self, status: LetterStatus | None, *, before: int | None, after: int | None, limit: int
    ) -> LetterPage:
        """Newest first, each with the beginning of its body: those older than `before`, or just newer than `after`."""
        return await self._database.read(partial(_page, status=status, before=before, after=after, limit=limit))

    async def counts(self) -> dict[LetterStatus, int]:
        """How many there are of each status."""
        sql = "SELECT status, count(*) FROM dead_letter GROUP BY status"
        found = dict(await self._database.read(lambda c: c.execute(sql).fetchall()))
        return {status: found.get(status.value, 0) for status in LetterStatus}

    async def settle(
        self, id: int, status: LetterStatus, *, now: float, actor: str, face: str, note: str, message: str | None
    ) -> Letter:
        """Note what was decided; the letter as it stands then. Raises NotFound; LetterSettled."""
        work = partial(_settle, id=id, status=status, now=now, actor=actor, face=face, note=note, message=message)
        return await self._database.write(work)


def keep(tx: Transaction, letter: DeadLetter) -> int:
    """Keep a body that could not be read; its id."""
    kept = tx.execute(
        "INSERT INTO dead_letter (at, reason, body, size, headers, content_type, correlation_id) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            letter.at,
            letter.reason,
            letter.body if letter.keep else None,
            len(letter.body),
            msgspec.json.encode(letter.headers).decode(),
            letter.content_type,
            letter.correlation_id,
        ),
    )
    return int(kept.lastrowid or 0)


def outlived(connection: sqlite3.Connection, bodies: float, all: float) -> tuple[list[int], list[int]]:
    """Letters whose bodies, and letters of which everything has been kept long enough; a batch of each.

    Bodies of what was settled before `bodies`; letters that came before `all`, or are more than there may be.
    """
    rest = "ORDER BY id LIMIT ?"
    emptied = connection.execute(
        f"SELECT id FROM dead_letter WHERE settled_at < ? AND body IS NOT NULL {rest}",  # noqa: S608 - fixed parts only
        (bodies, ERASE_BATCH),
    ).fetchall()
    gone = connection.execute(
        f"SELECT id FROM dead_letter WHERE at < ? OR id <= ? {rest}",  # noqa: S608 - fixed parts only
        (all, _last_too_many(connection), ERASE_BATCH),
    ).fetchall()
    return [id for (id,) in emptied], [id for (id,) in gone]


def _last_too_many(connection: sqlite3.Connection) -> int:
    """The newest letter that is one too many, or whose body is; 0: none."""
    row = connection.execute(
        "SELECT id FROM (SELECT id, row_number() OVER newest AS number, "
        "sum(coalesce(length(body), 0)) OVER newest AS bytes FROM dead_letter WINDOW newest AS (ORDER BY id DESC)) "
        "WHERE number > ? OR (bytes > ? AND number > 1) LIMIT 1",
        (MOST, MOST_BYTES),
    ).fetchone()
    return int(row[0]) if row else 0


def erase(tx: Transaction, found: tuple[list[int], list[int]]) -> int:
    """Erase the bodies, and the letters, that were `found` to have outlived their keeping; how many."""
    bodies, gone = found
    for id in bodies:
        tx.execute("UPDATE dead_letter SET body = NULL WHERE id = ?", (id,))
    for id in gone:
        tx.execute("DELETE FROM dead_letter WHERE id = ?", (id,))
    if bodies or gone:
        rows.note_erased(tx)
    return len(bodies) + len(gone)


def _letter(row: Sequence[Any]) -> Letter:
    return Letter(
        id=row[0],
        at=row[1],
        reason=row[2],
        body=row[3],
        size=row[4],
        headers=msgspec.json.decode(row[5], type=dict[str, str]),
        content_type=row[6],
        correlation_id=row[7],
        status=LetterStatus(row[8]),
        settled_at=row[9],
        actor=row[10],
        note=row[11],
        message=row[12],
    )


def _find(connection: sqlite3.Connection | Transaction, id: int) -> Letter:
    row = connection.execute(f"{_WHOLE} WHERE id = ?", (id,)).fetchone()
    if row is None:
        raise NotFound("dead letter", str(id))
    return _letter(row)


def _page(
    connection: sqlite3.Connection, status: LetterStatus | None, before: int | None, after: int | None, limit: int
) -> LetterPage:
    wheres, values = ["1"], list[object]()
    if status is not None:
        wheres.append("status = ?")
        values.append(status.value)
    back = after is not None and before is None
    if before is not None or after is not None:
        wheres.append("id > ?" if back else "id < ?")
        values.append(after if back else before)
    found = connection.execute(
        f"{_SHORT} WHERE {' AND '.join(wheres)} ORDER BY id {'ASC' if back else 'DESC'} LIMIT ?",
        (*values, limit + 1),
    ).fetchall()
    more, items = len(found) > limit, [_letter(row) for row in found[:limit]]
    if back:
        items.reverse()
        return LetterPage(tuple(items), items[-1].id if items else None, items[0].id if more else None)
    paged = before is not None and bool(items)
    return LetterPage(tuple(items), items[-1].id if more else None, items[0].id if paged else None)


def _settle(
    tx: Transaction,
    id: int,
    status: LetterStatus,
    now: float,
    actor: str,
    face: str,
    note: str,
    message: str | None,
) -> Letter:
    letter = _find(tx, id)
    if letter.status is not LetterStatus.OPEN:
        raise LetterSettled(id, letter.status.value)
    tx.execute(
        "UPDATE dead_letter SET status = ?, settled_at = ?, actor = ?, note = ?, message = ? WHERE id = ?",
        (status.value, now, actor, note, message, id),
    )
    facts = {"letter": str(id), "copy": message, "actor": actor, "face": face, "note": note}
    tx.tell(f"letter_{status.value}", now, facts)
    return _find(tx, id)
