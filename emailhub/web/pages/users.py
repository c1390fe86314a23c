"""`/users`: who may log in; added, changed, removed and logged out here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect
from litestar.types import ControllerRouterHandler
from msgspec import Struct

from emailhub.core.access import Role
from emailhub.core.errors import InvalidMessage
from emailhub.core.user import ADMIN, LEAST, Session, User
from emailhub.engine.gate import Area
from emailhub.web import users as answers
from emailhub.web.faces import Faces, GivenFaces, actor_of
from emailhub.web.pages import words
from emailhub.web.pages.flash import Flash
from emailhub.web.pages.form import read_form
from emailhub.web.pages.paper import GivenPaper, Paper
from emailhub.web.visit import AnyRequest, refuse, visit

_FACE = "dashboard"
_NOTE = 500
_LABELS = {"name": "Name", "role": "Role", "password": "Password"}
ROLES: Mapping[Role, str] = {
    Role.VIEWER: "sees messages, relays and lists, and changes nothing",
    Role.OPERATOR: "sees and changes everything",
}


# In this order: nearly every browser also claims to be those below it.
_BROWSERS = {"Edg": "Edge", "OPR/": "Opera", "Firefox/": "Firefox", "Chrome/": "Chrome", "Safari/": "Safari"}
_SYSTEMS = ("Android", "iPhone", "iPad", "Windows", "Mac OS", "Linux")


class Row(Struct, frozen=True):
    """A user as the page shows them. `fixed`: their password is a setting."""

    user: User
    sessions: list[Session]
    fixed: bool


@get("/users", name="users", include_in_schema=False)
async def users(request: AnyRequest, faces: GivenFaces, paper: GivenPaper) -> Response[Any]:
    """Everybody."""
    if visit(request).area is Area.API:
        return answers.everybody(faces)
    return await _page(request, faces, paper, {})


@post("/users/added", name="add_user", status_code=303, include_in_schema=False)
async def add(request: AnyRequest, faces: GivenFaces, paper: GivenPaper) -> Response[str] | Redirect:
    """Add whom the form names, or show it again with what is wrong."""
    form = await read_form(request)
    name, role = form.get("name", "").strip(), _role(form)
    try:
        await faces.users.add(name, role, form.get("password", ""), actor_of(request, _FACE), _line(form))
    except InvalidMessage as error:
        return await _page(request, faces, paper, form, problem=_said(error), status=422)
    return paper.onward("/users", Flash("ok", f"{name} may log in as {role}."))


@post("/users/{name:str}/role", name="user_role", status_code=303, include_in_schema=False)
async def role(request: AnyRequest, faces: GivenFaces, paper: GivenPaper, name: FromPath[str]) -> Redirect:
    """Let a user do more or less."""
    form = await read_form(request)
    try:
        changed = await faces.users.set_role(name, _role(form), actor_of(request, _FACE), _line(form))
    except InvalidMessage as error:
        return _unchanged(request, paper, error)
    return paper.onward("/users", Flash("ok", f"{name} is {changed.role} now, and has to log in again."))


@post("/users/{name:str}/password", name="user_password", status_code=303, include_in_schema=False)
async def password(request: AnyRequest, faces: GivenFaces, paper: GivenPaper, name: FromPath[str]) -> Redirect:
    """Give a user another password."""
    form = await read_form(request)
    try:
        await faces.users.set_password(name, form.get("password", ""), actor_of(request, _FACE), _line(form))
    except InvalidMessage as error:
        return _unchanged(request, paper, error)
    return paper.onward("/users", Flash("ok", f"{name} has another password, and has to log in again."))


@post("/users/{name:str}/removal", name="remove_user", status_code=303, include_in_schema=False)
async def remove(request: AnyRequest, faces: GivenFaces, paper: GivenPaper, name: FromPath[str]) -> Redirect:
    """Let a user log in no more."""
    form = await read_form(request)
    try:
        await faces.users.remove(name, actor_of(request, _FACE), _line(form))
    except InvalidMessage as error:
        return _unchanged(request, paper, error)
    return paper.onward("/users", Flash("ok", f"{name} is removed, and logged out everywhere."))


@post("/users/{name:str}/logout", name="log_user_out", status_code=303, include_in_schema=False)
async def log_out(request: AnyRequest, faces: GivenFaces, paper: GivenPaper, name: FromPath[str]) -> Redirect:
    """End all log-ins of a user."""
    actor, form = actor_of(request, _FACE), await read_form(request)
    ended = await faces.logins.log_out_everywhere(name, actor=actor.name, peer=actor.peer, reason=_line(form))
    return paper.onward("/users", Flash("ok", f"{name} is logged out: {words.counted(ended, 'log-in')} ended."))


async def _page(
    request: AnyRequest,
    faces: Faces,
    paper: Paper,
    form: Mapping[str, str],
    *,
    problem: str = "",
    status: int = 200,
) -> Response[str]:
    everybody = faces.users.all()
    return await paper.page(
        request,
        "users.html",
        section="/users",
        status=status,
        rows=[Row(user, faces.users.sessions(user.name), user.name == ADMIN) for user in everybody],
        roles=ROLES,
        browser=browser,
        least=LEAST,
        first=not everybody,
        values={"name": form.get("name", ""), "reason": form.get("reason", ""), "role": _role(form)},
        problem=problem,
    )


def browser(agent: str) -> str:
    """What a browser calls itself, in two words; whatever it says when it is none that is known."""
    name = next((name for mark, name in _BROWSERS.items() if mark in agent), "")
    system = next((name for name in _SYSTEMS if name in agent), "")
    return f"{name} on {system}" if name and system else name or agent[:40]


def _role(form: Mapping[str, str]) -> Role:
    return Role.OPERATOR if form.get("role") == Role.OPERATOR else Role.VIEWER


def _said(error: InvalidMessage) -> str:
    return "; ".join(f"{_LABELS.get(one.field, one.field)} {one.message}" for one in error.problems[:3])


def _unchanged(request: AnyRequest, paper: Paper, error: InvalidMessage) -> Redirect:
    refuse(request.scope, _said(error))
    return paper.onward("/users", Flash("warn", f"Nothing was changed: {_said(error)}."))


def _line(form: Mapping[str, str]) -> str:
    return " ".join(form.get("reason", "").split())[:_NOTE]


HANDLERS: tuple[ControllerRouterHandler, ...] = (users, add, role, password, remove, log_out)
