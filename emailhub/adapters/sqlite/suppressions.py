"""The suppression list in the outbox: added to, lifted, read. What waits for an address that is added stops at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from emailhub.adapters.sqlite import many, withholding
from emailhub.adapters.sqlite.database import Database
from emailhub.adapters.sqlite.writer import Transaction
from emailhub.core.errors import NotFound
from emailhub.core.records import Scalar
from emailhub.core.suppression import (
    AUTOMATIC,
    NOTE,
    Listing,
    Suppression,
    SuppressionFilter,
    SuppressionOrigin,
    SuppressionPage,
    folded,
)

_COLUMNS = "id, address, origin, note, face, actor, message, since"
_INSERT = "INSERT INTO suppression (address, origin, note, face, actor, message, since)"


class SqliteSuppressions:
    """See `engine.suppression.Suppressions`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(
        self, listings: Sequence[Listing], *, now: float, face: str, actor: str
    ) -> tuple[tuple[Suppression, ...], int]:
        """Put the addresses on the list, or leave them there as they are; the entries, each address once.

        Also how many recipients that waited are suppressed now, in the same commit.
        """
        return await self._database.write(partial(_add, listings=listings, now=now, face=face, actor=actor))

    async def lift(
        self, keys: Sequence[str], *, now: float, face: str, actor: str, note: str
    ) -> tuple[Suppression, ...]:
        """Take those of `keys` (addresses or ids) off the list that are on it; what they were."""
        return await self._database.write(partial(_lift, keys=keys, now=now, face=face, actor=actor, note=note))

    async def find(self, key: str) -> Suppression:
        """The entry with the address or id `key`. Raises NotFound."""

        def ask(connection: sqlite3.Connection) -> Suppression:
            found = _found(connection, [key])
            if not found:
                raise NotFound("suppression", key)
            return found[0]

        return await self._database.read(ask)

    async def page(
        self, wanted: SuppressionFilter, *, before: int | None, after: int | None, limit: int
    ) -> SuppressionPage:
        """Newest first: those older than the entry `before`, or the ones just newer than `after`."""
        return await self._database.read(partial(_page, wanted=wanted, before=before, after=after, limit=limit))

    async def listed(self, addresses: Sequence[str]) -> frozenset[str]:
        """Those of `addresses` that are on the list."""

        def ask(connection: sqlite3.Connection) -> frozenset[str]:
            lines = withholding.listed(connection, addresses)
            return frozenset(address for address in addresses if folded(address) in lines)

        return await self._database.read(ask)


def _entry(row: Sequence[Any]) -> Suppression:
    return Suppression(
        id=row[0],
        address=row[1],
        origin=SuppressionOrigin(row[2]),
        note=row[3],
        face=row[4],
        actor=row[5],
        message=row[6],
        since=row[7],
    )


def _found(tx: many.Executor, keys: Iterable[str]) -> list[Suppression]:
    """The entries with these addresses or ids, oldest first."""
    folds = list(dict.fromkeys(map(folded, keys)))
    ids = [int(key) for key in folds if key.isascii() and key.isdigit() and len(key) < 19]
    select = f"SELECT {_COLUMNS} FROM suppression WHERE"  # noqa: S608 - fixed parts only
    rows = {*many.among(tx, f"{select} address", folds), *many.among(tx, f"{select} id", ids)}
    return [_entry(row) for row in sorted(rows)]


def _add(
    tx: Transaction, listings: Sequence[Listing], now: float, face: str, actor: str
) -> tuple[tuple[Suppression, ...], int]:
    fresh = _insert(tx, listings, now, face, actor)
    for one in fresh:
        facts: dict[str, Scalar] = {"address": one.address, "origin": one.origin.value, "note": one.note}
        tx.tell("suppression_added", now, {**facts, "actor": actor, "face": face})
    waited = withholding.withhold_waiting(tx, [one.address for one in fresh], now)
    return tuple(_found(tx, [listing.address for listing in listings])), waited


def _insert(tx: Transaction, listings: Sequence[Listing], now: float, face: str, actor: str) -> list[Suppression]:
    """The entries that are new. Whoever is on the list already stays there as before: the first reason is the one that
    counts, and what is waiting was stopped then."""
    wanted = {folded(one.address): one for one in reversed(listings)}
    known = {row[0] for row in many.among(tx, "SELECT address FROM suppression WHERE address", list(wanted))}
    fresh = [(address, one) for address, one in reversed(wanted.items()) if address not in known]
    rows = [(address, one.origin.value, one.note[:NOTE], face, actor, one.message, now) for address, one in fresh]
    many.insert(tx, _INSERT, rows)
    return _found(tx, [address for address, _ in fresh])


def suppress_bounced(tx: Transaction, seq: int, message: str, bounced: Sequence[tuple[str, str]], now: float) -> int:
    """Put the addresses that refused message `seq` for good on the list, each with the server's words.

    Returns how many recipients that waited are suppressed by it.
    """
    listings = [Listing(address, SuppressionOrigin.BOUNCE, text, message) for address, text in bounced]
    fresh = _insert(tx, listings, now, AUTOMATIC, "")
    for one in fresh:
        facts: dict[str, Scalar] = {"recipient": one.address, "origin": one.origin.value, "text": one.note}
        tx.tell("listed", now, facts, seq=seq, message=message)
    return withholding.withhold_waiting(tx, [one.address for one in fresh], now)


def _lift(
    tx: Transaction, keys: Sequence[str], now: float, face: str, actor: str, note: str
) -> tuple[Suppression, ...]:
    found = _found(tx, keys)
    for one in found:
        tx.execute("DELETE FROM suppression WHERE id = ?", (one.id,))
        facts: dict[str, Scalar] = {"address": one.address, "origin": one.origin.value, "note": note}
        tx.tell("suppression_lifted", now, {**facts, "actor": actor, "face": face})
    return tuple(found)


def _page(
    connection: sqlite3.Connection, wanted: SuppressionFilter, before: int | None, after: int | None, limit: int
) -> SuppressionPage:
    wheres, values = ["1"], list[object]()
    if wanted.origin is not None:
        wheres.append("origin = ?")
        values.append(wanted.origin.value)
    if wanted.search:
        wheres.append("instr(address, ?) > 0")
        values.append(folded(wanted.search))
    back = after is not None and before is None
    if before is not None or after is not None:
        wheres.append("id > ?" if back else "id < ?")
        values.append(after if back else before)
    found = connection.execute(
        f"SELECT {_COLUMNS} FROM suppression WHERE {' AND '.join(wheres)} "  # noqa: S608 - fixed parts only
        f"ORDER BY id {'ASC' if back else 'DESC'} LIMIT ?",
        (*values, limit + 1),
    ).fetchall()
    more, items = len(found) > limit, [_entry(row) for row in found[:limit]]
    if back:
        items.reverse()
        return SuppressionPage(tuple(items), items[-1].id if items else None, items[0].id if more else None)
    paged = before is not None and bool(items)
    return SuppressionPage(tuple(items), items[-1].id if more else None, items[0].id if paged else None)
