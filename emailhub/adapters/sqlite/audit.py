"""The audit log in the outbox. Most of it is written by the commits of what was done; see `writer`."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import partial
from typing import Any

from emailhub.adapters.sqlite.database import Database
from emailhub.core.audit import AuditFilter, AuditPage, Deed, Entry

_COLUMNS = "id, at, actor, peer, what, target, reason, result, detail"


class SqliteAudit:
    """See `engine.audit.AuditLog`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, deed: Deed) -> None:
        """Keep what changed nothing else, such as a log-in that failed."""
        await self._database.write(lambda tx: tx.record(deed))

    async def page(self, wanted: AuditFilter, *, before: int | None, after: int | None, limit: int) -> AuditPage:
        """Newest first: those older than the entry `before`, or the ones just newer than `after`."""
        return await self._database.read(partial(_page, wanted=wanted, before=before, after=after, limit=limit))


def _page(
    connection: sqlite3.Connection, wanted: AuditFilter, before: int | None, after: int | None, limit: int
) -> AuditPage:
    wheres, values = _narrowed(wanted)
    back = after is not None and before is None
    if before is not None or after is not None:
        wheres.append("id > ?" if back else "id < ?")
        values.append(after if back else before)
    found = connection.execute(
        f"SELECT {_COLUMNS} FROM audit WHERE {' AND '.join(wheres)} "  # noqa: S608 - fixed parts only
        f"ORDER BY id {'ASC' if back else 'DESC'} LIMIT ?",
        (*values, limit + 1),
    ).fetchall()
    more, items = len(found) > limit, [_entry(row) for row in found[:limit]]
    if back:
        items.reverse()
        return AuditPage(tuple(items), items[-1].id if items else None, items[0].id if more else None)
    paged = before is not None and bool(items)
    return AuditPage(tuple(items), items[-1].id if more else None, items[0].id if paged else None)


def _narrowed(wanted: AuditFilter) -> tuple[list[str], list[object]]:
    wheres, values = ["1"], list[object]()
    for column, value in (("actor", wanted.actor), ("target", wanted.target)):
        if value:
            wheres.append(f"{column} = ?")
            values.append(value)
    if "." in wanted.what:
        wheres.append("what = ?")
        values.append(wanted.what)
    elif wanted.what:
        # Everything from `noun.` up to the character after the dot, by the index.
        wheres.append("what > ? AND what < ?")
        values += [f"{wanted.what}.", f"{wanted.what}/"]
    return wheres, values


def _entry(row: Sequence[Any]) -> Entry:
    id, at, actor, peer, what, target, reason, result, detail = row
    deed = Deed(at=at, actor=actor, peer=peer, what=what, target=target, reason=reason, result=result, detail=detail)
    return Entry(id, deed)
