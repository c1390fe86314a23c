"""What is counted of the mail: by the minute, now, and how long it took."""

from __future__ import annotations

from msgspec import Struct

from emailhub.core.delivery import State


class Minute(Struct, frozen=True):
    """What happened in the minute (or longer bucket) that began at `at`: counts of recipients (accepted: messages)."""

    at: float
    accepted: int = 0
    sent: int = 0
    deferred: int = 0
    failed: int = 0


class Totals(Struct, frozen=True):
    """The outbox now: messages by state, unfinished ones, since when the oldest waits for its first or next try."""

    by_state: dict[State, int]
    waiting: int
    oldest_waiting: float | None
    scheduled: int


class Latency(Struct, frozen=True):
    """Seconds from acceptance to sent over the messages asked about; None when there was none."""

    count: int
    p50: float | None
    p95: float | None
