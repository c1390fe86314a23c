"""Templates that were made over the API or in the dashboard, and their versions."""

from __future__ import annotations

from msgspec import Struct

from emailhub.core.message import Mailbox
from emailhub.core.template import LANGUAGE, Template, Variable

VERSIONS = 100
"""Versions kept of a template; older ones are forgotten, but never the published one."""
TEMPLATES = 1000
"""Stored templates a hub has at most."""


class Wording(Struct, frozen=True, kw_only=True):
    """What a version says; see `core.template.Template`."""

    subject: str
    html: str | None = None
    text: str | None = None
    sender: Mailbox | None = None
    reply_to: tuple[Mailbox, ...] = ()
    variables: tuple[Variable, ...] = ()


class Label(Struct, frozen=True):
    """How a template is called: its `name` for people, its `alias` for messages (None: they use its id)."""

    name: str
    alias: str | None = None


class Stored(Struct, frozen=True, kw_only=True):
    """A stored template without its content. `published` is the version messages are made from, None: none yet.

    `subject` is that of the newest version.
    """

    id: str
    name: str
    alias: str | None
    subject: str
    created_at: float
    updated_at: float
    newest: int
    published: int | None
    published_at: float | None

    @property
    def called(self) -> str:
        """What a message names to use it."""
        return self.alias or self.id

    @property
    def label(self) -> Label:
        """Its name and alias."""
        return Label(self.name, self.alias)


class Version(Struct, frozen=True, kw_only=True):
    """One version: who saved it, when (unix seconds) and why."""

    number: int
    saved_at: float
    saved_by: str
    note: str


class Change(Struct, frozen=True, kw_only=True):
    """Who changes a template, when and why."""

    at: float
    actor: str
    note: str = ""


def split(called: str) -> tuple[str, str]:
    """The id and the language of a name: `welcome.fr` is `welcome` in `fr`, `welcome` is for all languages."""
    id, _, language = called.rpartition(".")
    return (id, language) if id and LANGUAGE.fullmatch(language) else (called, "")


def template_of(stored: Stored, number: int, wording: Wording) -> Template:
    """The version `number` as what is rendered."""
    id, language = split(stored.called)
    return Template(
        id=id,
        language=language,
        subject=wording.subject,
        html=wording.html,
        text=wording.text,
        sender=wording.sender,
        reply_to=wording.reply_to,
        variables=wording.variables,
        description=stored.name,
        origin="stored",
        version=f"{stored.id}/{number}",
        changed_at=stored.updated_at,
    )
