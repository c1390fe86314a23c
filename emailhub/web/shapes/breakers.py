"""Circuit breakers as the API answers them."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from emailhub.core.breaker import Mode, Phase
from emailhub.core.status import RelayStatus
from emailhub.web.shapes.times import Time, iso, maybe_iso


class BreakerShape(Struct, frozen=True, kw_only=True):
    """The circuit breaker of one relay. `forced` is auto unless an operator decided: see `actor`, `reason`, `until`."""

    object: Literal["breaker"] = "breaker"
    relay: str
    state: Phase
    forced: Mode
    failures: Annotated[int, Meta(description="relay-level failures in a row")]
    cause: str
    since: Time | None
    next_probe_at: Time | None
    actor: str
    reason: str
    until: Time | None

    @classmethod
    def of(cls, relay: RelayStatus) -> BreakerShape:
        snapshot = relay.breaker
        return cls(
            relay=relay.name,
            state=snapshot.phase,
            forced=snapshot.mode,
            failures=snapshot.failures,
            cause=snapshot.cause,
            since=iso(snapshot.since) if snapshot.since else None,
            next_probe_at=maybe_iso(relay.next_probe),
            actor=snapshot.actor,
            reason=snapshot.note,
            until=maybe_iso(snapshot.until),
        )


class BreakerList(Struct, frozen=True):
    """The breakers of all relays."""

    data: list[BreakerShape]
    object: Literal["list"] = "list"
