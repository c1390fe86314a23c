"""The HTTP server: uvicorn inside our own event loop, with limits on how slow and how many clients may be.

Signals, sockets and the order of stopping are ours: uvicorn would install handlers of its own, exit the process on a
port in use, and wait for live streams, which is why those are ended before `stop`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator
from functools import partial
from typing import Any, cast

import uvicorn
from litestar import Litestar
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from emailhub.web.crowd import Crowd
from emailhub.web.errors import answer
from emailhub.web.guard import HEADERS, WHOLE
from emailhub.web.listening import BACKLOG

CONNECTIONS = 1000
_NEVER = float("inf")
HEADER_BYTES = 64 * 1024
"""Most bytes of request line and headers together; the parser itself knows no limit."""


class Server:
    """Serves `app`. Times in seconds.

    A connection is closed that has not sent its whole header `header_timeout` after it was opened or began to, or its
    whole body `body_timeout` after that, or that takes nothing of an answer for `write_timeout`; an idle one is kept
    `keep_alive`. Above `connections` a waiting one gives way (see `crowd`), or the new one gets a 503. `stop` waits
    `grace` for running requests.
    """

    def __init__(
        self,
        app: Litestar,
        *,
        header_timeout: float = 10.0,
        body_timeout: float = 60.0,
        write_timeout: float = 30.0,
        keep_alive: float = 75.0,
        connections: int = CONNECTIONS,
        grace: float = 5.0,
    ) -> None:
        config = _Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="on",
            server_header=False,
            proxy_headers=False,
            ws="none",
            http=_Protocol,
            backlog=BACKLOG,
            timeout_keep_alive=cast("int", keep_alive),
            timeout_graceful_shutdown=cast("int", grace),
        )
        config.header_timeout = header_timeout
        config.body_timeout = body_timeout
        config.write_timeout = write_timeout
        config.crowd = Crowd(connections, time.monotonic)
        self._uvicorn = _Uvicorn(config)
        self._task: asyncio.Task[None] | None = None

    async def start(self, listener: socket.socket) -> None:
        """Answer requests on `listener` from now on. Raises RuntimeError when the application cannot be started."""
        ready = asyncio.create_task(self._uvicorn.ready.wait(), name="server ready")
        self._task = asyncio.create_task(self._uvicorn.serve(sockets=[listener]), name="uvicorn")
        await asyncio.wait({ready, self._task}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        self._uvicorn.raise_failure()
        if self._task.done():
            self._task.result()

    async def serve(self) -> None:
        """Return when the server has stopped; raise what it died of."""
        if self._task is not None:
            await asyncio.shield(self._task)

    async def stop(self) -> None:
        """Take no new connection, let running requests finish, close. End live streams before."""
        self._uvicorn.should_exit = True
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)


class _Config(uvicorn.Config):
    header_timeout: float
    body_timeout: float
    write_timeout: float
    crowd: Crowd


class _Uvicorn(uvicorn.Server):
    """Uvicorn without its own signal handling, telling when it is ready and why it is not."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()
        self._failure: RuntimeError | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals belong to the process, not to the server."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start answering. Where uvicorn would leave by SystemExit, the failure is kept for `raise_failure`."""
        try:
            await super().startup(sockets=sockets)
        except SystemExit:
            self._failure = RuntimeError("the web application could not be started; the log says why")
            self.should_exit = True
        self.ready.set()

    def raise_failure(self) -> None:
        """Raise what kept the server from starting, if anything did."""
        if self._failure:
            raise self._failure


class _Protocol(HttpToolsProtocol):
    """One connection, with deadlines for what it sends and takes, and bounds."""

    config: _Config

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = _NEVER
        self._stalled: asyncio.TimerHandle | None = None
        self._header_bytes = 0
        self._in_body = False
        self.peer = ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.peer = self.client[0] if self.client else ""
        crowd = self.config.crowd
        if len(self.connections) > crowd.most:
            leaving = crowd.gives_way(cast("set[_Protocol]", self.connections))
            if leaving is None:
                self._too_many()
                return
            leaving.give_way()
        self._arm(self.config.header_timeout)

    @property
    def waiting_since(self) -> float | None:
        """When this one began to wait for a whole request; None while it answers one, or is closed already."""
        if self.transport.is_closing():
            return None
        if self._deadline != _NEVER:
            return self._deadline - (self.config.body_timeout if self._in_body else self.config.header_timeout)
        idle = self.timeout_keep_alive_task
        return None if idle is None else idle.when() - self.timeout_keep_alive

    def give_way(self) -> None:
        """Close, so that another can come; said to whoever has begun to send something."""
        if self._deadline == _NEVER:
            # Between two requests a connection may end at any time (RFC 9112 section 9.3); an answer would be taken
            # for the one to the next request.
            self.transport.close()
        elif self._in_body and self.cycle.response_started:
            self.transport.abort()
        else:
            self._too_many()

    def _too_many(self) -> None:
        self._refuse(503, "service_unavailable", "Too many connections are open. Try again in a moment.", 5)

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        if self._timer is not None:
            self._timer.cancel()
        self.resume_writing()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._stalled is None:
            # Closing would wait until the client has taken what is written, which is what it does not do.
            self._stalled = self.loop.call_later(self.config.write_timeout, self.transport.abort)

    def resume_writing(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._deadline == _NEVER and self.timeout_keep_alive_task is None and self._is_idle():
            # Line ends between two requests, and the rest of a body that was answered early, begin no request, and
            # have just stopped the timer of an idle connection: it would stay open for good.
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _is_idle(self) -> bool:
        return not self.transport.is_closing() and self.cycle.response_complete

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._header_bytes = 0
        self._in_body = False
        if self._deadline == _NEVER:
            self._arm(self.config.header_timeout)

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._count(len(name) + len(value))

    def on_headers_complete(self) -> None:
        self._disarm()
        if self.transport.is_closing():
            return
        super().on_headers_complete()
        self.cycle.scope["extensions"] = {WHOLE: partial(_write_whole, self.cycle)}  # type: ignore[dict-item]
        self._in_body = True
        self._arm(self.config.body_timeout)

    def on_body(self, body: bytes) -> None:
        if not self.transport.is_closing():
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._disarm()
        if not self.transport.is_closing():
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's text says less than ours
        if not self.transport.is_closing():
            self._refuse(400, "validation_error", "This is not an HTTP/1.1 request.")

    def _count(self, length: int) -> None:
        self._header_bytes += length
        if self._header_bytes > HEADER_BYTES and not self.transport.is_closing():
            self._refuse(431, "headers_too_large", f"Request line and headers have more than {HEADER_BYTES} bytes.")

    def _arm(self, seconds: float) -> None:
        self._deadline = self.loop.time() + seconds
        if self._timer is None:
            self._timer = self.loop.call_at(self._deadline, self._look)
        elif self._timer.when() > self._deadline:
            self._timer.cancel()
            self._timer = self.loop.call_at(self._deadline, self._look)

    def _disarm(self) -> None:
        # The timer goes on: cancelling and making two of them for every request costs more than one that finds nothing.
        self._deadline = _NEVER

    def _look(self) -> None:
        self._timer = None
        if self._deadline == _NEVER:
            return
        if self.loop.time() < self._deadline:
            self._timer = self.loop.call_at(self._deadline, self._look)
        else:
            self._late()

    def _late(self) -> None:
        self._deadline = _NEVER
        if self._in_body and self.cycle.response_started:
            self.transport.abort()
            return
        self._refuse(408, "request_timeout", "The request did not arrive in time.")

    def _refuse(self, status: int, name: str, text: str, retry_after: float | None = None) -> None:
        """Answer without the application, and close."""
        reply = answer(status, name, text, retry_after=retry_after)
        body = reply.json()
        lines = [*HEADERS.items(), (b"content-type", b"application/json"), (b"connection", b"close")]
        lines += [(key.encode(), value.encode()) for key, value in reply.headers]
        lines.append((b"content-length", str(len(body)).encode()))
        head = b"".join(b"%b: %b\r\n" % line for line in lines)
        self.transport.write(STATUS_LINE[status] + head + b"\r\n" + body)
        self.transport.close()


def _write_whole(cycle: RequestResponseCycle, status: int, head: bytes, body: bytes) -> bool:
    """Write a complete answer at once; False when it cannot be done here and `cycle.send` must do it.

    `head` is made of our own headers and ends every line with CRLF. `cycle.send` looks at each header for line breaks,
    which costs a quarter of the time a small request takes, and writes twice.
    """
    if cycle.response_started or cycle.disconnected or cycle.flow.write_paused or cycle.scope["method"] == "HEAD":
        return False
    lines = [STATUS_LINE[status], head, *(b"%b: %b\r\n" % header for header in cycle.default_headers)]
    if not cycle.keep_alive:
        lines.append(b"connection: close\r\n")
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    cycle.transport.write(b"".join((*lines, b"\r\n", body)))
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()
    return True
