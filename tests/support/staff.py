"""People who log in, kept in memory, with passwords that take no time to hash."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence

from emailhub.core.audit import Deed
from emailhub.core.user import Kept, Session, User
from emailhub.engine.logins import LogIns
from emailhub.engine.sessions import Sessions
from emailhub.engine.users import Users


class PlainHasher:
    """Hashes that are the password itself; `looked` are those that were verified."""

    def __init__(self) -> None:
        self.looked: list[str | None] = []

    async def hash(self, password: str) -> str:
        return f"plain:{password}"

    async def verify(self, hash: str | None, password: str) -> bool:
        self.looked.append(hash)
        await asyncio.sleep(0)  # as long as others get their turn, which a thread would give them
        return hash == f"plain:{password}"


class MemoryUsers:
    """See `engine.users.UserStore`; `kept` is what the next start would read."""

    def __init__(self, kept: Kept | None = None) -> None:
        found = kept or Kept()
        self.users = {user.name: (user, hash) for user, hash in found.users}
        self.rows = {session.digest: session for session in found.sessions}
        self.places = set(found.places)
        self.admin_hash = found.admin_hash
        self.deeds: list[Deed] = []
        self.touched: list[Session] = []

    @property
    def kept(self) -> Kept:
        return Kept(
            users=tuple(self.users.values()),
            sessions=tuple(self.rows.values()),
            places=frozenset(self.places),
            admin_hash=self.admin_hash,
        )

    async def load(self) -> Kept:
        return self.kept

    async def add(self, user: User, hash: str, deed: Deed) -> None:
        await self.change(user, hash, deed)

    async def change(self, user: User, hash: str, deed: Deed) -> None:
        self.users[user.name] = (user, hash)
        self._end_all(user.name)
        self.deeds.append(deed)

    async def remove(self, name: str, deed: Deed) -> None:
        del self.users[name]
        self._end_all(name)
        self.deeds.append(deed)

    async def begin(self, session: Session, place: str, instead: Sequence[bytes], deed: Deed) -> None:
        await self.end(instead)
        self.rows[session.digest] = session
        self.places.add((session.user, place))
        self.deeds.append(deed)

    async def end(self, digests: Sequence[bytes], deed: Deed | None = None) -> None:
        for digest in digests:
            self.rows.pop(digest, None)
        if deed is not None:
            self.deeds.append(deed)

    async def touch(self, sessions: Sequence[Session]) -> None:
        self.touched += sessions

    async def keep_admin(self, hash: str | None) -> None:
        self.admin_hash = hash
        self._end_all("admin")

    async def record(self, deed: Deed) -> None:
        self.deeds.append(deed)

    def _end_all(self, name: str) -> None:
        self.rows = {digest: one for digest, one in self.rows.items() if one.user != name}


class People:
    """Users and their log-ins over a store in memory. `now` may be moved."""

    def __init__(self, store: MemoryUsers | None = None, *, admin: str | None, at: float, capacity: int = 1000) -> None:
        tokens = itertools.count()
        self.now = at
        self.store = store or MemoryUsers()
        self.hasher = PlainHasher()
        self.sessions = Sessions(lambda: f"t{next(tokens)}", capacity=capacity)
        clock: Callable[[], float] = lambda: self.now  # noqa: E731
        self.users = Users(self.store, self.hasher, self.sessions, admin=admin, now=clock)
        self.logins = LogIns(self.users, self.store, self.hasher, self.sessions, record=self.store.record, now=clock)

    async def load(self) -> People:
        """As at the start of the hub."""
        self.logins.know(await self.users.load())
        return self
