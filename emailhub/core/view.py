"""A message's bytes, whatever they are, taken apart to be shown: its text, its html and its files.

The standard library's parser goes line by line and takes a second for 25 MiB. So it is spared the base64 of large
parts, which is looked up in the message when it is asked for.
"""

from __future__ import annotations

import re
from binascii import a2b_base64, a2b_qp
from email.message import Message
from email.parser import BytesParser
from email.policy import compat32
from email.utils import getaddresses

from msgspec import Struct

from emailhub.core.message import Mailbox

_ENCODED_WORD = re.compile(r"=\?([^?\s]{1,40})\?([bBqQ])\?([^?\s]*)\?=")
_BETWEEN_WORDS = re.compile(r"(?<=\?=)\s+(?==\?)")
_BASE64 = b"\r\nContent-Transfer-Encoding: base64\r\n"
_LARGE = 64 * 1024
"""Bytes of base64 that the parser is spared."""
# No base64 has these characters, so no part can pretend to be another one.
_SPARED = re.compile(r"\*(\d{1,18})-(\d{1,18})\*\s*")
_LINE = 78
_LINES = 8192
"""Lines of base64 decoded at once: one call for all would stall the event loop from any thread."""


class File(Struct, frozen=True):
    """A part that is not the message's text: its `name` as given or "", MIME `type`, decoded `size` in bytes.

    `inline`: the html shows it in its place, by its `content_id`.
    """

    name: str
    type: str
    size: int
    content_id: str = ""
    inline: bool = False


class View(Struct, frozen=True):
    """A message as a mail program would show it: decoded `headers` in order, `text` and `html` None when absent.

    `reply_to` is read apart: in a decoded header a comma or an angle bracket of a name looks like one of the syntax.
    """

    headers: tuple[tuple[str, str], ...]
    text: str | None
    html: str | None
    files: tuple[File, ...]
    reply_to: tuple[Mailbox, ...] = ()


def read(content: bytes) -> View:
    """What `content` says. Never raises for bad content: what cannot be decoded shows replacement characters."""
    return Apart(content).view()


class Apart:
    """A message taken apart. Never raises for bad content."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._message: Message | None = None
        leaves: list[Message] = []
        try:
            self._message = BytesParser(policy=compat32).parsebytes(_spared(content))
            leaves = [part for part in self._message.walk() if not part.is_multipart()]
        except (RecursionError, ValueError, LookupError, AttributeError):
            self._message = None
        self._text, self._html = _first(leaves, "text/plain"), _first(leaves, "text/html")
        self._rest = [part for part in leaves if part is not self._text and part is not self._html]

    def view(self) -> View:
        """All of it but the bytes of its files."""
        if self._message is None:
            return View((), self._content.decode(errors="replace"), None, ())
        raw = list(self._message.raw_items())
        headers = tuple((name, _decoded(value)) for name, value in raw)
        replies = getaddresses([value for name, value in raw if name.lower() == "reply-to"])
        reply_to = tuple(Mailbox(_decoded(address), _decoded(name)) for name, address in replies if address)
        files = tuple(self._file(part) for part in self._rest)
        return View(headers, self._words(self._text), self._words(self._html), files, reply_to)

    def opened(self, number: int) -> bytes:
        """The bytes of the file that has this number in the view, from 0. Raises IndexError when there is none."""
        if number < 0:
            raise IndexError(number)
        return self._bytes(self._rest[number])

    def _file(self, part: Message) -> File:
        content_id = _decoded(str(part.get("Content-ID", ""))).strip().removeprefix("<").removesuffix(">")
        inline = bool(content_id) and part.get_content_disposition() != "attachment"
        return File(_decoded(part.get_filename("")), part.get_content_type(), self._size(part), content_id, inline)

    def _words(self, part: Message | None) -> str | None:
        if part is None:
            return None
        content = self._bytes(part)
        try:
            text = content.decode(part.get_content_charset("utf-8"), errors="replace")
        except (LookupError, ValueError):
            text = content.decode(errors="replace")
        return text.replace("\r\n", "\n")

    def _size(self, part: Message) -> int:
        span = self._span(part)
        if span is None:
            return len(self._bytes(part))
        start, end = span
        code = end - start - self._content.count(b"\r", start, end) - self._content.count(b"\n", start, end)
        return code // 4 * 3 - self._content.count(b"=", end - 6, end)

    def _bytes(self, part: Message) -> bytes:
        span = self._span(part)
        if span is None:
            payload = part.get_payload(decode=True)
            return payload if isinstance(payload, bytes) else b""
        start, end = span
        step = _LINE * _LINES if self._content[start + _LINE - 2 : start + _LINE] == b"\r\n" else end - start
        try:
            return b"".join([a2b_base64(self._content[at : min(at + step, end)]) for at in range(start, end, step)])
        except ValueError:
            return b""

    def _span(self, part: Message) -> tuple[int, int] | None:
        """Where the base64 of a part stands that the parser was spared."""
        payload = part.get_payload()
        found = _SPARED.fullmatch(payload) if isinstance(payload, str) and len(payload) < _LINE else None
        if found is None or "base64" not in str(part.get("Content-Transfer-Encoding", "")):
            return None
        start, end = int(found[1]), int(found[2])
        return (start, end) if start < end <= len(self._content) else None


def _spared(content: bytes) -> bytes:
    """`content` with `*start-end*` in the place of each large base64 body, which stands there in `content`."""
    if len(content) <= _LARGE:
        return content
    pieces, copied, at = [], 0, content.find(_BASE64)
    while at >= 0:
        start = content.find(b"\r\n\r\n", at) + 4
        # No base64 has a hyphen, and a boundary begins with two. Looking for one character is the quickest there is.
        end = content.find(b"-", start) if start >= 4 else -1
        end = len(content) if end < 0 else end
        if start >= 4 and end - start > _LARGE:
            pieces += [content[copied:start], b"*%d-%d*\r\n" % (start, end)]
            copied = end
        at = content.find(_BASE64, end)
    return b"".join((*pieces, content[copied:]))


def _first(leaves: list[Message], kind: str) -> Message | None:
    return next((part for part in leaves if part.get_content_type() == kind and not _is_file(part)), None)


def _is_file(part: Message) -> bool:
    disposition = part.get_content_disposition()
    return disposition == "attachment" or (disposition == "inline" and "Content-ID" in part)


def _decoded(value: str) -> str:
    """A raw header value unfolded, its encoded words decoded (RFC 2047), its bytes read as UTF-8 (RFC 6532)."""
    line = value.replace("\r\n", "").encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return _ENCODED_WORD.sub(_word, _BETWEEN_WORDS.sub("", line)) if "=?" in line else line


def _word(found: re.Match[str]) -> str:
    charset, kind, code = found.groups()
    try:
        raw = a2b_base64(code) if kind in "bB" else a2b_qp(code, header=True)
        return raw.decode(charset.partition("*")[0], "replace")
    except (LookupError, ValueError):
        return found[0]
