"""The TOML file: flat keys, tables whose name begins the keys (`[smtp] host`), and the rows of `[[relay]]` tables."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from emailhub.settings import kinds
from emailhub.settings.catalog import PREFIX, fields
from emailhub.settings.findings import Findings
from emailhub.settings.kinds import Raw
from emailhub.settings.sources import FILE, Given, Layer, did_you_mean, from_file, read_text, suggestion

TABLES = ("relay", "destination", "dkim")
"""The tables of which a file may hold any number."""


class TomlFile(NamedTuple):
    """What a TOML file says: settings by attribute, and the rows of its tables by the table's name."""

    layer: Layer
    rows: dict[str, list[Any]]
    source: str


def read(path: Path, findings: Findings) -> TomlFile:
    """What the file at `path` says; what cannot be read is told as problems."""
    source = f"file {path.name}"
    document = _document(path, source, findings)
    rows = {name: document.pop(name) for name in TABLES if _has_rows(name, document, source, findings)}
    layer: Layer = {}
    for key, name, value in _flat(document, ()):
        _value(key, name, value, source, layer, findings)
    return TomlFile(layer, rows, source)


def _document(path: Path, source: str, findings: Findings) -> dict[str, Any]:
    try:
        return tomllib.loads(read_text(path, source, findings) or "")
    except tomllib.TOMLDecodeError as error:
        findings.problem(str(path), "", f"not TOML: {error}")
        findings.broken.update(TABLES)
        return {}


def _has_rows(name: str, document: dict[str, Any], source: str, findings: Findings) -> bool:
    value = document.get(name)
    if isinstance(value, list):
        return True
    # `[dkim]` in single brackets is also a way to write the flat EMAILHUB_DKIM_… settings.
    if value is not None and not (name == "dkim" and isinstance(value, dict)):
        del document[name]
        findings.problem(name, source, f"expected tables: write [[{name}]], with two brackets", breaks=name)
    return False


def _flat(table: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, str, Any]]:
    """(key as written, attribute it would be, value) of every leaf; a table that is itself a value stays whole."""
    for key, value in table.items():
        here = (*path, key)
        name = "_".join(here).lower().removeprefix(PREFIX.lower())
        whole = name in fields() and fields()[name].doc.kind is kinds.TABLE
        if isinstance(value, dict) and not whole:
            yield from _flat(value, here)
        else:
            yield ".".join(here), name, value


def _value(key: str, name: str, value: Any, source: str, layer: Layer, findings: Findings) -> None:
    plain = name.removesuffix(FILE.lower())
    field = fields().get(name) or fields().get(plain)
    if field is None or field.attribute == "config":
        findings.problem(key, source, f"there is no such setting in a TOML file.{_suggestion(name, value)}")
        return
    if field.attribute in layer:
        findings.problem(key, source, f"it sets {field.variable} a second time", breaks=field.attribute)
        return
    raw = as_raw(value)
    given = Given(raw or None, source)
    if field.attribute != name and isinstance(raw, str):
        given = from_file(field, Path(raw), source, findings) or Given(None, source)
    layer[field.attribute] = given


def as_raw(value: Any) -> Raw:
    """A TOML value as the parsers know it: numbers and booleans become the text one would write in `.env`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return [str(item) for item in value]
    return value if isinstance(value, str | dict) else str(value)


def _suggestion(name: str, value: Any) -> str:
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        table = did_you_mean(name, TABLES)
        return f" Did you mean [[{table}]]?" if table else f" Tables are [[{']], [['.join(TABLES)}]]."
    return suggestion(name)
