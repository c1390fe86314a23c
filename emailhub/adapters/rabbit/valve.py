"""Whether we take from the request queue right now, and if not, why."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

FIRST_WAIT = 1.0
LONGEST_WAIT = 60.0
CAREFUL_WAIT = 900.0


class Timer(Protocol):
    """What can be taken back before its time."""

    def cancel(self) -> None: ...


def later(seconds: float, act: Callable[[], None]) -> Timer:
    """Call `act` in `seconds`."""
    return asyncio.get_running_loop().call_later(seconds, act)


class Valve:
    """Closed by an operator's or the hub's `pause`, for a while by `refuse` and `rest`, and for good by `shut`."""

    def __init__(
        self,
        jitter: Callable[[float, float], float],
        later: Callable[[float, Callable[[], None]], Timer] = later,
    ) -> None:
        self._jitter = jitter
        self._later = later
        self._paused = ""
        self._refused = ""
        self._shut = ""
        self._resting = ""
        self._refusals = 0
        self._reopening: Timer | None = None
        self._waking: Timer | None = None
        self._changed = asyncio.Event()

    @property
    def open(self) -> bool:
        return not self.why

    @property
    def why(self) -> str:
        """Why the valve is closed, "" while it is open."""
        return self._shut or self._paused or self._refused or self._resting

    def pause(self, why: str) -> None:
        self._paused = why
        self._changed.set()

    def resume(self) -> None:
        """End a pause, and a wait after a refusal, at once; not a rest, which nobody may cut short."""
        self._paused = ""
        self._reopen()

    def shut(self, why: str) -> None:
        """Close for good."""
        self._shut = why
        self._cancel_reopening()
        if self._waking is not None:
            self._waking.cancel()
        self._changed.set()

    def refuse(self, why: str, *, careful: bool = False) -> None:
        """Close for 1, 2, 4 … 60 s, as deliveries could not be taken.

        `careful`: RabbitMQ counts how often these were returned and drops them at its limit (20 on quorum queues since
        4.0), so wait 15 minutes; `resume` still reopens at once.
        """
        wait = CAREFUL_WAIT if careful else min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(self._refusals, 10))
        self._refusals += 1
        self._refused = why
        self._cancel_reopening()
        self._reopening = self._later(wait * self._jitter(0.8, 1.2), self._reopen)
        self._changed.set()

    def rest(self, why: str, seconds: float) -> None:
        """Close for so long."""
        self._resting = why
        if self._waking is not None:
            self._waking.cancel()
        self._waking = self._later(seconds, self._wake)
        self._changed.set()

    def took(self) -> None:
        """Deliveries were taken: the next refusal waits 1 s again."""
        self._refusals = 0

    async def change(self) -> None:
        """Wait until something changed since the last call returned."""
        await self._changed.wait()
        self._changed.clear()

    def _wake(self) -> None:
        self._waking = None
        self._resting = ""
        self._changed.set()

    def _reopen(self) -> None:
        self._cancel_reopening()
        self._refused = ""
        self._changed.set()

    def _cancel_reopening(self) -> None:
        if self._reopening is not None:
            self._reopening.cancel()
            self._reopening = None
