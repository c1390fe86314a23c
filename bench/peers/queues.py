"""Celery and dramatiq with smtplib, over RabbitMQ. The caller is a process of its own, as a service would be."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from bench.line import Case, Line, Place
from bench.peers import tools
from bench.processes import ROOT, load, running, tree


@contextmanager
def _start(place: Place, module: str, worker: list[str], *, keep: bool) -> Iterator[Line]:
    python = tools.python()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(place.folder),
        "PYTHONPATH": str(ROOT),
        "BENCH_AMQP_URL": place.rabbitmq,
        "BENCH_SMTP_PORT": str(place.sink),
        "BENCH_KEEP": str(int(keep)),
    }
    command = [str(python), "-m", *worker]
    with running(command, log=place.folder / "log", environment=environment, cwd=place.folder) as process:
        yield Line(
            lambda first, count: load([python, "-m", module, first, count], environment),
            lambda: tree(process.pid),
            "beam.smp",
        )


def _case(
    key: str, title: str, module: str, worker: list[str], *, keep: bool, share: float, latency: float = 0.0
) -> Case:
    return Case(
        key, "peer", title, lambda place: _start(place, module, worker, keep=keep), tools.whether(tools.python),
        latency=latency, rabbitmq=True, share=share,
    )  # fmt: skip


def _celery(key: str, pool: str, size: int, *, keep: bool, share: float, latency: float = 0.0) -> Case:
    module = "bench.peers.celery_app"
    options = ["--pool", pool, "--concurrency", str(size), "--without-gossip", "--without-mingle"]
    title = f"Celery {pool} {size} + smtplib, {'kept connections' if keep else 'a connection each'}"
    worker = ["celery", "-A", module, "worker", *options]
    return _case(key, title, module, worker, keep=keep, share=share, latency=latency)


def _dramatiq(key: str, *, share: float) -> Case:
    module = "bench.peers.dramatiq_app"
    worker = ["dramatiq", module, "--processes", "2", "--threads", "8"]
    return _case(key, "dramatiq 2 × 8 + smtplib, a connection each", module, worker, keep=False, share=share)


def cases() -> list[Case]:
    """Celery in its two usual pools, and dramatiq as it is usually run on two cores."""
    return [
        _celery("celery-prefork", "prefork", 2, keep=False, share=0.4),
        _celery("celery-threads", "threads", 50, keep=True, share=0.3),
        _dramatiq("dramatiq", share=0.4),
        _celery("celery-threads-20", "threads", 50, keep=True, share=0.2, latency=0.02),
    ]
