"""Settings from their sources: the stronger one wins, every value is checked, every problem is told at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from emailhub.settings import rows, rules, sources, table_rules, toml_file
from emailhub.settings.catalog import Field, fields
from emailhub.settings.fields import Settings
from emailhub.settings.findings import Findings, SettingsError
from emailhub.settings.sources import Given, Layer
from emailhub.settings.toml_file import TomlFile

DEFAULT = "default"


class Loaded(msgspec.Struct, frozen=True):
    """Settings that work. `sources` says by variable where each came from: `default`, `file x.toml`, `.env`,
    `environment` or `flag --port`; also by key of a table (`relay[1] "ses".host`), for those that are written.
    `warnings` are for an operator to read.
    """

    settings: Settings
    sources: dict[str, str]
    warnings: tuple[str, ...] = ()


def load(
    environ: Mapping[str, str],
    *,
    dotenv_path: Path | None = None,
    toml_path: Path | None = None,
    flags: Mapping[str, str | None] | None = None,
) -> Loaded:
    """Read settings: defaults < TOML file < `.env` < `environ` < `flags` (by attribute, such as `port`).

    The two files are skipped when absent; a TOML file named by `EMAILHUB_CONFIG` or the flag `config` is read instead
    of `toml_path` and must exist. An empty value means "not set" and hides what weaker sources say.

    Raises SettingsError with every problem there is.
    """
    findings = Findings()
    strong = [sources.flags(flags or {}), sources.environment(environ, findings)]
    if dotenv_path and dotenv_path.is_file():
        strong.append(sources.dotenv(dotenv_path, environ, findings))
    given = _merged(strong)
    file = TomlFile({}, {}, "")
    if path := _toml_path(given, toml_path):
        file = toml_file.read(path, findings)
    loaded = _built(_merged([given, file.layer]), file, findings)
    if findings.problems:
        raise SettingsError(tuple(findings.problems))
    return loaded


def discover(folder: Path, *, env_file: Path | None = None) -> dict[str, Path]:
    """The files to pass to `load`: `env_file`, else `.env`, and `emailhub.toml`, in `folder`."""
    return {"dotenv_path": env_file or folder / ".env", "toml_path": folder / "emailhub.toml"}


def _merged(layers: list[Layer]) -> Layer:
    """Strongest first in, strongest wins."""
    merged: Layer = {}
    for layer in reversed(layers):
        merged.update(layer)
    return merged


def _toml_path(given: Layer, fallback: Path | None) -> Path | None:
    named = given.get("config")
    if named and isinstance(named.raw, str):
        path = Path(named.raw)
        return path if path.is_file() else None  # that it is missing is told with the setting itself
    return fallback if fallback and fallback.is_file() else None


def _built(given: Layer, file: TomlFile, findings: Findings) -> Loaded:
    values: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for name, item in given.items():
        if item.raw is None:
            continue
        origin[name] = item.source
        _parse(fields()[name], item, values, findings)
    if values.get("smtp_tls") == "implicit" and "smtp_port" not in origin:
        values["smtp_port"] = 465
    flat = Settings(**values)
    listed = rows.read(file, flat, findings)
    settings = msgspec.structs.replace(flat, **listed.values())
    table_rules.check(listed, settings, findings)
    rules.check(rules.View(settings, origin, sorted(findings.foreign_smtp)), findings)
    return Loaded(settings, {**_sources(origin), **listed.sources()}, tuple(findings.warnings))


def _parse(field: Field, given: Given, values: dict[str, Any], findings: Findings) -> None:
    kind = field.doc.kind
    assert given.raw is not None
    try:
        values[field.attribute] = kind.parse(given.raw)
    except ValueError as error:
        findings.problem(field.variable, given.source, kind.complaint(given.raw, error), breaks=field.attribute)


def _sources(origin: Mapping[str, str]) -> dict[str, str]:
    return {field.variable: origin.get(name, DEFAULT) for name, field in fields().items()}
