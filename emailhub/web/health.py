"""Health for those who restart and route: is the process alive, should it get requests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from litestar import Response, Router, get
from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import astuple

from emailhub.core.breaker import Mode, Phase
from emailhub.core.status import ClockStatus, Link, OutboxStatus, RabbitStatus, RelayStatus
from emailhub.core.template import Broken
from emailhub.engine.flow import clock_trouble
from emailhub.web.faces import Faces, GivenFaces
from emailhub.web.visit import AnyRequest, visit

DEAD_LAG = 30.0
"""Seconds the event loop may be late before the process counts as hanging."""

Level = Literal["ok", "degraded", "down"]
_WELL = frozenset({Link.OFF, Link.CONSUMING})


class Part(Struct, frozen=True):
    """One part: how it stands, and for callers with credentials a sentence about it."""

    status: Level
    detail: str | UnsetType = UNSET


class Parts(Struct, frozen=True):
    """What emailhub consists of and depends on."""

    outbox: Part
    rabbitmq: Part
    relay: Part
    templates: Part
    clock: Part


class Live(Struct, frozen=True):
    """Whether the event loop runs; `loop_lag` in seconds."""

    status: Literal["ok", "hanging"]
    loop_lag: float


class Ready(Struct, frozen=True):
    """Whether requests should be sent here: `down` means no. A missing RabbitMQ or relay only makes it `degraded`."""

    status: Level
    parts: Parts
    stopping: bool = False


@get("/health/live")
async def live(faces: GivenFaces) -> Response[Live]:
    """200 while the event loop runs."""
    lag = faces.board.loop_lag
    hanging = lag > DEAD_LAG
    return Response(Live("hanging" if hanging else "ok", round(lag, 3)), status_code=503 if hanging else 200)


@get("/health/ready")
async def ready(request: AnyRequest, faces: GivenFaces) -> Response[Ready]:
    """200 when messages can be accepted, else 503; with credentials also why."""
    found = readiness(faces, details=visit(request).caller.trusted)
    down = found.status == "down"
    return Response(found, status_code=503 if down else 200, headers={"Retry-After": "5"} if down else {})


def readiness(faces: Faces, *, details: bool) -> Ready:
    """How the parts stand. Mail is accepted, and kept, as long as the outbox can be written."""
    board = faces.board
    parts = Parts(
        _outbox(board.outbox()),
        _rabbitmq(board.rabbit()),
        _relay(board.relays()),
        _templates(board.broken_templates()),
        _clock(board.clock()),
    )
    status: Level = "ok"
    if any(part.status != "ok" for part in astuple(parts)):
        status = "degraded"
    if board.stopping or parts.outbox.status == "down":
        status = "down"
    return Ready(status, parts if details else _without_details(parts), board.stopping)


def router() -> Router:
    """The routes of this module."""
    return Router("/", route_handlers=[live, ready])


def _outbox(status: OutboxStatus) -> Part:
    if not status.writable:
        return Part("down", status.detail or "cannot be written")
    return Part("down", f"new messages are turned away: {status.lack}") if status.lack else Part("ok", "writable")


def _rabbitmq(status: RabbitStatus) -> Part:
    said = [": ".join(filter(None, (status.link, status.detail))), status.note]
    if status.foreign_consumers:
        said.append(f"{status.foreign_consumers} of the queue's consumers are not ours: part of the mail goes there")
    well = status.link in _WELL and not status.foreign_consumers
    return Part("ok" if well else "degraded", "; ".join(filter(None, said)))


def _relay(relays: tuple[RelayStatus, ...]) -> Part:
    troubled = [trouble for relay in relays for trouble in _troubles(relay)]
    return Part("degraded", "; ".join(troubled)) if troubled else Part("ok", "taking mail")


def _troubles(relay: RelayStatus) -> Iterator[str]:
    breaker = relay.breaker
    stopped = breaker.mode is Mode.OPEN or (breaker.mode is Mode.AUTO and breaker.phase is not Phase.CLOSED)
    if stopped:
        yield f"{relay.name}: {breaker.cause or breaker.note or breaker.phase}"
    if relay.covered_by:
        why = "" if stopped or not relay.covered_why else f": {relay.covered_why}"
        yield f"{', '.join(relay.covered_by)} carries the mail of {relay.name}{why}"
    if relay.suspended:
        yield f"{relay.name} does not let {', '.join(one.domain for one in relay.suspended)} send"


def _templates(broken: tuple[Broken, ...]) -> Part:
    told = [f"{one.label}: {one.reason}" for one in broken]
    return Part("degraded", "; ".join(told)[:1000]) if told else Part("ok", "all can be used")


def _clock(status: ClockStatus) -> Part:
    return Part("degraded", clock_trouble(status)) if status.ahead else Part("ok", "runs evenly")


def _without_details(parts: Parts) -> Parts:
    return Parts(*(Part(part.status) for part in astuple(parts)))
