"""The relay that only stores: every message is accepted at once and nothing leaves the hub."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from emailhub.core.status import PoolFacts
from emailhub.core.verdict import Envelope, Kind, Line, Progress, Report, Stage, Verdict

_CAPTURED = Verdict(Kind.ACCEPTED, Stage.FINAL, "captured")


class CaptureRelay:
    """Accepts everything; the outbox, which has the message already, is where it can be read."""

    captures = True

    def __init__(self, name: str = "capture", capacity: int = 200) -> None:
        self.name = name
        self.capacity = capacity

    async def attempt(
        self,
        envelope: Envelope,
        *,
        fresh: bool,  # noqa: ARG002
        progress: Progress,
        before_body: Callable[[], Awaitable[None]] | None,
    ) -> Report:
        """Accepted for every recipient. `before_body` is awaited first; what it raises comes out here."""
        if before_body is not None:
            await before_body()
        progress.stage = Stage.FINAL
        progress.body_sent = True
        return Report((_CAPTURED,) * len(envelope.recipients), (Line(0.0, "note", "captured: nothing left the hub"),))

    async def probe(self, *, progress: Progress) -> Report:
        """Always well."""
        progress.stage = Stage.FINAL
        return Report((Verdict(Kind.ACCEPTED, Stage.FINAL, "capturing"),))

    async def drop_idle(self) -> None:
        """There are no connections."""

    async def close(self) -> None:
        """There is nothing to close."""

    def facts(self) -> PoolFacts:
        """No connections."""
        return PoolFacts()
