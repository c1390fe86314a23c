"""Users as JSON: listed, added, changed, removed, logged out. `GET /users` is also a page, whose handler asks here."""

from __future__ import annotations

from typing import Final

from litestar import Response, delete, patch, post
from litestar.params import FromPath

from emailhub.core.access import Role
from emailhub.core.errors import InvalidMessage, Problem
from emailhub.core.fields import BadValueError, choice, shown
from emailhub.core.user import User
from emailhub.web.body import read_object
from emailhub.web.emails.query import Query
from emailhub.web.errors import MissingFields
from emailhub.web.faces import API, Faces, GivenFaces, actor_of
from emailhub.web.reason import reason_in
from emailhub.web.shapes.users import UserList, UserRemoved, UserShape
from emailhub.web.visit import AnyRequest

_ROLES = {role.value: role for role in Role}


def everybody(faces: Faces) -> Response[UserList]:
    """The list, as JSON."""
    found = UserList([_shape(faces, user) for user in faces.users.all()])
    return Response(found, media_type="application/json", headers={"vary": "accept"})


@post("/users", status_code=200)
async def add(request: AnyRequest, faces: GivenFaces) -> UserShape:
    """Let somebody log in."""
    asked = _Asked(await read_object(request), ("name", "role", "password"))
    name, role, password = asked.text("name"), asked.role(), asked.text("password")
    asked.check(("name", "role", "password"))
    assert role is not None
    return _shape(faces, await faces.users.add(name, role, password, actor_of(request, API), asked.reason))


@patch("/users/{name:str}")
async def change(request: AnyRequest, faces: GivenFaces, name: FromPath[str]) -> UserShape:
    """Another role, another password, or both. All their log-ins end."""
    faces.users.get(name)
    asked = _Asked(await read_object(request), ("role", "password"))
    role, password, actor = asked.role(), asked.text("password"), actor_of(request, API)
    if not asked.given.keys() & {"role", "password"}:
        asked.problems.append(Problem("role", "is required, or password"))
    asked.check(("role",))
    if asked.has("password"):
        await faces.users.set_password(name, password, actor, asked.reason)
    if role is not None:
        await faces.users.set_role(name, role, actor, asked.reason)
    return _shape(faces, faces.users.get(name))


@delete("/users/{name:str}", status_code=200)
async def remove(request: AnyRequest, faces: GivenFaces, name: FromPath[str]) -> UserRemoved:
    """Let somebody log in no more."""
    query = Query(request, ("reason",))
    reason = query.text("reason") or ""
    query.check()
    await faces.users.remove(name, actor_of(request, API), reason)
    return UserRemoved(name=name)


@delete("/users/{name:str}/sessions", status_code=200)
async def log_out(request: AnyRequest, faces: GivenFaces, name: FromPath[str]) -> UserShape:
    """End all log-ins of somebody."""
    query = Query(request, ("reason",))
    reason = query.text("reason") or ""
    query.check()
    actor = actor_of(request, API)
    await faces.logins.log_out_everywhere(name, actor=actor.name, peer=actor.peer, reason=reason)
    return _shape(faces, faces.users.get(name))


HANDLERS: Final = (add, change, remove, log_out)
"""To be registered beside the page: one router has all methods of an address."""


def _shape(faces: Faces, user: User) -> UserShape:
    return UserShape.of(user, len(faces.users.sessions(user.name)))


class _Asked:
    """The fields of a request, read one by one; `check` raises with all that is wrong."""

    def __init__(self, given: dict[str, object], allowed: tuple[str, ...]) -> None:
        self.given = {name: value for name, value in given.items() if value is not None}
        known = (*allowed, "reason")
        hint = f"is not a field of this request; the fields are {', '.join(known)}"
        self.problems = [Problem(shown(name), hint) for name in given if name not in known]
        try:
            self.reason = reason_in({"reason": given.get("reason")}, ("reason",))
        except InvalidMessage as error:
            self.problems += error.problems

    def has(self, name: str) -> bool:
        return name in self.given

    def text(self, name: str) -> str:
        value = self.given.get(name, "")
        if isinstance(value, str):
            return value
        self.problems.append(Problem(name, "must be a string"))
        return ""

    def role(self) -> Role | None:
        value = self.given.get("role")
        try:
            return None if value is None else choice(value, _ROLES)
        except BadValueError as error:
            self.problems.append(Problem("role", str(error)))
            return None

    def check(self, needed: tuple[str, ...]) -> None:
        """Raises InvalidMessage; MissingFields when nothing is wrong but that fields of `needed` are not there."""
        known = {problem.field for problem in self.problems}
        absent = [Problem(name, "is required") for name in needed if not self.has(name) and len(needed) > 1]
        problems = (*self.problems, *(one for one in absent if one.field not in known))
        if problems:
            only_absent = all(not self.has(one.field) and one.message.startswith("is required") for one in problems)
            raise (MissingFields if only_absent else InvalidMessage)(problems)
