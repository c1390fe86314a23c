"""The process ends, or the disk fails, at one write or sync of the database after the other: no promise is broken."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.crash.deeds import DEEDS
from tests.crash.shim import build

ROOT = Path(__file__).parents[2]
MEMORY = Path("/dev/shm")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("shim"))


@pytest.fixture
def folder() -> Iterator[Path]:
    """In memory where that can be had: what is asked here is what was written, not how fast."""
    place = tempfile.mkdtemp(prefix="emailhub-points-", dir=MEMORY if os.access(MEMORY, os.W_OK) else None)
    yield Path(place)
    shutil.rmtree(place)


async def run(library: Path, module: str, *arguments: str) -> list[dict[str, Any]]:
    """What the module, started with the library, told: a line of JSON each."""
    env = {"PATH": os.environ["PATH"], "LD_PRELOAD": str(library)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments,
        cwd=ROOT, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()[-4000:]
    found = [json.loads(line) for line in out.splitlines()]
    wrong = [line for one in found for line in one["wrong"]]
    assert not wrong, f"{wrong[:20]}\n{err.decode()[-4000:]}"
    return found


async def test_some_points_of_every_deed(library: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    await all_points(library, folder, capsys, every=4)


@pytest.mark.nightly
@pytest.mark.timeout(1800)
async def test_every_point_of_every_deed(library: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    await all_points(library, folder, capsys, every=1)


async def all_points(library: Path, folder: Path, capsys: pytest.CaptureFixture[str], *, every: int) -> None:
    found = await run(library, "tests.crash.points", str(folder), "--every", str(every))
    assert [one["deed"] for one in found] == list(DEEDS)
    assert all(one["points"] >= one["changes"] / every for one in found), found
    changes, points = (sum(one[name] for one in found) for name in ("changes", "points"))
    with capsys.disabled():
        print(f"\n{points} faults at {changes} writes and syncs of {len(found)} deeds: every promise kept", flush=True)
