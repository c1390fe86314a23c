"""A chart as geometry: pure numbers and words, drawn as SVG by the template.

Curves live in a box of 100 x 100 that the template stretches over the plot; marks and labels are placed in per cent of
it. Nothing is scaled as a picture, so lines stay thin and text keeps its size at every width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby, pairwise
from math import log
from typing import TypeAlias

import msgspec
from msgspec import Struct

GRID = 3
_TEXT_ROWS = 3
_LETTER = 1.5
"""Per cent of the width that a letter takes where the chart is narrow."""
_CLOCK = 6
"""Letters of the time behind a text."""
_ROUND_TIMES = (
    (0.001, "1 ms"),
    (0.01, "10 ms"),
    (0.1, "0.1 s"),
    (1.0, "1 s"),
    (10.0, "10 s"),
    (60.0, "1 min"),
    (600.0, "10 min"),
    (3600.0, "1 h"),
    (6 * 3600.0, "6 h"),
    (86400.0, "1 d"),
    (10 * 86400.0, "10 d"),
)
Values: TypeAlias = Sequence[float | None]
_Point: TypeAlias = tuple[float, float]


class Span(Struct, frozen=True):
    """What a chart covers: `seconds` back from now in steps of `step` seconds; `per` names a step."""

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


class Curve(Struct, frozen=True):
    """What is to be drawn: a value for each step, None where there is none; `total` stands for all of them in words.

    `name` is also the CSS class. `shown` are the values as they are read out.
    """

    name: str
    values: tuple[float | None, ...]
    shown: tuple[str, ...]
    total: str
    filled: bool = False


class Series(Struct, frozen=True):
    """A curve as drawn: the path of its line, and of the area under it when that is filled."""

    name: str
    path: str
    area: str
    total: str


class Tick(Struct, frozen=True):
    """A grid line or label at `position` per cent; `value` is unix seconds (x only)."""

    position: float
    label: str = ""
    value: float = 0.0


class Scale(Struct, frozen=True):
    """The y axis: its grid lines, and `place`, the position of a value in per cent from the top."""

    rows: tuple[Tick, ...]
    place: Callable[[float], float]


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
    """All a template needs to draw it. `summary` says the same in words; an `empty` one has nothing to show.

    `counts` holds the values of each step as JSON, for the script to read out; `table` those of every step that has
    any, the latest first, each with its beginning.
    """

    name: str
    title: str
    span: Span
    since: float
    series: tuple[Series, ...]
    rows: tuple[Tick, ...]
    columns: tuple[Tick, ...]
    marks: tuple[Mark, ...]
    counts: str
    table: tuple[tuple[float, tuple[str, ...]], ...]
    summary: str
    empty: bool


def draw(
    name: str,
    title: str,
    span: Span,
    since: float,
    curves: Sequence[Curve],
    scale: Scale,
    summary: str,
    events: Sequence[tuple[float, str, str]] = (),
) -> Chart:
    """The chart of `curves` (of at least one step) from `since` on.

    `events` are (time, text, tone) inside it, oldest first.
    """
    until = since + span.step * len(curves[0].values)
    shown = list(zip(*(curve.shown for curve in curves), strict=True))
    steps = [(since + number * span.step, values) for number, values in enumerate(shown)]
    lively = [any(values) for values in zip(*(curve.values for curve in curves), strict=True)]
    return Chart(
        name=name,
        title=title,
        span=span,
        since=since,
        series=tuple(_series(curve, scale) for curve in curves),
        rows=scale.rows,
        columns=tuple(Tick(100 * step / GRID, value=since + (until - since) * step / GRID) for step in range(GRID + 1)),
        marks=_marks(events, since, until),
        counts=msgspec.json.encode(shown).decode(),
        table=tuple(step for step, some in zip(reversed(steps), reversed(lively), strict=True) if some),
        summary=summary,
        empty=not any(lively),
    )


def count_scale(highest: float) -> Scale:
    """From 0 up, with round numbers on its four grid lines."""
    top = ceiling(int(highest))
    rows = tuple(Tick(100 * step / GRID, f"{top * (GRID - step) // GRID:,}") for step in range(GRID + 1))
    return Scale(rows, lambda value: 100 - 100 * value / top)


def ceiling(highest: int) -> int:
    """The top of a y axis that counts: a multiple of the grid whose lines carry round numbers."""
    scale = 1
    while True:
        for nice in (1, 2, 5):
            if nice * scale * GRID >= highest:
                return nice * scale * GRID
        scale *= 10


def time_scale(lowest: float, highest: float) -> Scale:
    """Lengths of time by their logarithm: a median of milliseconds is read beside a few that waited for an hour."""
    last = next((i for i, (value, _) in enumerate(_ROUND_TIMES) if value >= highest), len(_ROUND_TIMES) - 1)
    last = max(last, GRID)
    first = max((i for i, (value, _) in enumerate(_ROUND_TIMES) if value <= lowest), default=0)
    first = min(first, last - GRID)
    chosen = [_ROUND_TIMES[first + (last - first) * step // GRID] for step in range(GRID + 1)]
    bottom, top = log(chosen[0][0]), log(chosen[-1][0])

    def place(value: float) -> float:
        share = (log(max(value, chosen[0][0])) - bottom) / (top - bottom)
        return 100 - 100 * min(share, 1.0)

    return Scale(tuple(Tick(round(place(value), 2), label) for value, label in reversed(chosen)), place)


def _series(curve: Curve, scale: Scale) -> Series:
    places = [None if value is None else scale.place(value) for value in curve.values]
    path = _path(places)
    return Series(curve.name, path, f"{path}V100H0Z" if curve.filled and path else "", curve.total)


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


def _path(places: Values) -> str:
    """One line for each run of places, half a step longer on both sides, so that a lonely value is seen too."""
    return "".join(_line(points) for points in _runs(places))


def _runs(places: Values) -> Iterator[list[_Point]]:
    width = 100 / len(places)
    for there, run in groupby(enumerate(places), key=lambda one: one[1] is not None):
        if there:
            points = [((i + 0.5) * width, y) for i, y in run if y is not None]
            ends = (points[0][0] - width / 2, points[0][1]), (points[-1][0] + width / 2, points[-1][1])
            yield [ends[0], *points, ends[1]]


def _line(points: list[_Point]) -> str:
    slopes = _slopes(points)
    parts = [f"M{points[0][0]:.2f} {points[0][1]:.2f}"]
    for ((x0, y0), m0), ((x1, y1), m1) in pairwise(zip(points, slopes, strict=True)):
        third = (x1 - x0) / 3
        bend = (x0 + third, y0 + m0 * third, x1 - third, y1 - m1 * third, x1, y1)
        parts.append("C" + " ".join(f"{value:.2f}" for value in bend))
    return "".join(parts)


def _slopes(points: Sequence[_Point]) -> list[float]:
    """Tangents of a monotone cubic (Fritsch and Carlson): a smooth curve that never overshoots what it connects."""
    secants = [(y1 - y0) / (x1 - x0) for (x0, y0), (x1, y1) in pairwise(points)]
    inner = [0.0 if left * right <= 0 else 2 * left * right / (left + right) for left, right in pairwise(secants)]
    return [secants[0], *inner, secants[-1]]
