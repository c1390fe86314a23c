"""Relays nobody is behind: they answer as real ones do, and go through the troubles real ones have."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import NamedTuple

from msgspec.structs import replace

from emailhub.adapters.chaos import ChaosRelay
from emailhub.core.judge import judge, judge_failure
from emailhub.core.reply import Reply
from emailhub.core.status import ChaosStatus, PoolFacts
from emailhub.core.verdict import Envelope, Kind, Line, Progress, Report, Session, Stage, Verdict
from emailhub.demo.mail import NEWS, PARTNER, REFUSED_SENDER

HOUR = 3600.0
LOGIN = judge(Stage.AUTH, Reply.of(535, "5.7.8 Username and Password not accepted"))
AWAY = judge_failure(
    Stage.CONNECT, "could not connect to smtp.partner.example:587: connection refused", body_sent=False
)
UNVERIFIED = judge(Stage.MAIL, Reply.of(550, f"5.7.1 Domain {REFUSED_SENDER} is not allowed to send: verify it first"))
_TALK = {
    Stage.AUTH: (
        ("server", "220 smtp.example.com ESMTP"),
        ("client", "EHLO demo"),
        ("server", "250 AUTH PLAIN"),
        ("client", "AUTH PLAIN ••••"),
    )
}


_NOTE = "nobody is behind this relay: nothing leaves the demo"


class Role(NamedTuple):
    """A relay of the demo: what it may carry, how it behaves when it is well, and its `trouble` at a time.

    `trouble` gets seconds since the start of the hub, negative before it, and says what every attempt meets then.
    """

    name: str
    domains: tuple[str, ...]
    priority: int
    rate: tuple[str, ...]
    behaviour: ChaosStatus
    trouble: Callable[[float], Verdict | None]


def _gmail(since: float) -> Verdict | None:
    """Two short outages in the day before; the login refused for ten minutes of every half an hour from now on."""
    if -9 * HOUR < since < -8.6 * HOUR or -15 * HOUR < since < -14.9 * HOUR:
        return judge_failure(Stage.CONNECT, "could not connect to smtp.gmail.example:587: timed out", body_sent=False)
    return LOGIN if since > -720 and (since + 720) % 1800 < 1500 else None


ROLES = (
    Role("gmail", ("example.com",), 0, ("20000/day",), ChaosStatus(transient=0.03, permanent=0.02), _gmail),
    Role(
        "ses", ("example.com", NEWS), 1, ("14/s", "50000/day"),
        ChaosStatus(transient=0.05, permanent=0.03, drop=0.01, slow=0.04, delay=2.0), lambda _: None,
    ),
    Role("partner", (PARTNER,), 0, (), ChaosStatus(), lambda since: AWAY if since > -2400 else None),
)  # fmt: skip
"""In the order of the settings."""


class PretendRelay:
    """See `engine.ports.Relay`. `since()`: seconds since the start of the hub; without `pause` nothing takes time."""

    captures = False
    capacity = 12

    def __init__(self, role: Role, random: Random, since: Callable[[], float], *, pause: bool = True) -> None:
        self.name = role.name
        self._role = role
        self._random = random
        self._since = since
        self._pause = pause
        behaviour = role.behaviour if pause else replace(role.behaviour, slow=0.0)
        self._chaos = ChaosRelay(behaviour, random=random.random, name=role.name)
        self._busy = self._opens = self._attempts = 0

    async def attempt(
        self,
        envelope: Envelope,
        *,
        fresh: bool,
        progress: Progress,
        before_body: Callable[[], Awaitable[None]] | None,
    ) -> Report:
        """Take the message, or not."""
        self._busy, self._attempts = self._busy + 1, self._attempts + 1
        self._opens = max(self._opens, self._busy)
        try:
            took = await self._wait()
            if trouble := self._trouble(envelope):
                progress.stage = trouble.stage
                return _refusal(trouble, len(envelope.recipients), f"{self.name}-{self._attempts}")
            report = await self._chaos.attempt(envelope, fresh=fresh, progress=progress, before_body=before_body)
            return _plausible(report, self._random.randbytes(4).hex().upper(), 1000 * took)
        finally:
            self._busy -= 1

    async def probe(self, *, progress: Progress) -> Report:
        """The login alone."""
        await self._wait()
        trouble = self.trouble
        progress.stage = trouble.stage if trouble else Stage.EHLO
        return Report((trouble or Verdict(Kind.ACCEPTED, Stage.EHLO, "the relay answered"),))

    async def drop_idle(self) -> None:
        """There are no connections."""

    async def close(self) -> None:
        """There is nothing to close."""

    def facts(self) -> PoolFacts:
        """As many connections as were busy at once."""
        reuses = max(self._attempts - self._opens, 0)
        return PoolFacts(
            open=self._opens, idle=self._opens - self._busy, busy=self._busy, opens=self._opens, reuses=reuses
        )

    @property
    def trouble(self) -> Verdict | None:
        """What every attempt meets now."""
        return self._role.trouble(self._since())

    def _trouble(self, envelope: Envelope) -> Verdict | None:
        if self.trouble:
            return self.trouble
        refused = self.name == "ses" and envelope.sender.endswith(f"@{REFUSED_SENDER}") and self._since() > 0
        return UNVERIFIED if refused else None

    async def _wait(self) -> float:
        took = min(self._random.lognormvariate(-2.0, 0.7), 5.0)
        if self._pause:
            await asyncio.sleep(took)
        return took


_SHARES = {Stage.MAIL: 0.12, Stage.RCPT: 0.1, Stage.DATA: 0.08, Stage.BODY: 0.05, Stage.FINAL: 0.65}


def _refusal(trouble: Verdict, recipients: int, id: str) -> Report:
    told = [Line(4.0 * number, side, text) for number, (side, text) in enumerate(_TALK.get(trouble.stage, ()))]
    last = Line(20.0, "server", str(trouble.reply)) if trouble.reply else Line(20.0, "note", trouble.text)
    return Report((trouble,) * recipients, (*told, last), Session(id=id))


def _plausible(report: Report, queued_as: str, took: float) -> Report:
    """`report` in the words of a server that takes mail instead of storing it, told over `took` milliseconds."""
    said = Reply(250, "2.0.0", f"Ok: queued as {queued_as}")
    verdicts = tuple(
        replace(one, text="accepted", reply=said) if one.kind is Kind.ACCEPTED else one for one in report.verdicts
    )
    step = took / max(len(report.transcript) - 1, 1)
    lines = [
        replace(line, at=line.at + step * number, text=_NOTE if line.side == "note" and number == 0 else line.text)
        for number, line in enumerate(report.transcript)
    ]
    if "captured" in lines[-1].text:
        lines[-1] = replace(lines[-1], text=str(said))
    return Report(verdicts, tuple(lines), replace(report.session, stages=_stages(verdicts, took)))


def _stages(verdicts: Sequence[Verdict], took: float) -> tuple[tuple[str, float], ...]:
    """`took` milliseconds over the stages there were, the most of it for a final reply, as with servers that write a
    message down first."""
    order = tuple(_SHARES)
    met = order[: 1 + max((order.index(one.stage) for one in verdicts if one.stage in _SHARES), default=0)]
    whole = sum(_SHARES[stage] for stage in met)
    return tuple((stage.value, _SHARES[stage] / whole * took) for stage in met)
