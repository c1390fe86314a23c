"""Staging on production data: what the rules divert or keep back at acceptance never reaches a customer later."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from emailhub.core.delivery import Outcome, Reason, State, Verb
from emailhub.core.diversion import Diversion
from emailhub.core.errors import IdempotencyConflict
from emailhub.core.message import Key, Mailbox, Submission
from emailhub.core.records import Detail, Origin
from emailhub.engine.keys import QueueFacts
from tests.engine.test_intake import ORIGIN, Door, HandsOff
from tests.support.factories import DAY, NOW, REFUSED, SENT, Store, opened

DEV = "dev@team.test"
CAPTURED = Outcome(Verb.SENT, State.SENT, Reason.CAPTURED)
TO_DEV = Diversion(DEV)
ALLOW = Diversion(allow=("team.test",))


def mixed(**given: object) -> Submission:
    """A message to one of us, to two customers, one of them blind."""
    fields = {
        "to": (Mailbox("ann@customer.org", "Ann"), Mailbox("me@team.test")),
        "bcc": (Mailbox("secret@customer.org"),),
        "subject": "Your invoice",
        "text": "Hello",
    }
    return Submission(**{**fields, **given})


def envelope(detail: Detail) -> list[tuple[str, str]]:
    return [(recipient.kind, recipient.address) for recipient in detail.recipients]


async def accepted_event(store: Store, id: str) -> dict[str, object]:
    return next(event.data for event in await store.history.events(id) if event.kind == "accepted")


async def companion_of(store: Store, id: str) -> Detail:
    return await store.history.find(str((await accepted_event(store, id))["companion"]))


async def test_divert_to_changes_the_envelope_and_nothing_of_the_message(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        id = (await Door(store, diversion=TO_DEV).intake.accept(mixed(), ORIGIN)).id
        found = await store.history.find(id)
        assert envelope(found) == [("to", DEV)]
        assert found.diverted == ("ann@customer.org", "me@team.test", "secret@customer.org")
        assert (found.summary.relay, found.summary.recipients) == ("default", 1)
        assert found.summary.to_header == "Ann <ann@customer.org>"
        content = await store.history.content(id)
        assert content is not None
        assert b"To: Ann <ann@customer.org>, me@team.test\r\n" in content
        for leak in (DEV.encode(), b"secret@", b"ivert"):
            assert leak not in content
        told = await accepted_event(store, id)
        assert told["text"] == (
            "diverted to dev@team.test (EMAILHUB_DIVERT_TO): ann@customer.org, me@team.test, secret@customer.org"
        )
        assert (told["diverted"], told["recipients"]) == (3, 1)


async def test_a_diverted_message_never_goes_to_its_originals_though_the_rule_is_gone(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        door = Door(store, diversion=TO_DEV)
        id = (await door.intake.accept(mixed(), ORIGIN)).id
        door.intake.diversion = Diversion()
        (job,) = await store.claim()
        assert [recipient.address for recipient in job.recipients] == [DEV]
        await store.finish(job, REFUSED)
        await store.verbs.retry(id, relays=("default",), now=NOW, expires_at=NOW + DAY, actor="ann", note="")
        (job,) = await store.claim()
        assert [recipient.address for recipient in job.recipients] == [DEV]


async def test_recipients_that_are_allowed_get_it_and_the_rest_is_kept_as_a_linked_message(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        door = Door(store, diversion=ALLOW)
        id = (await door.intake.accept(mixed(request_id="r-1"), ORIGIN)).id
        real, kept = await store.history.find(id), await companion_of(store, id)
        assert (real.summary.relay, envelope(real)) == ("default", [("to", "me@team.test")])
        assert real.diverted == ("ann@customer.org", "secret@customer.org")
        assert kept.summary.relay == "capture"
        assert envelope(kept) == [("to", "ann@customer.org"), ("bcc", "secret@customer.org")]
        assert kept.diverted == ()
        assert (real.summary.to_header, kept.summary.to_header) == ("me@team.test", "ann@customer.org")
        assert (await accepted_event(store, kept.summary.id))["companion"] == id
        assert await store.history.content(id) == await store.history.content(kept.summary.id)
        assert kept.summary.message_id == real.summary.message_id
        assert [job.id for job in await store.claim()] == [id]
        (job,) = (await store.outbox.claim("capture", limit=5, now=NOW)).jobs
        await store.finish(job, CAPTURED)
        assert await store.history.states_of_request("r-1") == (State.SENDING,)
        assert door.room.waiting == 2


async def test_a_message_for_nobody_allowed_is_captured_whole(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        door = Door(store, diversion=ALLOW)
        stranger = mixed(to=(Mailbox("ann@customer.org"),))
        found = await store.history.find((await door.intake.accept(stranger, ORIGIN)).id)
        assert (found.summary.relay, found.diverted) == ("capture", ())
        assert envelope(found) == [("to", "ann@customer.org"), ("bcc", "secret@customer.org")]
        told = await accepted_event(store, found.summary.id)
        assert told["text"] == "kept back, not in EMAILHUB_ALLOW_RECIPIENTS: ann@customer.org, secret@customer.org"
        assert await store.claim() == []


async def test_what_was_kept_back_stays_with_the_capture_relay_through_failure_and_retry(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        id = (await Door(store, diversion=ALLOW).intake.accept(mixed(), ORIGIN)).id
        kept = (await companion_of(store, id)).summary.id
        await store.verbs.cancel(kept, now=NOW, actor="ann", note="")
        relays = ("default", "capture")
        await store.verbs.retry(kept, relays=relays, now=NOW, expires_at=NOW + DAY, actor="ann", note="")
        assert (await store.history.find(kept)).summary.relay == "capture"


async def test_with_both_rules_the_allowed_get_it_and_one_address_gets_it_for_the_rest(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        both = Diversion("box@other.test", ("team.test",))
        found = await store.history.find((await Door(store, diversion=both).intake.accept(mixed(), ORIGIN)).id)
        assert envelope(found) == [("to", "me@team.test"), ("to", "box@other.test")]
        assert found.diverted == ("ann@customer.org", "secret@customer.org")
        assert "companion" not in await accepted_event(store, found.summary.id)


@pytest.mark.parametrize("relay", ("capture", "chaos"))
async def test_where_everything_is_captured_nothing_is_split_and_a_diverted_envelope_is_kept(
    tmp_path: Path, relay: str
) -> None:
    async with opened(tmp_path / "hub.db") as store:
        door = Door(store, diversion=ALLOW, relay=relay)
        whole = await door.intake.accept(mixed(), ORIGIN)
        found = await store.history.find(whole.id)
        assert (found.summary.relay, found.summary.recipients, found.diverted) == (relay, 3, ())
        door.intake.diversion = TO_DEV
        diverted = await door.intake.accept(mixed(), ORIGIN)
        assert envelope(await store.history.find(diverted.id)) == [("to", DEV)]
        await store.verbs.copy(diverted.id, new_id="C", relay="default", now=NOW, expires_at=NOW + DAY, actor="ann")
        copy = await store.history.find("C")
        assert envelope(copy) == [("to", DEV)]
        assert copy.diverted == ("ann@customer.org", "me@team.test", "secret@customer.org")


async def test_the_key_answers_with_the_message_that_goes_out_whatever_the_rules_are_by_then(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        door = Door(store, diversion=ALLOW)
        first = await door.intake.accept(mixed(key=Key("k")), ORIGIN)
        door.intake.diversion = TO_DEV
        again = await door.intake.accept(mixed(key=Key("k")), Origin("amqp", "other"))
        assert (again.id, again.replayed) == (first.id, True)
        with pytest.raises(IdempotencyConflict):
            await door.intake.accept(mixed(key=Key("k"), text="Other"), ORIGIN)
        assert await store.rows("SELECT count(*) FROM message") == [(2,)]
        assert await store.rows("SELECT count(*) FROM idempotency_key") == [(1,)]


async def test_only_the_part_that_goes_out_is_handed_to_rabbitmq_and_keeps_the_queues_body(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        broker = HandsOff()
        door = Door(store, broker, diversion=ALLOW)
        facts = QueueFacts(b'{"secret": 1}', "hash", redelivered=False)
        (receipt,) = await door.intake.accept_many([(mixed(), ORIGIN, facts)])
        assert not isinstance(receipt, Exception)
        assert broker.handed == [[receipt.id]]
        kept = (await companion_of(store, receipt.id)).summary
        assert kept.due_at == NOW
        bodies = await store.rows("SELECT m.relay, b.queue_body FROM message m JOIN body b USING (seq)")
        assert dict(bodies) == {"default": b'{"secret": 1}', "capture": None}


async def test_a_scheduled_message_keeps_both_its_parts_waiting(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        id = (await Door(store, diversion=ALLOW).intake.accept(mixed(scheduled_at=NOW + 60), ORIGIN)).id
        for detail in (await store.history.find(id), await companion_of(store, id)):
            assert (detail.summary.state, detail.summary.due_at) == (State.SCHEDULED, NOW + 60)


async def test_both_parts_are_stored_or_none(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        door = Door(store, diversion=ALLOW)
        door.intake._entropy = bytes  # both parts get the same id, which the table refuses for the second
        with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
            await door.intake.accept(mixed(), ORIGIN)
        assert await store.rows("SELECT count(*) FROM message") == [(0,)]


async def test_what_was_sent_is_told_apart_from_what_was_kept_in_the_log_of_events(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        id = (await Door(store, diversion=ALLOW).intake.accept(mixed(), ORIGIN)).id
        (job,) = await store.claim()
        await store.finish(job, SENT)
        assert await store.states(id) == [State.SENT]
        assert await store.states((await companion_of(store, id)).summary.id) == [State.QUEUED] * 2
