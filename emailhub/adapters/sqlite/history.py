"""Reading the outbox for people and programs. Every method is one hop and never delays a write.

But for a search of words: what is not in their index yet is put there first, by the commit the keeper would make soon.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from emailhub.adapters.sqlite import attempts, blobs, counts, listing, many, narrowing, searching, timings
from emailhub.adapters.sqlite.database import Database
from emailhub.core.delivery import OnUnknown, Reason, State, Wish
from emailhub.core.diversion import Addressed
from emailhub.core.errors import NotFound
from emailhub.core.figures import Latency, Minute, Totals
from emailhub.core.query import Count
from emailhub.core.records import AttemptRecord, Detail, Event, Filter, Page, RecipientRecord
from emailhub.core.spread import Timings
from emailhub.core.status import OutboxStatus

T = TypeVar("T")
Row = tuple[Any, ...]


class SqliteHistory:
    """See `engine.ports.History`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def status(self) -> OutboxStatus:
        return self._database.status()

    async def page(
        self, filter: Filter, *, before: str | None, after: str | None, limit: int, patience: float = math.inf
    ) -> Page:
        """Newest first: those older than message `before`, or the ones just newer than `after`. Raises NotFound.

        Where messages have to be looked at one by one, it stops after `patience` seconds of processor time.
        """
        await self._prepare(filter)
        return await self._ask(listing.page, filter, before, after, limit, patience)

    async def count(self, filter: Filter, most: int, *, patience: float = math.inf) -> Count:
        """How many messages `filter` wants, counted up to `most` and with `patience` as in `page`."""
        await self._prepare(filter)
        return await self._ask(listing.count, filter, most, patience)

    async def not_searchable(self) -> int:
        """How many old messages no search finds by their words yet."""
        return await searching.left(self._database)

    async def find(self, id: str) -> Detail:
        """The message with its recipients. Raises NotFound."""
        return await self._ask(_find, id)

    async def addressed(self, seqs: Sequence[int]) -> dict[int, Addressed]:
        """Whom each of these messages goes to, by `seq`."""
        return await self._ask(_addressed, seqs)

    async def content(self, id: str) -> bytes | None:
        """The final MIME bytes; None when they were erased, or are not to be shown. Raises NotFound."""
        return await self._ask(_content, id)

    async def attempts(self, id: str) -> tuple[AttemptRecord, ...]:
        """The attempts in order, the running one last. Raises NotFound."""
        return await self._ask(_attempts, id)

    async def events(self, id: str) -> tuple[Event, ...]:
        """What happened to the message, in order. Raises NotFound."""
        return await self._ask(_events, id)

    async def events_since(self, event_id: int, limit: int) -> tuple[Event, ...]:
        """Events with a greater id, in order."""
        return await self._ask(_events_since, event_id, limit)

    async def last_event_id(self) -> int:
        return await self._ask(lambda c: c.execute("SELECT coalesce(max(id), 0) FROM event").fetchone()[0])

    async def relay_events(self, relay: str, limit: int) -> tuple[Event, ...]:
        """Events of one relay, newest first."""
        return await self._ask(_relay_events, relay, limit)

    async def relay_attempts(self, relay: str, limit: int) -> tuple[AttemptRecord, ...]:
        """The latest finished attempts of one relay, newest first."""
        return await self._ask(attempts.of_relay, relay, limit)

    async def states_of_request(self, request_id: str) -> tuple[State, ...] | None:
        """The recipients' states of the newest message with this request id."""
        return await self._ask(_states_of_request, request_id)

    async def totals(self) -> Totals:
        return await self._ask(counts.totals)

    async def waiting_at(self, relay: str, most: int) -> int:
        """How many messages of `relay` wait for their first or next try, counted up to `most`."""
        return await self._ask(counts.waiting_at, relay, most)

    async def minutes(self, since: float, until: float, step: float) -> tuple[Minute, ...]:
        """Counts in [since, until) in buckets of `step` seconds; empty buckets are there, with zeros."""
        return await self._ask(counts.minutes, since, until, step)

    async def timings(self, since: float, until: float, step: float) -> Timings:
        """How long messages took that were sent in [since, until), in buckets of `step` seconds, none left out."""
        return await self._ask(timings.timings, since, until, step)

    async def latency(self, since: float) -> Latency:
        """Accepted (or scheduled) to sent, over messages that became sent after `since`."""
        return await self._ask(counts.latency, since)

    async def causes(self, since: float, limit: int) -> tuple[tuple[str, int], ...]:
        """The texts of failures after `since` with their counts, most frequent first, among the latest failures."""
        return await self._ask(counts.causes, since, limit)

    async def _prepare(self, filter: Filter) -> None:
        if narrowing.searches_words(filter):
            await searching.catch_up(self._database)

    async def _ask(self, work: Callable[..., T], *args: object) -> T:
        def run(connection: sqlite3.Connection) -> T:
            return work(connection, *args)

        return await self._database.read(run)


def _find(connection: sqlite3.Connection, id: str) -> Detail:
    row = connection.execute(f"SELECT {listing.SUMMARY} FROM message WHERE id = ?", (id,)).fetchone()  # noqa: S608
    if row is None:
        raise NotFound("message", id)
    more = connection.execute(
        "SELECT m.sender, m.origin, m.on_unknown, b.snippet, b.tags, b.metadata, length(b.content) > 0, "
        "m.diverted, m.store_body FROM message m JOIN body b ON b.seq = m.seq WHERE m.seq = ?",
        (row[0],),
    ).fetchone()
    pairs = tuple[tuple[str, str], ...]
    return Detail(
        summary=listing.summary(row),
        sender=more[0],
        detail=more[1],
        on_unknown=OnUnknown(more[2]),
        snippet=more[3],
        tags=msgspec.json.decode(more[4], type=pairs),
        metadata=msgspec.json.decode(more[5], type=pairs),
        has_content=bool(more[6]) and bool(more[8]),
        store_body=bool(more[8]),
        recipients=_recipients(connection, row[0]),
        diverted=msgspec.json.decode(more[7], type=tuple[str, ...]) if more[7] else (),
    )


def _recipients(connection: sqlite3.Connection, seq: int) -> tuple[RecipientRecord, ...]:
    found = connection.execute(
        "SELECT id, address, kind, state, reason, attempts, due_at, changed_at, last, wish "
        "FROM recipient WHERE seq = ? ORDER BY id",
        (seq,),
    )
    return tuple(
        RecipientRecord(
            id=row[0],
            address=row[1],
            kind=row[2],
            state=State(row[3]),
            reason=Reason(row[4]),
            attempts=row[5],
            due_at=row[6],
            changed_at=row[7],
            last=row[8],
            wish=Wish(row[9]) if row[9] else None,
        )
        for row in found
    )


def _addressed(connection: sqlite3.Connection, seqs: Sequence[int]) -> dict[int, Addressed]:
    found: dict[int, dict[str, list[tuple[int, str]]]] = {seq: {"to": [], "cc": [], "bcc": []} for seq in seqs}
    for id, seq, kind, address in many.among(
        connection, "SELECT id, seq, kind, address FROM recipient WHERE seq", list(found)
    ):
        found[seq][kind].append((id, address))
    return {seq: Addressed(*(tuple(at for _, at in sorted(kinds[k])) for k in kinds)) for seq, kinds in found.items()}


def _content(connection: sqlite3.Connection, id: str) -> bytes | None:
    seq = listing.seq_of(connection, id)
    row = connection.execute(
        f"SELECT {blobs.SMALL} FROM body b JOIN message m ON m.seq = b.seq AND m.store_body WHERE b.seq = ?",  # noqa: S608
        (seq,),
    ).fetchone()
    if row is None:
        return None
    return (blobs.read(connection, seq) if row[0] is None else row[0]) or None


def _attempts(connection: sqlite3.Connection, id: str) -> tuple[AttemptRecord, ...]:
    return attempts.of_message(connection, listing.seq_of(connection, id))


_EVENT = "SELECT e.id, e.at, e.kind, m.id, e.relay, e.data FROM event e LEFT JOIN message m ON m.seq = e.seq"


def _event(row: Row) -> Event:
    return Event(row[0], row[1], row[2], row[3], row[4], msgspec.json.decode(row[5]))


def _events(connection: sqlite3.Connection, id: str) -> tuple[Event, ...]:
    found = connection.execute(f"{_EVENT} WHERE e.seq = ? ORDER BY e.id", (listing.seq_of(connection, id),))
    return tuple(_event(row) for row in found)


def _events_since(connection: sqlite3.Connection, event_id: int, limit: int) -> tuple[Event, ...]:
    found = connection.execute(f"{_EVENT} WHERE e.id > ? ORDER BY e.id LIMIT ?", (event_id, limit))
    return tuple(_event(row) for row in found)


def _relay_events(connection: sqlite3.Connection, relay: str, limit: int) -> tuple[Event, ...]:
    found = connection.execute(f"{_EVENT} WHERE e.relay = ? ORDER BY e.id DESC LIMIT ?", (relay, limit))
    return tuple(_event(row) for row in found)


def _states_of_request(connection: sqlite3.Connection, request_id: str) -> tuple[State, ...] | None:
    found = connection.execute(
        "SELECT r.state FROM recipient r WHERE r.seq = (SELECT max(seq) FROM message WHERE request_id = ?)",
        (request_id,),
    ).fetchall()
    return tuple(State(row[0]) for row in found) or None
