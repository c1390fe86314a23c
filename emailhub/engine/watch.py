"""The watch: tells somebody outside when mail needs a human, and when it is over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator

from msgspec import Struct

from emailhub import logs
from emailhub.core.breaker import Phase
from emailhub.core.delivery import State
from emailhub.core.errors import EmailhubError
from emailhub.core.figures import Totals
from emailhub.core.status import Link
from emailhub.engine.board import Board
from emailhub.engine.flow import clock_trouble
from emailhub.engine.ports import History
from emailhub.engine.room import Room

ROUND = 2.0
RETRY = (2.0, 10.0, 30.0, 60.0)
"""Seconds between tries to post an alert; the last repeats until the alert is taken."""

log = logs.get("watch")


class Alert(Struct, frozen=True):
    """One condition: a stable `name`, the `subject` it is about (a relay, the queue), and a plain sentence."""

    name: str
    subject: str
    text: str


class Watch:
    """Compares what is wrong now with what was told. `post(payload)` raises when the alert was not taken."""

    def __init__(
        self,
        board: Board,
        history: History,
        room: Room,
        post: Callable[[dict[str, object]], Awaitable[None]] | None,
        *,
        waiting_limit: float,
        now: Callable[[], float],
    ) -> None:
        self._board = board
        self._history = history
        self._room = room
        self._post = post
        self._limit = waiting_limit
        self._now = now
        self._known: dict[tuple[str, str], tuple[Alert, float]] = {}
        self._to_tell: asyncio.Queue[dict[str, object]] = asyncio.Queue(maxsize=1000)

    async def run(self) -> None:
        """Look every two seconds, until cancelled."""
        while True:
            try:
                self.compare(tuple(self.conditions(await self._history.totals())))
            except EmailhubError as error:
                log.warning("cannot look", error=str(error))
            await asyncio.sleep(ROUND)

    async def tell(self) -> None:
        """Post what there is to tell, in order, each until it is taken. Ends only by cancellation."""
        while True:
            payload = await self._to_tell.get()
            tries = 0
            while self._post is not None and not await self._told(payload):
                await asyncio.sleep(RETRY[min(tries, len(RETRY) - 1)])
                tries += 1

    async def _told(self, payload: dict[str, object]) -> bool:
        assert self._post is not None
        try:
            await self._post(payload)
        except EmailhubError as error:
            log.warning("alert not taken", alert=payload["alert"], error=str(error))
            return False
        return True

    def compare(self, alerts: tuple[Alert, ...]) -> None:
        """Tell what is new and what is over."""
        current = {(alert.name, alert.subject): alert for alert in alerts}
        for key, alert in current.items():
            if key not in self._known:
                self._known[key] = (alert, self._now())
                log.warning("alert", alert=alert.name, subject=alert.subject, text=alert.text)
                self._queue(alert, "firing", self._now())
        for key in [key for key in self._known if key not in current]:
            alert, since = self._known.pop(key)
            log.info("alert over", alert=alert.name, subject=alert.subject)
            self._queue(alert, "resolved", since)

    def _queue(self, alert: Alert, status: str, since: float) -> None:
        if self._post is None:
            return
        payload: dict[str, object] = {
            "service": "emailhub",
            "status": status,
            "alert": alert.name,
            "subject": alert.subject,
            "text": alert.text,
            "since": since,
            "at": self._now(),
        }
        try:
            self._to_tell.put_nowait(payload)
        except asyncio.QueueFull:
            log.error("alert dropped: the receiver has not answered for very long", alert=alert.name)

    def conditions(self, totals: Totals) -> Iterator[Alert]:
        """Everything that needs a human now."""
        for relay in self._board.relays():
            if relay.breaker.phase is not Phase.CLOSED:
                why = relay.breaker.cause or relay.breaker.note or "forced open"
                yield Alert("breaker_open", relay.name, f"Relay {relay.name} is not sending: {why}")
            if relay.covered_by:
                text = f"Mail of relay {relay.name} is carried by {', '.join(relay.covered_by)}: {relay.covered_why}"
                yield Alert("relay_covered", relay.name, text)
            for one in relay.suspended:
                text = f"Relay {relay.name} does not let {one.domain} send: {one.reply}"
                yield Alert("sender_suspended", f"{relay.name}/{one.domain}", text)
        if totals.oldest_waiting is not None and self._now() - totals.oldest_waiting > self._limit:
            minutes = int((self._now() - totals.oldest_waiting) // 60)
            text = f"Mail has been waiting for {minutes} min; messages that wait: {totals.waiting:,}"
            yield Alert("waiting_long", "outbox", text)
        clock = self._board.clock()
        if clock.ahead:
            yield Alert("clock_jumped", "clock", clock_trouble(clock))
        rabbit = self._board.rabbit()
        if rabbit.link in (Link.MISSING, Link.DOWN, Link.REFUSED):
            text = f"{rabbit.link.value}: {rabbit.detail}"
            yield Alert("consumer_missing", rabbit.queue or "rabbitmq", f"RabbitMQ is not being read: {text}")
        lack = self._room.lack()
        if lack is not None:
            yield Alert(lack.name, "outbox", f"New mail is refused: {lack}")
        held = totals.by_state.get(State.HELD, 0)
        if held:
            yield Alert("mail_held", "outbox", f"Held until somebody retries or cancels them: {held:,}")
