"""What the engine and the faces need of their neighbours. Adapters satisfy these by shape; nobody inherits them."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from emailhub.core.claiming import ANY, Claimed, Terms
from emailhub.core.delivery import Reason, State
from emailhub.core.diversion import Addressed
from emailhub.core.errors import IdempotencyConflict, Problem
from emailhub.core.figures import Latency, Minute, Totals
from emailhub.core.query import Count
from emailhub.core.records import AttemptRecord, DeadLetter, Detail, Event, Filter, Job, Page, Parcel, Receipt, Result
from emailhub.core.spread import Timings
from emailhub.core.status import OutboxStatus, PoolFacts, RabbitStatus
from emailhub.core.template import Broken, Rendered, Template
from emailhub.core.verdict import Envelope, Progress, Report


class Relay(Protocol):
    """A way out: an SMTP server, or the capture relay."""

    @property
    def name(self) -> str: ...
    @property
    def capacity(self) -> int: ...
    @property
    def captures(self) -> bool: ...
    async def attempt(
        self,
        envelope: Envelope,
        *,
        fresh: bool,
        progress: Progress,
        before_body: Callable[[], Awaitable[None]] | None,
    ) -> Report:
        """Carry one message. Raises nothing for what network or server do; closes its connection when cancelled."""
        ...

    async def probe(self, *, progress: Progress) -> Report:
        """Connect, greet, log in and quit; a report with exactly one verdict."""
        ...

    async def drop_idle(self) -> None: ...
    async def close(self) -> None: ...
    def facts(self) -> PoolFacts: ...


class Signer(Protocol):
    """Signs mail for the domains it has keys of."""

    def sign(self, content: bytes, domain: str) -> bytes:
        """`content`, from an address in `domain`, with its signatures; as it is when there is no key."""
        ...

    def costs(self, domain: str) -> bool:
        """Whether signing for `domain` takes so long that it belongs in a thread."""
        ...


class Fetcher(Protocol):
    """Fetches files from public servers."""

    async def fetch(self, url: str, most_bytes: int) -> bytes:
        """What is at `url`. Raises FetchFailed."""
        ...


class Renderer(Protocol):
    """Renders templates where they can harm nobody, with bounded time, memory and output."""

    async def render(self, template: Template, values: Mapping[str, object]) -> Rendered:
        """What `template` makes of `values`; the text is made from the HTML when it has none of its own.

        Raises TemplateError naming the variable or the place, or the bound that was exceeded; Refused when the renderer
        cannot work now.
        """
        ...

    async def check(self, template: Template) -> tuple[Problem, ...]:
        """What is wrong with the sources, by part (`subject`, `html`, `text`) with the line; () when they compile."""
        ...


class Catalog(Protocol):
    """A place templates are kept in."""

    async def find(self, id: str, language: str) -> Template | None:
        """The template in the best language there is for `language` (`core.template.languages`); None: no such id."""
        ...

    async def all(self) -> tuple[Template, ...]:
        """Every usable template in every language, by id and language."""
        ...

    async def broken(self) -> tuple[Broken, ...]:
        """Those that cannot be used as they stand."""
        ...


class Seat(Protocol):
    """A place kept for a message that is about to be stored."""

    def take(self, job: Job) -> None:
        """The message is stored, its attempt open: carry it. Works also after `leave`."""
        ...

    def leave(self) -> None:
        """Give the place back, if it was not taken. Whoever got the seat calls it in the end in any case."""
        ...


class Broker(Protocol):
    """RabbitMQ as the engine uses it."""

    @property
    def can_hand_off(self) -> bool:
        """True while a confirmed publish to the hand-off queue can be expected to work."""
        ...

    def hand_off(self, ids: Sequence[str]) -> None:
        """Publish ids to our own queue, in the background; losing them is harmless. Never blocks, never raises."""
        ...

    async def publish(self, letter: DeadLetter) -> None:
        """Publish and wait for the confirm. Raises `BrokerDown` when it did not arrive."""
        ...

    def pause(self, why: str) -> None: ...
    def resume(self) -> None: ...
    def status(self) -> RabbitStatus: ...


class History(Protocol):
    """What can be read of the outbox. Never blocks a write and never changes anything."""

    async def page(
        self, filter: Filter, *, before: str | None, after: str | None, limit: int, patience: float = math.inf
    ) -> Page:
        """Messages newest first; `before`/`after` are message ids. Raises NotFound for an unknown one.

        After `patience` seconds of processor time it gives what it has found so far.
        """
        ...

    async def count(self, filter: Filter, most: int, *, patience: float = math.inf) -> Count:
        """How many messages `filter` wants, counted up to `most`, or as far as `patience` reaches."""
        ...

    async def not_searchable(self) -> int:
        """How many old messages no search finds by their words yet."""
        ...

    async def find(self, id: str) -> Detail: ...
    async def addressed(self, seqs: Sequence[int]) -> dict[int, Addressed]:
        """Whom each of the messages with these `seq` goes to."""
        ...

    async def content(self, id: str) -> bytes | None:
        """The final MIME bytes, or None when they were erased or are not to be shown. Raises NotFound."""
        ...

    async def attempts(self, id: str) -> tuple[AttemptRecord, ...]: ...
    async def events(self, id: str) -> tuple[Event, ...]: ...
    async def events_since(self, event_id: int, limit: int) -> tuple[Event, ...]: ...
    async def last_event_id(self) -> int: ...
    async def relay_events(self, relay: str, limit: int) -> tuple[Event, ...]:
        """Breaker and operator events of one relay, newest first."""
        ...

    async def relay_attempts(self, relay: str, limit: int) -> tuple[AttemptRecord, ...]:
        """The latest finished attempts of one relay, newest first."""
        ...

    async def states_of_request(self, request_id: str) -> tuple[State, ...] | None:
        """The recipients' states of the newest message with this request id, or None."""
        ...

    async def totals(self) -> Totals: ...
    async def waiting_at(self, relay: str, most: int) -> int:
        """How many messages of `relay` wait for their first or next try, counted up to `most`."""
        ...

    async def minutes(self, since: float, until: float, step: float) -> tuple[Minute, ...]:
        """What happened in [since, until), in buckets of `step` seconds (a multiple of 60), none left out."""
        ...

    async def timings(self, since: float, until: float, step: float) -> Timings:
        """How long messages took to be sent, in buckets like those of `minutes`."""
        ...

    async def latency(self, since: float) -> Latency: ...
    async def causes(self, since: float, limit: int) -> tuple[tuple[str, int], ...]:
        """The texts of recent failures with their counts, most frequent first."""
        ...

    def status(self) -> OutboxStatus: ...


class Outbox(Protocol):
    """The durable queue. Every method is one guarded transaction, committed and synced when it returns."""

    async def add(self, parcels: Sequence[Parcel]) -> list[Receipt | Exception]:
        """Store each parcel or say why not (IdempotencyConflict); all in one commit."""
        ...

    async def add_all(self, parcels: Sequence[Parcel]) -> list[Receipt]:
        """Store the parcels in one commit, or none of them. Raises BatchRefused (IdempotencyConflict), OutboxError."""
        ...

    async def known(self, key: str, fingerprint: bytes, since: float = 0.0) -> Receipt | IdempotencyConflict | None:
        """What a message with this key and content would be answered; None: nothing is known under the key."""
        ...

    async def claim(
        self,
        relay: str,
        *,
        limit: int,
        now: float,
        ids: Sequence[str] = (),
        probe: bool = False,
        terms: Terms = ANY,
    ) -> Claimed:
        """Open an attempt for up to `limit` due messages by priority then time; `ids` (fresh ones only) go first.

        `probe`: the due one first that met the least relay trouble.
        """
        ...

    async def mark_body(self, job: Job, now: float) -> None:
        """Record that the body is about to be handed over; from here on a crash leaves the outcome unknown."""
        ...

    async def record(self, job: Job, results: Sequence[Result], report: Report, now: float) -> tuple[Result, ...]:
        """Apply what an attempt found out; the results as applied. Empty: it was closed before, nothing was changed."""
        ...

    async def release(self, job: Job, reason: Reason, now: float) -> tuple[Result, ...]:
        """Give a claimed message back; no attempt is used. Returns as `record`."""
        ...

    async def next_due(self, relay: str) -> float | None: ...
