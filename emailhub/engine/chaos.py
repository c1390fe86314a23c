"""The switch of the relay that makes trouble on purpose: how it behaves is kept, so that a restart forgets nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from emailhub import logs
from emailhub.core import chaos
from emailhub.core.errors import InvalidMessage
from emailhub.core.kept import ChaosRecord
from emailhub.core.records import Scalar
from emailhub.core.status import ChaosStatus

log = logs.get("chaos")


@runtime_checkable
class Unruly(Protocol):
    """A relay whose behaviour can be set while it runs."""

    name: str

    @property
    def behaviour(self) -> ChaosStatus: ...
    def behave(self, status: ChaosStatus) -> None: ...


class ChaosStore(Protocol):
    """Where it is kept."""

    async def load_chaos(self) -> ChaosRecord | None: ...
    async def save_chaos(
        self, record: ChaosRecord, now: float, *, relay: str, event: str | None, data: dict[str, Scalar]
    ) -> None: ...


class ChaosSwitch:
    """Sets how `relay` behaves. `configured` is what the settings say: it holds until somebody sets something else
    here, and again once the settings say something new."""

    def __init__(self, relay: Unruly, store: ChaosStore, *, configured: ChaosStatus, now: Callable[[], float]) -> None:
        self._relay = relay
        self._store = store
        self._configured = configured
        self._now = now

    @property
    def relay(self) -> str:
        """The name of the relay."""
        return self._relay.name

    async def restore(self) -> None:
        """Behave as last set, unless the settings were changed since."""
        kept = await self._store.load_chaos()
        if kept is not None and kept.configured == self._configured:
            self._relay.behave(kept.behaviour)
            return
        self._relay.behave(self._configured)
        record = ChaosRecord(self._configured, self._configured)
        await self._store.save_chaos(record, self._now(), relay=self.relay, event=None, data={})

    async def set(self, status: ChaosStatus, actor: str) -> ChaosStatus:
        """Behave like `status` from now on; stored when this returns. Raises InvalidMessage, OutboxError."""
        if wrong := chaos.problems(status):
            raise InvalidMessage(wrong)
        data: dict[str, Scalar] = {"actor": actor, "text": chaos.words(status), **chaos.facts(status)}
        record = ChaosRecord(status, self._configured)
        await self._store.save_chaos(record, self._now(), relay=self.relay, event="chaos_set", data=data)
        self._relay.behave(status)
        log.warning("chaos set", relay=self.relay, **data)
        return status


def behaviour_of(relay: object) -> ChaosStatus | None:
    """How `relay` behaves when it is one that makes trouble on purpose."""
    return relay.behaviour if isinstance(relay, Unruly) else None
