"""The relay that makes trouble on purpose, for demonstrations and tests: nothing it takes ever leaves the hub."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from emailhub.core.chaos import PUTTING_OFF, REFUSING, Fate, Saying, fate
from emailhub.core.judge import judge, judge_failure
from emailhub.core.reply import Reply
from emailhub.core.status import ChaosStatus, PoolFacts
from emailhub.core.verdict import Envelope, Kind, Line, Progress, Report, Session, Stage, Verdict

T = TypeVar("T")
BeforeBody = Callable[[], Awaitable[None]] | None
_TAKEN = Verdict(Kind.ACCEPTED, Stage.FINAL, "captured", Reply(250, "2.0.0", "Ok: captured by the chaos relay"))
_CUTS = (Stage.MAIL, Stage.RCPT, Stage.DATA, Stage.BODY)


class ChaosRelay:
    """Stores like the capture relay, but not every time: see `core.chaos`.

    `random()` gives numbers in [0, 1), `clock()` monotonic seconds.
    """

    captures = True

    def __init__(
        self,
        behaviour: ChaosStatus,
        *,
        random: Callable[[], float],
        name: str = "chaos",
        capacity: int = 50,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.capacity = capacity
        self._behaviour = behaviour
        self._random = random
        self._clock = clock
        self._attempts = 0

    @property
    def behaviour(self) -> ChaosStatus:
        """How it behaves now."""
        return self._behaviour

    def behave(self, status: ChaosStatus) -> None:
        """Behave like `status` from the next attempt on."""
        self._behaviour = status

    async def attempt(
        self,
        envelope: Envelope,
        *,
        fresh: bool,  # noqa: ARG002
        progress: Progress,
        before_body: BeforeBody,
    ) -> Report:
        """Take the message, or meet with trouble. `before_body` is awaited before the body would go.

        A reply to RCPT hits one recipient of several; whatever else happens, happens to all of them.
        """
        self._attempts += 1
        talk = _Talk(envelope, progress, self._clock, f"{self.name}-{self._attempts}")
        what = fate(self._behaviour, self._random(), self._random())
        delay = self._behaviour.delay if self._random() < self._behaviour.slow else 0.0
        match what:
            case Fate.CUT:
                return await talk.cut(self._one_of(_CUTS), before_body)
            case Fate.SWALLOWED:
                return await talk.swallowed(delay, before_body)
            case Fate.PUT_OFF:
                return await talk.told(self._one_of(PUTTING_OFF), self._random(), delay, before_body)
            case Fate.REFUSED:
                return await talk.told(self._one_of(REFUSING), self._random(), delay, before_body)
            case Fate.WELL:
                return await talk.taken(delay, before_body)

    async def probe(self, *, progress: Progress) -> Report:
        """Well, unless the connection is lost this time."""
        progress.stage = Stage.EHLO
        if fate(self._behaviour, self._random(), self._random()) in {Fate.CUT, Fate.SWALLOWED}:
            return Report((judge_failure(Stage.EHLO, f"{self.name} closed the connection at ehlo", body_sent=False),))
        return Report((Verdict(Kind.ACCEPTED, Stage.EHLO, "the chaos relay answered"),))

    async def drop_idle(self) -> None:
        """There are no connections."""

    async def close(self) -> None:
        """There is nothing to close."""

    def facts(self) -> PoolFacts:
        """No connections."""
        return PoolFacts()

    def _one_of(self, choices: Sequence[T]) -> T:
        return choices[int(self._random() * len(choices))]


class _Talk:
    """One conversation that nobody has, written down like a real one."""

    def __init__(self, envelope: Envelope, progress: Progress, clock: Callable[[], float], id: str) -> None:
        self._envelope = envelope
        self._progress = progress
        self._clock = clock
        self._id = id
        self._began = clock()
        self._lines: list[Line] = []
        self._say("note", "the chaos relay: nothing leaves the hub")

    async def taken(self, delay: float, before_body: BeforeBody) -> Report:
        """Everything goes well."""
        self._greet()
        for to in self._envelope.recipients:
            self._rcpt(to, "250 2.1.5 Ok")
        await self._body(delay, before_body)
        self._say("server", str(_TAKEN.reply))
        return self._report((_TAKEN,) * len(self._envelope.recipients))

    async def told(self, saying: Saying, draw: float, delay: float, before_body: BeforeBody) -> Report:
        """The reply `saying`: to the recipient that `draw` hits, or to the whole message."""
        if saying.stage is Stage.FINAL:
            return await self._told_last(saying, delay, before_body)
        self._greet()
        hit = int(draw * len(self._envelope.recipients))
        verdicts = [_TAKEN] * len(self._envelope.recipients)
        for number, to in enumerate(self._envelope.recipients):
            if number == hit:
                verdicts[number] = _verdict(saying, to)
            self._rcpt(to, str(verdicts[number].reply) if number == hit else "250 2.1.5 Ok")
        if len(verdicts) > 1:
            await self._body(delay, before_body)
            self._say("server", str(_TAKEN.reply))
        else:
            await asyncio.sleep(delay)
            self._say("client", "RSET")
            self._say("server", "250 2.0.0 Ok")
        return self._report(tuple(verdicts))

    async def _told_last(self, saying: Saying, delay: float, before_body: BeforeBody) -> Report:
        self._greet()
        for to in self._envelope.recipients:
            self._rcpt(to, "250 2.1.5 Ok")
        await self._body(delay, before_body)
        verdict = _verdict(saying, self._envelope.recipients[0])
        self._say("server", str(verdict.reply))
        return self._report((verdict,) * len(self._envelope.recipients))

    async def cut(self, stage: Stage, before_body: BeforeBody) -> Report:
        """The connection is lost at `stage`, before the message could have been taken."""
        self._greet()
        if stage in {Stage.DATA, Stage.BODY}:
            for to in self._envelope.recipients:
                self._rcpt(to, "250 2.1.5 Ok")
            self._step(Stage.DATA, "DATA", "354 End data with <CR><LF>.<CR><LF>" if stage is Stage.BODY else "")
        if stage is Stage.BODY and before_body is not None:
            await before_body()
        self._progress.stage = stage
        return self._lost()

    async def swallowed(self, delay: float, before_body: BeforeBody) -> Report:
        """The connection is lost once the whole body had gone."""
        self._greet()
        for to in self._envelope.recipients:
            self._rcpt(to, "250 2.1.5 Ok")
        await self._body(delay, before_body)
        return self._lost()

    def _greet(self) -> None:
        self._step(Stage.MAIL, f"MAIL FROM:<{self._envelope.sender}>", "250 2.1.0 Ok")

    def _rcpt(self, to: str, reply: str) -> None:
        self._step(Stage.RCPT, f"RCPT TO:<{to}>", reply)

    async def _body(self, delay: float, before_body: BeforeBody) -> None:
        self._step(Stage.DATA, "DATA", "354 End data with <CR><LF>.<CR><LF>")
        if before_body is not None:
            await before_body()
        self._progress.stage = Stage.BODY
        self._say("client", f"{len(self._envelope.content):,} bytes of message, then the dot")
        self._progress.body_sent = True
        self._progress.stage = Stage.FINAL
        await asyncio.sleep(delay)

    def _step(self, stage: Stage, command: str, reply: str) -> None:
        self._progress.stage = stage
        self._say("client", command)
        if reply:
            self._say("server", reply)

    def _lost(self) -> Report:
        stage = self._progress.stage
        verdict = judge_failure(stage, f"the connection was lost at {stage.value}", body_sent=self._progress.body_sent)
        self._say("note", verdict.text)
        return self._report((verdict,) * len(self._envelope.recipients))

    def _say(self, side: str, text: str) -> None:
        self._lines.append(Line(round((self._clock() - self._began) * 1000, 1), side, text))

    def _report(self, verdicts: tuple[Verdict, ...]) -> Report:
        return Report(verdicts, tuple(self._lines), Session(id=self._id))


def _verdict(saying: Saying, to: str) -> Verdict:
    return judge(saying.stage, Reply.of(saying.code, saying.text.format(to=to)))
