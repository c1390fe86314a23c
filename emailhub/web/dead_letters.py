"""Dead letters of the queue as JSON: read, mended and sent, discarded.

`GET /dead-letters` and `GET /dead-letters/{letter}` are also pages: a browser gets the page from the dashboard's
handler, which asks here for everybody else.
"""

from __future__ import annotations

from typing import Final

import msgspec
from litestar import Response, post
from litestar.params import FromPath

from emailhub.core.errors import InvalidMessage, Problem
from emailhub.core.letters import LetterStatus
from emailhub.web.body import read_object, read_optional_object
from emailhub.web.emails.query import Query
from emailhub.web.errors import missing
from emailhub.web.faces import API, Faces, GivenFaces, actor_of
from emailhub.web.reason import reason_in
from emailhub.web.shapes import LetterDetail, LetterList, LetterShape
from emailhub.web.visit import AnyRequest, visit

_VARY: Final = {"vary": "accept"}


async def one_page(request: AnyRequest, faces: Faces) -> Response[LetterList]:
    """A page of the list, as JSON. Raises BadParameters."""
    query = Query(request, ("limit", "after", "before", "status"))
    limit, after, before = query.limit(), query.number("after"), query.number("before")
    status = query.choice("status", LetterStatus)
    query.at_most_one("before", "after")
    query.check()
    # What is `after` a letter in a list with the newest first came before it.
    page = await faces.letters.page(status, before=after, after=before, limit=limit)
    more = page.newer if before else page.older
    shapes = [LetterShape.of(one) for one in page.items]
    found = LetterList(shapes, more is not None, await faces.letters.counts())
    return Response(found, media_type="application/json", headers=_VARY)


async def one_letter(faces: Faces, letter: str) -> Response[LetterDetail]:
    """The letter with its body, as JSON. Raises NotFound."""
    found = LetterDetail.of(await faces.letters.find(letter))
    return Response(found, media_type="application/json", headers=_VARY)


@post("/dead-letters/{letter:str}/resend", status_code=200)
async def resend(request: AnyRequest, letter: FromPath[str], faces: GivenFaces) -> LetterShape:
    """Accept it as a message, with another body or as it came."""
    given = await read_optional_object(request)
    body, reason = _body(given), reason_in(given, ("body", "reason"))
    origin = visit(request).origin(API)
    return LetterShape.of(await faces.letters.resend(letter, actor_of(request, API), origin, body=body, note=reason))


@post("/dead-letters/{letter:str}/discard", status_code=200)
async def discard(request: AnyRequest, letter: FromPath[str], faces: GivenFaces) -> LetterShape:
    """Decide that nothing comes of it."""
    given = await read_object(request)
    reason = reason_in(given, ("reason",))
    if not reason:
        raise missing(InvalidMessage((Problem("reason", "is required: whoever misses this mail will ask"),)), given)
    return LetterShape.of(await faces.letters.discard(letter, actor_of(request, API), reason))


def _body(given: dict[str, object]) -> bytes | None:
    body = given.get("body")
    if body is None:
        return None
    if not isinstance(body, dict):
        raise InvalidMessage((Problem("body", "must be an object with the fields of a message"),))
    return msgspec.json.encode(body)


HANDLERS: Final = (resend, discard)
"""To be registered beside the pages: one router has all methods of an address."""
