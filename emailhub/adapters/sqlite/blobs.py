"""The bytes of messages, the large ones slice by slice.

A row is taken out of SQLite, and a value handed to it, with the interpreter's lock held, which for 25 MiB is long
enough to be felt by everybody else. Between two slices others have their turn.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Protocol

from emailhub.adapters.sqlite import many

LARGE = 1024 * 1024
_SLICE = 512 * 1024
_PIECE = 2 * LARGE
"""Bytes that are handed over at once; SQLite puts them together without the lock."""
SMALL = f"CASE WHEN length(content) <= {LARGE} THEN content END"
"""The content of a row of `body`; NULL stands for a large one, which `read` reads."""


class Opener(many.Executor, Protocol):
    """A connection, or a transaction on it."""

    @property
    def blobopen(self) -> Callable[..., sqlite3.Blob]: ...


def insert(tx: many.Executor, into: str, rows: Sequence[many.Row]) -> None:
    """Insert `rows` by `into`, such as `INSERT INTO body (seq, content, tags)`: the content is their second value."""
    many.insert(tx, into, [row for row in rows if len(row[1]) <= _PIECE])
    for seq, content, *rest in (row for row in rows if len(row[1]) > _PIECE):
        with memoryview(content) as whole:
            pieces = [whole[start : start + _PIECE] for start in range(0, len(whole), _PIECE)]
            values = ", ".join(("?", f"CAST({' || '.join('?' * len(pieces))} AS BLOB)", *"?" * len(rest)))
            tx.execute(f"{into} VALUES ({values})", (seq, *pieces, *rest))
            for piece in pieces:
                piece.release()


def contents(tx: Opener, seqs: Sequence[int]) -> dict[int, bytes]:
    """The contents of messages by their `seq`."""
    found = many.among(tx, f"SELECT seq, {SMALL} FROM body WHERE seq", seqs)  # noqa: S608 - our own words
    return {seq: read(tx, seq) if content is None else content for seq, content in found}


def read(tx: Opener, seq: int) -> bytes:
    """The content of one message. Raises sqlite3.OperationalError when there is no such row."""
    with tx.blobopen("body", "content", seq, readonly=True) as blob:
        return b"".join(iter(lambda: blob.read(_SLICE), b""))
