"""What every face gets: the engine's verbs, the outbox to read from, the clock. One value, handed in once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

from litestar.di import NamedDependency
from litestar.params import SkipValidation

from emailhub.core.limits import Rate
from emailhub.core.reloaded import Reloaded
from emailhub.core.setup import About, Setup
from emailhub.engine.audit import AuditLog
from emailhub.engine.board import Board
from emailhub.engine.bulk import Bulk
from emailhub.engine.desk import Actor, Desk
from emailhub.engine.gate import Gate
from emailhub.engine.intake import Intake
from emailhub.engine.keyring import Keyring
from emailhub.engine.letters import DeadLetters
from emailhub.engine.live import Live
from emailhub.engine.logins import LogIns
from emailhub.engine.meter import Meter
from emailhub.engine.ports import History
from emailhub.engine.shelf import Shelf
from emailhub.engine.suppression import SuppressionList
from emailhub.engine.users import Users
from emailhub.web.bodies import BODY_BUDGET
from emailhub.web.visit import AnyRequest, visit

__all__ = ["API", "Actor", "Faces", "GivenFaces", "WebOptions", "actor_of"]

API = "http"
"""The face that speaks JSON, as records name it."""


@dataclass(frozen=True, kw_only=True)
class WebOptions:
    """How the faces behave. `body_limit` in bytes, `body_budget` for all bodies together.

    A live stream gets a beat every `heartbeat` seconds.

    `api_rate` holds every caller of the API; without it there is no limit.

    `templates_dir` and `static_dir` are searched before the built-in ones. `notice` stands on top of every page.
    """

    public_url: str | None = None
    body_limit: int = 21 * 2**20
    body_budget: int = BODY_BUDGET
    heartbeat: float = 15.0
    api_rate: tuple[Rate, ...] = ()
    templates_dir: Path | None = None
    static_dir: Path | None = None
    notice: str = ""

    @property
    def prefix(self) -> str:
        """The path the hub lives under, without a slash at its end: "" or "/mail"."""
        return urlsplit(self.public_url).path.rstrip("/") if self.public_url else ""


async def nothing_to_reload(actor: Actor, reason: str) -> Reloaded:  # noqa: ARG001 - the shape of `Faces.reload`
    """For a hub that was given its settings as they are, and from nowhere."""
    return Reloaded()


async def no_setup() -> Setup:
    """For the same hub."""
    return Setup()


@dataclass(frozen=True)
class Faces:
    """Everything the faces work with. `now` is unix seconds (UTC).

    `reload` reads the settings again and applies what changed, for somebody and a reason; raises BadSettings.
    `setup` tells what they are.
    """

    intake: Intake
    desk: Desk
    history: History
    live: Live
    board: Board
    gate: Gate
    meter: Meter
    options: WebOptions
    now: Callable[[], float]
    reload: Callable[[Actor, str], Awaitable[Reloaded]] = nothing_to_reload
    suppressions: SuppressionList = field(kw_only=True)
    shelf: Shelf = field(kw_only=True)
    bulk: Bulk = field(kw_only=True)
    letters: DeadLetters = field(kw_only=True)
    audit: AuditLog = field(kw_only=True)
    users: Users = field(kw_only=True)
    logins: LogIns = field(kw_only=True)
    keyring: Keyring = field(kw_only=True)
    setup: Callable[[], Awaitable[Setup]] = field(kw_only=True, default=no_setup)
    about: About = field(kw_only=True, default=About())


GivenFaces: TypeAlias = NamedDependency[SkipValidation[Faces]]
"""The type of the handler parameter `faces`."""


def actor_of(request: AnyRequest, face: str) -> Actor:
    """Who is behind this request, for the record of what they do."""
    caller = visit(request).caller
    return Actor(caller.name, face, caller.client)
