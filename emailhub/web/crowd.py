"""Who gives way when too many connections are open: one that waits, of the network that has most of them waiting.

Otherwise whoever opens all of them and says nothing would keep everybody out until the time for a header is over. A
caller who sends a request as soon as it is connected waits for a moment only, so that others go before it, even where
all come from one address.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from emailhub import logs
from emailhub.engine.guessing import network_of

_QUIET = 10.0
"""Seconds between two lines of the log about it."""

log = logs.get("server")


class Line(Protocol):
    """A connection."""

    @property
    def peer(self) -> str: ...
    @property
    def waiting_since(self) -> float | None:
        """Since when a whole request is waited for, by the clock of the loop; None while one is answered."""


L = TypeVar("L", bound=Line)


class Crowd:
    """At most `most` connections. `now` is a monotonic clock in seconds."""

    def __init__(self, most: int, now: Callable[[], float]) -> None:
        self.most = most
        self._now = now
        self._told = -_QUIET
        self._gave_way = 0
        self._refused = 0

    def gives_way(self, lines: Iterable[L]) -> L | None:
        """Which of `lines` is closed for a new one; None when all are at work, and the new one is refused."""
        found = first_to_go(lines)
        self._gave_way += found is not None
        self._refused += found is None
        self._tell()
        return found

    def _tell(self) -> None:
        if self._now() - self._told < _QUIET:
            return
        log.warning("too many connections", limit=self.most, gave_way=self._gave_way, refused=self._refused)
        self._told, self._gave_way, self._refused = self._now(), 0, 0


def first_to_go(lines: Iterable[L]) -> L | None:
    """The one that has waited longest, of the network (an IPv4 address, or a /64) with most that wait."""
    waiting: dict[str, list[tuple[float, L]]] = defaultdict(list)
    for line in lines:
        since = line.waiting_since
        if since is not None:
            waiting[line.peer].append((since, line))
    together: dict[str, list[tuple[float, L]]] = defaultdict(list)
    for peer, those in waiting.items():
        together[network_of(peer)] += those
    greediest = max(together, key=lambda network: len(together[network]), default=None)
    return None if greediest is None else min(together[greediest], key=lambda one: one[0])[1]
