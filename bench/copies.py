"""A full outbox in seconds: the rows of a few messages that a hub really stored, copied in SQL.

Knows the outbox's schema only where a copy must differ: numbers, ids, addresses and times. Tables and columns that come
later are copied as they are.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

_APART = 0.05
"""Seconds between one copied message and the next."""
_CHANGED = {
    "seq": "seq + step.k * :templates",
    "message.id": "substr(message.id, 1, 16) || printf('%010X', seq + step.k * :templates)",
    "message.request_id": "request_id || '-' || step.k",
    "message.correlation_id": "correlation_id || '-' || step.k",
    "recipient.address": "printf('m%d@bench.example', :first + (step.k - 1) * :templates + seq - :lowest)",
}
"""What stands for a column in copy number step.k, from 1 on, of the template `seq`."""


def multiply(outbox: Path, count: int, *, first: int, history: bool) -> None:
    """Fill a closed outbox that holds a few messages, all alike, with `count` more, numbered from `first` on.

    The rows of a history are older the lower their number, and older than the templates; without `history` times stay.
    The templates stay too.
    """
    database = sqlite3.connect(outbox, isolation_level=None)
    for setting in ("journal_mode = OFF", "synchronous = OFF", "foreign_keys = OFF", "cache_size = -500000"):
        database.execute(f"PRAGMA {setting}")
    lowest, templates = database.execute("SELECT min(seq), count(*) FROM message").fetchone()
    values = {"templates": templates, "lowest": lowest, "first": first, "steps": -(-count // templates)}
    database.execute("BEGIN")
    for table in _tables(database):
        database.execute(_copy(database, table, history=history), values | {"count": count, "apart": _APART})
    database.execute("COMMIT")
    database.execute("PRAGMA journal_mode = WAL")
    database.close()


def _tables(database: sqlite3.Connection) -> list[str]:
    """The tables with rows of messages, `message` first."""
    found = database.execute(
        "SELECT m.name FROM sqlite_schema m JOIN pragma_table_info(m.name) c "
        "WHERE m.type = 'table' AND c.name = 'seq' ORDER BY m.name <> 'message'"
    )
    return [name for (name,) in found]


def _copy(database: sqlite3.Connection, table: str, *, history: bool) -> str:
    """The statement that copies one table. A column `id` of numbers is left to SQLite."""
    columns = database.execute(f"SELECT name, type, pk FROM pragma_table_info('{table}')").fetchall()
    kept = [(name, kind) for name, kind, key in columns if not (key and name == "id" and kind == "INTEGER")]
    values = ", ".join(_value(table, name, kind, history=history) for name, kind in kept)
    names = ", ".join(name for name, _ in kept)
    # One template after the other within a step, so that every table grows at its end.
    return (
        "WITH RECURSIVE step (k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM step WHERE k < :steps) "
        f"INSERT INTO {table} ({names}) SELECT {values} FROM step CROSS JOIN {table} "
        "WHERE seq BETWEEN :lowest AND :lowest + :templates - 1 "
        "AND (step.k - 1) * :templates + seq - :lowest < :count ORDER BY step.k, seq"
    )


def _value(table: str, name: str, kind: str, *, history: bool) -> str:
    changed = _CHANGED.get(f"{table}.{name}") or _CHANGED.get(name)
    if changed:
        return changed
    if history and kind == "REAL" and name != "expires_at":
        return f"{table}.{name} - (:count - (step.k - 1) * :templates - seq + :lowest) * :apart"
    return f"{table}.{name}"
