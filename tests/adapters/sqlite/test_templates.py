"""Stored templates: versions that never change, one of them published, all of it there after a restart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from emailhub.adapters.sqlite import Database, open_database
from emailhub.adapters.sqlite.templates import SqliteTemplates
from emailhub.core import stored
from emailhub.core.errors import InvalidMessage, NotFound, Outdated
from emailhub.core.records import Event
from emailhub.core.stored import Change, Label, Wording
from tests.support.factories import NOW

ADA = Change(at=NOW, actor="admin from 10.0.0.1", note="spring campaign")
WELCOME = Label("Welcome", "welcome")
FIRST = Wording(subject="Hello {{ name }}", html="<p>Hello</p>")
SECOND = Wording(subject="Hi {{ name }}", html="<p>Hi</p>", text="Hi")


class Shelf:
    """An open database with its templates, and the events told so far."""

    def __init__(self, database: Database, events: list[Event]) -> None:
        self.database = database
        self.templates = SqliteTemplates(database)
        self.events = events

    async def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return await self.database.read(lambda c: c.execute(sql).fetchall())


@pytest_asyncio.fixture
async def shelf(tmp_path: Path) -> AsyncIterator[Shelf]:
    events: list[Event] = []
    database = await open_database(tmp_path / "hub.db", on_events=events.extend, lock_wait=0, gather=0.0)
    try:
        yield Shelf(database, events)
    finally:
        await database.close()


async def test_a_new_template_is_a_draft_with_one_version(shelf: Shelf) -> None:
    made = await shelf.templates.create("T1", WELCOME, FIRST, ADA)
    assert (made.newest, made.published, made.published_at, made.called) == (1, None, None, "welcome")
    assert await shelf.templates.find("T1") == await shelf.templates.find("welcome") == made
    assert await shelf.templates.wording("welcome", 1) == FIRST


async def test_saving_makes_a_version_and_leaves_the_published_one_as_it_was(shelf: Shelf) -> None:
    await shelf.templates.create("T1", WELCOME, FIRST, ADA)
    await shelf.templates.publish("T1", None, ADA)
    saved = await shelf.templates.save("T1", WELCOME, SECOND, Change(at=NOW + 60, actor="key 1"))
    assert (saved.newest, saved.published, saved.updated_at) == (2, 1, NOW + 60)
    assert await shelf.templates.wording("T1", 1) == FIRST
    assert await shelf.templates.wording("T1", 2) == SECOND
    assert [(one.number, one.saved_by, one.note) for one in await shelf.templates.versions("T1")] == [
        (2, "key 1", ""),
        (1, "admin from 10.0.0.1", "spring campaign"),
    ]


async def test_an_older_version_is_published_again_and_the_newer_one_kept(shelf: Shelf) -> None:
    await shelf.templates.create("T1", WELCOME, FIRST, ADA)
    await shelf.templates.save("T1", WELCOME, SECOND, ADA)
    assert (await shelf.templates.publish("T1", None, ADA)).published == 2
    back = await shelf.templates.publish("T1", 1, Change(at=NOW + 5, actor="admin", note="typo"))
    assert (back.published, back.published_at, back.newest) == (1, NOW + 5, 2)
    with pytest.raises(NotFound):
        await shelf.templates.publish("T1", 3, ADA)


async def test_saving_the_same_makes_no_version_and_tells_nothing(shelf: Shelf) -> None:
    await shelf.templates.create("T1", WELCOME, FIRST, ADA)
    told = len(shelf.events)
    assert (await shelf.templates.save("T1", WELCOME, FIRST, ADA)).newest == 1
    assert (await shelf.templates.save("T1", Label("Other", "welcome"), FIRST, ADA)).name == "Other"
    assert [event.kind for event in shelf.events[told:]] == ["template_renamed"]


async def test_all_is_there_after_a_restart(tmp_path: Path) -> None:
    database = await open_database(tmp_path / "hub.db", on_events=lambda _: None, lock_wait=0)
    before = SqliteTemplates(database)
    await before.create("T1", WELCOME, FIRST, ADA)
    await before.save("T1", WELCOME, SECOND, ADA)
    await before.publish("T1", 1, ADA)
    await database.close()
    database = await open_database(tmp_path / "hub.db", on_events=lambda _: None, lock_wait=0)
    after = SqliteTemplates(database)
    try:
        one = (await after.all())[0]
        assert (one.newest, one.published) == (2, 1)
        assert [await after.wording("T1", number) for number in (1, 2)] == [FIRST, SECOND]
    finally:
        await database.close()


async def test_what_somebody_else_saved_meanwhile_is_not_written_over(shelf: Shelf) -> None:
    await shelf.templates.create("T1", WELCOME, FIRST, ADA)
    await shelf.templates.save("T1", WELCOME, SECOND, ADA, base=1)
    with pytest.raises(Outdated) as caught:
        await shelf.templates.save("T1", WELCOME, FIRST, ADA, base=1)
    assert caught.value.newest == 2
    assert (await shelf.templates.find("T1")).newest == 2


async def test_an_alias_names_one_template_only(shelf: Shelf) -> None:
    await shelf.templates.create("T1", WELCOME, FIRST, ADA)
    await shelf.templates.create("T2", Label("Plain"), FIRST, ADA)
    await shelf.templates.create("T3", Label("Plain"), FIRST, ADA)
    with pytest.raises(InvalidMessage, match="alias: is the alias of another template already: Welcome"):
        await shelf.templates.create("T4", Label("New", "welcome"), FIRST, ADA)
    with pytest.raises(InvalidMessage, match="alias"):
        await shelf.templates.save("T2", Label("Plain", "welcome"), FIRST, ADA)
    assert [one.id for one in await shelf.templates.all()] == ["T2", "T3", "T1"]


async def test_a_deleted_template_is_gone_with_its_versions_and_its_alias_is_free(shelf: Shelf) -> None:
    await shelf.templates.create("T1", WELCOME, FIRST, ADA)
    await shelf.templates.save("T1", WELCOME, SECOND, ADA)
    assert (await shelf.templates.delete("welcome", ADA)).id == "T1"
    with pytest.raises(NotFound):
        await shelf.templates.find("T1")
    assert await shelf.rows("SELECT count(*) FROM template_version") == [(0,)]
    await shelf.templates.create("T2", WELCOME, FIRST, ADA)


async def test_only_the_last_hundred_versions_and_the_published_one_are_kept(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emailhub.adapters.sqlite.templates.VERSIONS", 3)
    await shelf.templates.create("T1", WELCOME, FIRST, ADA)
    await shelf.templates.publish("T1", 1, ADA)
    for number in range(2, 7):
        await shelf.templates.save("T1", WELCOME, Wording(subject=f"{number}", text="x"), ADA)
    assert [one.number for one in await shelf.templates.versions("T1")] == [6, 5, 4, 1]


async def test_there_is_an_end_to_how_many_there_are(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    assert stored.TEMPLATES == 1000
    monkeypatch.setattr("emailhub.adapters.sqlite.templates.TEMPLATES", 1)
    await shelf.templates.create("T1", WELCOME, FIRST, ADA)
    with pytest.raises(InvalidMessage, match="more than 1 templates"):
        await shelf.templates.create("T2", Label("Second"), FIRST, ADA)


async def test_every_change_is_told_with_who_and_why(shelf: Shelf) -> None:
    await shelf.templates.create("T1", WELCOME, FIRST, ADA)
    await shelf.templates.publish("T1", None, ADA)
    await shelf.templates.save("T1", WELCOME, SECOND, ADA)
    await shelf.templates.publish("T1", 2, ADA)
    await shelf.templates.publish("T1", 1, ADA)
    await shelf.templates.delete("T1", ADA)
    told = [(event.kind, event.data["version"]) for event in shelf.events]
    assert told == [
        ("template_created", 1),
        ("template_published", 1),
        ("template_saved", 2),
        ("template_published", 2),
        ("template_published", 1),
        ("template_deleted", 1),
    ]
    who = {"template": "T1", "name": "Welcome", "called": "welcome", "actor": ADA.actor, "note": ADA.note}
    assert all(who.items() <= event.data.items() for event in shelf.events)
    assert [event.id for event in await shelf.templates.events("T1", 3)] == [6, 5, 4]


async def test_what_happened_is_found_without_reading_all_events(shelf: Shelf) -> None:
    plan = await shelf.rows(
        "EXPLAIN QUERY PLAN SELECT id FROM event WHERE json_extract(data, '$.template') = 'T1' "
        "AND seq IS NULL AND relay IS NULL ORDER BY id DESC LIMIT 5"
    )
    assert "event_template" in plan[0][3]
