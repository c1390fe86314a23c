"""`/relays` and `/relays/{relay}`: how each relay stands, what happened to it, and what can be done about it."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect
from litestar.types import ControllerRouterHandler

from emailhub.core import chaos
from emailhub.core.breaker import Mode
from emailhub.core.errors import InvalidMessage, NotFound, Problem
from emailhub.core.status import ChaosStatus
from emailhub.engine.gate import Area
from emailhub.web import relays as answers
from emailhub.web.faces import GivenFaces, actor_of
from emailhub.web.pages import speed, story
from emailhub.web.pages.flash import Flash
from emailhub.web.pages.form import read_form
from emailhub.web.pages.paper import GivenPaper
from emailhub.web.pages.standing import relay_events, relay_view
from emailhub.web.visit import AnyRequest, visit

_SHOWN = 20
_COUNTED = 10_000
"""So many waiting messages are counted; a page must not take longer because more wait."""
_REASON = 200
_LONGEST = 7 * 86400.0
_LONGEST_DOMAIN = 253
_NUMBER = re.compile(r"\d{1,6}(\.\d{1,6})?")


_SAID = {
    Mode.OPEN: Flash("warn", "The relay is paused: nothing is handed to it until the pause ends."),
    Mode.CLOSED: Flash("info", "The breaker is forced closed: failures do not open it."),
    Mode.AUTO: Flash("ok", "The breaker decides by itself again."),
}


@get("/relays", name="relays", include_in_schema=False)
async def relays(request: AnyRequest, faces: GivenFaces, paper: GivenPaper) -> Response[Any]:
    """All relays side by side."""
    if visit(request).area is Area.API:
        return answers.all_relays(faces)
    now, found = faces.now(), answers.ordered(faces.board.relays())
    views = [relay_view(one, await relay_events(faces, one.name), now, found) for one in found]
    return await paper.page(request, "relays/list.html", section="/relays", watch="all", relays=views)


@get("/relays/{relay:str}", name="relay", include_in_schema=False)
async def one_relay(request: AnyRequest, faces: GivenFaces, paper: GivenPaper, relay: FromPath[str]) -> Response[Any]:
    """One relay."""
    if visit(request).area is Area.API:
        return answers.one_relay(faces, relay)
    status = faces.board.relay(relay)
    events = await relay_events(faces, relay)
    attempts = await faces.history.relay_attempts(relay, speed.RECENT)
    return await paper.page(
        request,
        "relays/relay.html",
        section="/relays",
        watch="all",
        relay=relay_view(status, events, faces.now(), faces.board.relays()),
        history=story.tell_relay(events[:_SHOWN]),
        waiting=await faces.history.waiting_at(relay, _COUNTED),
        counted_to=_COUNTED,
        sender=faces.intake.defaults.sender.address,
        speed=speed.of(attempts),
        measured=len(attempts),
        last=story.tell_attempt(attempts[0], faces.now(), open=True) if attempts else None,
    )


@post("/relays/{relay:str}/breaker", name="force_breaker", status_code=303, include_in_schema=False)
async def force(request: AnyRequest, faces: GivenFaces, paper: GivenPaper, relay: FromPath[str]) -> Redirect:
    """Set the breaker by hand."""
    form = await read_form(request)
    mode, note = _asked(form)
    # The button of the first page leads back to it.
    here = "/" if form.get("back") == "/" else f"/relays/{quote(relay)}"
    if mode is None:
        return paper.onward(here, Flash("bad", "Choose what the breaker shall do: open, closed or auto."))
    if mode is not Mode.AUTO and not note:
        return paper.onward(here, Flash("bad", "Say why: whoever looks at this next wants to know."))
    before = faces.board.relay(relay).breaker
    until = _until(form.get("for", ""), faces.now())
    await faces.desk.force(relay, mode, actor=actor_of(request, "dashboard"), note=note, until=until)
    return paper.onward(here, _PROBED if before.mode is mode is Mode.AUTO else _SAID[mode])


@post("/relays/{relay:str}/sender", name="resume_sender", status_code=303, include_in_schema=False)
async def resume(request: AnyRequest, faces: GivenFaces, paper: GivenPaper, relay: FromPath[str]) -> Redirect:
    """Let a suspended sender send again."""
    faces.board.relay(relay)
    here = f"/relays/{quote(relay)}"
    domain = (await read_form(request)).get("domain", "")[:_LONGEST_DOMAIN]
    try:
        await faces.desk.resume_sender(relay, domain, actor_of(request, "dashboard"))
    except NotFound:
        return paper.onward(
            f"/relays/{quote(relay)}", Flash("warn", f"Nothing was changed: {domain} is not suspended.")
        )
    said = f"Mail from {domain} may go again. If the relay still refuses it, it is suspended once more."
    return paper.onward(here, Flash("ok", said))


@post("/relays/{relay:str}/chaos", name="set_chaos", status_code=303, include_in_schema=False)
async def behave(request: AnyRequest, faces: GivenFaces, paper: GivenPaper, relay: FromPath[str]) -> Redirect:
    """Tell the chaos relay how to behave."""
    if faces.board.relay(relay).chaos is None:
        raise NotFound("chaos relay", relay)
    here = f"/relays/{quote(relay)}"
    try:
        status = _behaviour(await read_form(request))
        await faces.desk.set_chaos(status, actor_of(request, "dashboard"))
    except InvalidMessage as error:
        return paper.onward(here, Flash("bad", f"Nothing was changed: {error}."))
    return paper.onward(here, Flash("ok", f"From the next message on: {chaos.words(status)}."))


_SHARES = ("transient", "permanent", "drop", "slow")


def _behaviour(form: dict[str, str]) -> ChaosStatus:
    """From per cent and seconds. Raises InvalidMessage."""
    problems, given = list[Problem](), {}
    for name in (*_SHARES, "delay"):
        text = form.get(name, "").strip().removesuffix("%" if name in _SHARES else "s").replace(",", ".")
        if not _NUMBER.fullmatch(text.strip()):
            problems.append(Problem(name, "must be a number"))
            continue
        given[name] = float(text) / 100 if name in _SHARES else float(text)
    if problems:
        raise InvalidMessage(tuple(problems))
    return ChaosStatus(**given)


def _asked(form: dict[str, str]) -> tuple[Mode | None, str]:
    mode = next((mode for mode in Mode if mode == form.get("state")), None)
    return mode, " ".join(form.get("reason", "").split())[:_REASON]


_PROBED = Flash("info", "The relay is tried now: one message that is due goes first, or a log-in when none is.")


def _until(seconds: str, now: float) -> float | None:
    number = seconds.isascii() and seconds.isdecimal() and len(seconds) < 10
    return now + min(float(seconds), _LONGEST) if number else None


HANDLERS: tuple[ControllerRouterHandler, ...] = (relays, one_relay, force, resume, behave)
