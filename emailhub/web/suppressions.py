"""The suppression list as JSON: paths, fields and answers are Resend's, with a reason and who gave it on top.

`GET /suppressions` and `GET /suppressions/{key}` are also pages: a browser gets the page from the dashboard's handler,
which asks here for everybody else.
"""

from __future__ import annotations

from typing import Final

from litestar import Response, delete, post
from litestar.params import FromPath

from emailhub.core.address import parse_list, parse_mailbox
from emailhub.core.errors import InvalidMessage, Problem
from emailhub.core.fields import BadValueError, choice, items, shown
from emailhub.core.suppression import NOTE, Listing, SuppressionFilter, SuppressionOrigin
from emailhub.web.body import read_object
from emailhub.web.emails.query import Query
from emailhub.web.errors import MissingFields
from emailhub.web.faces import API, Faces, GivenFaces, actor_of
from emailhub.web.shapes import (
    SuppressionLifted,
    SuppressionListShape,
    SuppressionsAdded,
    SuppressionShape,
    SuppressionsLifted,
)
from emailhub.web.visit import AnyRequest

MOST: Final = 100
"""Addresses of one request."""
_PARAMETERS = ("limit", "after", "before", "origin", "q")
_ORIGINS = {origin.value: origin for origin in SuppressionOrigin}


async def one_page(request: AnyRequest, faces: Faces) -> Response[SuppressionListShape]:
    """A page of the list, as JSON. Raises BadParameters."""
    query = Query(request, _PARAMETERS)
    limit, after, before = query.limit(), query.number("after"), query.number("before")
    wanted = SuppressionFilter(query.choice("origin", SuppressionOrigin), query.text("q") or "")
    query.at_most_one("before", "after")
    query.check()
    page = await faces.suppressions.page(wanted, before=after, after=before, limit=limit)
    more = page.newer if before else page.older
    found = SuppressionListShape([SuppressionShape.of(one) for one in page.items], more is not None)
    return Response(found, media_type="application/json", headers={"vary": "accept"})


async def one_entry(faces: Faces, key: str) -> Response[SuppressionShape]:
    """The entry with the address or id `key`, as JSON. Raises NotFound."""
    found = SuppressionShape.of(await faces.suppressions.find(_normal(key)))
    return Response(found, media_type="application/json", headers={"vary": "accept"})


@post("/suppressions", status_code=200)
async def add(request: AnyRequest, faces: GivenFaces) -> SuppressionShape:
    """Put one address on the list, or find it there already."""
    fields = _Fields(await read_object(request), ("email", "origin", "reason"))
    (listing,) = fields.listings("email")
    (entry,) = await faces.suppressions.add([listing], actor_of(request, API))
    return SuppressionShape.of(entry)


@post("/suppressions/batch/add", status_code=200)
async def add_all(request: AnyRequest, faces: GivenFaces) -> SuppressionsAdded:
    """Put several addresses on the list in one commit."""
    fields = _Fields(await read_object(request), ("emails", "origin", "reason"))
    entries = await faces.suppressions.add(fields.listings("emails"), actor_of(request, API))
    return SuppressionsAdded([SuppressionShape.of(one) for one in entries])


@post("/suppressions/batch/remove", status_code=200)
async def lift_all(request: AnyRequest, faces: GivenFaces) -> SuppressionsLifted:
    """Take several addresses off the list in one commit."""
    fields = _Fields(await read_object(request), ("emails", "ids", "reason"))
    keys, reason = fields.keys()
    lifted = await faces.suppressions.lift_all(keys, actor_of(request, API), reason)
    return SuppressionsLifted([SuppressionLifted.of(one) for one in lifted])


@delete("/suppressions/{key:path}", status_code=200)
async def lift(request: AnyRequest, key: FromPath[str], faces: GivenFaces) -> SuppressionLifted:
    """Take one address off the list."""
    query = Query(request, ("reason",))
    reason = query.text("reason") or ""
    query.check()
    return SuppressionLifted.of(await faces.suppressions.lift(_normal(key_in(key)), actor_of(request, API), reason))


HANDLERS: Final = (add, add_all, lift_all, lift)
"""To be registered beside the pages: one router has all methods of an address."""


def key_in(path: str) -> str:
    """What the rest of a path names; in an address there may be a slash, as in `sales/eu@example.org`."""
    return path.removeprefix("/")


def _normal(key: str) -> str:
    """An address as it is kept; anything else as it is."""
    try:
        return parse_mailbox(key, field="key").address
    except InvalidMessage:
        return key


class _Fields:
    """The fields of a request, read one by one; raises with all that is wrong."""

    def __init__(self, given: dict[str, object], allowed: tuple[str, ...]) -> None:
        self._given = given
        hint = f"is not a field of this request; the fields are {', '.join(allowed)}"
        self._problems = [Problem(shown(name), hint) for name in given if name not in allowed]

    def listings(self, field: str) -> list[Listing]:
        """What to put on the list: the one address in `email`, or all in `emails`. Raises InvalidMessage."""
        addresses, origin, reason = self._addresses(field), self._origin(), self._reason()
        self._check(field if self._given.get(field) is None else "")
        return [Listing(address, origin, reason) for address in addresses]

    def keys(self) -> tuple[list[str], str]:
        """Whom to take off the list, and why. Raises InvalidMessage."""
        named = [name for name in ("emails", "ids") if self._given.get(name) is not None]
        if len(named) == 2:
            self._problems.append(Problem("ids", "is given together with emails; give one of the two"))
        field = named[0] if named else "emails"
        keys, reason = (self._ids() if field == "ids" else self._addresses("emails")), self._reason()
        self._check("" if named else "emails")
        return keys, reason

    def _check(self, missing: str) -> None:
        if self._problems:
            alone = len(self._problems) == 1 and self._problems[0].field == missing
            raise (MissingFields if alone else InvalidMessage)(tuple(self._problems))

    def _addresses(self, field: str) -> list[str]:
        value = self._given.get(field)
        try:
            if field == "email":
                return [parse_mailbox(_string(value), field=field).address]
            return [box.address for box in parse_list(_some(value), field)]
        except BadValueError as error:
            self._problems.append(Problem(field, str(error)))
        except InvalidMessage as error:
            self._problems += error.problems
        return []

    def _ids(self) -> list[str]:
        try:
            found = _some(self._given.get("ids"))
        except BadValueError as error:
            self._problems.append(Problem("ids", str(error)))
            return []
        if not all(isinstance(id, str) and id.isascii() and id.isdigit() and len(id) < 19 for id in found):
            self._problems.append(Problem("ids", 'must be ids of entries, such as "17"'))
        return [str(id) for id in found]

    def _origin(self) -> SuppressionOrigin:
        value = self._given.get("origin")
        try:
            return SuppressionOrigin.MANUAL if value is None else choice(value, _ORIGINS)
        except BadValueError as error:
            self._problems.append(Problem("origin", str(error)))
            return SuppressionOrigin.MANUAL

    def _reason(self) -> str:
        value = self._given.get("reason")
        if value is None:
            return ""
        if not (isinstance(value, str) and len(value) <= NOTE and value.isprintable()):
            self._problems.append(Problem("reason", f"must be one line of at most {NOTE} printable characters"))
            return ""
        return value


def _string(value: object) -> str:
    if value is None:
        raise BadValueError("is required: one address")
    if not isinstance(value, str):
        raise BadValueError("must be a string: one address")
    return value


def _some(value: object) -> list[object]:
    if value is None:
        raise BadValueError(f"is required: a list of 1 to {MOST}")
    found = items(value, MOST, f"must be a list of 1 to {MOST}")
    if not found:
        raise BadValueError(f"is empty; 1 to {MOST} are needed")
    return found
