"""The application: all faces on one router, the guard around it, every error in one shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from litestar import Litestar, Response
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.routes import BaseRoute, HTTPRoute
from litestar.types import ControllerRouterHandler

from emailhub.engine.refusals import Refusals
from emailhub.engine.throttle import Throttle
from emailhub.web import (
    audit,
    breakers,
    bulk,
    contract,
    dead_letters,
    elsewhere,
    emails,
    health,
    keys,
    login,
    metrics,
    reference,
    relays,
    reload,
    scopes,
    stream,
    suppressions,
    templates,
    users,
)
from emailhub.web.bodies import Bodies
from emailhub.web.errors import Answer, ErrorPage, allow, answer_of, forbidden, note
from emailhub.web.faces import Faces
from emailhub.web.guard import Guard
from emailhub.web.pages import Pages
from emailhub.web.visit import AnyRequest, refuse, visit


def create_app(faces: Faces, routers: Sequence[ControllerRouterHandler] = ()) -> Litestar:
    """The ASGI application for `faces`, with the dashboard, and with `routers` beside its own."""
    pages = Pages(faces)
    pages.router.register(reference.reference)
    for face in (audit, dead_letters, keys, suppressions, templates, users):
        for handler in face.HANDLERS:
            pages.router.register(handler)
    app = Litestar(
        route_handlers=[
            contract.router(),
            emails.router(),
            elsewhere.router(),
            breakers.router(),
            bulk.router(),
            reload.router(),
            relays.router(),
            health.router(),
            metrics.router(),
            stream.router(),
            login.router(pages),
            reference.router(),
            pages.router,
            *routers,
        ],
        dependencies={"faces": Provide(lambda: faces, sync_to_thread=False)},
        exception_handlers={HTTPException: _on_error(pages.error_page), Exception: _on_error(pages.error_page)},
        lifespan=[stream.status_feed],
        before_request=_before,
        state=State({"faces": faces}),
        request_max_body_size=faces.options.body_limit,
        openapi_config=None,
        logging_config=None,
        debug=False,
    )
    app.asgi_handler = Guard(
        app.asgi_handler,
        faces.gate,
        prefix=faces.options.prefix,
        body_limit=faces.options.body_limit,
        error_page=pages.error_page,
        now=faces.now,
        refusals=Refusals(faces.audit),
        throttle=Throttle(faces.options.api_rate),
        bodies=Bodies(faces.options.body_budget),
        lanes={**contract.lanes(faces), **emails.lanes(faces)},
    )
    return app


def _before(request: AnyRequest) -> Response[None] | None:
    """Answer OPTIONS; hold everything else to what its principal may do. Raises WebError (403)."""
    path, method = request.scope["path_template"], str(request.method)
    if method == "OPTIONS":
        return _methods_of(request, path)
    scopes.check(visit(request).caller.principal, scopes.needed(path, "GET" if method == "HEAD" else method))
    return None


def _methods_of(request: AnyRequest, template: str) -> Response[None]:
    """The framework itself, of an address with several handlers, names the method of one of them."""
    methods = {method for route in request.app.routes if route.path_format == template for method in _methods(route)}
    return Response(None, status_code=204, headers={"Allow": allow(methods)})


def _methods(route: BaseRoute) -> set[str]:
    return {str(method) for method in route.methods} if isinstance(route, HTTPRoute) else set()


def _on_error(error_page: ErrorPage) -> Any:
    def on_error(request: AnyRequest, error: Exception) -> Response[Any]:
        reply = answer_of(error)
        note(error, reply, request.method, request.url.path)
        if (why := forbidden(error, reply)) is not None:
            refuse(request.scope, why)
        return _response(request, reply, error_page)

    return on_error


def _response(request: AnyRequest, reply: Answer, error_page: ErrorPage) -> Response[Any]:
    seen = visit(request)
    headers = dict(reply.headers)
    if seen.html:
        page = error_page(reply.body, seen.caller.trusted)
        return Response(page, status_code=reply.status, headers=headers, media_type="text/html")
    return Response(reply.json(), status_code=reply.status, headers=headers, media_type="application/json")
