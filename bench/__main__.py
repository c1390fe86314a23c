"""Measure emailhub and print a Markdown table: `make bench`, or `python -m bench --help`."""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bench import machine
from bench.messages import address
from bench.processes import Hub, Sink, hub, load, sink
from tests.support.rabbit_node import RabbitNode

WARM_UP = 200
HTTP_CONNECTIONS = 32
SETTLE = 0.5
"""Seconds after the last arrival, in which the hub records the last results."""


@dataclass(frozen=True)
class Case:
    """What is measured. `latency` of the SMTP server and `rate` (None: as fast as it goes) per second."""

    name: str
    door: str
    latency: float = 0.0
    rabbitmq: bool = False
    connections: int = 20
    rate: float | None = None

    @property
    def title(self) -> str:
        server = f"{self.latency * 1000:.0f} ms" if self.latency else "instant"
        return f"{self.name} | {server} | {self.connections}"


CASES = [
    Case("HTTP", "http"),
    Case("HTTP", "http", latency=0.02),
    Case("HTTP", "http", latency=0.02, connections=50),
    Case("HTTP, workers fed through RabbitMQ", "http", rabbitmq=True),
    Case("HTTP, workers fed through RabbitMQ", "http", rabbitmq=True, latency=0.02),
    Case("AMQP", "amqp", rabbitmq=True),
    Case("AMQP", "amqp", rabbitmq=True, latency=0.02),
    Case("AMQP", "amqp", rabbitmq=True, latency=0.02, connections=50),
    Case("HTTP, 200 a second", "http", rate=200.0),
    Case("HTTP, 200 a second", "http", rate=200.0, latency=0.02),
]


@dataclass
class Run:
    """One measurement. Times in milliseconds, `rate` from the first request to the last arrival, per second."""

    rate: float
    cpu: float
    memory: float
    accept: list[float] = field(default_factory=list)
    to_server: list[float] = field(default_factory=list)


class Rabbit:
    """RabbitMQ when this machine has one; an empty vhost for each run."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._node: RabbitNode | None = None
        self.version = ""

    def start(self) -> None:
        try:
            self._node = RabbitNode()
        except (pytest.skip.Exception, pytest.fail.Exception) as missing:
            print(f"without RabbitMQ: {missing}", file=sys.stderr)
            return
        self._runner.run(self._node.start())
        self.version = self._runner.run(self._node.ctl("version")).strip()

    def url(self) -> str:
        assert self._node is not None
        return self._node.vhost_url(self._runner.run(self._node.fresh_vhost()))

    def close(self) -> None:
        if self._node is not None:
            self._runner.run(self._node.close())
        self._runner.close()


@contextmanager
def started(case: Case, rabbit: Rabbit, folder: Path) -> Iterator[tuple[Hub, Sink, str]]:
    """A sink and a hub that has already sent a few; the AMQP address, if any."""
    url = rabbit.url() if case.rabbitmq else ""
    with sink(case.latency) as server, tempfile.TemporaryDirectory(dir=folder) as name:
        settings = {"SMTP_PORT": str(server.port), "EMAILHUB_SMTP_CONNECTIONS": str(case.connections)}
        with hub(Path(name), settings | ({"RABBITMQ_URL": url} if url else {})) as one:
            send(case, one, url, 0, WARM_UP)
            server.wait_for(WARM_UP, 60)
            server.reset()
            yield one, server, url


def send(case: Case, one: Hub, url: str, first: int, count: int) -> dict[str, object]:
    if case.door == "amqp":
        return load("amqp_load", url, first, count)
    rate = [] if case.rate is None else [case.rate]
    return load("http_load", one.port, first, count, HTTP_CONNECTIONS, *rate)


def measure(case: Case, count: int, rabbit: Rabbit, folder: Path) -> Run:
    """Send `count` messages and wait for the last. Raises RuntimeError when one is missing, there twice or refused."""
    with started(case, rabbit, folder) as (one, server, url):
        cpu = one.cpu
        told: dict[str, object] = send(case, one, url, WARM_UP, count)
        server.wait_for(count, 30 + count / 20)
        time.sleep(SETTLE)
        cpu, memory = one.cpu - cpu, one.peak_memory
        report = server.report(whole=True)
    arrivals: dict[str, list[float]] = report["arrivals"]
    wanted = {address(number) for number in range(WARM_UP, WARM_UP + count)}
    if set(arrivals) != wanted or report["count"] != count or told.get("wrong"):
        raise RuntimeError(f"{case}: {report['count']} of {count} arrived, {told.get('wrong', 0)} were refused")
    begun = told["begun"]
    assert isinstance(begun, float)
    run = Run(count / (report["last"] - begun), 1000 * cpu / count, memory)
    if isinstance(latencies := told.get("latencies"), list):
        run.accept = [1000 * seconds for seconds in latencies]
    if isinstance(sent := told.get("sent"), dict):
        run.to_server = [1000 * (arrivals[address(int(number))][0] - at) for number, at in sent.items()]
    return run


def row(case: Case, runs: list[Run]) -> str:
    """The table's row: medians over the runs, and from where to where the rates were."""
    rates = [run.rate for run in runs]
    rate = f"{statistics.median(rates):,.0f} ({min(rates):,.0f}–{max(rates):,.0f})"
    accept = _percentiles([run.accept for run in runs])
    to_server = _percentiles([run.to_server for run in runs]) if case.rate else "–"
    cpu = f"{statistics.median(run.cpu for run in runs):.2f}"
    memory = f"{max(run.memory for run in runs):.0f}"
    return f"| {case.title} | {rate} | {accept} | {to_server} | {cpu} | {memory} |"


def _percentiles(runs: list[list[float]]) -> str:
    if not all(runs):
        return "–"
    p50, p99 = (
        statistics.median(statistics.quantiles(one, n=100, method="inclusive")[at] for one in runs) for at in (49, 98)
    )
    return f"{p50:.1f} / {p99:.1f}"


HEAD = """\
| door | SMTP server answers after | SMTP connections | messages/s accepted → sent, median (min–max) \
| accept p50 / p99 ms | accept → server p50 / p99 ms | CPU ms/message | peak MB |
|---|---|---|---|---|---|---|---|"""


def table(results: dict[Case, list[Run]], facts: list[str], count: int) -> str:
    runs = len(next(iter(results.values())))
    how = (
        f"{count} messages of about 2 KB in each of {runs} runs, cases in turn, each on a new outbox; "
        f"{HTTP_CONNECTIONS} HTTP connections; every message arrived once"
    )
    lines = [f"- {fact}" for fact in (*facts, how)]
    return "\n".join([*lines, "", HEAD, *(row(case, runs) for case, runs in results.items())])


def chosen(only: str, *, rabbitmq: bool) -> list[Case]:
    return [case for case in CASES if only.lower() in case.title.lower() and (rabbitmq or not case.rabbitmq)]


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="measurements of each case (3)")
    parser.add_argument("--count", type=int, default=3000, help="messages in each (3000)")
    parser.add_argument("--only", default="", help="only cases whose name contains this, such as AMQP or instant")
    parser.add_argument(
        "--folder", type=Path, default=None, help="where the outboxes lie (the system's temporary folder)"
    )
    options = parser.parse_args()
    if not Path("/proc/self/stat").exists():
        parser.exit(69, "bench reads CPU time and memory from /proc, which only Linux has\n")
    rabbit = Rabbit()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        try:
            rabbit.start()
            facts = machine.facts(Path(name), rabbit.version)
            results: dict[Case, list[Run]] = {case: [] for case in chosen(options.only, rabbitmq=bool(rabbit.version))}
            for number in range(options.runs):
                for case, runs in results.items():
                    runs.append(measure(case, options.count, rabbit, Path(name)))
                    print(f"{number + 1}/{options.runs} {row(case, runs[-1:])}", file=sys.stderr, flush=True)
        finally:
            rabbit.close()
    print(table(results, facts, options.count) if results else f"no case is called {options.only!r}")


if __name__ == "__main__":
    main()
