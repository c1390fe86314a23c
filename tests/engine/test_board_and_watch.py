"""Is mail flowing? The one sentence for every situation, and who is told when it is not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from emailhub.core.breaker import Mode, Phase, Rules, Snapshot
from emailhub.core.delivery import State
from emailhub.core.errors import HookFailed, NotFound
from emailhub.core.figures import Minute, Totals
from emailhub.core.status import Flow, Link, OutboxStatus, RabbitStatus, Suspension
from emailhub.engine.board import Board, Line
from emailhub.engine.fuse import Fuse
from emailhub.engine.room import Room
from emailhub.engine.solo import NoBroker
from emailhub.engine.watch import Alert, Watch
from tests.support.clock import now, virtual
from tests.support.factories import NOW
from tests.support.relays import ScriptedRelay


class History:
    """What the board reads, as the test wants it."""

    def __init__(self) -> None:
        self.by_state: dict[State, int] = {}
        self.waiting = 0
        self.elsewhere = 0
        self.oldest: float | None = None
        self.sent = self.failed = 0
        self.outbox = OutboxStatus()

    async def totals(self) -> Totals:
        return Totals(self.by_state, self.waiting, self.oldest, 0)

    async def waiting_at(self, relay: str, most: int) -> int:
        return min(self.waiting - self.elsewhere, most)

    async def minutes(self, since: float, until: float, step: float) -> tuple[Minute, ...]:
        return (Minute(since, sent=self.sent, failed=self.failed),)

    def status(self) -> OutboxStatus:
        return self.outbox


class Broker(NoBroker):
    """RabbitMQ in the state the test wants."""

    def __init__(self) -> None:
        self.state = RabbitStatus()

    def status(self) -> RabbitStatus:
        return self.state


class Idle:
    """A courier with nothing to do."""

    in_flight = 0
    last_well: float | None = None


class Stage:
    """A board over parts the test sets."""

    def __init__(self, *, capturing: bool = False, clock: Any = lambda: NOW) -> None:
        self.history = History()
        self.broker = Broker()
        self.room = Room(most_waiting=10, disk_reserve=64 * 1048576, free_disk=10**12)
        self.fuse = Fuse("default", Rules(), Snapshot(), store=None, now=clock, jitter=lambda: 0.0)  # type: ignore[arg-type]
        relay = ScriptedRelay()
        self.courier = Idle()
        lines = {"default": Line(relay, self.courier, self.fuse, "smtp.x.test:587")}  # type: ignore[arg-type]
        self.board = Board(
            lines,
            self.broker,
            self.history,  # type: ignore[arg-type]
            self.room,
            capturing=capturing,
            now=clock,
        )

    def breaker(self, **fields: Any) -> None:
        self.fuse._breaker._snapshot = replace(Snapshot(), **fields)

    async def flow(self) -> Flow:
        return await self.board.flow()


def calm(_: Stage) -> None:
    """Nothing is wrong."""


def relay_away(at: Stage) -> None:
    at.breaker(phase=Phase.OPEN, cause="Connection refused", probe_at=NOW + 75)
    at.history.waiting = 3


def relay_away_without_mail(at: Stage) -> None:
    at.breaker(phase=Phase.OPEN, cause="Connection refused", probe_at=NOW + 5)


def probing(at: Stage) -> None:
    at.breaker(phase=Phase.HALF_OPEN, cause="421 later")
    at.history.waiting = 1


def stumbling(at: Stage) -> None:
    at.breaker(failures=2, cause="connection refused")
    at.history.waiting = 1


def away_after_mail(at: Stage) -> None:
    relay_away(at)
    at.courier.last_well = NOW - 60


def paused(at: Stage) -> None:
    at.breaker(phase=Phase.OPEN, mode=Mode.OPEN, actor="ops", note="maintenance")
    at.history.waiting = 2


def forced_closed(at: Stage) -> None:
    at.breaker(mode=Mode.CLOSED, failures=9, cause="timeout")


def unwritable(at: Stage) -> None:
    at.history.outbox = OutboxStatus(writable=False, detail="the disk is full")


def disk_low(at: Stage) -> None:
    at.room.free_disk = 10 * 1048576


def outbox_full(at: Stage) -> None:
    at.room.waiting = 10


def rabbit_down(at: Stage) -> None:
    at.broker.state = RabbitStatus(link=Link.DOWN, detail="connection refused")


def rabbit_refused(at: Stage) -> None:
    at.broker.state = RabbitStatus(link=Link.REFUSED)


def failing(at: Stage) -> None:
    at.history.sent, at.history.failed = 300, 41


def held(at: Stage) -> None:
    at.history.by_state = {State.HELD: 1}


@pytest.mark.parametrize(
    ("situation", "level", "headline", "sentence"),
    (
        (calm, "ok", "All mail is flowing.", "0 sent in the last hour. Nothing waits."),
        (
            relay_away,
            "bad",
            "Mail is waiting: the relay cannot be reached.",
            "Connection refused. 3 messages wait, none is lost. Next try in 1:15.",
        ),
        (
            relay_away_without_mail,
            "warn",
            "The relay cannot be reached.",
            "Connection refused. Nothing waits. Next try in 0:05.",
        ),
        (
            probing,
            "bad",
            "Mail is waiting: the relay takes no mail.",
            "421 later. 1 message waits, none is lost. One probe is under way.",
        ),
        (
            stumbling,
            "warn",
            "The relay is in trouble.",
            "Connection refused. The last 2 tries failed. 1 message waits, none is lost.",
        ),
        (
            away_after_mail,
            "bad",
            "Mail is waiting: the relay cannot be reached.",
            "Connection refused. It last took mail at 07:59 UTC. 3 messages wait, none is lost. Next try in 1:15.",
        ),
        (paused, "warn", "Mail is stopped by ops: maintenance.", "2 messages wait, none is lost."),
        (
            forced_closed,
            "warn",
            "The relay is in trouble.",
            "Timeout. It is forced closed, so emailhub keeps trying.",
        ),
        (unwritable, "bad", "The outbox cannot be written.", "The disk is full. Nothing is lost."),
        (
            disk_low,
            "bad",
            "The disk is nearly full.",
            (
                "New mail is refused: only 10 MiB are free on the disk, 64 MiB are kept back (EMAILHUB_DISK_RESERVE). "
                "What was accepted goes on."
            ),
        ),
        (
            outbox_full,
            "bad",
            "The outbox is full.",
            (
                "New mail is refused: 10 messages wait already, the limit is 10 (EMAILHUB_MAX_WAITING). "
                "What was accepted goes on."
            ),
        ),
        (rabbit_down, "warn", "RabbitMQ cannot be reached.", "Connection refused. Mail over HTTP goes on."),
        (rabbit_refused, "bad", "RabbitMQ refuses us.", "Mail over HTTP goes on."),
        (
            failing,
            "info",
            "All mail is flowing. 41 recipients failed in the last hour.",
            "That is 12 % of all. The reasons are below; each can be sent again.",
        ),
        (held, "info", "All mail is flowing. 1 message needs you.", "Held until retried or canceled."),
    ),
)
async def test_every_situation_has_its_sentence(situation: Any, level: str, headline: str, sentence: str) -> None:
    at = Stage()
    situation(at)
    flow = await at.flow()
    assert (flow.level, flow.headline, flow.sentence) == (level, headline, sentence)


async def test_the_worst_comes_first_and_the_rest_are_causes() -> None:
    at = Stage()
    for situation in (held, rabbit_down, relay_away):
        situation(at)
    flow = await at.flow()
    assert flow.headline == "Mail is waiting: the relay cannot be reached."
    assert [cause.partition(".")[0] for cause in flow.causes] == ["RabbitMQ cannot be reached", "1 message needs you"]


async def test_what_waits_at_other_relays_does_not_make_a_relay_look_worse_than_it_is() -> None:
    at = Stage()
    relay_away_without_mail(at)
    at.history.waiting, at.history.elsewhere = 3, 3
    flow = await at.flow()
    assert (flow.level, flow.sentence) == ("warn", "Connection refused. Nothing waits. Next try in 0:05.")


async def test_capturing_is_said_when_nothing_worse_is_to_be_said() -> None:
    at = Stage(capturing=True)
    at.history.sent = 1200
    flow = await at.flow()
    assert (flow.level, flow.headline) == ("info", "Mail is captured, not sent.")
    assert "1,200 messages captured" in flow.sentence


async def test_a_relay_nobody_set_up_is_not_found() -> None:
    with pytest.raises(NotFound):
        Stage().board.relay("other")


class Receiver:
    """Takes alerts, or not."""

    def __init__(self, *fails: int) -> None:
        self.fails = list(fails)
        self.taken: list[tuple[float, dict[str, object]]] = []
        self.tries: list[float] = []

    async def post(self, payload: dict[str, object]) -> None:
        self.tries.append(now())
        if self.fails:
            self.fails.pop()
            raise HookFailed("503")
        self.taken.append((now(), payload))


def watch(at: Stage, receiver: Receiver | None, clock: Any = now) -> Watch:
    post = receiver.post if receiver else None
    return Watch(at.board, at.history, at.room, post, waiting_limit=900.0, now=clock)  # type: ignore[arg-type]


@virtual
async def test_an_alert_is_told_once_when_it_begins_and_once_when_it_is_over() -> None:
    at = Stage(clock=now)
    receiver = Receiver()
    one = watch(at, receiver)
    tasks = [asyncio.create_task(one.run()), asyncio.create_task(one.tell())]
    await asyncio.sleep(10)
    assert receiver.taken == []
    held(at)
    began = now()
    await asyncio.sleep(100)
    at.history.by_state = {}
    await asyncio.sleep(10)
    told = [(payload["alert"], payload["status"]) for _, payload in receiver.taken]
    assert told == [("mail_held", "firing"), ("mail_held", "resolved")]
    assert receiver.taken[0][0] - began <= 2
    assert receiver.taken[1][1]["since"] == receiver.taken[0][1]["at"]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@virtual
async def test_a_receiver_that_is_away_is_tried_again_and_holds_nothing_up() -> None:
    at = Stage(clock=now)
    receiver = Receiver(1, 1, 1)
    one = watch(at, receiver)
    tasks = [asyncio.create_task(one.run()), asyncio.create_task(one.tell())]
    held(at)
    await asyncio.sleep(1)
    at.history.by_state = {}
    await asyncio.sleep(100)
    waits = [b - a for a, b in zip(receiver.tries, receiver.tries[1:], strict=False)]
    assert waits[:3] == [2.0, 10.0, 30.0]
    assert [payload["status"] for _, payload in receiver.taken] == ["firing", "resolved"]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def waiting_long(at: Stage) -> None:
    at.history.oldest, at.history.waiting = NOW - 901, 5


@pytest.mark.parametrize(
    ("situation", "alerts"),
    (
        (calm, []),
        (relay_away, ["breaker_open"]),
        (paused, ["breaker_open"]),
        (waiting_long, ["waiting_long"]),
        (rabbit_down, ["consumer_missing"]),
        (disk_low, ["disk_full"]),
        (outbox_full, ["outbox_full"]),
        (held, ["mail_held"]),
    ),
)
async def test_what_needs_a_human_is_an_alert(situation: Any, alerts: list[str]) -> None:
    at = Stage()
    situation(at)
    found = tuple(watch(at, None, lambda: NOW).conditions(await at.history.totals()))
    assert [alert.name for alert in found] == alerts


async def test_a_covered_relay_and_a_suspended_sender_are_alerts_with_a_subject_each() -> None:
    at = Stage()
    one = Suspension(domain="example.org", since=NOW, reply="550 no", next_try=NOW + 600)
    (status,) = at.board.relays()
    shown = replace(status, covered_by=("gmail",), covered_why="login refused", suspended=(one,))
    at.board.relays = lambda: (shown,)  # type: ignore[method-assign]
    found = watch(at, None, lambda: NOW).conditions(await at.history.totals())
    assert [(alert.name, alert.subject, alert.text) for alert in found] == [
        ("relay_covered", "default", "Mail of relay default is carried by gmail: login refused"),
        ("sender_suspended", "default/example.org", "Relay default does not let example.org send: 550 no"),
    ]


async def test_without_a_receiver_nothing_piles_up() -> None:
    at = Stage()
    one = watch(at, None, lambda: NOW)
    for number in range(3000):
        one.compare((Alert("a", str(number), "text"),))
    assert one._to_tell.empty()
