"""All relays at work, by name: added, changed, drained and removed while mail flows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from emailhub import logs
from emailhub.core.breaker import Rules, Snapshot
from emailhub.core.delivery import Policy
from emailhub.core.errors import OutboxError
from emailhub.core.kept import SuspensionRecord
from emailhub.core.limits import Limiter, Rate, Used
from emailhub.core.routing import Route, Router
from emailhub.core.turns import Spare
from emailhub.engine.allowance import Allowance, Gates
from emailhub.engine.board import Line
from emailhub.engine.courier import Courier
from emailhub.engine.cover import Cover, CoverStore, Standing
from emailhub.engine.fuse import BreakerStore, Fuse
from emailhub.engine.meter import Meter
from emailhub.engine.ports import Outbox, Relay, Seat
from emailhub.engine.suspensions import Suspensions, SuspensionStore

REMEMBERED = 86400.0
"""Seconds of use that are read at the start: the longest span a rate is given for."""
RETRY = 5.0

log = logs.get("fleet")


class Rehomed(Protocol):
    """Messages moved to other relays, and held because none may carry them."""

    @property
    def moved(self) -> int: ...
    @property
    def held(self) -> int: ...


class RelayStore(SuspensionStore, CoverStore, Protocol):
    """What is remembered of relays."""

    async def used(self, relay: str, since: float) -> list[Used]: ...
    async def suspensions(self, relay: str) -> list[SuspensionRecord]: ...
    async def rehome(self, known: Collection[str], home: Callable[[str], str | None], now: float) -> Rehomed: ...


@dataclass(frozen=True, kw_only=True)
class RelaySpec:
    """A relay to run.

    `build()` makes it; it is built anew when `options` differ from those of the running one. `sends`: it takes part in
    routing and failover; one that only stores does not. `host` is where it is, for people.
    """

    route: Route
    build: Callable[[], Relay]
    options: object = None
    rates: tuple[Rate, ...] = ()
    host: str = ""
    sends: bool = True

    @property
    def name(self) -> str:
        return self.route.name


@dataclass(frozen=True, kw_only=True)
class Rig:
    """What every line is made of. `draw()` gives numbers in [0, 1), `jitter()` in [-1, 1]."""

    outbox: Outbox
    breakers: BreakerStore
    store: RelayStore
    policy: Policy
    rules: Rules
    meter: Meter
    now: Callable[[], float]
    jitter: Callable[[], float]
    draw: Callable[[], float]


class _Running:
    """A line with what it was made from and the tasks that run it."""

    __slots__ = ("line", "spec", "suspensions", "tasks")

    def __init__(self, spec: RelaySpec, line: Line, suspensions: Suspensions) -> None:
        self.spec = spec
        self.line = line
        self.suspensions = suspensions
        self.tasks: list[asyncio.Task[None]] = []


class Fleet:
    """See the module. `lines`, `fuses` and `suspensions` are always those of the relays that are set up.

    `sink` is where mail belongs while no relay sends; None: it has nowhere to go.
    """

    def __init__(self, rig: Rig, *, failover_after: float, sink: str | None = None, grace: float = 30.0) -> None:
        self.lines: dict[str, Line] = {}
        self.fuses: dict[str, Fuse] = {}
        self.suspensions: dict[str, Suspensions] = {}
        self._rig = rig
        self._sink = sink
        self._grace = grace
        self._running: dict[str, _Running] = {}
        self._gates = Gates(rig.now)
        self._cover = Cover(self._standings, rig.store, after=failover_after, now=rig.now, on_change=self.wake)
        self._applying = asyncio.Lock()
        self._chores: set[asyncio.Task[None]] = set()
        self._leaving: dict[str, asyncio.Task[None]] = {}
        self._started = False
        self._stopping = False
        self._changed = asyncio.Event()

    def home(self, domain: str) -> str | None:
        """Where a new message of the sender's `domain` belongs; None when no relay may send for it."""
        router = self._cover.router
        return router.home(domain, self._rig.draw()) if router.routes else self._sink

    def seat(self, name: str) -> Seat | None:
        """A place for a message that is being accepted and would go over relay `name` at once."""
        line = self.lines.get(name)
        return line.courier.seat() if line is not None else None

    def covered(self, name: str) -> bool:
        """Whether another relay carries the mail of relay `name` now."""
        return self._cover.covered(name) is not None

    def news(self) -> tuple[str, ...]:
        """Sentences about what is over, for a while."""
        return self._cover.news()

    def wake(self, names: Iterable[str] | None = None) -> None:
        """Something may be due, at the relays `names` or anywhere: look."""
        # While one carries for another, mail of the other is what it waits for.
        woken = self.lines if names is None or self._cover.busy else names
        for name in woken:
            if (line := self.lines.get(name)) is not None:
                line.courier.wake()

    def offer(self, ids: Sequence[str]) -> None:
        """Fresh messages handed over by RabbitMQ."""
        for line in self.lines.values():
            line.courier.offer(ids)

    async def apply(
        self, specs: Sequence[RelaySpec], *, spares: Sequence[Spare] = (), failover_after: float | None = None
    ) -> None:
        """Run exactly these relays from now on, keep to these turns. No message is lost or sent twice.

        A relay whose options changed begins its next attempt with the new ones. The mail of one that is not among them
        any more goes to another that may carry it, or is held. Raises what `build` raises; then nothing was changed.
        """
        async with self._applying:
            built = {spec.name: spec.build() for spec in specs if self._is_new(spec)}
            gone = [name for name in self._running if name not in {spec.name for spec in specs}]
            self._gates.change(spares)
            self._cover.after = self._cover.after if failover_after is None else failover_after
            for spec in specs:
                await self._set_up(spec, built.get(spec.name))
            for name in gone:
                self._take_down(name)
            self._cover.router = Router(spec.route for spec in specs if spec.sends)
            self._cover.changed()
            await self.rehome()
        self.wake()
        self._changed.set()

    def _is_new(self, spec: RelaySpec) -> bool:
        return spec.name not in self._running or self._running[spec.name].spec.options != spec.options

    async def rehome(self) -> None:
        """Find mail of relays that are not set up another home, or hold it."""
        moved = held = 0
        while True:
            found = await self._rig.store.rehome(self._known(), self._rehomed_to, self._rig.now())
            if not found.moved and not found.held:
                break
            moved, held = moved + found.moved, held + found.held
        if moved or held:
            log.warning("mail of relays that are not set up any more", moved=moved, held=held)

    def _known(self) -> set[str]:
        return set(self.lines)

    def _rehomed_to(self, domain: str) -> str | None:
        # Never to one that only stores: what was to be sent would silently not be.
        return self._cover.router.home(domain, self._rig.draw())

    async def run(self) -> None:
        """Run the lines. Ends only by cancellation, or with what made a part end."""
        self._started = True
        cover = asyncio.create_task(self._cover.run(), name="cover")
        changed: asyncio.Task[bool] | None = None
        for running in self._running.values():
            self._start(running)
        try:
            while True:
                self._changed.clear()
                changed = asyncio.create_task(self._changed.wait(), name="fleet changed")
                tasks = [task for task in self._all_tasks() if not (task.done() and self._stopping)]
                done, _ = await asyncio.wait([cover, changed, *tasks], return_when=asyncio.FIRST_COMPLETED)
                self._check(task for task in done if task is not changed)
                changed.cancel()
        finally:
            await self._cancelled(*filter(None, (cover, changed)), *self._all_tasks())

    def _check(self, done: Iterable[asyncio.Task[Any]]) -> None:
        """Raise what ended a part that should not have ended."""
        alive = set(self._all_tasks())
        for task in done:
            if self._stopping or (task not in alive and task.get_name() != "cover"):
                continue
            task.result()
            raise RuntimeError(f"{task.get_name()} ended by itself")

    def _all_tasks(self) -> list[asyncio.Task[None]]:
        return [task for running in self._running.values() for task in running.tasks]

    @staticmethod
    async def _cancelled(*tasks: asyncio.Task[Any]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def stop(self, grace: float) -> None:
        """Claim nothing more anywhere, and end as `Courier.stop` does."""
        self._stopping = True
        stops = [line.courier.stop(grace) for line in self.lines.values()]
        leaving = asyncio.gather(*self._leaving.values(), *self._chores, return_exceptions=True)
        await asyncio.gather(*stops)
        await leaving

    async def _set_up(self, spec: RelaySpec, relay: Relay | None) -> None:
        running = self._running.get(spec.name)
        if running is None:
            assert relay is not None
            await self._add(spec, relay)
            return
        before, running.spec = running.spec, spec
        allowance = running.line.allowance
        assert allowance is not None
        allowance.route = spec.route
        running.line.host = spec.host
        if before.rates != spec.rates:
            past = await self._rig.store.used(spec.name, self._rig.now() - REMEMBERED)
            allowance.limiter = allowance.limiter.changed(spec.rates, past, self._rig.now())
        if relay is not None:
            running.line.relay = relay
            self._chore(running.line.courier.exchange(relay), f"exchange {spec.name}")

    async def _add(self, spec: RelaySpec, relay: Relay) -> None:
        if (leaving := self._leaving.get(spec.name)) is not None:
            await asyncio.wait([leaving])
        running = await self._made(spec, relay)
        self._running[spec.name] = running
        self.lines[spec.name] = running.line
        self.fuses[spec.name] = running.line.fuse
        self.suspensions[spec.name] = running.suspensions
        if self._started:
            self._start(running)
            log.info("relay added", relay=spec.name)

    async def _made(self, spec: RelaySpec, relay: Relay) -> _Running:
        rig, name = self._rig, spec.name
        snapshot = await rig.breakers.load_breaker(name) or Snapshot()
        fuse = Fuse(name, rig.rules, snapshot, rig.breakers, now=rig.now, jitter=rig.jitter)
        suspensions = Suspensions(name, await rig.store.suspensions(name), rig.store, now=rig.now)
        past = await rig.store.used(name, rig.now() - REMEMBERED) if spec.rates else ()
        allowance = Allowance(
            name,
            now=rig.now,
            limiter=Limiter(spec.rates, past, rig.now()),
            suspensions=suspensions,
            gates=self._gates,
            cover=self._cover if spec.sends else None,
            route=spec.route,
            wake=self.wake,
        )
        courier = Courier(
            relay,
            rig.outbox,
            fuse,
            policy=rig.policy,
            meter=rig.meter,
            now=rig.now,
            jitter=rig.jitter,
            allowance=allowance,
        )
        suspensions.on_change = courier.wake
        return _Running(spec, Line(relay, courier, fuse, spec.host, allowance), suspensions)

    def _start(self, running: _Running) -> None:
        name = running.spec.name
        parts = (
            (f"courier {name}", running.line.courier.run()),
            (f"breaker {name}", running.line.fuse.run()),
            (f"suspensions {name}", running.suspensions.run()),
        )
        running.tasks = [asyncio.create_task(run, name=part) for part, run in parts]

    def _take_down(self, name: str) -> None:
        running = self._running.pop(name)
        for held in (self.lines, self.fuses, self.suspensions):
            held.pop(name)
        task = asyncio.create_task(self._leave(name, running), name=f"remove {name}")
        self._leaving[name] = task
        task.add_done_callback(lambda _: self._leaving.pop(name, None))

    async def _leave(self, name: str, running: _Running) -> None:
        """Let the attempts of a removed relay end, then find what they left another home."""
        log.info("relay removed", relay=name, running=running.line.courier.in_flight)
        await running.line.courier.stop(self._grace)
        await self._cancelled(*running.tasks)
        while not self._stopping:
            try:
                await self.rehome()
            except OutboxError as error:
                log.error("mail of a removed relay has no home yet", relay=name, error=str(error))
                await asyncio.sleep(RETRY)
            else:
                break
        self.wake()

    def _chore(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)

    def _standings(self) -> Mapping[str, Standing]:
        return {
            name: line.allowance.standing(line.fuse.snapshot)
            for name, line in self.lines.items()
            if line.allowance is not None and self._running[name].spec.sends
        }
