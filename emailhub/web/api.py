"""Messages as JSON: given, listed, read, retried, held and canceled. Paths, fields and error names are Resend's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

import msgspec
from litestar import Response, Router, get, post
from litestar.params import FromPath

from emailhub.core import mime, parse
from emailhub.core.delivery import State
from emailhub.core.errors import InvalidMessage, NotFound, Problem
from emailhub.core.fields import KEY, shown
from emailhub.core.message import Key
from emailhub.core.records import Detail, Filter, Receipt
from emailhub.engine.desk import Actor
from emailhub.web.body import read_object, read_optional_object
from emailhub.web.errors import BadParameters, MissingFields, WebError
from emailhub.web.faces import Faces, GivenFaces, actor_of
from emailhub.web.lanes import Asked, Header, Lane
from emailhub.web.shapes import (
    Accepted,
    AttemptList,
    AttemptShape,
    Changed,
    Email,
    EmailList,
    EmailSummary,
    EventList,
    EventShape,
)
from emailhub.web.visit import AnyRequest, Visit, visit

FACE = "http"
LIST_LIMIT: Final = 20
LIST_MOST: Final = 100
_LIST_PARAMETERS = ("limit", "after", "before", "status", "request_id", "q")
_HEAVY = 256 * 1024
"""Bytes from which a message is taken apart in a thread: a large one would stall every other request."""
_REASON = 500
_REPLAYED = ((b"idempotency-replayed", b"true"),)

_Verb: TypeAlias = Callable[[str, Actor, str], Awaitable[Detail]]


@post("/emails", status_code=200)
async def send(request: AnyRequest, faces: GivenFaces) -> Response[Accepted]:
    """Take a message; the answer comes once it is durable. A replayed key answers with the first message's id."""
    key = _key(", ".join(request.headers.getall("idempotency-key", [])) or None)
    receipt = await _take(await read_object(request), faces, visit(request), key)
    headers = {"Idempotency-Replayed": "true"} if receipt.replayed else {}
    return Response(Accepted(receipt.id), headers=headers)


@get("/emails")
async def list_emails(request: AnyRequest, faces: GivenFaces) -> EmailList:
    """Messages, newest first. `after` goes on to older ones, `before` back to newer ones; both are message ids."""
    query = _Query(request)
    limit, status, after, before = query.limit(), query.status(), query.text("after"), query.text("before")
    if after and before:
        query.problems.append(Problem("before", "is given together with after; give one of the two"))
    wanted = Filter(state=status, search=query.text("q") or "", request_id=query.text("request_id"))
    query.check()
    try:
        page = await faces.history.page(wanted, before=after, after=before, limit=limit)
    except NotFound as error:
        raise BadParameters(Problem("before" if before else "after", f"names no message: {error.id!r}")) from None
    more = page.newer if before else page.older
    return EmailList([EmailSummary.of(summary) for summary in page.items], more is not None)


@get("/emails/{id:str}")
async def read_email(id: FromPath[str], faces: GivenFaces) -> Email:
    """One message with its recipients and its content, while that is kept."""
    return await _email(faces, await faces.history.find(id))


@get("/emails/{id:str}/events")
async def read_events(id: FromPath[str], faces: GivenFaces) -> EventList:
    """All that happened to a message."""
    await faces.history.find(id)
    return EventList([EventShape.of(event) for event in await faces.history.events(id)])


@get("/emails/{id:str}/attempts")
async def read_attempts(id: FromPath[str], faces: GivenFaces) -> AttemptList:
    """All attempts of a message, with verdicts and the SMTP conversation."""
    await faces.history.find(id)
    return AttemptList([AttemptShape.of(attempt) for attempt in await faces.history.attempts(id)])


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


def router() -> Router:
    """The routes of this module."""
    return Router("/", route_handlers=[send, list_emails, read_email, read_events, read_attempts, cancel, retry, hold])


def lanes(faces: Faces) -> dict[str, Lane]:
    """The short way of `send`."""

    async def answer(asked: Asked) -> tuple[bytes, Sequence[Header]]:
        key = _key(asked.headers.get("idempotency-key"))
        receipt = await _take(await asked.fields(), faces, asked.visit, key)
        return msgspec.json.encode(Accepted(receipt.id)), _REPLAYED if receipt.replayed else ()

    return {"/emails": Lane(answer)}


async def _take(fields: dict[str, object], faces: Faces, seen: Visit, key: Key | None) -> Receipt:
    try:
        submission = parse.submission(fields, faces.intake.limits, now=faces.now(), key=key)
    except InvalidMessage as error:
        raise _explained(error, fields) from None
    return await faces.intake.accept(submission, seen.origin(FACE))


async def _apply(verb: _Verb, request: AnyRequest, id: str) -> Changed:
    reason = reason_in(await read_optional_object(request), ("reason",))
    return Changed.of(await verb(id, actor_of(request, FACE), reason))


def reason_in(fields: dict[str, object], allowed: tuple[str, ...]) -> str:
    """The optional `reason`, one line. Raises InvalidMessage, also for fields that are not `allowed`."""
    known = ", ".join(allowed)
    hint = f"is not a field of this request; the fields are {known}"
    problems = [Problem(shown(name), hint) for name in fields if name not in allowed]
    reason = fields.get("reason")
    if reason is not None and not (isinstance(reason, str) and len(reason) <= _REASON and reason.isprintable()):
        problems.append(Problem("reason", f"must be one line of at most {_REASON} printable characters"))
    if problems:
        raise InvalidMessage(tuple(problems))
    return reason if isinstance(reason, str) else ""


async def _email(faces: Faces, detail: Detail) -> Email:
    content = await faces.history.content(detail.summary.id) if detail.has_content else None
    if content is None:
        return Email.of(detail, None)
    view = await asyncio.to_thread(mime.read, content) if len(content) > _HEAVY else mime.read(content)
    return Email.of(detail, view)


def _key(value: str | None) -> Key | None:
    """The key in the header; one that is given more than once comes joined by a comma and a space, which no key has."""
    if value is None:
        return None
    if not KEY.fullmatch(value):
        text = "The header Idempotency-Key must be 1 to 256 visible ASCII characters, given once."
        raise WebError(400, "invalid_idempotency_key", text, (Problem("Idempotency-Key", "is not a valid key"),))
    return Key(value)


def _explained(error: InvalidMessage, fields: dict[str, object]) -> InvalidMessage:
    """Tells a message in which something is missing from one in which something is wrong."""
    given = {name for name, value in fields.items() if value is not None}
    absent = all(problem.field.partition("[")[0] not in given for problem in error.problems)
    return MissingFields(error.problems) if absent else error


class _Query:
    """The parameters of a list, read one by one; `check` raises BadParameters with all that is wrong."""

    def __init__(self, request: AnyRequest) -> None:
        self._given = request.query_params
        self.problems: list[Problem] = []
        for name in dict.fromkeys(self._given):
            if name not in _LIST_PARAMETERS:
                known = ", ".join(_LIST_PARAMETERS)
                self.problems.append(Problem(shown(name), f"is not a parameter of this list; those are {known}"))
            elif len(self._given.getall(name)) > 1:
                self.problems.append(Problem(name, "is given more than once"))

    def text(self, name: str) -> str | None:
        """The parameter, None when it is absent or empty."""
        value = self._given.get(name)
        if value and (len(value) > 320 or not value.isprintable()):
            self.problems.append(Problem(name, "must be at most 320 printable characters"))
            return None
        return value or None

    def limit(self) -> int:
        value = self._given.get("limit")
        if value is None:
            return LIST_LIMIT
        if value.isascii() and value.isdecimal() and len(value) <= 9 and 1 <= int(value) <= LIST_MOST:
            return int(value)
        self.problems.append(Problem("limit", f"must be a whole number from 1 to {LIST_MOST}"))
        return LIST_LIMIT

    def status(self) -> State | None:
        value = self._given.get("status")
        if not value:
            return None
        try:
            return State(value)
        except ValueError:
            self.problems.append(Problem("status", f"must be one of {', '.join(State)}"))
            return None

    def check(self) -> None:
        if self.problems:
            raise BadParameters(*self.problems)
