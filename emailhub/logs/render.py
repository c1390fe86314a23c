"""One event as one line: JSON for machines, a short aligned text for people."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import msgspec

from emailhub.logs.redact import Plain

_RESERVED = frozenset({"time", "level", "component", "event", "exception"})
_LONGEST_LINE = 16_384
_LONGEST_TRACE = 16_384
_LONGEST_VALUE = 4_096
_LEVELS = frozenset({logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL})
_COLOURS = {"debug": "2", "info": "32", "warning": "33", "error": "31", "critical": "31;1"}
_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:@/+<>*,()…")


_encode = msgspec.json.Encoder().encode


class Entry(NamedTuple):
    """What a line says: already clean of secrets. `at` is unix seconds, `exception` a traceback or empty."""

    at: float
    level: int
    component: str
    event: str
    fields: Mapping[str, Plain]
    exception: str = ""


@lru_cache(maxsize=64)
def level_name(level: int) -> str:
    """debug, info, warning, error or critical."""
    return logging.getLevelName(level).lower() if level in _LEVELS else str(level)


def as_json(entry: Entry) -> str:
    """One JSON object: time (RFC 3339, UTC), level, component, event, then the fields; always one line."""
    document: dict[str, Plain] = {
        "time": _stamp(entry.at, "%Y-%m-%dT%H:%M:%S", "Z"),
        "level": level_name(entry.level),
        "component": entry.component,
        "event": _short(entry.event),
    }
    for name, value in entry.fields.items():
        document[f"{name}_" if name in _RESERVED else name] = _short(value) if isinstance(value, str) else value
    if entry.exception:
        document["exception"] = _tail(entry.exception)
    line = _encode(document).decode()
    if len(line) > _LONGEST_LINE + _LONGEST_TRACE:
        return as_json(entry._replace(fields=_cut(line)))
    # JSON lets DEL, U+0085, U+2028 and marks of direction stand as they are; to some readers of logs they end a line.
    plain = line.isascii() and "\x7f" not in line  # looking at each character takes a hundred times as long
    return line if plain or line.isprintable() else "".join(map(_in_json, line))


def as_console(entry: Entry, *, colour: bool = False) -> str:
    """`12:34:56.789 INFO    courier   sent  message_id=…`, times in UTC; a traceback follows indented."""
    level = level_name(entry.level)
    label = _coloured(f"{level.upper():<7}", _COLOURS.get(level, ""), colour)
    parts = [
        _stamp(entry.at, "%H:%M:%S", ""),
        label,
        f"{entry.component:<9}",
        _coloured(_printable(_short(entry.event)), "1", colour),
    ]
    parts += [f"{_coloured(f'{name}=', '2', colour)}{_value(value)}" for name, value in entry.fields.items()]
    line = " ".join(parts)[:_LONGEST_LINE]
    if not entry.exception:
        return line
    trace = "\n".join(f"    {_printable(row)}" for row in _tail(entry.exception).splitlines())
    return f"{line}\n{trace}"


def _stamp(at: float, pattern: str, zone: str) -> str:
    milliseconds = int(at * 1000)
    return f"{_second(milliseconds // 1000, pattern)}.{milliseconds % 1000:03d}{zone}"


@lru_cache(maxsize=4)
def _second(at: int, pattern: str) -> str:
    return time.strftime(pattern, time.gmtime(at))


def _coloured(text: str, code: str, colour: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if colour and code else text


def _value(value: Plain) -> str:
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, str):
        short = _short(value)
        return short if short and _BARE.issuperset(short) else _quoted(short)
    if isinstance(value, float):
        return f"{value:g}" if abs(value) < 1e6 else f"{value:.3f}"
    return str(value) if isinstance(value, int) else _printable(json.dumps(value, ensure_ascii=False))[:_LONGEST_VALUE]


def _quoted(text: str) -> str:
    return _printable(json.dumps(text, ensure_ascii=False))


def _printable(text: str) -> str:
    """`text` on one line, with everything that could move a cursor or forge a line written as an escape."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def _in_json(char: str) -> str:
    return char if char.isprintable() else json.dumps(char)[1:-1]


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode()


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"


def _tail(trace: str) -> str:
    """The end of a traceback: where it happened and why."""
    return trace if len(trace) <= _LONGEST_TRACE else f"…{trace[-_LONGEST_TRACE:]}"


def _cut(line: str) -> Mapping[str, Plain]:
    return {"too_long": len(line), "begins": line[:_LONGEST_VALUE]}
