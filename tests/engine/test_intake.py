"""The one door in: what is stored, what is refused, and who is told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from threading import current_thread, main_thread
from typing import Any

import pytest

from emailhub.core import mime
from emailhub.core.delivery import OnUnknown, State
from emailhub.core.diversion import NO_RULES, Diversion
from emailhub.core.errors import IdempotencyConflict, InvalidMessage, Refused
from emailhub.core.message import Attachment, Key, Limits, Mailbox, Priority, Submission
from emailhub.core.records import Origin, Receipt
from emailhub.engine.intake import Defaults, Intake
from emailhub.engine.keys import QueueFacts
from emailhub.engine.meter import Meter
from emailhub.engine.ports import Signer
from emailhub.engine.room import Room
from emailhub.engine.solo import NoBroker
from tests.support.factories import DAY, NOW, Store, opened

ORIGIN = Origin("http", "corr")


class HandsOff(NoBroker):
    """RabbitMQ with an open channel."""

    can_hand_off = True

    def __init__(self) -> None:
        self.handed: list[list[str]] = []

    def hand_off(self, ids: Sequence[str]) -> None:
        self.handed.append(list(ids))


class Door:
    """An intake, and what it told."""

    def __init__(
        self,
        store: Store,
        broker: NoBroker | None = None,
        *,
        diversion: Diversion = NO_RULES,
        signer: Signer | None = None,
        relay: str = "default",
        covered: bool = False,
        **room: Any,
    ) -> None:
        self.wakes = 0
        self.counter = 0
        self.room = Room(**{"most_waiting": 100, "disk_reserve": 1000, **room})
        self.intake = Intake(
            store.outbox,
            broker or NoBroker(),
            wake=self.wake,
            room=self.room,
            limits=Limits(size=4000),
            defaults=Defaults(Mailbox("hub@example.org", "Hub"), relay, DAY, OnUnknown.HOLD),
            meter=Meter(),
            now=lambda: NOW,
            entropy=self.entropy,
            diversion=diversion,
            signer=signer,
            covered=lambda name: covered and name == relay,
        )

    def wake(self, relays: Iterable[str]) -> None:
        self.wakes += 1

    def entropy(self, size: int) -> bytes:
        self.counter += 1
        return self.counter.to_bytes(size, "little")


def submission(**given: Any) -> Submission:
    """A message with only what matters spelled out."""
    return Submission(**{"to": (Mailbox("ada@example.com"),), "subject": "S", "text": "Hello", **given})


async def test_a_message_is_stored_with_the_hubs_defaults_and_the_courier_is_woken(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        door = Door(store)
        receipt = await door.intake.accept(submission(), ORIGIN)
        found = await store.history.find(receipt.id)
        assert (found.sender, found.summary.from_header) == ("hub@example.org", "Hub <hub@example.org>")
        assert (found.summary.relay, found.on_unknown, found.summary.priority) == ("default", OnUnknown.HOLD, 1)
        assert (found.summary.due_at, found.summary.expires_at) == (NOW, NOW + DAY)
        assert found.summary.message_id == f"<{receipt.id}@example.org>"
        content = await store.history.content(receipt.id)
        assert content is not None
        assert found.summary.message_id.encode() in content
        assert (door.wakes, door.room.waiting) == (1, 1)


async def test_of_a_body_that_is_not_to_be_stored_no_copy_is_kept(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        given = submission(text="your code is 471104", store_body=False)
        facts = QueueFacts(b'{"text": "your code is 471104"}', "sha256:x", redelivered=False)
        (receipt,) = await Door(store).intake.accept_many([(given, ORIGIN, facts)])
        assert not isinstance(receipt, Exception)
        assert (await store.history.find(receipt.id)).snippet == ""
        assert await store.rows("SELECT queue_body, snippet FROM body") == [(None, "")]


@pytest.mark.parametrize(
    ("given", "thread"),
    (
        ({"text": "a" * 300_000}, True),
        ({"headers": tuple((f"X-{n}", "ä" * 200) for n in range(50))}, True),
        ({"headers": tuple((f"X-{n}", "a" * 200) for n in range(50))}, False),
    ),
)
async def test_what_takes_long_to_build_is_built_in_a_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], thread: bool
) -> None:
    build, found = mime.build, []

    def seen(*args: Any, **kwargs: Any) -> bytes:
        found.append(current_thread() is not main_thread())
        return build(*args, **kwargs)

    monkeypatch.setattr(mime, "build", seen)
    async with opened(tmp_path / "hub.db") as store:
        door = Door(store)
        door.intake.limits = Limits(size=10**6)
        await door.intake.accept(submission(**given), ORIGIN)
    assert found == [thread]


async def test_what_the_sender_gave_wins_over_the_defaults(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        door = Door(store)
        given = submission(
            sender=Mailbox("me@other.test"),
            on_unknown=OnUnknown.FAIL,
            priority=Priority.HIGH,
            scheduled_at=NOW + 3600,
            expires_at=NOW + 7200,
        )
        found = await store.history.find((await door.intake.accept(given, ORIGIN)).id)
        assert (found.sender, found.on_unknown, found.summary.priority) == ("me@other.test", OnUnknown.FAIL, 0)
        assert (found.summary.due_at, found.summary.expires_at) == (NOW + 3600, NOW + 7200)
        assert found.summary.state is State.SCHEDULED
        assert found.summary.message_id.endswith("@other.test>")


async def test_a_scheduled_message_expires_a_day_after_its_time(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        receipt = await Door(store).intake.accept(submission(scheduled_at=NOW + 9000), ORIGIN)
        assert (await store.history.find(receipt.id)).summary.expires_at == NOW + 9000 + DAY


async def test_with_rabbitmq_fresh_messages_are_handed_off_and_due_by_themselves_in_5_seconds(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        broker = HandsOff()
        door = Door(store, broker)
        answers = await door.intake.accept_many(
            [(submission(), ORIGIN, None), (submission(scheduled_at=NOW + 60), ORIGIN, None)]
        )
        ids = [answer.id for answer in answers if isinstance(answer, Receipt)]
        assert broker.handed == [[ids[0]]]
        assert (await store.history.find(ids[0])).summary.due_at == NOW + 5
        assert (await store.history.find(ids[1])).summary.due_at == NOW + 60


async def test_mail_that_another_relay_carries_does_not_wait_to_be_handed_over(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        door = Door(store, HandsOff(), covered=True)
        receipt = await door.intake.accept(submission(), ORIGIN)
        assert (await store.history.find(receipt.id)).summary.due_at == NOW
        assert door.wakes == 1


async def test_a_replayed_message_is_neither_handed_off_nor_counted_again(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        broker = HandsOff()
        door = Door(store, broker)
        keyed = submission(key=Key("k"))
        first = await door.intake.accept(keyed, ORIGIN)
        again = await door.intake.accept(keyed, Origin("amqp", "other"))
        assert again == Receipt(first.id, replayed=True)
        assert (broker.handed, door.wakes, door.room.waiting) == ([[first.id]], 1, 1)


async def test_the_same_key_with_other_content_is_a_conflict(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        door = Door(store)
        await door.intake.accept(submission(key=Key("k")), ORIGIN)
        with pytest.raises(IdempotencyConflict):
            await door.intake.accept(submission(key=Key("k"), text="Other"), ORIGIN)


async def test_an_implicit_id_with_other_content_is_another_message(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        door = Door(store)
        key = Key("m-1", explicit=False)
        receipts = [await door.intake.accept(submission(key=key, text=text), ORIGIN) for text in ("a", "b", "a")]
        assert [receipt.replayed for receipt in receipts] == [False, False, True]
        assert receipts[2].id == receipts[0].id


async def test_a_queue_body_without_ids_is_matched_only_when_redelivered(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        door = Door(store)

        async def take(*, redelivered: bool) -> bool:
            facts = QueueFacts(b"{}", "hash", redelivered)
            (answer,) = await door.intake.accept_many([(submission(), ORIGIN, facts)])
            assert isinstance(answer, Receipt)
            return answer.replayed

        assert [await take(redelivered=again) for again in (False, False, True)] == [False, False, True]


@pytest.mark.parametrize("field", ("text", "html"))
async def test_a_message_that_is_too_large_is_refused_with_the_field_and_the_limit(tmp_path: Path, field: str) -> None:
    async with opened(tmp_path / "hub.db") as store:
        large = submission(**{"text": None, field: "x" * 5000})
        with pytest.raises(InvalidMessage, match=f"{field}: makes a message of .* the limit is 4000") as caught:
            await Door(store).intake.accept(large, ORIGIN)
        assert "EMAILHUB_MAX_MESSAGE_SIZE" in str(caught.value)
        assert await store.rows("SELECT count(*) FROM message") == [(0,)]


async def test_of_a_message_that_is_too_large_the_largest_file_is_named(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        files = tuple(Attachment(filename="a", content=b"x" * size) for size in (10, 2000, 1000))
        with pytest.raises(InvalidMessage, match=r"attachments\[1\].content: makes a message of .* the limit is 4000"):
            await Door(store).intake.accept(submission(attachments=files), ORIGIN)


async def test_a_large_file_is_encoded_outside_the_loop_and_all_of_it_is_stored(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        door, file = Door(store), Attachment(filename="a", content=b"\x00\xff" * 500_000)
        door.intake.limits = Limits(size=2_000_000)
        receipt = await door.intake.accept(submission(attachments=(file,)), ORIGIN)
        content = await store.history.content(receipt.id)
        assert content is not None
        (part,) = message_from_bytes(content, policy=default).iter_attachments()
        assert part.get_payload(decode=True) == file.content


async def test_a_file_that_is_to_be_fetched_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        file = Attachment(filename="a", path="https://example.org/a")
        with pytest.raises(InvalidMessage, match=r"attachments\[0\].path: is a URL.*EMAILHUB_ATTACHMENT_URLS"):
            await Door(store).intake.accept(submission(attachments=(file,)), ORIGIN)


async def test_a_bad_message_among_good_ones_harms_none_of_them(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        items = [(submission(text=text), ORIGIN, None) for text in ("a", "x" * 5000, "b")]
        answers = await Door(store).intake.accept_many(items)
        assert [type(answer) for answer in answers] == [Receipt, InvalidMessage, Receipt]


@pytest.mark.parametrize(
    ("room", "name", "status", "says"),
    (
        ({"waiting": 100}, "outbox_full", 503, "EMAILHUB_MAX_WAITING"),
        ({"free_disk": 999}, "disk_full", 503, "EMAILHUB_DISK_RESERVE"),
        ({"stopping": True}, "service_unavailable", 503, "stopping"),
    ),
)
async def test_without_room_nothing_is_taken_and_the_reason_is_told(
    tmp_path: Path, room: dict[str, Any], name: str, status: int, says: str
) -> None:
    async with opened(tmp_path / "hub.db") as store:
        door = Door(store, **room)
        with pytest.raises(Refused, match=says) as caught:
            await door.intake.accept(submission(), ORIGIN)
        assert (caught.value.name, caught.value.status) == (name, status)
        assert caught.value.retry_after > 0
        assert await store.rows("SELECT count(*) FROM message") == [(0,)]
        assert door.wakes == 0


async def test_between_two_looks_at_the_disk_what_was_taken_counts_against_the_reserve(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        door = Door(store, free_disk=2000)
        await door.intake.accept(submission(text="x" * 800), ORIGIN)
        with pytest.raises(Refused, match="EMAILHUB_DISK_RESERVE"):
            await door.intake.accept(submission(), ORIGIN)


async def test_a_large_body_is_built_outside_the_loop_with_the_same_result(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        door = Door(store)
        door.intake.limits = Limits(size=2_000_000)
        receipt = await door.intake.accept(submission(text="line\n" * 100_000), ORIGIN)
        content = await store.history.content(receipt.id)
        assert content is not None
        assert content.count(b"line\r\n") == 100_000


async def test_a_message_belongs_to_the_relay_its_sender_s_domain_has_and_without_one_is_refused(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path / "hub.db") as store:
        door = Door(store)
        door.intake._home = {"example.org": "ses"}.get
        receipt = await door.intake.accept(submission(), ORIGIN)
        assert (await store.history.find(receipt.id)).summary.relay == "ses"
        assert await store.rows("SELECT domain FROM message") == [("example.org",)]
        with pytest.raises(InvalidMessage) as caught:
            await door.intake.accept(submission(sender=Mailbox("a@nobody.test")), ORIGIN)
        (problem,) = caught.value.problems
        assert problem.field == "from"
        assert "nobody.test, and no relay may send for it" in problem.message
