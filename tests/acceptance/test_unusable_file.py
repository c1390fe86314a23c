"""A database that cannot be used: the process does not start, says the way out, and leaves every byte as it was."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from tests.acceptance.hub import Hub
from tests.support.factories import opened, parcel

CONFIGURATION = 78
Break = Callable[[Path], None]


def _overwritten(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[8192:40960] = b"\xff" * 32768
    path.write_bytes(raw)


def _cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:20_000])


def _a_letter(path: Path) -> None:
    path.write_text("Dear hub, this is no database.\n" * 100)


def _newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA user_version = 99")


def _of_others(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as file:
        file.execute("CREATE TABLE bookmarks (url TEXT)")


CASES: dict[str, tuple[Break, str, str]] = {
    "overwritten": (_overwritten, "is damaged", "Restore a backup"),
    "cut short": (_cut_short, "is damaged", "Restore a backup"),
    "a letter": (_a_letter, "not a database", "point EMAILHUB_DATABASE at another file"),
    "newer": (_newer, "newer emailhub (schema 99", "Start the newer version"),
    "of others": (_of_others, "not emailhub's", "Point EMAILHUB_DATABASE at another file"),
}


async def test_it_does_not_start_says_what_to_do_and_changes_nothing(tmp_path: Path) -> None:
    await asyncio.gather(*(_refuses(tmp_path / case, *CASES[case]) for case in CASES))


async def _refuses(folder: Path, break_it: Break, says: str, way_out: str) -> None:
    folder.mkdir()  # noqa: ASYNC240 - nothing else runs yet
    hub = Hub(folder, {})
    async with opened(hub.database) as store:
        await store.outbox.add([parcel(f"M{number}", content=b"x" * 3000) for number in range(40)])
    break_it(hub.database)
    before = _all(folder)
    try:
        await hub.spawn()
        assert hub.process is not None
        async with asyncio.timeout(20):
            assert await hub.process.wait() == CONFIGURATION
    finally:
        await hub.close()
    assert says in hub.output()
    assert way_out in hub.output()
    assert _all(folder) == before


def _all(folder: Path) -> dict[str, bytes]:
    """Every file that is not empty, but for the output."""
    files = [path for path in folder.iterdir() if path.name != "log" and path.stat().st_size]
    return {path.name: path.read_bytes() for path in files}
