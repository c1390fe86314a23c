"""Keeping the file in order: erasing, giving space back, dead letters, backups."""

from __future__ import annotations

import sqlite3
from functools import partial
from pathlib import Path

import msgspec
import pytest

from emailhub.adapters.sqlite.relays import SqliteRelays
from emailhub.adapters.sqlite.upkeep import _erase_bodies, backup
from emailhub.core.breaker import Mode, Phase, Snapshot
from emailhub.core.delivery import Reason, State
from emailhub.core.records import DeadLetter
from tests.support.factories import DAY, NOW, REFUSED, SENT, Store, deferred, opened, parcel


async def sent(store: Store, *ids: str, at: float = NOW) -> None:
    """Messages that were sent `at`."""
    await store.outbox.add([parcel(id, content=b"x" * 5000) for id in ids])
    for job in await store.claim(ids=ids):
        if job.id in ids:
            await store.finish(job, SENT, at)


async def test_bodies_go_before_their_messages_and_nothing_unfinished_is_touched(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await sent(store, "OLD")
        await sent(store, "NEW", at=NOW + 100)
        await store.outbox.add([parcel("WAITS", accepted_at=NOW - 10 * DAY)])
        assert await store.upkeep.erase_bodies(NOW + 50) == 1
        assert await store.upkeep.erase_bodies(NOW + 50) == 0
        assert [await store.history.content(id) is None for id in ("OLD", "NEW", "WAITS")] == [True, False, False]
        assert not (await store.history.find("OLD")).has_content
        assert await store.upkeep.erase_messages(NOW + 50) == 1
        assert await store.rows("SELECT id FROM message ORDER BY seq") == [("NEW",), ("WAITS",)]
        for table in ("body", "recipient"):
            assert await store.rows(f"SELECT count(*) FROM {table}") == [(2,)]
        assert await store.rows("SELECT count(*) FROM attempt") == [(1,)]
        assert await store.rows("SELECT count(*) FROM event WHERE seq IS NULL") == [(0,)]
        assert (await store.history.totals()).by_state[State.SENT] == 1


async def test_a_body_that_became_final_later_is_erased_in_its_turn(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await sent(store, "A", at=NOW + 10)
        assert await store.upkeep.erase_bodies(NOW + 20) == 1
        await sent(store, "B", at=NOW + 10)
        await sent(store, "C", at=NOW + 15)
        assert await store.upkeep.erase_bodies(NOW + 20) == 2


async def test_a_body_that_is_needed_again_since_it_was_found_stays(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A")])
        (job,) = await store.claim()
        await store.finish(job, REFUSED, NOW)
        (seq,) = (await store.rows("SELECT seq FROM message"))[0]
        erase = partial(_erase_bodies, found=[seq], before=NOW + 50)
        until = NOW + DAY
        await store.verbs.retry("A", relays=("default",), now=NOW + 60, expires_at=until, actor="ann", note="")
        assert await store.database.write(erase) == 0
        assert await store.history.content("A") is not None


async def test_more_than_a_batch_is_erased_batch_by_batch_and_the_file_shrinks(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    async with opened(path) as store:
        await store.outbox.add([parcel(f"M{number:04}", content=b"x" * 20_000) for number in range(1100)])
        while jobs := await store.claim(limit=200):
            for job in jobs:
                await store.finish(job, SENT)
        full = (await store.rows("PRAGMA page_count"))[0][0]
        assert [await store.upkeep.erase_messages(NOW + 1) for _ in range(4)] == [500, 500, 100, 0]
        left = [await store.upkeep.give_back() for _ in range(5)]
        assert left == sorted(left, reverse=True)
        assert left[0] > left[-1], left
        assert (await store.rows("PRAGMA page_count"))[0][0] < full / 2
        assert await store.rows("PRAGMA integrity_check") == [("ok",)]


async def test_an_erased_body_is_gone_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    async with opened(path) as store:
        await store.outbox.add([parcel("A", content=b"the secret of the house " * 300)])
        (job,) = await store.claim()
        await store.finish(job, SENT)
        await store.upkeep.erase_bodies(NOW + 1)
    assert b"secret of the house" not in path.read_bytes()


async def test_an_erased_message_cannot_be_sent_again(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A")])
        (job,) = await store.claim()
        await store.finish(job, REFUSED)
        await store.upkeep.erase_bodies(NOW + 1)
        with pytest.raises(Exception, match="erased"):
            await store.verbs.retry("A", relays=["default"], now=NOW, expires_at=NOW + DAY, actor="op", note="")
        assert await store.states("A") == [State.FAILED]


async def test_a_failed_recipient_leaves_its_dead_letter_in_the_same_commit(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A", request_id="r1")])
        (job,) = await store.claim()
        await store.finish(job, REFUSED, NOW + 5, text="550 5.1.1 no such user")
        (letter,) = await store.upkeep.pending_letters(10)
        facts = msgspec.json.decode(letter.body)
        assert (facts["id"], facts["request_id"], facts["recipient"]) == ("A", "r1", "a@example.com")
        assert (facts["reason"], facts["error"], facts["attempts"]) == ("refused", "550 5.1.1 no such user", 1)
        assert letter.headers["x-emailhub-id"] == "A"
        await store.upkeep.confirm_letter(letter, NOW + 6)
        assert await store.upkeep.pending_letters(10) == []
        assert [event.kind for event in await store.history.events("A")][-1] == "dead_letter"


async def test_the_original_body_goes_along_only_when_it_came_from_the_queue(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("Q", queue_body=b'{"to":"x"}'), parcel("H", content=b"password: hunter2\r\n")])
        for job in await store.claim():
            await store.finish(job, REFUSED)
        bodies = {letter.message: letter.body for letter in await store.upkeep.pending_letters(10)}
        assert bodies["Q"] == b'{"to":"x"}'
        assert b"hunter2" not in bodies["H"]


async def test_without_a_dead_letter_queue_none_are_kept(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db", dead_letters=False) as store:
        await store.outbox.add([parcel("A")])
        (job,) = await store.claim()
        await store.finish(job, REFUSED)
        assert await store.upkeep.pending_letters(10) == []


async def test_an_unreadable_queue_body_is_kept_whole_until_it_is_published(tmp_path: Path) -> None:
    letter = DeadLetter(
        id=0, at=NOW, reason="no json", body=b"\xff\x00", headers={"a": "b"}, content_type="text/x", correlation_id="c"
    )
    async with opened(tmp_path / "hub.db") as store:
        await store.upkeep.bury([letter])
    async with opened(tmp_path / "hub.db") as store:
        (kept,) = await store.upkeep.pending_letters(10)
        assert (kept.body, kept.headers, kept.content_type, kept.reason) == (
            b"\xff\x00",
            {"a": "b"},
            "text/x",
            "no json",
        )


async def test_a_breaker_and_the_identity_survive_a_restart(tmp_path: Path) -> None:
    snapshot = Snapshot(phase=Phase.OPEN, mode=Mode.OPEN, epoch=7, since=NOW, actor="op", note="n", until=NOW + 9)
    async with opened(tmp_path / "hub.db") as store:
        assert await store.upkeep.load_breaker("default") is None
        await store.upkeep.save_breaker("default", snapshot, NOW, "breaker_forced", {"actor": "op"})
        assert await store.upkeep.identity("one") == "one"
        assert [event.relay for event in await store.history.relay_events("default", 5)] == ["default"]
    async with opened(tmp_path / "hub.db") as store:
        assert await store.upkeep.load_breaker("default") == snapshot
        assert await store.upkeep.identity("two") == "one"


@pytest.mark.parametrize("name", ("copy.db", "odd ?name#with%20signs.db"))
async def test_a_backup_of_a_running_outbox_is_held_when_it_is_opened(tmp_path: Path, name: str) -> None:
    source, target = tmp_path / name.replace("copy", "hub"), tmp_path / f"backup {name}"
    async with opened(source) as store:
        await store.outbox.add([parcel(id) for id in ("WAITS", "SENDING", "SENT")])
        for job in await store.claim(ids=["SENDING", "SENT"], limit=2):
            if job.id == "SENT":
                await store.finish(job, SENT)
        size = backup(source, target, NOW)
        assert size == target.stat().st_size
        assert target.stat().st_mode & 0o777 == 0o600
        assert await store.states("WAITS") == [State.QUEUED]
    days_later = NOW + 5 * DAY
    async with opened(target) as store:
        assert await store.rows("PRAGMA auto_vacuum") == [(2,)]
        assert await store.verbs.hold_restored(days_later) == 2
        assert await store.verbs.expire(days_later) == ()
        assert [await store.states(id) for id in ("WAITS", "SENDING", "SENT")] == [
            [State.HELD],
            [State.HELD],
            [State.SENT],
        ]
        assert (await store.history.find("WAITS")).summary.reason is Reason.RESTORED
        assert await store.outbox.open_jobs() == []
        assert await store.verbs.hold_restored(days_later) == 0


def test_a_backup_never_overwrites_and_leaves_nothing_when_it_fails(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("mine")
    with pytest.raises(FileExistsError):
        backup(tmp_path / "hub.db", tmp_path / "there", NOW)
    with pytest.raises(sqlite3.Error):
        backup(tmp_path / "absent.db", tmp_path / "new", NOW)
    assert [entry.name for entry in sorted(tmp_path.iterdir())] == ["there"]


async def test_what_waits_for_a_relay_that_is_gone_is_held(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add(
            [parcel("A", relay="gone"), parcel("B"), parcel("C", relay="gone", scheduled_at=NOW + 9)]
        )
        (job,) = await store.claim(limit=1)
        await store.finish(job, deferred(NOW + 60))
        assert await SqliteRelays(store.database).rehome({"default"}, lambda _: None, NOW) == (0, 2)
        assert [await store.states(id) for id in "ABC"] == [[State.HELD], [State.DEFERRED], [State.HELD]]
        assert (await store.history.find("A")).summary.reason is Reason.NO_RELAY
