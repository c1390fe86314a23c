"""What is compared: lines that take messages at one end and deliver them to the sink at the other."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from bench import processes
from bench.told import Told


@dataclass(frozen=True)
class Place:
    """Where a line runs: the sink it delivers to, a folder of its own, the RabbitMQ vhost of its own ("" if none)."""

    sink: int
    folder: Path
    rabbitmq: str


@dataclass(frozen=True)
class Line:
    """A started line. `send(first, count)` hands messages over and returns when all are accepted, not yet delivered.

    `pids()`: the processes that take and deliver, none when the caller does it all; `broker`: the name of the program
    that keeps the queue ("" if none).
    """

    send: Callable[[int, int], Told]
    pids: Callable[[], list[int]] = list
    broker: str = ""

    @property
    def cpu(self) -> float:
        return processes.cpu(self.pids())

    @property
    def peak_memory(self) -> float:
        return processes.peak_memory(self.pids())

    @property
    def broker_cpu(self) -> float:
        if not self.broker:
            return 0.0
        return processes.cpu([pid for pid in processes.tree(os.getpid()) if processes.name(pid) == self.broker])


Start = Callable[[Place], AbstractContextManager[Line]]


@dataclass(frozen=True)
class Case:
    """One row. `latency` of the sink in seconds, `share` of the messages it is given, `missing` says what it lacks.

    `rate` is messages a second when they come at set times; None: as fast as they are taken. `chunking`: the sink
    offers it.
    """

    key: str
    group: str
    title: str
    start: Start
    missing: Callable[[], str]
    latency: float = 0.0
    rabbitmq: bool = False
    share: float = 1.0
    rate: float | None = None
    chunking: bool = False

    @property
    def peer(self) -> bool:
        return self.group == "peer"

    @property
    def server(self) -> str:
        return f"{self.latency * 1000:.0f} ms" if self.latency else "instant"

    @property
    def label(self) -> str:
        """What --only searches."""
        return f"{self.group} | {self.title} | {self.server}"
