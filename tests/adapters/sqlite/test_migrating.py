"""A file of an older emailhub is brought up to date, and what waited in it is delivered."""

from __future__ import annotations

from pathlib import Path

from emailhub.adapters.sqlite import database as module
from emailhub.core.delivery import State
from emailhub.core.suppression import Listing
from tests.support.factories import NOW, SENT, opened
from tests.support.old_outbox import add, old_file


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
