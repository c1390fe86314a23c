"""What the courier does with what is due: in virtual time, with a real outbox and a relay that plays a script."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from emailhub.core.backoff import Schedule
from emailhub.core.delivery import OnUnknown, Policy, Reason, State
from emailhub.core.verdict import Stage
from tests.support.clock import START, now, virtual
from tests.support.courier_line import Line, line
from tests.support.factories import parcel
from tests.support.relays import ScriptedRelay, answers, breaks, drops, each, takes

TRY_LATER = answers(451, "4.3.0 try again later")
FOUR = Policy(Schedule(limit=4, first=2.0))


@virtual
async def test_a_message_goes_out_once_with_its_own_bytes_and_is_sent(tmp_path: Path) -> None:
    async with line(tmp_path, ScriptedRelay()) as at:
        await at.accept("A", content=b"the very bytes\r\n", to=("ada@example.com",), cc=("bob@example.com",))
        await at.carried()
        (asked,) = at.relay.asked
        assert asked.envelope.content == b"the very bytes\r\n"
        assert asked.envelope.recipients == ("ada@example.com", "bob@example.com")
        assert asked.envelope.sender == "hub@example.org"
        assert await at.told("A") == ["accepted", "sending", "sent"]


@virtual
async def test_a_connection_is_used_again_while_results_are_written_but_only_so_many_results_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with line(tmp_path, ScriptedRelay(capacity=2)) as at:
        disk = asyncio.Event()
        record = at.outbox.record

        async def slow(*given: Any) -> Any:
            await disk.wait()
            return await record(*given)

        monkeypatch.setattr(at.outbox, "record", slow)
        await at.accept(*"ABCDEF")
        await asyncio.sleep(60)
        assert len(at.relay.asked) == 4
        assert at.relay.most_busy <= 2
        disk.set()
        await at.carried()
        assert len(at.relay.asked) == 6


@virtual
async def test_451_twice_then_250_takes_three_attempts_2_and_4_seconds_apart(tmp_path: Path) -> None:
    async with line(tmp_path, ScriptedRelay(TRY_LATER, TRY_LATER)) as at:
        await at.accept("A")
        await at.carried()
        assert at.relay.times == [0.0, 2.0, 6.0]
        found = await at.find("A")
        assert (found.summary.state, found.recipients[0].attempts) == (State.SENT, 3)
        assert [one.counted for one in await at.store.history.attempts("A")] == [True] * 3


@virtual
async def test_without_a_limit_the_waits_grow_to_an_hour_until_the_message_expires(tmp_path: Path) -> None:
    async with line(tmp_path, ScriptedRelay(always=TRY_LATER)) as at:
        await at.accept("A", expires_at=now() + 6 * 3600.0)
        await asyncio.sleep(6 * 3600.0 + 60)
        waits = [b - a for a, b in zip(at.relay.times, at.relay.times[1:], strict=False)]
        assert waits == [2.0, 4.0, 8.0, 16.0, 60.0, 300.0, 900.0, 1800.0, *[3600.0] * 5]
        assert at.relay.times[-1] < 6 * 3600.0


@virtual
async def test_with_a_limit_the_last_attempt_is_the_last(tmp_path: Path) -> None:
    async with line(tmp_path, ScriptedRelay(always=TRY_LATER), policy=FOUR) as at:
        await at.accept("A")
        await at.carried()
        assert at.relay.times == [0.0, 2.0, 6.0, 14.0]
        found = await at.find("A")
        assert (found.summary.state, found.summary.reason) == (State.FAILED, Reason.ATTEMPTS_USED_UP)


@virtual
async def test_a_550_fails_at_once_and_leaves_a_dead_letter(tmp_path: Path) -> None:
    async with line(tmp_path, ScriptedRelay(answers(550, "5.1.1 no such user", Stage.RCPT))) as at:
        await at.accept("A")
        await at.carried()
        found = await at.find("A")
        assert (found.summary.state, found.summary.reason) == (State.FAILED, Reason.REFUSED)
        assert [letter.message for letter in await at.store.upkeep.pending_letters(10)] == ["A"]


@virtual
async def test_each_recipient_gets_its_own_verdict_and_only_those_put_off_are_tried_again(tmp_path: Path) -> None:
    first = each((250, "2.0.0 ok"), (550, "5.1.1 unknown"), (452, "4.2.2 mailbox full"))
    async with line(tmp_path, ScriptedRelay(first)) as at:
        await at.accept("A", to=("ada@x.test", "bob@x.test", "cy@x.test"))
        await at.carried()
        assert await at.store.states("A") == [State.SENT, State.FAILED, State.SENT]
        assert at.relay.asked[1].envelope.recipients == ("cy@x.test",)


@virtual
async def test_the_message_id_and_all_bytes_stay_the_same_over_attempts(tmp_path: Path) -> None:
    async with line(tmp_path, ScriptedRelay(TRY_LATER, drops(Stage.FINAL), drops(Stage.CONNECT))) as at:
        await at.accept("A", content=b"Message-ID: <A@example.org>\r\n\r\nHello\r\n")
        await at.carried()
        assert len(at.relay.asked) == 4
        assert {one.envelope.content for one in at.relay.asked} == {b"Message-ID: <A@example.org>\r\n\r\nHello\r\n"}


@virtual
async def test_never_more_attempts_at_once_than_the_relay_has_connections(tmp_path: Path) -> None:
    relay = ScriptedRelay(capacity=3, always=takes(5.0, answers(250, "2.0.0 ok")))
    async with line(tmp_path, relay) as at:
        await at.accept(*(f"M{number:02}" for number in range(10)))
        await at.carried()
        assert relay.most_busy == 3
        assert at.relay.times == [0.0] * 3 + [5.0] * 3 + [10.0] * 3 + [15.0]


async def _limits(at: Line, monkeypatch: pytest.MonkeyPatch, *, claim_takes: float) -> list[int]:
    """How many of 40 messages each claim asked for, while each takes `claim_takes` seconds."""
    asked: list[int] = []
    claim = at.outbox.claim

    async def slow(relay: str, *, limit: int, **given: Any) -> Any:
        asked.append(limit)
        await asyncio.sleep(claim_takes)
        return await claim(relay, limit=limit, **given)

    monkeypatch.setattr(at.outbox, "claim", slow)
    await at.accept(*(f"M{number:02}" for number in range(40)))
    await at.carried()
    return asked


@virtual
async def test_when_a_claim_takes_longer_than_an_attempt_some_are_claimed_ahead_at_most_one_a_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay = ScriptedRelay(capacity=3, always=takes(0.2, answers(250, "2.0.0 ok")))
    async with line(tmp_path, relay) as at:
        limits = await _limits(at, monkeypatch, claim_takes=1.0)
        assert limits[0] == 3
        assert 3 < max(limits) <= 6
        assert relay.most_busy <= 6


@virtual
async def test_with_a_relay_slower_than_the_claim_no_message_is_claimed_before_a_connection_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay = ScriptedRelay(capacity=3, always=takes(60.0, answers(250, "2.0.0 ok")))
    async with line(tmp_path, relay) as at:
        limits = await _limits(at, monkeypatch, claim_takes=1.0)
        assert max(limits) == 3
        assert relay.most_busy == 3


@virtual
async def test_urgent_mail_goes_first_then_the_oldest(tmp_path: Path) -> None:
    relay = ScriptedRelay(takes(5.0, answers(250, "ok")), capacity=1)
    async with line(tmp_path, relay) as at:
        await at.accept("FIRST")
        await asyncio.sleep(1)
        await at.accept("LOW", priority=2)
        await at.accept("OLD", priority=1)
        await asyncio.sleep(1)
        await at.accept("NEW", priority=1)
        await at.accept("HIGH", priority=0)
        await at.carried()
        assert [one.envelope.id for one in relay.asked] == ["FIRST", "HIGH", "OLD", "NEW", "LOW"]


@virtual
async def test_a_scheduled_message_goes_at_its_time_though_nobody_wakes_the_courier(tmp_path: Path) -> None:
    async with line(tmp_path, ScriptedRelay()) as at:
        await at.accept("A", scheduled_at=now() + 7200.0)
        await at.carried()
        assert at.relay.asked[0].at == START + 7200.0


@virtual
async def test_handed_off_messages_go_before_they_are_due_by_themselves(tmp_path: Path) -> None:
    async with line(tmp_path, ScriptedRelay()) as at:
        await at.accept("A", "B", due_at=now() + 5.0)
        at.courier.offer(["A"])
        await at.carried()
        assert {one.envelope.id: one.at - START for one in at.relay.asked} == {"A": 0.0, "B": 5.0}


@virtual
async def test_handed_off_messages_beyond_the_free_connections_are_all_delivered(tmp_path: Path) -> None:
    relay = ScriptedRelay(capacity=2, always=takes(1.0, answers(250, "ok")))
    ids = [f"M{number:02}" for number in range(9)]
    async with line(tmp_path, relay) as at:
        await at.accept(*ids, due_at=now() + 5.0)
        at.courier.offer([*ids, "NOT-OURS", *ids])
        await at.carried()
        assert sorted(one.envelope.id for one in relay.asked) == ids
        assert relay.most_busy == 2


@virtual
async def test_with_nothing_to_do_the_outbox_is_asked_at_most_twice_a_minute(tmp_path: Path) -> None:
    async with line(tmp_path, ScriptedRelay()) as at:
        await at.accept("A")
        await at.carried()
        at.outbox.calls.clear()
        await asyncio.sleep(600)
        assert at.outbox.calls.count("claim") <= 20
        assert len(at.outbox.calls) <= 40


@virtual
async def test_a_message_nobody_told_of_is_found_within_half_a_minute(tmp_path: Path) -> None:
    async with line(tmp_path, ScriptedRelay()) as at:
        await asyncio.sleep(100)
        await at.store.outbox.add([parcel("A")])
        await at.carried(within=31)


@virtual
async def test_a_wake_that_comes_while_a_claim_is_under_way_is_not_lost(tmp_path: Path) -> None:
    async with line(tmp_path, ScriptedRelay()) as at:
        await asyncio.sleep(1)
        original = at.outbox.next_due

        async def accepted_meanwhile(relay: str) -> float | None:
            """The claim found nothing and the time of the next one was read: only now a message is stored."""
            due = await original(relay)
            at.outbox.next_due = original  # type: ignore[method-assign]
            await at.accept("LATE")
            return due

        at.outbox.next_due = accepted_meanwhile  # type: ignore[method-assign]
        began = now()
        at.courier.wake()
        await asyncio.sleep(1)
        assert at.relay.asked[0].at == began


@virtual
async def test_a_claim_that_fails_is_made_again_within_seconds(tmp_path: Path) -> None:
    async with line(tmp_path, ScriptedRelay()) as at:
        at.outbox.full.add("claim")
        await at.accept("A")
        await asyncio.sleep(3)
        assert 2 <= at.outbox.calls.count("claim") <= 5
        at.outbox.full.clear()
        await at.carried(within=2)


@virtual
async def test_what_cannot_be_recorded_stops_all_sending_and_is_recorded_later(tmp_path: Path) -> None:
    async with line(tmp_path, ScriptedRelay(takes(1.0, answers(250, "2.0.0 ok")))) as at:
        at.outbox.full.add("record")
        await at.accept("A")
        await asyncio.sleep(5)
        assert at.courier.unrecorded == 1
        await at.accept("B")
        await asyncio.sleep(120)
        assert [one.envelope.id for one in at.relay.asked] == ["A"]
        assert at.outbox.calls.count("record") <= 130
        at.outbox.full.clear()
        await at.carried()
        assert [one.envelope.id for one in at.relay.asked] == ["A", "B"]
        assert at.courier.unrecorded == 0


@virtual
async def test_a_disk_that_cannot_note_the_body_keeps_the_body_here_and_blames_no_relay(tmp_path: Path) -> None:
    async with line(tmp_path, ScriptedRelay()) as at:
        at.outbox.full |= {"mark_body", "release"}
        await at.accept("A", on_unknown=OnUnknown.HOLD)
        await asyncio.sleep(10)
        assert at.fuse.snapshot.failures == 0
        assert await at.store.rows("SELECT body_at FROM attempt") == [(None,)]
        at.outbox.full.clear()
        await at.carried()
        found = await at.find("A")
        assert (found.summary.state, found.recipients[0].attempts) == (State.SENT, 1)


@virtual
async def test_a_fault_of_ours_in_one_attempt_ends_neither_the_courier_nor_the_message(tmp_path: Path) -> None:
    async with line(tmp_path, ScriptedRelay(breaks)) as at:
        await at.accept("A")
        await at.rest()
        assert (await at.state("A"), (await at.find("A")).summary.last) == (State.DEFERRED, "emailhub: LookupError")
        await at.carried()
        assert await at.state("A") is State.SENT


@virtual
async def test_an_unknown_outcome_waits_five_minutes_and_the_third_in_a_row_is_held(tmp_path: Path) -> None:
    async with line(tmp_path, ScriptedRelay(always=drops(Stage.FINAL))) as at:
        await at.accept("A")
        await at.carried()
        assert at.relay.times == [0.0, 300.0, 600.0]
        found = await at.find("A")
        assert (found.summary.state, found.summary.reason) == (State.HELD, Reason.UNKNOWN)
        assert found.recipients[0].attempts == 3


@virtual
async def test_relay_trouble_between_unknown_outcomes_does_not_start_their_count_anew(tmp_path: Path) -> None:
    lost, away = drops(Stage.FINAL), drops(Stage.CONNECT)
    async with line(tmp_path, ScriptedRelay(lost, away, lost, away, lost)) as at:
        await at.accept("A")
        await at.carried()
        assert (await at.find("A")).summary.state is State.HELD
        assert len(at.relay.asked) == 5


@virtual
async def test_a_message_given_back_between_unknown_outcomes_keeps_their_count(tmp_path: Path) -> None:
    lost = drops(Stage.FINAL)
    async with line(tmp_path, ScriptedRelay(lost, lost, takes(60, lost, Stage.RCPT))) as at:
        await at.accept("A")
        await asyncio.sleep(610)
        await at.stop()
        assert (await at.find("A")).summary.reason is Reason.STOPPED
        assert await at.store.rows("SELECT unknowns, attempts FROM recipient") == [(2, 2)]


@pytest.mark.parametrize(("policy", "state"), ((OnUnknown.HOLD, State.HELD), (OnUnknown.FAIL, State.FAILED)))
def test_the_sender_decides_what_an_unknown_outcome_means(tmp_path: Path, policy: OnUnknown, state: State) -> None:
    @virtual
    async def story() -> None:
        async with line(tmp_path, ScriptedRelay(drops(Stage.FINAL))) as at:
            await at.accept("A", on_unknown=policy)
            await at.carried()
            found = await at.find("A")
            assert (found.summary.state, found.summary.reason) == (state, Reason.UNKNOWN)
            assert (await at.store.history.attempts("A"))[0].body_at == START

    story()


@virtual
async def test_only_cautious_messages_pay_for_a_commit_before_the_body(tmp_path: Path) -> None:
    async with line(tmp_path, ScriptedRelay()) as at:
        await at.accept("A")
        await at.accept("B", on_unknown=OnUnknown.FAIL)
        await at.carried()
        assert at.outbox.calls.count("mark_body") == 1


@virtual
async def test_a_message_that_expired_while_it_waited_is_not_sent(tmp_path: Path) -> None:
    async with line(tmp_path, ScriptedRelay()) as at:
        await at.accept("OLD", expires_at=now() - 1.0)
        await at.accept("NEW")
        await at.carried("NEW")
        await at.store.verbs.expire(now())
        await at.carried()
        assert [one.envelope.id for one in at.relay.asked] == ["NEW"]
        found = await at.find("OLD")
        assert (found.summary.state, found.summary.reason) == (State.FAILED, Reason.EXPIRED)
        assert [letter.message for letter in await at.store.upkeep.pending_letters(10)] == ["OLD"]
