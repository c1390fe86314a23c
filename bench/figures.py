"""What is no rate of an empty outbox: a long history, a long queue, and a hub with nothing to do."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench import processes
from bench.copies import multiply
from bench.hub import hub
from bench.measure import check
from bench.processes import Sink, sink
from bench.rabbit import Rabbit

_TEMPLATES = 100
_WARM_UP = 200
_DRAIN_WARM_UP = 1_000
_DRAINED = 3_000
_COPIES_FROM = 10_000_000
"""The number of the first copied message, far from those that are posted."""
_IDLE_SECONDS = 30.0
_IDLE_AFTER = 5.0
RELAY = "default"


@dataclass
class Figures:
    """Messages a second by what the outbox holds, one for each run; megabytes and percents of one core."""

    history: dict[int, list[float]] = field(default_factory=dict)
    waiting: dict[int, list[float]] = field(default_factory=dict)
    memory: float | None = None
    idle: float | None = None


def take(runs: int, count: int, *, history: int, waiting: int, rabbit: Rabbit, folder: Path) -> Figures:
    """All of them. `history` and `waiting`: how many messages the larger outbox holds; the smaller none, and 1,000."""
    found = Figures()
    with sink(0.0, chunking=False) as server:
        found.idle = _idle(server, rabbit, folder)
        _say(f"idle: {found.idle:.2f} % of a core")
        found.waiting, found.memory = _with_waiting(runs, (min(1_000, waiting), waiting), server, folder)
        found.history = _with_history(runs, count, history, server, folder)
    return found


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _settings(server: Sink) -> dict[str, str]:
    return {"SMTP_PORT": str(server.port)}


@contextmanager
def _outbox(folder: Path, server: Sink, copies: int, *, waiting: bool) -> Iterator[Path]:
    """A folder with an outbox of `copies` messages that wait, or that were sent."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        home = Path(name)
        with hub(home, _settings(server)) as one:
            server.reset()
            if waiting:
                one.ask(f"/breakers/{RELAY}", {"state": "open", "reason": "bench"})
            one.post(0, _TEMPLATES)
            if not waiting:
                server.wait_for(_TEMPLATES, 60)
                time.sleep(1)
        if copies:
            multiply(home / "emailhub.db", copies, first=_COPIES_FROM, history=not waiting)
        yield home


def _with_history(runs: int, count: int, history: int, server: Sink, folder: Path) -> dict[int, list[float]]:
    """Accepted → sent over HTTP, on an outbox of a hundred messages and on one of a long history in turn."""
    rates: dict[int, list[float]] = {0: [], history: []}
    with _outbox(folder, server, 0, waiting=False) as small, _outbox(folder, server, history, waiting=False) as large:
        for run in range(runs):
            for size, home in ((0, small), (history, large)):
                # Each hub's messages have numbers of their own: a known request would not be sent again.
                rates[size].append(_posted(home, server, _TEMPLATES + run * (count + _WARM_UP), count))
                _say(f"{run + 1}/{runs} history of {size:,}: {rates[size][-1]:,.0f}/s")
    return rates


def _posted(home: Path, server: Sink, first: int, count: int) -> float:
    with hub(home, _settings(server)) as one:
        server.reset()
        one.post(first, _WARM_UP)
        server.wait_for(_WARM_UP, 60)
        server.reset()
        told = one.post(first + _WARM_UP, count)
        server.wait_for(count, 30 + count / 20)
        report = server.report(whole=True)
    check(report, range(first + _WARM_UP, first + _WARM_UP + count), told)
    return count / float(report["last"] - told.begun)


def _with_waiting(
    runs: int, sizes: tuple[int, int], server: Sink, folder: Path
) -> tuple[dict[int, list[float]], float]:
    """Messages a second out of a queue in which so many more wait, and the most memory with the longer one, in MB."""
    rates: dict[int, list[float]] = {size: [] for size in sizes}
    memory = 0.0
    for run in range(runs):
        for size in sizes:
            with _outbox(folder, server, size + _DRAINED + _DRAIN_WARM_UP, waiting=True) as home:
                rate, peak = _drained(home, server)
            rates[size].append(rate)
            memory = max(memory, peak)
            _say(f"{run + 1}/{runs} {size:,} waiting: {rate:,.0f}/s, {peak:.0f} MB")
    return rates, memory


def _drained(home: Path, server: Sink) -> tuple[float, float]:
    with hub(home, _settings(server)) as one:
        server.reset()
        one.ask("/")
        one.ask(f"/breakers/{RELAY}", {"state": "auto", "reason": "bench"})
        server.wait_for(_DRAIN_WARM_UP + _DRAINED, 60 + _DRAINED / 20)
        times = _arrivals(server)
        one.ask("/")
        peak = processes.peak_memory([one.pid])
    first, last = times[_DRAIN_WARM_UP - 1], times[_DRAIN_WARM_UP + _DRAINED - 1]
    return _DRAINED / (last - first), peak


def _arrivals(server: Sink) -> list[float]:
    """When each came, in order. Raises RuntimeError when one came twice."""
    arrivals: dict[str, list[float]] = server.report(whole=True)["arrivals"]
    twice = [address for address, times in arrivals.items() if len(times) > 1]
    if twice:
        raise RuntimeError(f"{len(twice)} messages arrived more than once, one is for {twice[0]}")
    return sorted(times[0] for times in arrivals.values())


def _idle(server: Sink, rabbit: Rabbit, folder: Path) -> float:
    """Percent of one core that a hub with no mail uses."""
    broker = {} if rabbit.missing else {"RABBITMQ_URL": rabbit.url()}
    with tempfile.TemporaryDirectory(dir=folder) as name, hub(Path(name), _settings(server) | broker) as one:
        time.sleep(_IDLE_AFTER)
        before = processes.cpu([one.pid])
        time.sleep(_IDLE_SECONDS)
        return 100 * (processes.cpu([one.pid]) - before) / _IDLE_SECONDS
