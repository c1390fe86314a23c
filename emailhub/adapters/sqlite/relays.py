"""What is remembered of relays: how much each took, whom it does not let send; and finding mail another home."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import NamedTuple

from emailhub.adapters.sqlite import rows
from emailhub.adapters.sqlite.database import Database
from emailhub.adapters.sqlite.writer import Transaction
from emailhub.core.delivery import Outcome, Reason, State, Verb, sources
from emailhub.core.limits import Used
from emailhub.core.records import Scalar, SuspensionRecord

BATCH = 500
"""Messages moved in one commit: more would keep other mail waiting."""


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
