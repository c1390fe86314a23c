"""The settings in words: the table in README.md and the rows of `emailhub config`."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import msgspec

from emailhub.settings.catalog import Field, fields
from emailhub.settings.loading import DEFAULT, Loaded
from emailhub.settings.secret import Secret

BEGIN = "<!-- settings -->"
END = "<!-- /settings -->"


class Row(msgspec.Struct, frozen=True):
    """One effective setting as `emailhub config` shows it; secrets are masked, an unset one has an empty `value`."""

    name: str
    value: str
    source: str
    is_default: bool
    meaning: str


class Entry(msgspec.Struct, frozen=True):
    """One setting as the documentation tells it."""

    section: str
    name: str
    unit: str
    default: str
    meaning: str
    secret: bool


def describe(loaded: Loaded) -> list[Row]:
    """Every setting with its effective value and where that came from."""
    return [_row(field, loaded) for field in fields().values()]


def documentation() -> list[Entry]:
    """Every setting with its unit, default and meaning, in reading order."""
    return [_entry(field) for field in fields().values()]


def markdown() -> str:
    """The documentation as one Markdown table a section, as it stands in README.md between BEGIN and END."""
    parts = []
    for section, entries in groupby(documentation(), lambda entry: entry.section):
        parts += [f"**{section}**", "", "| Variable | Value | Default | Meaning |", "|---|---|---|---|"]
        parts += [_line(entry) for entry in entries]
        parts.append("")
    return "\n".join(parts).rstrip("\n")


def _row(field: Field, loaded: Loaded) -> Row:
    source = loaded.sources[field.variable]
    value = getattr(loaded.settings, field.attribute)
    return Row(field.variable, _shown(field, value), source, source == DEFAULT, field.doc.meaning)


def _shown(field: Field, value: Any) -> str:
    if value is None:
        return ""
    return value.masked() if isinstance(value, Secret) else field.doc.kind.show(value)


def _entry(field: Field) -> Entry:
    doc, default = field.doc, field.default_text
    words = f"`{default}`" if default else doc.unset
    return Entry(doc.section, field.variable, doc.kind.unit, words, doc.meaning, doc.kind.secret)


def _line(entry: Entry) -> str:
    return f"| `{entry.name}` | {entry.unit} | {entry.default} | {entry.meaning} |"
