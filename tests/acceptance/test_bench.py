"""`make bench` measures: a table with a row for each case, and nothing lost while it does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.rabbit_node import server_path

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.nightly,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="bench reads /proc, which only Linux has"),
]


def bench(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "bench", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def rows(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if "|" in line][2:]


def test_http_is_measured_with_its_accept_times_cpu_and_memory() -> None:
    (row,) = rows(bench("--runs", "1", "--count", "300", "--only", "HTTP | instant"))
    door, server, connections, rate, accept, _, cpu, memory = row
    assert (door, server, connections) == ("HTTP", "instant", "20")
    assert re.fullmatch(r"[\d,]+ \([\d,]+–[\d,]+\)", rate)
    assert re.fullmatch(r"\d+\.\d / \d+\.\d", accept)
    assert float(cpu) > 0
    assert float(memory) > 20


@pytest.mark.rabbit
def test_amqp_is_measured_against_a_quick_and_a_slow_server() -> None:
    server_path()
    found = rows(bench("--runs", "1", "--count", "300", "--only", "AMQP"))
    assert [row[1] for row in found] == ["instant", "20 ms", "20 ms"]
