"""Where settings come from: `.env`, the environment and flags. Reads them; judges only names."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from io import StringIO
from pathlib import Path
from typing import NamedTuple

from dotenv.parser import parse_stream

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
    text = read_text(path, DOTENV, findings)
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
        findings.problem(name, source, f"there is no such setting.{suggestion(name)}")
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
        return from_file(field, Path(path), source, findings)
    if value is None:
        return None
    trimmed = value.strip()
    return Given((value if field.doc.kind.secret else trimmed) if trimmed else None, source)


def from_file(field: Field, path: Path, source: str, findings: Findings) -> Given | None:
    """The value of `field` that the file at `path` holds, without the line's end; None when it cannot be used."""
    text = secret_text(field.variable + FILE, path, source, findings)
    if text is None:
        findings.broken.add(field.attribute)
        return None
    return Given(text, f"{source}, file {path}")


def secret_text(variable: str, path: Path, source: str, findings: Findings) -> str | None:
    """The text of the file at `path`, which `variable` names, without the line's end; None is told as a problem."""
    text = read_text(path, source, findings, variable=variable)
    if text is None:
        return None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        findings.problem(variable, source, f"the file {path} is empty")
        return None
    return text


def read_text(path: Path, source: str, findings: Findings, *, variable: str | None = None) -> str | None:
    """The text of the file at `path`; None when it cannot be read, which is told as a problem of `variable`."""
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


def suggestion(name: str) -> str:
    """What to add where `name` is no setting. Compares without the prefix, which makes all names look alike."""
    close = did_you_mean(name.lower().removeprefix(PREFIX.lower()), fields())
    if close is None:
        return " `emailhub config` lists them all."
    return f" Did you mean {fields()[close].variable}?"


def did_you_mean(name: str, names: Iterable[str]) -> str | None:
    """The one of `names` that `name` looks like, if any."""
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.7)
    return close[0] if close else None
