"""The people who may log in to the dashboard, and their log-ins that go on.

All of it is in memory, where the gate asks at every request of the dashboard; the store is read once. So what is
changed counts at once: another password or role ends every log-in of its user.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec.structs import replace

from emailhub import logs
from emailhub.core.access import Principal, Role
from emailhub.core.audit import Deed
from emailhub.core.errors import InvalidMessage, NotFound, OutboxError, Problem
from emailhub.core.user import ADMIN, MOST, Kept, Session, User, name_problem, password_problem
from emailhub.engine.desk import Actor
from emailhub.engine.sessions import Sessions

NOTE_SECONDS = 30.0
_HASHED = "$argon2id$"

log = logs.get("users")


class UserStore(Protocol):
    """Where users and their log-ins are kept; each change with its entry in the audit log."""

    async def load(self) -> Kept: ...
    async def add(self, user: User, hash: str, deed: Deed) -> None: ...
    async def change(self, user: User, hash: str, deed: Deed) -> None: ...
    async def remove(self, name: str, deed: Deed) -> None: ...
    async def begin(self, session: Session, place: str, instead: Sequence[bytes], deed: Deed) -> None: ...
    async def end(self, digests: Sequence[bytes], deed: Deed | None = None) -> None: ...
    async def touch(self, sessions: Sequence[Session]) -> None: ...
    async def keep_admin(self, hash: str | None) -> None: ...


class Hasher(Protocol):
    """Hashes what people choose, slowly, outside the event loop."""

    async def hash(self, password: str) -> str: ...
    async def verify(self, hash: str | None, password: str) -> bool: ...


class Users:
    """Users in `store`, and `admin`, whose password is a setting: the password itself or an argon2id hash of it.

    `changed` is called when who may come in has changed.
    """

    def __init__(
        self,
        store: UserStore,
        hasher: Hasher,
        sessions: Sessions,
        *,
        admin: str | None,
        now: Callable[[], float],
    ) -> None:
        self._store = store
        self._hasher = hasher
        self._sessions = sessions
        self._admin = admin
        self._now = now
        self._users: dict[str, User] = {}
        self._hashes: dict[str, str] = {}
        self._changing = asyncio.Lock()
        self.changed: Callable[[], None] = lambda: None

    async def load(self) -> frozenset[tuple[str, str]]:
        """Read what is stored. To be called before anything else. Returns who has logged in from where."""
        kept = await self._store.load()
        self._users = {user.name: user for user, _ in kept.users}
        self._hashes = {user.name: hash for user, hash in kept.users}
        known = await self._load_admin(kept)
        self._sessions.add(one for one in kept.sessions if one.user in self._users and (known or one.user != ADMIN))
        return kept.places

    async def _load_admin(self, kept: Kept) -> bool:
        """Know `admin`; whether its password is that of the last start."""
        hash = kept.admin_hash
        if self._admin is None:
            known = hash is None
            hash = None
        elif self._admin.startswith(_HASHED):
            known, hash = hash == self._admin, self._admin
        else:
            known = hash is not None and await self._hasher.verify(hash, self._admin)
            hash = hash if known else await self._hasher.hash(self._admin)
        if not known:
            await self._store.keep_admin(hash)
        if hash is not None:
            self._users[ADMIN], self._hashes[ADMIN] = User(name=ADMIN, role=Role.OPERATOR, since=0.0), hash
        return known

    @property
    def guards(self) -> bool:
        """Whether there is anybody who can log in: then the dashboard asks for it."""
        return bool(self._users)

    def use(self, token: str, now: float) -> Principal | None:
        """Who is logged in with `token`; the log-in counts as used."""
        session = self._sessions.use(token, now)
        user = self._users.get(session.user) if session is not None else None
        return user.principal if user is not None else None

    def name_of(self, token: str, now: float) -> str:
        """Whose log-in it is, without counting as use; "" when there is none."""
        session = self._sessions.find(token, now)
        return session.user if session is not None else ""

    def alive(self, token: str, now: float) -> bool:
        """Whether the log-in goes on, without counting as use."""
        return self._sessions.find(token, now) is not None

    def all(self) -> list[User]:
        """Everybody by name, `admin` first."""
        return sorted(self._users.values(), key=lambda user: (user.name != ADMIN, user.name))

    def get(self, name: str) -> User:
        """One of them. Raises NotFound."""
        if name not in self._users:
            raise NotFound("user", name)
        return self._users[name]

    def sessions(self, name: str) -> list[Session]:
        """The log-ins of a user that go on, the one used last first."""
        return self._sessions.of(name, self._now())

    def hash_of(self, name: str) -> str | None:
        """The hash of a user's password; None when there is no such user."""
        return self._hashes.get(name)

    def logged_in(self, name: str, at: float) -> None:
        """Remember when a user logged in."""
        self._users[name] = replace(self._users[name], last_login=at)

    async def add(self, name: str, role: Role, password: str, actor: Actor, reason: str = "") -> User:
        """Add a user. Raises InvalidMessage with every problem; a first user who may change nothing is one."""
        async with self._changing:
            self._demand(name_problem(name), password_problem(password, name), self._no_room(name, role))
            user = User(name=name, role=role, since=self._now())
            hash = await self._hasher.hash(password)
            await self._store.add(user, hash, self._deed("user.add", user, actor, reason, detail=role.value))
            self._users[name], self._hashes[name] = user, hash
            self._done("user added", user, actor, reason)
            return user

    async def set_role(self, name: str, role: Role, actor: Actor, reason: str = "") -> User:
        """Let a user do more or less, and end their log-ins. Raises NotFound, InvalidMessage."""
        async with self._changing:
            user = self._changeable(name)
            if user.role is role:
                return user
            self._demand_operator_beside(user, "role")
            changed = replace(user, role=role)
            await self._change(changed, self._hashes[name], self._deed("user.role", user, actor, reason, role.value))
            self._done("user's role changed", changed, actor, reason)
            return changed

    async def set_password(self, name: str, password: str, actor: Actor, reason: str = "") -> User:
        """Give a user another password, and end their log-ins. Raises NotFound, InvalidMessage."""
        async with self._changing:
            user = self._changeable(name)
            self._demand(password_problem(password, name))
            hash = await self._hasher.hash(password)
            await self._change(user, hash, self._deed("user.password", user, actor, reason))
            self._done("user's password changed", user, actor, reason)
            return user

    async def remove(self, name: str, actor: Actor, reason: str = "") -> User:
        """Forget a user, and end their log-ins. Raises NotFound, InvalidMessage."""
        async with self._changing:
            user = self._changeable(name)
            if len(self._users) > 1:
                self._demand_operator_beside(user, "name")
            await self._store.remove(name, self._deed("user.remove", user, actor, reason))
            del self._users[name], self._hashes[name]
            self._sessions.drop_all(name)
            self._done("user removed", user, actor, reason)
            return user

    async def run(self) -> None:
        """Note now and then which log-ins were used and which are over, until cancelled."""
        while True:
            await asyncio.sleep(NOTE_SECONDS)
            try:
                await self.note()
            except OutboxError as error:
                log.warning("use of log-ins not noted", error=str(error))

    async def note(self) -> None:
        """Note which log-ins were used, and forget those that are over."""
        if over := self._sessions.over(self._now()):
            self._sessions.drop(over)
            await self._store.end(over)
        if used := self._sessions.used():
            await self._store.touch(used)

    async def _change(self, user: User, hash: str, deed: Deed) -> None:
        await self._store.change(user, hash, deed)
        self._users[user.name], self._hashes[user.name] = user, hash
        self._sessions.drop_all(user.name)

    def _changeable(self, name: str) -> User:
        user = self.get(name)
        if name == ADMIN:
            text = "is the operator of the settings: change EMAILHUB_ADMIN_PASSWORD and start the hub again"
            raise InvalidMessage((Problem("name", text),))
        return user

    def _no_room(self, name: str, role: Role) -> Problem | None:
        if name in self._users:
            return Problem("name", "is the name of another user")
        if len(self._users) >= MOST:
            return Problem("name", f"would make one more than {MOST} users; remove some")
        if not self._users and role is not Role.OPERATOR:
            # From the first user on the dashboard asks for a log-in.
            return Problem("role", "must be operator for the first user, since nobody else could change anything")
        return None

    def _demand_operator_beside(self, user: User, field: str) -> None:
        others = (one for one in self._users.values() if one.name != user.name)
        if user.role is Role.OPERATOR and not any(one.role is Role.OPERATOR for one in others):
            raise InvalidMessage((Problem(field, f"{user.name} is the only operator; make another one first"),))

    @staticmethod
    def _demand(*problems: Problem | None) -> None:
        found = tuple(problem for problem in problems if problem is not None)
        if found:
            raise InvalidMessage(found)

    def _deed(self, what: str, user: User, actor: Actor, reason: str, detail: str = "") -> Deed:
        return Deed(
            at=self._now(),
            actor=actor.name,
            peer=actor.peer,
            what=what,
            target=user.name,
            reason=reason,
            detail=detail,
        )

    def _done(self, what: str, user: User, actor: Actor, reason: str) -> None:
        self.changed()
        log.warning(what, user=user.name, role=user.role.value, actor=str(actor), note=reason)
