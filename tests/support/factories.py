"""Parcels, jobs and results that tests need, with only what matters spelled out."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from emailhub.adapters.sqlite import Database, SqliteHistory, SqliteOutbox, open_database
from emailhub.adapters.sqlite.suppressions import SqliteSuppressions
from emailhub.adapters.sqlite.upkeep import SqliteUpkeep
from emailhub.adapters.sqlite.verbs import SqliteVerbs
from emailhub.core.delivery import OnUnknown, Outcome, Reason, State, Verb
from emailhub.core.message import Priority
from emailhub.core.records import Event, Job, Origin, Parcel, Result
from emailhub.core.reply import Reply
from emailhub.core.verdict import Line, Report, Session, Stage

NOW = 1_800_000_000.0
DAY = 86400.0


def parcel(id: str, **given: Any) -> Parcel:
    """A stored-to-be message of one recipient, due at NOW; every field can be given."""
    at = given.pop("accepted_at", NOW)
    fields: dict[str, Any] = {
        "message_id": f"<{id}@example.org>",
        "relay": "default",
        "origin": Origin("http", f"c-{id}", "key one"),
        "sender": "hub@example.org",
        "from_header": "Hub <hub@example.org>",
        "to": (f"{id.lower()}@example.com",),
        "cc": (),
        "bcc": (),
        "to_header": f"{id.lower()}@example.com",
        "subject": f"Subject {id}",
        "snippet": "Hello",
        "content": b"Subject: x\r\n\r\nHello\r\n",
        "on_unknown": OnUnknown.RETRY,
        "priority": Priority.NORMAL,
        "expires_at": (given.get("scheduled_at") or at) + DAY,
        "due_at": given.get("scheduled_at") or at,
    }
    return Parcel(id=id, accepted_at=at, **{**fields, **given})


SENT = Outcome(Verb.SENT, State.SENT, Reason.ACCEPTED)
REFUSED = Outcome(Verb.FAIL, State.FAILED, Reason.REFUSED)


def deferred(due_at: float, reason: Reason = Reason.TRANSIENT) -> Outcome:
    """Put off until `due_at`; relay trouble costs no attempt."""
    return Outcome(Verb.DEFER, State.DEFERRED, reason, due_at, costs=reason is not Reason.RELAY_TROUBLE)


def results(job: Job, *outcomes: Outcome, text: str = "said so") -> list[Result]:
    """One result per recipient of `job`; one outcome is enough for all of them."""
    each = outcomes * len(job.recipients) if len(outcomes) == 1 else outcomes
    return [
        Result(recipient.id, outcome, "verdict", Stage.FINAL, text, Reply(250, "2.0.0", text))
        for recipient, outcome in zip(job.recipients, each, strict=True)
    ]


REPORT = Report(
    (), (Line(1.5, "client", "MAIL FROM:<…>"), Line(2.0, "server", "250 ok")), Session("1.2.3.4", "TLSv1.3", 2)
)


class Store(NamedTuple):
    """An open outbox with all its sides, and the events told so far."""

    database: Database
    outbox: SqliteOutbox
    verbs: SqliteVerbs
    upkeep: SqliteUpkeep
    history: SqliteHistory
    suppressions: SqliteSuppressions
    events: list[Event]
    withheld: list[int]

    async def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """What is in the tables, for what no reader tells."""
        return await self.database.read(lambda c: c.execute(sql, values).fetchall())

    async def claim(
        self, now: float = NOW, *, limit: int = 100, ids: Sequence[str] = (), probe: bool = False
    ) -> list[Job]:
        """Claim from the relay `default`."""
        return (await self.outbox.claim("default", limit=limit, now=now, ids=ids, probe=probe)).jobs

    async def finish(self, job: Job, outcome: Outcome, now: float = NOW, text: str = "said so") -> bool:
        """Record `outcome` for every recipient of `job`."""
        return await self.outbox.record(job, results(job, outcome, text=text), REPORT, now)

    async def states(self, id: str) -> list[State]:
        """The states of the recipients of `id`, in order."""
        return [recipient.state for recipient in (await self.history.find(id)).recipients]


@asynccontextmanager
async def opened(
    path: Path,
    *,
    dead_letters: bool = True,
    gather: float = 0.0,
    suppress_refused: bool = False,
    sure: Callable[[float], float] = lambda now: now,
) -> AsyncIterator[Store]:
    """The outbox at `path`, closed afterwards."""
    events: list[Event] = []
    withheld: list[int] = []
    database = await open_database(path, on_events=events.extend, lock_wait=0, gather=gather)
    try:
        yield Store(
            database,
            SqliteOutbox(
                database,
                dead_letters=dead_letters,
                suppress_refused=suppress_refused,
                withheld=withheld.append,
                sure=sure,
            ),
            SqliteVerbs(database, dead_letters=dead_letters),
            SqliteUpkeep(database),
            SqliteHistory(database),
            SqliteSuppressions(database),
            events,
            withheld,
        )
    finally:
        await database.close()


def failing(code: int) -> Callable[..., Any]:
    """A write that meets the SQLite error `code`, as the disk would give it."""

    def work(_: object) -> None:
        error = sqlite3.OperationalError("made for a test")
        error.sqlite_errorcode = code
        raise error

    return work
