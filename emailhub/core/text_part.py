"""A text as a part of a message: its line ends, its encoding and its bytes (RFC 2045 §6, RFC 5322 §2.1).

A long one is worked on in slices: while one is converted or searched in one go, no other thread runs.
"""

from __future__ import annotations

import re
from binascii import a2b_qp, b2a_qp
from collections.abc import Iterator

from emailhub.core.header import HARD
from emailhub.core.part import base64
from emailhub.core.slices import SLICE, slices

_PLAIN = bytes(range(0x20, 0x7F)) + b"\r\n\t"
# Quoted-printable spends three characters on any other byte.
_QP_PLAIN = _PLAIN.replace(b"=", b"")
# The standard library encodes white space at the end of a line without counting it: 77 characters (RFC 2045: 76).
_TOO_LONG = re.compile(rb"(?<=\n)([^\r\n]{74})(=20|=09)(?=\r\n)")
_QP_SLICE = 256 * 1024
"""Bytes of a text that are encoded at once; more than a line has."""
_FROM = b"\nFrom "


def text_part(subtype: str, text: str, boundary: str) -> list[bytes]:
    """The part text/`subtype`, in pieces; `boundary` is what no line of it may hold."""
    encoding, body = _encoded(_crlf(text), boundary.encode())
    head = f"Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    return [head.encode(), body]


def _crlf(text: str) -> bytes:
    """`text` in UTF-8 with CRLF at the end of every line, the last one included."""
    if len(text) <= SLICE:
        normal = _normal(text)
        return (normal if normal.endswith("\r\n") else f"{normal}\r\n").encode()
    pieces, held = [], ""
    for piece in slices(text):
        # The line feed that belongs to it may begin the next slice.
        whole, held = held + piece, "\r" if piece.endswith("\r") else ""
        pieces.append(_normal(whole.removesuffix(held)).encode())
    if held or not pieces[-1].endswith(b"\r\n"):
        pieces.append(b"\r\n")
    return b"".join(pieces)


def _normal(text: str) -> str:
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.replace("\n", "\r\n")


def _encoded(raw: bytes, boundary: bytes) -> tuple[str, bytes]:
    """7bit when that is safe as it is, otherwise the smaller of quoted-printable and base64."""
    if _goes_as_it_is(raw, boundary):
        return "7bit", raw
    costly = sum(len(piece.translate(None, _QP_PLAIN)) for piece in _pieces(raw))
    if len(raw) + 2 * costly <= len(raw) * 4 / 3:
        return "quoted-printable", _quoted_printable(raw)
    return "base64", b"".join(base64(raw))


def _goes_as_it_is(raw: bytes, boundary: bytes) -> bool:
    # A line that begins with "From " gets a ">" in front of it in many mailboxes (RFC 4155).
    if raw.startswith(_FROM[1:]):
        return False
    if any(_is_unsafe(piece, boundary) for piece in _pieces(raw, max(len(boundary), len(_FROM)) - 1)):
        return False
    return not _has_long_line(raw)


def _is_unsafe(piece: bytes, boundary: bytes) -> bool:
    # Controls are legal in 7bit, but some servers drop or change them; a NUL is not legal.
    return not piece.isascii() or bool(piece.translate(None, _PLAIN)) or boundary in piece or _FROM in piece


def _pieces(raw: bytes, further: int = 0) -> Iterator[bytes]:
    """The slices of `raw`, each with the `further` bytes that follow it."""
    for start in range(0, len(raw), SLICE):
        yield raw[start : start + SLICE + further] if len(raw) > SLICE else raw


def _has_long_line(raw: bytes) -> bool:
    """Whether a line of CRLF-ended `raw` is too long for SMTP; looks only where lines may end, so it costs little."""
    start = 0
    while len(raw) - start > HARD:
        end = raw.rfind(b"\n", start, start + HARD + 2)
        if end < 0:
            return True
        start = end + 1
    return False


def _quoted_printable(raw: bytes) -> bytes:
    """`raw` with CRLF line ends encoded; a large one in slices, since one call would stall the event loop."""
    pieces, start = [], 0
    while start < len(raw):
        code, used = _quoted(raw[start : start + _QP_SLICE], last=start + _QP_SLICE >= len(raw))
        pieces.append(code)
        start += used
    return b"".join(pieces)


def _quoted(raw: bytes, *, last: bool) -> tuple[bytes, int]:
    """The beginning of `raw` encoded up to the end of a line, and its bytes; all of it when it is the `last` slice."""
    if last:
        return _finished(b2a_qp(raw)), len(raw)
    # Without a line end in it the encoder would break lines by a bare line feed.
    code = b2a_qp(raw + b"\r\n")[:-2]
    end = code.rfind(b"\n") + 1
    return _finished(code[:end]), len(raw) - len(a2b_qp(code[end:]))


def _finished(code: bytes) -> bytes:
    # Also a soft-broken line may begin with "From "; the soft break keeps the line within 76 characters. A boundary
    # begins with "=_", which this encoding never writes.
    code = b"\r\n" + code
    if b"=20\r\n" in code or b"=09\r\n" in code:
        code = _TOO_LONG.sub(rb"\1=\r\n\2", code)
    return code.replace(b"\r\nFrom ", b"\r\n=46=\r\nrom ")[2:]
