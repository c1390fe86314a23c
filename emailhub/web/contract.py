"""The three endpoints of the service emailhub takes the place of, to the letter; with or without a slash at the end."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from litestar import Router, get, post

from emailhub.core import parse
from emailhub.core.delivery import seed_status
from emailhub.core.errors import InvalidMessage, NotFound, Problem
from emailhub.core.fields import BadValueError, shown
from emailhub.core.fields import request_id as read_request_id
from emailhub.core.message import Submission
from emailhub.web.body import read_object
from emailhub.web.errors import MissingFields
from emailhub.web.faces import Faces, GivenFaces
from emailhub.web.lanes import Asked, Header, Lane
from emailhub.web.shapes import Health, Queued, RequestStatus
from emailhub.web.visit import AnyRequest, Visit, visit

FACE = "contract"
REQUIRED = ("to", "subject", "body", "request_id")
OPTIONAL = ("html", "from", "cc", "bcc", "reply_to")


@get("/health")
async def health() -> Health:
    """Says that the service answers."""
    return Health()


@post("/send_email", status_code=200)
async def send_email(request: AnyRequest, faces: GivenFaces) -> Queued:
    """Take a message. Its `request_id` is the idempotency key: again with the same content, it sends nothing more."""
    await _take(await read_object(request), faces, visit(request))
    return Queued()


@post("/status", status_code=200)
async def status(request: AnyRequest, faces: GivenFaces) -> RequestStatus:
    """Where the newest message with this request id stands: pending, delivered or failed."""
    request_id = _request_id(await read_object(request))
    states = await faces.history.states_of_request(request_id)
    if states is None:
        raise NotFound("message with the request_id", request_id)
    return RequestStatus(request_id, seed_status(states))


def router() -> Router:
    """The routes of this module."""
    return Router("/", route_handlers=[health, send_email, status])


def lanes(faces: Faces) -> dict[str, Lane]:
    """The short way of `send_email`."""
    queued = msgspec.json.encode(Queued())

    async def send(asked: Asked) -> tuple[bytes, Sequence[Header]]:
        await _take(await asked.fields(), faces, asked.visit)
        return queued, ()

    return {"/send_email": Lane(send)}


async def _take(fields: dict[str, object], faces: Faces, seen: Visit) -> None:
    await faces.intake.accept(_submission(fields, faces), seen.origin(FACE))


def _submission(fields: dict[str, object], faces: Faces) -> Submission:
    allowed = (*REQUIRED, *OPTIONAL)
    problems = [
        Problem(name, "is required") for name in REQUIRED if fields.get(name) is None and not _replaced(name, fields)
    ]
    missing = bool(problems)
    hint = f"is not a field of this request; the fields are {', '.join(allowed)}"
    problems += [Problem(shown(name), hint) for name in fields if name not in allowed]
    try:
        submission = parse.submission(
            {name: value for name, value in fields.items() if name in allowed}, faces.intake.limits, now=faces.now()
        )
    except InvalidMessage as error:
        told = {problem.field for problem in problems}
        others = [found for found in map(_in_our_words, error.problems) if found.field not in told]
        kind = MissingFields if missing and not others else InvalidMessage
        raise kind(tuple(problems + others)) from None
    if problems:
        raise (MissingFields if missing else InvalidMessage)(tuple(problems))
    return submission


def _in_our_words(problem: Problem) -> Problem:
    """Here the field `text` is called `body`."""
    return Problem("body", "is empty; the message would be empty") if problem.field == "text" else problem


def _replaced(name: str, fields: dict[str, object]) -> bool:
    return name == "body" and fields.get("html") is not None


def _request_id(fields: dict[str, object]) -> str:
    if fields.get("request_id") is None:
        raise MissingFields((Problem("request_id", "is required"),))
    try:
        return read_request_id(fields["request_id"])
    except BadValueError as error:
        raise InvalidMessage((Problem("request_id", str(error)),)) from None
