"""Made-up mail that comes in while the demo runs, now and then in bursts."""

from __future__ import annotations

import asyncio
from random import Random

from emailhub import logs
from emailhub.core.errors import EmailhubError
from emailhub.demo.mail import Mail
from emailhub.engine.intake import Intake

log = logs.get("demo")


class Traffic:
    """Gives messages to `intake`: `per_minute` on average, every tenth time a handful at once."""

    def __init__(self, intake: Intake, random: Random, per_minute: float) -> None:
        self._intake = intake
        self._random = random
        self._per_second = per_minute / 60
        self._mail = Mail(random)
        self.from_queue = 0

    @property
    def rate_from_queue(self) -> float:
        """Messages a second that seem to come from RabbitMQ."""
        return 0.41 * self._per_second

    async def run(self) -> None:
        """Until cancelled, or until the hub takes no more."""
        while True:
            burst = self._random.randint(4, 9) if self._random.random() < 0.1 else 1
            await asyncio.sleep(self._random.expovariate(self._per_second / 1.55))
            for _ in range(burst):
                submission, origin = self._mail.next()
                self.from_queue += origin.face == "amqp"
                try:
                    await self._intake.accept(submission, origin)
                except EmailhubError as error:
                    log.info("not accepted", error=str(error))
                    return
