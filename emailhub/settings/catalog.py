"""The settings as data: which variable sets which attribute, what is expected of it, what is written about it."""

from __future__ import annotations

from functools import cache
from typing import Any, get_type_hints

import msgspec

from emailhub.settings.fields import Doc, Settings

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
    """Every setting by its attribute, in the order of declaration."""
    hints = get_type_hints(Settings, include_extras=True)
    defaults = Settings()
    return {name: _field(name, hints[name].__metadata__[0], defaults) for name in Settings.__struct_fields__}


def _field(attribute: str, doc: Doc, defaults: Settings) -> Field:
    name = attribute.upper()
    variable = name if name in PLAIN_NAMES else PREFIX + name
    return Field(attribute, variable, doc, getattr(defaults, attribute))


@cache
def by_variable() -> dict[str, Field]:
    """Every setting by the name of its variable."""
    return {field.variable: field for field in fields().values()}
