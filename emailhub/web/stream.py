"""`/events`: everything that happens, as Server-Sent Events, and how things stand whenever that changes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, cast

from litestar import Litestar, Router, get
from litestar.response.base import ASGIResponse, Response
from litestar.types import Receive, Scope, Send
from msgspec import Struct

from emailhub import logs
from emailhub.core.delivery import State
from emailhub.core.errors import EmailhubError, Problem
from emailhub.core.status import Flow, RelayStatus
from emailhub.engine.gate import Caller
from emailhub.engine.live import Subscription
from emailhub.web.errors import BadParameters
from emailhub.web.faces import Faces, GivenFaces
from emailhub.web.gathering import Gatherer
from emailhub.web.shapes import BreakerShape
from emailhub.web.visit import AnyRequest, visit

log = logs.get("live")

_PACE = 1.0
"""Seconds between two looks at how things stand."""
_GREETING = b"retry: 2000\n: emailhub\n\n"
_HEARTBEAT = b"event: beat\ndata: {}\n\n"
"""An event, not a comment: of a connection that died while a computer slept, the silence is all a page can notice."""
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    # nginx would collect the stream in a buffer.
    (b"x-accel-buffering", b"no"),
]


class RabbitNow(Struct, frozen=True):
    """The link to RabbitMQ in the `status` event."""

    link: str
    detail: str
    ready: int | None


class RelayNow(Struct, frozen=True):
    """A relay in the `status` event. `left` is what each of its limits still allows; `suspended` counts senders."""

    breaker: BreakerShape
    in_flight: int
    left: tuple[int, ...] = ()
    suspended: int = 0
    covered_by: tuple[str, ...] = ()
    draining: bool = False

    @classmethod
    def of(cls, relay: RelayStatus) -> RelayNow:
        left = tuple(max(limit.limit - limit.used, 0) for limit in relay.limits)
        breaker, suspended = BreakerShape.of(relay), len(relay.suspended)
        return cls(breaker, relay.in_flight, left, suspended, relay.covered_by, relay.draining)


class Now(Struct, frozen=True):
    """The data of the `status` event: how things stand. `hour` counts what happened in the last hour."""

    flow: Flow
    totals: dict[State, int]
    waiting: int
    oldest_waiting: float | None
    hour: dict[str, int]
    relays: tuple[RelayNow, ...]
    rabbit: RabbitNow
    capturing: bool
    stopping: bool


@get("/events")
async def events(request: AnyRequest, faces: GivenFaces) -> Response[None]:
    """The stream. It goes on after the id in `Last-Event-ID`, or after the one in the parameter `after`."""
    subscription = faces.live.subscribe(_last_event_id(request))
    return _Stream(faces, visit(request).caller, subscription, gather="gather" in request.query_params)


def router() -> Router:
    """The routes of this module."""
    return Router("/", route_handlers=[events])


@contextlib.asynccontextmanager
async def status_feed(app: Litestar) -> AsyncIterator[None]:
    """While the application runs, tell open pages how things stand, at most once a second and only what changed."""
    task = asyncio.create_task(_feed(cast("Faces", app.state.faces)), name="status feed")
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def stand(faces: Faces) -> Now:
    """How things stand right now."""
    board, now = faces.board, faces.now()
    totals = await faces.history.totals()
    minutes = await faces.history.minutes(now - 3600, now, 60)
    rabbit = board.rabbit()
    return Now(
        flow=await board.flow(),
        totals=totals.by_state,
        waiting=totals.waiting,
        oldest_waiting=totals.oldest_waiting,
        hour={name: sum(getattr(minute, name) for minute in minutes) for name in _COUNTS},
        relays=tuple(RelayNow.of(relay) for relay in board.relays()),
        rabbit=RabbitNow(rabbit.link, rabbit.detail, rabbit.ready),
        capturing=board.capturing,
        stopping=board.stopping,
    )


_COUNTS = ("accepted", "sent", "deferred", "failed")


async def _feed(faces: Faces) -> None:
    live = faces.live
    while not live.closed:
        await live.change(_PACE)
        if not live.clients:
            continue
        try:
            live.publish_status(await stand(faces))
        except EmailhubError as error:
            # The outbox is in trouble; pages say so by themselves, and the feed must be there when it is over.
            log.warning("status not read", error=str(error))
        await asyncio.sleep(_PACE)


class _Stream(Response[None]):
    """A response that lasts until the client goes, the hub stops, or the log-in it was given to ends."""

    def __init__(self, faces: Faces, caller: Caller, subscription: Subscription, *, gather: bool) -> None:
        super().__init__(None)
        self._faces = faces
        self._caller = caller
        self._subscription = subscription
        self._read = Gatherer(subscription.read).read if gather else subscription.read

    def to_asgi_response(self, *_args: Any, **_kwargs: Any) -> ASGIResponse:
        return cast("ASGIResponse", self)

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        gone = asyncio.create_task(_disconnect(receive), name="stream disconnect")
        gone.add_done_callback(lambda _: self._subscription.close())
        try:
            await self._run(send)
        finally:
            gone.cancel()
            self._subscription.close()

    async def _run(self, send: Send) -> None:
        gate = self._faces.gate
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        chunk: bytes | None = _GREETING
        while chunk is not None and gate.still_in(self._caller, self._faces.now()):
            await send({"type": "http.response.body", "body": chunk or _HEARTBEAT, "more_body": True})
            chunk = await self._read(self._faces.options.heartbeat)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _last_event_id(request: AnyRequest) -> int | None:
    """The id to go on after. A reconnecting browser sends the header; its address still has the old `after`."""
    header, parameter = request.headers.get("last-event-id"), request.query_params.get("after")
    value = header or parameter
    if not value:
        return None
    if value.isascii() and value.isdecimal() and len(value) <= 18:
        return int(value)
    raise BadParameters(Problem("Last-Event-ID" if header else "after", "must be the id of an event"))
