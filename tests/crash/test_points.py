"""The process ends, or the disk fails, at one write or sync of the database after the other: no promise is broken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash.deeds import DEEDS
from tests.crash.shim import run


@pytest.mark.timeout(400)
async def test_some_points_of_every_deed(library: Path, folder: Path, proved: Callable[[str], None]) -> None:
    await all_points(library, folder, proved, every=6)


@pytest.mark.nightly
@pytest.mark.timeout(1800)
async def test_every_point_of_every_deed(library: Path, folder: Path, proved: Callable[[str], None]) -> None:
    await all_points(library, folder, proved, every=1)


async def all_points(library: Path, folder: Path, proved: Callable[[str], None], *, every: int) -> None:
    found = await run(library, "tests.crash.points", str(folder), "--every", str(every))
    assert not [line for one in found for line in one["wrong"]]
    assert [one["deed"] for one in found] == list(DEEDS)
    assert all(one["points"] >= one["changes"] / DEEDS[one["deed"]].every(every) for one in found), found
    changes, points = (sum(one[name] for one in found) for name in ("changes", "points"))
    proved(f"{points} faults at {changes} writes and syncs of {len(found)} deeds: every promise kept")
