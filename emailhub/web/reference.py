"""`/docs`: the API on one page for people, which needs nothing from elsewhere; `/schema/openapi.json`: for tools."""

from __future__ import annotations

from litestar import Response, Router, get

from emailhub.web.faces import GivenFaces
from emailhub.web.openapi import document


@get("/schema/openapi.json")
async def openapi_document(faces: GivenFaces) -> Response[dict[str, object]]:
    """The API as an OpenAPI 3.1 document."""
    return Response(document(faces.options.public_url), media_type="application/vnd.oai.openapi+json")


def router() -> Router:
    """The routes of this module."""
    return Router("/", route_handlers=[openapi_document])
