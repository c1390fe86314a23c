"""Templates as JSON: made, listed, read, changed, published, tried out and deleted. Paths and fields are Resend's.

`GET /templates` and `GET /templates/{id}` are also pages: a browser gets the page from the dashboard's handler, which
asks here for everybody else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, TypeVar

from litestar import Response, delete, get, patch, post
from litestar.params import FromPath

from emailhub.core.errors import InvalidMessage, Problem
from emailhub.core.fields import shown
from emailhub.core.wording import FIELDS, draft
from emailhub.web.body import read_object, read_optional_object
from emailhub.web.emails.query import Query
from emailhub.web.errors import BadParameters, missing
from emailhub.web.faces import API, Faces, GivenFaces, actor_of
from emailhub.web.reason import reason_in
from emailhub.web.shapes import (
    RenderedShape,
    TemplateChanged,
    TemplateDeleted,
    TemplateItem,
    TemplateList,
    TemplateShape,
    VersionList,
    VersionShape,
)
from emailhub.web.template_requests import LANGUAGE
from emailhub.web.visit import AnyRequest

_MOST_VERSION = 2**31
_LANGUAGE = re.compile(LANGUAGE)
_T = TypeVar("_T")


@post("/templates", status_code=200)
async def create(request: AnyRequest, faces: GivenFaces) -> TemplateChanged:
    """Keep a new template as a draft."""
    fields = await read_object(request)
    try:
        made = draft(_without_reason(fields))
    except InvalidMessage as error:
        raise missing(error, fields) from None
    return TemplateChanged.of(await faces.shelf.create(made, actor_of(request, API), _reason(fields)))


@patch("/templates/{template:str}")
async def change(request: AnyRequest, template: FromPath[str], faces: GivenFaces) -> TemplateChanged:
    """Keep a new version; what is published stays."""
    fields = await read_object(request)
    before, was = await faces.shelf.draft(template)
    changed, actor = draft(_without_reason(fields), was), actor_of(request, API)
    # The fields that were not given are those of this version: nobody's change in between may be undone by them.
    return TemplateChanged.of(
        await faces.shelf.save(before.id, changed, actor, _reason(fields), base=before.newest),
    )


@post("/templates/{template:str}/publish", status_code=200)
async def publish(request: AnyRequest, template: FromPath[str], faces: GivenFaces) -> TemplateChanged:
    """Make messages from a version from now on."""
    fields = await read_optional_object(request)
    reason = reason_in({name: value for name, value in fields.items() if name != "version"}, ("version", "reason"))
    return TemplateChanged.of(await faces.shelf.publish(template, _version(fields), actor_of(request, API), reason))


@post("/templates/{template:str}/duplicate", status_code=200)
async def duplicate(request: AnyRequest, template: FromPath[str], faces: GivenFaces) -> TemplateChanged:
    """Keep a copy as a new draft."""
    reason = reason_in(await read_optional_object(request), ("reason",))
    return TemplateChanged.of(await faces.shelf.duplicate(template, actor_of(request, API), reason))


@post("/templates/{template:str}/render", status_code=200)
async def render(request: AnyRequest, template: FromPath[str], faces: GivenFaces) -> RenderedShape:
    """Tell what a message would say, without sending one."""
    fields = await read_optional_object(request)
    _demand_known(fields, ("variables", "version", "language"))
    variables, language = fields.get("variables"), fields.get("language")
    if not isinstance(variables, dict | None):
        raise InvalidMessage((Problem("variables", "must be an object of names and values"),))
    if language is not None and not (isinstance(language, str) and _LANGUAGE.fullmatch(language)):
        raise InvalidMessage((Problem("language", "must be a language such as fr or pt-BR"),))
    found = await faces.shelf.template(await faces.shelf.find(template), _version(fields), language or "")
    return RenderedShape.of(await faces.shelf.render(found, found.sample | (variables or {})))


@get("/templates/{template:str}/versions")
async def versions(template: FromPath[str], faces: GivenFaces) -> VersionList:
    """The versions of a stored template."""
    entry = await faces.shelf.find(template)
    return VersionList([VersionShape.of(one, entry.published) for one in await faces.shelf.versions(template)])


@delete("/templates/{template:str}", status_code=200)
async def remove(request: AnyRequest, template: FromPath[str], faces: GivenFaces) -> TemplateDeleted:
    """Forget a template; messages made from it stay as they are."""
    reason = reason_in(await read_optional_object(request), ("reason",))
    gone = await faces.shelf.delete(template, actor_of(request, API), reason)
    return TemplateDeleted(id=gone.id)


async def all_templates(request: AnyRequest, faces: Faces) -> Response[TemplateList]:
    """A page of them, by what they are called, as JSON. Raises BadParameters."""
    query = Query(request, ("limit", "after", "before"))
    limit, after, before = query.limit(), query.text("after"), query.text("before")
    if after and before:
        query.problems.append(Problem("before", "is given together with after; give one of the two"))
    query.check()
    found = await faces.shelf.all()
    places = {entry.id: number for number, entry in enumerate(found)}
    cursor = after or before
    if cursor and cursor not in places:
        raise BadParameters(Problem("after" if after else "before", f"names no template: {shown(cursor)!r}"))
    if before:
        end = places[before]
        start = max(0, end - limit)
        more = start > 0
    else:
        start = places[after] + 1 if after else 0
        end = start + limit
        more = end < len(found)
    return _json(TemplateList([TemplateItem.of(entry) for entry in found[start:end]], more))


async def one_template(request: AnyRequest, faces: Faces, id: str) -> Response[TemplateShape]:
    """One with its content, as JSON. Raises NotFound, BadParameters."""
    query = Query(request, ("version", "language"))
    language, asked = query.text("language"), query.text("version")
    if language and not _LANGUAGE.fullmatch(language):
        query.problems.append(Problem("language", "must be a language such as fr or pt-BR"))
    number = int(asked) if asked and asked.isascii() and asked.isdecimal() and len(asked) < 10 else 0
    if asked and not number:
        query.problems.append(Problem("version", "must be the number of a version, from 1"))
    query.check()
    entry = await faces.shelf.find(id)
    template = await faces.shelf.template(entry, number or None, language or "")
    return _json(TemplateShape.of(entry, template, number or entry.newest))


def _json(shape: _T) -> Response[_T]:
    return Response(shape, media_type="application/json", headers={"vary": "accept"})


HANDLERS: Final = (create, change, publish, duplicate, render, versions, remove)
"""To be registered beside the pages: one router has all methods of an address."""


def _without_reason(fields: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if name != "reason"}


def _reason(fields: Mapping[str, object]) -> str:
    return reason_in({"reason": fields.get("reason")}, ("reason", *FIELDS))


def _demand_known(fields: Mapping[str, object], allowed: tuple[str, ...]) -> None:
    reason_in({name: value for name, value in fields.items() if name not in allowed}, allowed)


def _version(fields: Mapping[str, object]) -> int | None:
    value = fields.get("version")
    if value is None:
        return None
    # JSON has one kind of number: 2.0 is the integer 2.
    whole = isinstance(value, int | float) and not isinstance(value, bool) and value == int(value)
    if not isinstance(value, int | float) or not whole or not 0 < value < _MOST_VERSION:
        raise InvalidMessage((Problem("version", "must be the number of a version, from 1"),))
    return int(value)
