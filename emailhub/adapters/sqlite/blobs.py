"""The bytes of messages, the large ones slice by slice.

A row is taken out of SQLite with the interpreter's lock held, which for 25 MiB is long enough to be felt by everybody
else. Reading a slice lets go of it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Protocol

from emailhub.adapters.sqlite import many

LARGE = 1024 * 1024
_SLICE = 512 * 1024
SMALL = f"CASE WHEN length(content) <= {LARGE} THEN content END"
"""The content of a row of `body`; NULL stands for a large one, which `read` reads."""


class Opener(many.Executor, Protocol):
    """A connection, or a transaction on it."""

    @property
    def blobopen(self) -> Callable[..., sqlite3.Blob]: ...


def contents(tx: Opener, seqs: Sequence[int]) -> dict[int, bytes]:
    """The contents of messages by their `seq`."""
    found = many.among(tx, f"SELECT seq, {SMALL} FROM body WHERE seq", seqs)  # noqa: S608 - our own words
    return {seq: read(tx, seq) if content is None else content for seq, content in found}


def read(tx: Opener, seq: int) -> bytes:
    """The content of one message. Raises sqlite3.OperationalError when there is no such row."""
    with tx.blobopen("body", "content", seq, readonly=True) as blob:
        return b"".join(iter(lambda: blob.read(_SLICE), b""))
