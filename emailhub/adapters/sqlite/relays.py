"""How much relays and doors took, whom a relay does not let send; and finding mail another home."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import NamedTuple

from emailhub.adapters.sqlite import rows
from emailhub.adapters.sqlite.database import Database
from emailhub.adapters.sqlite.writer import Transaction
from emailhub.core.delivery import Outcome, Reason, State, Verb, sources
from emailhub.core.kept import SuspensionRecord
from emailhub.core.limits import Used
from emailhub.core.records import Scalar

BATCH = 500
"""Messages moved in one commit: more would keep other mail waiting."""

LOOKED = 2000
"""Rows one commit looks at."""

_LAST_BEFORE = "SELECT seq FROM message WHERE accepted_at < ? ORDER BY seq DESC LIMIT 1"
_BY_MINUTE = """SELECT CAST(accepted_at / 60 AS INTEGER) * 60 + 60 AS minute, count(*) FROM message
    WHERE seq > ? AND face = ? AND accepted_at >= ? GROUP BY minute ORDER BY minute"""


class Rehomed(NamedTuple):
    """So many messages `moved` to other relays, so many are `held` because none may carry them."""

    moved: int
    held: int


class SqliteRelays:
    """See the module."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def used(self, relay: str, since: float) -> list[Used]:
        """How many recipients `relay` took, or may have taken, minute by minute after `since`."""

        def ask(connection: sqlite3.Connection) -> list[Used]:
            found = connection.execute(
                "SELECT at + 60, recipients FROM usage WHERE relay = ? AND at >= ? ORDER BY at", (relay, since - 60)
            )
            return [Used(at, recipients) for at, recipients in found]

        return await self._database.read(ask)

    async def accepted(self, face: str, since: float) -> list[Used]:
        """How many messages came in by `face`, minute by minute after `since`."""

        def ask(connection: sqlite3.Connection) -> list[Used]:
            # By seq, from the newest back: there is no index of when a message came.
            before = connection.execute(_LAST_BEFORE, (since,)).fetchone()
            found = connection.execute(_BY_MINUTE, (before[0] if before else 0, face, since))
            return [Used(at, messages) for at, messages in found]

        return await self._database.read(ask)

    async def suspensions(self, relay: str) -> list[SuspensionRecord]:
        """The from-domains `relay` does not let send."""

        def ask(connection: sqlite3.Connection) -> list[SuspensionRecord]:
            found = connection.execute(
                "SELECT domain, since, reply, next_try, tries FROM suspension WHERE relay = ? ORDER BY domain", (relay,)
            )
            return [SuspensionRecord(*row) for row in found]

        return await self._database.read(ask)

    async def suspend(
        self, relay: str, one: SuspensionRecord, now: float, event: str | None, data: Mapping[str, Scalar]
    ) -> None:
        """Keep a suspension; `event` names what to tell of it, None: nothing."""

        def work(tx: Transaction) -> None:
            tx.execute(
                "INSERT OR REPLACE INTO suspension (relay, domain, since, reply, next_try, tries) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (relay, one.domain, one.since, one.reply, one.next_try, one.tries),
            )
            if event is not None:
                tx.tell(event, now, data, relay=relay)

        await self._database.write(work)

    async def resume(self, relay: str, domain: str, now: float, data: Mapping[str, Scalar]) -> None:
        """The domain may send again: forget the suspension, and let go at once what waited for its end."""

        def work(tx: Transaction) -> int:
            tx.execute("DELETE FROM suspension WHERE relay = ? AND domain = ?", (relay, domain))
            return _let_go(tx, relay, domain, now)

        if await self._database.write(work) == BATCH:
            while await self._database.write(partial(_let_go, relay=relay, domain=domain, now=now)) == BATCH:
                pass
        await self._database.write(lambda tx: tx.tell("sender_resumed", now, {"domain": domain, **data}, relay=relay))

    async def tell(self, kind: str, relay: str, now: float, data: Mapping[str, Scalar]) -> None:
        """Record something about a relay."""
        await self._database.write(lambda tx: tx.tell(kind, now, data, relay=relay))

    async def rehome(self, known: Collection[str], home: Callable[[str], str | None], now: float) -> Rehomed:
        """Give what waits for a relay that is not `known` to the one `home(domain)` names; hold it where there is none.

        Held too is what met an unknown outcome: its own relay may have sent it. At most a batch each time; to be called
        until nothing is left.
        """
        return await self._database.write(partial(_rehome, known=known, home=home, now=now))

    async def recall(self, home: str, by: str, fits: Callable[[str], bool] | None, why: str, now: float) -> int:
        """Let relay `by` take at once what waits only for the trouble it met over others; how many messages that is.

        Mail of relay `home` from domains that satisfy `fits` (None: all), but nothing that an unknown outcome pins to
        its relay, and nothing that met its trouble over `by` itself. `why` says why `home` does not carry it.
        """
        recalled, after = 0, 0
        while True:
            found = await self._database.write(
                partial(_recall, home=home, by=by, fits=fits, why=why, now=now, after=after)
            )
            recalled += found.recalled
            if found.after is None:
                return recalled
            after = found.after


class _Recalled(NamedTuple):
    """So many messages may go, and behind which one to go on; None: there is no more."""

    recalled: int
    after: int | None


def _recall(
    tx: Transaction, home: str, by: str, fits: Callable[[str], bool] | None, why: str, now: float, after: int
) -> _Recalled:
    looked = tx.execute(
        "SELECT seq, id, relay, pinned, domain FROM message WHERE state = 'deferred' AND seq > ? ORDER BY seq LIMIT ?",
        (after, LOOKED),
    ).fetchall()
    recalled = 0
    for seq, id, relay, pinned, domain in looked:
        if relay == home and not pinned and (fits is None or fits(domain)) and _last_carrier(tx, seq) != by:
            recalled += _let_try(tx, seq, id, by, why, now)
    return _Recalled(recalled, looked[-1][0] if len(looked) == LOOKED else None)


def _last_carrier(tx: Transaction, seq: int) -> str | None:
    found = tx.execute("SELECT relay FROM attempt WHERE seq = ? ORDER BY number DESC LIMIT 1", (seq,)).fetchone()
    return found[0] if found else None


def _let_try(tx: Transaction, seq: int, id: str, by: str, why: str, now: float) -> bool:
    """Make due what trouble put off; whether there was anything."""
    text = f"{why.removesuffix('.')}; {by} carries it"
    changed = tx.execute(
        "UPDATE recipient SET due_at = ?1, last = ?2 "
        "WHERE seq = ?3 AND state = 'deferred' AND reason = 'relay trouble' AND due_at > ?1",
        (now, text, seq),
    ).rowcount
    if changed:
        tx.execute("UPDATE message SET due_at = min(due_at, ?), last = ? WHERE seq = ?", (now, text, seq))
        tx.tell("queued", now, {"state": State.DEFERRED.value, "text": text, "over": by}, seq=seq, message=id)
    return changed > 0


def _let_go(tx: Transaction, relay: str, domain: str, now: float) -> int:
    found = tx.execute(
        "SELECT seq FROM message WHERE relay = ? AND domain = ? AND due_at IS NOT NULL AND reason = 'sender trouble' "
        "AND due_at > ? LIMIT ?",
        (relay, domain, now, BATCH),
    ).fetchall()
    for (seq,) in found:
        tx.execute("UPDATE recipient SET due_at = ? WHERE seq = ? AND due_at > ?", (now, seq, now))
        tx.execute("UPDATE message SET due_at = ? WHERE seq = ?", (now, seq))
    return len(found)


_OWNERS = """
WITH RECURSIVE owner (relay) AS (
    SELECT min(relay) FROM message WHERE due_at IS NOT NULL
    UNION ALL
    SELECT (SELECT min(relay) FROM message WHERE due_at IS NOT NULL AND relay > owner.relay) FROM owner
    WHERE owner.relay IS NOT NULL
) SELECT relay FROM owner WHERE relay IS NOT NULL
"""
"""The relays that have mail: one look into the index for each, however much there is."""


def _rehome(tx: Transaction, known: Collection[str], home: Callable[[str], str | None], now: float) -> Rehomed:
    owners = [relay for (relay,) in tx.execute(_OWNERS).fetchall() if relay not in known]
    moved = held = 0
    for relay in owners:
        found = tx.execute(
            "SELECT seq, id, domain, pinned, state FROM message WHERE relay = ? AND due_at IS NOT NULL LIMIT ?",
            (relay, BATCH - moved - held),
        ).fetchall()
        for seq, id, domain, pinned, state in found:
            to = None if pinned else home(domain)
            if to is None:
                _hold(tx, seq, id, relay, now, pinned=bool(pinned))
                held += 1
            else:
                _give(tx, seq, id, relay, to, state, now)
                moved += 1
    return Rehomed(moved, held)


def _give(tx: Transaction, seq: int, id: str, relay: str, to: str, state: str, now: float) -> None:
    text = f"relay {relay} is not set up any more; {to} carries it"
    tx.execute("UPDATE message SET relay = ?, last = ? WHERE seq = ?", (to, text, seq))
    tx.tell("queued", now, {"state": state, "text": text, "over": to}, seq=seq, message=id)


def _hold(tx: Transaction, seq: int, id: str, relay: str, now: float, *, pinned: bool) -> None:
    text = f"held: relay {relay} is not set up any more; retry sends it over the one that is"
    if pinned:
        text = (
            f"held: relay {relay} is not set up any more, and may have sent it; "
            "retry sends it over the one that is, maybe a second time"
        )
    outcome = Outcome(Verb.HOLD, State.HELD, Reason.NO_RELAY)
    rows.settle(tx, seq, id, rows.move(tx, seq, sources(Verb.HOLD), outcome, text, now), now, {}, bury=False)
