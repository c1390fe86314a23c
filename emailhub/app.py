"""The composition root: builds every part from the settings, runs them all, stops them, and the outbox last."""

from __future__ import annotations

import asyncio
import random
import secrets
import signal
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

from emailhub import __version__, logs, wiring
from emailhub.adapters.fetch import Fetcher
from emailhub.adapters.http import Webhook
from emailhub.adapters.rabbit import Delivery, Rabbit
from emailhub.adapters.sqlite import Database, SqliteHistory, SqliteOutbox, open_database
from emailhub.adapters.sqlite.behaviour import SqliteBehaviour
from emailhub.adapters.sqlite.bulk import SqliteBulk
from emailhub.adapters.sqlite.in_hand import SqliteInHand
from emailhub.adapters.sqlite.letters import SqliteLetters
from emailhub.adapters.sqlite.putting_forward import SqlitePutOff
from emailhub.adapters.sqlite.relays import SqliteRelays
from emailhub.adapters.sqlite.suppressions import SqliteSuppressions
from emailhub.adapters.sqlite.upkeep import SqliteUpkeep
from emailhub.adapters.sqlite.verbs import SqliteVerbs
from emailhub.core.records import Event
from emailhub.engine.board import Board
from emailhub.engine.bulk import Bulk
from emailhub.engine.chaos import ChaosSwitch, Unruly
from emailhub.engine.clock import Clock, ClockWatch, catch_up
from emailhub.engine.desk import Desk
from emailhub.engine.entropy import Entropy
from emailhub.engine.fleet import Fleet, RelaySpec, Rig
from emailhub.engine.intake import Intake
from emailhub.engine.keeper import Keeper
from emailhub.engine.lag import LagWatch
from emailhub.engine.letters import DeadLetters
from emailhub.engine.live import Live
from emailhub.engine.meter import Meter
from emailhub.engine.rescuer import rescue
from emailhub.engine.room import Room
from emailhub.engine.shelf import Shelf
from emailhub.engine.solo import NoBroker
from emailhub.engine.subscriber import Subscriber
from emailhub.engine.suppression import SuppressionList
from emailhub.engine.undertaker import Undertaker
from emailhub.engine.watch import Watch
from emailhub.parts import Doors, Kitchen, Parts, keep_for_good, verdict
from emailhub.reload import Read, Reloader, Requests
from emailhub.settings import Loaded, Settings
from emailhub.stopping import Stopping
from emailhub.web.faces import Faces, WebOptions
from emailhub.web.listening import bind
from emailhub.web.server import Server
from emailhub.web.site import create_app

BURIALS = frozenset({"failed", "unreadable"})
"""Events after which a dead letter may wait to be published."""

log = logs.get("app")


class Hub:
    """One running emailhub. Clock and randomness enter here and nowhere else."""

    def __init__(self, loaded: Loaded, read: Read | None = None) -> None:
        self._settings = loaded.settings
        self._reloader = Reloader(loaded, read or (lambda: loaded), self._adopt)
        self._clock = Clock(time.time, time.monotonic)
        self._now = self._clock.now
        # Delays and turns only, which are no secret: asking the system for each took a thirtieth of a message's time.
        self._random = random.Random()  # noqa: S311
        self._entropy = Entropy()
        self._live: Live | None = None
        self._undertaker: Undertaker | None = None
        self._fleet: Fleet | None = None
        self.stopping = Stopping()

    async def run(self) -> int:
        """Build, work, stop; the exit code. Raises OutboxBusy, OutboxUnusable, OSError when it cannot start."""
        started = time.monotonic()
        # Bound first: a port that is taken is told before the outbox is touched.
        listener = bind(self._settings.host, self._settings.port)
        async with AsyncExitStack() as stack:
            stack.callback(listener.close)
            database = await open_database(self._settings.database, on_events=self._told)
            stack.push_async_callback(database.close)
            parts = await self._build(database)
            self._listen_for_signals()
            await parts.server.start(listener)
            stack.callback(keep_for_good())
            log.info("started", version=__version__, **wiring.greeting(self._settings, time.monotonic() - started))
            return await self._work(parts, database)

    def _told(self, events: Sequence[Event]) -> None:
        if self._live is not None:
            self._live.publish(events)
        if self._undertaker is not None and any(event.kind in BURIALS for event in events):
            self._undertaker.wake()

    def _jitter(self) -> float:
        return self._random.uniform(-1.0, 1.0)

    async def _build(self, database: Database) -> Parts:
        settings, now = self._settings, self._now
        meter = Meter()
        history, upkeep = SqliteHistory(database), SqliteUpkeep(database)
        burying = settings.rabbitmq_url is not None
        outbox = SqliteOutbox(
            database,
            dead_letters=burying,
            suppress_refused=settings.suppress_refused,
            withheld=meter.suppressed,
            sure=self._clock.sure,
        )
        self._outbox, verbs = outbox, SqliteVerbs(database, dead_letters=burying)
        self._live = Live(history, clients=settings.sse_clients)
        put_off = SqlitePutOff(database)
        # Before anything is put off by the new clock.
        await catch_up(put_off, now())
        await self._tidy(outbox, verbs, meter)
        doors = await Doors.of(database, wiring.admin(settings), wiring.sessions(settings), now)
        relays = SqliteRelays(database)
        broker = await self._broker(upkeep, relays)
        defaults = wiring.defaults(settings)
        rig = self._rig(outbox, upkeep, relays, meter)
        self._fleet = fleet = Fleet(
            rig,
            failover_after=settings.failover_after,
            sink=defaults.relay if settings.capture else None,
            grace=settings.shutdown_grace,
        )
        chaos = await self._chaos(SqliteBehaviour(database))
        kitchen = await Kitchen.of(settings.templates, database, time.monotonic)
        room = Room(settings.max_waiting, settings.disk_reserve, free_disk=database.status().free_disk)
        fetcher = Fetcher() if settings.attachment_urls else None
        intake = Intake(
            outbox,
            broker,
            wake=fleet.wake,
            room=room,
            limits=wiring.limits(settings),
            defaults=defaults,
            meter=meter,
            now=now,
            entropy=self._entropy,
            diversion=wiring.diversion(settings),
            signer=wiring.signer(settings, now),
            fetcher=fetcher,
            home=fleet.home,
            seat=fleet.seat,
            covered=fleet.covered,
            templates=kitchen.templates,
            counter=doors.keyring,
        )
        self._intake = intake
        self._subscriber = Subscriber(
            intake,
            upkeep,
            limits=intake.limits,
            now=now,
            principal=wiring.queue_principal(settings),
            marks=SqliteInHand(database),
        )
        self._undertaker = Undertaker(upkeep, broker, now=now, jitter=self._random.uniform)
        desk = Desk(
            verbs,
            history,
            fleet.fuses,
            relay=defaults.relay,
            expire_after=settings.expire_after,
            wake=fleet.wake,
            now=now,
            entropy=self._entropy,
            chaos=chaos,
            home=fleet.home,
            suspensions=fleet.suspensions,
            withheld=meter.suppressed,
        )
        self._desk = desk
        bulk = Bulk(SqliteBulk(database), desk, wake=fleet.wake, now=now, entropy=self._entropy)
        board = Board(fleet.lines, broker, history, room, capturing=settings.capture, now=now, news=fleet.news)
        board.broken_templates, board.clock = kitchen.broken, self._clock.status
        board.renderer = kitchen.renderer.status
        hook = Webhook(settings.alert_url.reveal()) if settings.alert_url else None
        post = hook.post if hook else None
        watch = Watch(board, history, room, post, waiting_limit=settings.alert_waiting, now=now)
        keeper = Keeper(
            verbs,
            upkeep,
            history,
            broker,
            room=room,
            keeping=wiring.keeping(settings),
            letters_due=self._undertaker.wake,
            meter=meter,
            now=now,
            sure=self._clock.sure,
        )
        gate = wiring.gate(settings, doors.keyring, doors.users)
        web = self._web_options(settings)
        listed = SuppressionList(SqliteSuppressions(database), meter=meter, now=now)
        shelf = Shelf(kitchen.stored, kitchen.templates, kitchen.folder, now=now, entropy=self._entropy)
        self._reloads = Requests(self._reloader, doors.audit)
        live, take = self._live, self._reloads.take
        faces = Faces(
            intake,
            desk,
            history,
            live,
            board,
            gate,
            meter,
            web,
            now,
            take,
            suppressions=listed,
            shelf=shelf,
            bulk=bulk,
            letters=DeadLetters(SqliteLetters(database), intake, now=now),
            audit=doors.audit,
            keyring=doors.keyring,
            users=doors.users,
            logins=doors.logins,
            setup=self._reloader.setup,
            about=wiring.about(now()),
        )
        server = Server(
            create_app(faces), header_timeout=settings.request_timeout, connections=wiring.callers(settings)
        )
        return Parts(
            broker=broker,
            live=live,
            fleet=fleet,
            room=room,
            board=board,
            watch=watch,
            keeper=keeper,
            bulk=bulk,
            clock=ClockWatch(self._clock, put_off, fleet.wake),
            lag=LagWatch(meter.loop_lag, board.show_lag),
            undertaker=self._undertaker,
            hook=hook,
            fetcher=fetcher,
            kitchen=kitchen,
            doors=doors,
            server=server,
        )

    async def _tidy(self, outbox: SqliteOutbox, verbs: SqliteVerbs, meter: Meter) -> None:
        restored = await verbs.hold_restored(self._now())
        if restored:
            log.warning("restored from a backup: everything unfinished is held", messages=restored)
        rescued = await rescue(
            outbox, policy=wiring.policy(self._settings), meter=meter, now=self._now, jitter=self._jitter
        )
        if rescued:
            log.warning("rescued after a crash", attempts=rescued)

    async def _chaos(self, store: SqliteBehaviour) -> ChaosSwitch | None:
        """Set the relays up, and make the one that makes trouble on purpose behave as it did last."""
        assert self._fleet is not None
        await self._set_up(self._settings)
        for line in self._fleet.lines.values():
            if isinstance(line.relay, Unruly):
                switch = ChaosSwitch(line.relay, store, configured=line.relay.behaviour, now=self._now)
                await switch.restore()
                return switch
        if kept := await store.end_chaos(wiring.CHAOS_RELAY, wiring.CAPTURE_RELAY):
            log.info("what was in the chaos relay stays captured", messages=kept)
        return None

    async def _broker(self, upkeep: SqliteUpkeep, past: SqliteRelays) -> Rabbit | NoBroker:
        if self._settings.rabbitmq_url is None:
            return NoBroker()
        identity = await upkeep.identity(secrets.token_hex(6))
        spans = [rate.seconds for rate in self._settings.queue_rate]
        return Rabbit(
            wiring.rabbit_options(self._settings, identity),
            on_requests=self._take,
            on_handoff=self._offer,
            now=self._now,
            past=await past.accepted("amqp", self._now() - max(spans)) if spans else (),
        )

    async def _take(self, deliveries: Sequence[Delivery]) -> Sequence[bool]:
        # Looked up late: the subscriber needs the intake, which needs the broker that calls this.
        return await self._subscriber.take(deliveries)

    def _offer(self, ids: Sequence[str]) -> None:
        if self._fleet is not None:
            self._fleet.offer(ids)

    def _rig(self, outbox: SqliteOutbox, upkeep: SqliteUpkeep, store: SqliteRelays, meter: Meter) -> Rig:
        return Rig(
            outbox=outbox,
            breakers=upkeep,
            store=store,
            policy=wiring.policy(self._settings),
            rules=wiring.rules(self._settings),
            meter=meter,
            now=self._now,
            jitter=self._jitter,
            draw=self._random.random,
        )

    def _listen_for_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopping.ask)
        loop.add_signal_handler(signal.SIGHUP, self._reloads.signalled)

    async def _adopt(self, settings: Settings) -> None:
        """Give the running parts what they can take over of `settings`."""
        # First, because it is what may fail.
        signer = wiring.signer(settings, self._now)
        await self._set_up(settings)
        self._settings = settings
        self._intake.diversion, self._intake.signer = wiring.diversion(settings), signer
        self._intake.defaults = wiring.defaults(settings)
        self._desk.expire_after = settings.expire_after
        self._outbox.suppress_refused = settings.suppress_refused

    async def _set_up(self, settings: Settings) -> None:
        assert self._fleet is not None
        await self._fleet.apply(
            self._specs(settings), spares=wiring.spares(settings), failover_after=settings.failover_after
        )

    def _web_options(self, settings: Settings) -> WebOptions:
        return wiring.web_options(settings)

    def _specs(self, settings: Settings) -> list[RelaySpec]:
        return wiring.relays(settings, self._random.random)

    async def _work(self, parts: Parts, database: Database) -> int:
        tasks = [asyncio.create_task(run, name=name) for name, run in parts.running()]
        tasks.append(asyncio.create_task(parts.server.serve(), name="server"))
        stop = asyncio.create_task(self.stopping.wait(), name="stop")
        watched: list[asyncio.Future[Any]] = [*tasks, stop, database.broken]
        await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
        code = verdict(tasks, database)
        log.info("stopping", grace=self._settings.shutdown_grace)
        await parts.stop(tasks, self._settings.shutdown_grace)
        stop.cancel()
        log.info("stopped", exit=code)
        return code
