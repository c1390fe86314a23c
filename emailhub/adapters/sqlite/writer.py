"""Group commit: whatever is handed over while a commit is under way shares the next one."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple, TypeVar

import aiosqlite
import msgspec

from emailhub import logs
from emailhub.adapters.sqlite import ending, faults, many
from emailhub.adapters.sqlite.thread import in_thread
from emailhub.core.audit import Deed, deed_of
from emailhub.core.errors import OutboxError
from emailhub.core.records import Event, Scalar

I = TypeVar("I")  # noqa: E741 - an item
T = TypeVar("T")

GROUP_WEIGHT = 4 * 1024 * 1024
"""Bytes of bodies in one commit: a larger one would keep every other write waiting for its sync."""
GROUP_WRITES = 500
GATHER_FROM = 4
"""Writes of a commit from which the next one waits for company; a lone write never waits."""

_encode = msgspec.json.Encoder().encode
log = logs.get("outbox")


class _Told(NamedTuple):
    at: float
    kind: str
    seq: int | None
    relay: str | None
    data: dict[str, Scalar]
    message: str | None


class Transaction:
    """What a write works with: the connection's `execute`, and what goes to the disk at the end of its group."""

    __slots__ = ("after", "blobopen", "deeds", "execute", "minutes", "told", "usage")

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.execute = connection.execute
        self.blobopen = connection.blobopen
        self.told: list[_Told] = []
        self.deeds: list[Deed] = []
        self.after: list[Callable[[], None]] = []
        """Called in the event loop after the commit, whether or not the caller of the write still waits."""
        self.minutes: Counter[tuple[int, str]] = Counter()
        self.usage: Counter[tuple[int, str]] = Counter()

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
        """Add an event; live readers see it after the commit. One that names an actor is in the audit log too."""
        self.told.append(_Told(at, kind, seq, relay, dict(data), message))
        if data.get("actor") and (deed := deed_of(kind, at, data, message=message, relay=relay)):
            self.deeds.append(deed)

    def record(self, deed: Deed) -> None:
        """Add an entry to the audit log that no event tells of."""
        self.deeds.append(deed)

    def count(self, at: float, column: str, number: int = 1) -> None:
        """Count `number` in `column` of the minute `at` is in."""
        self.minutes[int(at // 60) * 60, column] += number

    def use(self, at: float, relay: str, recipients: int) -> None:
        """Count `recipients` that `relay` took in the minute `at` is in."""
        self.usage[int(at // 60) * 60, relay] += recipients


Batch = Callable[[Transaction, Sequence[I]], Sequence[T | Exception]]
"""Does the same for many items, and tells what came of each or why it was not done."""


class _Write:
    __slots__ = ("done", "item", "outcome", "together", "weight", "work")

    def __init__(
        self,
        work: Callable[..., Any],
        weight: int,
        done: asyncio.Future[Any],
        *,
        item: Any = None,
        together: bool = False,
    ) -> None:
        self.work = work
        self.weight = weight
        self.done = done
        self.item = item
        self.together = together
        self.outcome: Any = None


class Writer:
    """The one writing connection. A task takes all waiting writes, runs them in its thread, commits, and answers."""

    def __init__(
        self,
        connection: aiosqlite.Connection,
        path: str,
        on_events: Callable[[Sequence[Event]], None],
        gather: float,
    ) -> None:
        self._connection = connection
        self._path = path
        self._on_events = on_events
        self._gathering = gather
        self._waiting: deque[_Write] = deque()
        self._wake = asyncio.Event()
        self._closing = False
        self._last_group = 0
        self.trouble = ""
        self.broken: asyncio.Future[OutboxError] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run(), name="outbox writer")

    async def submit(self, work: Callable[[Transaction], T], weight: int) -> T:
        """See `Database.write`."""
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._take(_Write(work, weight, done))
        return await done

    def submit_one(self, work: Batch[I, T], item: I, weight: int) -> asyncio.Future[T]:
        """See `Database.write_one`."""
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._take(_Write(work, weight, done, item=item, together=True))
        return done

    def _take(self, write: _Write) -> None:
        if self._closing:
            raise OutboxError("the outbox is closed")
        if self.broken.done():
            raise self.broken.result()
        self._waiting.append(write)
        self._wake.set()

    async def empty_log(self) -> bool:
        """See `Database.empty_log`; between two commits."""
        return await in_thread(self._connection, ending.empty_log)

    async def finish(self) -> None:
        """Commit what was handed over; nothing is taken any more."""
        self._closing = True
        self._wake.set()
        await self._task

    async def close(self) -> None:
        """Close the connection, after `finish`."""
        await self._connection.close()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                await self._gather()
                await self._commit(self._group())
            if self._closing:
                return

    async def _gather(self) -> None:
        """Under load, wait for as many writes as came last time: a group costs little more than a single one."""
        busy = GATHER_FROM <= self._last_group > len(self._waiting) and not self._closing
        # Also a commit that waits for nobody takes with it what this turn of the event loop still hands over.
        await asyncio.sleep(self._gathering if busy else 0)
        self._last_group = len(self._waiting)

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
            if self.broken.done():
                raise self.broken.result()
            events, after = await in_thread(self._connection, _run_group, group, bool(self.trouble))
        except Exception as error:  # noqa: BLE001 - whatever it was: nobody may wait for ever, and nothing is stored
            self._give_up(group, error)
            return
        self.trouble = ""
        # Told before the callers resume: whoever reads after its own write must not be told about it later.
        self._tell(events)
        for call in after:
            _call(call)
        for write in group:
            if not write.done.done():
                _answer(write)

    def _tell(self, events: Sequence[Event]) -> None:
        if events:
            _call(partial(self._on_events, events))

    def _give_up(self, group: list[_Write], error: Exception) -> None:
        ours = _as_ours(error, self._path)
        self.trouble = str(ours)
        for write in group:
            if not write.done.done():
                write.done.set_exception(ours)
        if not self.broken.done() and (faults.fatal(error) or not isinstance(error, sqlite3.Error)):
            self.broken.set_result(ours)


def _call(listener: Callable[[], None]) -> None:
    try:
        listener()
    except Exception as error:  # noqa: BLE001 - what is stored is stored, whatever a listener does
        log.error("listener failed", exc=error)


def _as_ours(error: Exception, path: str) -> OutboxError:
    if isinstance(error, OutboxError):
        return error
    if isinstance(error, sqlite3.Error):
        return faults.translate(error, path)
    return OutboxError(f"{path}: {type(error).__name__}: {error}")


def _answer(write: _Write) -> None:
    if isinstance(write.outcome, BaseException):
        write.done.set_exception(write.outcome)
    else:
        write.done.set_result(write.outcome)


class _OneFailed(Exception):
    """A write of the group raised: the group is run again, each write on its own."""


_Done = tuple[list[Event], list[Callable[[], None]]]
"""The events of a commit, and what is to be called after it."""


def _run_group(connection: sqlite3.Connection, group: list[_Write], prove: bool) -> _Done:
    """Run and commit the group. `prove`: write something even when the group does not."""
    with suppress(_OneFailed):
        return _in_transaction(connection, _together(group), _run_plainly, prove)
    # Savepoints keep a copy of every page that changes inside them, which costs more than the writes themselves: they
    # are made only for the rare group in which something is refused.
    return _in_transaction(connection, [[write] for write in group], _run_apart, prove)


def _together(group: list[_Write]) -> list[list[_Write]]:
    """The writes in order, those of the same batch as one. None can need another: their callers wait for the commit."""
    units: dict[Any, list[_Write]] = {}
    for write in group:
        units.setdefault(write.work if write.together else id(write), []).append(write)
    return list(units.values())


def _in_transaction(
    connection: sqlite3.Connection,
    units: list[list[_Write]],
    run: Callable[[sqlite3.Connection, list[_Write]], Transaction | None],
    prove: bool,
) -> _Done:
    connection.execute("BEGIN IMMEDIATE")
    try:
        done = [tx for unit in units if (tx := run(connection, unit)) is not None]
        events = _store_told(connection, done)
        if prove:
            # A commit that changes nothing succeeds on a full disk too, and would tell that all is well.
            connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('proven', '')")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return events, [call for tx in done for call in tx.after]


def _run(connection: sqlite3.Connection, unit: list[_Write]) -> Transaction:
    tx, first = Transaction(connection), unit[0]
    if first.together:
        for write, outcome in zip(unit, first.work(tx, [write.item for write in unit]), strict=True):
            write.outcome = outcome
    else:
        first.outcome = first.work(tx)
    return tx


def _run_plainly(connection: sqlite3.Connection, unit: list[_Write]) -> Transaction:
    try:
        return _run(connection, unit)
    except Exception as error:
        if faults.hurts_everyone(error):
            raise
        raise _OneFailed from error


def _run_apart(connection: sqlite3.Connection, unit: list[_Write]) -> Transaction | None:
    connection.execute("SAVEPOINT one")
    tx: Transaction | None = None
    try:
        tx = _run(connection, unit)
    except Exception as error:
        if faults.hurts_everyone(error):
            raise
        connection.execute("ROLLBACK TO one")
        unit[0].outcome = error
    connection.execute("RELEASE one")
    return tx


def _store_told(connection: sqlite3.Connection, done: Sequence[Transaction]) -> list[Event]:
    """Store the events, the audit log's entries and the minutes' counts of the whole group at once."""
    ending.store_minutes(connection, sum((one.minutes for one in done), Counter()))
    ending.store_usage(connection, sum((one.usage for one in done), Counter()))
    ending.store_deeds(connection, [deed for one in done for deed in one.deeds])
    told = [told for one in done for told in one.told]
    if not told:
        return []
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'event'").fetchone()
    first = (row[0] if row else 0) + 1
    many.insert(
        connection,
        "INSERT INTO event (id, at, kind, seq, relay, data)",
        [(id, one.at, one.kind, one.seq, one.relay, _encode(one.data).decode()) for id, one in enumerate(told, first)],
        # The message may have been erased by a later write of the group: its event then belongs to none.
        row="column1, column2, column3, (SELECT seq FROM message WHERE seq = column4), column5, column6",
    )
    return [Event(id, one.at, one.kind, one.message, one.relay, one.data) for id, one in enumerate(told, first)]
