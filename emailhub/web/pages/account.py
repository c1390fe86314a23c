"""`/account`: whoever is logged in, operator or viewer, gives themselves another password."""

from __future__ import annotations

from litestar import Response, get, post
from litestar.exceptions import NotFoundException
from litestar.response import Redirect
from litestar.types import ControllerRouterHandler

from emailhub.core.errors import InvalidMessage, LogInRefused
from emailhub.core.user import ADMIN, LEAST
from emailhub.engine.gate import Way
from emailhub.engine.logins import Attempt
from emailhub.web.faces import GivenFaces, actor_of
from emailhub.web.pages.flash import Flash
from emailhub.web.pages.form import read_form
from emailhub.web.pages.paper import GivenPaper, Paper
from emailhub.web.visit import AnyRequest, visit

_FACE = "dashboard"
_AGAIN = "is not the same as above"


@get("/account", name="account", include_in_schema=False)
async def account(request: AnyRequest, paper: GivenPaper) -> Response[str]:
    """The form; a sentence where nobody logs in."""
    caller = visit(request).caller
    return await _page(request, paper, caller.name if caller.way is Way.SESSION else "")


@post("/account/password", name="own_password", status_code=303, include_in_schema=False)
async def password(request: AnyRequest, faces: GivenFaces, paper: GivenPaper) -> Response[str] | Redirect:
    """Take the new password, when the one of now is right; then everybody with the old one has to log in again."""
    name, form = _me(request), await read_form(request)
    new = form.get("password", "")
    if form.get("again", "") != new:
        return await _page(request, paper, name, again=_AGAIN, status=422)
    attempt = Attempt(name=name, password=form.get("current", ""), client=visit(request).caller.client)
    try:
        await faces.logins.change_password(attempt, new, actor_of(request, _FACE))
    except LogInRefused as refused:
        # 401 would stand for a log-in that has ended.
        status = 429 if refused.retry_after else 403
        return await _page(request, paper, name, current=str(refused), status=status)
    except InvalidMessage as error:
        return await _page(request, paper, name, problem="; ".join(one.message for one in error.problems), status=422)
    return paper.onward("/login", Flash("ok", "Your password is changed. Log-ins with the old one have ended."))


def _me(request: AnyRequest) -> str:
    """The name of whoever is logged in. Raises NotFoundException."""
    caller = visit(request).caller
    if caller.way is not Way.SESSION:
        raise NotFoundException
    return caller.name


async def _page(
    request: AnyRequest,
    paper: Paper,
    name: str,
    *,
    current: str = "",
    problem: str = "",
    again: str = "",
    status: int = 200,
) -> Response[str]:
    return await paper.page(
        request,
        "account.html",
        section="/account",
        status=status,
        name=name,
        fixed=name == ADMIN,
        least=LEAST,
        current=current,
        problem=problem,
        again=again,
    )


HANDLERS: tuple[ControllerRouterHandler, ...] = (account, password)
