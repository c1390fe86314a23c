"""Logging in and out. One password is looked at at a time, as slowly for a name nobody has as for one somebody has."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager

from msgspec import Struct

from emailhub import logs
from emailhub.core.audit import REFUSED, Deed
from emailhub.core.errors import LogInRefused, OutboxError
from emailhub.engine.desk import Actor
from emailhub.engine.guessing import Guesses, network_of
from emailhub.engine.refusals import UNKNOWN, Bucket, told_more
from emailhub.engine.sessions import Sessions, digest
from emailhub.engine.users import Hasher, Users, UserStore

WAITING = 10
"""Log-ins that may wait for their password to be looked at, which takes a tenth of a second each."""
_WRONG = "Name or password is not right."

log = logs.get("login")


class Attempt(Struct, frozen=True, kw_only=True):
    """What a log-in shows: `name` and `password`, the address (`client`) and browser (`agent`) it comes from, and the
    token of the log-in before (`old`), which it ends."""

    name: str
    password: str
    client: str = ""
    agent: str = ""
    old: str | None = None


class LogIns:
    """Begins and ends log-ins of `users`. `record` keeps a failed one in the audit log."""

    def __init__(
        self,
        users: Users,
        store: UserStore,
        hasher: Hasher,
        sessions: Sessions,
        *,
        record: Callable[[Deed], Awaitable[None]],
        now: Callable[[], float],
    ) -> None:
        self._users = users
        self._store = store
        self._hasher = hasher
        self._sessions = sessions
        self._record = record
        self._now = now
        self._guesses = Guesses()
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._telling = Bucket()

    def know(self, places: Iterable[tuple[str, str]]) -> None:
        """These users (name, network) have logged in from these networks before."""
        self._guesses.know(places)

    async def log_in(self, attempt: Attempt) -> str:
        """Begin a log-in; its token. Raises LogInRefused: not right, or not looked at because of those before."""
        async with self._in_turn():
            hash = await self._demand_right(attempt, "session.begin", _WRONG)
            return await self._begin(attempt, network_of(attempt.client), hash)

    async def change_password(self, attempt: Attempt, new: str, actor: Actor) -> None:
        """Give the user who shows their password (`attempt`) the `new` one, and end all their log-ins.

        Raises LogInRefused: not right, or not looked at because of those before; InvalidMessage with every problem.
        """
        async with self._in_turn():
            await self._demand_right(attempt, "user.password", "The password you have now is not right.")
            await self._users.set_password(attempt.name, new, actor)

    async def log_out(self, token: str) -> None:
        """End the log-in with this token; nothing happens when there is none."""
        session = self._sessions.find(token, self._now())
        if session is not None:
            await self._end([session.digest], self._deed("session.end", session.user, session.peer))

    async def log_out_everywhere(self, name: str, *, actor: str, peer: str, reason: str = "") -> int:
        """End every log-in of the user `name`; how many there were. Raises NotFound."""
        user = self._users.get(name)
        found = self._users.sessions(name)
        detail = f"{len(found)} log-in{'' if len(found) == 1 else 's'}"
        await self._end(
            [one.digest for one in found], self._deed("session.end_all", actor, peer, user.name, reason, detail)
        )
        return len(found)

    @asynccontextmanager
    async def _in_turn(self) -> AsyncIterator[None]:
        if self._waiting >= WAITING:
            raise LogInRefused("rate_limit_exceeded", "Too many log-ins at once. Try again in 5 s.", retry_after=5.0)
        self._waiting += 1
        try:
            # One after the other, so that guesses sent at the same moment are counted before the next is looked at.
            async with self._turn:
                yield
        finally:
            self._waiting -= 1

    async def _demand_right(self, attempt: Attempt, what: str, wrong: str) -> str | None:
        """The hash of the password, which is right; what it is asked for is `what`. Raises LogInRefused."""
        network = network_of(attempt.client)
        self._demand_patience(attempt.name, network, self._now())
        hash = self._users.hash_of(attempt.name)
        if not await self._hasher.verify(hash, attempt.password):
            self._guesses.wrong(attempt.name, network, self._now())
            await self._tell_failure(attempt, what, self._now())
            raise LogInRefused("invalid_password", wrong, status=401)
        self._guesses.right(attempt.name, network)
        return hash

    def _demand_patience(self, name: str, network: str, now: float) -> None:
        wait = self._guesses.wait(name, network, now)
        if wait > 0:
            # Not even a right password is looked at: otherwise the wait would tell when it was right.
            log.info("log-in not looked at", client=network, seconds=round(wait))
            text = f"Too many wrong passwords. Try again in {_span(wait)}."
            raise LogInRefused("rate_limit_exceeded", text, retry_after=wait)

    async def _begin(self, attempt: Attempt, network: str, hash: str | None) -> str:
        now = self._now()
        token, session = self._sessions.make(attempt.name, attempt.client, attempt.agent, now)
        instead = self._sessions.crowd() + ([digest(attempt.old)] if attempt.old else [])
        await self._store.begin(session, network, instead, self._deed("session.begin", session.user, session.peer))
        self._sessions.drop(instead)
        if self._users.hash_of(session.user) != hash:
            # Removed, or given another password, while this one was looked at.
            await self._store.end([session.digest])
            raise LogInRefused("invalid_password", _WRONG, status=401)
        self._sessions.add([session])
        self._users.logged_in(session.user, now)
        log.info("logged in", user=session.user, client=session.peer)
        return token

    async def _end(self, digests: list[bytes], deed: Deed) -> None:
        # First here: whatever becomes of the disk, they open nothing any more.
        self._sessions.drop(digests)
        await self._store.end(digests, deed)
        log.info("logged out", user=deed.target or deed.actor, sessions=len(digests), client=deed.peer)

    async def _tell_failure(self, attempt: Attempt, what: str, now: float) -> None:
        # What was typed as a name may be a password.
        name = attempt.name if self._users.hash_of(attempt.name) is not None else UNKNOWN
        log.warning("log-in refused", user=name, client=attempt.client)
        untold = self._telling.take(now)
        if untold is None:
            return
        detail = f"wrong name or password{told_more(untold)}"
        deed = self._deed(what, name, attempt.client, detail=detail, result=REFUSED)
        try:
            await self._record(deed)
        except OutboxError as error:
            # The answer stays the same: it must not tell that this one was looked at.
            log.error("audit log not written", error=str(error))

    def _deed(
        self, what: str, actor: str, peer: str, target: str = "", reason: str = "", detail: str = "", **more: str
    ) -> Deed:
        return Deed(
            at=self._now(), actor=actor, peer=peer, what=what, target=target, reason=reason, detail=detail, **more
        )


def _span(seconds: float) -> str:
    """`45 s`, or `3 min` from a minute on."""
    whole = math.ceil(seconds)
    return f"{whole} s" if whole < 60 else f"{math.ceil(whole / 60)} min"
