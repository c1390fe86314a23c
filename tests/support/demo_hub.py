"""The pages over canned messages, for tests; to look: `python -m tests.support.demo_hub trouble` (or calm, empty)."""

from __future__ import annotations

import asyncio
import secrets
import sys
import time
from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import uvicorn
from msgspec.structs import replace

from emailhub.core import chaos
from emailhub.core.breaker import Mode, Phase, Snapshot
from emailhub.core.delivery import Reason, State
from emailhub.core.errors import InvalidMessage, NotFound, WrongState
from emailhub.core.message import Limits, Mailbox, Submission
from emailhub.core.records import Detail, Event, Origin, Receipt
from emailhub.core.setup import About
from emailhub.core.status import (
    ChaosStatus,
    ClockStatus,
    Flow,
    LimitStatus,
    Link,
    OutboxStatus,
    PoolFacts,
    RabbitStatus,
    RelayStatus,
    RendererStatus,
    Suspension,
)
from emailhub.core.template import Broken
from emailhub.engine.audit import AuditLog
from emailhub.engine.bulk import Bulk
from emailhub.engine.gate import Access, Gate
from emailhub.engine.intake import Defaults
from emailhub.engine.letters import DeadLetters
from emailhub.engine.live import Live
from emailhub.engine.meter import Meter
from emailhub.engine.suppression import SuppressionList
from emailhub.web.faces import Actor, Faces, WebOptions
from emailhub.web.site import create_app
from tests.support.demo_audit import DemoAudit
from tests.support.demo_bulk import DemoBulk
from tests.support.demo_keys import demo_keyring
from tests.support.demo_letters import DemoLetters
from tests.support.demo_outbox import Canned, DemoOutbox, _detail, message_id
from tests.support.demo_setup import demo_setup
from tests.support.demo_suppressions import DemoSuppressions
from tests.support.staff import People
from tests.support.templates import empty_shelf

_CAUSE = "535 5.7.8 Username and Password not accepted"
_REFUSED = "554 5.7.1 Sender address rejected: domain news.example.org is not verified for this account"
_POOL = PoolFacts(
    open=12,
    idle=9,
    busy=3,
    opens=65,
    reuses=5123,
    closes={"idle": 38, "after 100 messages": 12, "closed by the relay": 3},
)


class DemoBoard:
    """Several relays and RabbitMQ; in `trouble` the first relay's breaker is open, and the second carries for it."""

    def __init__(self, now: Callable[[], float], *, trouble: bool, capturing: bool = False) -> None:
        self.now, self.trouble, self.capturing = now, trouble, capturing
        self.stopping, self.loop_lag, self.disk_low = False, 0.001, False
        self.started = now()
        names = (
            ("capture", "chaos") if capturing else ("gmail", "ses", "mailgun", "old") if trouble else ("gmail", "ses")
        )
        self.snapshots = dict.fromkeys(names, Snapshot())
        self.chaos = ChaosStatus(transient=0.1, permanent=0.05, drop=0.02, slow=0.05)
        self.suspended = {"mailgun": {"news.example.org"}} if trouble else {}
        if trouble:
            self.snapshots["gmail"] = Snapshot(
                phase=Phase.OPEN, failures=5, openings=2, since=now() - 720, cause=_CAUSE, probe_at=now() + 42
            )

    def clock(self) -> ClockStatus:
        return ClockStatus()

    def renderer(self) -> RendererStatus:
        return RendererStatus(ready=2)

    def broken_templates(self) -> tuple[Broken, ...]:
        return ()

    def relays(self) -> tuple[RelayStatus, ...]:
        return tuple(self.relay(name) for name in self.snapshots)

    def relay(self, name: str) -> RelayStatus:
        if name not in self.snapshots:
            raise NotFound("relay", name)
        snapshot = self.snapshots[name]
        probe = snapshot.until if snapshot.mode is Mode.OPEN else snapshot.probe_at
        status = RelayStatus(
            name=name,
            host="" if self.capturing else f"smtp.{name}.example:587",
            captures=self.capturing,
            breaker=snapshot,
            next_probe=probe,
            capacity=20,
            in_flight=3,
            pool=PoolFacts() if self.capturing else _POOL,
            last_sent_at=self.now() - 4,
        )
        return replace(status, **self._more(name, self.now()))

    def _more(self, name: str, now: float) -> dict[str, Any]:
        """What sets the relays apart."""
        if name == "chaos":
            return {"chaos": self.chaos}
        if name == "gmail":
            limits = (LimitStatus(limit=2000, seconds=86400.0, used=1312),)
            facts: dict[str, Any] = {"domains": ("example.com",), "limits": limits}
            covered = {"covered_by": ("ses",), "covered_since": self.started - 660, "covered_why": "login refused"}
            trouble = self.snapshots[name].phase is not Phase.CLOSED
            return facts | covered | {"in_flight": 0, "last_sent_at": self.started - 725} if trouble else facts
        if name == "ses":
            limits = (
                LimitStatus(limit=14, seconds=1.0, used=9),
                LimitStatus(limit=50_000, seconds=86400.0, used=41_870),
            )
            covers = ("gmail",) if self.snapshots["gmail"].phase is not Phase.CLOSED else ()
            return {"limits": limits, "priority": 1, "weight": 3, "covers": covers, "in_flight": 11}
        if name == "mailgun":
            suspended = tuple(
                Suspension(domain=domain, since=self.started - 1500, reply=_REFUSED, next_try=self.started + 900)
                for domain in sorted(self.suspended["mailgun"])
            )
            return {"domains": ("*.example.org", "example.net"), "priority": 1, "suspended": suspended}
        if name == "old":
            limits = (LimitStatus(limit=500, seconds=3600.0, used=500, free_at=self.started + 1480),)
            return {"priority": 9, "draining": True, "limits": limits, "in_flight": 0}
        return {}

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
            headline="Mail flows over the fallback: `ses` carries the mail of `gmail` since 03:13.",
            sentence="`gmail` has refused the login since 03:12. 28 messages wait, none is lost. Next try in 0:42.",
            causes=(
                "`mailgun` does not let news.example.org send. Verify the domain with the provider.",
                "The limit of `old` is reached: 500 an hour. More may go at 03:48.",
            ),
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

    async def resume_sender(self, relay: str, domain: str, actor: Actor) -> None:
        if domain not in self.board.suspended.get(relay, set()):
            raise NotFound("suspended sender", domain)
        self.board.suspended[relay].discard(domain)
        self.acted.append(("resume_sender", relay, domain))
        self.tell("sender_resumed", None, relay)

    async def set_chaos(self, status: ChaosStatus, actor: Actor) -> ChaosStatus:
        if wrong := chaos.problems(status):
            raise InvalidMessage(wrong)
        self.board.chaos = status
        self.acted.append(("set_chaos", "chaos", actor.name))
        self.tell("chaos_set", None, "chaos")
        return status

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
        self.defaults = Defaults(Mailbox("billing@example.com"), "gmail")
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
    """Everything the pages need, canned. `app` is the guarded ASGI application, `client` asks it without a socket."""

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
        self.keyring = demo_keyring(now, empty=scene == "empty")
        people = People(admin=None, at=now())
        self.gate = Gate(access or Access(), people=people.users)
        self.faces = Faces(
            self.intake,
            self.desk,
            self.outbox,
            self.live,
            self.board,
            self.gate,
            Meter(),
            options or WebOptions(),
            now,
            suppressions=SuppressionList(DemoSuppressions(now, empty=scene == "empty"), meter=Meter(), now=now),
            shelf=empty_shelf(now),
            letters=DeadLetters(DemoLetters(now, empty=scene == "empty"), self.intake, now=now),
            bulk=Bulk(
                DemoBulk(self.outbox, now, empty=scene == "empty"),
                self.desk,
                wake=lambda: None,
                now=now,
                entropy=secrets.token_bytes,
            ),
            users=people.users,
            logins=people.logins,
            audit=AuditLog(DemoAudit(now, empty=scene == "empty"), now=now),
            keyring=self.keyring,
            setup=demo_setup,
            about=About(version="0.1.0", python="3.12.1", sqlite="3.46.1", schema=12, started_at=now() - 9000),
        )
        self.app = create_app(self.faces)
        transport = httpx.ASGITransport(self.app, client=("127.0.0.1", 4321), raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://localhost:8000")


async def _serve(scene: str, port: int) -> None:
    config = uvicorn.Config(DemoHub(scene).app, port=port, log_level="warning", ws="none")
    await uvicorn.Server(config).serve()


if __name__ == "__main__":
    asyncio.run(
        _serve(sys.argv[1] if len(sys.argv) > 1 else "trouble", int(sys.argv[2]) if len(sys.argv) > 2 else 8765)
    )
