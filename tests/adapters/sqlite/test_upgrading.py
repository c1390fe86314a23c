"""An outbox of every version there was opens, is as a new one, keeps what it knew, and its mail is delivered."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from emailhub.core.delivery import State
from tests.support.factories import NOW, SENT, opened, parcel
from tests.support.old_outbox import DUE, FINAL, STATES, VERSIONS, lived_in


def schema(path: Path) -> set[tuple[str, str]]:
    """Every table, index and trigger with its columns, as far as they say what a file is."""
    with closing(sqlite3.connect(path)) as file:
        names = file.execute("SELECT type, name FROM sqlite_schema").fetchall()
        columns = {
            (name, str(column[1:6]))
            for kind, name in names
            if kind == "table"
            for column in file.execute(f"PRAGMA table_info({name})")
        }
        return {(kind, name) for kind, name in names} | columns


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_outbox_of_that_version_is_brought_up_to_date_and_its_mail_delivered(
    tmp_path: Path, version: int
) -> None:
    path = tmp_path / "hub.db"
    lived_in(path, version)
    async with opened(path) as store:
        assert await store.rows("PRAGMA integrity_check") == [("ok",)]
        assert await store.rows("PRAGMA foreign_key_check") == []
        assert {id: [State(id)] for id in STATES} == {id: await store.states(id) for id in STATES}
        assert {state.value: n for state, n in (await store.history.totals()).by_state.items() if n} == dict.fromkeys(
            STATES, 1
        )
        assert await store.upkeep.identity("a new one") == "an-old-one"
        breaker = await store.upkeep.load_breaker("default")
        assert breaker is not None
        assert breaker.cause == "connection refused"
        assert [letter.message for letter in await store.upkeep.pending_letters(10)] == ["failed"]
        ((job, may_be_out),) = await store.outbox.open_jobs()
        assert (job.id, may_be_out) == ("sending", True)
        await store.finish(job, SENT)
        answers = await store.outbox.add([parcel("new", key="key-sent"), parcel("other")])
        assert [type(answer).__name__ for answer in answers] == ["IdempotencyConflict", "Receipt"]
        jobs = await store.claim(NOW)
        assert sorted(job.id for job in jobs) == sorted((*DUE, "other"))
        for job in jobs:
            await store.finish(job, SENT)
        await store.verbs.cancel("held", now=NOW, actor="op", note="")
        assert (await store.history.totals()).waiting == 0
        for id in (*STATES, "other"):
            assert (await store.states(id))[0].value in FINAL
    async with opened(tmp_path / "fresh.db"):
        pass
    assert schema(path) == schema(tmp_path / "fresh.db")
