"""What happens, told to every open page at once: Server-Sent Events with replay (WHATWG HTML §9.2).

Ids are those of the event rows, so a client that was away asks for what it missed with the id it saw last. Memory is
bounded: a ring of recent events, and a queue per client; a client that does not read is sent away, not waited for.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Protocol, TypeAlias

import msgspec

from emailhub.core.errors import Refused
from emailhub.core.records import Event

_encoder = msgspec.json.Encoder()
_Frame: TypeAlias = tuple[int, bytes]
"""The id of the event (0: none) and the bytes for the wire."""


class Past(Protocol):
    """Where events are read that are no longer in memory."""

    async def events_since(self, event_id: int, limit: int) -> tuple[Event, ...]: ...
    async def last_event_id(self) -> int: ...


class Live:
    """The hub. Used from the event loop only.

    `ring` recent events are kept for replay, `backlog` chunks may wait for one client, `clients` may listen at a time,
    and up to `replay` events are read back from `past` for one client; who missed more starts over.
    """

    def __init__(
        self, past: Past, *, clients: int = 50, ring: int = 1000, backlog: int = 256, replay: int = 2000
    ) -> None:
        self._past = past
        self._most = clients
        self._backlog = backlog
        self._replay = replay
        self._ring: deque[Event] = deque(maxlen=ring)
        self._listening: set[Subscription] = set()
        self._status: bytes | None = None
        self._closed = False
        self._changed = asyncio.Event()
        self.dropped = 0

    @property
    def clients(self) -> int:
        """How many listen now."""
        return len(self._listening)

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def publish(self, events: Sequence[Event]) -> None:
        """Tell everybody, in the order of the ids; called after the commit that made them true. Never blocks."""
        self._ring.extend(events)
        if not self._listening:
            return
        if events:
            frames = [(event.id, _frame(event)) for event in events]
            for subscription in tuple(self._listening):
                subscription._put(frames)
        self._changed.set()

    def publish_status(self, status: object) -> None:
        """Tell everybody how things stand, when that differs from what was told last; newcomers get it first."""
        frame = b"event: status\ndata: %b\n\n" % _encoder.encode(status)
        if frame == self._status:
            return
        self._status = frame
        for subscription in tuple(self._listening):
            subscription._put([(0, frame)])

    async def change(self, timeout: float) -> None:
        """Wait until somebody was told something, or came; at most `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._changed.wait()
        except TimeoutError:
            pass
        self._changed.clear()

    def subscribe(self, last_event_id: int | None = None) -> Subscription:
        """Listen from now on, or from after `last_event_id`; close it when done. Raises Refused (503) when full."""
        if self._closed:
            raise Refused("service_unavailable", "emailhub is stopping.", retry_after=5)
        if len(self._listening) >= self._most:
            text = f"{self._most} live pages are open already; close some, or raise EMAILHUB_SSE_CLIENTS."
            raise Refused("too_many_streams", text, retry_after=30)
        subscription = Subscription(self, last_event_id)
        self._listening.add(subscription)
        self._changed.set()
        return subscription

    def close(self) -> None:
        """End every stream at once and take no new one. The server must not stop before: it would wait for them."""
        self._closed = True
        for subscription in tuple(self._listening):
            subscription.end()
        self._changed.set()

    def _recent(self, last_event_id: int) -> list[Event] | None:
        """The events after `last_event_id` when memory still has them all, else None."""
        if not self._ring or not self._ring[0].id - 1 <= last_event_id <= self._ring[-1].id:
            return None
        return [event for event in self._ring if event.id > last_event_id]


class Subscription:
    """One client's stream: `read` until it returns None, then `close`."""

    def __init__(self, live: Live, last_event_id: int | None) -> None:
        self._live = live
        self._seen = last_event_id
        self._behind = last_event_id is not None
        self._waiting: deque[_Frame] = deque()
        self._ready = asyncio.Event()
        self._ended = False
        if live._status:
            self._put([(0, live._status)])

    async def read(self, timeout: float | None = None) -> bytes | None:
        """The next bytes for the client, b"" when nothing happened for `timeout` seconds, None at the end."""
        if self._behind:
            self._behind = False
            return await self._catch_up()
        if not self._waiting and not self._ended:
            try:
                async with asyncio.timeout(timeout):
                    await self._ready.wait()
            except TimeoutError:
                return b""
        return self._take() if self._waiting else None if self._ended else b""

    def end(self) -> None:
        """Let `read` return what waits and then None."""
        self._ended = True
        self._ready.set()

    def close(self) -> None:
        """Stop listening."""
        self.end()
        self._waiting.clear()
        self._live._listening.discard(self)

    async def _catch_up(self) -> bytes:
        seen = self._seen or 0
        missed = self._live._recent(seen)
        if missed is None:
            missed = await self._from_past(seen)
        if missed is None:
            self._seen = await self._live._past.last_event_id()
            return _reset(self._seen)
        if missed:
            self._seen = missed[-1].id
        return b"".join(map(_frame, missed))

    async def _from_past(self, seen: int) -> list[Event] | None:
        """The events after `seen`; None when they are too many, or `seen` is of another database."""
        past, most = self._live._past, self._live._replay
        if seen < 0 or seen > await past.last_event_id():
            return None
        missed = list(await past.events_since(seen, most + 1))
        return missed if len(missed) <= most else None

    def _put(self, frames: Sequence[_Frame]) -> None:
        if self._ended:
            return
        self._waiting.extend(frames)
        if len(self._waiting) > self._live._backlog:
            # The client does not read. It reconnects with the id it saw last, or its page loads anew.
            self._live.dropped += 1
            self._waiting.clear()
            self._waiting.append((0, _reset(None)))
            self.end()
        self._ready.set()

    def _take(self) -> bytes:
        """Everything that waits, without what a replay has shown already."""
        seen = self._seen or 0
        chunk = b"".join(frame for id, frame in self._waiting if not id or id > seen)
        self._seen = max(seen, *(id for id, _ in self._waiting))
        self._waiting.clear()
        if not self._ended:
            self._ready.clear()
        return chunk


def _frame(event: Event) -> bytes:
    return b"id: %d\ndata: %b\n\n" % (event.id, _encoder.encode(event))


def _reset(id: int | None) -> bytes:
    """Tells the client to load its page anew; with an id, that it continues from there."""
    mark = b"" if id is None else b"id: %d\n" % id
    return b"event: reset\n%bdata: {}\n\n" % mark
