"""The rows of `[[relay]]`, `[[destination]]` and `[[dkim]]` from TOML to Structs, with every problem named by its row.

A row is named as people find it: its table, its number from 1 and its own name, as in `relay[2] "ses".rate`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from emailhub.settings import kinds
from emailhub.settings.catalog import documented
from emailhub.settings.doc import Doc
from emailhub.settings.fields import Settings
from emailhub.settings.findings import Findings
from emailhub.settings.sources import did_you_mean, secret_text
from emailhub.settings.tables import DestinationSettings, DkimSettings, OAuth2Settings, RelaySettings
from emailhub.settings.toml_file import TomlFile, as_raw

IMPLICIT_TLS_PORT = 465

_FILE = "_file"
_NESTED: dict[str, type[msgspec.Struct]] = {"oauth2": OAuth2Settings}
_INHERITED = {
    "connections": "smtp_connections",
    "source": "smtp_source",
    "pipelining": "smtp_pipelining",
    "chunking": "smtp_chunking",
    "messages_per_connection": "smtp_messages_per_connection",
    "connection_age": "smtp_connection_age",
    "idle": "smtp_idle",
}

Value = TypeVar("Value", bound=msgspec.Struct)


class Row(NamedTuple, Generic[Value]):
    """One row that can be used; `label` is its name for people."""

    label: str
    value: Value


@dataclass(frozen=True, slots=True)
class Rows:
    """Every row that can be used, in the order of the file. `written` are the keys it says, in full, of all rows."""

    source: str = ""
    relays: list[Row[RelaySettings]] = field(default_factory=list)
    destinations: list[Row[DestinationSettings]] = field(default_factory=list)
    dkim: list[Row[DkimSettings]] = field(default_factory=list)
    written: tuple[str, ...] = ()

    def values(self) -> dict[str, tuple[Any, ...]]:
        """The attributes of Settings that the rows fill."""
        return {
            "listed_relays": tuple(row.value for row in self.relays),
            "destinations": tuple(row.value for row in self.destinations),
            "listed_dkim": tuple(row.value for row in self.dkim),
        }

    def sources(self) -> dict[str, str]:
        """Where each key that is written came from."""
        return dict.fromkeys(self.written, self.source)


def read(file: TomlFile, flat: Settings, findings: Findings) -> Rows:
    """The rows of `file`; what a relay does not say itself is as the settings `flat` say for all."""
    reader = _Reader(file.source, findings)
    shared = {key: getattr(flat, attribute) for key, attribute in _INHERITED.items()}
    return Rows(
        source=file.source,
        relays=reader.rows("relay", RelaySettings, file.rows.get("relay", ()), shared),
        destinations=reader.rows("destination", DestinationSettings, file.rows.get("destination", ()), {}),
        dkim=reader.rows("dkim", DkimSettings, file.rows.get("dkim", ()), {}),
        written=tuple(reader.written),
    )


def label(table: str, number: int, row: Any) -> str:
    """`relay[2] "ses"`: the `number`th row (from 1) of `table`, with the name it gives itself."""
    name = (row.get("name") or row.get("domain")) if isinstance(row, dict) else None
    return f'{table}[{number}] "{kinds.short(name)}"' if isinstance(name, str) else f"{table}[{number}]"


class _Reader:
    def __init__(self, source: str, findings: Findings) -> None:
        self._source = source
        self._findings = findings
        self.written: list[str] = []

    def rows(self, table: str, struct: type[Value], rows: Iterable[Any], shared: Mapping[str, Any]) -> list[Row[Value]]:
        """The rows of `table` that can be used."""
        found: list[Row[Value]] = []
        for number, row in enumerate(rows, 1):
            place = label(table, number, row)
            value = self._struct(struct, place, row, shared)
            if value is None:
                self._findings.broken.add(table)
            else:
                found.append(Row(place, value))
        return found

    def _struct(self, struct: type[Value], place: str, row: Any, shared: Mapping[str, Any]) -> Value | None:
        if not isinstance(row, dict):
            self._problem(place, f"expected a table, not {kinds.short(str(row))!r}")
            return None
        before, tried, values = len(self._findings.problems), set[str](), dict(shared)
        for key, raw in row.items():
            name = self._name(struct, place, key)
            if name in tried:
                self._problem(f"{place}.{name}", f"it and its {_FILE} form are both there; remove one of them")
            elif name:
                tried.add(name)
                self._value(struct, f"{place}.{key}", key, name, raw, values)
        for name, doc in _missing(struct, tried | values.keys()):
            self._problem(f"{place}.{name}", f"expected {doc.kind.expected}; it is needed")
        if len(self._findings.problems) > before:
            return None
        return struct(**_completed(values, tried))

    def _name(self, struct: type[msgspec.Struct], place: str, key: str) -> str | None:
        """The attribute `key` sets, by itself or as the name of a file."""
        notes = documented(struct)
        plain = key.removesuffix(_FILE)
        if key in notes or key in _NESTED_OF.get(struct, ()):
            return key
        if plain in notes and notes[plain].kind.secret:
            return plain
        close = did_you_mean(key, _keys(struct))
        guess = f" Did you mean {close}?" if close else f" Known are {', '.join(_keys(struct))}."
        self._problem(f"{place}.{key}", f"there is no such key.{guess}")
        return None

    def _value(
        self, struct: type[msgspec.Struct], place: str, key: str, name: str, raw: Any, values: dict[str, Any]
    ) -> None:
        if name in _NESTED:
            values[name] = self._struct(_NESTED[name], place, raw, {})
            return
        given = as_raw(raw)
        if key != name and given:
            given = self._file(place, given) or ""
        if not given:
            return  # as everywhere, an empty value means "not set"
        kind = documented(struct)[name].kind
        try:
            values[name] = kind.parse(given)
        except ValueError as error:
            self._problem(place, kind.complaint(given, error))
        self.written.append(f"{place.removesuffix(_FILE) if key != name else place}")

    def _file(self, place: str, path: Any) -> str | None:
        if isinstance(path, str):
            return secret_text(place, Path(path), self._source, self._findings)
        self._problem(place, "expected the path of a file")
        return None

    def _problem(self, place: str, text: str) -> None:
        self._findings.problem(place, self._source, text)


_NESTED_OF: dict[type[msgspec.Struct], tuple[str, ...]] = {RelaySettings: tuple(_NESTED)}


def _keys(struct: type[msgspec.Struct]) -> tuple[str, ...]:
    return (*documented(struct), *_NESTED_OF.get(struct, ()))


def _missing(struct: type[msgspec.Struct], have: Iterable[str]) -> Iterator[tuple[str, Doc]]:
    known = set(have)
    for item in msgspec.structs.fields(struct):
        if item.required and item.name not in known:
            yield item.name, documented(struct)[item.name]


def _completed(values: dict[str, Any], tried: set[str]) -> dict[str, Any]:
    """`values` with the defaults that depend on other keys."""
    if values.get("tls") == "implicit" and "port" not in tried:
        values["port"] = IMPLICIT_TLS_PORT
    if "token_url" in values and "grant" not in values and "refresh_token" not in values:
        values["grant"] = "client_credentials"
    return values
