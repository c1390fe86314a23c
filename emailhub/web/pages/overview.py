"""`/`: is mail flowing, how much, and what happened last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from litestar import Response, get
from litestar.types import ControllerRouterHandler
from msgspec import Struct

from emailhub.core.causes import Cause, grouped
from emailhub.core.delivery import State
from emailhub.core.records import Event, Filter
from emailhub.web.faces import Faces, GivenFaces
from emailhub.web.pages import charts, words
from emailhub.web.pages.chart import SPANS
from emailhub.web.pages.paper import GivenPaper
from emailhub.web.pages.standing import relay_events, relay_view
from emailhub.web.relays import ordered
from emailhub.web.visit import AnyRequest

_ROWS = 8
_HOUR = 3600.0
_MARKS = 6
_CAUSES = 5
_TEXTS = 2_000
"""So many different texts are grouped to causes."""
_BESIDE = 2
"""So many relays stand beside the chart; more stand side by side below it."""
_MARKED = {
    "breaker_opened": ("breaker opened", "bad"),
    "breaker_closed": ("breaker closed", "ok"),
    "relay_returned": ("carries its own mail again", "ok"),
}


class Hour(Struct, frozen=True):
    """Counts of the last hour, and of the one before."""

    sent: int
    failed: int
    sent_before: int


@get("/", name="overview", include_in_schema=False)
async def overview(request: AnyRequest, faces: GivenFaces, paper: GivenPaper) -> Response[str]:
    """The first page."""
    now, history, board = faces.now(), faces.history, faces.board
    relays = [relay for relay in ordered(board.relays()) if board.capturing or not relay.captures]
    span = SPANS.get(request.query_params.get("span", ""), SPANS["1h"])
    events = {relay.name: await relay_events(faces, relay.name) for relay in relays}
    hour, until = await _hour(faces), _after(now, span.step)
    causes = await _causes(faces, span.seconds)
    minutes = await history.minutes(until - span.seconds, until, span.step)
    totals = await history.totals()
    latest = await history.page(Filter(), before=None, after=None, limit=_ROWS)
    return await paper.page(
        request,
        "overview.html",
        section="/",
        watch="all",
        hour=hour,
        against=words.against(hour.sent, hour.sent_before, "the hour before"),
        totals=totals,
        deferred=totals.by_state.get(State.DEFERRED, 0),
        waiting_in=_waiting(totals.by_state),
        latency=await history.latency(now - _HOUR),
        causes=causes,
        hour_causes=(causes if span.seconds == _HOUR else await _causes(faces, _HOUR))[:1],
        throughput=charts.throughput(span, minutes, marks(events, until - span.seconds)),
        failures=charts.failures(span, minutes),
        times=charts.times(span, await history.timings(until - span.seconds, until, span.step)),
        spans=tuple(SPANS.values()),
        relays=[relay_view(relay, events[relay.name], now, relays) for relay in relays],
        wide=len(relays) > _BESIDE,
        rabbit=board.rabbit(),
        latest=latest.items,
    )


async def _hour(faces: Faces) -> Hour:
    until = _after(faces.now(), 60)
    minutes = await faces.history.minutes(until - 2 * _HOUR, until, 60)
    late = [minute for minute in minutes if minute.at >= until - _HOUR]
    early = [minute for minute in minutes if minute.at < until - _HOUR]
    return Hour(sum(m.sent for m in late), sum(m.failed for m in late), sum(m.sent for m in early))


async def _causes(faces: Faces, seconds: float) -> tuple[Cause, ...]:
    return grouped(await faces.history.causes(faces.now() - seconds, _TEXTS), _CAUSES)


def _after(now: float, step: float) -> float:
    """The end of the bucket that is running."""
    return now - now % step + step


def _waiting(by_state: Mapping[State, int]) -> State:
    """Where most of the waiting messages are: what the number of them links to."""
    candidates = (State.DEFERRED, State.QUEUED, State.SENDING, State.SCHEDULED, State.HELD)
    return max(candidates, key=lambda state: by_state.get(state, 0))


def marks(events: Mapping[str, Sequence[Event]], since: float) -> list[tuple[float, str, str]]:
    """The latest turns of the breakers; with several relays each says whose it was."""
    found = []
    for name, happened in events.items():
        last: dict[str, str] = {}
        for event in reversed(happened):
            (text, tone), of = _mark(event), event.kind.partition("_")[0]
            # A probe that fails opens the breaker anew, and a restart tells again who carries: that is no news.
            if text and event.at >= since and text != last.get(of):
                found.append((event.at, f"{name}: {text}" if len(events) > 1 else text, tone))
            if text or event.kind == "breaker_auto":
                last[of] = text
    return sorted(found)[-_MARKS:]


def _mark(event: Event) -> tuple[str, str]:
    if event.kind == "breaker_forced" and event.data.get("mode") == "open":
        return ("paused", "warn")
    if event.kind == "relay_covered":
        return (f"carried by {event.data.get('by') or 'another relay'}", "warn")
    return _MARKED.get(event.kind, ("", ""))


HANDLERS: tuple[ControllerRouterHandler, ...] = (overview,)
