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

    `ready` and `consumers` are what RabbitMQ last said of the queue, `unacked` is what we hold of it ourselves: what
    others hold is not told over AMQP. `foreign_consumers` counts consumers that are not ours; `note` is a warning such
    as differing arguments.
    """

    link: Link = Link.OFF
    detail: str = ""
    queue: str = ""
    since: float = 0.0
    ready: int | None = None
    unacked: int = 0
    consumers: int | None = None
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


class ChaosStatus(Struct, frozen=True, kw_only=True):
    """How the built-in chaos relay behaves: the probability (0 to 1) of each trouble, `delay` seconds when slow."""

    transient: float = 0.0
    permanent: float = 0.0
    drop: float = 0.0
    slow: float = 0.0
    delay: float = 3.0


class LimitStatus(Struct, frozen=True, kw_only=True):
    """One rate a relay is held to: at most `limit` recipients in any span of `seconds`.

    `used` of them are used up in the span that ends now; `free_at` is when more may go (unix seconds), None: now.
    """

    limit: int
    seconds: float
    used: int
    free_at: float | None = None


class Suspension(Struct, frozen=True, kw_only=True):
    """A from-domain that a relay does not let send: since when, the `reply` that said so, and the next try's time."""

    domain: str
    since: float
    reply: str
    next_try: float


class RelayStatus(Struct, frozen=True, kw_only=True):
    """A relay: where it is, what its breaker says, and what it is doing.

    `domains` are the from-domains it may carry (empty: all); the lower its `priority` the sooner it is asked, `weight`
    divides mail among equals. `draining`: it gets no new mail. `covers` names the relays whose mail it carries while
    they cannot; `covered_by` those that carry its own since `covered_since`, `covered_why` in words.
    """

    name: str
    host: str
    captures: bool
    breaker: Snapshot
    next_probe: float | None
    capacity: int
    in_flight: int
    pool: PoolFacts
    last_sent_at: float | None = None
    domains: tuple[str, ...] = ()
    priority: int = 0
    weight: int = 1
    draining: bool = False
    limits: tuple[LimitStatus, ...] = ()
    suspended: tuple[Suspension, ...] = ()
    covers: tuple[str, ...] = ()
    covered_by: tuple[str, ...] = ()
    covered_since: float | None = None
    covered_why: str = ""
    chaos: ChaosStatus | None = None


class ClockStatus(Struct, frozen=True, kw_only=True):
    """The clock of the machine: by how many seconds it has jumped `ahead` and is not believed yet, and for how long."""

    ahead: float = 0.0
    believed_in: float = 0.0


class RendererStatus(Struct, frozen=True, kw_only=True):
    """What renders templates: `ready` processes without work, templates `under_way`, waiting ones with them.

    `trouble` says why the latest could not be rendered, through no fault of its template; "" once one could.
    """

    ready: int = 0
    under_way: int = 0
    trouble: str = ""


class OutboxStatus(Struct, frozen=True, kw_only=True):
    """The database: `writable` is False when the last write failed, `detail` says why.

    `lack` says why new messages are turned away although it can be written; empty while there is room.
    """

    writable: bool = True
    detail: str = ""
    lack: str = ""
    path: str = ""
    size: int = 0
    free_disk: int | None = None


class Flow(Struct, frozen=True, kw_only=True):
    """The answer to "is mail flowing?": `level` ok, info, warn or bad; a headline, a sentence, and the next action.

    `causes` are further plain sentences; `action` is (label, path) of the one button, or None. With `fields` the button
    posts them there; without, it leads there.
    """

    level: str
    headline: str
    sentence: str
    causes: tuple[str, ...] = ()
    action: tuple[str, str] | None = None
    fields: dict[str, str] = field(default_factory=dict)
