"""One measurement of one case: start the line, warm it, send, wait for the last arrival, and check every one."""

from __future__ import annotations

import subprocess
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.line import Case, Line, Place
from bench.messages import address
from bench.processes import Sink, sink
from bench.rabbit import Rabbit
from bench.told import Told

_WARM_UP = 200
_SETTLE = 0.5
"""Seconds after the last arrival, in which the line records the last results."""


@dataclass
class Run:
    """What one measurement found. Times in milliseconds, CPU times a message.

    `rate`: messages a second from the first handed over to the last arrival. `cpu` is the line's own, `caller` the load
    generator's, `broker` its queue's, `server` the sink's. `memory` in MB, the most each process had.
    """

    rate: float
    cpu: float
    caller: float = 0.0
    broker: float = 0.0
    server: float = 0.0
    memory: float = 0.0
    accept: list[float] = field(default_factory=list)
    to_server: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class _Used:
    """CPU seconds so far."""

    line: float
    broker: float
    server: float

    @classmethod
    def by(cls, line: Line, server: Sink) -> _Used:
        return cls(line.cpu, line.broker_cpu, server.cpu)


def measure(case: Case, count: int, rabbit: Rabbit, folder: Path) -> Run:
    """Send `count` messages and wait for the last.

    Raises RuntimeError, with the end of the line's log, when one is missing, arrives twice or is refused.
    """
    with (
        sink(case.latency, chunking=case.chunking) as server,
        tempfile.TemporaryDirectory(dir=folder) as name,
    ):
        place = Place(server.port, Path(name), rabbit.url() if case.rabbitmq else "")
        try:
            with case.start(place) as line:
                return _measure(count, line, server)
        except (RuntimeError, TimeoutError, subprocess.CalledProcessError) as error:
            log = place.folder / "log"
            said = log.read_text(errors="replace")[-2000:] if log.exists() else ""
            raise RuntimeError(f"{case.label}: {error}\n{said}") from error


def _measure(count: int, line: Line, server: Sink) -> Run:
    line.send(0, _WARM_UP)
    server.wait_for(_WARM_UP, 60)
    server.reset()
    before = _Used.by(line, server)
    told = line.send(_WARM_UP, count)
    server.wait_for(count, 30 + count / 20)
    time.sleep(_SETTLE)
    used, memory = _Used.by(line, server), line.peak_memory
    report = server.report(whole=True)
    check(report, range(_WARM_UP, _WARM_UP + count), told)
    if not line.pids():
        used, told = replace(used, line=before.line + told.cpu), replace(told, cpu=0.0)

    def each(seconds: float) -> float:
        return 1000 * seconds / count

    return Run(
        rate=count / (report["last"] - told.begun),
        cpu=each(used.line - before.line),
        caller=each(told.cpu),
        broker=each(used.broker - before.broker),
        server=each(used.server - before.server),
        memory=memory,
        accept=[1000 * seconds for seconds in told.latencies],
        to_server=[1000 * (report["arrivals"][address(number)][0] - at) for number, at in told.sent.items()],
    )


def check(report: dict[str, Any], numbers: range, told: Told) -> None:
    """Raises RuntimeError unless each of the messages arrived once, and none was refused."""
    arrivals = [len(report["arrivals"].get(address(number), ())) for number in numbers]
    missing, twice = arrivals.count(0), sum(times > 1 for times in arrivals)
    if missing or twice or told.wrong:
        raise RuntimeError(
            f"of {len(numbers)} messages {missing} are missing, {twice} arrived twice, {told.wrong} were refused"
        )
