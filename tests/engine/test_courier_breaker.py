"""The courier and a sick relay: the breaker, its one probe, the ramp, and what trouble costs (nothing)."""

from __future__ import annotations

import asyncio
from pathlib import Path

from emailhub.core.breaker import Mode, Permit, Phase, Signal, Snapshot
from emailhub.core.delivery import Reason, State
from emailhub.core.verdict import Kind, Stage, Verdict
from tests.support.clock import now, settled, virtual
from tests.support.courier_line import line
from tests.support.factories import parcel
from tests.support.relays import ScriptedRelay, answers, drops, takes

AWAY = drops(Stage.CONNECT)
OK = answers(250, "2.0.0 ok")


@virtual
async def test_relay_trouble_uses_no_attempt_and_waits_30_s_doubling_to_10_minutes(tmp_path: Path) -> None:
    # Another message that gets through in between keeps the breaker closed; the trouble is before MAIL each time.
    async with line(tmp_path, ScriptedRelay(always=AWAY)) as at:
        await at.fuse.force(Mode.CLOSED, actor="test", note="", until=None)
        await at.accept("A")
        await asyncio.sleep(3000)
        waits = [b - a for a, b in zip(at.relay.times, at.relay.times[1:], strict=False)]
        assert waits == [30.0, 60.0, 120.0, 240.0, 480.0, 600.0, 600.0, 600.0]
        found = await at.find("A")
        assert (found.summary.reason, found.recipients[0].attempts) == (Reason.RELAY_TROUBLE, 0)
        assert not any(attempt.counted for attempt in await at.store.history.attempts("A"))


@virtual
async def test_five_failures_open_the_breaker_and_what_had_not_reached_the_body_is_given_back(tmp_path: Path) -> None:
    slow = takes(100, OK, Stage.RCPT)
    relay = ScriptedRelay(*[takes(1, AWAY, Stage.CONNECT)] * 5, slow, slow, takes(100, OK), capacity=8)
    async with line(tmp_path, relay) as at:
        await at.accept(*(f"M{number}" for number in range(8)))
        await asyncio.sleep(2)
        assert at.fuse.snapshot.phase is Phase.OPEN
        assert relay.drops == 1
        given_back = [id for id in ("M5", "M6") if (await at.find(id)).summary.reason is Reason.BREAKER_OPENED]
        assert given_back == ["M5", "M6"]
        assert [await at.state(id) for id in ("M5", "M6", "M7")] == [State.QUEUED, State.QUEUED, State.SENDING]
        assert {row[0] for row in await at.store.rows("SELECT attempts FROM recipient")} == {0}
        await at.carried()
        assert {await at.state(f"M{number}") for number in range(8)} == {State.SENT}


@virtual
async def test_what_was_claimed_in_the_moment_the_breaker_opened_is_given_back_untried(tmp_path: Path) -> None:
    async with line(tmp_path, ScriptedRelay()) as at:
        await asyncio.sleep(1)
        claim = at.outbox.claim

        async def opened_meanwhile(*args: object, **given: object) -> object:
            jobs = await claim(*args, **given)  # type: ignore[arg-type]
            at.fuse.record(Permit(at.fuse.snapshot.epoch), Signal.LOGIN_REJECTED, "535")
            return jobs

        at.outbox.claim = opened_meanwhile  # type: ignore[method-assign, assignment]
        await at.accept("A", "B")
        await asyncio.sleep(1)
        assert at.relay.asked == []
        assert [await at.state(id) for id in "AB"] == [State.QUEUED, State.QUEUED]
        at.outbox.claim = claim  # type: ignore[method-assign]
        await at.carried()


@virtual
async def test_an_attempt_interrupted_before_its_first_step_still_gives_its_message_back(tmp_path: Path) -> None:
    async with line(tmp_path, ScriptedRelay()) as at:
        await asyncio.sleep(1)
        claim = at.outbox.claim

        async def then_opens(*args: object, **given: object) -> object:
            jobs = await claim(*args, **given)  # type: ignore[arg-type]
            permit = Permit(at.fuse.snapshot.epoch)
            asyncio.get_running_loop().call_soon(at.fuse.record, permit, Signal.LOGIN_REJECTED, "535")
            return jobs

        at.outbox.claim = then_opens  # type: ignore[method-assign, assignment]
        await at.accept("A", "B")
        await asyncio.sleep(1)
        assert at.relay.asked == []
        assert [await at.state(id) for id in "AB"] == [State.QUEUED, State.QUEUED]
        at.outbox.claim = claim  # type: ignore[method-assign]


@virtual
async def test_after_the_outage_exactly_one_probe_goes_on_a_fresh_connection_then_1_2_4(tmp_path: Path) -> None:
    slow = takes(1.0, OK)
    relay = ScriptedRelay(*[AWAY] * 5, capacity=5, always=slow)
    async with line(tmp_path, relay) as at:
        await at.accept(*(f"M{number:02}" for number in range(25)))
        await at.carried()
        after = [one for one in relay.asked if one.at > relay.asked[0].at]
        assert [one.fresh for one in after] == [True] + [False] * 24
        began = after[0].at
        assert began - relay.asked[0].at == 30.0
        starts = [one.at - began for one in after]
        assert [starts.count(float(second)) for second in range(6)] == [1, 1, 2, 4, 5, 5]


@virtual
async def test_a_failed_probe_doubles_the_wait_and_only_one_attempt_is_made(tmp_path: Path) -> None:
    relay = ScriptedRelay(*[AWAY] * 7)
    async with line(tmp_path, relay) as at:
        await at.accept(*(f"M{number}" for number in range(10)))
        await at.carried()
        moments = sorted({one.at - relay.asked[0].at for one in relay.asked})
        assert [relay.times.count(moment) for moment in moments[:3]] == [5, 1, 1]
        assert moments[1:4] == [30.0, 90.0, 210.0]


@virtual
async def test_with_no_mail_due_the_relay_is_probed_without_mail(tmp_path: Path) -> None:
    relay = ScriptedRelay()
    relay.probe_verdicts = [Verdict(Kind.RELAY, Stage.CONNECT, "refused")]
    snapshot = Snapshot(phase=Phase.OPEN, epoch=3, openings=1, since=now(), cause="refused", probe_at=now() + 30)
    async with line(tmp_path, relay, snapshot=snapshot) as at:
        await settled(lambda: at.fuse.snapshot.phase is Phase.CLOSED)
        assert len(relay.probed) == 2
        assert relay.asked == []


AT_MAIL = answers(421, "4.3.2 System not accepting network messages", Stage.MAIL)


@virtual
async def test_where_the_trouble_came_with_mail_the_next_message_is_the_probe_and_not_a_login(tmp_path: Path) -> None:
    relay = ScriptedRelay(*[AT_MAIL] * 5, takes(2.0, AT_MAIL, Stage.MAIL))
    async with line(tmp_path, relay) as at:
        await at.accept(*(f"M{number}" for number in range(5)))
        await asyncio.sleep(1)
        for number in range(5):
            await at.store.verbs.hold(f"M{number}", now=now(), actor="op", note="")
        await asyncio.sleep(40)
        state = at.fuse.snapshot
        assert (state.phase, state.ready, len(relay.probed)) == (Phase.HALF_OPEN, True, 1)
        assert "4.3.2" in state.cause
        before = len(at.outbox.calls)
        await asyncio.sleep(600)
        assert len(at.outbox.calls) - before < 100, "waiting for mail does not spin"
        await at.accept("A", "B", "C")
        await asyncio.sleep(1)
        assert len(relay.asked) == 6, "one message alone"
        assert relay.asked[-1].fresh
        await asyncio.sleep(2)
        assert (at.fuse.snapshot.phase, at.fuse.snapshot.openings) == (Phase.OPEN, 2)
        await at.carried("A", "B", "C")
        assert (at.fuse.snapshot.phase, at.fuse.snapshot.cause) == (Phase.CLOSED, "")


@virtual
async def test_what_rabbitmq_hands_over_can_be_the_message_that_shows_if_the_relay_is_well(tmp_path: Path) -> None:
    snapshot = Snapshot(phase=Phase.OPEN, epoch=1, openings=1, since=now(), cause="451", probe_at=now(), at_mail=True)
    async with line(tmp_path, ScriptedRelay(), snapshot=snapshot) as at:
        await settled(lambda: at.fuse.snapshot.ready)
        await at.store.outbox.add([parcel(id, due_at=now() + 5) for id in "AB"])
        at.courier.offer(["NOBODY", "A", "B"])
        await at.carried(within=2)
        assert [one.fresh for one in at.relay.asked] == [True, False]


@virtual
async def test_while_the_breaker_is_open_the_outbox_is_left_alone(tmp_path: Path) -> None:
    async with line(tmp_path, ScriptedRelay()) as at:
        await at.fuse.force(Mode.OPEN, actor="op", note="maintenance", until=None)
        await asyncio.sleep(1)
        at.outbox.calls.clear()
        await at.accept(*"ABC")
        await asyncio.sleep(3600)
        assert at.outbox.calls == []
        assert at.relay.asked == at.relay.probed == []
        await at.fuse.force(Mode.AUTO, actor="op", note="", until=None)
        await at.carried(within=10)


@virtual
async def test_forced_open_ends_by_itself_at_the_time_given(tmp_path: Path) -> None:
    async with line(tmp_path, ScriptedRelay()) as at:
        began = now()
        await at.fuse.force(Mode.OPEN, actor="op", note="", until=began + 600)
        await at.accept("A")
        await at.carried()
        assert at.relay.asked[0].at == began + 600


@virtual
async def test_forced_open_survives_a_restart(tmp_path: Path) -> None:
    async with line(tmp_path, ScriptedRelay()) as at:
        await at.fuse.force(Mode.OPEN, actor="op", note="maintenance", until=None)
        stored = await at.store.upkeep.load_breaker("default")
    async with line(tmp_path, ScriptedRelay(), snapshot=stored) as at:
        await at.accept("A")
        await asyncio.sleep(3600)
        assert at.relay.asked == []
        assert (at.fuse.snapshot.actor, at.fuse.snapshot.note) == ("op", "maintenance")


@virtual
async def test_forced_closed_keeps_trying_whatever_happens(tmp_path: Path) -> None:
    async with line(tmp_path, ScriptedRelay(*[AWAY] * 20)) as at:
        await at.fuse.force(Mode.CLOSED, actor="op", note="", until=None)
        await at.accept(*(f"M{number:02}" for number in range(20)))
        await at.carried()
        assert at.fuse.snapshot.phase is Phase.CLOSED


@virtual
async def test_forcing_open_takes_back_a_probe_that_has_not_reached_the_body(tmp_path: Path) -> None:
    relay = ScriptedRelay(*[AWAY] * 5, takes(100, OK, Stage.RCPT))
    async with line(tmp_path, relay) as at:
        await at.accept(*(f"M{number}" for number in range(6)))
        await asyncio.sleep(31)
        assert at.fuse.snapshot.phase is Phase.HALF_OPEN
        await at.fuse.force(Mode.OPEN, actor="op", note="", until=None)
        await asyncio.sleep(1)
        assert at.courier.in_flight == 0
        await asyncio.sleep(3600)
        assert len(relay.asked) == 6


@virtual
async def test_a_probe_that_is_due_while_every_connection_is_busy_waits_without_spinning(tmp_path: Path) -> None:
    relay = ScriptedRelay(takes(500, OK), capacity=1)
    async with line(tmp_path, relay) as at:
        await at.accept("A", "B")
        await asyncio.sleep(1)
        await at.fuse.force(Mode.OPEN, actor="op", note="", until=now() + 10)
        rounds = 0
        pause = at.courier._pause

        def counted() -> float:
            nonlocal rounds
            rounds += 1
            assert rounds < 100, "it spins"
            return pause()

        at.courier._pause = counted  # type: ignore[method-assign]
        await at.carried()
        assert relay.times[1] == 500.0


@virtual
async def test_a_message_that_alone_makes_the_relay_hang_up_comes_to_its_end(tmp_path: Path) -> None:
    """Others get through in between, so the trouble is the message's own and uses its attempts."""

    async def picky(relay: ScriptedRelay, envelope, progress, before_body):  # type: ignore[no-untyped-def]
        act = drops(Stage.DATA) if envelope.id == "BAD" else OK
        return await act(relay, envelope, progress, before_body)

    async with line(tmp_path, ScriptedRelay(always=picky)) as at:
        await at.accept("BAD")
        for number in range(40):
            await at.accept(f"G{number:02}")
            await asyncio.sleep(60)
        bad = await at.find("BAD")
        assert bad.recipients[0].attempts >= 3
        assert at.fuse.snapshot.phase is Phase.CLOSED


@virtual
async def test_a_breaker_that_could_not_be_stored_is_stored_as_soon_as_it_can(tmp_path: Path) -> None:
    async with line(tmp_path, ScriptedRelay(*[AWAY] * 5)) as at:
        save = at.store.upkeep.save_breaker

        async def full(*args: object) -> None:
            from emailhub.core.errors import OutboxFull

            raise OutboxFull("the disk is full")

        at.store.upkeep.save_breaker = full  # type: ignore[method-assign, assignment]
        await at.accept(*"ABCDE")
        await asyncio.sleep(5)
        at.store.upkeep.save_breaker = save  # type: ignore[method-assign]
        await asyncio.sleep(2)
        stored = await at.store.upkeep.load_breaker("default")
        assert stored is not None
        assert stored.phase is Phase.OPEN
