"""The report: Markdown tables."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable

from bench.accepting import Accepting
from bench.figures import Figures
from bench.goals import Goal, percentile
from bench.line import Case
from bench.measure import Run

_HEAD = """\
| line | SMTP server answers after | messages/s accepted → sent, median (min–max) | accept p50 / p99 ms \
| accept → server p50 / p99 ms | CPU ms/message | caller | broker | server | peak MB |
|---|---|---|---|---|---|---|---|---|---|"""


def rates(rows: Iterable[tuple[Case, list[Run]]]) -> str:
    return "\n".join([_HEAD, *(row(case, runs) for case, runs in rows)])


def row(case: Case, runs: list[Run]) -> str:
    """Medians over the runs, and from where to where the rates were."""
    cells = [
        case.title,
        case.server,
        _spread([run.rate for run in runs]),
        _percentiles([run.accept for run in runs]),
        _percentiles([run.to_server for run in runs]) if case.rate else "–",
        *(_of(runs, of) for of in (lambda run: run.cpu, lambda run: run.caller)),
        *(_of(runs, of) for of in (lambda run: run.broker, lambda run: run.server)),
        f"{max(run.memory for run in runs):.0f}" if runs[0].memory else "–",
    ]
    return f"| {' | '.join(cells)} |"


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):,.0f} ({min(values):,.0f}–{max(values):,.0f})"


def _of(runs: list[Run], of: Callable[[Run], float]) -> str:
    value = statistics.median(map(of, runs))
    return f"{value:.3f}" if value else "–"


def _percentiles(runs: list[list[float]]) -> str:
    if not all(runs):
        return "–"
    p50, p99 = (statistics.median(percentile(one, percent) for one in runs) for percent in (50, 99))
    return f"{p50:.1f} / {p99:.1f}"


def states(figures: Figures) -> str:
    """The rates by what the outbox holds."""
    lines = ["| outbox | messages/s, median (min–max) |", "|---|---|"]
    for size, found in sorted(figures.history.items()):
        lines.append(f"| a history of {size:,} messages | {_spread(found)} |")
    for size, found in sorted(figures.waiting.items()):
        lines.append(f"| {size:,} more waiting | {_spread(found)} |")
    return "\n".join(lines)


def accepting(rows: list[Accepting]) -> str:
    """What a request costs."""
    lines = ["| request | bytes | work ms | CPU ms/request | longest standstill ms |", "|---|---|---|---|---|"]
    return "\n".join(
        [
            *lines,
            *(f"| {one.title} | {one.size:,} | {one.work:.2f} | {one.cpu:.2f} | {one.stall:.1f} |" for one in rows),
        ]
    )


def goals(found: list[Goal]) -> str:
    lines = ["| goal | wanted | found | reached |", "|---|---|---|---|"]
    for goal in found:
        value = "–" if goal.value is None else f"{goal.value:.2f} {goal.unit}"
        bound = "≤" if goal.at_most else "≥"
        lines.append(f"| {goal.what} | {bound} {goal.wanted:g} {goal.unit} | {value} | {goal.reached} |")
    return "\n".join(lines)
