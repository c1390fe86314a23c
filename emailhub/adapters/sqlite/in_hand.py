"""What was in hand when the process ended: kept beside the mail, because whatever ended it takes memory along."""

from __future__ import annotations

import secrets

from emailhub.adapters.sqlite.database import Database
from emailhub.adapters.sqlite.writer import Transaction

_KEY = "in hand "


class SqliteInHand:
    """See `engine.subscriber.Marks`. Made once by each process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._run = secrets.token_hex(8)

    async def begin(self, digest: str) -> int:
        """Note that `digest` is in hand; in how many processes it was, with this one, and never got out of it.

        Raises OutboxError.
        """
        return await self._database.write(lambda tx: self._begin(tx, _KEY + digest))

    async def end(self, digest: str) -> None:
        """Forget `digest`: it is out of hand. Raises OutboxError."""
        await self._database.write(lambda tx: tx.execute("DELETE FROM meta WHERE key = ?", (_KEY + digest,)).rowcount)

    def _begin(self, tx: Transaction, key: str) -> int:
        row = tx.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        run, times = row[0].split() if row else ("", "0")
        # What could not be ended in this process, as on a full disk, did not end it.
        count = int(times) + (run != self._run)
        tx.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (key, f"{self._run} {count}"))
        return count
