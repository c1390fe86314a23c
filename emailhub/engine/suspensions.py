"""From-domains one relay does not let send: their mail waits or goes elsewhere, and one message at a time asks anew."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

from msgspec.structs import replace

from emailhub import logs
from emailhub.core.claiming import Stay
from emailhub.core.errors import NotFound, OutboxError
from emailhub.core.kept import SuspensionRecord
from emailhub.core.records import Job, Scalar
from emailhub.core.status import Suspension
from emailhub.core.verdict import Kind, Report, Verdict

FIRST = 600.0
"""Seconds until the first new try; they double up to LONGEST with each try that is refused."""
LONGEST = 3600.0
UNDECIDED = 60.0
"""Seconds until the next try when the last one never came to the question."""
UNSTORED_WAIT = 1.0

log = logs.get("suspensions")


class SuspensionStore(Protocol):
    """Where suspensions are kept."""

    async def suspend(
        self, relay: str, one: SuspensionRecord, now: float, event: str | None, data: Mapping[str, Scalar]
    ) -> None: ...
    async def resume(self, relay: str, domain: str, now: float, data: Mapping[str, Scalar]) -> None: ...


class Suspensions:
    """Those of `relay`. Changes are stored in order by `run`; an operator's is stored before it answers.

    `on_change` is called when mail of a domain may go again, or when it may not any more.
    """

    def __init__(
        self,
        relay: str,
        known: Sequence[SuspensionRecord],
        store: SuspensionStore,
        *,
        now: Callable[[], float],
    ) -> None:
        self._relay = relay
        self._known = {one.domain: one for one in known}
        self._probing: dict[str, str] = {}
        self._store = store
        self._now = now
        self._unstored: deque[Callable[[], Awaitable[None]]] = deque()
        self._changed = asyncio.Event()
        self.on_change: Callable[[], None] = lambda: None

    def __bool__(self) -> bool:
        """Whether any sender is suspended."""
        return bool(self._known)

    @property
    def domains(self) -> frozenset[str]:
        """The domains whose mail does not go."""
        return frozenset(self._known)

    def all(self) -> tuple[Suspension, ...]:
        """What is shown of each."""
        return tuple(Suspension(domain=s.domain, since=s.since, reply=s.reply, next_try=s.next_try) for s in self._list)

    @property
    def _list(self) -> list[SuspensionRecord]:
        return sorted(self._known.values(), key=lambda one: one.domain)

    def next_try(self, domain: str) -> float | None:
        """When mail of `domain` is tried again; None: it is not suspended."""
        return self._known[domain].next_try if domain in self._known else None

    def stays(self, elsewhere: Callable[[str], str | None], *, probe: bool = True) -> dict[str, Stay]:
        """What a claim does with mail of each; `elsewhere(domain)` names another relay that may carry it."""
        now = self._now()
        return {one.domain: self._stay(one, elsewhere(one.domain), now, probe) for one in self._list}

    def _stay(self, one: SuspensionRecord, to: str | None, now: float, probe: bool) -> Stay:
        text = f"relay {self._relay} does not let {one.domain} send: {one.reply.removesuffix('.')}"
        if one.next_try > now + LONGEST + UNDECIDED:
            # The clock was set back: mail must not wait for hours because of that.
            one = self._known[one.domain] = replace(one, next_try=now + LONGEST)
        due = now >= one.next_try and one.domain not in self._probing
        # When the time has come only one message asks; the rest waits until after its answer, if that is no.
        until = one.next_try if now < one.next_try else now + _pause(one.tries + 1)
        return Stay(until, f"{text}; {to} carries it" if to else text, to, probe=probe and due)

    def claimed(self, job: Job) -> None:
        """`job` was claimed: if its sender is suspended, it is the one that asks."""
        if job.domain in self._known:
            self._probing[job.domain] = job.id

    def ended(self, job: Job, report: Report | None) -> None:
        """What the attempt (None: it was given back) says of its sender."""
        one = self._known.get(job.domain)
        asked = self._probing.get(job.domain) == job.id
        if asked:
            del self._probing[job.domain]
        refused = next((v for v in report.verdicts if v.kind is Kind.SENDER), None) if report else None
        if refused is not None and (one is None or asked):
            self._suspend(job.domain, one, refused)
        elif one is not None and asked and report is not None:
            if any(verdict.kind in (Kind.RELAY, Kind.UNKNOWN) for verdict in report.verdicts):
                self._known[job.domain] = replace(one, next_try=self._now() + UNDECIDED)
            else:
                self._lift(job.domain, {"text": f"relay {self._relay} lets {job.domain} send again"})

    async def resume(self, domain: str, actor: str) -> None:
        """An operator's decision: mail of `domain` may go at once. Raises NotFound when it is not suspended."""
        if domain not in self._known:
            raise NotFound("suspended sender", domain)
        await self._store.resume(self._relay, domain, self._now(), {"actor": actor})
        self._known.pop(domain, None)
        self._probing.pop(domain, None)
        log.warning("sender resumed", relay=self._relay, domain=domain, actor=actor)
        self.on_change()

    async def run(self) -> None:
        """Store changes as they come. Ends only by cancellation."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            while self._unstored:
                try:
                    await self._unstored[0]()
                except OutboxError as error:
                    log.warning("suspension not stored", relay=self._relay, error=str(error))
                    await asyncio.sleep(UNSTORED_WAIT)
                else:
                    self._unstored.popleft()
                    # What waited for the end of a suspension is due only once that is stored.
                    self.on_change()

    def _suspend(self, domain: str, before: SuspensionRecord | None, refused: Verdict) -> None:
        now = self._now()
        reply = str(refused.reply) if refused.reply and refused.reply.code > 0 else refused.text
        tries = before.tries + 1 if before else 0
        one = SuspensionRecord(domain, before.since if before else now, reply, now + _pause(tries), tries)
        self._known[domain] = one
        event = "sender_suspended" if before is None else None
        data: dict[str, Scalar] = {"domain": domain, "text": reply, "next_try": one.next_try}
        log.warning("sender suspended", relay=self._relay, domain=domain, reply=reply, next_try=one.next_try)
        self._later(partial(self._store.suspend, self._relay, one, now, event, data))

    def _lift(self, domain: str, data: Mapping[str, Scalar]) -> None:
        del self._known[domain]
        log.info("sender resumed", relay=self._relay, domain=domain)
        self._later(partial(self._store.resume, self._relay, domain, self._now(), data))

    def _later(self, store: Callable[[], Awaitable[None]]) -> None:
        self._unstored.append(store)
        self._changed.set()
        self.on_change()


def _pause(tries: int) -> float:
    return min(FIRST * 2.0 ** min(tries, 8), LONGEST)
