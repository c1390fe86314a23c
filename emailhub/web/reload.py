"""Reading the settings again, asked for over HTTP."""

from __future__ import annotations

from litestar import Router, post

from emailhub.web.body import read_optional_object
from emailhub.web.faces import API, GivenFaces, actor_of
from emailhub.web.reason import reason_in
from emailhub.web.shapes import ReloadedShape
from emailhub.web.visit import AnyRequest


@post("/reload", status_code=200)
async def reload_settings(request: AnyRequest, faces: GivenFaces) -> ReloadedShape:
    """Read the settings again and apply what changed; refused whole when anything in them does not work."""
    reason = reason_in(await read_optional_object(request), ("reason",))
    return ReloadedShape.of(await faces.reload(actor_of(request, API), reason))


def router() -> Router:
    """The routes of this module."""
    return Router("/", route_handlers=[reload_settings])
