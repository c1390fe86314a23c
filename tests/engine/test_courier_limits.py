"""The courier and what it is held to: rates of its relay, turns at a recipients' domain, senders that may not send."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from emailhub.core.delivery import Reason, State
from emailhub.core.errors import NotFound
from emailhub.core.limits import Rate
from emailhub.core.turns import Spare
from emailhub.core.verdict import Stage
from tests.support.clock import START, now, virtual
from tests.support.factories import DAY, parcel
from tests.support.fleet_line import fleet_line, spec
from tests.support.relays import ScriptedRelay, answers, drops, takes

OK = answers(250, "2.0.0 ok")
NOT_ALLOWED = answers(550, "5.7.60 Client does not have permissions to send as this sender", Stage.MAIL)


def most_in_a_second(times: list[float]) -> int:
    return max(sum(start <= at < start + 1.0 for at in times) for start in times)


def ids(count: int, prefix: str = "M") -> list[str]:
    return [f"{prefix}{number:04}" for number in range(count)]


@virtual
async def test_a_backlog_of_600_goes_at_50_a_second_no_second_more_and_none_idle(tmp_path: Path) -> None:
    relay = ScriptedRelay(name="ses", always=takes(0.02, OK))
    async with fleet_line(tmp_path, spec(relay, rates=[Rate(50, 1.0)])) as at:
        await at.accept(*ids(600))
        await at.carried(within=20)
        times = [one.at - START for one in relay.asked]
        assert len(times) == 600
        assert most_in_a_second(times) <= 50
        assert times[-1] < 13.5
        assert all(any(second <= at < second + 1 for at in times) for second in range(12))


@virtual
async def test_a_rate_is_reached_and_held_however_long_the_relay_takes_to_answer(tmp_path: Path) -> None:
    relay = ScriptedRelay(name="ses", always=takes(5.0, OK), capacity=100)
    async with fleet_line(tmp_path, spec(relay, rates=[Rate(10, 1.0)])) as at:
        await at.accept(*ids(100))
        await at.carried(within=30)
        times = [one.at - START for one in relay.asked]
        assert most_in_a_second(times) <= 10
        assert times[-1] < 10.6


@virtual
async def test_a_rate_does_not_go_on_before_the_relay_has_got_the_message(tmp_path: Path) -> None:
    relay = ScriptedRelay(name="ses", always=takes(5.0, OK, Stage.RCPT), capacity=100)
    async with fleet_line(tmp_path, spec(relay, rates=[Rate(10, 1.0)])) as at:
        await at.accept(*ids(30))
        await at.carried(within=60)
        times = [one.at - START for one in relay.asked]
        assert all(sum(start <= at < start + 6.0 for at in times) <= 10 for start in times)


@virtual
async def test_a_spared_domain_s_rate_does_not_wait_for_slow_answers_either(tmp_path: Path) -> None:
    relay = ScriptedRelay(name="ses", always=takes(5.0, OK), capacity=100)
    spare = Spare(domain="big.test", rates=(Rate(10, 1.0),))
    async with fleet_line(tmp_path, spec(relay), spares=[spare]) as at:
        await at.accept(*ids(60), to=("a@big.test",))
        await at.carried(within=40)
        times = [one.at - START for one in relay.asked]
        assert most_in_a_second(times) <= 10
        assert times[-1] < 9.0


@virtual
async def test_waiting_for_a_limit_does_not_spin_and_claims_nothing(tmp_path: Path) -> None:
    relay = ScriptedRelay(name="ses")
    async with fleet_line(tmp_path, spec(relay, rates=[Rate(10, DAY)])) as at:
        await at.accept(*ids(30))
        await asyncio.sleep(5)
        assert len(relay.asked) == 10
        before = at.outbox.calls.count("claim")
        await asyncio.sleep(600)
        assert at.outbox.calls.count("claim") == before
        rows = await at.store.rows("SELECT DISTINCT state, attempts FROM message WHERE final_at IS NULL")
        assert rows == [("queued", 0)]
        (limit,) = at.status("ses").limits
        assert (limit.used, limit.limit) == (10, 10)
        assert limit.free_at is not None
        assert limit.free_at - now() > DAY - 700


@virtual
async def test_a_day_s_limit_frees_itself_and_a_restart_does_not_reset_it(tmp_path: Path) -> None:
    relay = ScriptedRelay(name="ses")
    async with fleet_line(tmp_path, spec(relay, rates=[Rate(10, DAY)])) as at:
        await at.accept(*ids(25), expires_at=now() + 10 * DAY)
        await asyncio.sleep(3600)
    again = ScriptedRelay(name="ses")
    async with fleet_line(tmp_path, spec(again, rates=[Rate(10, DAY)])) as at:
        await asyncio.sleep(3600)
        assert (len(relay.asked), len(again.asked)) == (10, 0)
        await asyncio.sleep(DAY)
        assert len(again.asked) == 10
        await asyncio.sleep(DAY)
        assert len(again.asked) == 15
        assert again.times[-1] >= DAY


@virtual
async def test_a_message_with_more_recipients_than_are_left_waits_and_is_not_overtaken(tmp_path: Path) -> None:
    relay = ScriptedRelay(name="ses")
    async with fleet_line(tmp_path, spec(relay, rates=[Rate(5, 3600.0)])) as at:
        await at.accept("A", to=("a@x.test", "b@x.test", "c@x.test"))
        await at.accept("B", to=("d@x.test", "e@x.test", "f@x.test"))
        await at.accept("C")
        await at.accept("HUGE", to=tuple(f"u{n}@x.test" for n in range(9)))
        await at.carried()
        assert [one.envelope.id for one in relay.asked] == ["A", "B", "C", "HUGE"]
        assert [round(one.at - START) // 3600 for one in relay.asked] == [0, 1, 1, 2]


@virtual
async def test_what_the_relay_did_not_take_is_not_counted_against_the_day(tmp_path: Path) -> None:
    refuses = answers(550, "5.1.1 user unknown", Stage.RCPT)
    relay = ScriptedRelay(*[refuses] * 5, *[drops(Stage.CONNECT)] * 2, name="ses")
    async with fleet_line(tmp_path, spec(relay, rates=[Rate(10, DAY)])) as at:
        await at.accept(*ids(15))
        await asyncio.sleep(100)
        assert at.status("ses").limits[0].used == 10
        assert len(relay.asked) == 17


@virtual
async def test_other_rates_apply_at_once_and_know_what_was_used(tmp_path: Path) -> None:
    relay = ScriptedRelay(name="ses")
    async with fleet_line(tmp_path, spec(relay)) as at:
        await at.accept(*ids(8))
        await asyncio.sleep(61)
        await at.fleet.apply([spec(relay, rates=[Rate(10, DAY)])])
        await at.accept(*ids(8, "N"))
        await asyncio.sleep(5)
        assert len(relay.asked) == 10
        await at.fleet.apply([spec(relay)])
        await asyncio.sleep(1)
        assert len(relay.asked) == 16


@virtual
async def test_a_spared_domain_gets_one_message_after_the_other_and_the_rest_is_not_held_up(tmp_path: Path) -> None:
    relay = ScriptedRelay(name="ses", always=takes(1.0, OK))
    spare = Spare(domain="big.test", connections=2)
    async with fleet_line(tmp_path, spec(relay), spares=[spare]) as at:
        await at.accept(*ids(12, "B"), to=("a@big.test",))
        await at.accept(*ids(10, "S"), to=("a@small.test",))
        await at.carried(within=60)
        small = [one.at - START for one in relay.asked if one.envelope.id.startswith("S")]
        big = [one.at - START for one in relay.asked if one.envelope.id.startswith("B")]
        assert max(small) < 1.0
        assert all(sum(start <= at < start + 1.0 for at in big) <= 2 for start in big)
        assert max(big) < 12.0
        assert {row[0] for row in await at.store.rows("SELECT attempts FROM message")} == {1}


@virtual
async def test_a_spared_domain_s_rate_holds_over_all_relays(tmp_path: Path) -> None:
    one, two = ScriptedRelay(name="one"), ScriptedRelay(name="two")
    spare = Spare(domain="*.big.test", rates=(Rate(10, 1.0),))
    async with fleet_line(tmp_path, spec(one), spec(two), spares=[spare]) as at:
        await at.accept(*ids(50, "A"), to=("a@mx.big.test",), relay="one")
        await at.accept(*ids(50, "B"), to=("a@mx.big.test",), relay="two")
        await at.carried(within=60)
        times = sorted(asked.at - START for asked in (*one.asked, *two.asked))
        assert len(times) == 100
        assert most_in_a_second(times) <= 10
        assert times[-1] < 20.0


@virtual
async def test_a_sender_that_may_not_send_waits_and_one_message_asks_again_ever_less_often(tmp_path: Path) -> None:
    relay = ScriptedRelay(name="ses", always=NOT_ALLOWED)
    async with fleet_line(tmp_path, spec(relay)) as at:
        await at.accept("FIRST")
        await asyncio.sleep(1)
        await at.accept(*ids(30), expires_at=now() + 9 * DAY)
        await asyncio.sleep(590)
        assert len(relay.asked) == 1, "nothing of that sender is tried"
        (suspension,) = at.status("ses").suspended
        assert (suspension.domain, suspension.next_try - suspension.since) == ("example.org", 600.0)
        assert "5.7.60" in suspension.reply
        assert (await at.find("M0000")).summary.reason is Reason.SENDER_TROUBLE
        await asyncio.sleep(3 * 3600 + 60)
        assert [round(time / 60) for time in relay.times] == [0, 10, 30, 70, 130, 190]
        assert {row[0] for row in await at.store.rows("SELECT DISTINCT attempts FROM message")} == {0}
        relay.always = OK
        await at.carried(within=3700)
        assert at.status("ses").suspended == ()
        assert [event.data["domain"] for event in at.told("sender_suspended", "sender_resumed")] == ["example.org"] * 2
        assert await at.store.rows("SELECT * FROM suspension") == []


@virtual
async def test_while_one_message_asks_again_the_others_of_its_sender_are_not_looked_at(tmp_path: Path) -> None:
    relay = ScriptedRelay(NOT_ALLOWED, name="ses", always=takes(60.0, NOT_ALLOWED))
    async with fleet_line(tmp_path, spec(relay)) as at:
        await at.accept("FIRST")
        await asyncio.sleep(1)
        await at.accept(*ids(9, "L"))
        await asyncio.sleep(620)
        assert len(relay.asked) == 2
        before = len(at.outbox.calls)
        await asyncio.sleep(30)
        assert len(at.outbox.calls) - before < 5
        waits = await at.store.rows("SELECT count(*) FROM message WHERE due_at > ?", now() + 600)
        assert waits == [(9,)], "until after the answer, if that is no"


@virtual
async def test_another_sender_s_mail_goes_on_over_the_same_relay(tmp_path: Path) -> None:
    relay = ScriptedRelay(NOT_ALLOWED, name="ses")
    async with fleet_line(tmp_path, spec(relay)) as at:
        await at.accept("BAD")
        await asyncio.sleep(1)
        await at.accept(*ids(5), sender="a@good.test")
        await at.accept("BAD2")
        await asyncio.sleep(1)
        assert {await at.state(id) for id in ids(5)} == {State.SENT}
        assert await at.state("BAD2") is State.QUEUED


@virtual
async def test_another_relay_takes_the_sender_s_mail_at_once(tmp_path: Path) -> None:
    ses, gmail = ScriptedRelay(NOT_ALLOWED, name="ses"), ScriptedRelay(name="gmail")
    async with fleet_line(tmp_path, spec(ses), spec(gmail, priority=1)) as at:
        await at.accept("A")
        await asyncio.sleep(0.5)
        await at.accept(*ids(20))
        await asyncio.sleep(0.5)
        assert {await at.state(id) for id in ["A", *ids(20)]} == {State.SENT}
        assert (len(ses.asked), len(gmail.asked)) == (1, 21)
        assert [attempt.relay for attempt in await at.attempts("A")] == ["ses", "gmail"]


@virtual
async def test_an_operator_lets_a_suspended_sender_send_again(tmp_path: Path) -> None:
    relay = ScriptedRelay(NOT_ALLOWED, name="ses")
    async with fleet_line(tmp_path, spec(relay)) as at:
        await at.accept("A")
        await asyncio.sleep(1)
        await at.accept(*ids(5))
        await asyncio.sleep(1)
        await at.fleet.suspensions["ses"].resume("example.org", "ann")
        await asyncio.sleep(1)
        assert {await at.state(id) for id in ["A", *ids(5)]} == {State.SENT}
        (event,) = at.told("sender_resumed")
        assert event.data["actor"] == "ann"
        with pytest.raises(NotFound):
            await at.fleet.suspensions["ses"].resume("example.org", "ann")


@virtual
async def test_a_suspension_survives_a_restart(tmp_path: Path) -> None:
    relay = ScriptedRelay(NOT_ALLOWED, name="ses")
    async with fleet_line(tmp_path, spec(relay)) as at:
        await at.accept("A")
        await asyncio.sleep(1)
    again = ScriptedRelay(name="ses", always=takes(10.0, OK))
    async with fleet_line(tmp_path, spec(again)) as at:
        await at.accept("B")
        await asyncio.sleep(60)
        assert not again.asked
        await at.carried(within=700)
        assert again.times == [0.0, 10.0], "one message asks, the other goes when it was answered"


@virtual
async def test_a_try_that_never_came_to_the_question_decides_nothing(tmp_path: Path) -> None:
    relay = ScriptedRelay(NOT_ALLOWED, drops(Stage.CONNECT), name="ses")
    async with fleet_line(tmp_path, spec(relay)) as at:
        await at.accept("A")
        await asyncio.sleep(700)
        assert len(at.status("ses").suspended) <= 1
        await at.carried(within=700)
        assert [round(time / 60) for time in relay.times[:2]] == [0, 10]


@virtual
async def test_what_rabbitmq_hands_over_while_a_limit_holds_goes_as_soon_as_the_limit_lets_it(tmp_path: Path) -> None:
    relay = ScriptedRelay(name="ses")
    async with fleet_line(tmp_path, spec(relay, rates=[Rate(2, 1.0)])) as at:
        await at.accept("A", "B")
        await asyncio.sleep(0.6)
        await at.store.outbox.add([parcel("C", relay="ses", accepted_at=now(), due_at=now() + 5)])
        at.fleet.offer(["C"])
        await at.carried(within=10)
        assert relay.times[-1] < 2.0
