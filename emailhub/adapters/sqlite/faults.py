"""SQLite's errors as ours: a full disk, a busy file, an unusable one, and those that must end the process."""

from __future__ import annotations

import sqlite3

from emailhub.core.errors import OutboxBusy, OutboxError, OutboxFull, OutboxUnusable

_PRIMARY = 0xFF  # the low byte of an extended result code is its primary code
WAY_OUT = "Nothing was changed. Restore a backup, or save what can be read with `emailhub doctor --recover`"
"""What to do about a damaged file."""
_UNUSABLE = {
    sqlite3.SQLITE_READONLY: "it is read-only",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened",
    sqlite3.SQLITE_PERM: "access is denied",
}


def code(error: BaseException) -> int:
    """The primary SQLite result code of `error`, or 0."""
    return (getattr(error, "sqlite_errorcode", 0) or 0) & _PRIMARY


def translate(error: sqlite3.Error, path: str) -> OutboxError:
    """Our error for SQLite's, saying what to do next."""
    primary = code(error)
    if primary == sqlite3.SQLITE_FULL:
        return OutboxFull(f"the disk that holds {path} is full: free space and emailhub goes on by itself")
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return OutboxBusy(f"{path} is locked by another process: stop it (`fuser {path}` names it)")
    if primary == sqlite3.SQLITE_CORRUPT:
        return OutboxUnusable(f"{path} is damaged ({error}). {WAY_OUT}")
    if primary == sqlite3.SQLITE_NOTADB:
        return OutboxUnusable(
            f"{path} is not a database ({error}). {WAY_OUT}, or point EMAILHUB_DATABASE at another file"
        )
    if primary in _UNUSABLE:
        return OutboxUnusable(
            f"{path} cannot be used: {_UNUSABLE[primary]} ({error}). Nothing was changed. "
            "Restore a backup, or point EMAILHUB_DATABASE at another file"
        )
    return OutboxError(f"{path}: {error}")


def fatal(error: BaseException) -> bool:
    """True after a failed read, write or sync: what the disk holds is then not known until the file is opened anew."""
    return code(error) in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def hurts_everyone(error: BaseException) -> bool:
    """True when the whole group must be given up, not only the write that met the error."""
    return code(error) in (
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_INTERRUPT,
    )
