"""Templates of messages: what one consists of, which variables it takes, and what it makes. Nothing renders here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import StrEnum

from msgspec import Struct

from emailhub.core.errors import Problem, TemplateError
from emailhub.core.message import Made, Mailbox

NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,98}[A-Za-z0-9_-])?")
"""The id of a template: 1 to 100 letters, digits, hyphens, underscores and dots."""
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
"""The name of a variable, as templates write it."""
LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[a-z0-9]{2,8}){0,3}")
"""A language as it is kept: `fr`, `pt-br`."""


class VariableType(StrEnum):
    """What a variable holds."""

    STRING = "string"
    NUMBER = "number"
    BOOLEAN = "boolean"
    OBJECT = "object"
    LIST = "list"


class Variable(Struct, frozen=True, kw_only=True):
    """A variable a template declares. None: without `default` it must be given, without `sample` previews lack it."""

    name: str
    type: VariableType = VariableType.STRING
    default: object = None
    sample: object = None
    description: str = ""


class Template(Struct, frozen=True, kw_only=True):
    """One template in one language ("": the language for all who have none of their own).

    `subject`, `html` and `text` are sources. `parts` are the sources they may include or extend, by name. `sender` and
    `reply_to` apply where the message gives none. `origin` is "file" or "stored"; `version` changes with the content.
    """

    id: str
    language: str = ""
    subject: str = ""
    html: str | None = None
    text: str | None = None
    sender: Mailbox | None = None
    reply_to: tuple[Mailbox, ...] = ()
    variables: tuple[Variable, ...] = ()
    parts: tuple[tuple[str, str], ...] = ()
    description: str = ""
    origin: str = "file"
    version: str = ""
    changed_at: float = 0.0

    @property
    def label(self) -> str:
        """How it is called: `welcome`, `welcome.fr`."""
        return f"{self.id}.{self.language}" if self.language else self.id

    @property
    def made(self) -> Made:
        """What messages that are made from it tell of it."""
        id, _, number = self.version.partition("/")
        return Made(id, number) if self.origin == "stored" else Made(self.id, self.version[:12], self.language)

    @property
    def sample(self) -> dict[str, object]:
        """Values to preview it with: samples, else defaults."""
        values = ((one.name, one.default if one.sample is None else one.sample) for one in self.variables)
        return {name: value for name, value in values if value is not None}


class Broken(Struct, frozen=True, kw_only=True):
    """A template that cannot be used as it stands: `reason` in a sentence; `kept`: its last good version still is.

    Also a folder or file beside the templates that cannot be read, or the whole directory, by its name.
    """

    id: str
    language: str = ""
    reason: str
    kept: bool = False

    @property
    def label(self) -> str:
        """How it is called."""
        return f"{self.id}.{self.language}" if self.language else self.id


class Rendered(Struct, frozen=True):
    """What a template and its variables make. "" and None: the template has no such part."""

    subject: str
    html: str | None
    text: str | None


def languages(wanted: str) -> tuple[str, ...]:
    """The languages to look for, best first: `pt-br`, `pt`, "" for `pt-BR`."""
    found, parts = [], wanted.lower().replace("_", "-").split("-") if wanted else []
    while parts:
        found.append("-".join(parts))
        parts.pop()
    return (*found, "")


def bound(template: Template, given: Mapping[str, object]) -> dict[str, object]:
    """The values to render `template` with: `given`, and the defaults of what is not. Raises TemplateError."""
    problems = []
    values = {name: value for name, value in given.items() if value is not None}
    for one in template.variables:
        value = values.get(one.name, one.default)
        if value is None:
            sentence = f"is required by the template {template.label}: {_A[one.type]}"
            problems.append(Problem(f"template.variables.{one.name}", sentence))
        elif not IS_A[one.type](value):
            sentence = f"must be {_A[one.type]}: the template {template.label} says so"
            problems.append(Problem(f"template.variables.{one.name}", sentence))
        else:
            values[one.name] = value
    if problems:
        raise TemplateError(tuple(problems))
    return values


_A = {one: f"{'an' if one is VariableType.OBJECT else 'a'} {one}" for one in VariableType}
IS_A: Mapping[VariableType, Callable[[object], bool]] = {
    VariableType.STRING: lambda value: isinstance(value, str),
    VariableType.NUMBER: lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    VariableType.BOOLEAN: lambda value: isinstance(value, bool),
    VariableType.OBJECT: lambda value: isinstance(value, dict),
    VariableType.LIST: lambda value: isinstance(value, list),
}
"""Whether a decoded JSON value is of a type."""
