"""Opening the file: the lock, the checks, the migrations, the one writing connection and the readers."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, closing
from importlib import resources
from itertools import cycle
from pathlib import Path
from typing import IO

import aiosqlite

from emailhub.adapters.sqlite import endings, faults
from emailhub.adapters.sqlite.thread import in_thread
from emailhub.adapters.sqlite.writer import Batch, I, T, Transaction, Writer
from emailhub.core.errors import OutboxBusy, OutboxError, OutboxUnusable
from emailhub.core.records import Event
from emailhub.core.status import OutboxStatus

LOCK_WAIT = 60.0
"""Seconds to wait for the process that holds the file: long enough for a rolling restart to hand over."""
GATHER = 0.002
"""Seconds a commit waits, under load, for as many writes as the one before had."""
READERS = 2
APPLICATION_ID = 0x656D6875
"""Marks a file as ours: other programs number their schemas too."""
QUICK_CHECK_BYTES = 64 * 1024 * 1024
"""Files up to this size are checked page by page at the start; larger ones would hold the start up for seconds."""

_WRITER_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    # FULL: a commit is on the disk when it returns. NORMAL may lose the last ones at a power cut.
    "PRAGMA synchronous = FULL",
    # 16 MB: the pages every commit changes are copied into the file once for many commits.
    "PRAGMA wal_autocheckpoint = 4000",
    "PRAGMA foreign_keys = ON",
    "PRAGMA secure_delete = ON",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -32000",
    "PRAGMA journal_size_limit = 67108864",
    "PRAGMA busy_timeout = 5000",
)
_READER_PRAGMAS = (
    "PRAGMA temp_store = MEMORY",
    endings.TABLE,
    "PRAGMA query_only = ON",
    # A checkpoint by a second connection may corrupt the file in SQLite before 3.51.3; only the writer makes them.
    "PRAGMA wal_autocheckpoint = 0",
    "PRAGMA busy_timeout = 5000",
    "PRAGMA cache_size = -16000",
)


class Database:
    """An open outbox file. `write` and `read` are the only ways to its connections."""

    def __init__(self, path: Path, lock: IO[bytes], writer: Writer, readers: Sequence[aiosqlite.Connection]) -> None:
        self._path = path
        self._lock = lock
        self._writer = writer
        self._readers = readers
        self._next_reader = cycle(readers)

    async def write(self, work: Callable[[Transaction], T], *, weight: int = 0) -> T:
        """Run `work` in a transaction and return its result once it is committed and synced.

        `work` may be run twice; only its last run counts. Writes that arrive while a commit is under way share the next
        one. Raises what `work` raises (its changes are undone alone), or an OutboxError. Cancelling the caller does not
        undo a write already handed over.
        """
        return await self._writer.submit(work, weight)

    def write_one(self, work: Batch[I, T], item: I, *, weight: int = 0) -> asyncio.Future[T]:
        """Like `write`, for `work` that is done at once for all items that share a commit; handed over right here.

        An item for which `work` returns an Exception raises it here; it has undone or not begun what it was to do.
        """
        return self._writer.submit_one(work, item, weight)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` on a connection that cannot write. Raises OutboxError."""
        try:
            return await in_thread(next(self._next_reader), work)
        except sqlite3.Error as error:
            raise faults.translate(error, str(self._path)) from error

    async def empty_log(self) -> bool:
        """Move the log beside the file into it and cut it to nothing. False: it is being read. Raises OutboxError."""
        try:
            return await self._writer.empty_log()
        except sqlite3.Error as error:
            raise faults.translate(error, str(self._path)) from error

    @property
    def path(self) -> Path:
        return self._path

    @property
    def broken(self) -> asyncio.Future[OutboxError]:
        """Done when the disk failed in a way that only opening the file anew can clear; the process must end."""
        return self._writer.broken

    def status(self) -> OutboxStatus:
        """How the file stands; `free_disk` in bytes."""
        trouble = self._writer.trouble
        return OutboxStatus(
            writable=not trouble,
            detail=trouble,
            path=str(self._path),
            size=_size(self._path),
            free_disk=_free(self._path),
        )

    async def close(self) -> None:
        """Finish the writes handed over, then close everything; the lock goes last."""
        await self._writer.finish()
        # The last connection to close moves the log into the file, and only the writer may do that.
        for reader in self._readers:
            await reader.close()
        await self._writer.close()
        self._lock.close()


async def open_database(
    path: Path, *, on_events: Callable[[Sequence[Event]], None], lock_wait: float = LOCK_WAIT, gather: float = GATHER
) -> Database:
    """Lock, check, migrate and open the outbox at `path`, making it when there is none.

    `on_events` gets the events of every commit, after it. Raises OutboxBusy when another process keeps the file for
    `lock_wait` seconds, OutboxUnusable when it is damaged, not ours, read-only, or newer than this program.
    """
    async with AsyncExitStack() as undo:
        lock = await _locked(path, lock_wait)
        undo.callback(lock.close)
        try:
            version = await asyncio.to_thread(_examine, path)
            connection = await aiosqlite.connect(path, isolation_level=None, cached_statements=512)
            undo.push_async_callback(connection.close)
            await in_thread(connection, _prepare, path, version)
            readers = [await _reader(path, undo) for _ in range(READERS)]
        except sqlite3.Error as error:
            raise faults.translate(error, str(path)) from error
        writer = Writer(connection, str(path), on_events, gather)
        undo.pop_all()
    return Database(path, lock, writer, readers)


async def _locked(path: Path, wait: float) -> IO[bytes]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _make_private(path)
        lock = open(f"{path}.lock", "ab")  # noqa: SIM115, ASYNC230, PTH123 - held for the life of the process
    except OSError as error:
        raise OutboxUnusable(
            f"{path} cannot be used: {error.strerror}. Point EMAILHUB_DATABASE at a writable place"
        ) from error
    try:
        await _lock(lock, path, wait)
    except BaseException:
        lock.close()
        raise
    return lock


async def _lock(lock: IO[bytes], path: Path, wait: float) -> None:
    deadline = asyncio.get_running_loop().time() + wait
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if asyncio.get_running_loop().time() >= deadline:
                raise OutboxBusy(
                    f"another emailhub holds {path}; it has not let go for {wait:.0f} s. Stop it, or use another file"
                ) from None
            # flock has no wait with a deadline; the holder gives no signal either.
            await asyncio.sleep(0.2)
        except OSError as error:
            raise OutboxUnusable(
                f"{path} cannot be locked: {error.strerror}. Point EMAILHUB_DATABASE at a local disk"
            ) from error
        else:
            return


def _make_private(path: Path) -> None:
    # The file holds mail; whoever may read it is decided here, before SQLite makes it with the default mode.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


async def _reader(path: Path, undo: AsyncExitStack) -> aiosqlite.Connection:
    reader = await aiosqlite.connect(path, isolation_level=None, cached_statements=256)
    undo.push_async_callback(reader.close)
    await in_thread(reader, _apply, _READER_PRAGMAS)
    return reader


def _apply(connection: sqlite3.Connection, pragmas: Sequence[str]) -> None:
    for pragma in pragmas:
        connection.execute(pragma).fetchall()


def _examine(path: Path) -> int:
    """The version of the schema, 0 for a new file. Raises OutboxUnusable, sqlite3.Error.

    A connection that may write would, when it closes, move a log that a crash left into the file: also into one that
    is damaged, or of a newer emailhub. One that may not would leave an empty log where there was none, and cannot
    undo what a power cut interrupted while the file was made, without which nothing can be read.
    """
    log, journal = (_size(Path(f"{path}{end}")) for end in ("-wal", "-journal"))
    mode = "ro" if log and not journal else "rw"
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None)) as reader:
        if 0 < _size(path) <= QUICK_CHECK_BYTES:
            found = reader.execute("PRAGMA quick_check(1)").fetchone()[0]
            if found != "ok":
                raise OutboxUnusable(f"{path} is damaged: {found}. {faults.WAY_OUT}")
        return _version(reader, path)


def _prepare(connection: sqlite3.Connection, path: Path, version: int) -> None:
    if _size(path) == 0:
        # Only before the first table can a file be told to give pages back later.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    _apply(connection, _WRITER_PRAGMAS)
    _migrate(connection, version)


def _version(connection: sqlite3.Connection, path: Path) -> int:
    """The schema's version, 0 for a new file. Raises OutboxUnusable when it is not one of ours, or too new."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    ours = connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
    if not ours and (version or connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]):
        raise OutboxUnusable(f"{path} is a database, but not emailhub's. Point EMAILHUB_DATABASE at another file")
    newest = migrations()[-1][0]
    if version > newest:
        raise OutboxUnusable(
            f"{path} was written by a newer emailhub (schema {version}, this one knows {newest}). "
            "Nothing was changed. Start the newer version, or restore the backup made before the upgrade"
        )
    return version


def migrations() -> list[tuple[int, str]]:
    """The schema's steps in order: (version it leads to, SQL)."""
    folder = resources.files("emailhub.adapters.sqlite") / "schema"
    files = sorted((entry.name, entry.read_text("utf-8")) for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [(int(name.split("_")[0]), sql) for name, sql in files]


def make(connection: sqlite3.Connection, version: int) -> None:
    """Make an empty file an outbox as the emailhub of schema `version` made it."""
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    _apply(connection, _WRITER_PRAGMAS)
    _migrate(connection, 0, version)


def _migrate(connection: sqlite3.Connection, version: int, to: int | None = None) -> None:
    for number, sql in migrations()[version:to]:
        _step(connection, number, sql)


def _step(connection: sqlite3.Connection, number: int, sql: str) -> None:
    try:
        marks = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {number}"
        connection.executescript(f"BEGIN IMMEDIATE; {sql}; {marks}; COMMIT;")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _free(path: Path) -> int | None:
    try:
        return shutil.disk_usage(path.parent).free
    except OSError:
        return None
