"""Who carries whose mail while a relay cannot: decided from how each relay stands, told when it begins and ends."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

from msgspec import Struct

from emailhub import logs
from emailhub.core.errors import OutboxError
from emailhub.core.records import Scalar
from emailhub.core.routing import Router

LOOK = 1.0
"""Seconds between two looks at how the relays stand; a breaker's change is looked at at once."""
NEWS = 600.0
"""Seconds for which it is said that a relay is back."""
UNSTORED_WAIT = 1.0
HEAD_START = 1.0
"""Seconds for which a message is left to a relay that waits for one to prove itself."""

log = logs.get("cover")


class Standing(Struct, frozen=True, kw_only=True):
    """How a relay stands: whether it is `carrying`, if not since when, and the `cause` in a few words.

    `suspended` are the from-domains it does not let send. `limited`: only a limit keeps it from carrying for now.
    `ready`: its next message shows if it is well again.
    """

    carrying: bool = True
    limited: bool = False
    ready: bool = False
    since: float = 0.0
    cause: str = ""
    suspended: frozenset[str] = frozenset()


class Duty(Struct, frozen=True):
    """Mail of relay `home` is to be carried too, `why` says so in one line; only domains that `fits` (None: all).

    `limited`: the relay goes on, as slowly as its limit lets it. `late`: only what has been due for so many seconds.
    """

    home: str
    why: str
    fits: Callable[[str], bool] | None = None
    limited: bool = False
    late: float = 0.0


class Covered(Struct):
    """A relay whose mail others carry: `by` whom, since when and for what `cause`."""

    since: float
    cause: str
    by: tuple[str, ...] = ()


class CoverStore(Protocol):
    """Where it is told, and where mail waits."""

    async def tell(self, kind: str, relay: str, now: float, data: Mapping[str, Scalar]) -> None: ...
    async def recall(self, home: str, by: str, fits: Callable[[str], bool] | None, why: str, now: float) -> int: ...


def stand_in(router: Router, standings: Mapping[str, Standing], home: str, domain: str) -> str | None:
    """The best relay beside `home` that may carry mail of `domain` and can; None when there is none."""
    for route in router.candidates(domain):
        standing = standings.get(route.name)
        able = standing is not None and standing.carrying and domain not in standing.suspended
        if route.name != home and not route.draining and able:
            return route.name
    return None


def duties(
    router: Router, standings: Mapping[str, Standing], *, after: float, now: float
) -> dict[str, tuple[Duty, ...]]:
    """By relay, whose mail it carries beside its own: that of relays that cannot for `after` seconds or longer."""
    found: dict[str, list[Duty]] = {}
    for route in router.routes:
        standing = standings.get(route.name)
        if standing is None or standing.carrying or 0 <= now - standing.since < after:
            continue
        why = f"relay {route.name} is not sending since {clock(standing.since)}: {standing.cause}"
        for name, fits in _stand_ins(router, standings, route.name).items():
            late = HEAD_START if standing.ready else 0.0
            found.setdefault(name, []).append(Duty(route.name, why, fits, standing.limited, late))
    return {name: tuple(its) for name, its in found.items()}


def _stand_ins(router: Router, standings: Mapping[str, Standing], home: str) -> dict[str, Callable[[str], bool] | None]:
    if router.uniform and not any(standing.suspended for standing in standings.values()):
        name = stand_in(router, standings, home, "")
        return {name: None} if name else {}
    able = [
        route.name
        for route in router.routes
        if route.name != home and not route.draining and route.name in standings and standings[route.name].carrying
    ]
    known: dict[str, str | None] = {}

    def fits(name: str, domain: str) -> bool:
        if domain not in known:
            known[domain] = stand_in(router, standings, home, domain)
        return known[domain] == name

    return {name: partial(fits, name) for name in able}


def clock(at: float) -> str:
    """`at` as people read it beside other times of the day."""
    return f"{datetime.fromtimestamp(at, UTC):%H:%M}"


class Cover:
    """Keeps the duties up to date. `standings` tells how the relays stand now, `on_change` that duties changed."""

    def __init__(
        self,
        standings: Callable[[], Mapping[str, Standing]],
        store: CoverStore,
        *,
        after: float,
        now: Callable[[], float],
        router: Router | None = None,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.router = router or Router()
        self.after = after
        self._standings = standings
        self._store = store
        self._now = now
        self._on_change = on_change
        self._duties: dict[str, tuple[Duty, ...]] = {}
        self._key: object = None
        self._covered: dict[str, Covered] = {}
        self._news: dict[str, tuple[float, str]] = {}
        self._recall_wanted = False
        self._recalled_at = 0.0
        self._untold: deque[tuple[str, str, dict[str, Scalar]]] = deque()
        self._changed = asyncio.Event()

    @property
    def busy(self) -> bool:
        """Whether any relay carries for another."""
        return bool(self._duties)

    def duties(self, name: str) -> tuple[Duty, ...]:
        """Whose mail relay `name` carries beside its own, as last looked at."""
        return self._duties.get(name, ())

    def elsewhere(self, home: str, domain: str) -> str | None:
        """Another relay than `home` that may carry mail of `domain` and can, now."""
        return stand_in(self.router, self._standings(), home, domain)

    def covered(self, home: str) -> Covered | None:
        """Who carries the mail of `home` now, None when nobody does but itself."""
        covered = self._covered.get(home)
        if covered is None:
            return None
        by = self._able(covered)
        return Covered(covered.since, covered.cause, by) if by else None

    def _able(self, covered: Covered) -> tuple[str, ...]:
        """Those of them that still can: one that began may have come to its own limit, or be sick by now."""
        standings = self._standings()
        return tuple(name for name in covered.by if name in standings and standings[name].carrying)

    def news(self) -> tuple[str, ...]:
        """What was over in the last minutes: which relays carry their own mail again."""
        now = self._now()
        return tuple(text for at, text in self._news.values() if now - at < NEWS)

    def covers(self, name: str) -> tuple[str, ...]:
        """Whose mail relay `name` carries now."""
        return tuple(home for home, covered in self._covered.items() if name in self._able(covered))

    def carried(self, home: str, by: str) -> None:
        """Relay `by` has begun to carry mail of `home`; told when that is news."""
        standing = self._standings().get(home, Standing())
        covered = self._covered.setdefault(home, Covered(self._now(), standing.cause))
        if by in covered.by:
            return
        covered.by = (*covered.by, by)
        log.warning("relay covered", relay=home, by=by, cause=covered.cause)
        text = f"{by} carries the mail of {home}: {covered.cause}"
        self._tell("relay_covered", home, {"by": by, "text": text})

    def look(self) -> None:
        """See how the relays stand, and change the duties accordingly."""
        standings, now = self._standings(), self._now()
        for home in [home for home in self._covered if standings.get(home, Standing()).carrying]:
            self._returned(home, self._covered.pop(home))
        fresh = duties(self.router, standings, after=self.after, now=now)
        key = {name: [(duty.home, duty.why) for duty in its] for name, its in fresh.items()}
        # Closures are never equal: what they depend on is compared instead.
        if (key, standings, self.router) != self._key:
            changed = key or self._duties
            self._key, self._duties = (key, standings, self.router), fresh
            self._recall_wanted = True
            if changed:
                self._on_change()

    async def run(self) -> None:
        """Look now and then, and tell what there is to tell. Ends only by cancellation."""
        while True:
            self.look()
            await self._recall()
            await self._tell_all()
            try:
                async with asyncio.timeout(LOOK if len(self.router.routes) > 1 else None):
                    await self._changed.wait()
            except TimeoutError:
                pass
            self._changed.clear()

    def changed(self) -> None:
        """Something about a relay changed: look at once."""
        self.look()
        self._changed.set()

    def troubled(self) -> None:
        """A message met relay trouble and waits: somebody may be carrying for its relay already."""
        if self._duties:
            self._recall_wanted = True
            self._changed.set()

    async def _recall(self) -> None:
        """Give those that stand in also what waits only because of trouble it met before."""
        now = self._now()
        # Looking through what is deferred takes a while: not after each of many troubles in a row.
        if not self._recall_wanted or 0 <= now - self._recalled_at < LOOK:
            return
        self._recall_wanted, self._recalled_at = False, now
        found = 0
        try:
            for by, duties in list(self._duties.items()):
                for duty in duties:
                    # One that goes on itself would take it right back, meet the same trouble, and so on.
                    if not duty.limited:
                        found += await self._store.recall(duty.home, by, duty.fits, duty.why, now)
        except OutboxError as error:
            log.warning("mail put off by trouble not recalled", error=str(error))
            self._recall_wanted = True
        if found:
            self._on_change()

    def _returned(self, home: str, covered: Covered) -> None:
        by = ", ".join(covered.by)
        log.info("relay returned", relay=home, by=by)
        text = f"relay {home} carries its own mail again; {by} did since {clock(covered.since)} UTC"
        self._news[home] = (self._now(), text)
        self._tell("relay_returned", home, {"by": by, "text": text, "since": covered.since})

    def _tell(self, kind: str, relay: str, data: dict[str, Scalar]) -> None:
        self._untold.append((kind, relay, data))
        self._changed.set()

    async def _tell_all(self) -> None:
        while self._untold:
            kind, relay, data = self._untold[0]
            try:
                await self._store.tell(kind, relay, self._now(), data)
            except OutboxError as error:
                log.warning("not told", relay=relay, kind=kind, error=str(error))
                await asyncio.sleep(UNSTORED_WAIT)
            else:
                self._untold.popleft()
