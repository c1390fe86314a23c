"""How much may go now: the rates a relay is held to, in recipients, with time as an argument.

Two rules hold every rate. The count: what was handed over within the span, and what is being handed over now, is never
more than the limit. Something in flight counts until a whole span after its end, since the server may take it at any
moment until then; so no span at the server sees more than the limit, however long a message was under way. The pace,
for spans up to a minute: mail is spread over the span instead of going in one burst at its beginning.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from emailhub.core.status import LimitStatus

PACED = 60.0
"""Longest span in seconds whose limit is spread over it; a day's allowance is not given out drop by drop."""
_SLICES = 1000
"""A span is counted in so many slices: memory stays bounded whatever the limit, at the cost of a thousandth of it."""
_RECOVERED = 20
"""A limit that was reached counts as free again when one part in so many is."""


class Rate(NamedTuple):
    """At most `limit` in any span of `seconds`."""

    limit: int
    seconds: float


class Used(NamedTuple):
    """So many `recipients` were handed over at `at` (unix seconds) or shortly before."""

    at: float
    recipients: int


class Limiter:
    """The rates of one relay. Every method takes `now` (unix seconds) and none reads a clock.

    `begin` notes recipients that are about to go, `end` what became of them. A single message larger than a whole limit
    goes when nothing else is counted: it could never go otherwise.
    """

    def __init__(self, rates: Iterable[Rate] = (), past: Sequence[Used] = (), now: float = 0.0) -> None:
        self._spans = tuple(_Span(rate) for rate in rates)
        self._flying = 0
        for span in self._spans:
            span.recall(past, now)

    def __bool__(self) -> bool:
        """Whether there is any rate to hold."""
        return bool(self._spans)

    @property
    def rates(self) -> tuple[Rate, ...]:
        return tuple(span.rate for span in self._spans)

    def changed(self, rates: Iterable[Rate], past: Sequence[Used], now: float) -> Limiter:
        """A limiter for other `rates` that knows what is under way; what is under way must end there."""
        other = Limiter(rates, past, now)
        other._flying = self._flying
        for span in other._spans:
            span.flying = self._flying
        return other

    def allowance(self, now: float) -> int:
        """How many recipients may go now; only to be asked when there are rates."""
        return max(min(span.allowance(now) for span in self._spans), 0)

    def fits(self, count: int, now: float) -> bool:
        """Whether one message with `count` recipients may go now."""
        return all(span.fits(count, now) for span in self._spans)

    def next_free(self, count: int, now: float) -> float | None:
        """When a message with `count` recipients may go, as far as time alone decides; None: when something ends."""
        times = [span.next_free(count, now) for span in self._spans]
        known = [time for time in times if time is not None]
        return max(known, default=now) if len(known) == len(times) else None

    def batch(self, now: float) -> float | None:
        """When it is worth to look again: as `next_free`, for the small bursts a fast rate is given out in."""
        return self.next_free(min((span.burst for span in self._spans), default=1), now)

    def begin(self, count: int, now: float) -> None:
        """`count` recipients are about to go."""
        self._flying += count
        for span in self._spans:
            span.begin(count, now)

    def end(self, count: int, now: float, *, tried: int, taken: int) -> None:
        """Of `count` that began, `tried` were shown to the server and `taken` it took, or may have taken."""
        self._flying -= count
        for span in self._spans:
            span.end(count, now, tried if span.paced else taken)

    def reached_since(self, now: float) -> float | None:
        """Since when an hour's or a day's limit keeps mail waiting; None when none does.

        A reached limit is free again only when a twentieth of it is: the drops that fall out of a rolling count one by
        one are used at once, and would hide that mail waits.
        """
        since = (span.reached_since(now) for span in self._spans if not span.paced)
        return min((at for at in since if at is not None), default=None)

    def status(self, now: float) -> tuple[LimitStatus, ...]:
        """Every rate, how much of it is used, and when more may go."""
        return tuple(span.status(now) for span in self._spans)


class _Span:
    """One rate: the count of what ended within the span, what is flying, and the pace."""

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self.paced = rate.seconds <= PACED
        self.burst = max(min(rate.limit // 20, math.ceil(rate.limit / rate.seconds)), 1) if self.paced else 1
        self.flying = 0
        self._each = rate.seconds / rate.limit
        self._slice = rate.seconds / _SLICES
        self._ended: deque[Used] = deque()
        self._used = 0
        self._pace = 0.0
        """When everything given out so far would have gone at an even pace."""
        self._reached: float | None = None

    def recall(self, past: Iterable[Used], now: float) -> None:
        for used in sorted(past):
            self._count(used.recipients, min(used.at, now))
        self._forget(now)
        self._look(now)

    def allowance(self, now: float) -> int:
        self._forget(now)
        return min(self._left(), self._paced_out(now))

    def fits(self, count: int, now: float) -> bool:
        self._forget(now)
        room = count <= self._left() or not (self._used or self.flying)
        return room and (not self.paced or self._paced_out(now) >= min(count, self.burst))

    def next_free(self, count: int, now: float) -> float | None:
        self._forget(now)
        counted = self._counted_free(count)
        if counted is None:
            return None
        return max(counted, now, self._pace + (min(count, self.burst) - self.burst) * self._each if self.paced else now)

    def begin(self, count: int, now: float) -> None:
        self._forget(now)
        self.flying += count
        self._pace = max(self._pace, now) + count * self._each
        self._look(now)

    def end(self, count: int, now: float, counted: int) -> None:
        self._forget(now)
        self.flying -= count
        self._count(counted, now)
        self._look(now)

    def reached_since(self, now: float) -> float | None:
        self._forget(now)
        self._look(now)
        return self._reached

    def status(self, now: float) -> LimitStatus:
        self._forget(now)
        free_at = None
        if self._left() < 1:
            # When all that counts is still under way, a span after now is the soonest it can be.
            free_at = self._counted_free(1) or now + self.rate.seconds
        return LimitStatus(
            limit=self.rate.limit, seconds=self.rate.seconds, used=self._used + self.flying, free_at=free_at
        )

    def _left(self) -> int:
        return self.rate.limit - self._used - self.flying

    def _paced_out(self, now: float) -> int:
        if not self.paced:
            return self._left()
        # A microsecond early: rounding must not make anybody wait for a moment that has come.
        ahead = max(self._pace - now - 1e-6, 0.0)
        return self.burst - math.ceil(ahead / self._each)

    def _counted_free(self, count: int) -> float | None:
        """When the count alone lets `count` go: 0 for now, None when that depends on what is flying."""
        missing = min(count, self.rate.limit) - self._left()
        if missing <= 0:
            return 0.0
        for used in self._ended:
            missing -= used.recipients
            if missing <= 0:
                return used.at + self.rate.seconds
        return None

    def _count(self, count: int, at: float) -> None:
        if count <= 0:
            return
        # The end of the slice: what is counted together is forgotten together, and not too early.
        stamp = math.ceil(at / self._slice) * self._slice
        if self._ended and self._ended[-1].at >= stamp:
            last = self._ended.pop()
            self._ended.append(Used(last.at, last.recipients + count))
        else:
            self._ended.append(Used(stamp, count))
        self._used += count

    def _forget(self, now: float) -> None:
        while self._ended and self._ended[0].at + self.rate.seconds <= now:
            self._used -= self._ended.popleft().recipients
        # A clock set back by hours must not stop mail for hours.
        if self._ended and self._ended[-1].at > now + 2 * self._slice:
            self._rewind(now)

    def _rewind(self, now: float) -> None:
        late = 0
        while self._ended and self._ended[-1].at > now:
            late += self._ended.pop().recipients
        self._used -= late
        self._count(late, now)
        self._pace = min(self._pace, now + self.rate.seconds)
        self._reached = min(self._reached, now) if self._reached is not None else None

    def _look(self, now: float) -> None:
        left = self._left()
        if left <= 0 and self._reached is None:
            self._reached = now
        elif left >= max(self.rate.limit // _RECOVERED, 1):
            self._reached = None


_PER = {1.0: "a second", 60.0: "a minute", 3600.0: "an hour", 86400.0: "a day"}


def words(limit: LimitStatus | Rate) -> str:
    """A rate as people say it: `2,000 a day`."""
    return f"{limit.limit:,} {_PER.get(limit.seconds) or f'in {limit.seconds:g} s'}"
