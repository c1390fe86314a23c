"""The pages over canned messages, for tests; to look: `python -m tests.support.demo_hub trouble` (or calm, empty)."""

from __future__ import annotations

import asyncio
import secrets
import sys
import time
from collections.abc import Callable

import msgspec
import uvicorn

from emailhub.core.breaker import Mode, Phase, Snapshot
from emailhub.core.delivery import Reason, State
from emailhub.core.errors import NotFound, WrongState
from emailhub.core.message import Limits, Submission
from emailhub.core.records import Detail, Event, Origin, Receipt
from emailhub.core.status import Flow, Link, OutboxStatus, PoolFacts, RabbitStatus, RelayStatus
from emailhub.engine.gate import Access, Gate
from emailhub.engine.live import Live
from emailhub.engine.meter import Meter
from emailhub.web.faces import Actor, Faces, WebOptions
from emailhub.web.site import create_app
from tests.support.demo_outbox import Canned, DemoOutbox, _detail, message_id

_CAUSE = "535 5.7.8 Username and Password not accepted"


class DemoBoard:
    """Two relays and RabbitMQ; in `trouble` the first relay's breaker is open."""

    def __init__(self, now: Callable[[], float], *, trouble: bool, capturing: bool = False) -> None:
        self.now, self.trouble, self.capturing = now, trouble, capturing
        self.stopping, self.loop_lag = False, 0.001
        since = now() - 720
        self.snapshots = {"gmail": Snapshot(), "ses": Snapshot()}
        if trouble:
            self.snapshots["gmail"] = Snapshot(
                phase=Phase.OPEN, failures=5, openings=2, since=since, cause=_CAUSE, probe_at=now() + 42
            )
        if capturing:
            self.snapshots = {"capture": Snapshot()}

    def relays(self) -> tuple[RelayStatus, ...]:
        return tuple(self.relay(name) for name in self.snapshots)

    def relay(self, name: str) -> RelayStatus:
        if name not in self.snapshots:
            raise NotFound("relay", name)
        snapshot = self.snapshots[name]
        probe = snapshot.until if snapshot.mode is Mode.OPEN else snapshot.probe_at
        closes = {"idle": 38, "after 100 messages": 12, "relay closed it": 3}
        pool = (
            PoolFacts() if self.capturing else PoolFacts(open=12, idle=9, busy=3, opens=65, reuses=5123, closes=closes)
        )
        return RelayStatus(
            name=name,
            host="" if self.capturing else f"smtp.{name}.example:587",
            captures=self.capturing,
            breaker=snapshot,
            next_probe=probe,
            capacity=20,
            in_flight=3,
            pool=pool,
            last_sent_at=self.now() - 4,
        )

    def rabbit(self) -> RabbitStatus:
        if self.capturing:
            return RabbitStatus()
        return RabbitStatus(
            link=Link.CONSUMING, queue="email.queue", ready=0, unacked=0, rate_in=14.2, since=self.now() - 9000
        )

    def outbox(self) -> OutboxStatus:
        return OutboxStatus()

    async def flow(self) -> Flow:
        if not self.trouble:
            return Flow(
                level="ok", headline="All mail is flowing.", sentence="1,204 sent in the last hour, nothing waits."
            )
        return Flow(
            level="warn",
            headline="Mail is waiting. Relay `gmail` has refused the login since 03:12.",
            sentence="348 messages wait, none is lost. Next try in 0:42. Fallback `ses` carries marketing only.",
            action=("Open relay gmail", "/relays/gmail"),
        )


class DemoDesk:
    """Does what the desk does to the canned messages, and tells the open pages."""

    def __init__(self, outbox: DemoOutbox, board: DemoBoard, live: Live) -> None:
        self.outbox, self.board, self.live = outbox, board, live
        self.acted: list[tuple[str, str, str]] = []
        self.last_id = 1000

    async def retry(self, id: str, actor: Actor, reason: str = "") -> Detail:
        sources = (State.DEFERRED, State.HELD, State.FAILED, State.CANCELED)
        return await self._move("retry", id, actor, sources, State.QUEUED)

    async def hold(self, id: str, actor: Actor, reason: str = "") -> Detail:
        sources = (State.QUEUED, State.SCHEDULED, State.DEFERRED)
        return await self._move("hold", id, actor, sources, State.HELD)

    async def cancel(self, id: str, actor: Actor, reason: str = "") -> Detail:
        sources = (State.QUEUED, State.SCHEDULED, State.DEFERRED, State.HELD)
        return await self._move("cancel", id, actor, sources, State.CANCELED)

    async def send_for_real(self, id: str, actor: Actor, reason: str = "") -> Detail:
        return await self._move("send", id, actor, (State.SENT,), State.QUEUED)

    async def force(self, relay: str, mode: Mode, *, actor: Actor, note: str, until: float | None) -> Snapshot:
        self.acted.append((f"force {mode}", relay, note))
        phase = Phase.OPEN if mode is Mode.OPEN else Phase.CLOSED
        who = "" if mode is Mode.AUTO else actor.name
        self.board.snapshots[relay] = Snapshot(
            phase=phase, mode=mode, since=self.outbox.now(), actor=who, note=note, until=until
        )
        self.tell("breaker_forced", None, relay)
        return self.board.snapshots[relay]

    def tell(self, kind: str, message: str | None, relay: str | None = None) -> None:
        self.last_id += 1
        self.live.publish([Event(self.last_id, self.outbox.now(), kind, message, relay, {})])

    async def _move(self, verb: str, id: str, actor: Actor, sources: tuple[State, ...], to: State) -> Detail:
        detail = await self.outbox.find(id)
        if not any(one.state in sources for one in detail.recipients):
            raise WrongState(verb, id, detail.summary.state)
        self.acted.append((verb, id, actor.name))
        due = self.outbox.now() if to is State.QUEUED else None
        changed = msgspec.structs.replace(
            detail,
            summary=msgspec.structs.replace(detail.summary, state=to, reason=Reason.OPERATOR, due_at=due),
            recipients=tuple(
                msgspec.structs.replace(one, state=to, reason=Reason.OPERATOR, due_at=due)
                if one.state in sources
                else one
                for one in detail.recipients
            ),
        )
        self.outbox.change(changed)
        self.tell(to.value, id)
        return changed


class DemoIntake:
    """Takes messages into the canned ones."""

    def __init__(self, outbox: DemoOutbox, desk: DemoDesk) -> None:
        self.outbox, self.desk = outbox, desk
        self.limits = Limits()
        self.accepted: list[tuple[Submission, Origin]] = []

    async def accept(self, submission: Submission, origin: Origin) -> Receipt:
        self.accepted.append((submission, origin))
        number = 20 + len(self.accepted)
        people = [(box.address, "to", State.QUEUED, Reason.ACCEPTED, "", 0.0) for box in submission.to]
        canned = Canned(submission.subject, list(people), ago=0, face=origin.face, html=submission.html)
        detail = _detail(number, canned, self.outbox.now())
        self.outbox.add(detail, canned)
        self.desk.tell("accepted", detail.summary.id)
        return Receipt(message_id(number))


class DemoHub:
    """Everything the pages need, canned. `app` is the guarded ASGI application."""

    def __init__(
        self,
        scene: str = "trouble",
        *,
        now: Callable[[], float] = time.time,
        access: Access | None = None,
        options: WebOptions | None = None,
    ) -> None:
        trouble = scene == "trouble"
        self.outbox = DemoOutbox(now, trouble=trouble, empty=scene == "empty")
        self.board = DemoBoard(now, trouble=trouble, capturing=scene == "empty")
        self.live = Live(self.outbox)
        self.desk = DemoDesk(self.outbox, self.board, self.live)
        self.intake = DemoIntake(self.outbox, self.desk)
        self.gate = Gate(access or Access(), lambda: secrets.token_hex(32))
        self.faces = Faces(
            self.intake, self.desk, self.outbox, self.live, self.board, self.gate, Meter(), options or WebOptions(), now
        )
        self.app = create_app(self.faces)


async def _serve(scene: str, port: int) -> None:
    config = uvicorn.Config(DemoHub(scene).app, port=port, log_level="warning", ws="none")
    await uvicorn.Server(config).serve()


if __name__ == "__main__":
    asyncio.run(
        _serve(sys.argv[1] if len(sys.argv) > 1 else "trouble", int(sys.argv[2]) if len(sys.argv) > 2 else 8765)
    )
