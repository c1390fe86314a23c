"""A file of an older emailhub is brought up to date, and what waited in it is delivered."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from emailhub.adapters.sqlite import database as module
from emailhub.core.delivery import State
from emailhub.core.suppression import Listing
from tests.support.factories import DAY, NOW, SENT, opened


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


async def test_what_waited_in_a_file_of_the_first_version_knows_its_domain_and_is_delivered(tmp_path: Path) -> None:
    connection = old_file(tmp_path / "hub.db")
    add(connection, "A", '"odd@local"@Mail.Example.ORG')
    add(connection, "B", "hub@localhost", "deferred")
    connection.close()
    async with opened(tmp_path / "hub.db") as store:
        found = await store.rows("SELECT domain, pinned, diverted FROM message ORDER BY seq")
        assert found == [("mail.example.org", 0, ""), ("localhost", 0, "")]
        jobs = await store.claim(NOW)
        assert sorted(job.id for job in jobs) == ["A", "B"]
        for job in jobs:
            await store.finish(job, SENT)
        assert await store.states("A") == await store.states("B") == [State.SENT]


async def test_what_met_an_unknown_outcome_before_stays_with_its_relay(tmp_path: Path) -> None:
    connection = old_file(tmp_path / "hub.db")
    add(connection, "LATEST", "a@x.test", "deferred", unknowns=1)
    add(connection, "EARLIER", "a@x.test", "deferred")
    connection.execute(
        "INSERT INTO attempt (seq, number, relay, started_at, finished_at, results) "
        """VALUES (2, 1, 'default', 1, 2, '[{"address":"a@b.test","kind":"unknown","stage":"final reply"}]')"""
    )
    add(connection, "NEVER", "a@x.test", "deferred")
    connection.close()
    async with opened(tmp_path / "hub.db") as store:
        assert await store.rows("SELECT id FROM message WHERE pinned ORDER BY seq") == [("LATEST",), ("EARLIER",)]


async def test_what_waited_in_a_file_of_the_first_version_is_found_when_its_address_is_suppressed(
    tmp_path: Path,
) -> None:
    connection = old_file(tmp_path / "hub.db")
    add(connection, "A", "hub@example.org", "deferred")
    connection.close()
    async with opened(tmp_path / "hub.db") as store:
        await store.suppressions.add([Listing("A@B.test")], now=NOW, face="http", actor="op")
        assert await store.states("A") == [State.SUPPRESSED]


def test_the_steps_are_numbered_without_a_gap_so_that_none_can_land_below_a_file_that_has_them() -> None:
    numbers = [number for number, _ in module.migrations()]
    assert numbers == list(range(1, len(numbers) + 1))
