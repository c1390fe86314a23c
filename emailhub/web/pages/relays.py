"""`/relays` and `/relays/{name}`: how each relay stands, what its breaker did, and setting it by hand."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect
from litestar.types import ControllerRouterHandler
from msgspec import Struct

from emailhub.core.breaker import Mode, Phase, Snapshot
from emailhub.core.records import Event
from emailhub.core.status import RelayStatus
from emailhub.web.faces import Faces, GivenFaces, actor_of
from emailhub.web.pages import story, strip, words
from emailhub.web.pages.flash import Flash
from emailhub.web.pages.form import read_form
from emailhub.web.pages.paper import GivenPaper
from emailhub.web.visit import AnyRequest

_EVENTS = 200
_SHOWN = 20
_REASON = 200
_LONGEST = 7 * 86400.0


class RelayView(Struct, frozen=True):
    """A relay as the pages show it: its status in words. `since` is 0.0 when it stands so since the start."""

    status: RelayStatus
    since: float
    line: str
    strip: tuple[strip.Piece, ...]
    tone: str
    headline: str
    sentence: str


async def relay_events(faces: Faces, name: str) -> tuple[Event, ...]:
    """The relay's latest breaker events, newest first."""
    return await faces.history.relay_events(name, _EVENTS)


def relay_view(relay: RelayStatus, events: Sequence[Event], now: float) -> RelayView:
    """The relay in words."""
    tone, headline, sentence = _stands(relay)
    bar = strip.pieces(relay.breaker, events, now, whole=len(events) < _EVENTS)
    return RelayView(relay, _since(relay.breaker, events), _line(relay, now), bar, tone, headline, sentence)


def _since(breaker: Snapshot, events: Sequence[Event]) -> float:
    """When the trouble, the pause or the calm began; a probe that failed has ended no trouble."""
    since = breaker.since
    if breaker.mode is not Mode.AUTO or breaker.phase is Phase.CLOSED:
        return since
    for event in events:
        if event.kind in {"breaker_closed", "breaker_forced"}:
            break
        since = min(since, event.at)
    return since


def _line(relay: RelayStatus, now: float) -> str:
    breaker = relay.breaker
    if breaker.mode is not Mode.AUTO and breaker.note:
        return f"{breaker.note} ({breaker.actor})"
    if breaker.phase is not Phase.CLOSED and breaker.cause:
        return breaker.cause
    if relay.captures:
        return "mail that comes here is kept and sent to nobody"
    last = (
        f"last accepted {words.since(relay.last_sent_at, now)}"
        if relay.last_sent_at
        else "nothing accepted since the start"
    )
    failing = f" · {words.counted(breaker.failures, 'failure')} in a row" if breaker.failures else ""
    return f"{words.counted(relay.pool.open, 'connection')} · {relay.in_flight} being sent · {last}{failing}"


def _stands(relay: RelayStatus) -> tuple[str, str, str]:
    """Tone, headline and sentence of its breaker."""
    breaker = relay.breaker
    if breaker.mode is Mode.OPEN:
        return ("warn", "Paused by hand", "Nothing is handed to this relay. The mail waits, none is lost.")
    if breaker.mode is Mode.CLOSED:
        return ("info", "Forced closed", "Mail flows, and failures do not open the breaker.")
    if breaker.phase is Phase.OPEN:
        text = "The relay is in trouble, so nothing is handed to it. The mail waits, none is lost."
        return ("bad", "The breaker is open", text)
    if breaker.phase is Phase.HALF_OPEN:
        return ("warn", "One probe is on its way", "If the relay takes it, mail flows again.")
    if breaker.failures:
        text = f"Mail flows. {words.counted(breaker.failures, 'failure')} in a row so far; a few more open the breaker."
        return ("warn", "The breaker is closed", text)
    text = "Mail flows. The breaker opens by itself when the relay fails several times in a row."
    return ("ok", "The breaker is closed", text)


_SAID = {
    Mode.OPEN: Flash("warn", "The breaker is forced open: mail waits until you end it."),
    Mode.CLOSED: Flash("info", "The breaker is forced closed: failures do not open it."),
    Mode.AUTO: Flash("ok", "The breaker decides by itself again."),
}


@get("/relays", name="relays", include_in_schema=False)
async def relays(request: AnyRequest, faces: GivenFaces, paper: GivenPaper) -> Response[str]:
    """All relays side by side."""
    now = faces.now()
    views = [relay_view(one, await relay_events(faces, one.name), now) for one in faces.board.relays()]
    return await paper.page(request, "relays/list.html", section="/relays", watch="all", relays=views)


@get("/relays/{name:str}", name="relay", include_in_schema=False)
async def relay(request: AnyRequest, faces: GivenFaces, paper: GivenPaper, name: FromPath[str]) -> Response[str]:
    """One relay."""
    status = faces.board.relay(name)
    events = await relay_events(faces, name)
    view = relay_view(status, events, faces.now())
    history = story.tell_breaker(events[:_SHOWN])
    return await paper.page(request, "relays/relay.html", section="/relays", watch="all", relay=view, history=history)


@post("/relays/{name:str}/breaker", name="force_breaker", status_code=303, include_in_schema=False)
async def force(request: AnyRequest, faces: GivenFaces, paper: GivenPaper, name: FromPath[str]) -> Redirect:
    """Set the breaker by hand."""
    form = await read_form(request)
    mode, note = _asked(form)
    here = f"/relays/{quote(name)}"
    if mode is None:
        return paper.onward(here, Flash("bad", "Choose what the breaker shall do: open, closed or auto."))
    if mode is not Mode.AUTO and not note:
        return paper.onward(here, Flash("bad", "Say why: whoever looks at this next wants to know."))
    before = faces.board.relay(name).breaker
    until = _until(form.get("for", ""), faces.now())
    await faces.desk.force(name, mode, actor=actor_of(request, "dashboard"), note=note, until=until)
    return paper.onward(here, _PROBED if before.mode is mode is Mode.AUTO else _SAID[mode])


def _asked(form: dict[str, str]) -> tuple[Mode | None, str]:
    mode = next((mode for mode in Mode if mode == form.get("state")), None)
    return mode, " ".join(form.get("reason", "").split())[:_REASON]


_PROBED = Flash("info", "The relay is tried now: one message that is due goes first, or a log-in when none is.")


def _until(seconds: str, now: float) -> float | None:
    return now + min(float(seconds), _LONGEST) if seconds.isdigit() and len(seconds) < 10 else None


HANDLERS: tuple[ControllerRouterHandler, ...] = (relays, relay, force)
