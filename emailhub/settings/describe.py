"""The settings in words: the table in README.md and the rows of `emailhub config`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

import msgspec

from emailhub.core.setup import Setting
from emailhub.settings.catalog import Field, documented, fields
from emailhub.settings.doc import Doc
from emailhub.settings.fields import Settings
from emailhub.settings.loading import DEFAULT, Loaded
from emailhub.settings.secret import Secret
from emailhub.settings.tables import DestinationSettings, DkimSettings, OAuth2Settings, RelaySettings
from emailhub.settings.toml_file import TABLES

BEGIN = "<!-- settings -->"
END = "<!-- /settings -->"
KEYS_BEGIN = "<!-- keys -->"
KEYS_END = "<!-- /keys -->"


class Entry(msgspec.Struct, frozen=True):
    """One setting as the documentation tells it."""

    section: str
    name: str
    unit: str
    default: str
    meaning: str
    secret: bool


def describe(loaded: Loaded) -> list[Setting]:
    """Every setting with its effective value and where that came from."""
    flat = [_row(field, loaded) for field in fields().values()]
    return [*flat, *(row for table in TABLES for row in _table_rows(table, loaded))]


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


def keys_markdown() -> str:
    """The keys of every table of the TOML file as one Markdown table each, as docs/relays.md has them."""
    parts = []
    for name, struct in _TABLES.items():
        parts += [f"**{name}**", "", "| Key | Value | Default | Meaning |", "|---|---|---|---|"]
        parts += [_key_line(item, documented(struct)[item.name]) for item in _documented_fields(struct)]
        parts.append("")
    return "\n".join(parts).rstrip("\n")


_TABLES: dict[str, type[msgspec.Struct]] = {
    "`[[relay]]`": RelaySettings,
    "`oauth2 = { … }` of a relay, instead of a password": OAuth2Settings,
    "`[[destination]]`": DestinationSettings,
    "`[[dkim]]`": DkimSettings,
}


def _documented_fields(struct: type[msgspec.Struct]) -> Iterator[msgspec.structs.FieldInfo]:
    return (item for item in msgspec.structs.fields(struct) if item.name in documented(struct))


def _key_line(item: msgspec.structs.FieldInfo, doc: Doc) -> str:
    name = f"`{item.name}`, `{item.name}_file`" if doc.kind.secret else f"`{item.name}`"
    return f"| {name} | {doc.kind.unit} | {doc.unset or f'`{doc.kind.show(item.default)}`'} | {doc.meaning} |"


def _row(field: Field, loaded: Loaded) -> Setting:
    source, doc = loaded.sources.get(field.variable, DEFAULT), field.doc
    value = _shown(doc, getattr(loaded.settings, field.attribute))
    return Setting(doc.section, field.variable, value, source, source == DEFAULT, doc.meaning)


def _table_rows(table: str, loaded: Loaded) -> Iterator[Setting]:
    for number, value in enumerate(_listed(loaded.settings)[table], 1):
        name = getattr(value, "name", None) or getattr(value, "domain", "")
        yield from _keys(f"[[{table}]]", f'{table}[{number}] "{name}"', value, loaded.sources)


def _listed(settings: Settings) -> dict[str, tuple[msgspec.Struct, ...]]:
    return {"relay": settings.listed_relays, "destination": settings.destinations, "dkim": settings.listed_dkim}


def _keys(section: str, label: str, value: msgspec.Struct, sources: Mapping[str, str]) -> Iterator[Setting]:
    notes = documented(type(value))
    for key in value.__struct_fields__:
        item, name = getattr(value, key), f"{label}.{key}"
        if key in notes:
            source = sources.get(name, DEFAULT)
            yield Setting(section, name, _shown(notes[key], item), source, source == DEFAULT, notes[key].meaning)
        elif isinstance(item, msgspec.Struct):
            yield from _keys(section, name, item, sources)


def _shown(doc: Doc, value: Any) -> str:
    if value is None:
        return ""
    return value.masked() if isinstance(value, Secret) else doc.kind.show(value)


def _entry(field: Field) -> Entry:
    doc, default = field.doc, field.default_text
    words = f"`{default}`" if default else doc.unset
    return Entry(doc.section, field.variable, doc.kind.unit, words, doc.meaning, doc.kind.secret)


def _line(entry: Entry) -> str:
    return f"| `{entry.name}` | {entry.unit} | {entry.default} | {entry.meaning} |"
