"""The three charts of the first page: how much was sent, what went wrong, and how long it took."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from emailhub.core.figures import Minute
from emailhub.core.spread import Timings
from emailhub.web.pages import words
from emailhub.web.pages.chart import Chart, Curve, Scale, Span, count_scale, draw, time_scale

_Of = Callable[[Minute], int]
_ACCEPTED: tuple[str, _Of] = ("accepted", lambda minute: minute.accepted)
_SENT: tuple[str, _Of] = ("sent", lambda minute: minute.sent)
_DEFERRED: tuple[str, _Of] = ("deferred", lambda minute: minute.deferred)
_FAILED: tuple[str, _Of] = ("failed", lambda minute: minute.failed)


def throughput(span: Span, minutes: Sequence[Minute], events: Sequence[tuple[float, str, str]] = ()) -> Chart:
    """Accepted and sent; `events` are marked on it."""
    curves = [_counts(*_ACCEPTED, minutes), _counts(*_SENT, minutes, filled=True)]
    summary = _summary(span, curves, minutes, _SENT)
    return draw("throughput", "Throughput", span, minutes[0].at, curves, _scale(curves), summary, events)


def failures(span: Span, minutes: Sequence[Minute]) -> Chart:
    """Deferred and failed, on their own scale: beside what was sent a few of them would not be seen."""
    curves = [_counts(*_DEFERRED, minutes), _counts(*_FAILED, minutes, filled=True)]
    summary = _summary(span, curves, minutes, _FAILED)
    return draw("failures", "Failures", span, minutes[0].at, curves, _scale(curves), summary)


def times(span: Span, timings: Timings) -> Chart:
    """From acceptance to sent: the median, and what 95 of 100 messages stayed within."""
    steps, whole = timings.steps, timings.whole
    curves = [
        _times("p50", [one.p50 for one in steps], whole.p50),
        _times("p95", [one.p95 for one in steps], whole.p95),
    ]
    known = [value for curve in curves for value in curve.values if value is not None] or [0.01, 1.0]
    summary = f"Nothing was sent in the last {span.label}."
    if whole.p50 is not None and whole.p95 is not None:
        summary = (
            f"In the last {span.label} half of the messages were sent within {words.duration(whole.p50)}, "
            f"95 % within {words.duration(whole.p95)}. Ranked to within a fifth."
        )
    return draw("times", "Time to send", span, steps[0].at, curves, time_scale(min(known), max(known)), summary)


def _counts(name: str, of: _Of, minutes: Sequence[Minute], *, filled: bool = False) -> Curve:
    values = [of(minute) for minute in minutes]
    return Curve(name, tuple(values), tuple(map(words.number, values)), words.number(sum(values)), filled)


def _times(name: str, values: Sequence[float | None], whole: float | None) -> Curve:
    shown = tuple("–" if value is None else words.duration(value) for value in values)
    return Curve(name, tuple(values), shown, "–" if whole is None else words.duration(whole))


def _scale(curves: Sequence[Curve]) -> Scale:
    return count_scale(max(value or 0 for curve in curves for value in curve.values))


def _summary(span: Span, curves: Sequence[Curve], minutes: Sequence[Minute], most: tuple[str, _Of]) -> str:
    name, of = most
    if not any(value for curve in curves for value in curve.values):
        return f"Nothing was {' or '.join(curve.name for curve in curves)} in the last {span.label}."
    told = f"In the last {span.label}: {', '.join(f'{curve.total} {curve.name}' for curve in curves)}."
    peak = max(minutes, key=of)
    if not of(peak):
        return told
    at = words.clock(peak.at, "full")
    return f"{told} Most {name} in one step: {words.number(of(peak))} at {at} UTC."
