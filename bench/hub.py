"""emailhub as a line: a hub with default settings, but for what a row changes, on an outbox of its own."""

from __future__ import annotations

import json
import os
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.line import Case, Line, Place
from bench.messages import SENDER
from bench.processes import ROOT, our_load, running, tree, wait_until
from bench.told import Told
from tests.support.ports import free_port

HTTP_CONNECTIONS = 32


class Hub:
    """A running hub."""

    def __init__(self, pid: int, port: int) -> None:
        self.pid = pid
        self.port = port

    def ask(self, path: str, body: dict[str, object] | None = None) -> str:
        """The answer to GET, or to POST with a body. Raises OSError when it refuses."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}")
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return str(answer.read().decode())

    def says(self, path: str, text: str) -> bool:
        try:
            return text in self.ask(path)
        except OSError:
            return False

    def post(self, first: int, count: int, rate: float | None = None) -> Told:
        """Messages over HTTP, as fast as it answers 32 connections or at `rate` a second."""
        return our_load("http_load", self.port, first, count, HTTP_CONNECTIONS, *([] if rate is None else [rate]))


@contextmanager
def hub(folder: Path, settings: dict[str, str], module: str = "emailhub") -> Iterator[Hub]:
    """A hub on the outbox in `folder` that answers, started as `module`. Its log goes there too."""
    port, log = free_port(), folder / "log"
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "EMAILHUB_PORT": str(port),
        "EMAILHUB_LOG_FORMAT": "json",
        "SMTP_HOST": "127.0.0.1",
        "EMAIL_FROM": SENDER,
    }
    command = [sys.executable, "-m", module, "serve"]
    with running(command, log=log, environment=environment | settings, cwd=folder) as process:
        one = Hub(process.pid, port)
        wait_until(lambda: one.says("/health", "ok"), process, log)
        if "RABBITMQ_URL" in settings:
            wait_until(lambda: one.says("/health/ready", "consuming"), process, log)
        yield one
    if process.returncode:
        raise RuntimeError(f"the hub ended with {process.returncode}, see {log}")


def _line(one: Hub, place: Place, *, amqp: bool, rate: float | None) -> Line:
    def send(first: int, count: int) -> Told:
        if amqp:
            return our_load("amqp_load", place.rabbitmq, first, count)
        return one.post(first, count, rate)

    return Line(send, lambda: tree(one.pid), "beam.smp" if place.rabbitmq else "")


def case(
    key: str, title: str, *, latency: float = 0.0, connections: int = 20, rate: float | None = None,
    amqp: bool = False, rabbitmq: bool = False, share: float = 1.0,
) -> Case:  # fmt: skip
    """A row of the hub: its door is AMQP or HTTP."""

    @contextmanager
    def start(place: Place) -> Iterator[Line]:
        settings = {"SMTP_PORT": str(place.sink), "EMAILHUB_SMTP_CONNECTIONS": str(connections)}
        if place.rabbitmq:
            settings["RABBITMQ_URL"] = place.rabbitmq
        with hub(place.folder, settings) as one:
            yield _line(one, place, amqp=amqp, rate=rate)

    return Case(
        key, "hub", f"{title}, {connections} connections", start, lambda: "",
        latency=latency, rabbitmq=rabbitmq or amqp, share=share, rate=rate,
    )  # fmt: skip


def cases() -> list[Case]:
    """The rows of emailhub."""
    return [
        case("http", "HTTP"),
        case("handoffs", "HTTP, workers fed through RabbitMQ", rabbitmq=True),
        case("amqp", "AMQP", amqp=True),
        case("http-20", "HTTP", latency=0.02, connections=50),
        case("amqp-20", "AMQP", latency=0.02, connections=50, amqp=True),
        case("http-200", "HTTP, 200 a second", rate=200.0, share=0.4),
        case("http-500", "HTTP, 500 a second", rate=500.0),
    ]
