"""Cuts the power under each deed, at every sync and promise: `LD_PRELOAD=shim.so python -m tests.crash.power FOLDER`.

A deed is done once, with every change of the database noted; then each state that a disk may hold after a cut is made
and opened. Prints a line of JSON for each deed: how many states, and what was wrong with them.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path
from typing import IO

from emailhub.adapters.sqlite import database
from tests.crash.deeds import DEEDS, Deed, check
from tests.crash.disk import Cut, changes, cuts, put
from tests.crash.points import forked_loop, perform
from tests.crash.shim import Fault, Shim

HASTY = "PRAGMA synchronous = NORMAL"
"""What must be found: commits that are told before they are on the disk."""


class Power:
    """One deed in `folder`, and its states after a cut."""

    def __init__(self, deed: Deed, shim: Shim, folder: Path) -> None:
        self.deed, self.shim, self.folder = deed, shim, folder
        self._path = folder / "hub.db"
        self._notes = folder.with_suffix(".notes")
        folder.mkdir(parents=True)

    def states(self, seed: int, every: int) -> tuple[int, list[str]]:
        """How many there were, and what was wrong."""
        if forked_loop(lambda: self.deed.prepare(self._path)):
            return 0, [f"{self.deed.name}: not prepared"]
        base = {one.name.removeprefix("hub.db"): one.read_bytes() for one in self.folder.glob("hub.db*")}
        base.pop(".lock", None)
        if forked_loop(self._act):
            return 0, [f"{self.deed.name}: not done"]
        found = list(cuts(base, changes(self._notes.read_bytes()), random.Random(seed), every))
        path = self.folder.with_suffix(".wrong")
        with path.open("w") as report:
            looked = forked_loop(lambda: self._look(found, report))
        return len(found), path.read_text().splitlines() + [f"{self.deed.name}: not looked at"] * bool(looked)

    async def _act(self) -> None:
        def arm() -> None:
            self.shim.note(self._path, self._notes)

        await perform(self.deed, self._path, arm, Fault.NONE, self.shim.promise)

    async def _look(self, found: list[Cut], report: IO[str]) -> None:
        for cut in found:
            put(cut.files, self._path)
            try:
                await check(self.deed, self._path, cut.told)
            except Exception as error:  # noqa: BLE001 - whatever is wrong with one state, the others are looked at too
                about = f"{self.deed.name}: cut after {cut.at} changes, told {dict(cut.told)}"
                print(f"{about}: {error!r}".replace("\n", " "), file=report, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every", type=int, default=1, help="states with a part of the writes: only every so many")
    parser.add_argument("--hasty", action="store_true", help=f"break the promise, by {HASTY}")
    options = parser.parse_args()
    if options.hasty:
        database._WRITER_PRAGMAS = tuple(HASTY if "synchronous" in one else one for one in database._WRITER_PRAGMAS)
    shim = Shim()
    for name, deed in DEEDS.items():
        states, wrong = Power(deed, shim, options.folder / name).states(options.seed, deed.every(options.every))
        print(json.dumps({"deed": name, "states": states, "wrong": wrong}), flush=True)


if __name__ == "__main__":
    main()
