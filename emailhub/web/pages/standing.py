"""How a relay stands, in words: its breaker, its limits, whom it may carry, and who carries for whom meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from emailhub.core import chaos
from emailhub.core.breaker import Mode, Phase, Snapshot
from emailhub.core.records import Event
from emailhub.core.status import LimitStatus, RelayStatus
from emailhub.web.faces import Faces
from emailhub.web.pages import strip, words

EVENTS = 200
"""So many of a relay's latest events are read; older ones are not shown."""
_TURNS = "breaker_"
_NEAR = 0.8
_SPANS = {1.0: "a second", 60.0: "a minute", 3600.0: "an hour", 86400.0: "a day"}
_LONG = 3600.0
"""Spans this long or longer are an allowance that can be used up; shorter ones only set the pace."""


class LimitView(Struct, frozen=True):
    """A limit as a bar: `used` of `limit` in words, `left`, the `width` of the used part in per cent, its tone."""

    used: str
    left: int
    width: float
    tone: str
    free_at: float | None


class Carry(Struct, frozen=True):
    """One relay carries the mail of another: the `names` of the others, since when (None: not known), and why.

    The reason is told of the one that is carried only: it is that one's trouble.
    """

    names: tuple[str, ...]
    since: float | None
    why: str = ""


class RelayView(Struct, frozen=True, kw_only=True):
    """A relay as the pages show it: its status in words. `since` is 0.0 when it stands so since the start.

    `allowance` is what is left of its longest limit; `full` the limit that holds its mail back; `carried` tells who
    carries its mail, `carries` whose mail it carries.
    """

    status: RelayStatus
    since: float
    line: str
    strip: tuple[strip.Piece, ...]
    tone: str
    headline: str
    sentence: str
    allowance: str = ""
    limits: tuple[LimitView, ...] = ()
    full: LimitView | None = None
    carried: Carry | None = None
    carries: tuple[Carry, ...] = ()
    several: bool = False

    @property
    def senders(self) -> str:
        """Whose mail it may carry."""
        return ", ".join(self.status.domains) or "any sender"


async def relay_events(faces: Faces, name: str) -> tuple[Event, ...]:
    """The relay's latest events, newest first."""
    return await faces.history.relay_events(name, EVENTS)


def relay_view(relay: RelayStatus, events: Sequence[Event], now: float, among: Iterable[RelayStatus] = ()) -> RelayView:
    """The relay in words; `among` are all relays, which tell since when it carries for another."""
    everyone = tuple(among)
    turns = [event for event in events if event.kind.startswith(_TURNS)]
    limits = tuple(_limit(one) for one in relay.limits)
    full = _full(relay.limits)
    tone, headline, sentence = _stands(relay, full)
    return RelayView(
        status=relay,
        since=_since(relay.breaker, turns),
        line=_line(relay, now),
        strip=strip.pieces(relay.breaker, turns, now, whole=len(events) < EVENTS),
        tone=tone,
        headline=headline,
        sentence=sentence,
        allowance=_allowance(relay.limits),
        limits=limits,
        full=full,
        carried=Carry(relay.covered_by, relay.covered_since, relay.covered_why) if relay.covered_by else None,
        carries=tuple(_carry(name, everyone) for name in relay.covers),
        several=sum(not one.captures for one in everyone) > 1,
    )


def span(seconds: float) -> str:
    """The length of time a limit is for: `a day`, `5 min`."""
    return _SPANS.get(seconds) or words.coarse(seconds)


def _limit(one: LimitStatus) -> LimitView:
    share = one.used / one.limit if one.limit else 1.0
    tone = "warn" if one.free_at is not None or share >= _NEAR else "ok"
    used = f"{words.number(one.used)} of {words.number(one.limit)} {span(one.seconds)}"
    return LimitView(used, max(one.limit - one.used, 0), round(min(100 * share, 100.0), 2), tone, one.free_at)


def _full(limits: Iterable[LimitStatus]) -> LimitView | None:
    """The allowance that is used up longest."""
    used_up = [one for one in limits if one.free_at is not None and one.seconds >= _LONG]
    return _limit(max(used_up, key=lambda one: one.free_at or 0.0)) if used_up else None


def _carry(name: str, everyone: Sequence[RelayStatus]) -> Carry:
    for one in everyone:
        if one.name == name:
            return Carry((name,), one.covered_since)
    return Carry((name,), None)


def _since(breaker: Snapshot, turns: Sequence[Event]) -> float:
    """When the trouble, the pause or the calm began; a probe that failed has ended no trouble."""
    since = breaker.since
    if breaker.mode is not Mode.AUTO or breaker.phase is Phase.CLOSED:
        return since
    for event in turns:
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
    if relay.chaos:
        return chaos.words(relay.chaos)
    did = "captured" if relay.captures else "accepted"
    last = (
        f"last {did} {words.since(relay.last_sent_at, now)}" if relay.last_sent_at else f"nothing {did} since the start"
    )
    if relay.captures:
        return last
    failing = f" · {words.counted(breaker.failures, 'failure')} in a row" if breaker.failures else ""
    connections = words.counted(relay.pool.open, "connection")
    return f"{connections} · {relay.in_flight} being sent · {last}{failing}"


def _allowance(limits: Sequence[LimitStatus]) -> str:
    """What is left of the longest span, which is the one that runs out."""
    if not (long := [one for one in limits if one.seconds >= _LONG]):
        return ""
    one = max(long, key=lambda limit: limit.seconds)
    return f"{words.number(max(one.limit - one.used, 0))} of {words.number(one.limit)} {span(one.seconds)} left"


def _stands(relay: RelayStatus, full: LimitView | None) -> tuple[str, str, str]:
    """Tone, headline and sentence: what stops or threatens its mail first."""
    breaker = relay.breaker
    mail = "" if relay.covered_by else " The mail waits, none is lost."
    if breaker.mode is Mode.OPEN:
        return ("warn", "Paused by hand", f"Nothing is handed to this relay.{mail}")
    if breaker.mode is Mode.CLOSED:
        return ("info", "Forced closed", "Mail flows, and failures do not open the breaker.")
    if breaker.phase is Phase.OPEN:
        text = f"The relay is in trouble, so nothing is handed to it.{mail}"
        return ("bad", "The breaker is open", text)
    if breaker.ready:
        text = "The relay lets emailhub in again. The trouble came with mail, so the next message shows if it is over."
        return ("warn", "The next message is the probe", text)
    if breaker.phase is Phase.HALF_OPEN:
        return ("warn", "One probe is on its way", "If the relay takes it, mail flows again.")
    if breaker.failures:
        text = f"Mail flows. {words.counted(breaker.failures, 'failure')} in a row so far; a few more open the breaker."
        return ("warn", "The breaker is closed", text)
    return _well(relay, full, mail)


def _well(relay: RelayStatus, full: LimitView | None, mail: str) -> tuple[str, str, str]:
    """The breaker is closed and nothing failed lately."""
    if full:
        return ("warn", "The limit is reached", f"{full.used} are used up.{mail}")
    if relay.draining:
        text = "No new mail is given to it; what waits for it still goes out. Then it can be taken out of the file."
        return ("info", "Draining", text)
    text = "Mail flows. The breaker opens by itself when the relay fails several times in a row."
    return ("ok", "The breaker is closed", text)
