"""All faces over a real outbox on SQLite, in this process, asked without a socket. No courier runs unless told."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx
from litestar import Litestar

from emailhub.adapters.capture import CaptureRelay
from emailhub.adapters.sqlite import Database, SqliteHistory, SqliteOutbox, open_database
from emailhub.adapters.sqlite.audit import SqliteAudit
from emailhub.adapters.sqlite.bulk import SqliteBulk
from emailhub.adapters.sqlite.keys import SqliteKeys
from emailhub.adapters.sqlite.letters import SqliteLetters
from emailhub.adapters.sqlite.suppressions import SqliteSuppressions
from emailhub.adapters.sqlite.templates import SqliteTemplates
from emailhub.adapters.sqlite.upkeep import SqliteUpkeep
from emailhub.adapters.sqlite.users import SqliteUsers
from emailhub.adapters.sqlite.verbs import SqliteVerbs
from emailhub.core.breaker import Rules, Snapshot
from emailhub.core.delivery import Policy
from emailhub.core.message import Limits, Mailbox
from emailhub.core.records import Event
from emailhub.engine.audit import AuditLog
from emailhub.engine.board import Board, Line
from emailhub.engine.bulk import Bulk
from emailhub.engine.courier import Courier
from emailhub.engine.desk import Desk
from emailhub.engine.fuse import Fuse
from emailhub.engine.gate import Access, Gate
from emailhub.engine.intake import Defaults, Intake
from emailhub.engine.keyring import Keyring
from emailhub.engine.letters import DeadLetters
from emailhub.engine.live import Live
from emailhub.engine.logins import LogIns
from emailhub.engine.meter import Meter
from emailhub.engine.room import Room
from emailhub.engine.sessions import Sessions
from emailhub.engine.shelf import Shelf, StoredCatalog
from emailhub.engine.solo import NoBroker
from emailhub.engine.suppression import SuppressionList
from emailhub.engine.templates import Templates
from emailhub.engine.users import Users
from emailhub.web.faces import Faces, WebOptions
from emailhub.web.site import create_app
from tests.support.staff import PlainHasher
from tests.support.templates import Files, PlainRenderer

START = 1_800_000_000.0
GOOD = {"from": "hub@example.org", "to": "ada@example.org", "subject": "Hello", "text": "Hi"}
SEED = {"to": "ada@example.org", "subject": "Hello", "body": "Hi", "request_id": "r-1"}


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.at = START

    def __call__(self) -> float:
        return self.at


class WebHub:
    """The faces, what they stand on, and a client on `http://localhost:8000`."""

    def __init__(
        self,
        app: Litestar,
        faces: Faces,
        clock: Clock,
        room: Room,
        courier: Courier,
        database: Database,
        files: Files,
    ) -> None:
        self.app = app
        self.faces = faces
        self.clock = clock
        self.room = room
        self.courier = courier
        self.database = database
        self.files = files
        self.client = self.client_from()

    def client_from(
        self, peer: str = "127.0.0.1", base_url: str = "http://localhost:8000", **headers: str
    ) -> httpx.AsyncClient:
        """A client at the address `peer` that asks for the host in `base_url`."""
        transport = httpx.ASGITransport(self.app, client=(peer, 4321), raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url=base_url, headers=headers)

    async def stored(self) -> int:
        """How many messages the outbox has."""
        return sum((await self.faces.history.totals()).by_state.values())

    async def send(self, **fields: Any) -> str:
        """Give a message; its id."""
        response = await self.client.post("/emails", json=GOOD | fields)
        assert response.status_code == 200, response.text
        return str(response.json()["id"])

    @contextlib.asynccontextmanager
    async def carrying(self) -> AsyncIterator[None]:
        """Let the courier of the capture relay work."""
        task = asyncio.create_task(self.courier.run())
        try:
            yield
        finally:
            await self.courier.stop(1.0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@contextlib.asynccontextmanager
async def web_hub(
    folder: Path,
    access: Access | None = None,
    options: WebOptions | None = None,
    *,
    max_waiting: int = 1000,
    clients: int = 50,
    backlog: int = 256,
    limits: Limits | None = None,
) -> AsyncIterator[WebHub]:
    """The hub with its database in `folder`; `access` says who may come in, loopback by default."""
    clock, meter = Clock(), Meter()
    live: Live | None = None

    def told(events: Sequence[Event]) -> None:
        if live:
            live.publish(events)

    database = await open_database(folder / "emailhub.db", on_events=told)
    try:
        history, verbs, upkeep = (
            SqliteHistory(database),
            SqliteVerbs(database, dead_letters=False),
            SqliteUpkeep(database),
        )
        live = Live(history, clients=clients, backlog=backlog)
        outbox, relay = SqliteOutbox(database, dead_letters=False), CaptureRelay()
        fuse = Fuse(relay.name, Rules(), Snapshot(), upkeep, now=clock, jitter=lambda: 0.0)
        courier = Courier(relay, outbox, fuse, policy=Policy(), meter=meter, now=clock, jitter=lambda: 0.0)
        room = Room(max_waiting, 0)
        keyring = Keyring(SqliteKeys(database), now=clock, entropy=secrets.token_bytes)
        await keyring.load()
        intake = Intake(
            outbox,
            NoBroker(),
            wake=lambda _: courier.wake(),
            room=room,
            limits=limits or Limits(),
            defaults=Defaults(Mailbox("hub@example.org"), relay.name),
            meter=meter,
            now=clock,
            entropy=secrets.token_bytes,
            counter=keyring,
        )
        desk = Desk(
            verbs,
            history,
            {relay.name: fuse},
            relay=relay.name,
            expire_after=86400.0,
            wake=courier.wake,
            now=clock,
            entropy=secrets.token_bytes,
        )
        lines = {relay.name: Line(relay, courier, fuse, "")}
        board = Board(lines, NoBroker(), history, room, capturing=True, now=clock)
        tokens = itertools.count()
        access = access or Access()
        audit = SqliteAudit(database)
        sessions = Sessions(lambda: f"token-{next(tokens)}-{secrets.token_hex(16)}")
        staff, hasher = SqliteUsers(database), PlainHasher()
        users = Users(staff, hasher, sessions, admin=access.admin_password, now=clock)
        logins = LogIns(users, staff, hasher, sessions, record=audit.record, now=clock)
        logins.know(await users.load())
        gate = Gate(access, people=users, keyring=keyring)
        listed = SuppressionList(SqliteSuppressions(database), meter=meter, now=clock)
        files, store = Files(), SqliteTemplates(database)
        templates = Templates(PlainRenderer(), [files, StoredCatalog(store)])
        shelf = Shelf(store, templates, files, now=clock, entropy=secrets.token_bytes)
        faces = Faces(
            intake,
            desk,
            history,
            live,
            board,
            gate,
            meter,
            options or WebOptions(),
            clock,
            suppressions=listed,
            shelf=shelf,
            letters=DeadLetters(SqliteLetters(database), intake, now=clock),
            bulk=Bulk(SqliteBulk(database), desk, wake=courier.wake, now=clock, entropy=secrets.token_bytes),
            audit=AuditLog(audit, now=clock),
            users=users,
            logins=logins,
            keyring=keyring,
        )
        yield WebHub(create_app(faces), faces, clock, room, courier, database, files)
    finally:
        if live:
            live.close()
        await database.close()
