"""How late the event loop runs what is due, and what it was busy with: everything else waits meanwhile.

The loop itself beats; a thread looks whether the beat is overdue, and then at what the loop's thread is doing. So the
log names the function that held the loop, also when it was in C for all that time.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

from emailhub import logs

BEAT = 0.05
"""Seconds between two beats; a stall shorter than that may fall between them."""
LATE = 0.1
"""Seconds of lag that are worth a line in the log."""
LOUD = 1.0
"""Seconds of lag from which the line is a warning."""
QUIET = 10.0
"""Seconds between two lines; the next tells how many stalls there were meanwhile."""
SHOWN = 5.0
"""Seconds for which the longest stall is what `worst` tells."""
_FRAMES = 4
_OWN = "emailhub"

log = logs.get("loop")


class LagWatch:
    """Measures the loop it runs in. `observe(seconds)` is told the lag of every beat; `show` the longest of late."""

    def __init__(self, observe: Callable[[float], None], show: Callable[[float], None]) -> None:
        self._observe = observe
        self._show = show
        self._beat = time.monotonic()
        self._doing = ""
        self._longest = (0.0, -SHOWN)
        self._told = -QUIET
        self._stalls = 0
        self._over = threading.Event()

    async def run(self) -> None:
        """Beat until cancelled."""
        watcher = threading.Thread(target=self._look, args=(threading.get_ident(),), name="lag watch", daemon=True)
        watcher.start()
        try:
            while True:
                self._beat = time.monotonic()
                await asyncio.sleep(BEAT)
                self._seen(max(time.monotonic() - self._beat - BEAT, 0.0))
        finally:
            self._over.set()

    def _seen(self, lag: float) -> None:
        now = time.monotonic()
        if lag >= self._longest[0] or now - self._longest[1] > SHOWN:
            self._longest = (lag, now)
            self._show(lag)
        self._observe(lag)
        if lag > LATE:
            self._stalls += 1
            if now - self._told >= QUIET or lag > LOUD:
                self._tell(lag)
                self._told, self._stalls = now, 0
        self._doing = ""

    def _tell(self, lag: float) -> None:
        say = log.warning if lag > LOUD else log.info
        say("event loop late", seconds=round(lag, 3), stalls=self._stalls, doing=self._doing or "not seen")

    def _look(self, loop: int) -> None:
        """In a thread of its own: note what the loop's thread does while its beat is overdue."""
        while not self._over.wait(LATE / 2):
            if time.monotonic() - self._beat > BEAT + LATE / 2 and not self._doing:
                self._doing = _doing(sys._current_frames().get(loop))


def _doing(frame: FrameType | None) -> str:
    """The innermost calls, those of emailhub first: `render (templates.py:12) < page (overview.py:40)`."""
    calls: list[str] = []
    while frame is not None:
        code = frame.f_code
        if not calls or f"/{_OWN}/" in code.co_filename:
            calls.append(f"{code.co_name} ({code.co_filename.rpartition('/')[2]}:{frame.f_lineno})")
        frame = frame.f_back
    return " < ".join(calls[:_FRAMES])
