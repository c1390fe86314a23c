"""The fleet: relays are added, changed, drained and removed while mail flows, and nothing is lost or sent twice."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from emailhub.core.delivery import Reason, State
from emailhub.core.routing import Route
from emailhub.core.verdict import Stage
from emailhub.engine.courier import Courier
from emailhub.engine.fleet import RelaySpec
from tests.support.clock import virtual
from tests.support.factories import opened
from tests.support.fleet_line import FleetLine, fleet_line, spec
from tests.support.relays import ScriptedRelay, answers, drops, takes

OK = answers(250, "2.0.0 ok")


def ids(count: int, prefix: str = "M") -> list[str]:
    return [f"{prefix}{number:03}" for number in range(count)]


@virtual
async def test_a_relay_added_at_run_time_gets_mail_and_shares_it(tmp_path: Path) -> None:
    old, new = ScriptedRelay(name="old"), ScriptedRelay(name="new")
    async with fleet_line(tmp_path, spec(old, priority=5)) as at:
        await at.accept("A")
        await asyncio.sleep(1)
        await at.fleet.apply([spec(old, priority=5), spec(new)])
        await at.accept("B")
        await at.carried(within=5)
        assert ([one.envelope.id for one in old.asked], [one.envelope.id for one in new.asked]) == (["A"], ["B"])


@virtual
async def test_a_removed_relay_ends_its_attempts_and_leaves_the_rest_to_others(tmp_path: Path) -> None:
    old = ScriptedRelay(name="old", capacity=2, always=takes(3.0, OK))
    new = ScriptedRelay(name="new")
    async with fleet_line(tmp_path, spec(old)) as at:
        await at.accept(*ids(20))
        await asyncio.sleep(1)
        await at.fleet.apply([spec(new)])
        assert list(at.fleet.lines) == ["new"]
        await at.carried(within=30)
        asked = [one.envelope.id for one in (*old.asked, *new.asked)]
        assert sorted(asked) == ids(20), "each went exactly once"
        assert len(old.asked) == 2
        assert old.closed
        assert {(await at.find(id)).summary.relay for id in ids(20)[2:]} == {"new"}


@virtual
async def test_what_a_removed_relay_left_deferred_finds_a_home_when_its_attempts_have_ended(tmp_path: Path) -> None:
    old = ScriptedRelay(name="old", always=takes(2.0, answers(451, "4.3.0 later")))
    new = ScriptedRelay(name="new")
    async with fleet_line(tmp_path, spec(old)) as at:
        await at.accept("A")
        await asyncio.sleep(1)
        await at.fleet.apply([spec(new)])
        await at.carried(within=30)
        assert [attempt.relay for attempt in await at.attempts("A")] == ["old", "new"]


@virtual
async def test_after_an_unknown_outcome_mail_of_a_removed_relay_is_held_for_somebody_to_decide(tmp_path: Path) -> None:
    old, new = ScriptedRelay(drops(Stage.FINAL), name="old"), ScriptedRelay(name="new")
    async with fleet_line(tmp_path, spec(old)) as at:
        await at.accept("A")
        await asyncio.sleep(1)
        await at.fleet.apply([spec(new)])
        await asyncio.sleep(10)
        found = (await at.find("A")).summary
        assert (found.state, found.reason) == (State.HELD, Reason.NO_RELAY)
        assert not new.asked


@virtual
async def test_mail_no_other_relay_may_carry_is_held_never_given_to_one_that_only_stores(tmp_path: Path) -> None:
    old, store = ScriptedRelay(name="old", always=drops(Stage.CONNECT)), ScriptedRelay(name="capture")
    stores = RelaySpec(route=Route(name="capture"), build=lambda: store, sends=False)
    async with fleet_line(tmp_path, spec(old), stores) as at:
        await at.accept("A")
        await asyncio.sleep(1)
        await at.fleet.apply([stores])
        await asyncio.sleep(10)
        assert await at.state("A") is State.HELD
        assert not store.asked
        assert at.fleet.home("example.org") is None


@virtual
async def test_mail_of_a_relay_that_is_not_set_up_any_more_is_given_away_at_the_start(tmp_path: Path) -> None:
    gone = ScriptedRelay(name="gone", always=drops(Stage.CONNECT))
    async with fleet_line(tmp_path, spec(gone)) as at:
        await at.accept(*ids(5))
        await asyncio.sleep(1)
    new = ScriptedRelay(name="new")
    async with fleet_line(tmp_path, spec(new)) as at:
        await at.carried(within=120)
        assert len(new.asked) == 5


@virtual
async def test_a_drained_relay_gets_no_new_mail_and_carries_what_it_has(tmp_path: Path) -> None:
    old, new = ScriptedRelay(name="old", capacity=1, always=takes(1.0, OK)), ScriptedRelay(name="new")
    async with fleet_line(tmp_path, spec(old), spec(new, priority=1)) as at:
        await at.accept(*ids(5))
        await asyncio.sleep(0.5)
        await at.fleet.apply([spec(old, draining=True), spec(new, priority=1)])
        await at.accept("N")
        await at.carried(within=30)
        assert (len(old.asked), [one.envelope.id for one in new.asked]) == (5, ["N"])
        assert at.status("old").draining


@virtual
async def test_a_changed_relay_ends_its_attempts_over_the_old_one_and_begins_others_over_the_new(
    tmp_path: Path,
) -> None:
    old = ScriptedRelay(name="ses", capacity=2, always=takes(5.0, OK))
    new = ScriptedRelay(name="ses", capacity=2)
    async with fleet_line(tmp_path, spec(old, options=1)) as at:
        await at.accept(*ids(6))
        await asyncio.sleep(1)
        await at.fleet.apply([spec(new, options=2)])
        await at.carried(within=30)
        assert sorted(one.envelope.id for one in (*old.asked, *new.asked)) == ids(6)
        assert len(old.asked) == 2
        assert old.closed
        assert not new.closed


@virtual
async def test_the_same_relay_is_not_built_anew_and_a_mistake_changes_nothing(tmp_path: Path) -> None:
    relay = ScriptedRelay(name="ses")
    async with fleet_line(tmp_path, spec(relay, options=1)) as at:
        await at.fleet.apply([spec(ScriptedRelay(name="ses"), options=1, priority=3)])
        assert at.fleet.lines["ses"].relay is relay
        assert at.status("ses").priority == 3

        def broken() -> ScriptedRelay:
            raise OSError("no such file: /etc/ca.pem")

        wrong = RelaySpec(route=Route(name="bad"), build=broken)
        with pytest.raises(OSError, match=r"ca\.pem"):
            await at.fleet.apply([wrong])
        assert list(at.fleet.lines) == ["ses"]
        await at.accept("A")
        await at.carried(within=5)


@virtual
async def test_a_relay_that_comes_back_while_it_leaves_works_again(tmp_path: Path) -> None:
    first = ScriptedRelay(name="ses", capacity=1, always=takes(3.0, OK))
    second, other = ScriptedRelay(name="ses"), ScriptedRelay(name="other")
    async with fleet_line(tmp_path, spec(first), spec(other, priority=1)) as at:
        await at.accept(*ids(3))
        await asyncio.sleep(1)
        await at.fleet.apply([spec(other, priority=1)])
        await at.fleet.apply([spec(second), spec(other, priority=1)])
        await at.accept("N")
        await at.carried(within=30)
        assert first.closed
        assert "N" in [one.envelope.id for one in second.asked]
        asked = [one.envelope.id for one in (*first.asked, *second.asked, *other.asked)]
        assert sorted(asked) == [*ids(3), "N"]


@virtual
async def test_a_courier_that_dies_ends_the_fleet_with_its_reason(tmp_path: Path) -> None:
    async def dies(_: Courier) -> None:
        raise LookupError("a bug")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Courier, "run", dies)
        async with opened(tmp_path / "hub.db") as store:
            at = FleetLine(store, failover_after=60.0)
            await at.fleet.apply([spec(ScriptedRelay(name="ses")), spec(ScriptedRelay(name="other"))])
            with pytest.raises(LookupError, match="a bug"):
                await at.fleet.run()
