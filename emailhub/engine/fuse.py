"""One relay's breaker at work: the pure state machine, its storing, and those who want to know when it changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, TypeVar

from emailhub import logs
from emailhub.core.breaker import Breaker, Mode, Permit, Phase, Rules, Signal, Snapshot
from emailhub.core.errors import OutboxError
from emailhub.core.records import Scalar

T = TypeVar("T")
UNSTORED_WAIT = 1.0
"""Seconds until a change that could not be stored is tried again."""
log = logs.get("breaker")


class BreakerStore(Protocol):
    """Where snapshots are kept."""

    async def load_breaker(self, relay: str) -> Snapshot | None: ...
    async def save_breaker(
        self, relay: str, snapshot: Snapshot, now: float, event: str | None, data: dict[str, Scalar]
    ) -> None: ...


class Fuse:
    """The breaker of `relay`. Changes are stored in order by `run`; an operator's force is stored before it answers."""

    def __init__(
        self,
        relay: str,
        rules: Rules,
        snapshot: Snapshot,
        store: BreakerStore,
        *,
        now: Callable[[], float],
        jitter: Callable[[], float],
    ) -> None:
        self.relay = relay
        self._breaker = Breaker(rules, snapshot)
        self._store = store
        self._now = now
        self._jitter = jitter
        self._stored = self._breaker.snapshot
        self._changed = asyncio.Event()
        self._saving = asyncio.Lock()
        self.on_change: Callable[[Snapshot, Snapshot], None] = lambda _before, _after: None

    @property
    def snapshot(self) -> Snapshot:
        """The breaker as it is now."""
        return self._breaker.state(self._now())

    @property
    def next_probe(self) -> float | None:
        return self._breaker.next_probe(self._now())

    def would_permit(self) -> bool:
        return self._breaker.would_permit(self._now())

    def permit(self) -> Permit | None:
        """The right to make one attempt, or None."""
        return self._watched(lambda: self._breaker.permit(self._now()))

    def holds(self, permit: Permit) -> bool:
        """False once the breaker opened or was forced after `permit` was given."""
        return self.snapshot.epoch == permit.epoch

    def record(self, permit: Permit, signal: Signal, cause: str, *, at_mail: bool = False) -> None:
        """What the attempt found out, and whether `at_mail` or later."""
        now, jitter = self._now(), self._jitter()
        self._watched(
            lambda: self._breaker.record(permit, signal, cause=cause, now=now, jitter=jitter, at_mail=at_mail)
        )

    def release(self, permit: Permit) -> None:
        """The attempt ended without a result."""
        self._watched(lambda: self._breaker.release(permit, self._now()), given_back=True)

    async def force(self, mode: Mode, *, actor: str, note: str, until: float | None) -> Snapshot:
        """An operator's decision, stored when this returns."""
        self._watched(lambda: self._breaker.force(mode, actor=actor, note=note, until=until, now=self._now()))
        await self._save(actor, note)
        return self.snapshot

    async def run(self) -> None:
        """Store changes as they come. Ends only by cancellation."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self._save()
            except OutboxError as error:
                log.warning("breaker not stored", relay=self.relay, error=str(error))
                self._changed.set()
                await asyncio.sleep(UNSTORED_WAIT)

    def _watched(self, act: Callable[[], T], *, given_back: bool = False) -> T:
        before = self._breaker.snapshot
        result = act()
        after = self._breaker.snapshot
        if after is not before:
            self._changed.set()
            # Ready because a probe was given back is no news: there was no mail for it, and looking again would go on.
            if (after.ready and not given_back) or (before.phase, before.mode) != (after.phase, after.mode):
                _log_change(self.relay, before, after)
                self.on_change(before, after)
        return result

    async def _save(self, actor: str = "", note: str = "") -> None:
        async with self._saving:
            before, after = self._stored, self._breaker.snapshot
            if after is before:
                return
            event = event_name(before, after)
            data: dict[str, Scalar] = {
                "phase": after.phase.value,
                "mode": after.mode.value,
                "text": after.cause or before.cause,
                "note": after.note or note,
                "actor": after.actor or actor,
                "probe_at": after.probe_at,
                "until": after.until,
            }
            await self._store.save_breaker(self.relay, after, self._now(), event, data)
            self._stored = after


def event_name(before: Snapshot, after: Snapshot) -> str | None:
    """What to call the change: forced, opened, probing, closed; None for one more failure counted."""
    if after.mode is not before.mode or (after.epoch != before.epoch and after.mode is not Mode.AUTO):
        return "breaker_forced" if after.mode is not Mode.AUTO else "breaker_auto"
    if after.phase is before.phase and after.openings == before.openings:
        return None
    return {
        Phase.OPEN: "breaker_opened",
        Phase.HALF_OPEN: "breaker_probing",
        Phase.CLOSED: "breaker_closed",
    }[after.phase]


def _log_change(relay: str, before: Snapshot, after: Snapshot) -> None:
    say = log.info if after.phase is Phase.CLOSED or after.phase is Phase.HALF_OPEN else log.warning
    say(
        f"breaker {after.phase.value}",
        relay=relay,
        was=before.phase.value,
        mode=after.mode.value,
        ready=after.ready,
        cause=after.cause,
        actor=after.actor,
        note=after.note,
    )
