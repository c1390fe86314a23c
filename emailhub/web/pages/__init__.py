"""The dashboard: HTML pages made on the server, complete without script, kept live by it."""

from __future__ import annotations

from litestar import Response, Router, get
from litestar.di import Provide
from litestar.params import FromPath

from emailhub.core.user import ADMIN
from emailhub.web.errors import ErrorPage
from emailhub.web.faces import Faces
from emailhub.web.pages import (
    account,
    audit,
    bulk,
    copies,
    dead_letters,
    export,
    keys,
    message,
    messages,
    overview,
    patterns,
    relay_test,
    relays,
    send,
    settings,
    suppressions,
    template_form,
    templates,
    theme,
    users,
)
from emailhub.web.pages.assets import answer
from emailhub.web.pages.paper import GivenPaper, Paper
from emailhub.web.visit import AnyRequest


class Pages:
    """The whole dashboard: its `router`, the page of an error for people, and the form to sign in.

    The application that takes the router provides the dependency `faces`.
    """

    def __init__(self, faces: Faces) -> None:
        self._paper = Paper(faces)
        self.error_page: ErrorPage = self._paper.error
        self.router = Router(
            "/",
            route_handlers=[
                *overview.HANDLERS,
                *messages.HANDLERS,
                *message.HANDLERS,
                *copies.HANDLERS,
                *export.HANDLERS,
                *bulk.HANDLERS,
                *dead_letters.HANDLERS,
                *relays.HANDLERS,
                *relay_test.HANDLERS,
                *suppressions.HANDLERS,
                *account.HANDLERS,
                *audit.HANDLERS,
                *users.HANDLERS,
                *keys.HANDLERS,
                *templates.HANDLERS,
                *template_form.HANDLERS,
                *send.HANDLERS,
                *settings.HANDLERS,
                *theme.HANDLERS,
                *patterns.HANDLERS,
                static,
            ],
            dependencies={"paper": Provide(lambda: self._paper, sync_to_thread=False)},
        )

    def login(
        self, request: AnyRequest, next: str, name: str = ADMIN, problem: str = "", status: int = 200
    ) -> Response[str]:
        """The form to sign in, leading to the path `next`; `problem` says what was wrong when `name` tried last."""
        return self._paper.stranger(request, "login.html", status=status, next=next, name=name, problem=problem)


@get("/static/{name:str}", name="static", include_in_schema=False)
async def static(request: AnyRequest, paper: GivenPaper, name: FromPath[str]) -> Response[bytes]:
    """A static file."""
    return answer(paper.assets, name, request)
