"""An SMTP server with moods: now and then it refuses for now, hangs up after the last dot, or takes its time."""

from __future__ import annotations

import hashlib
import random

from tests.crash.ledger import Copy
from tests.support.smtp_server import SILENCE, Message, Rule, SmtpServer

REFUSES = {"MAIL": 0.025, "RCPT": 0.025, "DOT": 0.05}
"""Together one message in ten."""
DROPS = 0.02
SLOW = 0.02
LATER = "451 4.3.0 Not now"
TURN = 0.02
"""Seconds before each of its answers: at any moment some mail is taken and not yet answered."""


class MoodySmtp(SmtpServer):
    """Its moods come from `rng`; `calm` ends them."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__(latency=TURN)
        self._rng = rng
        self.calm = False
        self._silent = False
        self.answered: list[bool] = []
        """For each of `messages`, whether a 250 was said."""
        # Without any rule nobody is asked.
        self.on("NOOP", times=0)

    def rule_for(self, step: str, to: str | None, connection: int) -> Rule | None:
        if self.calm or step not in REFUSES:
            return None
        mood = self._rng.random() - REFUSES[step]
        if mood < 0:
            return Rule(step, LATER)
        if step != "DOT":
            return None
        if mood < DROPS:
            # It takes every other one before it hangs up: the client cannot know which.
            self._silent = self._rng.random() < 0.5
            return Rule(step, SILENCE, taken=self._silent, close=self._rng.choice(("fin", "rst")))
        return Rule(step, delay=self._rng.uniform(0.2, 0.8)) if mood < DROPS + SLOW else None

    def take(self, message: Message) -> None:
        self.answered.append(not self._silent)
        self._silent = False
        super().take(message)

    def copies(self) -> list[Copy]:
        """What came, for each recipient."""
        return [
            Copy(
                address=address,
                id=message.message_id.strip("<>").partition("@")[0],
                at=message.at,
                answered=answered,
                quit=self.sessions[message.connection - 1].quit,
                digest=hashlib.sha256(message.data).digest(),
            )
            for message, answered in zip(self.messages, self.answered, strict=True)
            for address in message.recipients
        ]
