"""Opening the outbox: who may, what is checked, and that a file we cannot use is left as it is."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from emailhub.adapters.sqlite import database as module
from emailhub.adapters.sqlite import open_database
from emailhub.core.errors import OutboxBusy, OutboxUnusable
from tests.support.factories import opened, parcel


def whole(path: Path) -> list[bytes | None]:
    """What the file and the log beside it hold."""
    files = (path, path.with_name(f"{path.name}-wal"))
    return [file.read_bytes() if file.exists() else None for file in files]


async def killed(path: Path, version: int | None = None) -> None:
    """An outbox at `path` as a killed process leaves it: the last commits are only in its log."""
    source = path.with_name(f"source {path.name}")
    async with opened(source) as store:
        await store.outbox.add([parcel(f"M{number:03}", content=b"x" * 3000) for number in range(50)])
        await store.database.write(lambda tx: tx.execute(f"PRAGMA user_version = {version}") if version else None)
        for end in ("", "-wal"):
            shutil.copy(f"{source}{end}", f"{path}{end}")


async def refused(path: Path) -> str:
    """Why the file at `path` is not opened; nothing in it was changed."""
    before = whole(path)
    with pytest.raises(OutboxUnusable) as caught:
        await open_database(path, on_events=lambda _: None, lock_wait=0)
    assert whole(path) == before
    return str(caught.value)


HOLDER = """
import fcntl, sys
held = open(sys.argv[1], "ab")
fcntl.flock(held, fcntl.LOCK_EX)
print("held", flush=True)
input()
"""


async def test_a_second_process_waits_and_is_told_who_holds_the_file(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, f"{path}.lock", stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    await holder.stdout.readline()
    with pytest.raises(OutboxBusy, match=r"another emailhub holds .*hub\.db; it has not let go for 0 s"):
        await open_database(path, on_events=lambda _: None, lock_wait=0.3)
    waiting = asyncio.create_task(open_database(path, on_events=lambda _: None, lock_wait=30))
    await asyncio.sleep(0)
    await holder.communicate(b"\n")
    await (await asyncio.wait_for(waiting, 10)).close()


async def test_the_file_is_for_its_owner_only_and_so_are_its_companions(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A")])
        for name in ("hub.db", "hub.db-wal", "hub.db-shm"):
            assert (tmp_path / name).stat().st_mode & 0o777 == 0o600, name


async def test_every_commit_is_synced_and_readers_cannot_write(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        ask = ("journal_mode", "synchronous", "foreign_keys", "auto_vacuum", "secure_delete")
        found = await store.database.write(lambda tx: [tx.execute(f"PRAGMA {name}").fetchone()[0] for name in ask])
        assert found == ["wal", 2, 1, 2, 1]
        for _ in range(module.READERS):
            assert await store.rows("PRAGMA query_only") == [(1,)]
            assert await store.rows("PRAGMA wal_autocheckpoint") == [(0,)]
        with pytest.raises(OutboxUnusable):
            await store.database.read(lambda c: c.execute("DELETE FROM message"))


async def test_what_was_written_is_there_after_closing_and_opening(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A")])
    assert not (tmp_path / "hub.db-wal").exists()
    async with opened(tmp_path / "hub.db") as store:
        assert (await store.history.find("A")).summary.id == "A"


def not_a_database(path: Path) -> None:
    path.write_bytes(b"this is a letter, not a database. " * 100)


def foreign(path: Path) -> None:
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE bookmarks (url TEXT)")
    other.close()


def foreign_with_a_version(path: Path) -> None:
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE bookmarks (url TEXT)")
        other.execute("PRAGMA user_version = 1")
    other.close()


@pytest.mark.parametrize(
    ("make", "says"),
    (
        (not_a_database, "is not a database"),
        (foreign, "a database, but not emailhub's"),
        (foreign_with_a_version, "a database, but not emailhub's"),
    ),
)
async def test_a_file_that_is_not_ours_is_refused_and_left_alone(
    tmp_path: Path, make: Callable[[Path], None], says: str
) -> None:
    path = tmp_path / "hub.db"
    make(path)
    why = await refused(path)
    assert says in why
    assert "EMAILHUB_DATABASE" in why


async def test_a_damaged_outbox_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    async with opened(path) as store:
        await store.outbox.add([parcel(f"M{number:03}", content=b"x" * 3000) for number in range(50)])
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2 : len(raw) // 2 + 9000] = b"\xff" * 9000
    path.write_bytes(raw)
    assert "damaged" in await refused(path)


async def test_a_damaged_outbox_that_a_crash_left_is_refused_and_its_log_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    await killed(path)
    log = tmp_path / "hub.db-wal"
    assert log.stat().st_size > 100_000
    # Beyond the header, a page in the middle of the file that the log does not hold.
    with sqlite3.connect(tmp_path / "source hub.db") as whole_file:
        assert whole_file.execute("PRAGMA quick_check").fetchone() == ("ok",)
    whole_file.close()
    raw = bytearray((tmp_path / "source hub.db").read_bytes())
    raw[4096 * 5 : 4096 * 40] = b"\xff" * 4096 * 35
    path.write_bytes(raw)
    log.write_bytes(log.read_bytes()[: 32 + 4120])
    assert "damaged" in await refused(path)


async def test_a_newer_outbox_that_a_crash_left_is_refused_and_its_log_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    await killed(path, 99)
    assert "newer emailhub (schema 99" in await refused(path)


async def test_a_file_whose_making_was_cut_off_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    source = sqlite3.connect(tmp_path / "source.db", isolation_level=None)
    source.executescript("PRAGMA journal_mode = DELETE; PRAGMA cache_size = 1; VACUUM; BEGIN")
    source.execute("CREATE TABLE half (x)")
    source.execute("INSERT INTO half VALUES (zeroblob(100000))")  # more than the cache holds: it is in the file by now
    for end in ("", "-journal"):
        shutil.copy(f"{tmp_path / 'source.db'}{end}", f"{path}{end}")
    source.close()
    async with opened(path) as store:
        assert await store.rows("SELECT name FROM sqlite_schema WHERE name = 'half'") == []


async def test_an_outbox_of_a_newer_emailhub_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    async with opened(path):
        pass
    other = sqlite3.connect(path)
    other.execute("PRAGMA journal_mode = DELETE")
    other.execute("PRAGMA user_version = 99")
    other.close()
    assert "newer emailhub (schema 99" in await refused(path)


async def test_a_read_only_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "hub.db"
    async with opened(path):
        pass
    # Root may write everywhere, so that no mode makes a file read-only for every user of this test.
    monkeypatch.setattr(module, "_make_private", read_only)
    assert "Read-only file system. Point EMAILHUB_DATABASE at a writable place" in await refused(path)


def read_only(path: Path) -> None:
    """What the system says of a file on a disk that is mounted read-only."""
    raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))


async def test_a_folder_and_a_path_below_a_file_are_refused_with_the_next_step(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file" / "hub.db"):
        with pytest.raises(OutboxUnusable, match="Point EMAILHUB_DATABASE at a writable place"):
            await open_database(path, on_events=lambda _: None, lock_wait=0)


async def test_a_migration_that_breaks_leaves_the_old_schema_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "hub.db"
    async with opened(path) as store:
        await store.outbox.add([parcel("A")])
    known = module.migrations()
    next_one = known[-1][0] + 1
    broken = (next_one, "CREATE TABLE extra (x); INSERT INTO extra VALUES (1); CREATE TABLE message (x);")
    monkeypatch.setattr(module, "migrations", lambda: [*known, broken])
    with pytest.raises(Exception, match="already exists"):
        await open_database(path, on_events=lambda _: None, lock_wait=0)
    monkeypatch.setattr(module, "migrations", lambda: [*known, (next_one, "CREATE TABLE extra (x);")])
    async with opened(path) as store:
        assert await store.rows("PRAGMA user_version") == [(next_one,)]
        assert await store.rows("SELECT count(*) FROM extra") == [(0,)]
        assert (await store.history.find("A")).summary.id == "A"
