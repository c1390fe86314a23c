"""Brings dead letters to RabbitMQ: each stays a row until RabbitMQ has confirmed it, so none is lost by a crash."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from emailhub import logs
from emailhub.core.errors import BrokerDown, OutboxError
from emailhub.core.records import DeadLetter

BATCH = 50
_FIRST_WAIT = 1.0
_LONGEST_WAIT = 60.0

log = logs.get("undertaker")


class Letters(Protocol):
    """The rows that wait for RabbitMQ."""

    async def pending_letters(self, limit: int) -> list[DeadLetter]: ...
    async def confirm_letter(self, letter: DeadLetter, now: float) -> None: ...


class Publisher(Protocol):
    """The part of the broker that is needed here."""

    async def publish(self, letter: DeadLetter) -> None: ...


class Undertaker:
    """Publishes what waits, oldest first. `jitter(low, high)` gives a number between the two."""

    def __init__(
        self,
        letters: Letters,
        publisher: Publisher,
        *,
        now: Callable[[], float],
        jitter: Callable[[float, float], float],
        first_wait: float = _FIRST_WAIT,
    ) -> None:
        self._letters = letters
        self._publisher = publisher
        self._now = now
        self._jitter = jitter
        self._first_wait = first_wait
        self._failures = 0
        # Set: what an earlier run left is published at the start.
        self._woken = asyncio.Event()
        self._woken.set()

    def wake(self) -> None:
        """There may be a new dead letter, or RabbitMQ is back."""
        self._woken.set()

    async def run(self) -> None:
        """Publish until cancelled. A letter published twice, after a crash in between, has the same message id."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            if await self._publish_all():
                self._failures = 0
            else:
                await self._wait()
                self._woken.set()

    async def _publish_all(self) -> bool:
        """Publish until nothing waits; False when something could not be published."""
        try:
            while letters := await self._letters.pending_letters(BATCH):
                done = await asyncio.gather(*(self._publish(letter) for letter in letters))
                if not all(done):
                    return False
        except OutboxError as error:
            log.warning("dead letters cannot be read", error=str(error))
            return False
        return True

    async def _publish(self, letter: DeadLetter) -> bool:
        try:
            await self._publisher.publish(letter)
            await self._letters.confirm_letter(letter, self._now())
        except (BrokerDown, OutboxError) as error:
            self._tell(letter, str(error))
            return False
        except Exception as error:  # noqa: BLE001 - a fault of ours in one letter must not keep the others
            log.error("dead letter not published", exc=error, letter=letter.id)
            return False
        log.info(
            "dead letter published",
            message_id=letter.message,
            correlation_id=letter.correlation_id,
            request_id=letter.headers.get("x-emailhub-request-id"),
            recipient=letter.recipient,
            reason=letter.reason,
        )
        return True

    def _tell(self, letter: DeadLetter, why: str) -> None:
        # Once for every outage: RabbitMQ being away is told by its own component.
        say = log.debug if self._failures else log.warning
        say("dead letter waits", letter=letter.id, error=why, correlation_id=letter.correlation_id)

    async def _wait(self) -> None:
        """1, 2, 4 … 60 s; after the first of them a wake ends it."""
        wait = min(_LONGEST_WAIT, self._first_wait * 2.0 ** min(self._failures, 10)) * self._jitter(0.8, 1.2)
        self._failures += 1
        # New dead letters arrive by the hundred while RabbitMQ is away: they must not become as many attempts.
        await asyncio.sleep(min(wait, self._first_wait))
        try:
            async with asyncio.timeout(max(0.0, wait - self._first_wait)):
                await self._woken.wait()
        except TimeoutError:
            return
