"""A body its sender asked not to store: it goes out, nobody reads it, and nothing of it is left once it is final."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from emailhub.core.delivery import State
from emailhub.core.errors import WrongState
from emailhub.engine.keeper import Keeper, Keeping
from emailhub.engine.meter import Meter
from emailhub.engine.room import Room
from emailhub.engine.solo import NoBroker
from tests.support.factories import DAY, NOW, REFUSED, REPORT, SENT, Store, deferred, opened, parcel, results

SECRET = b"Subject: x\r\n\r\nyour code is 471104\r\n"
BY: dict[str, Any] = {"now": NOW, "actor": "op", "note": ""}


async def content(store: Store, id: str) -> bytes:
    """What the file holds, whether or not anybody may read it."""
    ((found,),) = await store.rows("SELECT content FROM body JOIN message USING (seq) WHERE id = ?", id)
    return bytes(found)


async def test_it_is_carried_but_never_read_and_gone_once_sent(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A", store_body=False, content=SECRET), parcel("B", content=SECRET)])
        found = await store.history.find("A")
        assert (found.store_body, found.has_content) == (False, False)
        assert await store.history.content("A") is None
        jobs = {job.id: job for job in await store.claim()}
        assert jobs["A"].content == SECRET
        await store.finish(jobs["A"], deferred(NOW + 60))
        assert await content(store, "A") == SECRET
        (again,) = await store.claim(NOW + 60)
        await store.finish(again, SENT)
        await store.finish(jobs["B"], SENT)
        assert await content(store, "A") == b""
        assert await content(store, "B") == await store.history.content("B") == SECRET


@pytest.mark.parametrize("end", ("refused", "canceled", "expired"))
async def test_it_is_gone_however_the_message_ended_and_cannot_be_sent_again(tmp_path: Path, end: str) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A", store_body=False, content=SECRET)])
        if end == "refused":
            (job,) = await store.claim()
            await store.finish(job, REFUSED)
        elif end == "canceled":
            await store.verbs.cancel("A", **BY)
        else:
            await store.verbs.expire(NOW + 2 * DAY)
        assert await content(store, "A") == b""
        with pytest.raises(WrongState, match="erased"):
            await store.verbs.retry("A", relays=("default",), expires_at=NOW + DAY, **BY)


async def test_it_stays_until_the_last_recipient_is_final(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A", to=("a@x.test", "b@x.test"), store_body=False, content=SECRET)])
        (job,) = await store.claim()
        await store.outbox.record(job, results(job, SENT, deferred(NOW + 60)), REPORT, NOW)
        assert await content(store, "A") == SECRET
        (job,) = await store.claim(NOW + 60)
        assert [one.address for one in job.recipients] == ["b@x.test"]
        await store.finish(job, SENT)
        assert await store.states("A") == [State.SENT, State.SENT]
        assert await content(store, "A") == b""


async def test_not_a_byte_of_it_is_left_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    async with opened(path) as store:
        await store.outbox.add([parcel("A", store_body=False, content=SECRET + b"x" * 100_000)])
        (job,) = await store.claim()
        await store.finish(job, SENT)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    assert b"471104" not in path.read_bytes()


def on_disk(path: Path) -> bytes:
    """All that the outbox's files hold."""
    return b"".join(file.read_bytes() for file in (path, path.with_name(f"{path.name}-wal")))


async def test_within_a_minute_no_file_holds_it_any_more(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    async with opened(path) as store:
        await store.outbox.add([parcel("A", store_body=False, content=SECRET)])
        (job,) = await store.claim()
        assert await store.upkeep.empty_log()
        assert SECRET in on_disk(path), "it is still needed"
        await store.finish(job, SENT)
        await store.outbox.add([parcel("B", store_body=False, content=SECRET)])
        await store.verbs.cancel("B", **BY)
        assert SECRET in on_disk(path)
        keeper = Keeper(
            store.verbs,
            store.upkeep,
            store.history,
            NoBroker(),
            room=Room(most_waiting=10, disk_reserve=0),
            keeping=Keeping(),
            letters_due=lambda: None,
            meter=Meter(),
            now=lambda: NOW,
        )
        await keeper.round()
        assert SECRET not in on_disk(path)
        assert await store.rows("SELECT * FROM meta WHERE key = 'erased'") == []


async def test_the_log_is_emptied_later_when_somebody_reads_it_now(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    async with opened(path) as store:
        await store.outbox.add([parcel("A", store_body=False, content=SECRET)])
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN")
            other.execute("SELECT count(*) FROM message").fetchone()
            await store.verbs.cancel("A", **BY)
            assert not await store.upkeep.empty_log()
            assert SECRET in on_disk(path)
            other.execute("COMMIT")
        assert await store.upkeep.empty_log()
        assert SECRET not in on_disk(path)
