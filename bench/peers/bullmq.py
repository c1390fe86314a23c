"""BullMQ with pooled nodemailer, over a Redis of its own that syncs its file once a second."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.line import Case, Line, Place
from bench.messages import SENDER, address, text
from bench.peers import tools
from bench.processes import answers, load, running, tree, wait_until
from bench.told import Told
from tests.support.ports import free_port

_HERE = Path(__file__).parent


def _find() -> tuple[Path, Path, Path]:
    """node, node_modules and redis-server. Raises Missing."""
    return (*tools.node(), tools.redis())


def _messages(first: int, count: int) -> str:
    numbers = range(first, first + count)
    return json.dumps(
        [{"from": SENDER, "to": address(one), "subject": f"Message {one}", "text": text(one)} for one in numbers]
    )


@contextmanager
def _start(place: Place) -> Iterator[Line]:
    node, modules, redis = _find()
    port, folder, log = free_port(), place.folder, place.folder / "log"
    environment = {
        "PATH": os.environ["PATH"],
        "NODE_PATH": str(modules),
        "BENCH_SMTP_PORT": str(place.sink),
        "BENCH_REDIS_PORT": str(port),
    }
    durable = ["--appendonly", "yes", "--appendfsync", "everysec", "--save", ""]
    store = [str(redis), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), *durable]

    def send(first: int, count: int) -> Told:
        return load([node, _HERE / "bullmq_load.cjs"], environment, _messages(first, count))

    with running(store, log=folder / "redis.log") as queue:
        wait_until(lambda: answers(port), queue, folder / "redis.log")
        with running([str(node), str(_HERE / "bullmq_worker.cjs")], log=log, environment=environment) as worker:
            yield Line(send, lambda: tree(worker.pid), "redis-server")


def _case(key: str, *, latency: float = 0.0, share: float = 1.0) -> Case:
    title = "BullMQ + nodemailer, 50 pooled connections"
    return Case(key, "peer", title, _start, tools.whether(_find), latency=latency, share=share)


def cases() -> list[Case]:
    """BullMQ against both servers."""
    return [_case("bullmq"), _case("bullmq-20", latency=0.02)]
