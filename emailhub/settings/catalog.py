"""The settings as data: which variable sets which attribute, what is expected of it, what is written about it."""

from __future__ import annotations

from functools import cache
from typing import Any, get_type_hints

import msgspec

from emailhub.settings.doc import Doc
from emailhub.settings.fields import Settings

PREFIX = "EMAILHUB_"
PLAIN_NAMES = frozenset(
    {
        "RABBITMQ_URL",
        "SMTP_HOST",
        "SMTP_PORT",
        "SMTP_USER",
        "SMTP_PASS",
        "EMAIL_FROM",
        "USE_REAL_SMTP",
        "MAX_RETRY_ATTEMPTS",
        "SMTP_RETRY_DELAY_SECONDS",
        "REDIS_URL",
    }
)
"""The variables that carry no prefix: the names services of this kind have always used."""


class Field(msgspec.Struct, frozen=True):
    """One setting as data: `attribute` of Settings, `variable` in the environment, and what is written about it."""

    attribute: str
    variable: str
    doc: Doc
    default: Any

    @property
    def default_text(self) -> str:
        """The default as a value to write; empty when there is none."""
        return "" if self.default in (None, (), "") else self.doc.kind.show(self.default)


@cache
def fields() -> dict[str, Field]:
    """Every setting that is one variable, by its attribute, in the order of declaration."""
    defaults = Settings()
    return {name: _field(name, doc, defaults) for name, doc in documented(Settings).items()}


@cache
def documented(struct: type[msgspec.Struct]) -> dict[str, Doc]:
    """What is written beside each attribute of `struct` that has something written beside it."""
    hints = get_type_hints(struct, include_extras=True)
    notes = {name: getattr(hints[name], "__metadata__", (None,))[0] for name in struct.__struct_fields__}
    return {name: note for name, note in notes.items() if isinstance(note, Doc)}


def _field(attribute: str, doc: Doc, defaults: Settings) -> Field:
    name = attribute.upper()
    variable = name if name in PLAIN_NAMES else PREFIX + name
    return Field(attribute, variable, doc, getattr(defaults, attribute))


@cache
def by_variable() -> dict[str, Field]:
    """Every setting by the name of its variable."""
    return {field.variable: field for field in fields().values()}
