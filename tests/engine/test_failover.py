"""Failover: who carries whose mail when a relay cannot, why, and how it returns."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from emailhub.core.breaker import Mode, Phase
from emailhub.core.claiming import Terms
from emailhub.core.delivery import Policy, State
from emailhub.core.limits import Rate
from emailhub.core.routing import Route, Router
from emailhub.core.verdict import Stage
from emailhub.engine.cover import Standing, duties
from emailhub.engine.meter import Meter
from emailhub.engine.rescuer import rescue
from tests.support.clock import START, now, virtual
from tests.support.factories import DAY, opened, parcel
from tests.support.fleet_line import fleet_line, spec
from tests.support.relays import ScriptedRelay, answers, drops, takes
from tests.support.sick_relay import AWAY, broken, opened_breaker, refused

OK = answers(250, "2.0.0 ok")
BUSY = answers(451, "4.3.0 later")
HOUR = 3600.0


@virtual
async def test_after_the_wait_the_next_relay_carries_the_mail_and_every_attempt_says_why(tmp_path: Path) -> None:
    ses, gmail = ScriptedRelay(name="ses", always=AWAY), ScriptedRelay(name="gmail")
    ses.probe_verdicts = refused(100)
    async with fleet_line(tmp_path, spec(ses), spec(gmail, priority=1)) as at:
        await opened_breaker(at)
        await asyncio.sleep(40)
        assert not gmail.asked, "not before the wait is over"
        await at.carried(within=300)
        assert min(one.at for one in gmail.asked) - START >= 60.0
        first = (await at.attempts("T4"))[0], (await at.attempts("T4"))[-1]
        assert [(attempt.relay, attempt.counted) for attempt in first] == [("ses", False), ("gmail", True)]
        assert first[1].why == "relay ses is not sending since 08:00: the connection was lost"
        assert {(await at.find(f"T{n}")).summary.relay for n in range(5)} == {"ses"}, "it stays the mail of ses"


@virtual
async def test_it_is_told_once_that_mail_lives_on_another_relay_and_once_that_it_is_back(tmp_path: Path) -> None:
    ses, gmail = ScriptedRelay(*[AWAY] * 5, name="ses"), ScriptedRelay(name="gmail")
    ses.probe_verdicts = refused(3)
    async with fleet_line(tmp_path, spec(ses), spec(gmail, priority=1), failover_after=10.0) as at:
        await opened_breaker(at)
        await asyncio.sleep(25)
        await at.accept("A", "B")
        await asyncio.sleep(1)
        assert {await at.state(id) for id in "AB"} == {State.SENT}
        assert at.status("ses").covered_by == ("gmail",)
        assert at.status("ses").covered_why == "the connection was lost"
        assert at.status("gmail").covers == ("ses",)
        (covered,) = at.told("relay_covered")
        assert (covered.relay, covered.data["by"]) == ("ses", "gmail")
        await asyncio.sleep(1200)
        (returned,) = at.told("relay_returned")
        assert (returned.relay, returned.data["by"]) == ("ses", "gmail")
        assert at.status("ses").covered_by == ()
        carried = len(gmail.asked)
        await at.accept("C")
        await asyncio.sleep(1)
        assert len(gmail.asked) == carried
        assert (await at.attempts("C"))[0].why == ""


@virtual
async def test_while_others_carry_its_mail_a_relay_is_probed_without_mail_one_probe_at_a_time(tmp_path: Path) -> None:
    ses, gmail = ScriptedRelay(name="ses"), ScriptedRelay(name="gmail")
    ses.probe_verdicts = refused(2)
    async with fleet_line(tmp_path, spec(ses), spec(gmail, priority=1), failover_after=0.0) as at:
        broken(at)
        while at.fleet.fuses["ses"].snapshot.phase is not Phase.CLOSED:
            await at.accept(f"N{now():.0f}")
            await asyncio.sleep(10)
        assert [round(time - START) for time in ses.probed] == [30, 90, 211]
        assert not ses.asked, "its mail did not wait for the probes"
        assert len(gmail.asked) == 22


@virtual
async def test_a_half_open_relay_does_not_take_its_mail_back_before_the_probe_is_answered(tmp_path: Path) -> None:
    ses, gmail = ScriptedRelay(*[AWAY] * 5, name="ses"), ScriptedRelay(name="gmail")
    async with fleet_line(tmp_path, spec(ses), spec(gmail, priority=1), failover_after=0.0) as at:
        broken(at)
        await asyncio.sleep(30.2)
        assert at.fleet.fuses["ses"].snapshot.phase is Phase.HALF_OPEN
        await at.accept("A")
        await asyncio.sleep(0.1)
        assert [attempt.relay for attempt in await at.attempts("A")] == ["gmail"]


@virtual
async def test_after_a_transient_reply_over_the_other_relay_the_message_is_its_own_relay_s_again(
    tmp_path: Path,
) -> None:
    ses, gmail = ScriptedRelay(*[AWAY] * 5, name="ses"), ScriptedRelay(name="gmail")
    async with fleet_line(tmp_path, spec(ses), spec(gmail, priority=1), failover_after=0.0) as at:
        await opened_breaker(at)
        gmail.script = [answers(451, "4.7.1 greylisted")]
        await at.accept("A")
        await at.carried()
        assert [attempt.relay for attempt in await at.attempts("A")] == ["gmail", "ses"]


@virtual
async def test_after_an_unknown_outcome_the_message_waits_for_its_own_relay_however_long(tmp_path: Path) -> None:
    ses = ScriptedRelay(drops(Stage.FINAL), *[AWAY] * 5, name="ses")
    ses.probe_verdicts = refused(4)
    gmail = ScriptedRelay(name="gmail")
    async with fleet_line(tmp_path, spec(ses), spec(gmail, priority=1), failover_after=0.0) as at:
        await at.accept("A")
        await asyncio.sleep(1)
        await opened_breaker(at)
        await asyncio.sleep(400)
        assert [attempt.relay for attempt in await at.attempts("A")] == ["ses"]
        assert {await at.state(f"T{n}") for n in range(5)} == {State.SENT}
        await at.carried()
        assert {attempt.relay for attempt in await at.attempts("A")} == {"ses"}


@virtual
async def test_an_unknown_outcome_over_the_other_relay_makes_it_that_relay_s(tmp_path: Path) -> None:
    ses, gmail = ScriptedRelay(*[AWAY] * 5, name="ses"), ScriptedRelay(name="gmail")
    async with fleet_line(tmp_path, spec(ses), spec(gmail, priority=1), failover_after=0.0) as at:
        await opened_breaker(at)
        gmail.script = [drops(Stage.FINAL)]
        await at.accept("A")
        await asyncio.sleep(100)
        assert at.fleet.fuses["ses"].snapshot.phase is Phase.CLOSED
        await at.carried()
        assert [attempt.relay for attempt in await at.attempts("A")] == ["gmail", "gmail"]


@pytest.mark.parametrize("jump", (3600.0, -3600.0, 3 * DAY, -3 * DAY))
def test_after_a_jump_of_the_clock_mail_of_a_sick_relay_does_not_wait_for_longer_than_without(jump: float) -> None:
    router = Router((Route(name="ses"), Route(name="gmail", priority=1)))
    sick = {"ses": Standing(carrying=False, since=START, cause="the login is refused"), "gmail": Standing()}
    assert duties(router, sick, after=60.0, now=START + 59.0) == {}
    (duty,) = duties(router, sick, after=60.0, now=START + 59.0 + jump)["gmail"]
    assert duty.home == "ses"


@virtual
async def test_a_relay_carries_only_for_senders_it_may_send_for(tmp_path: Path) -> None:
    ses = ScriptedRelay(name="ses", always=AWAY)
    gmail = ScriptedRelay(name="gmail")
    ses.probe_verdicts = refused(100)
    specs = (spec(ses), spec(gmail, priority=1, domains=("example.org",)))
    async with fleet_line(tmp_path, *specs, failover_after=0.0) as at:
        await opened_breaker(at)
        await at.accept(*(f"X{number:03}" for number in range(200)), sender="a@elsewhere.test")
        await at.accept("Y")
        await asyncio.sleep(100)
        assert await at.state("Y") is State.SENT
        assert {one.envelope.sender for one in gmail.asked} == {"hub@example.org"}
        assert await at.state("X000") is not State.SENT


@virtual
async def test_a_paused_relay_s_mail_goes_elsewhere_and_a_draining_relay_does_not_stand_in(tmp_path: Path) -> None:
    ses, old, gmail = ScriptedRelay(name="ses"), ScriptedRelay(name="old"), ScriptedRelay(name="gmail")
    specs = (spec(ses), spec(old, priority=1, draining=True), spec(gmail, priority=2))
    async with fleet_line(tmp_path, *specs, failover_after=5.0) as at:
        await at.fleet.fuses["ses"].force(Mode.OPEN, actor="ann", note="maintenance", until=None)
        await at.accept("A")
        await at.carried(within=30)
        (attempt,) = await at.attempts("A")
        assert attempt.relay == "gmail"
        assert attempt.why.endswith("stopped by ann: maintenance")
        assert not old.asked


@virtual
async def test_an_hour_s_limit_sends_the_rest_over_the_next_relay_after_the_wait(tmp_path: Path) -> None:
    ses, gmail = ScriptedRelay(name="ses"), ScriptedRelay(name="gmail")
    specs = (spec(ses, rates=[Rate(40, HOUR)]), spec(gmail, priority=1))
    async with fleet_line(tmp_path, *specs) as at:
        await at.accept(*(f"M{number:02}" for number in range(60)))
        await asyncio.sleep(30)
        assert (len(ses.asked), len(gmail.asked)) == (40, 0)
        await asyncio.sleep(40)
        assert (len(ses.asked), len(gmail.asked)) == (40, 20)
        assert (await at.attempts("M59"))[0].why.endswith("its limit of 40 an hour is reached")
        assert at.status("ses").covered_why == "its limit of 40 an hour is reached"
        await asyncio.sleep(HOUR)
        assert len(at.told("relay_returned")) == 1


@virtual
async def test_when_nobody_stands_in_the_mail_waits_for_its_relay(tmp_path: Path) -> None:
    ses, gmail = ScriptedRelay(*[AWAY] * 5, name="ses"), ScriptedRelay(name="gmail", always=AWAY)
    ses.probe_verdicts = refused(1)
    gmail.probe_verdicts = refused(100)
    async with fleet_line(tmp_path, spec(ses), spec(gmail, priority=1), failover_after=0.0) as at:
        await opened_breaker(at)
        await at.accept(*(f"G{number}" for number in range(5)))
        await asyncio.sleep(3)
        assert at.fleet.fuses["gmail"].snapshot.phase is Phase.OPEN
        await at.carried()
        assert {(await at.attempts(f"G{number}"))[-1].relay for number in range(5)} == {"ses"}


@virtual
async def test_looking_for_mail_to_carry_does_not_spin(tmp_path: Path) -> None:
    ses, gmail = ScriptedRelay(name="ses", always=AWAY), ScriptedRelay(name="gmail")
    ses.probe_verdicts = refused(100)
    async with fleet_line(tmp_path, spec(ses), spec(gmail, priority=1), failover_after=0.0) as at:
        await opened_breaker(at)
        await asyncio.sleep(60)
        before = len(at.outbox.calls)
        await asyncio.sleep(60)
        assert len(at.outbox.calls) - before < 150


@virtual
async def test_attempts_over_a_relay_that_stands_in_are_its_own_load(tmp_path: Path) -> None:
    ses = ScriptedRelay(name="ses", always=AWAY)
    ses.probe_verdicts = refused(100)
    gmail = ScriptedRelay(name="gmail", capacity=3, always=takes(1.0, OK))
    async with fleet_line(tmp_path, spec(ses), spec(gmail, priority=1), failover_after=0.0) as at:
        await opened_breaker(at)
        await at.accept(*(f"O{number}" for number in range(10)), relay="gmail")
        await at.accept(*(f"A{number}" for number in range(10)))
        await at.carried(within=120)
        assert gmail.most_busy == 3
        order = [one.envelope.id[0] for one in gmail.asked if one.envelope.id[0] in "OA"]
        assert order[3:13].count("O") >= 7, "its own mail goes first"


@virtual
async def test_the_first_page_says_for_a_while_that_a_relay_is_back(tmp_path: Path) -> None:
    ses, gmail = ScriptedRelay(name="ses"), ScriptedRelay(name="gmail")
    async with fleet_line(tmp_path, spec(ses), spec(gmail, priority=1), failover_after=0.0) as at:
        broken(at)
        await at.accept("A")
        await asyncio.sleep(60)
        assert at.fleet.news() == ("relay ses carries its own mail again; gmail did since 08:00 UTC",)
        await asyncio.sleep(700)
        assert at.fleet.news() == ()


@virtual
async def test_nobody_is_said_to_carry_while_the_one_that_did_is_at_its_own_limit(tmp_path: Path) -> None:
    ses, gmail = ScriptedRelay(name="ses", always=AWAY), ScriptedRelay(name="gmail")
    ses.probe_verdicts = refused(100)
    specs = (spec(ses), spec(gmail, priority=1, rates=[Rate(3, HOUR)]))
    async with fleet_line(tmp_path, *specs, failover_after=0.0) as at:
        broken(at)
        await at.accept("A", "B")
        await asyncio.sleep(2)
        assert (at.status("ses").covered_by, at.status("gmail").covers) == (("gmail",), ("ses",))
        assert (at.fleet.covered("ses"), at.fleet.covered("gmail")) == (True, False)
        await at.accept("C", "D", "E")
        await asyncio.sleep(2)
        assert len(gmail.asked) == 3
        assert (at.status("ses").covered_by, at.status("gmail").covers) == ((), ())
        await asyncio.sleep(2 * HOUR)
        assert {await at.state(id) for id in "DE"} == {State.SENT}
        assert at.status("ses").covered_by == ("gmail",)
        assert len(at.told("relay_covered")) == 1, "it is one trouble"


@virtual
async def test_after_a_crash_what_another_relay_was_carrying_is_that_relay_s(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A", relay="ses", accepted_at=now())])
        (job,) = (
            await store.outbox.claim("gmail", limit=1, now=now(), terms=Terms(home="ses", why="ses is sick"))
        ).jobs
        assert job.id == "A"
    ses, gmail = ScriptedRelay(name="ses"), ScriptedRelay(name="gmail")
    async with fleet_line(tmp_path, spec(ses), spec(gmail, priority=1)) as at:
        rescue_now = rescue(at.store.outbox, policy=Policy(), meter=Meter(), now=now, jitter=lambda: 0.0)
        assert await rescue_now == 1
        at.fleet.wake()
        await at.carried(within=400)
        assert [attempt.relay for attempt in await at.attempts("A")] == ["gmail", "gmail"]
        assert not ses.asked
