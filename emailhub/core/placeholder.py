"""Filling `{{name}}` in a text that came with its values. No logic: whoever needs that renders before sending."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape

LARGEST = 16 * 1024 * 1024
"""Characters a filled text may have: a short text full of placeholders and one long value would fill the memory."""
_PLACEHOLDER = re.compile(r"\{\{\{?([^{}]*)\}?\}\}|\{%")
_NAME = re.compile(r"\s*\.?([A-Za-z_][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)*)\s*")


class UnfillableError(ValueError):
    """The text asks for more than simple values, or grows beyond LARGEST; the text of the error says what."""


def fill(template: str, values: Mapping[str, object], *, html: bool) -> str:
    """`template` with every `{{name}}`, `{{ a.b }}`, `{{.Name}}` and `{{{name}}}` replaced by its value.

    A missing value, null, a list or an object becomes "". With `html` every value is escaped. Raises UnfillableError
    for blocks, filters and expressions: half-filled mail must not leave.
    """
    parts: list[str] = []
    size = end = 0
    for found in _PLACEHOLDER.finditer(template):
        parts += (template[end : found.start()], _value(found, values, html))
        size += len(parts[-1]) + len(parts[-2])
        if size > LARGEST:
            raise UnfillableError(f"filled with its variables it is longer than {LARGEST} characters")
        end = found.end()
    parts.append(template[end:])
    return "".join(parts)


def _value(found: re.Match[str], values: Mapping[str, object], html: bool) -> str:
    name = _NAME.fullmatch(found[1] or "")
    if not name:
        shown = "".join(char for char in found[0][:40] if char.isprintable())
        raise UnfillableError(f"has {shown}, but only plain variables such as {{{{name}}}} can be filled in")
    value = _text(_look_up(name[1], values))
    return escape(value) if html else value


def _look_up(path: str, values: Mapping[str, object]) -> object:
    if path in values:
        return values[path]
    found: object = values
    for step in path.split("."):
        found = found.get(step) if isinstance(found, Mapping) else None
    return found


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (str, int, float)) else ""
