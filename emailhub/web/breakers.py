"""The circuit breakers as JSON: read, forced open or closed, and left to themselves again."""

from __future__ import annotations

from litestar import Router, get, post
from litestar.params import FromPath

from emailhub.core.breaker import Mode
from emailhub.core.errors import InvalidMessage, Problem
from emailhub.core.fields import BadValueError, moment
from emailhub.web.body import read_object
from emailhub.web.errors import MissingFields
from emailhub.web.faces import API, GivenFaces, actor_of
from emailhub.web.reason import reason_in
from emailhub.web.shapes import BreakerList, BreakerShape
from emailhub.web.visit import AnyRequest

_FIELDS = ("state", "reason", "until")


@get("/breakers")
async def list_breakers(faces: GivenFaces) -> BreakerList:
    """The breakers of all relays."""
    return BreakerList([BreakerShape.of(relay) for relay in faces.board.relays()])


@get("/breakers/{relay:str}")
async def read_breaker(relay: FromPath[str], faces: GivenFaces) -> BreakerShape:
    """The breaker of one relay."""
    return BreakerShape.of(faces.board.relay(relay))


@post("/breakers/{relay:str}", status_code=200)
async def force_breaker(request: AnyRequest, relay: FromPath[str], faces: GivenFaces) -> BreakerShape:
    """Force it: `open` stops mail (until a time, or for good), `closed` ignores failures, `auto` lets it decide."""
    faces.board.relay(relay)
    fields = await read_object(request)
    reason, mode, until = _order(fields, faces.now())
    await faces.desk.force(relay, mode, actor=actor_of(request, API), note=reason, until=until)
    return BreakerShape.of(faces.board.relay(relay))


def router() -> Router:
    """The routes of this module."""
    return Router("/", route_handlers=[list_breakers, read_breaker, force_breaker])


def _order(fields: dict[str, object], now: float) -> tuple[str, Mode, float | None]:
    reason, problems = "", list[Problem]()
    try:
        reason = reason_in(fields, _FIELDS)
    except InvalidMessage as error:
        problems += error.problems
    mode = _mode(fields.get("state"), problems)
    until = _until(fields.get("until"), mode, now, problems)
    if mode is None or problems:
        only_missing = fields.get("state") is None and len(problems) == 1
        raise (MissingFields if only_missing else InvalidMessage)(tuple(problems))
    return reason, mode, until


def _mode(value: object, problems: list[Problem]) -> Mode | None:
    if value is None:
        problems.append(Problem("state", "is required: open, closed or auto"))
        return None
    try:
        return Mode(value)  # type: ignore[arg-type]
    except ValueError:
        problems.append(Problem("state", "must be open, closed or auto"))
        return None


def _until(value: object, mode: Mode | None, now: float, problems: list[Problem]) -> float | None:
    if value is None:
        return None
    try:
        until = moment(value, now)
    except BadValueError as error:
        problems.append(Problem("until", str(error)))
        return None
    if mode is Mode.AUTO:
        problems.append(Problem("until", "goes with open or closed only"))
    elif until <= now:
        problems.append(Problem("until", "is in the past"))
    return until
