"""What the numbers depend on: the machine, the versions, what else it is doing, and how fast its disk syncs."""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


def facts(folder: Path, rabbitmq: str) -> list[str]:
    """Lines that describe this machine; `folder` is where the outboxes lie."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    cores = f"{len(os.sched_getaffinity(0))} cores for all processes together"
    broker = f"RabbitMQ {rabbitmq or 'not installed'}"
    return [
        f"{_cpu()}, {cores}, {_memory():.0f} GiB, {platform.system()} {platform.release()}",
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {broker}, emailhub {_commit()}",
        f"load average before the run {load}; one write of 4 KB and fdatasync takes {_sync(folder):.2f} ms (median)",
    ]


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "of an archive"


def _sync(folder: Path) -> float:
    path = folder / "sync"
    taken = []
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY)
    for _ in range(100):
        since = time.perf_counter()
        os.write(descriptor, b"x" * 4096)
        os.fdatasync(descriptor)
        taken.append(time.perf_counter() - since)
    os.close(descriptor)
    path.unlink()
    return 1000 * statistics.median(taken)
