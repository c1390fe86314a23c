"""Group commit: whatever is handed over while a commit is under way shares the next one."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import aiosqlite
import msgspec

from emailhub.adapters.sqlite import faults
from emailhub.adapters.sqlite.thread import in_thread
from emailhub.core.errors import OutboxError
from emailhub.core.records import Event, Scalar

T = TypeVar("T")

GROUP_WEIGHT = 4 * 1024 * 1024
"""Bytes of bodies in one commit: a larger one would keep every other write waiting for its sync."""
GROUP_WRITES = 500

_encode = msgspec.json.Encoder().encode


class Transaction:
    """What a write works with: the connection's `execute`, and the events it tells about."""

    __slots__ = ("_connection", "events", "execute")

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.execute = connection.execute
        self.events: list[Event] = []

    def tell(
        self,
        kind: str,
        at: float,
        data: Mapping[str, Scalar],
        *,
        seq: int | None = None,
        message: str | None = None,
        relay: str | None = None,
    ) -> None:
        """Add an event row; live readers see it after the commit."""
        row = self.execute(
            "INSERT INTO event (at, kind, seq, relay, data) VALUES (?, ?, ?, ?, ?)",
            (at, kind, seq, relay, _encode(data).decode()),
        )
        self.events.append(Event(row.lastrowid or 0, at, kind, message, relay, dict(data)))


class _Write:
    __slots__ = ("done", "events", "outcome", "weight", "work")

    def __init__(self, work: Callable[[Transaction], Any], weight: int, done: asyncio.Future[Any]) -> None:
        self.work = work
        self.weight = weight
        self.done = done
        self.outcome: Any = None
        self.events: Sequence[Event] = ()


class Writer:
    """The one writing connection. A task takes all waiting writes, runs them in its thread, commits, and answers."""

    def __init__(
        self,
        connection: aiosqlite.Connection,
        path: str,
        on_events: Callable[[Sequence[Event]], None],
    ) -> None:
        self._connection = connection
        self._path = path
        self._on_events = on_events
        self._waiting: deque[_Write] = deque()
        self._wake = asyncio.Event()
        self._closing = False
        self.trouble = ""
        self.broken: asyncio.Future[OutboxError] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run(), name="outbox writer")

    async def submit(self, work: Callable[[Transaction], T], weight: int) -> T:
        """See `Database.write`."""
        if self._closing:
            raise OutboxError("the outbox is closed")
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Write(work, weight, done))
        self._wake.set()
        return await done

    async def close(self) -> None:
        self._closing = True
        self._wake.set()
        await self._task
        await self._connection.close()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                await self._commit(self._group())
            if self._closing:
                return

    def _group(self) -> list[_Write]:
        group: list[_Write] = []
        weight = 0
        while self._waiting and len(group) < GROUP_WRITES:
            if group and weight + self._waiting[0].weight > GROUP_WEIGHT:
                break
            weight += self._waiting[0].weight
            group.append(self._waiting.popleft())
        return group

    async def _commit(self, group: list[_Write]) -> None:
        try:
            await in_thread(self._connection, _run_group, group)
        except sqlite3.Error as error:
            self._give_up(group, error)
            return
        self.trouble = ""
        # Told before the callers resume: whoever reads after its own write must not be told about it later.
        events = [event for write in group for event in write.events]
        if events:
            self._on_events(events)
        for write in group:
            if not write.done.done():
                _answer(write)

    def _give_up(self, group: list[_Write], error: sqlite3.Error) -> None:
        ours = faults.translate(error, self._path)
        self.trouble = str(ours)
        for write in group:
            if not write.done.done():
                write.done.set_exception(ours)
        if faults.fatal(error) and not self.broken.done():
            self.broken.set_result(ours)


def _answer(write: _Write) -> None:
    if isinstance(write.outcome, BaseException):
        write.done.set_exception(write.outcome)
    else:
        write.done.set_result(write.outcome)


def _run_group(connection: sqlite3.Connection, group: list[_Write]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for write in group:
            _run_one(connection, write)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _run_one(connection: sqlite3.Connection, write: _Write) -> None:
    connection.execute("SAVEPOINT one")
    transaction = Transaction(connection)
    try:
        write.outcome = write.work(transaction)
        write.events = transaction.events
    except Exception as error:
        if faults.hurts_everyone(error):
            raise
        connection.execute("ROLLBACK TO one")
        write.outcome = error
    connection.execute("RELEASE one")
