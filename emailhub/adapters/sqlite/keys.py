"""API keys in the outbox: saved at every change, read once at the start, their use noted now and then."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from emailhub.adapters.sqlite.database import Database
from emailhub.adapters.sqlite.writer import Transaction
from emailhub.core import mime
from emailhub.core.api_key import ApiKey, Grant, Revocation, Secret, Use
from emailhub.core.records import Scalar

_encode = msgspec.json.Encoder(order="deterministic").encode
_grant = msgspec.json.Decoder(Grant).decode
_revocation = msgspec.json.Decoder(Revocation).decode


class SqliteKeys:
    """See `engine.keyring.KeyStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> list[tuple[ApiKey, Use]]:
        """Every key, oldest first, and what is known of its use; also what was given since that was noted last."""
        return await self._database.read(_all)

    async def save(self, key: ApiKey, kind: str, at: float, facts: Mapping[str, Scalar]) -> None:
        """Keep `key` as it is now, and the event `kind` that made it so, in one commit."""

        def work(tx: Transaction) -> None:
            _save(tx, key, at)
            tx.tell(kind, at, {"key": key.id, "name": key.grant.name, **facts})

        await self._database.write(work)

    async def note(self, uses: Mapping[str, Use], at: float) -> None:
        """Note how the keys with these ids were used, as counted at `at`."""
        await self._database.write(lambda tx: _note(tx, uses, at))


def _save(tx: Transaction, key: ApiKey, at: float) -> None:
    revoked = _encode(key.revoked).decode() if key.revoked else None
    tx.execute(
        "INSERT INTO api_key (id, what, created_at, created_by, revoked, counted_at) VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (id) DO UPDATE SET what = excluded.what, revoked = excluded.revoked",
        (key.id, _encode(key.grant).decode(), key.created_at, key.created_by, revoked, at),
    )
    for secret in key.secrets:
        tx.execute(
            "INSERT INTO api_secret (digest, key, start, created_at, ends_at) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (digest) DO UPDATE SET ends_at = excluded.ends_at",
            (secret.digest, key.id, secret.start, secret.created_at, secret.ends_at),
        )
    kept = [secret.digest for secret in key.secrets]
    marks = ", ".join("?" * len(kept))
    tx.execute(f"DELETE FROM api_secret WHERE key = ? AND digest NOT IN ({marks})", (key.id, *kept))  # noqa: S608 - marks


def _note(tx: Transaction, uses: Mapping[str, Use], at: float) -> None:
    for id, use in uses.items():
        tx.execute("UPDATE api_key SET day = ?, given = ?, counted_at = ? WHERE id = ?", (use.day, use.given, at, id))
        for digest, used_at in use.secrets.items():
            tx.execute("UPDATE api_secret SET used_at = ? WHERE digest = ?", (used_at, digest))


def _all(connection: sqlite3.Connection) -> list[tuple[ApiKey, Use]]:
    rows = connection.execute(
        "SELECT id, what, created_at, created_by, revoked, day, given, counted_at FROM api_key ORDER BY created_at, id"
    ).fetchall()
    found = []
    for id, what, created_at, created_by, revoked, day, given, counted_at in rows:
        secrets = connection.execute(
            "SELECT digest, start, created_at, ends_at, used_at FROM api_secret WHERE key = ? "
            "ORDER BY created_at DESC, digest",
            (id,),
        ).fetchall()
        key = ApiKey(
            id=id,
            grant=_grant(what),
            created_at=created_at,
            created_by=created_by,
            secrets=tuple(Secret(row[0], row[1], row[2], row[3]) for row in secrets),
            revoked=_revocation(revoked) if revoked else None,
        )
        use = Use(day, given, {row[0]: row[4] for row in secrets if row[4] is not None})
        if key.grant.quota is not None:
            for accepted_at in _given_since(connection, key.principal.name, counted_at):
                use.give(1, accepted_at)
        found.append((key, use))
    return found


def _given_since(connection: sqlite3.Connection, origin: str, since: float) -> Iterable[float]:
    """When each message of `origin` was accepted of which the count may not know: it is noted a little later."""
    # Ids begin with the time.
    first = mime.new_id(since, bytes(10))
    rows: Sequence[tuple[float]] = connection.execute(
        "SELECT accepted_at FROM message WHERE id >= ? AND origin = ? ORDER BY accepted_at", (first, origin)
    ).fetchall()
    return (row[0] for row in rows)
