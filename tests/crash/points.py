"""Breaks the disk at one change of the database after the other: `LD_PRELOAD=shim.so python -m tests.crash.points`.

For every k: a process of its own does the deed, the k-th change it makes meets the fault, and another process looks at
what is left. Prints a line of JSON for each deed: how many changes it makes, how many points were
tried, and what was wrong afterwards.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import IO, Any

from emailhub.core.errors import OutboxError, OutboxFull
from tests.crash.deeds import DEEDS, Deed, check
from tests.crash.shim import Fault, Shim
from tests.support.factories import Store, opened

KILLED = 137
SECONDS = 30


class Broken(Exception):
    """The outbox did not do about a fault what it should."""


async def perform(deed: Deed, path: Path, arm: Callable[[], None], fault: Fault, told: Callable[[str], None]) -> None:
    """Do the deed; refusals are in order where a fault is."""
    if deed.opening:
        arm()
    try:
        async with opened(path) as store:
            if not deed.opening:
                arm()
            await deed.act(store, lambda verb: _attempt(store, verb, fault), told)
    except OutboxError:
        if fault in {Fault.NONE, Fault.DIE}:
            raise


async def _attempt(store: Store, verb: Callable[[], Awaitable[Any]], fault: Fault) -> bool:
    try:
        await verb()
    except OutboxError as error:
        if fault in {Fault.NONE, Fault.DIE}:
            raise
        return await _refused(store, verb, fault, error)
    return True


async def _refused(store: Store, verb: Callable[[], Awaitable[Any]], fault: Fault, error: OutboxError) -> bool:
    broken = store.database.broken.done()
    if not broken and not isinstance(error, OutboxFull):
        raise Broken(f"{error!r} does not end the process")
    # Whoever asks is answered, whatever became of the disk.
    await store.history.totals()
    if fault is Fault.ENOSPC_ONCE and not broken:
        await verb()  # there is room again
        return True
    return False


def forked(work: Callable[[], int]) -> int:
    """The exit code of `work`, run in a process of its own."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    code = 70
    try:
        signal.alarm(SECONDS)
        code = work()
    except BaseException:  # noqa: BLE001 - whatever it is, the parent tells it
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def forked_loop(work: Callable[[], Awaitable[None]]) -> int:
    """0 when the coroutine ends well in a process of its own."""

    def run() -> int:
        asyncio.run(work())  # type: ignore[arg-type]
        return 0

    return forked(run)


class Points:
    """All points of one deed, tried in `folder`."""

    def __init__(self, deed: Deed, shim: Shim, folder: Path) -> None:
        self.deed, self.shim, self.folder = deed, shim, folder
        self.wrong: list[str] = []
        self._tale = folder / "tale"
        self._base = folder / "base"
        self._base.mkdir(parents=True)
        if forked_loop(lambda: deed.prepare(self._base / "hub.db")):
            raise Broken(f"{deed.name}: not prepared")
        self.changes = self._run(Fault.NONE, 0)[1]

    def attempt(self, fault: Fault, k: int) -> None:
        """Let the k-th change meet the fault, and look at what is left."""
        code, met = self._run(fault, k)
        told = Counter(self._tale.read_text().split())
        if code != (KILLED if fault is Fault.DIE else 0):
            self.wrong.append(f"{self.deed.name}: {fault.name} at {k}: ended with {code}")
        elif met < k and fault is not Fault.DIE:
            self.wrong.append(f"{self.deed.name}: {fault.name} at {k}: only {met} changes")
        elif forked_loop(lambda: check(self.deed, self._path, told)):
            self.wrong.append(f"{self.deed.name}: {fault.name} at {k}: told {dict(told)}")

    @property
    def _path(self) -> Path:
        return self.folder / "hub" / "hub.db"

    def _run(self, fault: Fault, k: int) -> tuple[int, int]:
        """Its exit code, and how many changes it made (0 when it was killed)."""
        shutil.rmtree(self._path.parent, ignore_errors=True)
        shutil.copytree(self._base, self._path.parent)
        count = self.folder / "count"
        count.write_text("0")
        with self._tale.open("w") as tale:
            code = forked(lambda: self._act(fault, k, tale, count))
        return code, int(count.read_text())

    def _act(self, fault: Fault, k: int, tale: IO[str], count: Path) -> int:
        def told(id: str) -> None:
            os.write(tale.fileno(), f"{id}\n".encode())

        def arm() -> None:
            self.shim.arm(self._path, fault, k)

        asyncio.run(perform(self.deed, self._path, arm, fault, told))
        count.write_text(str(self.shim.calls))
        return 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", type=int, default=1, help="only every so many points, of the errors a fifth of them")
    parser.add_argument("--deed", action="append", choices=tuple(DEEDS), help="only these")
    options = parser.parse_args()
    shim = Shim()
    for name in options.deed or DEEDS:
        points = Points(DEEDS[name], shim, options.folder / name)
        tried = 0
        for fault in list(Fault)[1:]:
            every = DEEDS[name].every(options.every) * (1 if fault is Fault.DIE or options.every == 1 else 5)
            for k in range(1 + fault % every, points.changes + 1, every):
                points.attempt(fault, k)
                tried += 1
        print(json.dumps({"deed": name, "changes": points.changes, "points": tried, "wrong": points.wrong}), flush=True)


if __name__ == "__main__":
    main()
