"""Log-ins of the dashboard that go on, in memory; `users` keeps them in the outbox. Times are given."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable

from emailhub.core.user import Session

IDLE = 30 * 60.0
ABSOLUTE = 12 * 3600.0
NOTE_AFTER = 60.0
"""Seconds of use that may be lost by a crash; writing every use would be a write per page."""
_AGENT = 160


class Sessions:
    """The sessions alive now, found by the hash of their token: a memory dump holds no token that opens anything.

    A session ends `idle` seconds after its last use and `absolute` seconds after the log-in, whichever is first.
    At most `capacity` are kept; the one used longest ago makes room. `token()` makes an unguessable token.
    """

    def __init__(
        self, token: Callable[[], str], *, idle: float = IDLE, absolute: float = ABSOLUTE, capacity: int = 1000
    ) -> None:
        self._token = token
        self._idle = idle
        self._absolute = absolute
        self._capacity = capacity
        self._alive: OrderedDict[bytes, Session] = OrderedDict()
        self._noted: dict[bytes, float] = {}

    def __len__(self) -> int:
        return len(self._alive)

    def make(self, user: str, peer: str, agent: str, now: float) -> tuple[str, Session]:
        """A new session and its token, which the server itself chose and never accepts from a client.

        It counts once it is added.
        """
        token = self._token()
        found = Session(digest=digest(token), user=user, began=now, seen=now, peer=peer, agent=agent[:_AGENT])
        return token, found

    def add(self, sessions: Iterable[Session]) -> None:
        """Let these count, the one used longest ago first."""
        for session in sessions:
            self._alive[session.digest] = session
            self._noted[session.digest] = session.seen

    def crowd(self) -> list[bytes]:
        """Those that must go to make room for one more."""
        return list(self._alive)[: max(len(self._alive) - self._capacity + 1, 0)]

    def use(self, token: str, now: float) -> Session | None:
        """The session if it is alive; it counts as used now."""
        session = self.find(token, now)
        if session is not None:
            session.seen = max(session.seen, now)
            self._alive.move_to_end(session.digest)
        return session

    def find(self, token: str, now: float) -> Session | None:
        """The session if it is alive, without counting as use."""
        session = self._alive.get(digest(token))
        return session if session is not None and not self._over(session, now) else None

    def of(self, user: str, now: float) -> list[Session]:
        """All of a user that are alive, the one used last first."""
        return [one for one in reversed(self._alive.values()) if one.user == user and not self._over(one, now)]

    def drop(self, digests: Iterable[bytes]) -> None:
        """Forget them; nothing happens where there is none."""
        for one in digests:
            self._alive.pop(one, None)
            self._noted.pop(one, None)

    def drop_all(self, user: str) -> None:
        """Forget all of a user."""
        self.drop([one.digest for one in self._alive.values() if one.user == user])

    def over(self, now: float) -> list[bytes]:
        """Those that have ended by themselves."""
        return [one.digest for one in self._alive.values() if self._over(one, now)]

    def used(self) -> list[Session]:
        """Those used longer ago than was noted, which are noted now."""
        found = [one for one in self._alive.values() if one.seen - self._noted[one.digest] >= NOTE_AFTER]
        self._noted |= {one.digest: one.seen for one in found}
        return found

    def _over(self, session: Session, now: float) -> bool:
        return now - session.seen >= self._idle or now - session.began >= self._absolute


def digest(token: str) -> bytes:
    """What is kept of a token: 256 random bits need no slow hash."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
