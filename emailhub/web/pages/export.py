"""`/messages/csv` and `/messages/jsonl`: what the list shows, as a file, streamed a few rows at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from typing import Final

import msgspec
from litestar import get
from litestar.response import Redirect, Stream
from litestar.types import ControllerRouterHandler

from emailhub.core import csv
from emailhub.core.errors import NotFound
from emailhub.core.query import parse
from emailhub.core.records import Filter, Summary
from emailhub.web.faces import Faces, GivenFaces
from emailhub.web.pages.messages import EXPORTED, Query
from emailhub.web.pages.paper import GivenPaper
from emailhub.web.pages.words import iso
from emailhub.web.visit import AnyRequest

_STEP = 500
COLUMNS: Final = (
    *(
        "id",
        "state",
        "reason",
        "to",
        "recipients",
        "from",
        "subject",
        "request_id",
        "correlation_id",
        "relay",
        "attempts",
    ),
    *("accepted_at", "scheduled_at", "final_at", "last", "size", "message_id"),
)
_encode = msgspec.json.Encoder().encode


@get("/messages/csv", name="messages_csv", include_in_schema=False)
async def as_csv(request: AnyRequest, faces: GivenFaces, paper: GivenPaper) -> Stream | Redirect:
    """A table for spreadsheets; no cell is taken for a formula."""
    return _file(request, faces, paper, "csv", "text/csv; charset=utf-8; header=present", _csv)


@get("/messages/jsonl", name="messages_jsonl", include_in_schema=False)
async def as_json(request: AnyRequest, faces: GivenFaces, paper: GivenPaper) -> Stream | Redirect:
    """One JSON object a line."""
    return _file(request, faces, paper, "jsonl", "application/x-ndjson", _json)


Form = Callable[[Iterable[dict[str, object]], bool], str]
"""Some rows as text; True for the first ones."""


def _file(request: AnyRequest, faces: Faces, paper: GivenPaper, end: str, kind: str, form: Form) -> Stream | Redirect:
    query = Query.of(request.query_params)
    asked = parse(query.q, faces.now())
    if asked.mistakes:
        return paper.onward(query.url("/messages"))
    headers = {"content-disposition": f'attachment; filename="messages.{end}"', "cache-control": "private, no-store"}
    return Stream(_written(faces, query.filter(asked.terms), form), media_type=kind, headers=headers)


async def _written(faces: Faces, wanted: Filter, form: Form) -> AsyncIterator[str]:
    first = True
    async for rows in _rows(faces, wanted):
        yield form([_row(one) for one in rows], first)
        first = False
    if first:
        yield form((), True)


async def _rows(faces: Faces, wanted: Filter) -> AsyncIterator[tuple[Summary, ...]]:
    before: str | None = None
    left = EXPORTED
    while left > 0:
        try:
            page = await faces.history.page(wanted, before=before, after=None, limit=min(_STEP, left))
        except NotFound:
            return  # the message to go on from was erased meanwhile, and all older ones with it
        if page.items:
            yield page.items
        left -= len(page.items)
        if page.older is None:
            return
        before = page.older


def _row(one: Summary) -> dict[str, object]:
    values = (
        *(one.id, one.state.value, one.reason.value, one.to_header, one.recipients, one.from_header, one.subject),
        *(one.request_id, one.correlation_id, one.relay, one.attempts, iso(one.accepted_at)),
        *(iso(at) if at is not None else None for at in (one.scheduled_at, one.final_at)),
        *(one.last, one.size, one.message_id),
    )
    return dict(zip(COLUMNS, values, strict=True))


def _csv(rows: Iterable[dict[str, object]], first: bool) -> str:
    lines = [csv.line(COLUMNS)] if first else []
    return "".join([*lines, *(csv.line("" if value is None else str(value) for value in row.values()) for row in rows)])


def _json(rows: Iterable[dict[str, object]], _first: bool) -> str:
    return "".join(f"{_encode(row).decode()}\n" for row in rows)


HANDLERS: tuple[ControllerRouterHandler, ...] = (as_csv, as_json)
