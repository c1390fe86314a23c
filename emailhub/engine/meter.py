"""Counts and durations for Prometheus, in a registry of our own. No label ever holds an address or an id."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar, cast

from msgspec import Struct
from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from emailhub.core.breaker import Mode, Phase
from emailhub.core.delivery import Reason, State
from emailhub.core.figures import Totals
from emailhub.core.status import Link, OutboxStatus, RabbitStatus, RelayStatus

M = TypeVar("M", Counter, Histogram)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_ATTEMPT_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 600)
_SEND_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14400, 86400)
_LAG_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_CONSUMED = (Link.CONSUMING, Link.BLOCKED)
"""An alarm in RabbitMQ stops what we publish, not what we take."""
_WAITING = (State.QUEUED, State.SCHEDULED, State.SENDING, State.DEFERRED, State.HELD)


class Reading(Struct, frozen=True, kw_only=True):
    """How things stand at the moment of a scrape. `lag` and times in seconds; `now` unix seconds."""

    now: float
    totals: Totals
    relays: tuple[RelayStatus, ...] = ()
    rabbit: RabbitStatus = RabbitStatus()
    outbox: OutboxStatus = OutboxStatus()
    clients: int = 0
    dropped: int = 0
    lag: float = 0.0
    clock_ahead: float = 0.0


class Meter:
    """What the engine counts as it works; `render` adds how things stand."""

    def __init__(self) -> None:
        # Otherwise every counter also tells when it began, which nobody asks and which doubles the answer.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry(auto_describe=True)
        self._children: dict[tuple[Counter | Histogram, tuple[str, ...]], Counter | Histogram] = {}
        self._accepted = self._counter("messages_accepted", "Messages accepted, by the face they came in.", "face")
        self._refused = self._counter("intake_refused", "Requests turned away, by the name of the error.", "name")
        self._recipients = self._counter(
            "recipients",
            "Recipients that came to a state, and why: sent, failed, deferred, held, suppressed.",
            "state",
            "reason",
        )
        self._unknown = self._counter("unknown_outcomes", "Attempts whose final reply was never seen.", "relay")
        self._attempt = Histogram(
            "emailhub_attempt_seconds",
            "How long an attempt took, by what it came to.",
            ("relay", "kind"),
            buckets=_ATTEMPT_SECONDS,
            registry=self._registry,
        )
        self._time_to_send = Histogram(
            "emailhub_time_to_send_seconds",
            "From acceptance to sent.",
            buckets=_SEND_SECONDS,
            registry=self._registry,
        )
        self._loop_late = Histogram(
            "emailhub_loop_late_seconds",
            "How late the event loop ran what was due, looked at every 50 ms.",
            buckets=_LAG_SECONDS,
            registry=self._registry,
        )

    def accepted(self, face: str) -> None:
        """A message was accepted (not replayed)."""
        self._labelled(self._accepted, face).inc()

    def refused(self, name: str) -> None:
        """A message was turned away with the error `name`."""
        self._refused.labels(name).inc()

    def attempt(self, relay: str, kind: str, seconds: float) -> None:
        """An attempt ended; `kind` is the verdict."""
        self._labelled(self._attempt, relay, kind).observe(max(seconds, 0.0))

    def recipient(self, state: State, reason: Reason, count: int = 1) -> None:
        """`count` recipients came to a final state, or were deferred or held."""
        self._labelled(self._recipients, state.value, reason.value).inc(count)

    def suppressed(self, count: int) -> None:
        """`count` recipients get nothing, as their addresses are on the suppression list."""
        self.recipient(State.SUPPRESSED, Reason.SUPPRESSED, count)

    def unknown(self, relay: str) -> None:
        """The relay took a whole message and its final reply was never seen."""
        self._unknown.labels(relay).inc()

    def time_to_send(self, seconds: float) -> None:
        """A recipient was sent `seconds` after its message was accepted."""
        # The clock may have been set back meanwhile.
        self._time_to_send.observe(max(seconds, 0.0))

    def loop_lag(self, seconds: float) -> None:
        """The event loop ran a timer `seconds` late."""
        self._loop_late.observe(seconds)

    def render(self, reading: Reading) -> bytes:
        """The text Prometheus reads: what was counted, and `reading`."""
        snapshot = CollectorRegistry()
        snapshot.register(_Gauges(reading))
        return generate_latest(self._registry) + generate_latest(snapshot)

    def _labelled(self, metric: M, *labels: str) -> M:
        """The counter for `labels`, looked up once: finding it costs more than counting."""
        found = self._children.get((metric, labels))
        if found is None:
            found = self._children[metric, labels] = metric.labels(*labels)
        return cast("M", found)

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(f"emailhub_{name}", meaning, labels, registry=self._registry)


class _Gauges(Collector):
    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def collect(self) -> Iterator[Metric]:
        reading = self._reading
        yield from _of_outbox(reading)
        yield from _of_relays(reading.relays)
        yield from _of_rabbit(reading.rabbit)
        yield _gauge("live_clients", "Open live streams.", reading.clients)
        yield _counted("live_clients_dropped", "Live streams ended because the client did not read.", reading.dropped)
        yield _gauge(
            "clock_ahead_seconds", "By how much the clock jumped ahead; 0 as it is believed.", reading.clock_ahead
        )
        yield _gauge("loop_lag_seconds", "The longest the event loop was late in the last seconds.", reading.lag)


def _of_outbox(reading: Reading) -> Iterator[Metric]:
    totals, outbox = reading.totals, reading.outbox
    waiting = GaugeMetricFamily("emailhub_messages_waiting", "Unfinished messages by state.", labels=["state"])
    for state in _WAITING:
        waiting.add_metric([state.value], totals.by_state.get(state, 0))
    yield waiting
    oldest = max(reading.now - totals.oldest_waiting, 0.0) if totals.oldest_waiting is not None else 0.0
    yield _gauge("oldest_waiting_seconds", "Age of the oldest message still waiting for a try; 0 when none is.", oldest)
    yield _gauge("outbox_writable", "1 when the last write to the outbox worked.", outbox.writable)
    room = "1 while new messages are accepted, 0 when too much waits or the disk is nearly full."
    yield _gauge("outbox_has_room", room, not outbox.lack)
    yield _gauge("outbox_size_bytes", "Size of the database.", outbox.size)
    if outbox.free_disk is not None:
        yield _gauge("disk_free_bytes", "Free space on the disk of the outbox.", outbox.free_disk)


def _of_relays(relays: tuple[RelayStatus, ...]) -> Iterator[Metric]:
    phase = GaugeMetricFamily("emailhub_breaker_phase", "1 for the phase the breaker is in.", labels=["relay", "phase"])
    forced = GaugeMetricFamily("emailhub_breaker_forced", "1 when an operator forced the breaker.", labels=["relay"])
    in_flight = GaugeMetricFamily("emailhub_attempts_running", "Attempts running now.", labels=["relay"])
    opened = GaugeMetricFamily("emailhub_connections_open", "Open SMTP connections.", labels=["relay"])
    opens = CounterMetricFamily("emailhub_connections_opened", "SMTP connections opened.", labels=["relay"])
    reuses = CounterMetricFamily("emailhub_connections_reused", "Messages on a kept connection.", labels=["relay"])
    closes = CounterMetricFamily(
        "emailhub_connections_closed", "SMTP connections closed, and why.", labels=["relay", "reason"]
    )
    for relay in relays:
        for each in Phase:
            phase.add_metric([relay.name, each.value], relay.breaker.phase is each)
        forced.add_metric([relay.name], relay.breaker.mode is not Mode.AUTO)
        in_flight.add_metric([relay.name], relay.in_flight)
        opened.add_metric([relay.name], relay.pool.open)
        opens.add_metric([relay.name], relay.pool.opens)
        reuses.add_metric([relay.name], relay.pool.reuses)
        for reason, count in relay.pool.closes.items():
            closes.add_metric([relay.name, reason], count)
    yield from (phase, forced, in_flight, opened, opens, reuses, closes)
    yield from _of_routing(relays)


def _of_routing(relays: tuple[RelayStatus, ...]) -> Iterator[Metric]:
    """What holds a relay's mail back or sends it another way. Domains are no labels: there may be very many."""
    spans = ["relay", "span"]
    limit = GaugeMetricFamily("emailhub_relay_limit", "Recipients a relay may get in a span of time.", labels=spans)
    left = GaugeMetricFamily("emailhub_relay_limit_left", "How many of them may still go now.", labels=spans)
    suspended = GaugeMetricFamily(
        "emailhub_senders_suspended", "From-domains the relay does not let send.", labels=["relay"]
    )
    covered = GaugeMetricFamily("emailhub_relay_covered", "1 while other relays carry its mail.", labels=["relay"])
    draining = GaugeMetricFamily("emailhub_relay_draining", "1 while it gets no new mail.", labels=["relay"])
    for relay in relays:
        for one in relay.limits:
            limit.add_metric([relay.name, _span(one.seconds)], one.limit)
            left.add_metric([relay.name, _span(one.seconds)], max(one.limit - one.used, 0))
        suspended.add_metric([relay.name], len(relay.suspended))
        covered.add_metric([relay.name], bool(relay.covered_by))
        draining.add_metric([relay.name], relay.draining)
    yield from (limit, left, suspended, covered, draining)


_SPANS = {1.0: "second", 60.0: "minute", 3600.0: "hour", 86400.0: "day"}


def _span(seconds: float) -> str:
    return _SPANS.get(seconds, f"{seconds:g}s")


def _of_rabbit(rabbit: RabbitStatus) -> Iterator[Metric]:
    link = GaugeMetricFamily("emailhub_rabbitmq_link", "1 for how the link to RabbitMQ stands.", labels=["state"])
    for each in Link:
        link.add_metric([each.value], rabbit.link is each)
    yield link
    yield _gauge("rabbitmq_consumer_up", "1 when our consumer is there.", rabbit.link in _CONSUMED)
    yield _gauge("rabbitmq_foreign_consumers", "Consumers on the queue that are not ours.", rabbit.foreign_consumers)
    yield _gauge("rabbitmq_unacked", "Deliveries taken and not yet acknowledged.", rabbit.unacked)
    if rabbit.ready is not None:
        yield _gauge("rabbitmq_ready", "Requests waiting in the queue.", rabbit.ready)
    yield _counted("rabbitmq_received", "Deliveries taken from the queue.", rabbit.received)
    yield _counted("rabbitmq_recoveries", "Times the link was found again.", rabbit.recoveries)


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(f"emailhub_{name}", meaning, value=value)


def _counted(name: str, meaning: str, value: float) -> Metric:
    return CounterMetricFamily(f"emailhub_{name}", meaning, value=value)
