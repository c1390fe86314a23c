"""Virtual time for conversations over real sockets whose two ends both live in the running loop.

What one end writes to the loopback device is at the other at once, or within a moment of the kernel's own. So time may
jump to the next timer as soon as nothing is on its way, and a deadline of ten minutes passes in no time.
"""

from __future__ import annotations

import array
import fcntl
import functools
import selectors
import termios
from collections.abc import Callable, Coroutine
from time import monotonic
from typing import Any, ParamSpec

from tests.support.clock import Selector, VirtualLoop, virtual

P = ParamSpec("P")

MOMENT = 0.002
"""Real seconds in which the kernel passes on what was written, the end of a connection too."""
STALLED = 0.2
"""Real seconds after which what was written is not on its way but not wanted: its reader has stopped reading."""


class NetworkLoop(VirtualLoop):
    """A VirtualLoop that waits, in real time, for what is between two sockets or with a resolver thread."""

    def selector(self) -> Selector:
        return _Selector(self)

    async def getaddrinfo(self, host: Any, port: Any, **hints: Any) -> Any:
        self.busy += 1
        try:
            return await super().getaddrinfo(host, port, **hints)
        finally:
            self.busy -= 1


class _Selector(Selector):
    def last_look(self) -> list[tuple[selectors.SelectorKey, int]]:
        until = monotonic() + STALLED
        while True:
            ready = selectors.DefaultSelector.select(self, MOMENT)
            if ready or monotonic() > until or not any(map(_unread, self.get_map().values())):
                return ready


def _unread(key: selectors.SelectorKey) -> bool:
    """Whether something written to this socket has not reached the other end."""
    count = array.array("i", [0])
    try:
        fcntl.ioctl(key.fd, termios.TIOCOUTQ, count)
    except OSError:
        return False  # no socket, or one that listens
    return count[0] > 0


def over_the_network(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run an async test in virtual time over real sockets. Its fixtures must be synchronous."""
    return functools.wraps(test)(virtual(test, loop=NetworkLoop))
