"""Stored templates and their versions. A version never changes; publishing only points at one."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from emailhub.adapters.sqlite.database import Database
from emailhub.adapters.sqlite.writer import Transaction
from emailhub.core.errors import InvalidMessage, NotFound, Outdated, Problem
from emailhub.core.records import Event, Scalar
from emailhub.core.stored import TEMPLATES, VERSIONS, Change, Label, Stored, Version, Wording

_SELECT = """
SELECT t.id, t.name, t.alias, v.subject, t.created_at, t.updated_at, t.newest, t.published, t.published_at
FROM template t JOIN template_version v ON v.template = t.id AND v.number = t.newest
"""
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Wording).decode


class SqliteTemplates:
    """See `engine.templates.TemplateStore`. `id` may be the alias wherever a template is asked for."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> list[Stored]:
        """Every stored template, by name."""

        def ask(connection: sqlite3.Connection) -> list[Stored]:
            return [_stored(row) for row in connection.execute(f"{_SELECT} ORDER BY t.name, t.id")]

        return await self._database.read(ask)

    async def find(self, id: str) -> Stored:
        """One of them. Raises NotFound."""
        return await self._database.read(lambda connection: _find(connection.execute, id))

    async def wording(self, id: str, number: int) -> Wording:
        """What that version says. Raises NotFound."""

        def ask(connection: sqlite3.Connection) -> Wording:
            one = _find(connection.execute, id)
            return _wording(connection.execute, one.id, number)

        return await self._database.read(ask)

    async def in_use(self, called: Sequence[str]) -> list[tuple[Stored, Wording | None]]:
        """Those of the names that there are, in their order, with what their published version says."""

        def ask(connection: sqlite3.Connection) -> list[tuple[Stored, Wording | None]]:
            return [(one, _published(connection, one)) for one in _named(connection, called)]

        return await self._database.read(ask)

    async def all_in_use(self) -> list[tuple[Stored, Wording]]:
        """Every published template with what it says."""

        def ask(connection: sqlite3.Connection) -> list[tuple[Stored, Wording]]:
            found = [_stored(row) for row in connection.execute(f"{_SELECT} WHERE t.published IS NOT NULL")]
            return [(one, _wording(connection.execute, one.id, one.published or 0)) for one in found]

        return await self._database.read(ask)

    async def versions(self, id: str) -> list[Version]:
        """The versions that are kept, newest first. Raises NotFound."""

        def ask(connection: sqlite3.Connection) -> list[Version]:
            one = _find(connection.execute, id)
            found = connection.execute(
                "SELECT number, saved_at, saved_by, note FROM template_version WHERE template = ? ORDER BY number DESC",
                (one.id,),
            )
            return [Version(number=row[0], saved_at=row[1], saved_by=row[2], note=row[3]) for row in found]

        return await self._database.read(ask)

    async def events(self, id: str, limit: int) -> list[Event]:
        """What happened to a template, newest first, as long as it is kept."""

        def ask(connection: sqlite3.Connection) -> list[Event]:
            found = connection.execute(
                "SELECT id, at, kind, data FROM event WHERE json_extract(data, '$.template') = ? "
                "AND seq IS NULL AND relay IS NULL ORDER BY id DESC LIMIT ?",
                (id, limit),
            )
            return [Event(id, at, kind, None, None, msgspec.json.decode(data)) for id, at, kind, data in found]

        return await self._database.read(ask)

    async def create(self, id: str, label: Label, wording: Wording, change: Change) -> Stored:
        """A new template whose first version is `wording`. Raises InvalidMessage (alias taken, too many)."""

        def work(tx: Transaction) -> Stored:
            if tx.execute("SELECT count(*) FROM template").fetchone()[0] >= TEMPLATES:
                raise _invalid("name", f"would make one more than {TEMPLATES} templates; delete some")
            _demand_free(tx, label, id)
            tx.execute(
                "INSERT INTO template (id, name, alias, created_at, updated_at, newest) VALUES (?, ?, ?, ?, ?, 1)",
                (id, label.name, label.alias, change.at, change.at),
            )
            _insert(tx, id, 1, wording, change)
            return _told(tx, "template_created", id, change, version=1)

        return await self._database.write(work)

    async def save(self, id: str, label: Label, wording: Wording, change: Change, *, base: int | None = None) -> Stored:
        """Change how it is called, and keep `wording` as a new version if it says something new.

        Raises NotFound, InvalidMessage (alias taken), and Outdated when the newest version is not `base` any more.
        """

        def work(tx: Transaction) -> Stored:
            one = _find(tx.execute, id)
            if base is not None and base != one.newest:
                raise Outdated(one.called, one.newest)
            _demand_free(tx, label, one.id)
            fresh = _wording(tx.execute, one.id, one.newest) != wording
            if not fresh and label == Label(one.name, one.alias):
                return one
            number = one.newest + fresh
            tx.execute(
                "UPDATE template SET name = ?, alias = ?, newest = ?, updated_at = ? WHERE id = ?",
                (label.name, label.alias, number, change.at, one.id),
            )
            if fresh:
                _insert(tx, one.id, number, wording, change)
            return _told(tx, "template_saved" if fresh else "template_renamed", one.id, change, version=number)

        return await self._database.write(work)

    async def publish(self, id: str, number: int | None, change: Change) -> Stored:
        """Let messages be made from that version, the newest when None. Raises NotFound."""

        def work(tx: Transaction) -> Stored:
            one = _find(tx.execute, id)
            chosen = one.newest if number is None else number
            _wording(tx.execute, one.id, chosen)
            if chosen == one.published:
                return one
            tx.execute("UPDATE template SET published = ?, published_at = ? WHERE id = ?", (chosen, change.at, one.id))
            return _told(tx, "template_published", one.id, change, version=chosen, instead_of=one.published or 0)

        return await self._database.write(work)

    async def delete(self, id: str, change: Change) -> Stored:
        """Forget the template and all its versions; what it was. Raises NotFound."""

        def work(tx: Transaction) -> Stored:
            one = _find(tx.execute, id)
            _told(tx, "template_deleted", one.id, change, version=one.published or 0)
            tx.execute("DELETE FROM template WHERE id = ?", (one.id,))
            return one

        return await self._database.write(work)


_Execute = Callable[..., sqlite3.Cursor]


def _find(execute: _Execute, id: str) -> Stored:
    # An id goes before an alias that reads like it.
    row = execute(
        f"{_SELECT} WHERE t.id = ?1 OR t.alias = ?1 ORDER BY t.id <> ?1 LIMIT 1",
        (id,),
    ).fetchone()
    if row is None:
        raise NotFound("template", id)
    return _stored(row)


def _named(connection: sqlite3.Connection, called: Sequence[str]) -> Iterator[Stored]:
    for name in called:
        with suppress(NotFound):
            yield _find(connection.execute, name)


def _published(connection: sqlite3.Connection, one: Stored) -> Wording | None:
    return _wording(connection.execute, one.id, one.published) if one.published is not None else None


def _stored(row: tuple[Any, ...]) -> Stored:
    id, name, alias, subject, created_at, updated_at, newest, published, published_at = row
    return Stored(
        id=id,
        name=name,
        alias=alias,
        subject=subject,
        created_at=created_at,
        updated_at=updated_at,
        newest=newest,
        published=published,
        published_at=published_at,
    )


def _wording(execute: _Execute, id: str, number: int) -> Wording:
    row = execute("SELECT wording FROM template_version WHERE template = ? AND number = ?", (id, number)).fetchone()
    if row is None:
        raise NotFound("version", str(number))
    return _decode(row[0])


def _demand_free(tx: Transaction, label: Label, id: str) -> None:
    if label.alias is None:
        return
    row = tx.execute("SELECT name FROM template WHERE alias = ? AND id <> ?", (label.alias, id)).fetchone()
    if row is not None:
        raise _invalid("alias", f"is the alias of another template already: {row[0]}")


def _invalid(field: str, sentence: str) -> InvalidMessage:
    return InvalidMessage((Problem(field, sentence),))


def _insert(tx: Transaction, id: str, number: int, wording: Wording, change: Change) -> None:
    tx.execute(
        "INSERT INTO template_version (template, number, saved_at, saved_by, note, subject, wording) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (id, number, change.at, change.actor, change.note, wording.subject, _encode(wording).decode()),
    )
    tx.execute(
        "DELETE FROM template_version WHERE template = ?1 AND number <= ?2 "
        "AND number IS NOT (SELECT published FROM template WHERE id = ?1)",
        (id, number - VERSIONS),
    )


def _told(tx: Transaction, kind: str, id: str, change: Change, **facts: Scalar) -> Stored:
    """Tell what was done to it; as it is now."""
    one = _find(tx.execute, id)
    who: dict[str, Scalar] = {"actor": change.actor, "note": change.note}
    tx.tell(kind, change.at, {"template": one.id, "name": one.name, "called": one.called, **facts, **who})
    return one
