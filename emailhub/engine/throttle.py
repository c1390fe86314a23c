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


class _Caller:
    __slots__ = ("own", "rates", "windows")

    def __init__(self, own: tuple[Rate, ...], rates: tuple[Rate, ...], now: float) -> None:
        self.own = own
        self.rates = rates
        self.windows = tuple(_Window(now) for _ in rates)


class Throttle:
    """Holds every caller to `rates`, and each to those of its own; without any it is false."""

    def __init__(self, rates: Iterable[Rate] = ()) -> None:
        self._rates = tuple(rates)
        self._callers: dict[str, _Caller] = {}

    def __bool__(self) -> bool:
        return bool(self._rates)

    def take(self, caller: str, now: float, own: tuple[Rate, ...] = ()) -> Quota:
        """Count one request of `caller`, unless it is too many; the tightest of its quotas. Only with some rate."""
        found = self._caller(caller, now, own)
        pairs = tuple(zip(found.rates, found.windows, strict=True))
        over = [_quota(rate, window, now, over=True) for rate, window in pairs if window.used >= rate.limit]
        if over:
            return max(over, key=lambda quota: quota.reset)
        for window in found.windows:
            window.used += 1
        return min((_quota(rate, window, now) for rate, window in pairs), key=lambda quota: quota.remaining)

    def _caller(self, name: str, now: float, own: tuple[Rate, ...]) -> _Caller:
        found = self._callers.get(name)
        if found is None or found.own != own:
            if len(self._callers) >= _CALLERS:
                self._forget(now)
            found = self._callers[name] = _Caller(own, (*self._rates, *own), now)
        for rate, window in zip(found.rates, found.windows, strict=True):
            # Also anew when the clock was set back: nobody shall wait for a time that is years away.
            if not 0.0 <= now - window.began < rate.seconds:
                window.began, window.used = now, 0
        return found

    def _forget(self, now: float) -> None:
        """Drop whoever has no window left; when that is nobody, the one who came first."""
        for name in [name for name, caller in self._callers.items() if _ended(caller, now)]:
            del self._callers[name]
        if len(self._callers) >= _CALLERS:
            del self._callers[next(iter(self._callers))]


def _ended(caller: _Caller, now: float) -> bool:
    pairs = zip(caller.windows, caller.rates, strict=True)
    return all(not 0.0 <= now - window.began < rate.seconds for window, rate in pairs)


def _quota(rate: Rate, window: _Window, now: float, *, over: bool = False) -> Quota:
    return Quota(rate, rate.limit - window.used, window.began + rate.seconds - now, over)
