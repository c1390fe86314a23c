"""Messages, their events and their attempts, read as JSON."""

from __future__ import annotations

import asyncio
from typing import Final

from litestar import get
from litestar.params import FromPath

from emailhub.core import view
from emailhub.core.errors import NotFound, Problem
from emailhub.core.records import Detail, Filter
from emailhub.web.emails.query import Query
from emailhub.web.errors import BadParameters
from emailhub.web.faces import Faces, GivenFaces
from emailhub.web.shapes import AttemptList, AttemptShape, Email, EmailList, EmailSummary, EventList, EventShape
from emailhub.web.visit import AnyRequest

_HEAVY = 256 * 1024
"""Bytes from which a message is taken apart in a thread: a large one would stall every other request."""


@get("/emails")
async def list_emails(request: AnyRequest, faces: GivenFaces) -> EmailList:
    """Messages, newest first. `after` goes on to older ones, `before` back to newer ones; both are message ids."""
    query = Query(request)
    limit, status, after, before = query.limit(), query.status(), query.text("after"), query.text("before")
    query.at_most_one("before", "after")
    wanted = Filter(
        state=status,
        terms=query.terms(faces.now()),
        request_id=query.text("request_id"),
        template=query.text("template"),
    )
    query.check()
    try:
        page = await faces.history.page(wanted, before=after, after=before, limit=limit)
    except NotFound as error:
        raise BadParameters(Problem("before" if before else "after", f"names no message: {error.id!r}")) from None
    more = page.newer if before else page.older
    whom = await faces.history.addressed([summary.seq for summary in page.items])
    return EmailList([EmailSummary.of(summary, whom[summary.seq]) for summary in page.items], more is not None)


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


async def _email(faces: Faces, detail: Detail) -> Email:
    content = await faces.history.content(detail.summary.id) if detail.has_content else None
    if content is None:
        return Email.of(detail, None)
    found = await asyncio.to_thread(view.read, content) if len(content) > _HEAVY else view.read(content)
    return Email.of(detail, found)


HANDLERS: Final = (list_emails, read_email, read_events, read_attempts)
