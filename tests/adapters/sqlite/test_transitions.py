"""Every verb of the outbox: from which states it works, what it leaves behind, and what it never touches."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from emailhub.adapters.sqlite.relays import SqliteRelays
from emailhub.core.delivery import OnUnknown, Reason, State, Wish
from emailhub.core.errors import NotFound, OutboxError, WrongState
from emailhub.core.records import Result
from emailhub.core.verdict import Stage
from tests.support.factories import DAY, NOW, REFUSED, REPORT, SENT, Store, deferred, opened, parcel, results

BY = {"now": NOW, "actor": "op from ::1", "note": "because"}


async def retry(store: Store, id: str, now: float = NOW, relays: tuple[str, ...] = ("default",)) -> None:
    await store.verbs.retry(id, relays=relays, now=now, expires_at=now + DAY, actor="op", note="again")


async def bring(store: Store, id: str, state: State) -> None:
    """A message of one recipient in `state`."""
    await store.outbox.add([parcel(id, scheduled_at=NOW if state is State.SCHEDULED else None)])
    if state in (State.SENDING, State.DEFERRED, State.SENT, State.FAILED):
        (job,) = await store.claim(ids=[id], limit=1)
        if state is State.DEFERRED:
            await store.finish(job, deferred(NOW + 60))
        elif state is not State.SENDING:
            await store.finish(job, SENT if state is State.SENT else REFUSED)
    if state is State.HELD:
        await store.verbs.hold(id, **BY)  # type: ignore[arg-type]
    if state is State.CANCELED:
        await store.verbs.cancel(id, **BY)  # type: ignore[arg-type]
    assert await store.states(id) == [state]


REACHABLE = tuple(state for state in State if state is not State.SUPPRESSED)


@pytest.mark.parametrize("state", REACHABLE)
async def test_hold_takes_what_waits_wishes_for_what_is_sent_now_and_refuses_the_rest(
    tmp_path: Path, state: State
) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await bring(store, "A", state)
        if state in (State.QUEUED, State.SCHEDULED, State.DEFERRED):
            await store.verbs.hold("A", **BY)  # type: ignore[arg-type]
            assert await store.states("A") == [State.HELD]
            assert await store.claim(NOW + 1000) == []
        elif state is State.SENDING:
            await store.verbs.hold("A", **BY)  # type: ignore[arg-type]
            assert (await store.history.find("A")).recipients[0].wish is Wish.HOLD
        else:
            with pytest.raises(WrongState, match=f"message A is {state}"):
                await store.verbs.hold("A", **BY)  # type: ignore[arg-type]


@pytest.mark.parametrize("state", REACHABLE)
async def test_cancel_takes_what_is_not_final_and_refuses_the_rest(tmp_path: Path, state: State) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await bring(store, "A", state)
        if state is State.SENDING:
            await store.verbs.cancel("A", **BY)  # type: ignore[arg-type]
            assert (await store.history.find("A")).recipients[0].wish is Wish.CANCEL
        elif state in (State.QUEUED, State.SCHEDULED, State.DEFERRED, State.HELD):
            await store.verbs.cancel("A", **BY)  # type: ignore[arg-type]
            found = await store.history.find("A")
            assert (found.summary.state, found.summary.last) == (State.CANCELED, "canceled by op from ::1: because")
            assert found.summary.final_at == NOW
        else:
            with pytest.raises(WrongState):
                await store.verbs.cancel("A", **BY)  # type: ignore[arg-type]


@pytest.mark.parametrize("state", REACHABLE)
async def test_retry_queues_what_is_put_off_held_or_ended_in_vain(tmp_path: Path, state: State) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await bring(store, "A", state)
        if state in (State.DEFERRED, State.HELD, State.FAILED, State.CANCELED):
            await retry(store, "A", NOW + 5)
            assert len(await store.claim(NOW + 5)) == 1
        else:
            with pytest.raises(WrongState):
                await retry(store, "A")


async def test_only_what_had_ended_gets_a_new_allowance_and_more_time(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await bring(store, "PUTOFF", State.DEFERRED)
        await bring(store, "FAILED", State.FAILED)
        for id in ("PUTOFF", "FAILED"):
            await retry(store, id, NOW + 100)
        put_off, failed = await store.history.find("PUTOFF"), await store.history.find("FAILED")
        assert (put_off.recipients[0].attempts, put_off.summary.expires_at) == (1, NOW + DAY)
        assert (failed.recipients[0].attempts, failed.summary.expires_at) == (0, NOW + 100 + DAY)
        assert [one.number for one in await store.history.attempts("FAILED")] == [1]


async def test_a_retry_sends_over_a_relay_that_is_set_up_whatever_happened_before(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A", relay="gone"), parcel("B", relay="gone")])
        assert await SqliteRelays(store.database).rehome({"default", "capture"}, lambda _: None, NOW) == (0, 2)
        await retry(store, "A", relays=("default", "capture"))
        await store.verbs.cancel("B", **BY)  # type: ignore[arg-type]
        await retry(store, "B", relays=("default", "capture"))
        assert {job.id for job in await store.claim()} == {"A", "B"}


@pytest.mark.parametrize("state", REACHABLE)
async def test_reschedule_moves_what_is_scheduled_and_refuses_the_rest(tmp_path: Path, state: State) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await bring(store, "A", state)
        if state is not State.SCHEDULED:
            with pytest.raises(WrongState, match=f"message A is {state}"):
                await store.verbs.reschedule("A", at=NOW + 60, **BY)  # type: ignore[arg-type]
            return
        await store.verbs.reschedule("A", at=NOW + 5000, **BY)  # type: ignore[arg-type]
        summary = (await store.history.find("A")).summary
        assert (summary.state, summary.scheduled_at, summary.due_at) == (State.SCHEDULED, NOW + 5000, NOW + 5000)
        assert summary.expires_at == NOW + 5000 + DAY
        assert await store.claim(NOW + 4999) == []
        assert [job.id for job in await store.claim(NOW + 5000)] == ["A"]


async def test_what_is_rescheduled_into_the_past_is_due_now_with_as_long_to_be_sent_in(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A", scheduled_at=NOW + 60, expires_at=NOW + 90)])
        await store.verbs.reschedule("A", at=NOW - 1000, **BY)  # type: ignore[arg-type]
        summary = (await store.history.find("A")).summary
        assert (summary.due_at, summary.expires_at) == (NOW, NOW + 30)
        (told,) = [event for event in store.events if event.kind == "scheduled"]
        assert (told.data["actor"], told.data["note"], told.data["due_at"]) == ("op from ::1", "because", NOW)


async def test_only_the_recipients_that_still_wait_for_their_time_are_rescheduled(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A", to=("a@example.com", "b@example.com"), scheduled_at=NOW + 60)])
        await store.database.write(
            lambda tx: (
                tx.execute(
                    "UPDATE recipient SET state = 'canceled', due_at = NULL WHERE address = 'a@example.com'"
                ).rowcount
            )
        )
        await store.verbs.reschedule("A", at=NOW + 120, **BY)  # type: ignore[arg-type]
        assert await store.states("A") == [State.CANCELED, State.SCHEDULED]


async def test_no_verb_knows_a_message_that_is_not_there(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        for verb in (store.verbs.hold, store.verbs.cancel):
            with pytest.raises(NotFound):
                await verb("X", **BY)  # type: ignore[arg-type]
        with pytest.raises(NotFound):
            await retry(store, "X")


@pytest.mark.parametrize("wish", (Wish.CANCEL, Wish.HOLD, Wish.EXPIRE))
@pytest.mark.parametrize("ends", ("sent", "put off", "given back"))
async def test_a_wish_made_while_sending_is_granted_unless_it_was_sent(tmp_path: Path, wish: Wish, ends: str) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A", expires_at=NOW + 1)])
        (job,) = await store.claim()
        if wish is Wish.EXPIRE:
            await store.verbs.expire(NOW + 2)
        else:
            await (store.verbs.cancel if wish is Wish.CANCEL else store.verbs.hold)("A", **BY)  # type: ignore[arg-type]
        if ends == "given back":
            await store.outbox.release(job, Reason.STOPPED, NOW + 3)
        else:
            await store.finish(job, SENT if ends == "sent" else deferred(NOW + 60), NOW + 3)
        granted = {Wish.CANCEL: State.CANCELED, Wish.HOLD: State.HELD, Wish.EXPIRE: State.FAILED}[wish]
        assert await store.states("A") == [State.SENT if ends == "sent" else granted]
        assert (await store.history.find("A")).recipients[0].attempts == (0 if ends == "given back" else 1)


async def test_time_running_out_does_not_overrule_what_somebody_wished(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A", expires_at=NOW + 1)])
        (job,) = await store.claim()
        await store.verbs.cancel("A", **BY)  # type: ignore[arg-type]
        await store.verbs.expire(NOW + 2)
        await store.finish(job, deferred(NOW + 60), NOW + 3)
        assert await store.states("A") == [State.CANCELED]


async def test_a_late_result_of_a_closed_attempt_changes_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A")])
        (late,) = await store.claim()
        await store.finish(late, deferred(NOW + 1))
        (current,) = await store.claim(NOW + 1)
        assert not await store.finish(late, SENT, NOW + 2)
        assert not await store.outbox.release(late, Reason.STOPPED, NOW + 2)
        await store.outbox.mark_body(late, NOW + 2)
        assert await store.states("A") == [State.SENDING]
        assert await store.rows("SELECT body_at FROM attempt") == [(None,), (None,)]
        assert await store.finish(current, SENT, NOW + 3)
        assert await store.states("A") == [State.SENT]


async def test_each_recipient_keeps_its_own_state_and_the_message_shows_their_summary(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A", to=("a@x.test", "b@x.test", "c@x.test"))])
        (job,) = await store.claim()
        await store.outbox.record(job, results(job, SENT, REFUSED, deferred(NOW + 60)), REPORT, NOW)
        assert await store.states("A") == [State.SENT, State.FAILED, State.DEFERRED]
        summary = (await store.history.find("A")).summary
        assert (summary.state, summary.due_at, summary.final_at, summary.attempts) == (
            State.DEFERRED,
            NOW + 60,
            None,
            1,
        )
        (again,) = await store.claim(NOW + 60)
        assert [recipient.address for recipient in again.recipients] == ["c@x.test"]
        await store.finish(again, SENT, NOW + 61)
        summary = (await store.history.find("A")).summary
        assert (summary.state, summary.final_at, summary.attempts) == (State.FAILED, NOW + 61, 2)


async def test_giving_back_leaves_the_rows_of_troubles_and_unknowns_as_they_were(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A")])
        (job,) = await store.claim()
        await store.finish(job, deferred(NOW + 1, Reason.UNKNOWN), NOW)
        (job,) = await store.claim(NOW + 1)
        await store.finish(job, deferred(NOW + 2, Reason.RELAY_TROUBLE), NOW + 1)
        before = await store.rows("SELECT attempts, troubles, unknowns, troubled_at FROM recipient")
        assert before == [(1, 1, 1, NOW + 1)]
        (job,) = await store.claim(NOW + 2)
        await store.outbox.release(job, Reason.RESCUED, NOW + 2)
        assert await store.rows("SELECT attempts, troubles, unknowns, troubled_at FROM recipient") == before


async def test_claims_go_by_priority_then_by_time(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add(
            [
                parcel("LOW", priority=2, due_at=NOW - 9),
                parcel("NEW", priority=1, due_at=NOW - 1),
                parcel("OLD", priority=1, due_at=NOW - 5),
                parcel("HIGH", priority=0),
                parcel("LATER", priority=0, due_at=NOW + 1),
                parcel("OTHER", priority=0, relay="capture"),
            ]
        )
        assert [job.id for job in await store.claim(limit=3)] == ["HIGH", "OLD", "NEW"]
        assert [job.id for job in await store.claim(limit=3)] == ["LOW"]
        assert await store.outbox.next_due("default") == NOW + 1


async def test_handed_off_ids_go_first_but_only_when_nobody_has_touched_them(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        fresh = [parcel(id, due_at=NOW + 5) for id in ("FRESH", "TRIED", "HELD", "SENT", "EXPIRED")]
        await store.outbox.add([*fresh[:4], parcel("EXPIRED", due_at=NOW + 5, expires_at=NOW - 1), parcel("DUE")])
        for job in await store.claim(ids=["TRIED", "SENT"], limit=2):
            await store.finish(job, SENT if job.id == "SENT" else deferred(NOW + 60))
        await store.verbs.hold("HELD", **BY)  # type: ignore[arg-type]
        ids = ["UNKNOWN", "SENT", "TRIED", "HELD", "EXPIRED", "FRESH", "FRESH"]
        assert [job.id for job in await store.claim(ids=ids)] == ["FRESH", "DUE"]
        assert await store.claim(ids=ids) == []


async def test_a_probe_takes_one_message_the_one_that_met_the_least_trouble(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("POISON", priority=0), parcel("GOOD", priority=2)])
        (job,) = await store.claim(limit=1)
        await store.finish(job, deferred(NOW, Reason.RELAY_TROUBLE))
        assert [job.id for job in await store.claim(probe=True)] == ["GOOD"]
        assert [job.id for job in await store.claim(probe=True)] == ["POISON"]


async def test_a_message_has_one_attempt_at_a_time_whatever_else_of_it_is_due(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A", to=("a@x.test", "b@x.test"))])
        (job,) = await store.claim()
        await store.outbox.record(job, results(job, deferred(NOW + 10), deferred(NOW + 20)), REPORT, NOW)
        (job,) = await store.claim(NOW + 10)
        assert await store.claim(NOW + 20) == []
        await retry(store, "A", NOW + 21)
        assert await store.claim(NOW + 21) == []
        await store.finish(job, SENT, NOW + 22)
        (job,) = await store.claim(NOW + 22)
        assert [recipient.address for recipient in job.recipients] == ["b@x.test"]


async def test_a_claim_loads_no_more_than_16_mib_of_bodies_but_at_least_one(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel(f"M{number}", content=b"x" * 7_000_000) for number in range(3)])
        await store.outbox.add([parcel("HUGE", content=b"x" * 17_000_000, priority=2)])
        assert [len(await store.claim()) for _ in range(3)] == [2, 1, 1]


async def test_what_has_expired_fails_with_a_dead_letter_and_is_never_claimed(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        for state in (State.QUEUED, State.SCHEDULED, State.DEFERRED, State.HELD, State.SENT):
            await bring(store, state.name, state)
        assert await store.claim(NOW + DAY) == []
        assert await store.verbs.expire(NOW + DAY - 1) == ()
        assert len(await store.verbs.expire(NOW + DAY)) == 4
        assert await store.states("SENT") == [State.SENT]
        assert {letter.reason for letter in await store.upkeep.pending_letters(10)} == {"expired"}
        assert await store.verbs.next_expiry() is None


@pytest.mark.parametrize(
    "sql",
    (
        "UPDATE recipient SET state = 'queued', due_at = NULL",
        "UPDATE recipient SET state = 'sent'",
        "UPDATE recipient SET wish = 'hold'",
        "UPDATE recipient SET state = 'lost'",
        "UPDATE recipient SET kind = 'from'",
        "UPDATE recipient SET attempts = -1",
        "UPDATE message SET due_at = NULL",
        "UPDATE message SET state = 'sent', due_at = NULL, waiting_since = NULL",
        "UPDATE message SET final_at = 1.0",
        "UPDATE message SET waiting_since = NULL",
        "UPDATE message SET priority = 3",
        "UPDATE message SET recipients = 0",
        "UPDATE message SET accepted_at = 'yesterday'",
        "UPDATE OR ABORT recipient SET seq = 99",
        "INSERT INTO attempt (seq, number, relay, started_at) VALUES (1, 1, 'x', 1.0), (1, 2, 'x', 1.0)",
        "INSERT INTO attempt (seq, number, relay, started_at) VALUES (99, 1, 'x', 1.0)",
        "UPDATE tally SET messages = -1",
    ),
)
async def test_the_schema_itself_refuses_what_cannot_be(tmp_path: Path, sql: str) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A")])
        with pytest.raises((sqlite3.IntegrityError, OutboxError)):
            await store.database.write(lambda tx: tx.execute(sql))


async def test_an_address_is_a_recipient_of_a_message_once(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        twice = parcel("A", to=("a@x.test",), cc=("a@x.test",))
        (answer,) = await store.outbox.add([twice])
        assert isinstance(answer, sqlite3.IntegrityError)
        assert await store.rows("SELECT count(*) FROM message") == [(0,)]


async def test_open_jobs_after_a_crash_say_whose_body_may_be_out(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add(
            [
                parcel("RETRY"),
                parcel("CAREFUL", on_unknown=OnUnknown.HOLD),
                parcel("MARKED", on_unknown=OnUnknown.FAIL),
                parcel("WAITS", due_at=NOW + 60),
            ]
        )
        for job in await store.claim():
            if job.id == "MARKED":
                await store.outbox.mark_body(job, NOW)
    async with opened(tmp_path / "hub.db") as store:
        found = {job.id: may_be_out for job, may_be_out in await store.outbox.open_jobs()}
        assert found == {"RETRY": True, "CAREFUL": False, "MARKED": True}
        (job,) = [job for job, _ in await store.outbox.open_jobs() if job.id == "RETRY"]
        assert await store.finish(job, SENT)


async def test_a_copy_has_the_same_bytes_and_recipients_over_another_relay(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A", relay="capture", cc=("cy@x.test",), tags=(("k", "v"),), request_id="r")])
        (job,) = (await store.outbox.claim("capture", limit=1, now=NOW)).jobs
        await store.finish(job, SENT)
        await store.verbs.copy("A", new_id="B", relay="default", now=NOW + 9, expires_at=NOW + DAY, actor="op")
        found = await store.history.find("B")
        assert [r.address for r in found.recipients] == [r.address for r in (await store.history.find("A")).recipients]
        assert (found.summary.message_id, found.tags, found.summary.relay) == (
            "<A@example.org>",
            (("k", "v"),),
            "default",
        )
        (job,) = await store.claim(NOW + 9)
        assert job.content == parcel("A").content
        assert await store.history.states_of_request("r") == (State.SENDING, State.SENDING)


async def test_a_result_for_a_recipient_of_another_message_is_ignored(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A"), parcel("B")])
        a, b = await store.claim()
        stray = Result(b.recipients[0].id, SENT, "accepted", Stage.FINAL, "250")
        await store.outbox.record(a, [*results(a, SENT), stray], REPORT, NOW)
        assert await store.states("B") == [State.SENDING]
