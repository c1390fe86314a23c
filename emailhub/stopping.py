"""Asked to stop: in order the first time, at once when asked again."""

from __future__ import annotations

import asyncio
import os
import sys
import time

from emailhub.parts import EXIT_FAILED

SAME_WISH = 1.0
"""Seconds in which further signals are the first one again: a supervisor that signals the whole group, and the program
that started emailhub and passes the signal on, both mean "stop in order", not "at once"."""


class Stopping:
    """The wish to stop."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self._at = 0.0

    async def wait(self) -> None:
        """Return when somebody asked."""
        await self._asked.wait()

    def ask(self) -> None:
        """Stop in order; when that was asked SAME_WISH ago or longer, end the process at once."""
        now = time.monotonic()
        if not self._asked.is_set():
            self._at = now
            self._asked.set()
        elif now - self._at >= SAME_WISH:
            # What runs is rescued by the next start.
            sys.stderr.write("emailhub: stopped at once\n")
            os._exit(EXIT_FAILED)
