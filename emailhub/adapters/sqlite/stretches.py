"""A search that has to look at messages one by one looks at a stretch of them at a time, and knows when to stop."""

from __future__ import annotations

import math
from collections.abc import Iterator
from time import thread_time
from typing import Final

FIRST: Final = 5_000
"""Messages of the first stretch."""
GROWTH: Final = 4.0
"""A stretch has at most so many times the messages of the one before."""


def stretches(low: int, high: int, *, down: bool, patience: float = math.inf) -> Iterator[tuple[int, int]]:
    """The numbers `low` to `high` in stretches, from the high end `down` or from the low end up: (first, last) of each.

    Ends early when what was done with them took `patience` seconds of this thread's processor time; each stretch is as
    long as what is left of that allows.
    """
    size, end = FIRST, thread_time() + patience
    while low <= high:
        began = thread_time()
        if down:
            yield max(low, high - size + 1), high
            high -= size
        else:
            yield low, min(high, low + size - 1)
            low += size
        now = thread_time()
        if now >= end:
            return
        size = max(int(size * min(GROWTH, (end - now) / max(now - began, 1e-6))), 1)
