"""A hub that tells how long its event loop stood still: `python -m bench.stalls serve`.

It writes the longest standstill in milliseconds to the file named by BENCH_STALLS, from 0 again after that was removed.
A standstill counts only as far as the process used CPU in it: on a machine shared with others it is no fault of the hub
that it had to wait for its turn.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from emailhub.app import Hub
from emailhub.cli import main

_TICK = 0.002
_run = Hub.run


class _Longest:
    def __init__(self, told: Path) -> None:
        self._told = told
        self._seconds = 0.0

    def tell(self, stood: float) -> None:
        if not self._told.exists():
            self._seconds = 0.0
        if stood > self._seconds:
            self._seconds = stood
            self._told.write_text(f"{1000 * stood:.1f}")


async def _watch(longest: _Longest) -> None:
    at = time.perf_counter()
    while True:
        used = time.process_time()
        await asyncio.sleep(_TICK)
        now = time.perf_counter()
        longest.tell(min(now - at - _TICK, time.process_time() - used))
        at = now


async def _watched(hub: Hub) -> int:
    watch = asyncio.create_task(_watch(_Longest(Path(os.environ["BENCH_STALLS"]))))
    try:
        return await _run(hub)
    finally:
        watch.cancel()


if __name__ == "__main__":
    Hub.run = _watched  # type: ignore[method-assign]
    main()
