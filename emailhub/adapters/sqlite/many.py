"""Many rows by one statement.

Running a statement lets go of the interpreter's lock, and getting it back from a busy event loop takes longer than the
statement: what a whole group of writes needs is done by few of them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
Row = Sequence[Any]
MOST = 64
"""Rows of one statement; SQLite takes 32,766 parameters."""


class Executor(Protocol):
    """A connection, or a transaction on it."""

    @property
    def execute(self) -> Callable[..., sqlite3.Cursor]: ...


def insert(tx: Executor, into: str, rows: Sequence[Row], *, row: str = "", then: str = "") -> None:
    """Insert `rows` by `into`, such as `INSERT INTO body (seq, content)`. Their first value is never None.

    `row` says what is inserted of each, `column1` being its first value, when that is not just its values; `then` is
    what follows them all.
    """
    if rows:
        nothing = (None,) * len(rows[0])
        values = f"({', '.join('?' * len(nothing))})"
        chosen = row or ", ".join(f"column{number}" for number, _ in enumerate(nothing, 1))
        for some in _filled(rows, nothing):
            sql = f"{into} SELECT {chosen} FROM (VALUES"  # noqa: S608 - our own words
            tx.execute(_statement(sql, values, len(some), f") WHERE column1 IS NOT NULL {then}"), _flat(some))


def update(tx: Executor, change: str, rows: Sequence[Row], where: str) -> list[tuple[Any, ...]]:
    """Run `change FROM (rows) AS v WHERE where`, in which the values of a row are `v.column1`, `v.column2` …

    `where` compares with a value that is never NULL. Returns what a RETURNING in it gives.
    """
    found: list[tuple[Any, ...]] = []
    if rows:
        nothing = (None,) * len(rows[0])
        values = f"({', '.join('?' * len(nothing))})"
        for some in _filled(rows, nothing):
            sql = _statement(f"{change} FROM (VALUES", values, len(some), f") AS v WHERE {where}")
            found += tx.execute(sql, _flat(some)).fetchall()
    return found


def among(
    tx: Executor, before: str, values: Sequence[Any], after: str = "", *, given: Row = ()
) -> list[tuple[Any, ...]]:
    """The rows of `before IN (values) after`; the parameters `given` belong to `before`. None of `values` is None.

    Run in several portions, so neither an order nor a group may reach over all of them.
    """
    found: list[tuple[Any, ...]] = []
    for some in _filled(values, None):
        found += tx.execute(_statement(f"{before} IN (", "?", len(some), f") {after}"), (*given, *some)).fetchall()
    return found


def next_id(tx: Executor, table: str, column: str) -> int:
    """The number the next row of `table` gets: what SQLite itself would choose."""
    row = tx.execute(f"SELECT max({column}) FROM {table}").fetchone()  # noqa: S608 - our own names
    return (row[0] or 0) + 1


def _filled(rows: Sequence[T], nothing: T) -> Iterable[Sequence[T]]:
    """`rows` by the 64, the last ones filled up with `nothing` to 1, 2, 4 …, so that one statement takes them all.

    A NULL is equal to no value, so what it stands in for is not there.
    """
    for start in range(0, len(rows), MOST):
        some = rows[start : start + MOST]
        yield [*some, *[nothing] * ((1 << (len(some) - 1).bit_length()) - len(some))]


def _flat(rows: Sequence[Row]) -> list[Any]:
    return list(chain.from_iterable(rows))


@lru_cache(maxsize=256)
def _statement(before: str, values: str, count: int, after: str) -> str:
    return f"{before} {', '.join([values] * count)} {after}"
