"""The audit log as JSON and as CSV. `GET /audit` is also a page: a browser gets that from the dashboard's handler."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from litestar import Response, get
from litestar.response import Stream

from emailhub.core.audit import AuditFilter, Entry
from emailhub.core.csv import line
from emailhub.engine.audit import AuditLog
from emailhub.web.emails.query import Query
from emailhub.web.faces import Faces, GivenFaces
from emailhub.web.shapes.audit import AuditEntryShape, AuditList
from emailhub.web.shapes.times import iso
from emailhub.web.visit import AnyRequest

MOST: Final = 100_000
"""Entries of one export."""
NARROWING: Final = ("actor", "what", "target")
_COLUMNS = ("time", "who", "from", "what", "target", "why", "result", "detail")


async def one_page(request: AnyRequest, faces: Faces) -> Response[AuditList]:
    """A page of the log, as JSON. Raises BadParameters."""
    query = Query(request, ("limit", "after", "before", *NARROWING))
    limit, after, before = query.limit(), query.number("after"), query.number("before")
    wanted = _wanted(query)
    query.at_most_one("before", "after")
    query.check()
    page = await faces.audit.page(wanted, before=after, after=before, limit=limit)
    more = page.newer if before else page.older
    found = AuditList([AuditEntryShape.of(entry) for entry in page.items], more is not None)
    return Response(found, media_type="application/json", headers={"vary": "accept"})


@get("/audit/csv", media_type="text/csv")
async def export(request: AnyRequest, faces: GivenFaces) -> Stream:
    """The newest entries as a file for spreadsheets."""
    query = Query(request, NARROWING)
    wanted = _wanted(query)
    query.check()
    headers = {"content-disposition": 'attachment; filename="audit.csv"'}
    return Stream(_lines(faces.audit, wanted), media_type="text/csv; charset=utf-8", headers=headers)


HANDLERS: Final = (export,)


def _wanted(query: Query) -> AuditFilter:
    actor, what, target = (query.text(name) or "" for name in NARROWING)
    return AuditFilter(actor, what, target)


async def _lines(audit: AuditLog, wanted: AuditFilter) -> AsyncIterator[str]:
    yield line(_COLUMNS)
    async for entry in audit.newest(wanted, MOST):
        yield _line(entry)


def _line(entry: Entry) -> str:
    deed = entry.deed
    return line((iso(deed.at), deed.actor, deed.peer, deed.what, deed.target, deed.reason, deed.result, deed.detail))
