"""How many requests a caller of the API may make: fixed windows, counted in memory, with time as an argument.

A window begins with the first request after the last one ended. So the headers tell exactly what is left and when there
will be more, and a caller that waits as told is never refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from msgspec import Struct

from emailhub.core.limits import Rate

_CALLERS = 4096
"""So many callers are counted one by one. Keys are few, but a network that may send without one can have any size."""


class Quota(Struct, frozen=True):
    """What one caller has left of `rate` after this request: `remaining` requests, and anew in `reset` seconds.

    `over`: this request was too many.
    """

    rate: Rate
    remaining: int
    reset: float
    over: bool = False

    def headers(self) -> tuple[tuple[str, str], ...]:
        """The quota as header fields."""
        return (
            ("ratelimit-limit", str(self.rate.limit)),
            ("ratelimit-remaining", str(self.remaining)),
            ("ratelimit-reset", str(max(1, math.ceil(self.reset)))),
            ("ratelimit-policy", f"{self.rate.limit};w={self.rate.seconds:.0f}"),
        )


class _Window:
    __slots__ = ("began", "used")

    def __init__(self, began: float) -> None:
        self.began = began
        self.used = 0


class Throttle:
    """Holds every caller to `rates`; without any it is false and need not be asked."""

    def __init__(self, rates: Iterable[Rate] = ()) -> None:
        self._rates = tuple(rates)
        self._callers: dict[str, tuple[_Window, ...]] = {}

    def __bool__(self) -> bool:
        return bool(self._rates)

    def take(self, caller: str, now: float) -> Quota:
        """Count one request of `caller`, unless it is too many; the tightest of its quotas."""
        windows = self._windows(caller, now)
        pairs = tuple(zip(self._rates, windows, strict=True))
        over = [_quota(rate, window, now, over=True) for rate, window in pairs if window.used >= rate.limit]
        if over:
            return max(over, key=lambda quota: quota.reset)
        for window in windows:
            window.used += 1
        return min((_quota(rate, window, now) for rate, window in pairs), key=lambda quota: quota.remaining)

    def _windows(self, caller: str, now: float) -> tuple[_Window, ...]:
        windows = self._callers.get(caller)
        if windows is None:
            if len(self._callers) >= _CALLERS:
                self._forget(now)
            windows = self._callers[caller] = tuple(_Window(now) for _ in self._rates)
        for rate, window in zip(self._rates, windows, strict=True):
            # Also anew when the clock was set back: nobody shall wait for a time that is years away.
            if not 0.0 <= now - window.began < rate.seconds:
                window.began, window.used = now, 0
        return windows

    def _forget(self, now: float) -> None:
        """Drop whoever has no window left; when that is nobody, the one who came first."""
        spans = [rate.seconds for rate in self._rates]
        for caller in [name for name, windows in self._callers.items() if _ended(windows, spans, now)]:
            del self._callers[caller]
        if len(self._callers) >= _CALLERS:
            del self._callers[next(iter(self._callers))]


def _ended(windows: tuple[_Window, ...], spans: list[float], now: float) -> bool:
    return all(not 0.0 <= now - window.began < span for window, span in zip(windows, spans, strict=True))


def _quota(rate: Rate, window: _Window, now: float, *, over: bool = False) -> Quota:
    return Quota(rate, rate.limit - window.used, window.began + rate.seconds - now, over)
