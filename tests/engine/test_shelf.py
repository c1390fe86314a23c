"""Templates from files and stored ones side by side."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from msgspec.structs import replace

from emailhub.adapters.sqlite import open_database
from emailhub.adapters.sqlite.templates import SqliteTemplates
from emailhub.core.errors import InvalidMessage, NotFound, Outdated, ReadOnly, TemplateError
from emailhub.core.message import TemplateUse
from emailhub.core.stored import Label, Wording
from emailhub.core.template import Broken, Template, Variable
from emailhub.core.wording import Draft
from emailhub.engine.desk import Actor
from emailhub.engine.shelf import Shelf, StoredCatalog
from emailhub.engine.templates import Templates
from tests.support.factories import NOW
from tests.support.templates import Files, PlainRenderer

ADMIN = Actor("admin", "dashboard", "10.0.0.1")
HELLO = Draft(Label("Welcome", "welcome"), Wording(subject="Hello", html="<p>Hello</p>"))
HI = Draft(Label("Welcome", "welcome"), Wording(subject="Hi", html="<p>Hi</p>"))


class Room:
    """A shelf over a real outbox."""

    def __init__(self, store: SqliteTemplates) -> None:
        self.files = Files()
        self.templates = Templates(PlainRenderer(), [self.files, StoredCatalog(store)])
        numbers = itertools.count()
        self.shelf = Shelf(
            store,
            self.templates,
            self.files,
            now=lambda: NOW + next(numbers),
            entropy=lambda n: next(numbers).to_bytes(n),
        )

    async def subject(self, id: str, language: str = "") -> str:
        """The subject of a message that uses the template."""
        return (await self.templates.used(TemplateUse(id=id, language=language)))[1].subject


@pytest_asyncio.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    database = await open_database(tmp_path / "hub.db", on_events=lambda _: None, lock_wait=0)
    try:
        yield Room(SqliteTemplates(database))
    finally:
        await database.close()


async def test_a_draft_does_not_send_and_says_so(room: Room) -> None:
    await room.shelf.create(HELLO, ADMIN)
    with pytest.raises(TemplateError, match=r"template\.id: is a draft: publish the template welcome first"):
        await room.subject("welcome")


async def test_messages_are_made_from_the_published_version_until_another_is(room: Room) -> None:
    made = await room.shelf.create(HELLO, ADMIN)
    await room.shelf.publish("welcome", None, ADMIN)
    await room.shelf.save("welcome", HI, ADMIN)
    assert await room.subject("welcome") == await room.subject(made.id) == "Hello"
    await room.shelf.publish("welcome", None, ADMIN)
    assert await room.subject("welcome") == "Hi"
    await room.shelf.publish("welcome", 1, ADMIN)
    assert await room.subject("welcome") == "Hello"


async def test_a_template_that_is_not_there_is_named(room: Room) -> None:
    with pytest.raises(TemplateError, match="names no template"):
        await room.subject("welcome")
    with pytest.raises(NotFound):
        await room.shelf.find("welcome")


async def test_what_does_not_compile_is_not_stored(room: Room) -> None:
    bad = Draft(HELLO.label, Wording(subject="Hello", html="{% if"))
    with pytest.raises(InvalidMessage, match="html: line 1: "):
        await room.shelf.create(bad, ADMIN)
    await room.shelf.create(HELLO, ADMIN)
    with pytest.raises(InvalidMessage, match="line 1"):
        await room.shelf.save("welcome", bad, ADMIN)
    assert [(one.newest, one.subject) for one in await room.shelf.all()] == [(1, "Hello")]


async def test_a_language_is_part_of_the_alias_and_falls_back(room: Room) -> None:
    await room.shelf.create(HELLO, ADMIN)
    await room.shelf.create(Draft(Label("Bienvenue", "welcome.fr"), Wording(subject="Bonjour", text="x")), ADMIN)
    await room.shelf.publish("welcome", None, ADMIN)
    assert await room.subject("welcome", "fr-CA") == "Hello"
    await room.shelf.publish("welcome.fr", None, ADMIN)
    assert await room.subject("welcome", "fr-CA") == "Bonjour"
    assert await room.subject("welcome", "de") == "Hello"


async def test_a_file_goes_before_a_stored_template_of_its_name(room: Room) -> None:
    made = await room.shelf.create(HELLO, ADMIN)
    await room.shelf.publish("welcome", None, ADMIN)
    room.files.templates = [Template(id="welcome", subject="From a file", text="x", changed_at=NOW)]
    assert await room.subject("welcome") == "From a file"
    assert await room.subject(made.id) == "Hello"
    entries = {entry.origin: entry for entry in await room.shelf.all()}
    assert not entries["file"].hidden
    assert entries["stored"].hidden


async def test_an_alias_a_file_has_is_refused(room: Room) -> None:
    room.files.templates = [Template(id="welcome", subject="From a file", text="x")]
    for alias in ("welcome", "welcome.fr"):
        with pytest.raises(InvalidMessage, match="alias: is the name of a template in the directory"):
            await room.shelf.create(Draft(Label("Welcome", alias), HELLO.wording), ADMIN)


async def test_a_file_is_only_looked_at(room: Room) -> None:
    room.files.templates = [Template(id="welcome", subject="From a file", text="x")]
    for change in (
        room.shelf.save("welcome", HELLO, ADMIN),
        room.shelf.publish("welcome", None, ADMIN),
        room.shelf.delete("welcome", ADMIN),
        room.shelf.duplicate("welcome", ADMIN),
        room.shelf.versions("welcome"),
    ):
        with pytest.raises(ReadOnly, match="change it there"):
            await change


async def test_files_are_listed_once_with_their_languages_and_what_is_wrong(room: Room) -> None:
    base = Template(id="welcome", subject="Hello", text="x", description="Says hello", changed_at=NOW)
    room.files.templates = [base, replace(base, language="fr", changed_at=NOW + 5)]
    room.files.reasons = [
        Broken(id="welcome", language="de", reason="body.html, line 3: unexpected end"),
        Broken(id="lost", reason="it has no subject.txt"),
    ]
    lost, welcome = await room.shelf.all()
    assert (lost.called, lost.problem) == ("lost", "it has no subject.txt")
    assert (welcome.name, welcome.languages, welcome.changed_at) == ("Says hello", ("fr",), NOW + 5)
    assert welcome.problem == "de: body.html, line 3: unexpected end"
    with pytest.raises(NotFound):
        await room.shelf.template(lost)


async def test_any_version_can_be_tried_with_values(room: Room) -> None:
    named = Wording(subject="Hello {{ first }}", text="x", variables=(Variable(name="first"),))
    await room.shelf.create(Draft(HELLO.label, named), ADMIN)
    await room.shelf.save("welcome", HI, ADMIN)
    entry = await room.shelf.find("welcome")
    first, newest = await room.shelf.template(entry, 1), await room.shelf.template(entry)
    assert (await room.shelf.render(first, {"first": "Ada"})).subject == "Hello Ada"
    assert (await room.shelf.render(newest, {})).subject == "Hi"
    with pytest.raises(TemplateError, match=r"template\.variables\.first: is required"):
        await room.shelf.render(first, {})
    with pytest.raises(NotFound):
        await room.shelf.template(entry, 9)


async def test_a_duplicate_is_a_draft_of_its_own(room: Room) -> None:
    first = await room.shelf.create(HELLO, ADMIN)
    await room.shelf.publish("welcome", None, ADMIN)
    copy = await room.shelf.duplicate("welcome", ADMIN, "for the summer")
    assert (copy.name, copy.alias, copy.published, copy.id != first.id) == ("Welcome (copy)", None, None, True)
    assert (await room.shelf.draft(copy.id))[1].wording == HELLO.wording
    assert [one.note for one in await room.shelf.versions(copy.id)] == ["for the summer"]


async def test_two_people_who_change_the_same_version_do_not_lose_work(room: Room) -> None:
    await room.shelf.create(HELLO, ADMIN)
    await room.shelf.save("welcome", HI, ADMIN, base=1)
    with pytest.raises(Outdated):
        await room.shelf.save("welcome", HELLO, ADMIN, base=1)


async def test_what_was_done_is_told_with_who_and_why(room: Room) -> None:
    await room.shelf.create(HELLO, ADMIN, "first try")
    await room.shelf.publish("welcome", None, ADMIN, "looks good")
    events = await room.shelf.events(await room.shelf.find("welcome"), 10)
    assert [(event.kind, event.data["actor"], event.data["note"]) for event in events] == [
        ("template_published", "admin from 10.0.0.1", "looks good"),
        ("template_created", "admin from 10.0.0.1", "first try"),
    ]
    await room.shelf.delete("welcome", ADMIN)
    assert await room.shelf.all() == []
