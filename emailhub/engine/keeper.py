"""The keeper: lets time pass for the outbox. Expires, erases, gives space back, and minds how much room is left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from emailhub import logs
from emailhub.core.delivery import Reason, State
from emailhub.core.errors import OutboxError
from emailhub.core.records import Expired
from emailhub.engine.meter import Meter
from emailhub.engine.ports import Broker, History
from emailhub.engine.room import Room

ROUND = 1.0
ERASE_EVERY = 60.0
PAUSE_AT = 0.8
"""Share of EMAILHUB_MAX_WAITING at which the queue is left alone: RabbitMQ keeps mail better than a full outbox."""
RESUME_AT = 0.7
INDEX_BATCHES = 20
"""Batches of messages a round makes searchable: more than are ever accepted meanwhile, and no end to a round."""

log = logs.get("keeper")


class Keeping(Struct, frozen=True):
    """Seconds that bodies and messages are kept after their final state, keys at least, and the audit log."""

    bodies: float = 7 * 86400.0
    messages: float = 90 * 86400.0
    keys: float = 72 * 3600.0
    audit: float = 365 * 86400.0


class Expiring(Protocol):
    async def expire(self, now: float, *, by: float) -> tuple[Expired, ...]: ...


class Upkeep(Protocol):
    """The outbox as the keeper tidies it."""

    async def erase_bodies(self, before: float) -> int: ...
    async def erase_messages(self, before: float) -> int: ...
    async def erase_keys(self, before: float) -> int: ...
    async def erase_audit(self, before: float) -> int: ...
    async def erase_letters(self, *, bodies: float, all: float) -> int: ...
    async def give_back(self) -> int: ...
    async def empty_log(self) -> bool: ...
    async def count_times(self, now: float) -> bool: ...
    async def index(self) -> bool: ...


class Keeper:
    """Runs its round every second, its clean-up every minute, and in every round while there is more to clean up.

    `sure()` is the time that surely has come: what expires and what is erased goes by it.
    """

    def __init__(
        self,
        verbs: Expiring,
        upkeep: Upkeep,
        history: History,
        broker: Broker,
        *,
        room: Room,
        keeping: Keeping,
        letters_due: Callable[[], None],
        meter: Meter,
        now: Callable[[], float],
        sure: Callable[[], float] | None = None,
    ) -> None:
        self._verbs = verbs
        self._upkeep = upkeep
        self._history = history
        self._broker = broker
        self._room = room
        self._keeping = keeping
        self._letters_due = letters_due
        self._meter = meter
        self._now = now
        self._sure = sure or now
        self._paused = False
        self._erased_at = 0.0

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            try:
                await self.round()
            except OutboxError as error:
                log.error("round failed", error=str(error))
            await asyncio.sleep(ROUND)

    async def round(self) -> None:
        """One round: expire, look at the room that is left, clean up when it is time."""
        now = self._sure()
        try:
            await self._expire()
        finally:
            # On a full disk nothing can be expired, and then it matters most that the queue is left alone.
            await self._look()
        await self._upkeep.count_times(now)
        await self._index()
        if (now - self._erased_at >= ERASE_EVERY or now < self._erased_at) and not await self.erase(now):
            self._erased_at = now

    async def _index(self) -> None:
        for _ in range(INDEX_BATCHES):
            if not await self._upkeep.index():
                return

    async def _expire(self) -> None:
        # All of them at once: after a long stop the courier must not find what expired meanwhile in its way.
        while expired := await self._verbs.expire(self._now(), by=self._sure()):
            self._letters_due()
            for message in expired:
                self._meter.recipient(State.FAILED, Reason.EXPIRED, message.recipients)
                log.warning(
                    "expired",
                    message_id=message.id,
                    correlation_id=message.correlation_id,
                    request_id=message.request_id,
                    recipients=message.recipients,
                )

    async def erase(self, now: float) -> int:
        """Erase a batch of each kind that has been kept long enough; how much. Nothing unfinished is ever touched.

        A batch, not all of it: expiry and the look at the disk must not wait for a million rows.
        """
        keeping = self._keeping
        total = 0
        for what, act, before in (
            ("bodies", self._upkeep.erase_bodies, now - keeping.bodies),
            ("messages", self._upkeep.erase_messages, now - keeping.messages),
            ("keys", self._upkeep.erase_keys, now - keeping.keys),
            ("audit", self._upkeep.erase_audit, now - keeping.audit),
        ):
            if count := await act(before):
                total += count
                log.info("erased", what=what, count=count)
        if count := await self._upkeep.erase_letters(bodies=now - keeping.bodies, all=now - keeping.messages):
            total += count
            log.info("erased", what="dead letters", count=count)
        await self._upkeep.give_back()
        if not total:
            await self._upkeep.empty_log()
        return total

    async def _look(self) -> None:
        totals = await self._history.totals()
        self._room.waiting = totals.waiting + totals.scheduled
        self._room.free_disk = self._history.status().free_disk
        full = self._room.waiting / max(self._room.most_waiting, 1)
        low_disk = self._room.disk_low
        if not self._paused and (full >= PAUSE_AT or low_disk):
            self._paused = True
            self._broker.pause("the disk is nearly full" if low_disk else f"{self._room.waiting} messages wait already")
        elif self._paused and full < RESUME_AT and not low_disk:
            self._paused = False
            self._broker.resume()
