"""A copy of the outbox, whole or not at all."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path
from typing import NamedTuple

from emailhub.adapters.sqlite import faults, upkeep
from emailhub.cli import exits
from emailhub.core.errors import OutboxBusy


class Copied(NamedTuple):
    """Where the copy is and its size in bytes."""

    path: Path
    size: int


def copy_outbox(source: Path, target: Path, now: float) -> Copied:
    """Copy the outbox at `source` to `target`, or into it under a name with the time when it is a folder."""
    if not source.is_file():
        raise exits.Stop(
            exits.FAILED, f"there is no outbox at {source}", "name it with --database or EMAILHUB_DATABASE"
        )
    path = target / time.strftime("emailhub-%Y%m%dT%H%M%SZ.db", time.gmtime(now)) if target.is_dir() else target
    if path.exists():
        raise exits.Stop(
            exits.FAILED, f"{path} exists already: a backup never overwrites", "name a new file, or a folder"
        )
    # Under another name until it is whole: a copy cut short must not look like a backup.
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        size = upkeep.backup(source, partial, now)
        to_disk(partial)
        partial.rename(path)
        to_disk(path.parent)
    except sqlite3.Error as error:
        raise _told(error, source, path) from error
    except OSError as error:
        raise exits.Stop(
            exits.FAILED,
            f"{path} cannot be written: {error.strerror or error}",
            "name a file in a folder that exists and can be written",
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    return Copied(path, size)


def to_disk(path: Path) -> None:
    """Let the file or folder survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _told(error: sqlite3.Error, source: Path, path: Path) -> exits.Stop:
    if faults.code(error) in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return exits.Stop(exits.FAILED, f"the disk that holds {path} is full or failing: {error}", "free space there")
    ours = faults.translate(error, str(source))
    return exits.Stop(exits.BUSY if isinstance(ours, OutboxBusy) else exits.FAILED, str(ours))
