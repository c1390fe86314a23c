"""What an operator may do. Every verb names who did it and why, in the message's or the relay's history."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from emailhub import logs
from emailhub.core import mime
from emailhub.core.breaker import Mode, Snapshot
from emailhub.core.delivery import Reason
from emailhub.core.errors import NotFound, WrongState
from emailhub.core.records import Detail
from emailhub.core.routing import domain_of
from emailhub.core.status import ChaosStatus
from emailhub.engine.chaos import ChaosSwitch
from emailhub.engine.fuse import Fuse
from emailhub.engine.ports import History
from emailhub.engine.suspensions import Suspensions

log = logs.get("desk")


class Actor(Struct, frozen=True):
    """Who acts: a `name` (operator, an API key's name), over which `face`, from which `peer` address."""

    name: str
    face: str = ""
    peer: str = ""

    def __str__(self) -> str:
        return f"{self.name} from {self.peer}" if self.peer else self.name


class Verbs(Protocol):
    """The outbox as the desk uses it."""

    async def retry(
        self, id: str, *, relays: Sequence[str], now: float, expires_at: float, actor: str, note: str
    ) -> None: ...
    async def hold(self, id: str, *, now: float, actor: str, note: str) -> None: ...
    async def cancel(self, id: str, *, now: float, actor: str, note: str) -> None: ...
    async def reschedule(self, id: str, *, at: float, now: float, actor: str, note: str) -> None: ...
    async def copy(self, id: str, *, new_id: str, relay: str, now: float, expires_at: float, actor: str) -> int: ...


class Desk:
    """The operator's verbs. `relay` is where new copies go; `fuses` the breakers by relay; `chaos` the switch of the
    relay that makes trouble on purpose, if there is one. `expire_after` (seconds) may be changed while it runs.
    `withheld` gets the number of recipients of a copy that are suppressed at once."""

    def __init__(
        self,
        verbs: Verbs,
        history: History,
        fuses: Mapping[str, Fuse],
        *,
        relay: str,
        expire_after: float,
        wake: Callable[[], None],
        now: Callable[[], float],
        entropy: Callable[[int], bytes],
        chaos: ChaosSwitch | None = None,
        home: Callable[[str], str | None] | None = None,
        suspensions: Mapping[str, Suspensions] | None = None,
        withheld: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._withheld = withheld
        self._chaos = chaos
        self._verbs = verbs
        self._history = history
        self._fuses = fuses
        self._home = home or (lambda _domain: relay)
        self._suspensions = suspensions or {}
        self.expire_after = expire_after
        self._wake = wake
        self._now = now
        self._entropy = entropy

    async def retry(self, id: str, actor: Actor, reason: str = "") -> Detail:
        """Send again what is deferred, held, failed, canceled or suppressed. Raises NotFound, WrongState."""
        now = self._now()
        until = now + self.expire_after
        relays = await self._relays_for(id)
        await self._verbs.retry(id, relays=relays, now=now, expires_at=until, actor=str(actor), note=reason)
        return await self._done("retry", id, actor, reason)

    async def hold(self, id: str, actor: Actor, reason: str = "") -> Detail:
        """Keep what waits until somebody retries or cancels it. Raises NotFound, WrongState."""
        await self._verbs.hold(id, now=self._now(), actor=str(actor), note=reason)
        return await self._done("hold", id, actor, reason)

    async def cancel(self, id: str, actor: Actor, reason: str = "") -> Detail:
        """Withdraw what is not final yet. Raises NotFound, WrongState."""
        await self._verbs.cancel(id, now=self._now(), actor=str(actor), note=reason)
        return await self._done("cancel", id, actor, reason)

    async def reschedule(self, id: str, at: float, actor: Actor, reason: str = "") -> Detail:
        """Send what is scheduled at another time (unix seconds). Raises NotFound, WrongState."""
        await self._verbs.reschedule(id, at=at, now=self._now(), actor=str(actor), note=reason)
        return await self._done("reschedule", id, actor, reason)

    async def send_for_real(self, id: str, actor: Actor, reason: str = "") -> Detail:
        """Send a captured message over the real relay, as a linked message. Raises NotFound, WrongState.

        It goes to everybody the captured one is addressed to, whatever rules kept it back: this is the one way in which
        a person, and nothing else, decides that it shall.
        """
        original = await self._history.find(id)
        relay = self._home(domain_of(original.sender))
        if original.summary.reason is not Reason.CAPTURED or relay in (None, original.summary.relay):
            raise WrongState("send", id, "final", "it was not captured, or no real relay is set up")
        now = self._now()
        new_id = mime.new_id(now, self._entropy(10))
        withheld = await self._verbs.copy(
            id, new_id=new_id, relay=relay or "", now=now, expires_at=now + self.expire_after, actor=str(actor)
        )
        if withheld:
            self._withheld(withheld)
        return await self._done("send for real", new_id, actor, reason)

    async def force(self, relay: str, mode: Mode, *, actor: Actor, note: str, until: float | None) -> Snapshot:
        """Force a breaker open or closed, or leave it to itself again. Raises NotFound."""
        if relay not in self._fuses:
            raise NotFound("relay", relay)
        snapshot = await self._fuses[relay].force(mode, actor=str(actor), note=note, until=until)
        log.warning("breaker forced", relay=relay, mode=mode.value, actor=str(actor), note=note, until=until)
        self._wake()
        return snapshot

    async def set_chaos(self, status: ChaosStatus, actor: Actor) -> ChaosStatus:
        """Make the chaos relay behave like `status`. Raises InvalidMessage; NotFound when there is no such relay."""
        if self._chaos is None:
            raise NotFound("relay", "chaos")
        return await self._chaos.set(status, str(actor))

    async def resume_sender(self, relay: str, domain: str, actor: Actor) -> None:
        """Let a suspended from-domain send again at once. Raises NotFound: no such relay, or it is not suspended."""
        if relay not in self._fuses:
            raise NotFound("relay", relay)
        if relay not in self._suspensions:
            raise NotFound("suspended sender", domain)
        await self._suspensions[relay].resume(domain.lower(), str(actor))

    def ways_for(self, domain: str, relay: str) -> tuple[str, ...]:
        """The relays set up for a sender's `domain`, first the one that takes mail over whose own is none of them.

        Empty when no relay may send for it and its own, `relay`, is not set up any more.
        """
        first = self._home(domain)
        if first is None:
            return tuple(self._fuses) if relay in self._fuses else ()
        return (first, *self._fuses)

    async def _relays_for(self, id: str) -> tuple[str, ...]:
        found = await self._history.find(id)
        ways = self.ways_for(domain_of(found.sender), found.summary.relay)
        if not ways:
            raise WrongState("retry", id, found.summary.state.value, "no relay may send for this sender")
        return ways

    async def _done(self, verb: str, id: str, actor: Actor, reason: str) -> Detail:
        self._wake()
        detail = await self._history.find(id)
        summary = detail.summary
        # The message's own ids, not those of the request that acts on it: its life is followed by them.
        log.info(
            verb,
            message_id=id,
            correlation_id=summary.correlation_id,
            request_id=summary.request_id,
            actor=str(actor),
            note=reason,
        )
        return detail
