"""What may be done to a message that was given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from litestar import post
from litestar.params import FromPath

from emailhub.core.records import Detail
from emailhub.engine.desk import Actor
from emailhub.web.body import read_optional_object
from emailhub.web.faces import API, GivenFaces, actor_of
from emailhub.web.reason import reason_in
from emailhub.web.shapes import Changed
from emailhub.web.visit import AnyRequest

_Verb: TypeAlias = Callable[[str, Actor, str], Awaitable[Detail]]


@post("/emails/{id:str}/cancel", status_code=200)
async def cancel(request: AnyRequest, id: FromPath[str], faces: GivenFaces) -> Changed:
    """Withdraw what is not final yet."""
    return await _apply(faces.desk.cancel, request, id)


@post("/emails/{id:str}/retry", status_code=200)
async def retry(request: AnyRequest, id: FromPath[str], faces: GivenFaces) -> Changed:
    """Send again what is deferred, held, failed or canceled."""
    return await _apply(faces.desk.retry, request, id)


@post("/emails/{id:str}/hold", status_code=200)
async def hold(request: AnyRequest, id: FromPath[str], faces: GivenFaces) -> Changed:
    """Keep what waits until it is retried or canceled."""
    return await _apply(faces.desk.hold, request, id)


async def _apply(verb: _Verb, request: AnyRequest, id: str) -> Changed:
    reason = reason_in(await read_optional_object(request), ("reason",))
    return Changed.of(await verb(id, actor_of(request, API), reason))


HANDLERS: Final = (cancel, retry, hold)
