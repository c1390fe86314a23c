"""Accepting: what is stored, and when a message is one that was accepted before."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from emailhub.core.delivery import State
from emailhub.core.errors import BatchRefused, IdempotencyConflict
from emailhub.core.records import Job, Origin, Receipt
from tests.support.factories import NOW, SENT, opened, parcel


async def test_everything_given_is_kept_and_told(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        given = parcel(
            "A",
            to=("ada@x.test",),
            cc=("bob@x.test",),
            bcc=("cy@x.test",),
            origin=Origin("amqp", "corr", "email.queue"),
            request_id="r1",
            tags=(("kind", "invoice"),),
            metadata=(("order", "7"),),
            content=b"bytes\x00\xff",
        )
        assert await store.outbox.add([given]) == [Receipt("A")]
        found = await store.history.find("A")
        assert [(r.address, r.kind, r.state, r.due_at) for r in found.recipients] == [
            ("ada@x.test", "to", State.QUEUED, NOW),
            ("bob@x.test", "cc", State.QUEUED, NOW),
            ("cy@x.test", "bcc", State.QUEUED, NOW),
        ]
        assert (found.summary.message_id, found.sender, found.detail) == (given.message_id, given.sender, "email.queue")
        assert (found.tags, found.metadata) == (given.tags, given.metadata)
        assert (found.summary.correlation_id, found.summary.request_id, found.summary.size) == ("corr", "r1", 7)
        assert await store.history.content("A") == b"bytes\x00\xff"
        (event,) = store.events
        assert (event.kind, event.message, event.data["recipients"], event.data["face"]) == ("accepted", "A", 3, "amqp")
        assert await store.history.events("A") == (event,)


async def test_a_scheduled_message_is_due_at_its_time(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A", scheduled_at=NOW + 60)])
        assert await store.states("A") == [State.SCHEDULED]
        assert await store.claim(NOW + 59) == []
        assert len(await store.claim(NOW + 60)) == 1


async def test_the_same_key_and_content_is_the_same_message_even_after_it_failed(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A", key="k", fingerprint=b"one")])
        await store.verbs.cancel("A", now=NOW, actor="test", note="")
        again = parcel("B", key="k", fingerprint=b"one")
        assert await store.outbox.add([again]) == [Receipt("A", replayed=True)]
        assert await store.rows("SELECT id FROM message") == [("A",)]


async def test_the_same_key_with_other_content_is_a_conflict_that_stores_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A", key="k", fingerprint=b"one")])
        answers = await store.outbox.add([parcel("B", key="k", fingerprint=b"two"), parcel("C")])
        assert isinstance(answers[0], IdempotencyConflict)
        assert (answers[0].key, answers[0].id) == ("k", "A")
        assert answers[1] == Receipt("C")
        assert await store.rows("SELECT id FROM message ORDER BY id") == [("A",), ("C",)]


async def test_of_parcels_that_belong_together_all_are_stored_or_none_with_nothing_told(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("OLD", key="k", fingerprint=b"1")])
        told, gone = len(store.events), list[Job]()
        parcels = [
            parcel("A", key="a", fingerprint=b"1", go=gone.append),
            parcel("B", key="k", fingerprint=b"2", go=gone.append),
            parcel("C", key="c", fingerprint=b"1", go=gone.append),
        ]
        with pytest.raises(BatchRefused) as refused:
            await store.outbox.add_all(parcels)
        assert list(refused.value.reasons) == [1]
        assert isinstance(refused.value.reasons[1], IdempotencyConflict)
        assert await store.rows("SELECT id FROM message") == [("OLD",)]
        assert await store.rows("SELECT key FROM idempotency_key") == [("k",)]
        assert (len(store.events), gone) == (told, [])
        receipts = await store.outbox.add_all([parcels[0], parcels[2], parcel("AGAIN", key="k", fingerprint=b"1")])
        assert [(one.id, one.replayed) for one in receipts] == [("A", False), ("C", False), ("OLD", True)]
        assert [job.id for job in gone] == ["A", "C"]


async def test_fifty_at_once_with_one_key_are_one_message(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        parcels = [parcel(f"M{number:02}", key="k", fingerprint=b"one") for number in range(50)]
        answers = [answer for (answer,) in await asyncio.gather(*(store.outbox.add([one]) for one in parcels))]
        assert {answer.id for answer in answers if isinstance(answer, Receipt)} == {"M00"}
        assert sum(isinstance(answer, Receipt) and not answer.replayed for answer in answers) == 1
        assert await store.rows("SELECT count(*) FROM message") == [(1,)]
        assert [event.kind for event in store.events] == ["accepted"]


async def test_a_queue_body_without_ids_is_the_same_only_when_it_was_redelivered(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        hashed = {"key": "hash", "key_explicit": False, "fingerprint": b"one"}
        assert await store.outbox.add([parcel("A", **hashed)]) == [Receipt("A")]
        assert await store.outbox.add([parcel("B", **hashed, key_matches=False)]) == [Receipt("B")]
        redelivered = parcel("C", **hashed, key_matches=True)
        assert await store.outbox.add([redelivered]) == [Receipt("B", replayed=True)]


async def test_a_redelivered_body_is_not_taken_for_one_of_the_day_before_yesterday(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        hashed = {"key": "hash", "key_explicit": False, "fingerprint": b"one"}
        await store.outbox.add([parcel("A", **hashed)])
        later = NOW + 30 * 3600.0
        today = parcel("B", **hashed, accepted_at=later, key_since=later - 86400.0)
        assert await store.outbox.add([today]) == [Receipt("B")]
        again = parcel("C", **hashed, accepted_at=later + 1, key_since=later - 86400.0)
        assert await store.outbox.add([again]) == [Receipt("B", replayed=True)]


async def test_keys_are_freed_only_when_both_they_and_the_final_state_are_old(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("OPEN", key="open"), parcel("LATE", key="late"), parcel("OLD", key="old")])
        jobs = {job.id: job for job in await store.claim()}
        await store.finish(jobs["OLD"], SENT, NOW + 10)
        await store.finish(jobs["LATE"], SENT, NOW + 1000)
        assert await store.upkeep.erase_keys(NOW + 500) == 1
        assert await store.rows("SELECT key FROM idempotency_key ORDER BY key") == [("late",), ("open",)]
