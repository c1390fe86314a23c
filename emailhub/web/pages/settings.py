"""`/settings`: what the hub runs with and where each value comes from, how its parts stand, and reading it anew."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any

from litestar import Response, get, post
from litestar.response import Redirect
from litestar.types import ControllerRouterHandler

from emailhub.core.errors import BadSettings
from emailhub.core.reloaded import Reloaded
from emailhub.core.setup import Setting
from emailhub.engine.gate import Area
from emailhub.web import settings as answers
from emailhub.web.faces import GivenFaces, actor_of
from emailhub.web.pages import words
from emailhub.web.pages.flash import Flash
from emailhub.web.pages.form import read_form
from emailhub.web.pages.paper import GivenPaper
from emailhub.web.visit import AnyRequest, visit

_REASON = 500
_PARTS = {
    "outbox": "Outbox",
    "rabbitmq": "RabbitMQ",
    "relay": "Relays",
    "templates": "Templates",
    "clock": "Clock",
    "renderer": "Renderer",
    "disk": "Disk",
    "event loop": "Event loop",
}


@get("/settings", name="settings", include_in_schema=False)
async def settings(request: AnyRequest, faces: GivenFaces, paper: GivenPaper) -> Response[Any]:
    """The settings in force: those that somebody set, or all."""
    if visit(request).area is Area.API:
        return await answers.effective(faces)
    setup, everything = await faces.setup(), request.query_params.get("show") == "all"
    shown = [one for one in setup.settings if everything or not one.is_default]
    return await paper.page(
        request,
        "settings.html",
        section="/settings",
        watch="all",
        setup=setup,
        sections=_sections(shown),
        everything=everything,
        counts=(sum(not one.is_default for one in setup.settings), len(setup.settings)),
        waiting=frozenset(change.what for change in (*setup.reloadable, *setup.restart)),
        parts=list(answers.parts(faces)),
        names=_PARTS,
        about=faces.about,
        outbox=faces.board.outbox(),
    )


@post("/settings/reload", name="reload_form", status_code=303, include_in_schema=False)
async def reload(request: AnyRequest, faces: GivenFaces, paper: GivenPaper) -> Redirect:
    """Read the settings again."""
    reason = " ".join((await read_form(request)).get("reason", "").split())[:_REASON]
    try:
        reloaded = await faces.reload(actor_of(request, "dashboard"), reason)
    except BadSettings as refused:
        first = refused.problems[0]
        return paper.onward("/settings", Flash("bad", f"{_sentence(str(refused))} {first.field}: {first.message}."))
    return paper.onward("/settings", _said(reloaded))


def _said(reloaded: Reloaded) -> Flash:
    later = (
        f" {words.counted(len(reloaded.restart), 'change needs', 'changes need')} a restart."
        if reloaded.restart
        else ""
    )
    if not reloaded.applied:
        return Flash("info", f"Read again: nothing that can change while the hub runs has changed.{later}")
    changed = ", ".join(change.what for change in reloaded.applied[:3])
    more = f" and {len(reloaded.applied) - 3} more" if len(reloaded.applied) > 3 else ""
    return Flash("warn" if later else "ok", f"In force now: {changed}{more}.{later}")


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _sections(shown: Iterable[Setting]) -> list[tuple[str, list[Setting]]]:
    return [(name, list(found)) for name, found in groupby(shown, lambda one: one.section)]


HANDLERS: tuple[ControllerRouterHandler, ...] = (settings, reload)
