"""Long strings are lifted out of a JSON body before it is parsed, and put back into what the parser made.

A parser takes a string in one go, and for one of 25 MiB no other thread runs meanwhile, the event loop included. What
is left of the body is small. Only a string behind the name of a text or a file's content is lifted, and only when
nothing in it is what a parser would refuse.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable

from emailhub.core.slices import text_of

LONG = 64 * 1024
"""Bytes from which a string is worth it."""

_SLICE = 512 * 1024
_NAMES = ("content", "text", "html", "body")
_NAME = re.compile(rb'"(content|text|html|body)"')
_LONGEST = len('"content"')
_OPENING = re.compile(rb'[ \t\r\n]*:[ \t\r\n]*"')
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
# How some libraries write a slash, and the ends of lines, all of which mean nothing in base64 but the slash itself.
_ESCAPES = ((b"\\/", b"/"), (b"\\n", b""), (b"\\r", b""))
# What a string may hold; the two halves of a surrogate pair are not parted.
_TEXT = re.compile(
    rb"(?:[^\"\\\x00-\x1f]++|\\[\"\\/bfnrt]|\\u(?![dD][89a-fA-F])[0-9a-fA-F]{4}"
    rb"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})*+"
)
_ESCAPE = len("\\ud83d\\ude00")
"""Bytes of the longest escape, which is left for the next slice when it does not fit."""
_unescaped = json.JSONDecoder().decode
_MARK = "\ue000lifted "


class NotPutBackError(ValueError):
    """A lifted string was not found again: the body is to be parsed as it is."""


def lifted(body: bytes) -> tuple[bytes, dict[str, str]]:
    """`body` with marks in the place of long strings, and the string for each mark."""
    pieces: list[bytes] = []
    strings: dict[str, str] = {}
    copied, name = 0, _named(body, 0)
    while name is not None:
        opening = _OPENING.match(body, name.end())
        # After a name in quotes and a colon, a quote opens a string.
        found = _string(body, opening.end(), name[1]) if opening else None
        at = name.end()
        if opening and found is not None:
            text, at = found
            mark = f"{_MARK}{len(strings)}"
            strings[mark] = text
            pieces += (body[copied : opening.end()], mark.encode())
            copied = at
        name = _named(body, at)
    return (b"".join((*pieces, body[copied:])), strings) if strings else (body, strings)


def _named(body: bytes, start: int) -> re.Match[bytes] | None:
    """Where a name comes next, None when none does; during a look at the whole body no other thread would run."""
    for begin in range(start, len(body), _SLICE):
        if found := _NAME.search(body, begin, begin + _SLICE + _LONGEST - 1):
            return found
    return None


def decode(text: str, strings: dict[str, str], decoder: Callable[..., json.JSONDecoder]) -> object:
    """What `decoder`, given the hook to make objects, makes of `text`, with `strings` in the place of their marks.

    Raises NotPutBackError, and what the decoder raises.
    """
    left = set(strings)

    def put_back(found: dict[str, object]) -> dict[str, object]:
        for name in _NAMES:
            mark = found.get(name)
            if isinstance(mark, str) and mark in strings:
                found[name] = strings[mark]
                left.discard(mark)
        return found

    document = decoder(put_back).decode(text)
    if left:
        raise NotPutBackError
    return document


def _string(body: bytes, start: int, name: bytes) -> tuple[str, int] | None:
    """The string that begins at `start` and where it ends; None when it is short or not to be lifted."""
    if name != b"content":
        return _text(body, start)
    # Base64 has no quote inside.
    end = body.find(b'"', start)
    found = _base64(body, start, end) if end - start > LONG else None
    return None if found is None else (found, end)


def _text(body: bytes, start: int) -> tuple[str, int] | None:
    """Any string, without its escapes."""
    beginning = _TEXT.match(body, start, start + LONG)
    if beginning is None or beginning.end() < start + LONG - _ESCAPE:
        return None
    decoder = codecs.getincrementaldecoder("utf-8")()
    parts, at = [], start
    try:
        while (found := _TEXT.match(body, at, at + _SLICE)) and found[0]:
            at = found.end()
            parts.append(_unescaped(f'"{decoder.decode(found[0])}"'))
        decoder.decode(b"", final=True)
    except ValueError:
        return None
    return (text_of(parts), at) if body[at : at + 1] == b'"' else None


def _base64(body: bytes, start: int, end: int) -> str | None:
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
    return text_of(parts)
