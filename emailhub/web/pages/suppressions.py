"""`/suppressions`: who gets no mail and why, added and lifted by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect
from litestar.types import ControllerRouterHandler

from emailhub.core.address import parse_list
from emailhub.core.errors import InvalidMessage, NotFound, Problem
from emailhub.core.suppression import NOTE, Listing, Suppression, SuppressionFilter, SuppressionOrigin
from emailhub.engine.gate import Area
from emailhub.web import suppressions as answers
from emailhub.web.faces import Faces, GivenFaces, actor_of
from emailhub.web.pages import words
from emailhub.web.pages.flash import Flash
from emailhub.web.pages.form import read_form
from emailhub.web.pages.paper import GivenPaper, Paper
from emailhub.web.pages.send import split_addresses
from emailhub.web.visit import AnyRequest, refuse, visit

_ROWS = 50
_LONGEST = 200
_FACE = "dashboard"
_WATCHED = "suppression_added suppression_lifted listed"
"""The kinds of events that change the list."""
_ORIGINS = {
    SuppressionOrigin.MANUAL: "Decided by hand",
    SuppressionOrigin.UNSUBSCRIBE: "Unsubscribed",
    SuppressionOrigin.COMPLAINT: "Reported as spam",
    SuppressionOrigin.BOUNCE: "Refused for good",
}


@get("/suppressions", name="suppressions", include_in_schema=False)
async def suppressions(request: AnyRequest, faces: GivenFaces, paper: GivenPaper) -> Response[Any]:
    """A page of the list."""
    if visit(request).area is Area.API:
        return await answers.one_page(request, faces)
    return await _page(request, faces, paper, {"emails": request.query_params.get("add", "")[:_LONGEST]})


@get("/suppressions/{key:path}", name="suppression", include_in_schema=False)
async def one(
    request: AnyRequest, faces: GivenFaces, paper: GivenPaper, key: FromPath[str]
) -> Response[Any] | Redirect:
    """One entry; for people, the list narrowed to it."""
    if visit(request).area is Area.API:
        return await answers.one_entry(faces, answers.key_in(key))
    return paper.onward(_narrowed(answers.key_in(key)))


@post("/suppressions/add", name="suppress", status_code=303, include_in_schema=False)
async def add(request: AnyRequest, faces: GivenFaces, paper: GivenPaper) -> Response[str] | Redirect:
    """Put what was typed on the list, or show the form again with what is wrong."""
    form = await read_form(request)
    try:
        listings = _listings(form)
    except InvalidMessage as error:
        problem = "; ".join(f"{one.field}: {one.message}" for one in error.problems[:3])
        return await _page(request, faces, paper, form, problem=problem, status=422)
    entries = await faces.suppressions.add(listings, actor_of(request, _FACE))
    who = entries[0].address if len(entries) == 1 else words.counted(len(entries), "address", "addresses")
    verb = "is" if len(entries) == 1 else "are"
    return paper.onward("/suppressions", Flash("ok", f"{who} {verb} on the list: no mail goes there from now on."))


@post("/suppressions/lift", name="lift_suppression", status_code=303, include_in_schema=False)
async def lift(request: AnyRequest, faces: GivenFaces, paper: GivenPaper) -> Redirect:
    """Take an entry off the list."""
    form = await read_form(request)
    here = _narrowed(form.get("q", ""))
    try:
        lifted = await faces.suppressions.lift(form.get("id", ""), actor_of(request, _FACE), _line(form))
    except NotFound:
        refuse(request.scope, "it is not on the list any more")
        return paper.onward(here, Flash("warn", "Nothing was changed: it is not on the list any more."))
    said = f"{lifted.address} gets mail again. What was suppressed stays so until you retry it."
    return paper.onward("/suppressions", Flash("ok", said))


async def _page(
    request: AnyRequest,
    faces: Faces,
    paper: Paper,
    values: Mapping[str, str],
    *,
    problem: str = "",
    status: int = 200,
) -> Response[str]:
    asked = {name: request.query_params.get(name, "").strip()[:_LONGEST] for name in ("q", "origin", "before", "after")}
    origin = next((origin for origin in SuppressionOrigin if origin == asked["origin"]), None)
    page = await faces.suppressions.page(
        SuppressionFilter(origin, asked["q"]),
        before=_id(asked["before"]),
        after=_id(asked["after"]),
        limit=_ROWS,
    )
    path = f"{faces.options.prefix}/suppressions"
    kept = {"q": asked["q"], "origin": origin or ""}
    return await paper.page(
        request,
        "suppressions.html",
        section="/suppressions",
        # What shows an error has no address of its own that could be asked for anew.
        watch="" if problem else _WATCHED,
        status=status,
        items=page.items,
        query=asked["q"],
        tabs=[
            (label, _url(path, q=asked["q"], origin=value or ""), value == origin)
            for value, label in ((None, "All"), *_ORIGINS.items())
        ],
        filtered=bool(asked["q"] or origin),
        paged=bool(asked["before"] or asked["after"]),
        newer=_url(path, **kept, after=str(page.newer)) if page.newer else "",
        older=_url(path, **kept, before=str(page.older)) if page.older else "",
        origins=_ORIGINS,
        values={name: values.get(name, "") for name in ("emails", "origin", "reason")},
        problem=problem,
        by=_by,
    )


def _by(one: Suppression) -> str:
    """Who put it there, in words."""
    if one.actor:
        return f"by {one.actor} over {'the dashboard' if one.face == _FACE else one.face.upper()}"
    return "by itself, when the server refused it"


def _listings(form: Mapping[str, str]) -> list[Listing]:
    boxes = parse_list(split_addresses(form.get("emails", "")), "Address")
    origin = next((one for one in _ORIGINS if one == form.get("origin")), SuppressionOrigin.MANUAL)
    if not boxes:
        raise InvalidMessage((Problem("Address", "give at least one"),))
    if len(boxes) > answers.MOST:
        raise InvalidMessage((Problem("Address", f"give at most {answers.MOST} at a time"),))
    return [Listing(box.address, origin, _line(form)) for box in boxes]


def _line(form: Mapping[str, str]) -> str:
    return " ".join(form.get("reason", "").split())[:NOTE]


def _id(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _narrowed(search: str) -> str:
    return f"/suppressions?q={quote(search[:_LONGEST])}" if search else "/suppressions"


def _url(path: str, **fields: str) -> str:
    query = urlencode({name: value for name, value in fields.items() if value})
    return f"{path}?{query}" if query else path


HANDLERS: tuple[ControllerRouterHandler, ...] = (suppressions, one, add, lift)
