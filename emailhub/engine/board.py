"""How everything stands, for health, metrics and the first page: and the sentence that says if mail is flowing."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec.structs import replace

from emailhub.core.delivery import State
from emailhub.core.errors import NotFound
from emailhub.core.figures import Totals
from emailhub.core.status import ClockStatus, Flow, Link, OutboxStatus, RabbitStatus, RelayStatus, RendererStatus
from emailhub.core.template import Broken
from emailhub.engine.allowance import Allowance
from emailhub.engine.chaos import behaviour_of
from emailhub.engine.courier import Courier
from emailhub.engine.flow import (
    MOST_WAITING,
    clock_flows,
    counted,
    failing_flow,
    is_well,
    relay_flows,
    sentence_of,
    template_flows,
    waiting,
)
from emailhub.engine.fuse import Fuse
from emailhub.engine.ports import Broker, History, Relay
from emailhub.engine.room import Room

HOUR = 3600.0


class Line:
    """A relay with its courier, its breaker, and what its courier may take."""

    __slots__ = ("allowance", "courier", "fuse", "host", "relay")

    def __init__(
        self, relay: Relay, courier: Courier, fuse: Fuse, host: str, allowance: Allowance | None = None
    ) -> None:
        self.relay = relay
        self.courier = courier
        self.fuse = fuse
        self.host = host
        self.allowance = allowance

    def status(self, now: float) -> RelayStatus:
        """The relay as it stands `now`."""
        status = RelayStatus(
            name=self.relay.name,
            host=self.host,
            captures=self.relay.captures,
            breaker=self.fuse.snapshot,
            next_probe=self.fuse.next_probe,
            capacity=self.relay.capacity,
            in_flight=self.courier.in_flight,
            pool=self.relay.facts(),
            last_sent_at=self.courier.last_well,
            chaos=behaviour_of(self.relay),
        )
        return status if self.allowance is None else self._allowed(status, self.allowance, now)

    def _allowed(self, status: RelayStatus, allowance: Allowance, now: float) -> RelayStatus:
        cover, name, route = allowance.cover, self.relay.name, allowance.route
        covered = cover.covered(name) if cover is not None else None
        return replace(
            status,
            domains=route.domains,
            priority=route.priority,
            weight=route.weight,
            draining=route.draining,
            limits=allowance.limiter.status(now),
            suspended=allowance.suspensions.all() if allowance.suspensions is not None else (),
            covers=cover.covers(name) if cover is not None else (),
            covered_by=covered.by if covered else (),
            covered_since=covered.since if covered else None,
            covered_why=covered.cause if covered else "",
        )


class Board:
    """Reads the parts. `loop_lag` is the longest lag of the event loop lately, in seconds; `news()` gives sentences
    about what is over.

    `broken_templates()` gives the templates that cannot be used as they stand, `clock()` how the clock stands,
    `renderer()` what renders them.
    """

    def __init__(
        self,
        lines: Mapping[str, Line],
        broker: Broker,
        history: History,
        room: Room,
        *,
        capturing: bool,
        now: Callable[[], float],
        news: Callable[[], tuple[str, ...]] = tuple,
    ) -> None:
        self._lines = lines
        self._broker = broker
        self._history = history
        self._room = room
        self._now = now
        self._news = news
        self.broken_templates: Callable[[], tuple[Broken, ...]] = tuple
        self.clock: Callable[[], ClockStatus] = ClockStatus
        self.renderer: Callable[[], RendererStatus] = RendererStatus
        self.capturing = capturing
        self.loop_lag = 0.0

    @property
    def stopping(self) -> bool:
        return self._room.stopping

    @property
    def disk_low(self) -> bool:
        """Whether only the space that is kept back is free."""
        return self._room.disk_low

    def show_lag(self, seconds: float) -> None:
        """To be told of the event loop's lag."""
        self.loop_lag = seconds

    def relays(self) -> tuple[RelayStatus, ...]:
        """The relays new mail goes to first, the capture relay last."""
        found = (line.status(self._now()) for line in self._lines.values())
        return tuple(sorted(found, key=lambda relay: relay.captures))

    def relay(self, name: str) -> RelayStatus:
        """Raises NotFound."""
        if name not in self._lines:
            raise NotFound("relay", name)
        return self._lines[name].status(self._now())

    def rabbit(self) -> RabbitStatus:
        return self._broker.status()

    def outbox(self) -> OutboxStatus:
        """The database, and whether there is room in it and on its disk."""
        status, lack = self._history.status(), self._room.lack()
        return replace(status, lack=str(lack)) if lack else status

    async def flow(self) -> Flow:
        """Is mail flowing? The worst thing first, the rest as causes."""
        now = self._now()
        totals = await self._history.totals()
        findings = [*self._outbox_trouble(), *await self._relay_trouble(now), *self._rabbit_trouble()]
        sent, failed = await self._hour(now)
        findings += [*self._held(totals), *failing_flow(sent, failed), *template_flows(self.broken_templates())]
        findings += clock_flows(self.clock())
        findings += [Flow(level="info", headline=sentence_of(text), sentence="") for text in self._news()]
        if findings:
            first, *others = sorted(findings, key=lambda flow: _LEVELS.index(flow.level))
            return Flow(
                level=first.level,
                headline=f"{self._flows()} {first.headline}" if first.level == "info" else first.headline,
                sentence=first.sentence,
                causes=tuple(f"{flow.headline} {flow.sentence}".strip() for flow in others),
                action=first.action,
                fields=first.fields,
            )
        return self._calm(totals, sent)

    async def _hour(self, now: float) -> tuple[int, int]:
        minutes = await self._history.minutes(now - HOUR, now, 60.0)
        return sum(minute.sent for minute in minutes), sum(minute.failed for minute in minutes)

    def _calm(self, totals: Totals, sent: int) -> Flow:
        waits = waiting(totals.waiting)
        if self.capturing:
            sentence = f"{counted(sent, 'message')} captured in the last hour. Set SMTP_HOST to send for real."
            return Flow(level="info", headline=self._flows(), sentence=sentence)
        return Flow(level="ok", headline=self._flows(), sentence=f"{sent:,} sent in the last hour. {waits}")

    def _flows(self) -> str:
        return "Mail is captured, not sent." if self.capturing else "All mail is flowing."

    def _outbox_trouble(self) -> list[Flow]:
        status = self.outbox()
        found = []
        if not status.writable:
            found.append(
                Flow(
                    level="bad",
                    headline="The outbox cannot be written.",
                    sentence=f"{sentence_of(status.detail)} Nothing is lost.",
                )
            )
        if status.lack:
            headline = "The disk is nearly full." if self._room.disk_low else "The outbox is full."
            sentence = f"New mail is refused: {status.lack}. What was accepted goes on."
            found.append(Flow(level="bad", headline=headline, sentence=sentence))
        return found

    async def _relay_trouble(self, now: float) -> list[Flow]:
        relays = self.relays()
        # Beside a relay that sends, the one that captures is no second way out: the relay is still "the relay".
        many = sum(not relay.captures for relay in relays) > 1
        found: list[Flow] = []
        for relay in relays:
            waits = 0 if is_well(relay) else await self._history.waiting_at(relay.name, MOST_WAITING)
            found += relay_flows(relay, waits, now, many=many)
        return found

    def _rabbit_trouble(self) -> list[Flow]:
        status = self.rabbit()
        if status.link in (Link.OFF, Link.CONSUMING):
            return []
        level = "bad" if status.link is Link.REFUSED else "warn"
        headline = {
            Link.CONNECTING: "RabbitMQ is not connected yet.",
            Link.PAUSED: "The queue is paused.",
            Link.BLOCKED: "RabbitMQ takes no messages.",
            Link.MISSING: "RabbitMQ is connected, but our consumer is missing.",
            Link.DOWN: "RabbitMQ cannot be reached.",
            Link.REFUSED: "RabbitMQ refuses us.",
        }[status.link]
        return [
            Flow(
                level=level, headline=headline, sentence=f"{sentence_of(status.detail)} Mail over HTTP goes on.".strip()
            )
        ]

    def _held(self, totals: Totals) -> list[Flow]:
        held = totals.by_state.get(State.HELD, 0)
        if not held:
            return []
        headline = f"{counted(held, 'message')} {'needs' if held == 1 else 'need'} you."
        action = ("See what is held", "/messages?state=held")
        return [Flow(level="info", headline=headline, sentence="Held until retried or canceled.", action=action)]


_LEVELS = ("bad", "warn", "info", "ok")
