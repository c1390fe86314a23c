"""Group commit: what is told, when, and what one failing write does to the others."""

from __future__ import annotations

import asyncio
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from emailhub.adapters.sqlite.writer import GATHER_FROM, Transaction
from emailhub.core.errors import IdempotencyConflict, OutboxError, OutboxFull
from emailhub.core.records import Event, Receipt
from tests.support.factories import NOW, failing, opened, parcel


def note(value: str) -> object:
    """A write of one row."""
    return lambda tx: tx.execute("INSERT INTO meta (key, value) VALUES (?, '')", (value,)).rowcount


def refuses_after(value: str) -> object:
    """A write that raises after it has written."""

    def work(tx: Transaction) -> None:
        tx.execute("INSERT INTO meta (key, value) VALUES (?, '')", (value,))
        tx.tell("never", NOW, {})
        tx.count(NOW, "sent")
        raise LookupError(value)

    return work


async def test_a_write_that_fails_is_undone_alone_and_tells_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        works = [note("a"), refuses_after("b"), note("c"), note("a"), note("d")]
        answers = await asyncio.gather(*(store.database.write(w) for w in works), return_exceptions=True)  # type: ignore[arg-type]
        assert [answers[0], answers[2], answers[4]] == [1, 1, 1]
        assert isinstance(answers[1], LookupError)
        assert isinstance(answers[3], sqlite3.IntegrityError)
        assert await store.rows("SELECT key FROM meta ORDER BY key") == [("a",), ("c",), ("d",)]
        assert store.events == []
        assert await store.rows("SELECT * FROM minute") == []
        assert store.database.status().writable


async def test_writes_handed_over_together_share_a_commit(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        commits: list[int] = []
        tell = store.database._writer._tell
        store.database._writer._tell = lambda events: (commits.append(len(events)), tell(events))[1]  # type: ignore[method-assign]
        await store.outbox.add([parcel(f"M{number:03}") for number in range(300)])
        assert sum(commits) == 300
        assert len(commits) <= 2


async def test_after_a_full_commit_the_next_waits_for_company(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db", gather=0.5) as store:
        commits: list[int] = []
        tell = store.database._writer._tell
        store.database._writer._tell = lambda events: (commits.append(len(events)), tell(events))[1]  # type: ignore[method-assign]
        await store.outbox.add([parcel(f"M{number}") for number in range(GATHER_FROM)])
        first = asyncio.create_task(store.outbox.add([parcel("A")]))
        for _ in range(10):
            await asyncio.sleep(0)
        await asyncio.gather(first, store.outbox.add([parcel("B")]))
        assert commits == [GATHER_FROM, 2]
        await store.outbox.add([parcel("C")])
        assert store.database._writer._last_group == 1


async def test_bodies_beyond_4_mib_do_not_share_a_commit(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        commits: list[int] = []
        tell = store.database._writer._tell
        store.database._writer._tell = lambda events: (commits.append(len(events)), tell(events))[1]  # type: ignore[method-assign]
        await store.outbox.add([parcel(f"M{number}", content=b"x" * 3_000_000) for number in range(3)])
        assert commits == [1, 1, 1]


async def test_events_are_told_after_their_commit_in_order_and_before_the_caller_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    seen: list[tuple[int, int]] = []
    async with opened(path) as store:
        other = sqlite3.connect(f"file:{path}?mode=ro", uri=True)

        def told(events: list[Event]) -> None:
            stored = other.execute("SELECT coalesce(max(id), 0) FROM event").fetchone()[0]
            seen.extend((event.id, stored) for event in events)

        store.database._writer._on_events = told  # type: ignore[assignment]

        async def add(id: str) -> None:
            await store.outbox.add([parcel(id)])
            assert seen, "the caller goes on before the event was told"

        await asyncio.gather(*(add(f"M{number}") for number in range(20)))
        await add("LAST")
        other.close()
    ids = [id for id, _ in seen]
    assert ids == list(range(1, 22))
    assert all(stored >= id for id, stored in seen)


async def test_a_listener_that_raises_costs_nobody_an_answer(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:

        def broken(_: object) -> None:
            raise ZeroDivisionError

        store.database._writer._on_events = broken
        assert await store.outbox.add([parcel("A")]) == [Receipt("A")]
        assert await store.outbox.add([parcel("B")]) == [Receipt("B")]


async def test_a_cancelled_caller_neither_undoes_its_write_nor_blocks_the_next(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        task = asyncio.create_task(store.outbox.add([parcel("A")]))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await store.outbox.add([parcel("B")])
        assert (await store.history.find("A")).summary.id == "A"


async def test_after_a_failed_sync_nothing_is_written_any_more_and_the_process_is_told(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        with pytest.raises(OutboxError):
            await store.database.write(failing(sqlite3.SQLITE_IOERR))
        assert store.database.broken.done()
        (answer,) = await store.outbox.add([parcel("A")])
        assert isinstance(answer, OutboxError)
        assert await store.rows("SELECT count(*) FROM message") == [(0,)]


async def test_an_error_nobody_expected_leaves_no_caller_waiting(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:

        def odd(tx: Transaction) -> None:
            tx.told.append(("not", "an", "event"))  # type: ignore[arg-type]

        with pytest.raises(OutboxError):
            await asyncio.wait_for(store.database.write(odd), 5)
        assert store.database.broken.done()


async def test_a_full_disk_refuses_whole_messages_heals_by_itself_and_reads_go_on(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("OLD")])

        def limit(extra: int | None) -> object:
            def work(tx: Transaction) -> None:
                pages = tx.execute("PRAGMA page_count").fetchone()[0]
                tx.execute(f"PRAGMA max_page_count = {pages + extra if extra is not None else 1_000_000}")

            return work

        await store.database.write(limit(20))  # type: ignore[arg-type]
        big = [parcel(f"M{number:02}", content=b"x" * 40_000) for number in range(10)]
        answers = await store.outbox.add(big)
        assert all(isinstance(answer, OutboxFull) for answer in answers)
        assert await store.rows("SELECT id FROM message") == [("OLD",)]
        assert await store.rows("SELECT messages FROM tally WHERE state = 'queued'") == [(1,)]
        assert (await store.history.find("OLD")).summary.id == "OLD"
        assert "is full: free space" in store.database.status().detail
        await store.database.write(lambda tx: tx.execute("PRAGMA max_page_count = 1000000").fetchall())
        assert all(isinstance(answer, Receipt) for answer in await store.outbox.add(big))
        assert store.database.status().writable
        assert await store.rows("PRAGMA integrity_check") == [("ok",)]


async def test_a_commit_that_changes_nothing_does_not_tell_that_a_full_disk_is_well(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        pages = (await store.rows("PRAGMA page_count"))[0][0]
        fill = f"PRAGMA max_page_count = {pages}"
        await store.database.write(lambda tx: tx.execute(fill).fetchall())
        (answer,) = await store.outbox.add([parcel("A", content=b"x" * 100_000)])
        assert isinstance(answer, OutboxFull)
        proved = []
        run = "INSERT OR REPLACE INTO meta (key, value) VALUES ('proven', '')"
        await store.database.write(lambda tx: proved.append(tx.execute("SELECT count(*) FROM meta").fetchone()[0]))
        assert await store.rows("SELECT key FROM meta") == [("proven",)], run


async def test_what_is_closed_takes_no_more(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        database = store.database
    with pytest.raises(OutboxError, match="closed"):
        await database.write(lambda _: None)


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_the_log_is_synced_before_the_caller_is_answered(tmp_path: Path) -> None:
    """kill -9 cannot show this: the page cache survives it."""
    script = tmp_path / "write.py"
    script.write_text(
        "import asyncio, os, sys\n"
        "from pathlib import Path\n"
        "from tests.support.factories import opened, parcel\n"
        "async def main():\n"
        "    async with opened(Path(sys.argv[1])) as store:\n"
        "        for number in range(5):\n"
        "            await store.outbox.add([parcel(f'M{number}')])\n"
        "            os.write(2, b'answered %d\\n' % number)\n"
        "asyncio.run(main())\n"
    )
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-y", "-e", "trace=fdatasync,fsync,write,pwrite64", "-o", str(trace)]
    subprocess.run(
        [*command, sys.executable, str(script), str(tmp_path / "hub.db")],
        check=True,
        capture_output=True,
        cwd=Path(__file__).parents[3],
        env={"PYTHONPATH": ".", "PATH": "/usr/bin:/bin"},
        timeout=60,
    )
    steps = re.findall(r"(pwrite64|fdatasync|fsync)\(\d+<[^>]*-wal|(answered)", trace.read_text())
    story = "".join("a" if answered else "w" if call == "pwrite64" else "s" for call, answered in steps)
    assert len(re.findall(r"w+s+(?=a)", story)) == 5, story


async def test_a_group_of_any_size_is_stored_claimed_and_recorded_whole(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        many = [parcel(f"M{number:03}", to=(f"a{number}@x.test", f"b{number}@x.test")) for number in range(149)]
        assert await store.outbox.add(many) == [Receipt(one.id) for one in many]
        jobs = (await store.outbox.claim("default", limit=149, now=NOW)).jobs
        assert [(job.id, [r.address for r in job.recipients]) for job in jobs] == [(one.id, [*one.to]) for one in many]
        assert await store.rows("SELECT count(*), count(DISTINCT seq), max(number) FROM attempt") == [(149, 149, 1)]
        assert await store.rows("SELECT messages FROM tally WHERE state = 'sending'") == [(149,)]


async def test_one_bad_write_of_a_group_leaves_the_others_stored(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        given = [
            parcel("A", key="k", fingerprint=b"one"),
            parcel("B", key="k", fingerprint=b"one"),
            parcel("C", key="k", fingerprint=b"two"),
            parcel("A"),
            parcel("D"),
        ]
        first, same, other, twice, last = await store.outbox.add(given)
        assert (first, same, last) == (Receipt("A"), Receipt("A", replayed=True), Receipt("D"))
        assert isinstance(other, IdempotencyConflict)
        assert isinstance(twice, sqlite3.IntegrityError)
        assert await store.rows("SELECT id FROM message ORDER BY id") == [("A",), ("D",)]
        assert await store.rows("SELECT id FROM idempotency_key") == [("A",)]
        assert [event.message for event in store.events] == ["A", "D"]
