"""Long base64 strings are lifted out of a JSON body before it is parsed, and put back into what the parser made.

A parser takes a string in one go, and for one of 25 MiB no other thread runs meanwhile, the event loop included. What
is left of the body is small. Only a string behind the name `content` is lifted, and only when it is base64: so nothing
that a parser would refuse is let through.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

LONG = 64 * 1024
"""Bytes from which a string is worth it."""

_SLICE = 512 * 1024
_NAME = b'"content"'
_OPENING = re.compile(rb'[ \t\r\n]*:[ \t\r\n]*"')
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
# How some libraries write a slash, and the ends of lines, all of which mean nothing in base64 but the slash itself.
_ESCAPES = ((b"\\/", b"/"), (b"\\n", b""), (b"\\r", b""))
_MARK = "\ue000lifted "


class NotPutBackError(ValueError):
    """A lifted string was not found again: the body is to be parsed as it is."""


def lifted(body: bytes) -> tuple[bytes, dict[str, str]]:
    """`body` with marks in the place of long strings, and the string for each mark."""
    pieces: list[bytes] = []
    strings: dict[str, str] = {}
    copied, at = 0, _named(body, 0)
    while at >= 0:
        opening = _OPENING.match(body, at + len(_NAME))
        # After a name in quotes and a colon, a quote opens a string; the next one closes it, as base64 has none inside.
        end = body.find(b'"', opening.end()) if opening else -1
        found = _text(body, opening.end(), end) if opening and end - opening.end() > LONG else None
        if opening and found is not None:
            mark = f"{_MARK}{len(strings)}"
            strings[mark] = found
            pieces += (body[copied : opening.end()], mark.encode())
            copied = end
        at = _named(body, end if found is not None else at + len(_NAME))
    return (b"".join((*pieces, body[copied:])), strings) if strings else (body, strings)


def _named(body: bytes, start: int) -> int:
    """Where the name comes next, -1 when it does not; during a look at the whole body no other thread would run."""
    for begin in range(start, len(body), _SLICE):
        at = body.find(_NAME, begin, begin + _SLICE + len(_NAME) - 1)
        if at >= 0:
            return at
    return -1


def decode(text: str, strings: dict[str, str], decoder: Callable[..., json.JSONDecoder]) -> object:
    """What `decoder`, given the hook to make objects, makes of `text`, with `strings` in the place of their marks.

    Raises NotPutBackError, and what the decoder raises.
    """
    left = set(strings)

    def put_back(found: dict[str, object]) -> dict[str, object]:
        mark = found.get("content")
        if isinstance(mark, str) and mark in strings:
            found["content"] = strings[mark]
            left.discard(mark)
        return found

    document = decoder(put_back).decode(text)
    if left:
        raise NotPutBackError
    return document


def _text(body: bytes, start: int, end: int) -> str | None:
    """The base64 between `start` and `end` without its escapes, None when it is anything else."""
    parts = []
    while start < end:
        stop = min(start + _SLICE, end)
        if body[stop - 1 : stop] == b"\\":
            stop += 1
        part = body[start:stop]
        if b"\\" in part:
            for escape, meaning in _ESCAPES:
                part = part.replace(escape, meaning)
        if part.translate(None, _BASE64):
            return None
        parts.append(part.decode())
        start = stop
    return "".join(parts)
