"""How slowly a body may be taken."""

from __future__ import annotations


class Pace:
    """At least `min_rate` bytes a second; whoever is slower is borne with for `grace` seconds, which speed refills.

    `now` is monotonic seconds.
    """

    def __init__(self, grace: float, min_rate: float, now: float) -> None:
        self.min_rate = min_rate
        self._grace = grace
        self._left = grace
        self._taken = 0
        self._now = now

    def left(self, taken: int, now: float) -> float:
        """Seconds until it is too slow, with `taken` bytes taken in all; 0 or less when it is."""
        earned = (taken - self._taken) / self.min_rate
        self._left = min(self._left + earned - (now - self._now), self._grace)
        self._taken, self._now = taken, now
        return self._left
