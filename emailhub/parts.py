"""The parts of a running hub, and why it ended when one of them does."""

from __future__ import annotations

import asyncio
import gc
import secrets
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emailhub import logs
from emailhub.adapters.fetch import Fetcher
from emailhub.adapters.http import Webhook
from emailhub.adapters.passwords import Argon2
from emailhub.adapters.rabbit import Rabbit
from emailhub.adapters.renderer import ProcessRenderer
from emailhub.adapters.sqlite import Database
from emailhub.adapters.sqlite.audit import SqliteAudit
from emailhub.adapters.sqlite.keys import SqliteKeys
from emailhub.adapters.sqlite.templates import SqliteTemplates
from emailhub.adapters.sqlite.users import SqliteUsers
from emailhub.adapters.templates import TemplateFolder
from emailhub.core.errors import EmailhubError, OutboxError
from emailhub.core.template import Broken
from emailhub.engine.audit import AuditLog
from emailhub.engine.board import Board
from emailhub.engine.bulk import Bulk
from emailhub.engine.clock import ClockWatch
from emailhub.engine.fleet import Fleet
from emailhub.engine.keeper import Keeper
from emailhub.engine.keyring import Keyring
from emailhub.engine.lag import LagWatch
from emailhub.engine.live import Live
from emailhub.engine.logins import LogIns
from emailhub.engine.room import Room
from emailhub.engine.sessions import Sessions
from emailhub.engine.shelf import StoredCatalog
from emailhub.engine.solo import NoBroker
from emailhub.engine.templates import Templates
from emailhub.engine.undertaker import Undertaker
from emailhub.engine.users import Users
from emailhub.engine.watch import Watch
from emailhub.web.server import Server

EXIT_FAILED = 70
TEMPLATES_SECONDS = 3.0
"""Between two looks at the directory of templates when no mail asks for one."""

log = logs.get("app")


@dataclass(frozen=True, kw_only=True)
class Kitchen:
    """Everything about templates: those in `folder`, when there is one, go before the stored ones."""

    renderer: ProcessRenderer
    folder: TemplateFolder | None
    stored: SqliteTemplates
    templates: Templates

    @classmethod
    async def of(cls, root: Path | None, database: Database, clock: Callable[[], float]) -> Kitchen:
        """Templates in `root` and in `database`. Those in `root` that are broken are told in the log."""
        renderer, stored = ProcessRenderer(), SqliteTemplates(database)
        folder = TemplateFolder(root, renderer.check, clock=clock) if root else None
        if folder is not None:
            await folder.look()
        catalogs = (*([folder] if folder else ()), StoredCatalog(stored))
        return cls(renderer=renderer, folder=folder, stored=stored, templates=Templates(renderer, catalogs))

    async def watch(self, folder: TemplateFolder) -> None:
        """Look at `folder` now and then: what is broken shall be told though no mail asks for it."""
        while True:
            await asyncio.sleep(TEMPLATES_SECONDS)
            await folder.look()

    def broken(self) -> tuple[Broken, ...]:
        """Templates of the folder that could not be used at the last look."""
        return self.folder.known_broken() if self.folder else ()


@dataclass(frozen=True, kw_only=True)
class Doors:
    """Who may come in, with key or password, and the log of what they do."""

    keyring: Keyring
    users: Users
    logins: LogIns
    audit: AuditLog
    passwords: Argon2

    @classmethod
    async def of(cls, database: Database, admin: str | None, sessions: Sessions, now: Callable[[], float]) -> Doors:
        """Those in `database`, and the operator with the password `admin`, when there is one."""
        store, passwords, entries = SqliteUsers(database), Argon2(), SqliteAudit(database)
        keyring = Keyring(SqliteKeys(database), now=now, entropy=secrets.token_bytes)
        await keyring.load()
        users = Users(store, passwords, sessions, admin=admin, now=now)
        logins = LogIns(users, store, passwords, sessions, record=entries.record, now=now)
        logins.know(await users.load())
        audit = AuditLog(entries, now=now)
        return cls(keyring=keyring, users=users, logins=logins, audit=audit, passwords=passwords)

    async def note(self) -> None:
        """Note how keys and log-ins were used since the last time."""
        try:
            await self.keyring.note()
            await self.users.note()
        except OutboxError as error:
            log.warning("use of keys and log-ins not noted", error=str(error))


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Everything that runs."""

    broker: Rabbit | NoBroker
    live: Live
    fleet: Fleet
    room: Room
    board: Board
    watch: Watch
    keeper: Keeper
    bulk: Bulk
    clock: ClockWatch
    lag: LagWatch
    undertaker: Undertaker
    hook: Webhook | None
    fetcher: Fetcher | None
    kitchen: Kitchen
    doors: Doors
    server: Server

    def running(self) -> list[tuple[str, Coroutine[Any, Any, None]]]:
        """The supervised parts by name: none may end while emailhub runs."""
        parts = [
            ("fleet", self.fleet.run()),
            ("keeper", self.keeper.run()),
            ("bulk", self.bulk.run()),
            ("keys", self.doors.keyring.run()),
            ("users", self.doors.users.run()),
            ("watch", self.watch.run()),
            ("alerts", self.watch.tell()),
            ("clock", self.clock.run()),
            ("lag", self.lag.run()),
        ]
        if self.kitchen.folder is not None:
            parts.append(("templates", self.kitchen.watch(self.kitchen.folder)))
        if isinstance(self.broker, Rabbit):
            parts += [("rabbitmq", self.broker.run()), ("undertaker", self.undertaker.run())]
        return parts

    async def stop(self, tasks: Sequence[asyncio.Task[None]], grace: float) -> None:
        """Stop everything but the outbox, to which every other part still writes; `tasks` are what `running` gave.

        Why in this order: intake answers 503 first, so that nothing new is promised; the queue's consumer is cancelled,
        so that RabbitMQ keeps what it has; live streams end, since the server waits for open answers; couriers give
        back what is harmless and finish, for `grace` seconds, what could have been delivered; then the server, what
        renders, RabbitMQ, and whoever only watches.
        """
        self.room.stopping = True
        if isinstance(self.broker, Rabbit):
            await self.broker.stop_intake()
        self.live.close()
        await self.fleet.stop(grace)
        await self.server.stop()
        await self.kitchen.renderer.close()
        if isinstance(self.broker, Rabbit):
            await self.broker.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.doors.note()
        self.doors.passwords.close()
        for client in (self.hook, self.fetcher):
            if client:
                await client.close()


def verdict(tasks: Sequence[asyncio.Task[None]], database: Database) -> int:
    """Why work ended: 0 when somebody asked for it, 70 and a log line when a part died."""
    if database.broken.done():
        log.error("outbox broken", text=str(database.broken.result()))
        return EXIT_FAILED
    dead = [task for task in tasks if task.done()]
    for task in dead:
        error = None if task.cancelled() else task.exception()
        if isinstance(error, EmailhubError):
            log.error("part ended", part=task.get_name(), text=str(error))
        else:
            log.error("part ended", part=task.get_name(), exc=error)
    return EXIT_FAILED if dead else 0


def keep_for_good() -> Callable[[], None]:
    """Let the garbage collector pass over what is there now; gives what undoes it.

    All that was built stays to the end, and looking through it now and then stopped the loop for 80 ms each time.
    """
    gc.collect()
    gc.freeze()
    return gc.unfreeze
