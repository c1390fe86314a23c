"""An outbox as the first version made it, for what must still open it."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from emailhub.adapters.sqlite import database as module
from tests.support.factories import DAY, NOW


def old_file(path: Path) -> sqlite3.Connection:
    """An empty outbox as the first version made it."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript(
        f"{module.migrations()[0][1]}; PRAGMA application_id = {module.APPLICATION_ID}; PRAGMA user_version = 1"
    )
    return connection


def add(connection: sqlite3.Connection, id: str, sender: str, state: str = "queued", unknowns: int = 0) -> None:
    """A message of one recipient, as the first version stored it."""
    row: dict[str, Any] = {
        "id": id, "message_id": f"<{id}@x>", "relay": "default", "state": state, "reason": "accepted", "due_at": NOW,
        "priority": 1, "on_unknown": "retry", "accepted_at": NOW, "expires_at": NOW + DAY, "changed_at": NOW,
        "waiting_since": NOW, "face": "http", "correlation_id": "c", "sender": sender, "from_header": sender,
        "to_header": "to", "recipients": 1, "subject": "s", "size": 1, "smtputf8": 0,
    }  # fmt: skip
    marks = ", ".join("?" * len(row))
    seq = connection.execute(f"INSERT INTO message ({', '.join(row)}) VALUES ({marks})", tuple(row.values())).lastrowid
    connection.execute("INSERT INTO body (seq, content) VALUES (?, x'41')", (seq,))
    connection.execute(
        "INSERT INTO recipient (seq, address, kind, state, reason, due_at, unknowns, changed_at) "
        "VALUES (?, 'a@b.test', 'to', ?, 'accepted', ?, ?, ?)",
        (seq, state, NOW, unknowns, NOW),
    )
