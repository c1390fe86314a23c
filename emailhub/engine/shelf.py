"""All templates, from files and stored ones, as they are shown; and what may be done to the stored ones.

A name belongs to one template. A directory's name goes before the alias of a stored template: whoever deploys files
decides. An alias that a directory has already is refused; when the directory comes later, the stored template is shown
as hidden, and messages still reach it by its id.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from emailhub import logs
from emailhub.core import mime
from emailhub.core.errors import InvalidMessage, NotFound, Problem, ReadOnly, TemplateError
from emailhub.core.records import Event
from emailhub.core.stored import Change, Label, Stored, Version, Wording, split, template_of
from emailhub.core.template import Broken, Rendered, Template, languages
from emailhub.core.wording import CALLED, Draft
from emailhub.engine.desk import Actor
from emailhub.engine.ports import Catalog
from emailhub.engine.templates import Templates

log = logs.get("templates")


class TemplateStore(Protocol):
    """Where stored templates are kept; `id` may be the alias. All but the lists raise NotFound."""

    async def all(self) -> list[Stored]: ...
    async def find(self, id: str) -> Stored: ...
    async def wording(self, id: str, number: int) -> Wording: ...
    async def in_use(self, called: Sequence[str]) -> list[tuple[Stored, Wording | None]]: ...
    async def all_in_use(self) -> list[tuple[Stored, Wording]]: ...
    async def versions(self, id: str) -> list[Version]: ...
    async def events(self, id: str, limit: int) -> list[Event]: ...
    async def create(self, id: str, label: Label, wording: Wording, change: Change) -> Stored: ...
    async def save(
        self, id: str, label: Label, wording: Wording, change: Change, *, base: int | None = None
    ) -> Stored: ...
    async def publish(self, id: str, number: int | None, change: Change) -> Stored: ...
    async def delete(self, id: str, change: Change) -> Stored: ...


class StoredCatalog:
    """The published versions of stored templates; see `ports.Catalog`."""

    def __init__(self, store: TemplateStore) -> None:
        self._store = store

    async def find(self, id: str, language: str) -> Template | None:
        """The best published one. Raises TemplateError when there are only drafts: they do not send."""
        found = await self._store.in_use([f"{id}.{one}" if one else id for one in languages(language)])
        for stored, wording in found:
            if wording is not None:
                return template_of(stored, stored.published or 0, wording)
        if found:
            sentence = f"is a draft: publish the template {found[-1][0].called} first"
            raise TemplateError((Problem("template.id", sentence),))
        return None

    async def all(self) -> tuple[Template, ...]:
        """Every published one."""
        found = [template_of(one, one.published or 0, wording) for one, wording in await self._store.all_in_use()]
        return tuple(sorted(found, key=lambda template: (template.id, template.language)))

    async def broken(self) -> tuple[Broken, ...]:
        """None: what does not compile is not stored."""
        return ()


class Entry(Struct, frozen=True, kw_only=True):
    """A template as it is listed. Of a file `newest` is None, and it is always published.

    `problem` says why it cannot be used as it stands, "" when it can; `usable` ones were good before. A stored one is
    `hidden` when a directory has its name: it is used by its id.
    """

    id: str
    name: str
    alias: str | None
    origin: str
    subject: str
    languages: tuple[str, ...] = ()
    problem: str = ""
    usable: bool = True
    hidden: bool = False
    newest: int | None = None
    published: int | None = None
    published_at: float | None = None
    created_at: float = 0.0
    changed_at: float = 0.0

    @property
    def called(self) -> str:
        """How it is named in lists, and by messages unless it is hidden."""
        return self.alias or self.id

    @property
    def sends(self) -> bool:
        """Whether messages can be made from it."""
        return self.usable and (self.origin == "file" or self.published is not None)


class Shelf:
    """See the module. `files` are the templates of the directory, None when none is set up."""

    def __init__(
        self,
        store: TemplateStore,
        templates: Templates,
        files: Catalog | None = None,
        *,
        now: Callable[[], float],
        entropy: Callable[[int], bytes],
    ) -> None:
        self._store = store
        self._templates = templates
        self._files = files
        self._now = now
        self._entropy = entropy

    async def all(self) -> list[Entry]:
        """Every template by what it is called."""
        files = await self._file_entries()
        stored = [_entry(one, files) for one in await self._store.all()]
        return sorted([*files.values(), *stored], key=lambda entry: (entry.called.lower(), entry.id))

    async def find(self, id: str) -> Entry:
        """The template messages mean by `id`, or the stored one with that id. Raises NotFound."""
        files = await self._file_entries()
        return files[id] if id in files else _entry(await self._store.find(id), files)

    async def template(self, entry: Entry, version: int | None = None, language: str = "") -> Template:
        """Its content: of a stored one that version, the newest when None; of a file that language. Raises NotFound."""
        if entry.newest is not None:
            number = version or entry.newest
            stored = await self._store.find(entry.id)
            return template_of(stored, number, await self._store.wording(entry.id, number))
        found = await self._files.find(entry.id, language) if self._files else None
        if found is None:
            raise NotFound("usable template", entry.id)
        return found

    async def versions(self, id: str) -> list[Version]:
        """The versions of a stored template, newest first. Raises NotFound, ReadOnly."""
        return await self._store.versions((await self._stored(id)).id)

    async def events(self, entry: Entry, limit: int) -> list[Event]:
        """What happened to it, newest first."""
        return await self._store.events(entry.id, limit) if entry.newest is not None else []

    async def render(self, template: Template, values: Mapping[str, object]) -> Rendered:
        """What a message made from it would say. Raises TemplateError, Refused."""
        return await self._templates.render(template, values)

    async def draft(self, id: str) -> tuple[Stored, Draft]:
        """A stored template as it was saved last, to be changed. Raises NotFound, ReadOnly."""
        stored = await self._stored(id)
        return stored, Draft(stored.label, await self._store.wording(stored.id, stored.newest))

    async def create(self, draft: Draft, actor: Actor, reason: str = "") -> Stored:
        """Keep a new template as a draft. Raises InvalidMessage (does not compile, alias taken)."""
        now = self._now()
        id = mime.new_id(now, self._entropy(10))
        await self._check(id, draft)
        made = await self._store.create(id, draft.label, draft.wording, Change(at=now, actor=str(actor), note=reason))
        return self._done("created", made, actor, reason)

    async def save(self, id: str, draft: Draft, actor: Actor, reason: str = "", *, base: int | None = None) -> Stored:
        """Keep `draft` as the newest version; what is published stays.

        Raises NotFound, ReadOnly, InvalidMessage, and Outdated when version `base` is not the newest any more.
        """
        stored = await self._stored(id)
        await self._check(stored.id, draft)
        change = Change(at=self._now(), actor=str(actor), note=reason)
        saved = await self._store.save(stored.id, draft.label, draft.wording, change, base=base)
        return self._done("saved", saved, actor, reason)

    async def publish(self, id: str, version: int | None, actor: Actor, reason: str = "") -> Stored:
        """Make messages from that version, older or newer, from the newest when None. Raises NotFound, ReadOnly."""
        stored = await self._stored(id)
        change = Change(at=self._now(), actor=str(actor), note=reason)
        return self._done("published", await self._store.publish(stored.id, version, change), actor, reason)

    async def duplicate(self, id: str, actor: Actor, reason: str = "") -> Stored:
        """A new draft that says what the newest version of a stored one says. Raises NotFound, ReadOnly."""
        _, draft = await self.draft(id)
        name = f"{draft.label.name[: CALLED - 7]} (copy)"
        return await self.create(Draft(Label(name), draft.wording), actor, reason)

    async def delete(self, id: str, actor: Actor, reason: str = "") -> Stored:
        """Forget it with all versions; messages made from it stay as they are. Raises NotFound, ReadOnly."""
        stored = await self._stored(id)
        change = Change(at=self._now(), actor=str(actor), note=reason)
        return self._done("deleted", await self._store.delete(stored.id, change), actor, reason)

    async def _stored(self, id: str) -> Stored:
        if id in await self._file_entries():
            raise ReadOnly(id)
        return await self._store.find(id)

    async def _check(self, id: str, draft: Draft) -> None:
        alias = draft.label.alias
        if alias is not None and split(alias)[0] in await self._file_entries():
            sentence = f"is the name of a template in the directory of templates already: {split(alias)[0]}"
            raise InvalidMessage((Problem("alias", sentence),))
        tried = Stored(
            id=id,
            name=draft.label.name,
            alias=alias,
            subject=draft.wording.subject,
            created_at=0,
            updated_at=0,
            newest=1,
            published=None,
            published_at=None,
        )
        problems = await self._templates.check(template_of(tried, 1, draft.wording))
        if problems:
            raise InvalidMessage(tuple(problems))

    async def _file_entries(self) -> dict[str, Entry]:
        if self._files is None:
            return {}
        found: dict[str, list[Template]] = {}
        for template in await self._files.all():
            found.setdefault(template.id, []).append(template)
        entries = {id: _file_entry(id, several) for id, several in found.items()}
        for broken in await self._files.broken():
            entries[broken.id] = _marked(broken, entries.get(broken.id))
        return entries

    def _done(self, verb: str, stored: Stored, actor: Actor, reason: str) -> Stored:
        log.info(
            "template changed",
            verb=verb,
            template=stored.id,
            called=stored.called,
            newest=stored.newest,
            published=stored.published,
            actor=str(actor),
            note=reason,
        )
        return stored


def _file_entry(id: str, several: list[Template]) -> Entry:
    first = next((one for one in several if not one.language), several[0])
    changed = max(one.changed_at for one in several)
    return Entry(
        id=id,
        name=first.description or id,
        alias=None,
        origin="file",
        subject=first.subject.strip(),
        languages=tuple(one.language for one in several if one.language),
        created_at=changed,
        changed_at=changed,
        published_at=changed,
    )


def _marked(broken: Broken, entry: Entry | None) -> Entry:
    problem = f"{broken.language}: {broken.reason}" if broken.language else broken.reason
    found = entry or Entry(id=broken.id, name=broken.id, alias=None, origin="file", subject="", usable=False)
    return replace(found, problem=f"{found.problem} {problem}".strip())


def _entry(stored: Stored, files: Mapping[str, Entry]) -> Entry:
    hidden = split(stored.called)[0] in files
    return Entry(
        id=stored.id,
        name=stored.name,
        alias=stored.alias,
        origin="stored",
        subject=stored.subject,
        hidden=hidden,
        newest=stored.newest,
        published=stored.published,
        published_at=stored.published_at,
        created_at=stored.created_at,
        changed_at=stored.updated_at,
    )
