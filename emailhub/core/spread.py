"""Lengths of time as counts in buckets that grow: small to keep, merged by adding, and ranked to within a fifth."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping

from msgspec import Struct

BOUNDS: tuple[float, ...] = tuple(0.001 * 2 ** (step / 2) for step in range(54))
"""Seconds at which a bucket ends and the next begins: 1 ms, then two to a doubling, beyond a day."""


class Timing(Struct, frozen=True):
    """Seconds from acceptance to sent, over the `count` messages sent in the stretch of time that began at `at`."""

    at: float
    count: int = 0
    p50: float | None = None
    p95: float | None = None


class Timings(Struct, frozen=True):
    """The times of a period as a `whole`, and of each of its `steps`, none left out."""

    whole: Timing
    steps: tuple[Timing, ...]


def bucket(seconds: float) -> int:
    """The bucket of this length of time, 0 to `len(BOUNDS)`."""
    return bisect_right(BOUNDS, seconds)


def timing(at: float, counts: Mapping[int, int]) -> Timing:
    """What `counts` (messages by bucket) say of the time that began `at`."""
    return Timing(at, sum(counts.values()), quantile(counts, 0.5), quantile(counts, 0.95))


def quantile(counts: Mapping[int, int], share: float) -> float | None:
    """Seconds within which `share` of the messages went; None when there is none."""
    rank, passed = share * sum(counts.values()), 0
    for number in sorted(counts):
        if counts[number] and passed + counts[number] >= rank:
            return _inside(number, (rank - passed) / counts[number])
        passed += counts[number]
    return None


def _inside(number: int, share: float) -> float:
    """A length of time `share` of the way through a bucket: evenly in the first, by its logarithm in the others."""
    if number == 0:
        return BOUNDS[0] * share
    low = BOUNDS[number - 1]
    return low * float(2 ** (share / 2))
