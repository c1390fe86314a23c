"""API keys as JSON: made, listed, rotated, revoked. Paths and fields are Resend's, with more of what a key may do.

`GET /api-keys` and `GET /api-keys/{key_id}` are also pages: a browser gets the page from the dashboard's handler, which
asks here for everybody else.
"""

from __future__ import annotations

from typing import Final

from litestar import Response, delete, post
from litestar.params import FromPath

from emailhub.core import api_key, fields
from emailhub.core.errors import InvalidMessage, Problem
from emailhub.web.body import read_object, read_optional_object
from emailhub.web.emails.query import Query
from emailhub.web.errors import WebError, missing
from emailhub.web.faces import API, Faces, GivenFaces, actor_of
from emailhub.web.reason import reason_in
from emailhub.web.shapes import KeyList, KeyMade, KeyShape
from emailhub.web.visit import AnyRequest

_ROTATE = ("grace", "reason")


def listed(faces: Faces) -> list[KeyShape]:
    """Every key: those of the settings, then the others, the newest first."""
    now = faces.now()
    fixed = [KeyShape.of_settings(principal, use) for principal, use in faces.gate.settings_keys]
    return [*fixed, *(KeyShape.of(key, use, now) for key, use in faces.keyring.all())]


def all_keys(faces: Faces) -> Response[KeyList]:
    """The list, as JSON."""
    return Response(KeyList(listed(faces)), media_type="application/json", headers={"vary": "accept"})


@post("/api-keys", status_code=200)
async def create(request: AnyRequest, faces: GivenFaces) -> KeyMade:
    """Make a key; its secret is in this answer and nowhere else."""
    given = await read_object(request)
    try:
        grant = api_key.grant(given, faces.now())
    except InvalidMessage as error:
        raise missing(error, given) from None
    return KeyMade.of(await faces.keyring.create(grant, actor_of(request, API), _reason(given)))


def one_key(faces: Faces, id: str) -> KeyShape:
    """One key. Raises NotFound."""
    found = next((one for one in listed(faces) if one.id == id), None)
    return found or KeyShape.of(*faces.keyring.get(id), faces.now())


@post("/api-keys/{key_id:str}/rotate", status_code=200)
async def rotate(request: AnyRequest, faces: GivenFaces, key_id: FromPath[str]) -> KeyMade:
    """Give the key a new secret; the old one works on for a while."""
    given = await read_optional_object(request)
    reason = reason_in({name: value for name, value in given.items() if name != "grace"}, _ROTATE)
    demand_ours(faces, key_id)
    return KeyMade.of(
        await faces.keyring.rotate(key_id, actor_of(request, API), reason, grace=grace(given.get("grace")))
    )


@delete("/api-keys/{key_id:str}", status_code=200, name="revoke_key")
async def revoke(request: AnyRequest, faces: GivenFaces, key_id: FromPath[str]) -> KeyShape:
    """End the key at once."""
    query = Query(request, ("reason",))
    reason = query.text("reason") or ""
    query.check()
    demand_ours(faces, key_id)
    await faces.keyring.revoke(key_id, actor_of(request, API), reason)
    return KeyShape.of(*faces.keyring.get(key_id), faces.now())


def demand_ours(faces: Faces, id: str) -> None:
    """Raises WebError (409): the key `id` stands in the settings, where the hub does not write."""
    if any(id == principal.id for principal, _ in faces.gate.settings_keys):
        text = "This key is one of EMAILHUB_API_KEYS: take it out there and start the hub again."
        raise WebError(409, "invalid_state", text)


def grace(value: object) -> float:
    """Seconds that the old secret still works. Raises InvalidMessage."""
    if value is None:
        return api_key.GRACE
    if value in (0, "0") and not isinstance(value, bool):
        return 0.0
    try:
        return fields.duration(value)
    except fields.BadValueError as error:
        raise InvalidMessage((Problem("grace", f"{error}; or 0 to end the old secret at once"),)) from None


def _reason(given: dict[str, object]) -> str:
    return reason_in({"reason": given.get("reason")}, ("reason",))


HANDLERS: Final = (create, rotate, revoke)
"""To be registered beside the page: one router has all methods of an address."""
