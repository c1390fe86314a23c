"""What was in hand when a process ended is known to the next one."""

from __future__ import annotations

from pathlib import Path

from emailhub.adapters.sqlite import open_database
from emailhub.adapters.sqlite.in_hand import SqliteInHand


async def test_what_was_never_let_go_of_is_counted_once_for_each_process(tmp_path: Path) -> None:
    for run in range(1, 4):
        database = await open_database(tmp_path / "hub.db", on_events=lambda _: None)
        in_hand = SqliteInHand(database)
        assert await in_hand.begin("ab") == run
        # Come again in the same process: it did not end it.
        assert await in_hand.begin("ab") == run
        assert await in_hand.begin("cd") == 1
        await in_hand.end("cd")
        await database.close()
    database = await open_database(tmp_path / "hub.db", on_events=lambda _: None)
    in_hand = SqliteInHand(database)
    await in_hand.end("ab")
    assert await in_hand.begin("ab") == 1
    await database.close()
