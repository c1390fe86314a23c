"""The throughput chart as geometry: pure numbers, drawn as SVG by the template.

Curves live in a box of 100 x 100 that the template stretches over the plot; marks and labels are placed in per cent of
it. Nothing is scaled as a picture, so lines stay thin and text keeps its size at every width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import msgspec
from msgspec import Struct

from emailhub.core.records import Minute

GRID = 3
_TEXT_ROWS = 3
_LETTER = 1.5
"""Per cent of the width that a letter takes where the chart is narrow."""
_CLOCK = 6
"""Letters of the time behind a text."""


class Span(Struct, frozen=True):
    """What a chart covers: `seconds` back from now in buckets of `step` seconds; `per` names a bucket."""

    name: str
    label: str
    seconds: int
    step: int
    per: str
    form: str


SPANS = {
    span.name: span
    for span in (
        Span("1h", "1 h", 3600, 60, "minute", "clock"),
        Span("24h", "24 h", 86400, 900, "15 minutes", "clock"),
        Span("7d", "7 d", 7 * 86400, 7200, "2 hours", "day"),
    )
}


class Series(Struct, frozen=True):
    """One curve: its `name` (also its CSS class), the path of its line, and the total it adds up to."""

    name: str
    path: str
    total: int


class Tick(Struct, frozen=True):
    """A grid line or label at `position` per cent; `value` is a count (y) or unix seconds (x)."""

    position: float
    value: float


class Mark(Struct, frozen=True):
    """An event on the time axis: `side` start or end says where its text has room; `row` keeps texts apart.

    `row` is None where no room is left for its text, which then stands below the chart only.
    """

    position: float
    at: float
    text: str
    tone: str
    side: str
    row: int | None


class Chart(Struct, frozen=True):
    """All a template needs to draw it. `area` is the filled shape under the sent curve, `counts` the values as JSON.

    `counts` holds accepted, sent, deferred and failed of each minute, for the script to read out under the pointer.
    """

    span: Span
    series: tuple[Series, ...]
    area: str
    rows: tuple[Tick, ...]
    columns: tuple[Tick, ...]
    minutes: tuple[Minute, ...]
    marks: tuple[Mark, ...]
    counts: str
    peak: Minute
    empty: bool


_NAMES: dict[str, Callable[[Minute], int]] = {
    "accepted": lambda minute: minute.accepted,
    "sent": lambda minute: minute.sent,
    "deferred": lambda minute: minute.deferred,
    "failed": lambda minute: minute.failed,
}


def draw(span: Span, minutes: Sequence[Minute], events: Sequence[tuple[float, str, str]] = ()) -> Chart:
    """The chart of `minutes` (at least one); `events` are (time, text, tone) inside it, oldest first."""
    top = ceiling(max(max(value(minute) for value in _NAMES.values()) for minute in minutes))
    series = tuple(
        Series(name, _path([value(minute) for minute in minutes], top), sum(map(value, minutes)))
        for name, value in _NAMES.items()
    )
    since, until = minutes[0].at, minutes[-1].at + span.step
    sent = next(one.path for one in series if one.name == "sent")
    return Chart(
        span=span,
        series=series,
        area=f"{sent}V100H0Z",
        rows=tuple(Tick(100 * step / GRID, top * (GRID - step) / GRID) for step in range(GRID + 1)),
        columns=tuple(Tick(100 * step / GRID, since + (until - since) * step / GRID) for step in range(GRID + 1)),
        minutes=tuple(minutes),
        marks=_marks(events, since, until),
        counts=msgspec.json.encode([[value(one) for value in _NAMES.values()] for one in minutes]).decode(),
        peak=max(minutes, key=lambda minute: minute.sent),
        empty=not any(one.total for one in series),
    )


def ceiling(highest: int) -> int:
    """The top of the y axis: a multiple of the grid whose lines carry round numbers."""
    scale = 1
    while True:
        for nice in (1, 2, 5):
            if nice * scale * GRID >= highest:
                return nice * scale * GRID
        scale *= 10


def _marks(events: Sequence[tuple[float, str, str]], since: float, until: float) -> tuple[Mark, ...]:
    marks: list[Mark] = []
    taken: list[list[tuple[float, float]]] = [[] for _ in range(_TEXT_ROWS)]
    # The latest first: where there is no room for all, it is the one to be read.
    for at, text, tone in reversed(events):
        position = round(100 * (at - since) / (until - since), 2)
        side, length = "end" if position > 50 else "start", _LETTER * (len(text) + _CLOCK)
        place = (position - length, position) if side == "end" else (position, position + length)
        marks.append(Mark(position, at, text, tone, side, _row(taken, place)))
    return tuple(reversed(marks))


def _row(taken: Sequence[list[tuple[float, float]]], place: tuple[float, float]) -> int | None:
    """The first row in which nothing is in the way, now taken; None when there is none."""
    for number, row in enumerate(taken):
        if all(place[1] <= left or right <= place[0] for left, right in row):
            row.append(place)
            return number
    return None


def _path(values: Sequence[int], top: int) -> str:
    width = 100 / len(values)
    points = [((i + 0.5) * width, 100 - 100 * value / top) for i, value in enumerate(values)]
    points = [(0.0, points[0][1]), *points, (100.0, points[-1][1])]
    slopes = _slopes(points)
    parts = [f"M{points[0][0]:.2f} {points[0][1]:.2f}"]
    for ((x0, y0), m0), ((x1, y1), m1) in pairwise(zip(points, slopes, strict=True)):
        third = (x1 - x0) / 3
        bend = (x0 + third, y0 + m0 * third, x1 - third, y1 - m1 * third, x1, y1)
        parts.append("C" + " ".join(f"{value:.2f}" for value in bend))
    return "".join(parts)


def _slopes(points: Sequence[tuple[float, float]]) -> list[float]:
    """Tangents of a monotone cubic (Fritsch and Carlson): a smooth curve that never overshoots what it connects."""
    secants = [(y1 - y0) / (x1 - x0) for (x0, y0), (x1, y1) in pairwise(points)]
    inner = [0.0 if left * right <= 0 else 2 * left * right / (left + right) for left, right in pairwise(secants)]
    return [secants[0], *inner, secants[-1]]
