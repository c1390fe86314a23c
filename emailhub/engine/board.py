"""How everything stands, for health, metrics and the first page: and the sentence that says if mail is flowing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from msgspec.structs import replace

from emailhub.core.breaker import Mode, Phase
from emailhub.core.delivery import State
from emailhub.core.errors import NotFound
from emailhub.core.records import Totals
from emailhub.core.status import Flow, Link, OutboxStatus, RabbitStatus, RelayStatus
from emailhub.engine.allowance import Allowance
from emailhub.engine.chaos import behaviour_of
from emailhub.engine.courier import Courier
from emailhub.engine.fuse import Fuse
from emailhub.engine.intake import Room
from emailhub.engine.ports import Broker, History, Relay

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
    """Reads the parts. `loop_lag` (seconds) is kept by the lag watch."""

    def __init__(
        self,
        lines: Mapping[str, Line],
        broker: Broker,
        history: History,
        room: Room,
        *,
        capturing: bool,
        now: Callable[[], float],
    ) -> None:
        self._lines = lines
        self._broker = broker
        self._history = history
        self._room = room
        self._now = now
        self.capturing = capturing
        self.loop_lag = 0.0

    @property
    def stopping(self) -> bool:
        return self._room.stopping

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
        return self._history.status()

    async def flow(self) -> Flow:
        """Is mail flowing? The worst thing first, the rest as causes."""
        now = self._now()
        totals = await self._history.totals()
        findings = [*self._outbox_trouble(), *self._relay_trouble(totals, now), *self._rabbit_trouble()]
        findings += self._held(totals)
        if findings:
            first, *others = sorted(findings, key=lambda flow: _LEVELS.index(flow.level))
            return Flow(
                level=first.level,
                headline=f"{self._flows()} {first.headline}" if first.level == "info" else first.headline,
                sentence=first.sentence,
                causes=tuple(f"{flow.headline} {flow.sentence}".strip() for flow in others),
                action=first.action,
            )
        return await self._calm(totals, now)

    async def _calm(self, totals: Totals, now: float) -> Flow:
        sent = sum(minute.sent for minute in await self._history.minutes(now - HOUR, now, 60.0))
        waiting = _waiting(totals)
        if self.capturing:
            sentence = f"{_n(sent, 'message')} captured in the last hour. Set SMTP_HOST to send for real."
            return Flow(level="info", headline=self._flows(), sentence=sentence)
        return Flow(level="ok", headline=self._flows(), sentence=f"{sent:,} sent in the last hour. {waiting}")

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
                    sentence=f"{_sentence(status.detail)} Nothing is lost.",
                )
            )
        free, reserve = self._room.free_disk, self._room.disk_reserve
        if free is not None and free < reserve:
            sentence = f"{free // 1048576} MiB are free; new mail is refused below {reserve // 1048576} MiB."
            found.append(Flow(level="bad", headline="The disk is nearly full.", sentence=sentence))
        return found

    def _relay_trouble(self, totals: Totals, now: float) -> list[Flow]:
        relays = self.relays()
        # Beside a relay that sends, the one that captures is no second way out: the relay is still "the relay".
        many = sum(not relay.captures for relay in relays) > 1
        return [flow for relay in relays if (flow := relay_flow(relay, totals, now, many=many))]

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
            Flow(level=level, headline=headline, sentence=f"{_sentence(status.detail)} Mail over HTTP goes on.".strip())
        ]

    def _held(self, totals: Totals) -> list[Flow]:
        held = totals.by_state.get(State.HELD, 0)
        if not held:
            return []
        headline = f"{_n(held, 'message')} {'needs' if held == 1 else 'need'} you."
        action = ("See what is held", "/messages?state=held")
        return [Flow(level="info", headline=headline, sentence="Held until retried or canceled.", action=action)]


_LEVELS = ("bad", "warn", "info", "ok")


def relay_flow(relay: RelayStatus, totals: Totals, now: float, *, many: bool) -> Flow | None:
    """What is to be said of a relay, None when it is well."""
    breaker = relay.breaker
    name = f"Relay {relay.name}" if many else "The relay"
    action = (f"Open relay {relay.name}", f"/relays/{relay.name}")
    waiting = _waiting(totals)
    if breaker.mode is Mode.OPEN:
        because = f": {breaker.note}" if breaker.note else ""
        headline = f"Mail is stopped by {breaker.actor or 'an operator'}{because}."
        return Flow(level="warn", headline=headline, sentence=waiting, action=action)
    if breaker.mode is Mode.CLOSED and breaker.failures:
        sentence = f"{_sentence(breaker.cause)} It is forced closed, so emailhub keeps trying."
        return Flow(level="warn", headline=f"{name} is in trouble.", sentence=sentence, action=action)
    if breaker.phase is Phase.CLOSED:
        return _stumbling(relay, name, totals, action) if breaker.failures and totals.waiting else None
    next_try = "One probe is under way."
    if relay.next_probe is not None:
        next_try = f"Next try in {_duration(max(relay.next_probe - now, 0))}."
    return Flow(
        level="bad" if totals.waiting else "warn",
        headline=f"Mail is waiting: {_lower(name)} is not taking any." if totals.waiting else f"{name} takes no mail.",
        sentence=" ".join(filter(None, (_sentence(breaker.cause), _last_sent(relay, now), waiting, next_try))),
        action=action,
    )


def _stumbling(relay: RelayStatus, name: str, totals: Totals, action: tuple[str, str]) -> Flow:
    """The breaker is still closed, but the latest tries failed: mail that waits on them does not flow."""
    failed = "The last try" if relay.breaker.failures == 1 else f"The last {relay.breaker.failures:,} tries"
    sentence = f"{_sentence(relay.breaker.cause)} {failed} failed. {_waiting(totals)}"
    return Flow(level="warn", headline=f"{name} is in trouble.", sentence=sentence.strip(), action=action)


def _last_sent(relay: RelayStatus, now: float) -> str:
    if relay.last_sent_at is None:
        return ""
    at = datetime.fromtimestamp(relay.last_sent_at, UTC)
    return f"It last took mail at {at:%H:%M} UTC{'' if now - relay.last_sent_at < 72_000 else f' on {at.day} {at:%b}'}."


def _waiting(totals: Totals) -> str:
    if not totals.waiting:
        return "Nothing waits."
    return f"{_n(totals.waiting, 'message')} {'waits' if totals.waiting == 1 else 'wait'}, none is lost."


def _n(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _sentence(text: str) -> str:
    text = text.strip()
    text = text[:1].upper() + text[1:]
    return text if not text or text[-1] in ".!?" else f"{text}."


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _duration(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02}"
