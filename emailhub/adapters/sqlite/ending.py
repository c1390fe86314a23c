"""What the end of a commit writes beside what its writes did, and what is done to the log between two commits."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

from emailhub.adapters.sqlite import many
from emailhub.core.audit import Deed


def store_minutes(connection: sqlite3.Connection, minutes: Mapping[tuple[int, str], int]) -> None:
    """Add the counts, by minute and column."""
    by_minute: dict[int, dict[str, int]] = {}
    for (at, column), number in sorted(minutes.items()):
        by_minute.setdefault(at, {})[column] = number
    for at, counts in by_minute.items():
        names = ", ".join(counts)
        added = ", ".join(f"{column} = {column} + excluded.{column}" for column in counts)
        connection.execute(
            f"INSERT INTO minute (at, {names}) VALUES (?{', ?' * len(counts)}) "  # noqa: S608 - our own column names
            f"ON CONFLICT (at) DO UPDATE SET {added}",
            (at, *counts.values()),
        )


def store_usage(connection: sqlite3.Connection, usage: Mapping[tuple[int, str], int]) -> None:
    """Add the recipients taken, by minute and relay."""
    for (at, relay), recipients in usage.items():
        connection.execute(
            "INSERT INTO usage (relay, at, recipients) VALUES (?, ?, ?) "
            "ON CONFLICT (relay, at) DO UPDATE SET recipients = recipients + excluded.recipients",
            (relay, at, recipients),
        )


def store_deeds(connection: sqlite3.Connection, deeds: Sequence[Deed]) -> None:
    """Add entries to the audit log."""
    rows = [(d.at, d.actor, d.peer, d.what, d.target, d.reason, d.result, d.detail) for d in deeds]
    many.insert(connection, "INSERT INTO audit (at, actor, peer, what, target, reason, result, detail)", rows)


def empty_log(connection: sqlite3.Connection) -> bool:
    """Move the write-ahead log into the file and cut it to nothing; False when a reader still needs it."""
    # Commits wait behind this one: for a reader that takes long it is tried again later.
    connection.execute("PRAGMA busy_timeout = 100")
    try:
        return bool(connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0)
    finally:
        connection.execute("PRAGMA busy_timeout = 5000")
