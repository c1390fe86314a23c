"""Log-ins of the dashboard: sessions kept on the server, and the back-off after wrong passwords. Times are given."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable

from msgspec import Struct

IDLE = 30 * 60.0
ABSOLUTE = 12 * 3600.0


class Session(Struct):
    """One log-in: when it began, when it was last used, and from which address it came."""

    began: float
    seen: float
    client: str


class Sessions:
    """The sessions alive now, found by the hash of their token: a memory dump holds no token that opens anything.

    A session ends `idle` seconds after its last use and `absolute` seconds after the log-in, whichever is first.
    At most `capacity` are kept; the one used longest ago makes room.
    """

    def __init__(
        self, token: Callable[[], str], *, idle: float = IDLE, absolute: float = ABSOLUTE, capacity: int = 1000
    ) -> None:
        self._token = token
        self._idle = idle
        self._absolute = absolute
        self._capacity = capacity
        self._alive: OrderedDict[bytes, Session] = OrderedDict()

    def __len__(self) -> int:
        return len(self._alive)

    def begin(self, client: str, now: float) -> str:
        """A new session; returns its token, which the server itself chose and never accepts from a client."""
        self._prune(now)
        token = self._token()
        self._alive[_digest(token)] = Session(now, now, client)
        return token

    def use(self, token: str, now: float) -> bool:
        """Whether the session is alive; if so it counts as used now."""
        if not self.alive(token, now):
            return False
        digest = _digest(token)
        self._alive[digest].seen = now
        self._alive.move_to_end(digest)
        return True

    def alive(self, token: str, now: float) -> bool:
        """Whether the session is alive, without counting as use."""
        session = self._alive.get(_digest(token))
        return session is not None and not self._over(session, now)

    def end(self, token: str) -> None:
        """Forget the session; nothing happens when there is none."""
        self._alive.pop(_digest(token), None)

    def _over(self, session: Session, now: float) -> bool:
        return now - session.seen >= self._idle or now - session.began >= self._absolute

    def _prune(self, now: float) -> None:
        for digest in [digest for digest, session in self._alive.items() if self._over(session, now)]:
            del self._alive[digest]
        while len(self._alive) >= self._capacity:
            self._alive.popitem(last=False)


class _Record(Struct):
    failures: int
    last: float
    until: float


class Backoff:
    """Who has to wait after wrong passwords: `free` tries, then 1, 2, 4 … minutes up to `cap` seconds.

    Failures are forgotten `forget` seconds after the last one. At most `capacity` names are kept; the one that failed
    longest ago makes room, so that an attacker with many addresses cannot fill the memory.
    """

    def __init__(
        self, *, free: int = 5, first: float = 60.0, cap: float = 960.0, forget: float = 86400.0, capacity: int = 4096
    ) -> None:
        self._free = free
        self._first = first
        self._cap = cap
        self._forget = forget
        self._capacity = capacity
        self._records: OrderedDict[str, _Record] = OrderedDict()

    def __len__(self) -> int:
        return len(self._records)

    def wait(self, who: str, now: float) -> float:
        """Seconds until `who` may try again; 0 when at once."""
        record = self._records.get(who)
        return max(record.until - now, 0.0) if record else 0.0

    def failed(self, who: str, now: float) -> None:
        """`who` gave a wrong password."""
        record = self._records.pop(who, None)
        failures = 1 if record is None or now - record.last >= self._forget else record.failures + 1
        beyond = failures - self._free
        wait = min(self._first * 2.0 ** min(beyond, 16), self._cap) if beyond >= 0 else 0.0
        self._records[who] = _Record(failures, now, now + wait)
        while len(self._records) > self._capacity:
            self._records.popitem(last=False)

    def succeeded(self, who: str) -> None:
        """`who` gave the right password: the count starts again."""
        self._records.pop(who, None)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
