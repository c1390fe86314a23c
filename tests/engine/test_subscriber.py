"""Bodies from the queue become messages, or dead letters with a reason; what cannot be stored now comes again."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec import Struct

from emailhub.core.errors import IdempotencyConflict, InvalidMessage, OutboxError, OutboxFull, Problem, Refused
from emailhub.core.message import Limits
from emailhub.core.records import DeadLetter, Receipt
from emailhub.core.shapes import Properties
from emailhub.engine.intake import Item
from emailhub.engine.subscriber import RUNS, STUMBLES, Subscriber

LIMITS = Limits(size=10_000)


class Delivery(Struct):
    body: bytes
    properties: Properties = Properties()


class Hub:
    """An intake and a graveyard: `answers` by subject, what they store, and what they raise."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.calls: list[int] = []
        self.letters: list[DeadLetter] = []
        self.answers: dict[str, Exception] = {}
        self.bugs: dict[str, Exception] = {}
        self.down: Exception | None = None
        self.buried_down: Exception | None = None

    async def accept_many(self, items: Sequence[Item]) -> list[Receipt | Exception]:
        self.calls.append(len(items))
        if self.down:
            raise self.down
        for submission, _, _ in items:
            if bug := self.bugs.get(submission.subject):
                raise bug
        self.items += items
        return [self.answers.get(item[0].subject) or Receipt(f"em_{item[0].subject}") for item in items]

    async def bury(self, letters: Sequence[DeadLetter]) -> None:
        if self.buried_down:
            raise self.buried_down
        self.letters += letters


@pytest.fixture
def hub() -> Hub:
    return Hub()


@pytest.fixture
def subscriber(hub: Hub) -> Subscriber:
    return Subscriber(hub, hub, limits=LIMITS, now=lambda: 1000.0, new_id=lambda: "made")


def order(subject: str = "Hi", **changes: Any) -> bytes:
    return json.dumps({"to": "ada@example.org", "subject": subject, "body": "text", **changes}).encode()


async def test_an_order_is_stored_with_where_it_came_from(hub: Hub, subscriber: Subscriber) -> None:
    body = order(request_id="r-1")
    properties = Properties(correlation_id="c-1", routing_key="email.queue", redelivered=True)
    assert await subscriber.take([Delivery(body, properties)]) == [True]
    [(submission, origin, facts)] = hub.items
    assert submission.to[0].address == "ada@example.org"
    assert submission.request_id == "r-1"
    assert (origin.face, origin.correlation_id, origin.detail) == ("amqp", "c-1", "email.queue")
    assert facts is not None
    assert (facts.body, facts.redelivered) == (body, True)
    assert facts.body_hash.startswith("sha256:")
    assert hub.letters == []


async def test_an_order_without_any_id_gets_a_correlation_id(hub: Hub, subscriber: Subscriber) -> None:
    await subscriber.take([Delivery(order())])
    assert hub.items[0][1].correlation_id == "made"


async def test_a_batch_is_stored_in_one_call(hub: Hub, subscriber: Subscriber) -> None:
    assert await subscriber.take([Delivery(order(str(n))) for n in range(5)]) == [True] * 5
    assert hub.calls == [5]


@pytest.mark.parametrize(
    ("body", "reason"),
    (
        (b"not json", "unreadable: it is not JSON"),
        (b"", "unreadable: it is empty"),
        (b'{"to": "\xff"}', "unreadable: it is not UTF-8"),
        (order(to="nonsense"), "invalid: to"),
        (order(to="ada@example.org\r\nBcc: eve@example.org"), "invalid: to"),
        (json.dumps({"notification_type": "push", "to": "x@y.z", "body": "a"}).encode(), "not email"),
    ),
    ids=["text", "empty", "binary", "address", "injection", "channel"],
)
async def test_what_is_no_order_becomes_a_dead_letter_with_the_reason(
    hub: Hub, subscriber: Subscriber, body: bytes, reason: str
) -> None:
    properties = Properties(
        content_type="application/json",
        correlation_id="c-1",
        message_id="m-1",
        headers={"x-tenant": "a", "n": 7, "raw": b"\xff", "x-emailhub-reason": "forged"},
        routing_key="email",
    )
    assert await subscriber.take([Delivery(body, properties)]) == [True]
    [letter] = hub.letters
    assert reason in letter.reason
    assert letter.body == body
    assert (letter.at, letter.content_type, letter.correlation_id) == (1000.0, "application/json", "c-1")
    assert letter.headers == {
        "x-tenant": "a",
        "n": "7",
        "raw": "\ufffd",
        "x-emailhub-reason": letter.reason,
        "x-emailhub-original-message-id": "m-1",
        "x-emailhub-original-routing-key": "email",
    }
    assert hub.items == []


async def test_a_body_beyond_every_message_is_not_even_parsed(hub: Hub, subscriber: Subscriber) -> None:
    body = order(body="x" * 100_000)
    assert await subscriber.take([Delivery(body)]) == [True]
    [letter] = hub.letters
    assert "100" in letter.reason
    assert "the limit is" in letter.reason
    assert letter.body == body


async def test_a_large_body_within_the_limit_is_stored(hub: Hub) -> None:
    subscriber = Subscriber(hub, hub, limits=Limits(), now=lambda: 1.0)
    assert await subscriber.take([Delivery(order(body="x" * 1_000_000))]) == [True]
    assert len(hub.items) == 1


@pytest.mark.parametrize(
    ("error", "reason"),
    (
        (IdempotencyConflict("r-1", "em_0"), "conflict: the key 'r-1' was already used"),
        (InvalidMessage((Problem("html", "makes a message of 9 bytes"),)), "invalid: html: makes a message"),
    ),
    ids=["conflict", "size"],
)
async def test_what_intake_refuses_for_good_becomes_a_dead_letter(
    hub: Hub, subscriber: Subscriber, error: Exception, reason: str
) -> None:
    hub.answers = {"bad": error}
    assert await subscriber.take([Delivery(order("good")), Delivery(order("bad")), Delivery(order("fine"))]) == [
        True,
        True,
        True,
    ]
    assert [letter.reason[: len(reason)] for letter in hub.letters] == [reason]


@pytest.mark.parametrize("error", (Refused("outbox_full", "full"), OutboxError("locked")), ids=["full", "locked"])
async def test_what_cannot_be_stored_now_comes_again(hub: Hub, subscriber: Subscriber, error: Exception) -> None:
    hub.answers = {"later": error}
    assert await subscriber.take([Delivery(order("now")), Delivery(order("later"))]) == [True, False]
    assert hub.letters == []


async def test_a_database_that_fails_settles_no_order_but_buries_nothing(hub: Hub, subscriber: Subscriber) -> None:
    hub.down = OutboxFull("no space")
    hub.buried_down = OutboxFull("no space")
    assert await subscriber.take([Delivery(order()), Delivery(b"poison")]) == [False, False]


async def test_a_dead_letter_that_cannot_be_stored_comes_again(hub: Hub, subscriber: Subscriber) -> None:
    hub.buried_down = OutboxError("locked")
    assert await subscriber.take([Delivery(order()), Delivery(b"poison")]) == [True, False]


async def test_our_own_dead_letter_coming_back_is_settled_and_neither_stored_nor_buried(
    hub: Hub, subscriber: Subscriber, caplog: pytest.LogCaptureFixture
) -> None:
    back = Delivery(order(), Properties(headers={"X-Emailhub-Id": "em_1"}))
    assert await subscriber.take([back, back]) == [True, True]
    assert (hub.items, hub.letters) == ([], [])
    warned = [record for record in caplog.records if record.getMessage() == "dead letter came back"]
    assert [record.levelname for record in warned if record.levelname == "WARNING"] == ["WARNING"]


async def test_a_fault_of_ours_in_one_order_leaves_the_others_alone(hub: Hub, subscriber: Subscriber) -> None:
    hub.bugs = {"bug": KeyError("oops")}
    batch = [Delivery(order("one")), Delivery(order("bug")), Delivery(order("two"))]
    assert await subscriber.take(batch) == [True, False, True]
    assert [item[0].subject for item in hub.items] == ["one", "two"]
    assert hub.letters == []


async def test_an_order_that_hits_a_fault_again_and_again_makes_room_for_those_behind_it(
    hub: Hub, subscriber: Subscriber
) -> None:
    hub.bugs = {"bug": KeyError("oops")}
    answers = [await subscriber.take([Delivery(order("bug"))]) for _ in range(STUMBLES)]
    assert answers == [[False]] * (STUMBLES - 1) + [[True]]
    [letter] = hub.letters
    assert "a fault of emailhub" in letter.reason
    assert letter.body == order("bug")


class Crash(BaseException):
    """The process ends."""


class Disk:
    """Marks that outlive processes; `run` is the one that writes them."""

    def __init__(self) -> None:
        self.run = 0
        self.found: dict[str, tuple[int, int]] = {}
        self.down: Exception | None = None

    async def begin(self, digest: str) -> int:
        if self.down:
            raise self.down
        run, times = self.found.get(digest, (-1, 0))
        self.found[digest] = (self.run, times + (run != self.run))
        return self.found[digest][1]

    async def end(self, digest: str) -> None:
        if self.down:
            raise self.down
        del self.found[digest]


def started(hub: Hub, disk: Disk) -> Subscriber:
    """The subscriber of a new process."""
    disk.run += 1
    return Subscriber(hub, hub, limits=LIMITS, now=lambda: 1000.0, new_id=lambda: "made", marks=disk)


def again(subject: str) -> Delivery:
    return Delivery(order(subject), Properties(redelivered=True))


async def test_a_body_that_ends_one_process_after_the_other_is_given_up_and_its_neighbours_are_not(hub: Hub) -> None:
    hub.bugs = {"deadly": Crash()}  # type: ignore[dict-item]
    disk = Disk()
    for _ in range(RUNS - 1):
        with pytest.raises(Crash):
            await started(hub, disk).take([again("before"), again("deadly"), again("behind")])
    assert hub.letters == []
    assert await started(hub, disk).take([again("before"), again("deadly"), again("behind")]) == [True] * 3
    [letter] = hub.letters
    assert letter.body == order("deadly")
    assert f"ended {RUNS - 1} times in a row" in letter.reason
    assert [item[0].subject for item in hub.items] == ["before"] * RUNS + ["behind"]
    assert disk.found == {}


async def test_what_comes_for_the_first_time_is_neither_marked_nor_taken_alone(hub: Hub) -> None:
    disk = Disk()
    disk.down = OutboxError("locked")
    batch = [Delivery(order("1")), Delivery(order("2")), again("3"), Delivery(order("4"))]
    assert await started(hub, disk).take(batch) == [True, True, False, True]
    assert hub.calls == [2, 1]


async def test_a_disk_that_is_full_for_days_makes_no_dead_letter_of_what_comes_again_and_again(hub: Hub) -> None:
    disk = Disk()
    subscriber = started(hub, disk)
    hub.answers = {"later": Refused("outbox_full", "full")}
    for _ in range(2 * RUNS):
        assert await subscriber.take([again("later")]) == [False]
    hub.answers = {}
    assert await subscriber.take([again("later")]) == [True]
    assert hub.letters == []


async def test_no_body_reaches_the_log(hub: Hub, subscriber: Subscriber, caplog: pytest.LogCaptureFixture) -> None:
    await subscriber.take([Delivery(b'{"to": "ada@example.org", "body": "topsecret", ')])
    await subscriber.take([Delivery(order("bad", body="topsecret", to="nonsense"))])
    told = " ".join(str(record.__dict__) for record in caplog.records)
    assert len(caplog.records) == 2
    assert "topsecret" not in told
