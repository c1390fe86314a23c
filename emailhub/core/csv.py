"""Comma-separated values (RFC 4180) in which a spreadsheet finds text and nothing to compute."""

from __future__ import annotations

from collections.abc import Iterable

_STARTS = "=+-@\t\r\n＝＋－＠"
"""Also the full-width forms: some spreadsheets read them like the plain ones."""
_QUOTED = '",;\t\r\n'
"""Also what parts cells where commas are decimal points: `a;=1+1` would be two cells there, the second a formula."""


def line(values: Iterable[str]) -> str:
    """One record with its line end.

    What a spreadsheet would read as a formula gets an apostrophe in front, which makes it text there: values come from
    senders, and `=HYPERLINK(…)` in a subject would run on the machine of whoever opens the file.
    """
    return ",".join(map(_cell, values)) + "\r\n"


def _cell(value: str) -> str:
    text = f"'{value}" if value.lstrip(" ").startswith(tuple(_STARTS)) else value
    return '"' + text.replace('"', '""') + '"' if any(one in text for one in _QUOTED) else text
