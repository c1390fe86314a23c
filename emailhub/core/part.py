"""A file as a part of a message: its headers, and its bytes in lines of base64 (RFC 2045, RFC 2183, RFC 2392)."""

from __future__ import annotations

from binascii import b2a_base64

from emailhub.core import header
from emailhub.core.media import type_of
from emailhub.core.message import Attachment

_LINES = 8192
"""Lines encoded at once: about half a megabyte. One call for all would stall the event loop from any thread."""
_LINE = 57
"""Bytes that make a line of 76 characters."""
_GUESSED = 64 * 1024
"""Bytes of a text that are looked at to tell whether it is in UTF-8."""


def attached(file: Attachment) -> list[bytes]:
    """The part, in pieces, of a file that mail programs list."""
    return _part(file, "attachment")


def inline(file: Attachment) -> list[bytes]:
    """The part of a file that the html shows in its place."""
    return _part(file, "inline")


def base64(content: bytes) -> list[bytes]:
    """`content` in lines of 76 characters, each with its CRLF, in pieces."""
    step = _LINES * _LINE
    return [_lines(content[at : at + step]) for at in range(0, len(content), step)]


def _lines(content: bytes) -> bytes:
    code = b2a_base64(content, newline=False)
    return b"\r\n".join([code[at : at + 76] for at in range(0, len(code), 76)]) + b"\r\n"


def _part(file: Attachment, disposition: str) -> list[bytes]:
    name = file.filename
    head = f"Content-Type: {_type(file)}"
    head += header.parameter("name", name, words=True) if name else ""
    head += f"\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: {disposition}"
    head += header.parameter("filename", name) if name else ""
    head += f"\r\nContent-ID: <{file.content_id}>" if file.content_id else ""
    return [f"{head}\r\n\r\n".encode(), *(base64(file.content) or [b"\r\n"])]


def _type(file: Attachment) -> str:
    kind = file.content_type or type_of(file.filename)
    if not kind.startswith("text/") or "charset=" in kind:
        return kind
    # Without a charset a text is ASCII by the standard, and its umlauts are guessed at.
    return f"{kind}; charset=utf-8" if _is_utf8(file.content[:_GUESSED]) else kind


def _is_utf8(beginning: bytes) -> bool:
    try:
        beginning.decode()
    except UnicodeDecodeError as error:
        # A character that the cut goes through is no fault.
        return len(beginning) == _GUESSED and error.start > _GUESSED - 4
    return True
