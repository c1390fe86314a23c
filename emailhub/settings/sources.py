"""Where settings come from: a TOML file, `.env`, the environment and flags. Reads them; judges only names."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

from dotenv.parser import parse_stream

from emailhub.settings import kinds
from emailhub.settings.catalog import PREFIX, Field, by_variable, fields
from emailhub.settings.findings import Findings
from emailhub.settings.kinds import Raw

ENVIRONMENT = "environment"
DOTENV = ".env"
FILE = "_FILE"

_INJECTED = re.compile(r"_SERVICE_(HOST|PORT)(_\w+)?$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$")
_INJECTED_PORT = re.compile(r"(tcp|udp|sctp)://")
_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::-(?P<default>[^}]*))?\}")
_LOOKALIKES = {
    "SMTP_SERVER": "SMTP_HOST",
    "SMTP_HOSTNAME": "SMTP_HOST",
    "SMTP_USERNAME": "SMTP_USER",
    "SMTP_PASSWORD": "SMTP_PASS",
    "SMTP_FROM": "EMAIL_FROM",
    "MAIL_FROM": "EMAIL_FROM",
    "FROM_EMAIL": "EMAIL_FROM",
    "AMQP_URL": "RABBITMQ_URL",
    "RABBIT_URL": "RABBITMQ_URL",
    "RABBITMQ_URI": "RABBITMQ_URL",
    "CLOUDAMQP_URL": "RABBITMQ_URL",
}


class Given(NamedTuple):
    """A value as a source gives it; `raw` is None when the source says "not set", which hides weaker sources."""

    raw: Raw | None
    source: str


Layer = dict[str, Given]
"""What one source says, by attribute."""


def environment(environ: Mapping[str, str], findings: Findings) -> Layer:
    """The settings among `environ`, without what Kubernetes puts there for a service of the same name."""
    injected = {name for name, value in environ.items() if _is_injected(name, value)}
    if ours := sorted(name for name in injected if name.startswith(PREFIX) or name in by_variable()):
        findings.warn(
            f"ignored {', '.join(ours)}: Kubernetes sets these for a service of that name. "
            "`enableServiceLinks: false` in the pod stops it."
        )
    return _named({name: value for name, value in environ.items() if name not in injected}, ENVIRONMENT, findings)


def dotenv(path: Path, environ: Mapping[str, str], findings: Findings) -> Layer:
    """The settings in the file at `path`; `${NAME}` and `${NAME:-default}` come from `environ` or earlier lines."""
    text = _read(path, DOTENV, findings)
    if text is None:
        return {}
    values: dict[str, str] = {}
    for binding in parse_stream(StringIO(text)):
        place = f"{path}, line {binding.original.line}"
        if binding.error:
            findings.problem(DOTENV, place, "expected NAME=value, with the value in quotes when it has spaces or #")
        elif binding.key and binding.value is not None:
            values[binding.key] = _filled(binding.key, binding.value, {**values, **environ}, place, findings)
    return _named(values, DOTENV, findings)


def toml(path: Path, findings: Findings) -> Layer:
    """The settings in the TOML file at `path`: flat keys, or tables whose name begins the keys (`[smtp] host`)."""
    source = f"file {path.name}"
    text = _read(path, source, findings)
    if text is None:
        return {}
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        findings.problem(str(path), "", f"not TOML: {error}")
        return {}
    layer: Layer = {}
    for key, name, value in _flat(document, ()):
        _toml_value(key, name, value, source, layer, findings)
    return layer


def flags(values: Mapping[str, str | None]) -> Layer:
    """What the command line says, by attribute; None is a flag that was not given."""
    return {
        name: Given(value, f"flag --{name.replace('_', '-')}") for name, value in values.items() if value is not None
    }


def _is_injected(name: str, value: str) -> bool:
    if name in by_variable():
        return name.endswith("_PORT") and bool(_INJECTED_PORT.match(value))
    return bool(_INJECTED.search(name)) or (name.endswith("_PORT") and bool(_INJECTED_PORT.match(value)))


def _named(values: Mapping[str, str], source: str, findings: Findings) -> Layer:
    layer: Layer = {}
    for variable, field in by_variable().items():
        given = _one(field, values.get(variable), values.get(variable + FILE), source, findings)
        if given:
            layer[field.attribute] = given
    for name in sorted(values):
        _foreign(name, values, source, findings)
    return layer


def _foreign(name: str, values: Mapping[str, str], source: str, findings: Findings) -> None:
    """Say what is to be said about a name that is no setting."""
    if not values[name] or name.removesuffix(FILE) in by_variable():
        return
    if name.startswith(PREFIX):
        findings.problem(name, source, f"there is no such setting.{_suggestion(name)}")
    elif name in _LOOKALIKES and not values.get(_LOOKALIKES[name]):
        findings.warn(f"{name} is set ({source}) but emailhub reads {_LOOKALIKES[name]}")
    if name.startswith("SMTP_"):
        findings.foreign_smtp.add(name)


def _one(field: Field, value: str | None, path: str | None, source: str, findings: Findings) -> Given | None:
    if value and path:
        text = f"{field.variable} and {field.variable}{FILE} are both set; remove one of them"
        findings.problem(field.variable, source, text, breaks=field.attribute)
        return None
    if path:
        return _from_file(field, Path(path), source, findings)
    if value is None:
        return None
    trimmed = value.strip()
    return Given((value if field.doc.kind.secret else trimmed) if trimmed else None, source)


def _from_file(field: Field, path: Path, source: str, findings: Findings) -> Given | None:
    variable = field.variable + FILE
    text = _read(path, source, findings, variable=variable)
    if text is None:
        findings.broken.add(field.attribute)
        return None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        findings.problem(variable, source, f"the file {path} is empty", breaks=field.attribute)
    return Given(text or None, f"{source}, file {path}")


def _read(path: Path, source: str, findings: Findings, *, variable: str | None = None) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        reason = "is not UTF-8 text"
    except OSError as error:
        reason = f"cannot be read: {error.strerror or error}"
    findings.problem(variable or str(path), source, f"the file {path} {reason}")
    return None


def _filled(key: str, value: str, known: Mapping[str, str], place: str, findings: Findings) -> str:
    def fill(match: re.Match[str]) -> str:
        found = known.get(match["name"]) or match["default"]
        if found is None:
            findings.problem(key, place, f"it uses ${{{match['name']}}}, which is not set")
        return found or ""

    return _VARIABLE.sub(fill, value)


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


def _toml_value(key: str, name: str, value: Any, source: str, layer: Layer, findings: Findings) -> None:
    plain = name.removesuffix(FILE.lower())
    field = fields().get(name) or fields().get(plain)
    if field is None or field.attribute == "config":
        findings.problem(key, source, f"there is no such setting in a TOML file.{_suggestion(name)}")
        return
    if field.attribute in layer:
        findings.problem(key, source, f"it sets {field.variable} a second time", breaks=field.attribute)
        return
    raw = _as_raw(value)
    given = Given(raw or None, source)
    if field.attribute != name and isinstance(raw, str):
        given = _from_file(field, Path(raw), source, findings) or Given(None, source)
    layer[field.attribute] = given


def _as_raw(value: Any) -> Raw:
    """A TOML value as the parsers know it: numbers and booleans become the text one would write in `.env`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return [str(item) for item in value]
    return value if isinstance(value, str | dict) else str(value)


def _suggestion(name: str) -> str:
    """Compares without the prefix, which would make every name look like every other."""
    wanted = name.upper().removeprefix(PREFIX)
    close = difflib.get_close_matches(wanted, [attribute.upper() for attribute in fields()], n=1, cutoff=0.7)
    if not close:
        return " `emailhub config` lists them all."
    return f" Did you mean {fields()[close[0].lower()].variable}?"
