"""Whose rows a page holds: told by its tree where that can be followed, and else by what the rows look like."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

from emailhub.adapters.sqlite.salvage import records
from emailhub.adapters.sqlite.salvage.pages import Pages
from emailhub.adapters.sqlite.salvage.records import Row, Value

_TYPES: Mapping[str, tuple[type, ...]] = {"INTEGER": (int,), "REAL": (float, int), "TEXT": (str,), "BLOB": (bytes,)}


class Column(Struct, frozen=True):
    """One column; `alias`: it is the rowid, and stored as NULL."""

    name: str
    types: tuple[type, ...]
    required: bool
    alias: bool

    def takes(self, value: Value) -> bool:
        return not self.required or self.alias if value is None else isinstance(value, self.types)


class Table(Struct, frozen=True):
    """A table as the schema has it; its columns in the order they are stored, of which a row has at least `least`."""

    name: str
    columns: tuple[Column, ...]
    keyed: bool
    """WITHOUT ROWID: its rows are in an index."""
    least: int

    def fits(self, row: Row) -> bool:
        """Whether `row` can be one of this table."""
        if self.keyed is not (row.rowid is None) or not self.least <= len(row.values) <= len(self.columns):
            return False
        return all(column.takes(value) for column, value in zip(self.columns, row.values, strict=False))

    def names(self, row: Row) -> tuple[str, ...]:
        """The columns `row` has; it may be older than the last ones."""
        return tuple(column.name for column in self.columns[: len(row.values)])

    def stored(self, row: Row) -> tuple[Value, ...]:
        return tuple(
            row.rowid if column.alias else value for column, value in zip(self.columns, row.values, strict=False)
        )


def tables_of(connection: sqlite3.Connection) -> dict[str, Table]:
    """The tables that are empty in a new outbox: whatever has rows there is derived from the others."""
    listed = connection.execute(
        "SELECT name, wr FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite%'"
    ).fetchall()
    return {
        name: _table(connection, name, bool(keyed))
        for name, keyed in listed
        if not connection.execute(f"SELECT EXISTS (SELECT 1 FROM {name})").fetchone()[0]  # noqa: S608 - our own names
    }


def _table(connection: sqlite3.Connection, name: str, keyed: bool) -> Table:
    info = connection.execute(f"PRAGMA table_info({name})").fetchall()
    keys = sum(1 for column in info if column[5])
    columns, least = [], 0
    ordered = sorted(info, key=lambda column: column[5] or len(info)) if keyed else info
    for index, (_, title, type, required, default, key) in enumerate(ordered, 1):
        alias = not keyed and keys == 1 and bool(key) and type == "INTEGER"
        columns.append(Column(title, _TYPES.get(type, (object,)), bool(required) or bool(key), alias))
        if (required or key) and default is None:
            least = index
    return Table(name, tuple(columns), keyed, least)


def indexes_of(connection: sqlite3.Connection) -> list[Table]:
    """What the rows of indexes look like, so that they are not taken for those of a table without rowids."""
    listed = connection.execute("SELECT name, tbl_name FROM sqlite_schema WHERE type = 'index'").fetchall()
    return [_index(connection, name, table) for name, table in listed]


def _index(connection: sqlite3.Connection, name: str, table: str) -> Table:
    types = {column[0]: column[2] for column in connection.execute(f"PRAGMA table_info({table})")}
    stored = connection.execute(f"PRAGMA index_xinfo({name})").fetchall()
    # The rowid and what is computed have no number of a column.
    shapes = ["INTEGER" if cid == -1 else types.get(cid, "") for _, cid, *_ in stored]
    columns = tuple(Column("", _TYPES.get(shape, (object,)), required=False, alias=False) for shape in shapes)
    return Table("", columns, keyed=True, least=len(columns))


class Roots(Struct, frozen=True):
    """Where the trees of tables and indexes begin: the page's number → its name."""

    pages: Mapping[int, str]

    @classmethod
    def of(cls, connection: sqlite3.Connection) -> Roots:
        """Those of an open file. Every outbox of a version has the same: SQLite keeps the first pages for roots."""
        return cls(dict(connection.execute("SELECT rootpage, name FROM sqlite_schema WHERE rootpage > 0")))

    @classmethod
    def read(cls, pages: Pages) -> Roots | None:
        """Those of a damaged file, or None when its list of them cannot be read."""
        found: dict[int, str] = {}
        for page in walk(pages, 1):
            for row in records.rows(pages, page) if page is not None else [None]:
                if row is None or len(row.values) != 5:
                    return None
                _, name, _, root, _ = row.values
                if isinstance(root, int) and root:
                    found[root] = str(name)
        return cls(found) if found else None


def walk(pages: Pages, root: int, seen: dict[int, str] | None = None, name: str = "") -> Iterator[records.Page | None]:
    """The pages of the tree at `root`, None for each that is not a page of a tree; `seen` gets whose they are."""
    seen = {} if seen is None else seen
    waiting = [root]
    while waiting:
        number = waiting.pop()
        if number in seen or not 0 < number <= pages.count:
            continue
        page = records.page_of(pages, number)
        if page is not None:
            seen[number] = name
            waiting.extend(records.children(page))
        yield page


def owner(tables: Iterable[Table], rows: Sequence[Row]) -> str:
    """The name of the only one of `tables` that all of `rows` can be of, or ""."""
    fitting = {table.name for table in tables if all(table.fits(row) for row in rows)}
    return fitting.pop() if rows and len(fitting) == 1 else ""
