"""How much may go now: the rates a relay is held to, in recipients, with time as an argument.

Two rules hold every rate. The count: what was handed over within the span, and what is being handed over now, is never
more than the limit. The pace, for spans up to a minute: mail is spread over the span from the moment it sets out,
instead of going in one burst at its beginning.

What is under way counts, since the server may see it at any moment. For a span up to a minute it counts until a span
after it arrived. The reply proves that; of a server whose replies usually take longer than a twentieth of the span it
is taken to be so a twentieth after the body was handed over. So no span at the server sees more arrive than the limit,
and slow answers do not slow the mail. For longer spans it counts until a whole span after its end: only what is taken
uses them up.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from emailhub.core.status import LimitStatus

PACED = 60.0
"""Longest span in seconds whose limit is spread over it; a day's allowance is not given out drop by drop."""
_SLICES = 1000
"""A span is counted in so many slices: memory stays bounded whatever the limit, at the cost of a thousandth of it."""
_TRANSIT = 20
"""One part in so many of a span: until then a body that was handed over has arrived, answered or not."""
_STALL = 2
"""One part in so many of a span: so long a server that usually answers sooner may be held up, and sees nothing yet."""
_LEARN = 0.2
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


class Flight:
    """So many recipients of one message under way; `handed` is when the last of its body was handed over."""

    __slots__ = ("count", "handed")

    def __init__(self, count: int) -> None:
        self.count = count
        self.handed: float | None = None


class Limiter:
    """The rates of one relay. Every method takes `now` (unix seconds) and none reads a clock.

    `begin` notes recipients that are about to go, `hand` that they went, `end` what became of them. A single message
    larger than a whole limit goes when nothing else is counted: it could never go otherwise.
    """

    def __init__(self, rates: Iterable[Rate] = (), past: Sequence[Used] = (), now: float = 0.0) -> None:
        self._spans = tuple(_Span(rate) for rate in rates)
        self._flights: set[Flight] = set()
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
        other._flights = self._flights
        for span in other._spans:
            span.inherit(self._flights)
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

    def begin(self, count: int, now: float) -> Flight:
        """`count` recipients are about to go."""
        flight = Flight(count)
        self._flights.add(flight)
        for span in self._spans:
            span.begin(flight, now)
        return flight

    def hand(self, flight: Flight, now: float) -> None:
        """The body was handed over; to be called again when it is once more."""
        for span in self._spans:
            span.take_back(flight, now)
        flight.handed = now
        for span in self._spans:
            span.hand(flight)

    def end(self, flight: Flight, now: float, *, tried: int, taken: int) -> None:
        """Of those that began, `tried` were shown to the server and `taken` it took, or may have taken."""
        self._flights.discard(flight)
        for span in self._spans:
            span.end(flight, now, tried if span.paced else taken)

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
    """One rate: the count of what arrived within the span, what is flying, and the pace."""

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self.paced = rate.seconds <= PACED
        self.burst = max(min(rate.limit // 20, math.ceil(rate.limit / rate.seconds)), 1) if self.paced else 1
        self.flying = 0
        self._handed: deque[Flight] = deque()
        """Of what is flying, what was handed over and is not answered, in that order."""
        self._transit = rate.seconds / _TRANSIT
        self._stall = rate.seconds / _STALL
        self._usual = 0.0
        """Seconds from handing over to the answer, lately."""
        self._each = rate.seconds / rate.limit
        self._slice = rate.seconds / _SLICES
        self._arrived: deque[Used] = deque()
        self._used = 0
        self._pace = 0.0
        """When everything given out so far would have gone at an even pace."""
        self._reached: float | None = None

    def recall(self, past: Iterable[Used], now: float) -> None:
        for used in sorted(past):
            self._count(used.recipients, min(used.at, now))
        self._forget(now)
        self._look(now)

    def inherit(self, flights: Iterable[Flight]) -> None:
        self.flying = sum(flight.count for flight in flights)
        for flight in sorted((one for one in flights if one.handed is not None), key=lambda one: one.handed or 0.0):
            self.hand(flight)

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

    def begin(self, flight: Flight, now: float) -> None:
        self._forget(now)
        self.flying += flight.count
        self._pace = max(self._pace, now) + flight.count * self._each
        self._look(now)

    def take_back(self, flight: Flight, now: float) -> None:
        """It is not handed over for good: as far as it counts as arrived, it does so a second time."""
        self._forget(now)
        if flight in self._handed:
            self._handed.remove(flight)
        elif self.paced and flight.handed is not None:
            self.flying += flight.count

    def hand(self, flight: Flight) -> None:
        if self.paced:
            self._handed.append(flight)

    def end(self, flight: Flight, now: float, counted: int) -> None:
        self._forget(now)
        if flight.handed is not None:
            self._learn(now - flight.handed)
        if flight in self._handed:
            self._handed.remove(flight)
        elif self.paced and flight.handed is not None:
            # It counts as arrived already.
            return
        self.flying -= flight.count
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
        for used in itertools.chain(self._arrived, self._arriving()):
            missing -= used.recipients
            if missing <= 0:
                return used.at + self.rate.seconds
        return None

    def _arriving(self) -> Iterator[Used]:
        """What is known to arrive, and when at the latest."""
        return (Used(self._stamp(self._arrival(one)), one.count) for one in self._handed)

    def _arrival(self, flight: Flight) -> float:
        """When it has arrived at the latest."""
        return (flight.handed or 0.0) + (self._transit if self._slow else self._stall)

    @property
    def _slow(self) -> bool:
        return self._usual > self._transit

    def _learn(self, took: float) -> None:
        self._usual += _LEARN * (min(max(took, 0.0), self._stall) - self._usual)

    def _count(self, count: int, at: float) -> None:
        if count <= 0:
            return
        stamp = self._stamp(at)
        if self._arrived and self._arrived[-1].at >= stamp:
            last = self._arrived.pop()
            self._arrived.append(Used(last.at, last.recipients + count))
        else:
            self._arrived.append(Used(stamp, count))
        self._used += count

    def _stamp(self, at: float) -> float:
        # The end of the slice: what is counted together is forgotten together, and not too early. Slices since 1970
        # are so many that the division rounds: the end may come out a quarter of a microsecond before `at`.
        return max(math.ceil(at / self._slice) * self._slice, at)

    def _forget(self, now: float) -> None:
        while self._handed and self._arrival(self._handed[0]) <= now:
            if not self._slow:
                # Nobody has to wait for the answer to know that it takes long.
                self._learn(self._stall)
            flight = self._handed.popleft()
            self.flying -= flight.count
            self._count(flight.count, self._arrival(flight))
        while self._arrived and self._arrived[0].at + self.rate.seconds <= now:
            self._used -= self._arrived.popleft().recipients
        # A clock set back by hours must not stop mail for hours.
        if self._arrived and self._arrived[-1].at > now + 2 * self._slice:
            self._rewind(now)
        if self._handed and (self._handed[-1].handed or 0.0) > now:
            for flight in self._handed:
                flight.handed = min(flight.handed or now, now)

    def _rewind(self, now: float) -> None:
        late = 0
        while self._arrived and self._arrived[-1].at > now:
            late += self._arrived.pop().recipients
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
