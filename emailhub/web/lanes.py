"""A shorter way for the two requests that bring nearly all mail: what the framework does for each costs more than they.

A lane stands beside the route of the same address, behind the same gate, and answers to the letter what the route
answers. What it does not take goes the long way.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

from litestar.types import Receive

from emailhub.web.body import joined, object_in, require_json
from emailhub.web.errors import WebError, answer_of, forbidden, note
from emailhub.web.visit import Visit

Header = tuple[bytes, bytes]
_JSON: Header = (b"content-type", b"application/json")


class Given(NamedTuple):
    """A complete answer; `refused` is why what was asked for is not allowed, None where it is done or a mistake."""

    status: int
    headers: Sequence[Header]
    body: bytes
    refused: str | None = None


class Asked:
    """A request on a lane: its `headers` by lower-case name, and the `visit` it makes."""

    __slots__ = ("_receive", "headers", "visit")

    def __init__(self, headers: Mapping[str, str], receive: Receive, visit: Visit) -> None:
        self.headers = headers
        self.visit = visit
        self._receive = receive

    async def fields(self) -> dict[str, object]:
        """The JSON object that was sent. Raises as `read_object`."""
        require_json(self.headers.get("content-type", ""))
        return await object_in(await _body(self._receive))


class Lane:
    """Answers the POST requests of one address by `work`, which returns body and own headers, or raises as a route."""

    def __init__(self, work: Callable[[Asked], Awaitable[tuple[bytes, Sequence[Header]]]]) -> None:
        self._work = work

    def takes(self, headers: Mapping[str, str]) -> bool:
        """Whether the size of the body is known, and so within the limit the guard has checked."""
        return "content-length" in headers and "transfer-encoding" not in headers

    async def answer(self, path: str, asked: Asked) -> Given:
        """The answer, also for what fails. Never raises an Exception."""
        try:
            body, own = await self._work(asked)
        except Exception as error:  # noqa: BLE001 - what a stranger may know of it is decided in one place
            reply = answer_of(error)
            note(error, reply, "POST", path)
            told = [(name.encode(), value.encode("latin-1")) for name, value in reply.headers]
            return Given(reply.status, (_JSON, *told), reply.json(), forbidden(error, reply))
        return Given(200, (_JSON, *own), body)


async def _body(receive: Receive) -> bytes:
    """The whole body. Raises WebError (400) when the client went away."""
    parts = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise WebError(400, "validation_error", "The connection ended before the whole body had arrived.")
        parts.append(message["body"])
        if not message["more_body"]:
            return parts[0] if len(parts) == 1 else await joined(parts)
