"""When to try again after a transient reply: a pure function of the attempt and a random number."""

from __future__ import annotations

from msgspec import Struct

_MINUTE = 60.0
_HOUR = 3600.0
PATIENT = (2.0, 4.0, 8.0, 16.0, _MINUTE, 5 * _MINUTE, 15 * _MINUTE, 30 * _MINUTE, _HOUR)
"""Seconds before the 2nd, 3rd … attempt when no limit is set; the last one repeats until the message expires."""
GREYLISTED = (_MINUTE, 5 * _MINUTE, 15 * _MINUTE)
"""Shortest seconds before the 2nd, 3rd … attempt after a greylisting reply: windows are usually 1 to 15 minutes."""
JITTER = 0.2


class Schedule(Struct, frozen=True):
    """The waits between attempts.

    `limit` None: PATIENT, without end. `limit` set: `first` * 2^(n-1) seconds up to `cap`, that many attempts in all.
    """

    limit: int | None = None
    first: float = 2.0
    cap: float = _HOUR

    def after(
        self, attempts: int, jitter: float, *, greylisted: bool = False, named: float | None = None
    ) -> float | None:
        """Seconds to wait after the `attempts`-th attempt (1 = the first) was put off, or None when they are used up.

        `jitter` in [-1, 1] moves the wait by up to 20 %; `named` is a delay the reply asked for and is never undercut.
        """
        if self.limit is not None and attempts >= self.limit:
            return None
        wait = self._base(attempts) * (1 + JITTER * jitter)
        if greylisted:
            # Only later, never sooner: a retry inside the window starts some windows anew.
            wait = max(wait, _nth(GREYLISTED, attempts) * (1 + JITTER * abs(jitter)))
        return max(wait, named or 0.0)

    def _base(self, attempts: int) -> float:
        if self.limit is None:
            return _nth(PATIENT, attempts)
        # 2.0 ** 1024 overflows; the cap is reached long before the 64th doubling.
        return min(self.first * 2.0 ** min(max(attempts, 1) - 1, 64), self.cap)


def _nth(waits: tuple[float, ...], attempts: int) -> float:
    return waits[min(max(attempts, 1), len(waits)) - 1]
