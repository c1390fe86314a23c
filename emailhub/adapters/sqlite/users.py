"""Users, their log-ins, and where they log in from, in the outbox. Every change's commit has its audit entry too."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import partial

from emailhub.adapters.sqlite import many
from emailhub.adapters.sqlite.database import Database
from emailhub.adapters.sqlite.writer import Transaction
from emailhub.core.access import Role
from emailhub.core.audit import Deed
from emailhub.core.user import ADMIN, Kept, Session, User

PLACES = 20
"""Networks that are remembered of a user, the latest."""
_ADMIN_HASH = "admin_password"


class SqliteUsers:
    """See `engine.users.UserStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> Kept:
        """Everything that is kept."""
        return await self._database.read(_load)

    async def add(self, user: User, hash: str, deed: Deed) -> None:
        """Keep a new user with the hash of their password."""

        def work(tx: Transaction) -> None:
            row = (user.name, user.role.value, hash, user.since)
            tx.execute("INSERT INTO user (name, role, password, since) VALUES (?, ?, ?, ?)", row)
            tx.record(deed)

        await self._database.write(work)

    async def change(self, user: User, hash: str, deed: Deed) -> None:
        """Keep another role or password; all log-ins of the user end."""

        def work(tx: Transaction) -> None:
            row = (user.role.value, hash, user.name)
            tx.execute("UPDATE user SET role = ?, password = ? WHERE name = ?", row)
            _end_all(tx, user.name)
            tx.record(deed)

        await self._database.write(work)

    async def remove(self, name: str, deed: Deed) -> None:
        """Forget the user, with log-ins and places."""

        def work(tx: Transaction) -> None:
            tx.execute("DELETE FROM user WHERE name = ?", (name,))
            tx.execute("DELETE FROM place WHERE user = ?", (name,))
            _end_all(tx, name)
            tx.record(deed)

        await self._database.write(work)

    async def begin(self, session: Session, place: str, instead: Sequence[bytes], deed: Deed) -> None:
        """Keep a log-in from the network `place`, in the stead of those with the digests `instead`."""
        await self._database.write(partial(_begin, session=session, place=place, instead=instead, deed=deed))

    async def end(self, digests: Sequence[bytes], deed: Deed | None = None) -> None:
        """Forget log-ins, because somebody ended them (`deed`) or because they are over."""

        def work(tx: Transaction) -> None:
            _end(tx, digests)
            if deed is not None:
                tx.record(deed)

        await self._database.write(work)

    async def touch(self, sessions: Sequence[Session]) -> None:
        """Keep when these were used last."""
        rows = [(one.seen, one.digest) for one in sessions]
        where = "session.digest = v.column2"
        await self._database.write(lambda tx: many.update(tx, "UPDATE session SET seen = v.column1", rows, where))

    async def keep_admin(self, hash: str | None) -> None:
        """The password that is a setting is another one, or none: log-ins with the one before end."""

        def work(tx: Transaction) -> None:
            tx.execute("DELETE FROM meta WHERE key = ?", (_ADMIN_HASH,))
            if hash is not None:
                tx.execute("INSERT INTO meta (key, value) VALUES (?, ?)", (_ADMIN_HASH, hash))
            _end_all(tx, ADMIN)

        await self._database.write(work)


def _load(connection: sqlite3.Connection) -> Kept:
    users = connection.execute("SELECT name, role, since, last_login, password FROM user ORDER BY name").fetchall()
    sessions = connection.execute("SELECT digest, user, began, seen, peer, agent FROM session ORDER BY seen")
    admin = connection.execute("SELECT value FROM meta WHERE key = ?", (_ADMIN_HASH,)).fetchone()
    places = connection.execute("SELECT user, peer FROM place")
    return Kept(
        users=tuple(
            (User(name=name, role=Role(role), since=since, last_login=last), hash)
            for name, role, since, last, hash in users
        ),
        sessions=tuple(
            Session(digest=digest, user=user, began=began, seen=seen, peer=peer, agent=agent)
            for digest, user, began, seen, peer, agent in sessions
        ),
        places=frozenset((user, peer) for user, peer in places),
        admin_hash=admin[0] if admin else None,
    )


def _begin(tx: Transaction, session: Session, place: str, instead: Sequence[bytes], deed: Deed) -> None:
    _end(tx, instead)
    tx.execute(
        "INSERT INTO session (digest, user, began, seen, peer, agent) VALUES (?, ?, ?, ?, ?, ?)",
        (session.digest, session.user, session.began, session.seen, session.peer, session.agent),
    )
    tx.execute("UPDATE user SET last_login = ? WHERE name = ?", (session.began, session.user))
    tx.execute("INSERT OR REPLACE INTO place (user, peer, at) VALUES (?, ?, ?)", (session.user, place, session.began))
    tx.execute(
        "DELETE FROM place WHERE user = ?1 AND peer NOT IN "
        "(SELECT peer FROM place WHERE user = ?1 ORDER BY at DESC LIMIT ?2)",
        (session.user, PLACES),
    )
    tx.record(deed)


def _end(tx: Transaction, digests: Sequence[bytes]) -> None:
    for digest in digests:
        tx.execute("DELETE FROM session WHERE digest = ?", (digest,))


def _end_all(tx: Transaction, name: str) -> None:
    tx.execute("DELETE FROM session WHERE user = ?", (name,))
