"""A relay in memory that plays a script, and remembers everything it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from emailhub.core.judge import judge, judge_failure
from emailhub.core.reply import Reply
from emailhub.core.status import PoolFacts
from emailhub.core.verdict import Envelope, Kind, Line, Progress, Report, Stage, Verdict
from tests.support.clock import now

BeforeBody = Callable[[], Awaitable[None]] | None
Act = Callable[["ScriptedRelay", Envelope, Progress, BeforeBody], Awaitable[Report]]


class Asked(NamedTuple):
    """One attempt: when, what, and if on a connection of its own."""

    at: float
    envelope: Envelope
    fresh: bool


class ScriptedRelay:
    """Plays `script`, one act for each attempt, then accepts everything. `probes` are acts for probes without mail."""

    captures = False

    def __init__(self, *script: Act, name: str = "default", capacity: int = 20, always: Act | None = None) -> None:
        self.name = name
        self.capacity = capacity
        self.script = list(script)
        self.always = always or accept
        self.asked: list[Asked] = []
        self.probed: list[float] = []
        self.probe_verdicts: list[Verdict] = []
        self.drops = 0
        self.closed = False
        self.now_busy = 0
        self.most_busy = 0

    @property
    def times(self) -> list[float]:
        """When the attempts were made, in seconds after the first."""
        return [one.at - self.asked[0].at for one in self.asked]

    async def attempt(self, envelope: Envelope, *, fresh: bool, progress: Progress, before_body: BeforeBody) -> Report:
        self.asked.append(Asked(now(), envelope, fresh))
        act = self.script.pop(0) if self.script else self.always
        self.now_busy += 1
        self.most_busy = max(self.most_busy, self.now_busy)
        try:
            return await act(self, envelope, progress, before_body)
        finally:
            self.now_busy -= 1

    async def probe(self, *, progress: Progress) -> Report:
        self.probed.append(now())
        await asyncio.sleep(0.5)
        verdict = self.probe_verdicts.pop(0) if self.probe_verdicts else Verdict(Kind.ACCEPTED, Stage.EHLO, "answered")
        return Report((verdict,))

    async def drop_idle(self) -> None:
        self.drops += 1

    async def close(self) -> None:
        assert not self.now_busy, "closed while an attempt runs"
        self.closed = True

    def facts(self) -> PoolFacts:
        return PoolFacts()


def _all(envelope: Envelope, verdict: Verdict) -> Report:
    return Report((verdict,) * len(envelope.recipients), (Line(0.0, "note", verdict.text),))


async def _send_body(progress: Progress, before_body: BeforeBody) -> None:
    if before_body is not None:
        await before_body()
    progress.stage = Stage.BODY
    progress.body_sent = True
    progress.stage = Stage.FINAL


def answers(code: int, text: str, stage: Stage = Stage.FINAL) -> Act:
    """The server answers `code text` at `stage` to every recipient."""

    async def act(_: ScriptedRelay, envelope: Envelope, progress: Progress, before_body: BeforeBody) -> Report:
        progress.stage = stage
        if stage is Stage.FINAL:
            await _send_body(progress, before_body)
        return _all(envelope, judge(stage, Reply.of(code, text)))

    return act


accept = answers(250, "2.0.0 queued")


def each(*verdicts: tuple[int, str]) -> Act:
    """One RCPT reply per recipient; those that got a 250 are then accepted."""

    async def act(_: ScriptedRelay, envelope: Envelope, progress: Progress, before_body: BeforeBody) -> Report:
        await _send_body(progress, before_body)
        return Report(
            tuple(judge(Stage.FINAL if code == 250 else Stage.RCPT, Reply.of(code, text)) for code, text in verdicts)
        )

    return act


def drops(stage: Stage) -> Act:
    """The connection is lost at `stage`; at FINAL the whole body had gone."""

    async def act(_: ScriptedRelay, envelope: Envelope, progress: Progress, before_body: BeforeBody) -> Report:
        progress.stage = stage
        if stage is Stage.FINAL:
            await _send_body(progress, before_body)
        return _all(envelope, judge_failure(stage, "the connection was lost", body_sent=progress.body_sent))

    return act


def takes(seconds: float, then: Act, stage: Stage = Stage.FINAL) -> Act:
    """Stands at `stage` for `seconds`, then goes on with `then`."""

    async def act(relay: ScriptedRelay, envelope: Envelope, progress: Progress, before_body: BeforeBody) -> Report:
        if stage is Stage.FINAL:
            await _send_body(progress, before_body)
        progress.stage = stage
        await asyncio.sleep(seconds)
        return await then(relay, envelope, progress, None if stage is Stage.FINAL else before_body)

    return act


async def breaks(_: ScriptedRelay, envelope: Envelope, progress: Progress, before_body: BeforeBody) -> Report:
    """A fault of ours inside the relay."""
    raise LookupError(envelope.id)
