"""A relay's last 24 hours as pieces of a bar, from its breaker's events."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeAlias

from msgspec import Struct

from emailhub.core.breaker import Mode, Phase, Snapshot
from emailhub.core.records import Event
from emailhub.web.pages import words

DAY = 86400.0
_THINNEST = 0.5
_Look: TypeAlias = tuple[str, str]
_CLOSED: _Look = ("ok", "closed")
_NOT_KNOWN: _Look = ("neutral", "not known")
_MODES = {Mode.OPEN: ("warn", "paused"), Mode.CLOSED: ("info", "forced closed")}
_PHASES = {Phase.CLOSED: _CLOSED, Phase.OPEN: ("bad", "open"), Phase.HALF_OPEN: ("warn", "probing")}


class Piece(Struct, frozen=True):
    """A stretch of time in one state: its beginning and width in per cent, its tone, its word, its length."""

    left: float
    width: float
    tone: str
    word: str
    lasted: str


def look(phase: str, mode: str) -> _Look:
    """Tone and word of a breaker in this phase and mode; a forced mode hides the phase."""
    try:
        return _MODES.get(Mode(mode)) or _PHASES[Phase(phase)]
    except ValueError:
        return _NOT_KNOWN


def pieces(current: Snapshot, events: Sequence[Event], now: float, *, whole: bool = True) -> tuple[Piece, ...]:
    """The bar. `events` are the relay's breaker events, newest first; `whole` says that there are no older ones.

    Each event says what state it led to, so the last one before the window tells how the window begins. A breaker is
    closed until something happens to it.
    """
    begin = now - DAY
    turns = [(event.at, _after(event)) for event in reversed(events)]
    before = [which for at, which in turns if at <= begin]
    first = before[-1] if before else _CLOSED if whole else _NOT_KNOWN
    inside = [(begin, first), *((at, which) for at, which in turns if begin < at <= now)]
    inside.append((now, look(current.phase, current.mode)))
    return tuple(_piece(since, until, which, begin) for since, until, which in _merged(inside) if until > since)


def _after(event: Event) -> _Look:
    return look(str(event.data.get("phase", "")), str(event.data.get("mode", "auto")))


def _merged(turns: Sequence[tuple[float, _Look]]) -> list[tuple[float, float, _Look]]:
    """From when until when in which state; neighbouring stretches in the same state are one."""
    kept = [turns[0]]
    kept += [turn for before, turn in pairwise(turns[:-1]) if turn[1] != before[1]]
    kept.append(turns[-1])
    return [(since, until, which) for (since, which), (until, _) in pairwise(kept)]


def _piece(since: float, until: float, which: _Look, begin: float) -> Piece:
    left = 100 * (since - begin) / DAY
    # Half a minute of trouble in a day is a third of a pixel; it must be seen all the same, and calm not cover it.
    width = max(100 * (until - since) / DAY, 0.0 if which == _CLOSED else _THINNEST)
    return Piece(round(min(left, 100 - width), 3), round(width, 3), which[0], which[1], words.coarse(until - since))
