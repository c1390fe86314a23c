"""Outboxes as every version so far made them, for what must still open them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from emailhub.adapters.sqlite import database as module
from tests.support.factories import DAY, NOW

VERSIONS = tuple(number for number, _ in module.migrations())
DUE = ("queued", "scheduled", "deferred")
WAITING = ("queued", "sending", "deferred")
FINAL = ("sent", "failed", "canceled", "suppressed")
STATES = (*DUE, "sending", "held", *FINAL)


def old_file(path: Path, version: int = 1) -> sqlite3.Connection:
    """An empty outbox as the emailhub of schema `version` made it."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    steps = "; ".join(sql for _, sql in module.migrations()[:version])
    connection.executescript(
        f"{steps}; PRAGMA application_id = {module.APPLICATION_ID}; PRAGMA user_version = {version}"
    )
    return connection


def add(
    connection: sqlite3.Connection,
    id: str,
    sender: str,
    state: str = "queued",
    unknowns: int = 0,
    *,
    to: str = "a@b.test",
    now: float = NOW,
    content: bytes = b"A",
) -> int:
    """A message of one recipient, as the first version stored it; its `seq`."""
    due_at, final_at = (now if state in DUE else None), (now if state in FINAL else None)
    row: dict[str, Any] = {
        "id": id, "message_id": f"<{id}@x>", "relay": "default", "state": state, "reason": "accepted", "due_at": due_at,
        "priority": 1, "on_unknown": "retry", "accepted_at": now, "expires_at": now + DAY, "changed_at": now,
        "final_at": final_at, "waiting_since": now if state in WAITING else None, "face": "http",
        "correlation_id": "c", "request_id": f"request-{id}", "sender": sender, "from_header": sender,
        "to_header": to, "recipients": 1, "subject": "s", "size": len(content), "smtputf8": 0,
    }  # fmt: skip
    marks = ", ".join("?" * len(row))
    seq = connection.execute(f"INSERT INTO message ({', '.join(row)}) VALUES ({marks})", tuple(row.values())).lastrowid
    assert seq is not None
    connection.execute("INSERT INTO body (seq, content) VALUES (?, ?)", (seq, content))
    connection.execute(
        "INSERT INTO recipient (seq, address, kind, state, reason, due_at, unknowns, changed_at) "
        "VALUES (?, ?, 'to', ?, 'accepted', ?, ?, ?)",
        (seq, to, state, due_at, unknowns, now),
    )
    return seq


def lived_in(path: Path, version: int, now: float = NOW) -> None:
    """An outbox of that version with a message in every state, named by it, and something in every table."""
    with closing(old_file(path, version)) as connection:
        connection.execute("BEGIN")
        for state in STATES:
            _live(connection, state, now)
        for since, seed in _SEEDS.items():
            if since <= version:
                seed(connection, now)
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = WAL")


def _live(connection: sqlite3.Connection, state: str, now: float) -> None:
    content = f"Subject: {state}\r\n\r\nHello\r\n".encode()
    seq = add(connection, state, "hub@example.org", state, to=f"{state}@example.com", now=now, content=content)
    connection.execute(
        "INSERT INTO idempotency_key (key, fingerprint, explicit, id, created_at) VALUES (?, x'00', 1, ?, ?)",
        (f"key-{state}", state, now),
    )
    connection.execute("INSERT INTO event (at, kind, seq, data) VALUES (?, 'accepted', ?, '{}')", (now, seq))
    if state in ("sending", "deferred", "sent", "failed"):
        connection.execute(
            "INSERT INTO attempt (seq, number, relay, started_at, body_at, finished_at, counted) "
            "VALUES (?, 1, 'default', ?, ?, ?, 1)",
            (seq, now, now, None if state == "sending" else now),
        )


def _first(connection: sqlite3.Connection, now: float) -> None:
    connection.execute("INSERT INTO meta (key, value) VALUES ('outbox', 'an-old-one')")
    connection.execute("INSERT INTO minute (at, accepted, sent) VALUES (?, 9, 1)", (int(now // 60) * 60,))
    connection.execute("INSERT INTO breaker (relay, snapshot) VALUES ('default', ?)", (_BREAKER,))
    connection.execute(
        "INSERT INTO event (at, kind, relay, data) VALUES (?, 'breaker_closed', 'default', '{}')", (now,)
    )
    connection.execute(
        "INSERT INTO publication (created_at, reason, body, headers, content_type, correlation_id, message, recipient) "
        "VALUES (?, 'refused', x'7b7d', '{}', 'application/json', 'c', 'failed', 'failed@example.com')",
        (now,),
    )


_BREAKER = '{"phase":"closed","mode":"auto","failures":1,"cause":"connection refused"}'


def _second(connection: sqlite3.Connection, now: float) -> None:
    connection.execute("UPDATE message SET domain = 'example.org', pinned = (state = 'deferred')")
    connection.execute("UPDATE attempt SET recipients = 1, why = 'the other is sick'")
    connection.execute("INSERT INTO usage (relay, at, recipients) VALUES ('default', ?, 1)", (int(now // 60) * 60,))
    connection.execute(
        "INSERT INTO suspension (relay, domain, since, reply, next_try) VALUES ('default', 'x.test', ?, '550', ?)",
        (now, now),
    )


def _third(connection: sqlite3.Connection, now: float) -> None:
    connection.execute(
        "INSERT INTO suppression (address, origin, face, message, since) "
        "VALUES ('suppressed@example.com', 'bounce', '', 'suppressed', ?)",
        (now,),
    )


def _fourth(connection: sqlite3.Connection, now: float) -> None:
    connection.execute("UPDATE message SET store_body = 0 WHERE state IN ('queued', 'held')")


def _fifth(connection: sqlite3.Connection, now: float) -> None:
    connection.execute("INSERT INTO template VALUES ('t1', 'Welcome', 'welcome', ?1, ?1, 1, 1, ?1)", (now,))
    connection.execute(
        "INSERT INTO template_version VALUES ('t1', 1, ?, 'op', '', 'Hello', ?)", (now, '{"subject":"Hello"}')
    )


_SEEDS: Mapping[int, Callable[[sqlite3.Connection, float], None]] = {
    1: _first, 2: _second, 3: _third, 4: _fourth, 5: _fifth,
}  # fmt: skip
"""What the emailhub of a version also stored, where it began to."""
