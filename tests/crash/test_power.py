"""The power goes: whatever a disk may then hold opens, is whole, and keeps every promise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash.deeds import DEEDS
from tests.crash.shim import run

MODULE = "tests.crash.power"


@pytest.mark.timeout(400)
async def test_what_was_told_survives_a_power_cut_at_any_moment(
    library: Path, folder: Path, proved: Callable[[str], None]
) -> None:
    found = await run(library, MODULE, str(folder), "--every", "3")
    assert not [line for one in found for line in one["wrong"]]
    assert [one["deed"] for one in found] == list(DEEDS)
    proved(f"{sum(one['states'] for one in found)} states after a power cut: every promise kept")


@pytest.mark.nightly
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(10))
async def test_whatever_part_of_the_writes_survives_no_promise_is_broken(
    library: Path, folder: Path, seed: int
) -> None:
    found = await run(library, MODULE, str(folder), "--seed", str(seed))
    assert not [line for one in found for line in one["wrong"]]


@pytest.mark.timeout(400)
async def test_commits_that_are_told_before_they_are_synced_are_found_out(library: Path, folder: Path) -> None:
    found = await run(library, MODULE, str(folder), "--every", "1000", "--hasty")
    assert [one["deed"] for one in found if one["wrong"]] == list(DEEDS)
