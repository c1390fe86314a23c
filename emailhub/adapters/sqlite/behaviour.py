"""How the chaos relay is to behave, kept across restarts."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

import msgspec

from emailhub.adapters.sqlite.database import Database
from emailhub.adapters.sqlite.writer import Transaction
from emailhub.core.kept import ChaosRecord
from emailhub.core.records import Scalar

_KEY = "chaos"


class SqliteBehaviour:
    """See `engine.chaos.ChaosStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load_chaos(self) -> ChaosRecord | None:
        """As last saved; None when it never was."""

        def ask(connection: sqlite3.Connection) -> ChaosRecord | None:
            row = connection.execute("SELECT value FROM meta WHERE key = ?", (_KEY,)).fetchone()
            return msgspec.json.decode(row[0], type=ChaosRecord) if row else None

        return await self._database.read(ask)

    async def save_chaos(
        self, record: ChaosRecord, now: float, *, relay: str, event: str | None, data: Mapping[str, Scalar]
    ) -> None:
        """Keep it, and tell `event` of `relay` when one is named."""

        def work(tx: Transaction) -> None:
            value = msgspec.json.encode(record).decode()
            tx.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (_KEY, value))
            if event is not None:
                tx.tell(event, now, data, relay=relay)

        await self._database.write(work)

    async def end_chaos(self, relay: str, heir: str) -> int:
        """The chaos relay `relay` is not set up any more: `heir`, which captures too, keeps its mail; how many.

        Left where it was, its mail would go to the real relay with the next retry, and so to people it was never
        meant for.
        """

        def work(tx: Transaction) -> int:
            if not tx.execute("DELETE FROM meta WHERE key = ?", (_KEY,)).rowcount:
                return 0
            return tx.execute("UPDATE message SET relay = ? WHERE relay = ?", (heir, relay)).rowcount

        return await self._database.write(work)
