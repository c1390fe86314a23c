"""What may be done to a message that was given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

from litestar import patch, post
from litestar.params import FromPath

from emailhub.core.address import parse_list
from emailhub.core.errors import InvalidMessage, Problem
from emailhub.core.fields import OVER, BadValueError, is_over, schedule
from emailhub.core.message import Mailbox
from emailhub.core.records import Detail
from emailhub.engine.again import resend
from emailhub.engine.desk import Actor
from emailhub.web.body import read_object, read_optional_object
from emailhub.web.errors import MissingFields
from emailhub.web.faces import API, GivenFaces, actor_of
from emailhub.web.reason import reason_in
from emailhub.web.shapes import Accepted, Changed
from emailhub.web.visit import AnyRequest, visit

_Verb: TypeAlias = Callable[[str, Actor, str], Awaitable[Detail]]
_RESCHEDULE = ("scheduled_at", "reason", "id")
"""The id is sent along by clients that know it from the address already."""


@post("/emails/{id:str}/cancel", status_code=200)
async def cancel(request: AnyRequest, id: FromPath[str], faces: GivenFaces) -> Changed:
    """Withdraw what is not final yet."""
    return await _apply(faces.desk.cancel, request, id)


@post("/emails/{id:str}/retry", status_code=200)
async def retry(request: AnyRequest, id: FromPath[str], faces: GivenFaces) -> Changed:
    """Send again what is deferred, held, failed, canceled or suppressed."""
    return await _apply(faces.desk.retry, request, id)


@post("/emails/{id:str}/hold", status_code=200)
async def hold(request: AnyRequest, id: FromPath[str], faces: GivenFaces) -> Changed:
    """Keep what waits until it is retried or canceled."""
    return await _apply(faces.desk.hold, request, id)


@patch("/emails/{id:str}")
async def reschedule(request: AnyRequest, id: FromPath[str], faces: GivenFaces) -> Changed:
    """Send a scheduled message at another time."""
    fields = await read_object(request)
    at, reason = _new_time(fields, id, faces.now())
    return Changed.of(await faces.desk.reschedule(id, at, actor_of(request, API), reason))


@post("/emails/{id:str}/resend", status_code=200)
async def send_again(request: AnyRequest, id: FromPath[str], faces: GivenFaces) -> Accepted:
    """Send it again, as a message of its own."""
    fields = await read_optional_object(request)
    reason = reason_in(fields, ("to", "reason"))
    boxes = _addressed(fields.get("to"))
    origin = visit(request).origin(API)
    receipt = await resend(faces.history, faces.intake, id, actor_of(request, API), origin, to=boxes, note=reason)
    return Accepted(receipt.id)


def _addressed(to: object) -> Sequence[Mailbox]:
    """Whom it is sent to; nobody is named: everybody it was for. Raises InvalidMessage."""
    if to is None:
        return ()
    if not (to and isinstance(to, str | list)):
        raise InvalidMessage((Problem("to", "must be an address or a list of addresses"),))
    return parse_list(to, "to")


def _new_time(fields: dict[str, object], id: str, now: float) -> tuple[float, str]:
    """When, and why. Raises InvalidMessage."""
    reason = reason_in(fields, _RESCHEDULE)
    if fields.get("scheduled_at") is None:
        raise MissingFields((Problem("scheduled_at", "is required: when to send the message"),))
    if fields.get("id") not in (None, id):
        raise InvalidMessage((Problem("id", "is not the id in the address; leave it out"),))
    try:
        at, words = schedule(fields["scheduled_at"], now)
    except BadValueError as error:
        raise InvalidMessage((Problem("scheduled_at", str(error)),)) from None
    if is_over(at, words, now):
        raise InvalidMessage((Problem("scheduled_at", OVER),))
    return at, reason


async def _apply(verb: _Verb, request: AnyRequest, id: str) -> Changed:
    reason = reason_in(await read_optional_object(request), ("reason",))
    return Changed.of(await verb(id, actor_of(request, API), reason))


HANDLERS: Final = (cancel, retry, hold, send_again, reschedule)
