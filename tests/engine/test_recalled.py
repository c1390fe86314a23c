"""What met a sick relay's trouble: when another relay takes it at once, and what shows that the trouble is over."""

from __future__ import annotations

import asyncio
from pathlib import Path

from emailhub.core.delivery import State
from emailhub.core.limits import Rate
from emailhub.core.verdict import Stage
from tests.support.clock import START, virtual
from tests.support.fleet_line import fleet_line, spec
from tests.support.relays import ScriptedRelay, answers, takes
from tests.support.sick_relay import AWAY, broken, opened_breaker, refused

OK = answers(250, "2.0.0 ok")
BUSY = answers(451, "4.3.0 later")
HOUR = 3600.0


@virtual
async def test_a_message_that_met_the_trouble_itself_goes_over_the_other_relay_at_once(tmp_path: Path) -> None:
    ses, gmail = ScriptedRelay(name="ses", always=AWAY), ScriptedRelay(name="gmail")
    ses.probe_verdicts = refused(100)
    async with fleet_line(tmp_path, spec(ses), spec(gmail, priority=1), failover_after=10.0) as at:
        await opened_breaker(at)
        assert await at.state("T0") is State.DEFERRED
        await at.carried(within=12)
        assert [attempt.relay for attempt in await at.attempts("T0")] == ["ses", "gmail"]
        assert min(one.at for one in gmail.asked) - START >= 10.0


@virtual
async def test_trouble_met_while_others_carry_already_does_not_wait_either(tmp_path: Path) -> None:
    ses = ScriptedRelay(takes(20.0, AWAY, Stage.DATA), *[AWAY] * 5, name="ses")
    gmail = ScriptedRelay(name="gmail")
    ses.probe_verdicts = refused(100)
    async with fleet_line(tmp_path, spec(ses), spec(gmail, priority=1), failover_after=0.0) as at:
        await at.accept("A")
        await asyncio.sleep(0.1)
        at.outbox.full.add("record")
        await opened_breaker(at)
        await asyncio.sleep(5)
        at.outbox.full.clear()
        await at.carried(within=4)
        assert {attempt.relay for attempt in await at.attempts("T0")} == {"ses", "gmail"}


@virtual
async def test_what_meets_trouble_over_every_relay_waits_as_long_as_over_one(tmp_path: Path) -> None:
    ses, gmail = ScriptedRelay(name="ses", always=AWAY), ScriptedRelay(name="gmail", always=AWAY)
    ses.probe_verdicts = refused(100)
    async with fleet_line(tmp_path, spec(ses), spec(gmail, priority=1), failover_after=0.0) as at:
        broken(at)
        await at.accept("POISON")
        await asyncio.sleep(25)
        assert len(gmail.asked) == 1
        await asyncio.sleep(50)
        assert [attempt.relay for attempt in await at.attempts("POISON")] == ["gmail", "ses", "gmail"]


@virtual
async def test_trouble_of_a_relay_that_is_only_limited_waits_as_it_does_alone(tmp_path: Path) -> None:
    ses, gmail = ScriptedRelay(*[OK] * 40, name="ses", always=AWAY), ScriptedRelay(name="gmail")
    specs = (spec(ses, rates=[Rate(40, HOUR)]), spec(gmail, priority=1))
    async with fleet_line(tmp_path, *specs, failover_after=0.0) as at:
        await at.accept(*(f"M{number:02}" for number in range(39)))
        await asyncio.sleep(1)
        ses.script = [AWAY, OK]
        await at.accept("A")
        await asyncio.sleep(1)
        await at.accept("B")
        await asyncio.sleep(20)
        assert at.status("ses").limits[0].used == 40
        assert [attempt.relay for attempt in await at.attempts("A")] == ["ses"]
        await at.carried(within=20)
        assert [attempt.relay for attempt in await at.attempts("A")] == ["ses", "gmail"]


@virtual
async def test_without_a_stand_in_trouble_waits_for_the_next_probe_as_ever(tmp_path: Path) -> None:
    ses = ScriptedRelay(*[AWAY] * 5, name="ses")
    gmail = ScriptedRelay(name="gmail")
    specs = (spec(ses), spec(gmail, priority=1, domains=("elsewhere.test",)))
    async with fleet_line(tmp_path, *specs, failover_after=0.0) as at:
        await opened_breaker(at)
        await asyncio.sleep(20)
        rows = await at.store.rows("SELECT DISTINCT state, due_at FROM message")
        assert {state for state, _ in rows} == {"deferred"}
        assert all(due - START >= 30.0 for _, due in rows)
        assert not gmail.asked


@virtual
async def test_a_relay_that_waits_for_a_message_to_prove_itself_gets_one_and_the_others_take_no_longer(
    tmp_path: Path,
) -> None:
    at_mail = answers(421, "4.3.2 not now", Stage.MAIL)
    ses, gmail = ScriptedRelay(*[at_mail] * 6, name="ses"), ScriptedRelay(name="gmail")
    async with fleet_line(tmp_path, spec(gmail, priority=1), spec(ses), failover_after=0.0) as at:
        await opened_breaker(at)
        await at.carried(within=5)
        await asyncio.sleep(60)
        assert at.fleet.fuses["ses"].snapshot.ready
        assert at.told("relay_returned") == []
        await at.accept("A", "B", "C")
        await at.carried(within=3)
        assert [attempt.relay for attempt in await at.attempts("A")] == ["ses", "gmail"]
        assert {(await at.attempts(id))[-1].relay for id in "ABC"} == {"gmail"}
        await asyncio.sleep(120)
        await at.accept("D")
        await at.carried(within=1)
        assert [attempt.relay for attempt in await at.attempts("D")] == ["ses"]
        assert len(at.told("relay_returned")) == 1
