"""What each route asks of whoever came in."""

from __future__ import annotations

from litestar.routes import HTTPRoute

from emailhub.core.access import Scope
from emailhub.web.scopes import NEEDS, needed
from tests.support.web_hub import WebHub


def routes(hub: WebHub) -> list[tuple[str, str]]:
    """Every method of every address."""
    return sorted(
        (route.path_format, str(method))
        for route in hub.app.routes
        if isinstance(route, HTTPRoute)
        for method in route.methods
        if method not in {"OPTIONS", "HEAD"}
    )


def test_every_route_says_which_scope_it_needs(hub: WebHub) -> None:
    missing = [f"{method} {path}" for path, method in routes(hub) if method not in NEEDS.get(path, {})]
    assert not missing, "add them to emailhub/web/scopes.py; until then they need the scope `admin`"


def test_no_scope_is_said_for_a_route_that_is_not_there(hub: WebHub) -> None:
    known = set(routes(hub))
    stale = [f"{method} {path}" for path, needs in NEEDS.items() for method in needs if (path, method) not in known]
    assert not stale


def test_a_route_or_method_that_says_nothing_is_for_administrators() -> None:
    for path, method in (("/a-route-of-tomorrow", "GET"), ("/health", "DELETE"), ("/login", "PATCH")):
        assert needed(path, method) == {Scope.ADMIN}, (method, path)
