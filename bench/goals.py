"""What emailhub must reach: figures of its own, and ratios to the peers measured in the same run."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.accepting import Accepting
from bench.figures import Figures
from bench.measure import Run

_MOST_AT_20_MS = 50 / (2 * 0.020)
"""Messages a second over 50 connections when a message takes two turns of 20 ms."""
_POSTFIX = ("postfix", "postfix-tuned")
_CELERY = ("celery-prefork", "celery-threads")
Results = Mapping[str, list[Run]]


@dataclass(frozen=True)
class Goal:
    """`value` is None when something it needs was not measured."""

    what: str
    wanted: float
    unit: str
    value: float | None
    at_most: bool = False

    @property
    def reached(self) -> str:
        if self.value is None:
            return "not measured"
        return "yes" if (self.value <= self.wanted if self.at_most else self.value >= self.wanted) else "no"


def goals(results: Results, figures: Figures | None, accepting: Sequence[Accepting] = ()) -> list[Goal]:
    """All of them, in the order of the report."""
    ours = (*_own(results), *_accepting(accepting), *_states(figures or Figures()))
    return [*_against_peers(results), *_engine(results), *ours]


def _against_peers(results: Results) -> Iterator[Goal]:
    def times(what: str, wanted: float, ours: str, *theirs: str) -> Goal:
        return Goal(what, wanted, "×", _ratio(results, _rate, ours, *theirs))

    yield times("HTTP → sent against the faster Postfix", 2.5, "http", *_POSTFIX)
    yield times("HTTP → sent against the faster Celery + smtplib", 5.0, "http", *_CELERY)
    yield times("HTTP → sent against BullMQ + nodemailer", 1.5, "http", "bullmq")
    yield times("HTTP → sent through RabbitMQ against without", 0.85, "handoffs", "http")
    yield times("AMQP → sent against the faster Celery + smtplib", 4.0, "amqp", *_CELERY)
    yield times("AMQP → sent against BullMQ + nodemailer", 1.4, "amqp", "bullmq")
    yield Goal(
        f"HTTP → sent at 20 ms, of the {_MOST_AT_20_MS:,.0f}/s that 50 connections can carry", 95.0, "%",
        _median(results, "http-20", lambda run: 100 * run.rate / _MOST_AT_20_MS),
    )  # fmt: skip


def _engine(results: Results) -> Iterator[Goal]:
    def times(what: str, wanted: float, of: Callable[[Run], float], ours: str, theirs: str) -> Goal:
        return Goal(what, wanted, "×", _ratio(results, of, ours, theirs))

    plain, slow = "aiosmtplib", "aiosmtplib-20"
    yield times("engine: messages per CPU second against aiosmtplib", 5.0, lambda run: 1 / run.cpu, "engine", plain)
    yield times("engine at 20 ms with DATA: rate against aiosmtplib", 1.9, _rate, "engine-20", slow)
    yield times("engine at 20 ms with BDAT: rate against aiosmtplib", 3.5, _rate, "engine-bdat-20", slow)


def _own(results: Results) -> Iterator[Goal]:
    def most(what: str, wanted: float, key: str, of: Callable[[Run], float]) -> Goal:
        return Goal(what, wanted, "ms", _median(results, key, of), at_most=True)

    yield most("CPU per message, HTTP → sent", 0.55, "http", lambda run: run.cpu)
    yield most("accept p50 at 200/s", 4.0, "http-200", lambda run: percentile(run.accept, 50))
    yield most("accept p99 at 200/s", 10.0, "http-200", lambda run: percentile(run.accept, 99))
    yield most("accept p99 at 500/s", 25.0, "http-500", lambda run: percentile(run.accept, 99))


def _states(figures: Figures) -> Iterator[Goal]:
    yield Goal("rate with the long queue against the short one", 90.0, "%", _percent(figures.waiting))
    yield Goal("rate with the long history against none", 90.0, "%", _percent(figures.history))
    yield Goal("peak memory with the long queue", 150.0, "MB", figures.memory, at_most=True)
    yield Goal("CPU of a hub with nothing to do", 0.5, "% of a core", figures.idle, at_most=True)


def _accepting(rows: Sequence[Accepting]) -> Iterator[Goal]:
    by_title = {row.title: row for row in rows}

    def most(what: str, wanted: float, title: str, of: Callable[[Accepting], float]) -> Goal:
        row = by_title.get(title)
        return Goal(what, wanted, "ms", of(row) if row else None, at_most=True)

    yield most("the hub's CPU for a request with html and text", 0.35, "html and text", lambda row: row.cpu)
    yield most("the hub's CPU for a request with 1 MB attached", 25.0, "1 MB attachment", lambda row: row.cpu)
    for title in ("25 MiB of MIME", "17 MB of html", "a batch of 100 with long headers"):
        yield most(f"longest standstill for {title}", 20.0, title, lambda row: row.stall)


def percentile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def _rate(run: Run) -> float:
    return run.rate


def _median(results: Results, key: str, of: Callable[[Run], float]) -> float | None:
    runs = results.get(key)
    return statistics.median(map(of, runs)) if runs else None


def _ratio(results: Results, of: Callable[[Run], float], ours: str, *theirs: str) -> float | None:
    """The median of the ratios of each round, because the machine drifts; to the best of several peers."""
    rounds = zip(*(results[key] for key in theirs if results.get(key)), strict=True)
    best = [max(map(of, runs)) for runs in rounds]
    if not best or not results.get(ours):
        return None
    return statistics.median(of(run) / peer for run, peer in zip(results[ours], best, strict=True))


def _percent(rates: Mapping[int, list[float]]) -> float | None:
    """What the larger outbox reaches of the smaller one's rate."""
    if not rates:
        return None
    small, large = (rates[size] for size in sorted(rates))
    return 100 * statistics.median(two / one for one, two in zip(small, large, strict=True))
