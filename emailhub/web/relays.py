"""The relays as JSON: read, a suspended sender let send again, and the chaos relay told how to behave.

`GET /relays` and `GET /relays/{relay}` are also pages: a browser gets the page from the dashboard's handler, which asks
here for everybody else.
"""

from __future__ import annotations

from collections.abc import Iterable

from litestar import Response, Router, post
from litestar.params import FromPath
from msgspec.structs import replace

from emailhub.core.errors import InvalidMessage, NotFound, Problem
from emailhub.core.fields import shown
from emailhub.core.status import ChaosStatus, RelayStatus
from emailhub.web.body import read_object
from emailhub.web.errors import MissingFields
from emailhub.web.faces import API, Faces, GivenFaces, actor_of
from emailhub.web.shapes import BehaviourShape, RelayList, RelayShape
from emailhub.web.visit import AnyRequest

_LONGEST_DOMAIN = 253


def ordered(relays: Iterable[RelayStatus]) -> list[RelayStatus]:
    """In the order they are asked, those that only store last."""
    return sorted(relays, key=_turn)


def _turn(relay: RelayStatus) -> tuple[bool, bool, int, int, str]:
    # Where there is a chaos relay, it stands in for the one that only captures.
    return relay.captures, relay.chaos is None, relay.priority, -relay.weight, relay.name


def all_relays(faces: Faces) -> Response[RelayList]:
    """All of them, as JSON."""
    found = RelayList([RelayShape.of(relay) for relay in ordered(faces.board.relays())])
    return Response(found, media_type="application/json", headers={"vary": "accept"})


def one_relay(faces: Faces, name: str) -> Response[RelayShape]:
    """One of them, as JSON. Raises NotFound."""
    found = RelayShape.of(faces.board.relay(name))
    return Response(found, media_type="application/json", headers={"vary": "accept"})


@post("/relays/{relay:str}/resume-sender", status_code=200)
async def resume_sender(request: AnyRequest, relay: FromPath[str], faces: GivenFaces) -> RelayShape:
    """Let a suspended from-domain send again over this relay, before its next try is due."""
    faces.board.relay(relay)
    domain = _domain(await read_object(request))
    await faces.desk.resume_sender(relay, domain, actor_of(request, API))
    return RelayShape.of(faces.board.relay(relay))


@post("/relays/{relay:str}/behaviour", status_code=200)
async def behave(request: AnyRequest, relay: FromPath[str], faces: GivenFaces) -> BehaviourShape:
    """Tell the chaos relay how to behave; what is not named stays as it is."""
    before = faces.board.relay(relay).chaos
    if before is None:
        raise NotFound("chaos relay", relay)
    status = _behaviour(await read_object(request), before)
    return BehaviourShape.of(await faces.desk.set_chaos(status, actor_of(request, API)))


def router() -> Router:
    """The routes of this module that are no pages."""
    return Router("/", route_handlers=[resume_sender, behave])


def _domain(fields: dict[str, object]) -> str:
    problems = _strangers(fields, ("domain",))
    given = fields.get("domain")
    if given is None:
        problems.append(Problem("domain", "is required: the domain of the From addresses that may send again"))
        raise (MissingFields if len(problems) == 1 else InvalidMessage)(tuple(problems))
    if not (isinstance(given, str) and 0 < len(given) <= _LONGEST_DOMAIN and given.isprintable()):
        problems.append(Problem("domain", f"must be a domain of at most {_LONGEST_DOMAIN} characters"))
    if problems:
        raise InvalidMessage(tuple(problems))
    return str(given).lower().strip()


def _behaviour(fields: dict[str, object], before: ChaosStatus) -> ChaosStatus:
    """`before` with what is given. The limits of each number are those of the relay itself."""
    problems = _strangers(fields, ChaosStatus.__struct_fields__)
    given: dict[str, float] = {}
    for name, value in fields.items():
        if name not in ChaosStatus.__struct_fields__ or value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            what = "seconds" if name == "delay" else "from 0 to 1"
            problems.append(Problem(name, f"must be a number, {what}"))
        else:
            given[name] = float(value)
    if problems:
        raise InvalidMessage(tuple(problems))
    return replace(before, **given)


def _strangers(fields: dict[str, object], allowed: tuple[str, ...]) -> list[Problem]:
    hint = f"is not a field of this request; the fields are {', '.join(allowed)}"
    return [Problem(shown(name), hint) for name in fields if name not in allowed]
