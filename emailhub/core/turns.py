"""Taking turns at a recipients' domain: so many at a time, so many a second; who comes later is told when.

A `Gate` knows what is under way to one domain; a `Turn` is what one claim may use of it, as plain numbers that can be
handed to another thread; `Wait`s tell the gate whom that claim put off.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple, Protocol, TypeVar

from msgspec import Struct

from emailhub.core.limits import Flight, Limiter, Rate
from emailhub.core.routing import domain_of, matches

FIRST_GUESS = 1.0
"""Seconds an attempt is thought to take until one has been seen."""
_LEARN = 0.2
_PLENTY = 1_000_000
SWEEP = 60.0
"""Seconds after its turn in which a row that does not come is forgotten."""
_LONGEST = 60.0
"""Seconds more an attempt is not thought to take: it may be the clock that jumped."""


class Spare(Struct, frozen=True, kw_only=True):
    """What one `domain` (or `*.domain`) of recipients is spared: more messages at a time, or a faster rate."""

    domain: str
    connections: int | None = None
    rates: tuple[Rate, ...] = ()


class Wait(NamedTuple):
    """`recipient` (a row's id) was put off by the gate `domain` until `until`."""

    domain: str
    recipient: int
    until: float


class Turn:
    """What one claim may use of a gate: `places` more messages at a time with `free` recipients in all.

    The others queue up from `slot` on, `step` apart.

    Whoever was put off before has its turn before newcomers: `line` holds their rows' ids.
    """

    __slots__ = ("domain", "free", "line", "places", "slot", "step", "text")

    def __init__(
        self, domain: str, places: int, free: int, slot: float, step: float, line: Collection[int], text: str
    ) -> None:
        self.domain = domain
        self.places = places
        self.free = free
        self.slot = slot
        self.step = step
        self.line = line
        self.text = text

    def copy(self) -> Turn:
        """A turn of its own: a claim that is run again starts anew."""
        return Turn(self.domain, self.places, self.free, self.slot, self.step, self.line, self.text)

    def admits(self, recipient: int, now: float, *, along: bool) -> bool:
        """Whether the row may go now, which uses up what there is; `along`: with another row of its message."""
        newcomer = recipient not in self.line and self.slot > now and bool(self.line)
        if self.free <= 0 or newcomer or (self.places <= 0 and not along):
            return False
        self.free -= 1
        self.places -= not along
        return True

    def wait(self, recipient: int, now: float) -> Wait:
        """The row's place in the line."""
        # Whose turn has come and cannot be now is next, not last: others would overtake it for ever.
        if recipient in self.line:
            return Wait(self.domain, recipient, now + self.step)
        until = max(self.slot, now + self.step)
        self.slot = until + self.step
        return Wait(self.domain, recipient, until)


class Gate:
    """One recipients' domain. Every method takes `now` (unix seconds) and none reads a clock."""

    def __init__(self, spare: Spare, now: float) -> None:
        self.spare = spare
        self._limiter = Limiter(spare.rates, now=now)
        self._busy = 0
        self._slot = now
        self._took = FIRST_GUESS
        self._line: dict[int, float] = {}
        self._swept = self._asked = now

    @property
    def domain(self) -> str:
        """The pattern of the domains it is about."""
        return self.spare.domain

    def turn(self, now: float) -> Turn:
        """What may be used now."""
        if now < self._asked:
            # A clock set back by hours must not keep mail waiting for hours.
            self._slot, self._swept = now, now
            self._line.clear()
        self._asked = now
        if self._line and now - self._swept > SWEEP:
            # Whoever was canceled, or went over another way, would keep newcomers waiting.
            self._swept = now
            self._line = {id: until for id, until in self._line.items() if until > now - SWEEP}
        free = self._limiter.allowance(now) if self._limiter else _PLENTY
        places = _PLENTY if self.spare.connections is None else max(self.spare.connections - self._busy, 0)
        return Turn(self.spare.domain, places, free, self._slot, self._step(), self._line.keys(), self._text())

    def _step(self) -> float:
        steps = [rate.seconds / rate.limit for rate in self.spare.rates]
        if self.spare.connections is not None:
            steps.append(self._took / self.spare.connections)
        return max(steps, default=0.0)

    def _text(self) -> str:
        return f"waits for its turn: mail to {self.spare.domain} is slowed down"

    def queued(self, waits: Iterable[Wait]) -> None:
        """Rows were put off."""
        step = self._step()
        for wait in waits:
            self._line[wait.recipient] = wait.until
            self._slot = max(self._slot, wait.until + step)

    def begin(self, recipients: Sequence[int], now: float) -> Flight:
        """The rows of one message go now."""
        self._busy += 1
        for recipient in recipients:
            self._line.pop(recipient, None)
        return self._limiter.begin(len(recipients), now)

    def hand(self, flight: Flight, now: float) -> None:
        """The message's body was handed over."""
        self._limiter.hand(flight, now)

    def end(self, flight: Flight, now: float, seconds: float) -> None:
        """The message ended after `seconds`."""
        self._busy -= 1
        self._limiter.end(flight, now, tried=flight.count, taken=flight.count)
        self._took += _LEARN * (min(max(seconds, 0.0), _LONGEST) - self._took)


class OfDomain(Protocol):
    """A gate, or a turn at one."""

    @property
    def domain(self) -> str: ...


D = TypeVar("D", bound=OfDomain)


def first_of(them: Sequence[D], address: str) -> D | None:
    """The first whose pattern the address' domain matches."""
    domain = domain_of(address)
    return next((one for one in them if matches(one.domain, domain)), None)
