"""What a disk may hold after a power cut: everything synced, and any part of what was only written."""

from __future__ import annotations

import random
import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SECTOR = 512
"""A disk writes that many bytes whole or not at all."""
_HEAD = struct.Struct("c15sqq")


class Change(NamedTuple):
    """A write, truncation, sync or removal of the database's file with this suffix; or a promise (`data`)."""

    kind: str
    suffix: str
    offset: int
    data: bytes


def changes(notes: bytes) -> list[Change]:
    """What the shim noted, in order."""
    found, at = [], 0
    while at < len(notes):
        kind, suffix, offset, size = _HEAD.unpack_from(notes, at)
        at += _HEAD.size
        length = size if kind in {b"w", b"p"} else 0
        found.append(Change(kind.decode(), suffix.rstrip(b"\0").decode(), offset, notes[at : at + length]))
        at += length
    return found


class Cut(NamedTuple):
    """The power went after `at` changes: what had been `told` by then, and what the files hold."""

    at: int
    told: Counter[str]
    files: dict[str, bytes]


def cuts(base: dict[str, bytes], made: list[Change], rng: random.Random, every: int) -> Iterator[Cut]:
    """States a cut may leave: before each sync and after each promise only what was synced; now and then also a part.

    `every`: that part for each so many-th change. What was only written survives as `rng` will have it: some of the
    writes, some of them torn.
    """
    safe, pending = dict(base), list[Change]()
    told: Counter[str] = Counter()
    for at, change in enumerate(made, 1):
        if change.kind == "p":
            told[change.data.decode()] += 1
            yield Cut(at, told.copy(), dict(safe))
        elif change.kind == "s":
            yield Cut(at, told.copy(), dict(safe))
            for one in pending:
                if one.suffix == change.suffix:
                    _apply(safe, one)
            pending = [one for one in pending if one.suffix != change.suffix]
        else:
            pending.append(change)
        if at % every == 0:
            yield Cut(at, told.copy(), _partly(safe, pending, rng))


def _partly(safe: dict[str, bytes], pending: list[Change], rng: random.Random) -> dict[str, bytes]:
    files, removing = dict(safe), True
    for one in pending:
        fate = rng.random()
        if one.kind == "u":
            # A file system keeps the order of what happens in a folder: the second removal never lasts alone.
            removing = removing and fate < 0.5
            if removing:
                _apply(files, one)
        elif fate < 0.4:
            _apply(files, one)
        elif fate < 0.6 and one.kind == "w":
            _apply(files, one._replace(data=one.data[: rng.randrange(len(one.data) // SECTOR + 1) * SECTOR]))
    return files


def _apply(files: dict[str, bytes], change: Change) -> None:
    held = files.get(change.suffix, b"")
    if change.kind == "u":
        files.pop(change.suffix, None)
    elif change.kind == "t":
        files[change.suffix] = held[: change.offset].ljust(change.offset, b"\0")
    else:
        held = held.ljust(change.offset, b"\0")
        files[change.suffix] = held[: change.offset] + change.data + held[change.offset + len(change.data) :]


def put(files: dict[str, bytes], database: Path) -> None:
    """Write the files of `database`, and only them."""
    for old in database.parent.iterdir():
        old.unlink()
    for suffix, content in files.items():
        Path(f"{database}{suffix}").write_bytes(content)
