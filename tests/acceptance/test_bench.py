"""`make bench` measures: a table with a row for each case, the goals, and nothing lost while it does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.copies import multiply
from bench.figures import Figures
from bench.goals import goals
from bench.hub import hub
from bench.measure import Run, check
from bench.messages import address
from bench.million import build
from bench.pages import PATHS, measure
from bench.profile import report
from bench.told import Told
from tests.support.factories import opened, parcel
from tests.support.rabbit_node import server_path

ROOT = Path(__file__).parents[2]
RUNS = {"http": [Run(1000, 0.5), Run(900, 0.6)], "bullmq": [Run(500, 1.0), Run(600, 1.0)]}

measured = [
    pytest.mark.nightly,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="bench reads /proc, which only Linux has"),
]


def bench(*arguments: str) -> list[list[list[str]]]:
    """The rows of each table that it prints, without heads."""
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--runs", "1", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    tables = [part for part in done.stdout.split("\n\n") if part.startswith("|")]
    return [[[cell.strip() for cell in row.strip("|").split("|")] for row in one.splitlines()[2:]] for one in tables]


def test_a_goal_is_the_median_of_what_each_round_shows_and_says_what_was_not_measured() -> None:
    found = {goal.what: goal for goal in goals(RUNS, Figures(waiting={1: [100.0], 9: [95.0]}))}
    against = found["HTTP → sent against BullMQ + nodemailer"]
    assert (against.value, against.reached) == (1.75, "yes")
    assert found["CPU per message, HTTP → sent"].reached == "yes"
    assert found["rate with the long queue against the short one"].value == 95.0
    assert found["HTTP → sent against the faster Postfix"].reached == "not measured"


@pytest.mark.parametrize(
    ("arrivals", "wrong", "said"),
    (
        ({address(1): [1.0]}, 0, "1 are missing"),
        ({address(1): [1.0], address(2): [1.0, 2.0]}, 0, "1 arrived twice"),
        ({address(1): [1.0], address(2): [1.0]}, 1, "1 were refused"),
    ),
)
def test_a_run_that_loses_repeats_or_refuses_a_message_does_not_count(
    arrivals: dict[str, list[float]], wrong: int, said: str
) -> None:
    with pytest.raises(RuntimeError, match=said):
        check({"arrivals": arrivals}, range(1, 3), Told(begun=0.0, seconds=1.0, wrong=wrong))


async def test_copied_messages_are_as_whole_as_those_they_are_copied_from(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    async with opened(path) as store:
        await store.outbox.add([parcel(f"01KATN0M40ZZZZZZ000000000{number}") for number in range(3)])
    multiply(path, 10, first=500, history=False)
    async with opened(path) as store:
        assert await store.rows("PRAGMA foreign_key_check") == []
        assert await store.rows("PRAGMA integrity_check") == [("ok",)]
        assert await store.rows("SELECT count(DISTINCT id), count(*) FROM message") == [(13, 13)]
        assert await store.rows("SELECT messages FROM tally WHERE state = 'queued'") == [(13,)]
        copied = await store.rows("SELECT address FROM recipient WHERE seq > 3 ORDER BY seq")
        assert copied == [(address(number),) for number in range(500, 510)]


def test_a_profile_gives_each_moment_to_the_innermost_function() -> None:
    file = f"{ROOT}/emailhub/core/mime.py"
    stacks = [f"main (/x/site-packages/uvicorn/server.py:1);build ({file}:2) 3", "run (/lib/asyncio/runners.py:4) 1"]
    shares = report(stacks)
    assert "| emailhub.core | 75.0 % |" in shares
    assert "| standard library | 25.0 % |" in shares
    assert "| emailhub.core mime.build | 75.0 % |" in shares


def test_a_thread_of_a_pool_that_waits_for_work_is_not_at_work(tmp_path: Path) -> None:
    # py-spy names the line a thread is in; the standard library waits in a line like this one.
    source = tmp_path / "thread.py"
    source.write_text("work_item = work_queue.get(block=True)\nwork_item = work_queue.get_nowait()\n")
    shares = report([f"_worker ({source}:1) 9", f"_worker ({source}:2) 1", f"build ({ROOT}/emailhub/core/mime.py:2) 1"])
    assert "| emailhub.core | 50.0 % |" in shares


class TestMeasured:
    """Short runs of the real thing."""

    pytestmark = measured

    def test_http_is_measured_with_its_accept_times_cpu_and_memory(self) -> None:
        (row,), told = bench("--count", "300", "--only", "HTTP, 20 connections | instant")
        line, server, rate, accept, _, cpu, caller, _, _, memory = row
        assert (line, server) == ("HTTP, 20 connections", "instant")
        assert re.fullmatch(r"[\d,]+ \([\d,]+–[\d,]+\)", rate)
        assert re.fullmatch(r"\d+\.\d / \d+\.\d", accept)
        assert float(cpu) > float(caller) > 0
        assert float(memory) > 20
        assert {reached for *_, reached in told} >= {"not measured"}

    @pytest.mark.rabbit
    def test_amqp_is_measured_against_a_quick_and_a_slow_server(self) -> None:
        server_path()
        found, _ = bench("--count", "300", "--only", "hub | AMQP")
        assert [row[1] for row in found] == ["instant", "20 ms"]

    def test_the_engine_is_measured_beside_its_peer(self) -> None:
        found, told = bench("--count", "300", "--only", "engine")
        assert len(found) == 6
        assert [row[-1] for row in told if row[0].startswith("engine")].count("not measured") == 0

    def test_the_large_outbox_is_one_a_hub_reads_page_by_page(self, tmp_path: Path) -> None:
        build(tmp_path / "emailhub.db", 300)
        with hub(tmp_path, {"SMTP_PORT": "9"}) as one:
            one.ask("/breakers/default", {"state": "open", "reason": "measuring"})
            rows = measure(one, 2, "")
        assert len(rows) == len(PATHS)
        assert all(row.size > 500 or row.label.startswith(("API:", "export")) for row in rows)
        assert all(row.size > 0 and len(row.took) == 2 for row in rows)
