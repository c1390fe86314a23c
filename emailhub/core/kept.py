"""What is remembered of a relay over a restart. Times are unix seconds (UTC)."""

from __future__ import annotations

from msgspec import Struct

from emailhub.core.status import ChaosStatus


class SuspensionRecord(Struct, frozen=True):
    """A from-domain a relay does not let send, so that it survives a restart. `tries` counts the probes that failed."""

    domain: str
    since: float
    reply: str
    next_try: float
    tries: int = 0


class ChaosRecord(Struct, frozen=True):
    """How the chaos relay behaves as stored: as set last, and what the settings said when that was set."""

    behaviour: ChaosStatus
    configured: ChaosStatus
