"""Relays as the API answers them."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from emailhub.core.status import ChaosStatus, LimitStatus, PoolFacts, RelayStatus, Suspension
from emailhub.web.shapes.breakers import BreakerShape
from emailhub.web.shapes.times import Time, iso, maybe_iso

Share = Annotated[float, Meta(description="0 to 1", examples=[0.1])]


class LimitShape(Struct, frozen=True, kw_only=True):
    """At most `limit` recipients in any span of `seconds`; `free_at` is when more may go, null: now."""

    limit: Annotated[int, Meta(examples=[2000])]
    seconds: Annotated[float, Meta(examples=[86400.0])]
    used: Annotated[int, Meta(examples=[1312])]
    left: Annotated[int, Meta(examples=[688])]
    free_at: Time | None

    @classmethod
    def of(cls, status: LimitStatus) -> LimitShape:
        left = max(status.limit - status.used, 0)
        free_at = maybe_iso(status.free_at)
        return cls(limit=status.limit, seconds=status.seconds, used=status.used, left=left, free_at=free_at)


class SuspensionShape(Struct, frozen=True, kw_only=True):
    """A from-domain the relay does not let send; one message tries again at `next_try_at`."""

    domain: Annotated[str, Meta(examples=["example.com"])]
    since: Time
    reply: Annotated[str, Meta(examples=["554 5.7.1 Email address is not verified"])]
    next_try_at: Time

    @classmethod
    def of(cls, status: Suspension) -> SuspensionShape:
        since, next_try_at = iso(status.since), iso(status.next_try)
        return cls(domain=status.domain, since=since, reply=status.reply, next_try_at=next_try_at)


class ConnectionsShape(Struct, frozen=True, kw_only=True):
    """SMTP connections: those open now, and counts since the start; `closed` by cause."""

    most: Annotated[int, Meta(description="so many at a time")]
    open: int
    idle: int
    busy: int
    opened: int
    reused: int
    closed: Annotated[dict[str, int], Meta(examples=[{"idle": 38}])]

    @classmethod
    def of(cls, pool: PoolFacts, most: int) -> ConnectionsShape:
        return cls(
            most=most,
            open=pool.open,
            idle=pool.idle,
            busy=pool.busy,
            opened=pool.opens,
            reused=pool.reuses,
            closed=dict(pool.closes),
        )


class BehaviourShape(Struct, frozen=True, kw_only=True):
    """How the chaos relay behaves: how likely each trouble is, and how many seconds a slow answer takes."""

    object: Literal["behaviour"] = "behaviour"
    transient: Annotated[Share, Meta(description="how often it puts off (4xx), 0 to 1")]
    permanent: Annotated[Share, Meta(description="how often it refuses (5xx), 0 to 1")]
    drop: Annotated[Share, Meta(description="how often it loses the connection, 0 to 1")]
    slow: Annotated[Share, Meta(description="how often it is slow, 0 to 1")]
    delay: Annotated[float, Meta(description="seconds a slow answer takes", examples=[3.0])]

    @classmethod
    def of(cls, status: ChaosStatus) -> BehaviourShape:
        return cls(
            transient=status.transient,
            permanent=status.permanent,
            drop=status.drop,
            slow=status.slow,
            delay=status.delay,
        )


class RelayShape(Struct, frozen=True, kw_only=True):
    """A way out. The lower its `priority` the sooner it is asked; `weight` divides the mail among equals."""

    object: Literal["relay"] = "relay"
    name: Annotated[str, Meta(examples=["ses"])]
    host: Annotated[str, Meta(examples=["email-smtp.eu-west-1.amazonaws.com:587"])]
    captures: Annotated[bool, Meta(description="it stores the mail and sends it to nobody")]
    from_domains: Annotated[list[str], Meta(description="senders it may carry; empty: any", examples=[["example.com"]])]
    priority: int
    weight: int
    draining: Annotated[bool, Meta(description="it gets no new mail")]
    in_flight: Annotated[int, Meta(description="messages being sent now")]
    last_sent_at: Time | None
    breaker: BreakerShape
    connections: ConnectionsShape
    limits: list[LimitShape]
    suspended: Annotated[list[SuspensionShape], Meta(description="senders it does not let send")]
    covers: Annotated[list[str], Meta(description="relays whose mail it carries, because they cannot")]
    covered_by: Annotated[list[str], Meta(description="relays that carry its mail, because it cannot")]
    covered_since: Time | None
    covered_why: Annotated[str, Meta(examples=["login refused"])]
    behaviour: Annotated[BehaviourShape | None, Meta(description="of the chaos relay; null for any other")]

    @classmethod
    def of(cls, relay: RelayStatus) -> RelayShape:
        return cls(
            name=relay.name,
            host=relay.host,
            captures=relay.captures,
            from_domains=list(relay.domains),
            priority=relay.priority,
            weight=relay.weight,
            draining=relay.draining,
            in_flight=relay.in_flight,
            last_sent_at=maybe_iso(relay.last_sent_at),
            breaker=BreakerShape.of(relay),
            connections=ConnectionsShape.of(relay.pool, relay.capacity),
            limits=[LimitShape.of(limit) for limit in relay.limits],
            suspended=[SuspensionShape.of(one) for one in relay.suspended],
            covers=list(relay.covers),
            covered_by=list(relay.covered_by),
            covered_since=maybe_iso(relay.covered_since),
            covered_why=relay.covered_why,
            behaviour=BehaviourShape.of(relay.chaos) if relay.chaos else None,
        )


class RelayList(Struct, frozen=True):
    """All relays in the order they are asked, those that only store last."""

    data: list[RelayShape]
    object: Literal["list"] = "list"
