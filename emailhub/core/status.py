"""How the parts stand right now, for health, metrics and the dashboard. Times are unix seconds (UTC)."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct, field

from emailhub.core.breaker import Snapshot


class Link(StrEnum):
    """How the connection to RabbitMQ stands.

    OFF         no RABBITMQ_URL
    CONNECTING  trying
    CONSUMING   all is well
    PAUSED      we stopped taking on purpose: the outbox or the disk is nearly full
    BLOCKED     RabbitMQ does not let us publish (memory or disk alarm)
    MISSING     connected, but our consumer is not there
    DOWN        not reachable
    REFUSED     login, vhost or permission refused: needs a human
    """

    OFF = "off"
    CONNECTING = "connecting"
    CONSUMING = "consuming"
    PAUSED = "paused"
    BLOCKED = "blocked"
    MISSING = "consumer missing"
    DOWN = "down"
    REFUSED = "refused"


class RabbitStatus(Struct, frozen=True, kw_only=True):
    """RabbitMQ as we see it. `detail` is one plain line without secrets; counts are None when not known.

    `foreign_consumers` counts consumers on the queue that are not ours; `note` a warning such as differing arguments.
    """

    link: Link = Link.OFF
    detail: str = ""
    queue: str = ""
    since: float = 0.0
    ready: int | None = None
    unacked: int = 0
    foreign_consumers: int = 0
    received: int = 0
    rate_in: float = 0.0
    recoveries: int = 0
    note: str = ""


class PoolFacts(Struct, frozen=True, kw_only=True):
    """The connections of a relay: open ones now (`idle` + `busy`), and counts since the start."""

    open: int = 0
    idle: int = 0
    busy: int = 0
    opens: int = 0
    reuses: int = 0
    closes: dict[str, int] = field(default_factory=dict)


class RelayStatus(Struct, frozen=True, kw_only=True):
    """A relay: where it is, what its breaker says, and what it is doing."""

    name: str
    host: str
    captures: bool
    breaker: Snapshot
    next_probe: float | None
    capacity: int
    in_flight: int
    pool: PoolFacts
    last_sent_at: float | None = None


class OutboxStatus(Struct, frozen=True, kw_only=True):
    """The database: `writable` is False when the last write failed, `detail` says why."""

    writable: bool = True
    detail: str = ""
    path: str = ""
    size: int = 0
    free_disk: int | None = None


class Flow(Struct, frozen=True, kw_only=True):
    """The answer to "is mail flowing?": `level` ok, info, warn or bad; a headline, a sentence, and the next action.

    `causes` are further plain sentences; `action` is (label, path) of the one button, or None.
    """

    level: str
    headline: str
    sentence: str
    causes: tuple[str, ...] = ()
    action: tuple[str, str] | None = None
