"""The bytes of a message (RFC 5322, RFC 2045 to 2047): built once at acceptance.

`build` assembles them directly: the standard library's generator takes up to a hundred times as long, and its handling
of encoded words has let line breaks through.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from html import unescape

from emailhub.core import header
from emailhub.core.again import renewed
from emailhub.core.message import Again, Mailbox, Submission
from emailhub.core.part import attached, inline
from emailhub.core.text_part import text_part

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [a + b for a in _CROCKFORD for b in _CROCKFORD]
_SNIPPET = 140
_GLANCE = 240
_UNSEEN = frozenset({"style", "script", "head", "title"})


def new_id(now: float, random10: bytes) -> str:
    """A ULID: 48 bits of milliseconds of `now`, then the 80 bits of `random10`, as 26 characters that sort by time."""
    number = int(now * 1000) << 80 | int.from_bytes(random10)
    return "".join([_PAIRS[number >> shift & 1023] for shift in range(120, -1, -10)])


def message_id(id: str, sender: Mailbox) -> str:
    """The Message-ID of the message `id`, in the sender's domain, with its angle brackets."""
    return f"<{id}@{sender.address.rpartition('@')[2]}>"


def build(submission: Submission, *, sender: Mailbox, message_id: str, date: float, boundary: str) -> bytes:
    """The final bytes: CRLF line ends, 7-bit, no line over 998 octets, Bcc left out, dots not stuffed.

    `boundary` is letters and digits nobody can foresee; `date` unix seconds. An address with a non-ASCII local part is
    the one thing written in UTF-8 (RFC 6532): such a message needs an SMTPUTF8 relay anyway.
    """
    if submission.again is not None:
        return _again(submission.again, submission, [f"Date: {_date(int(date))}", f"Message-ID: {message_id}"])
    lines = [header.mailboxes("From", (sender,)), *_recipients(submission)]
    if submission.reply_to:
        lines.append(header.mailboxes("Reply-To", submission.reply_to))
    lines += (
        header.text("Subject", submission.subject),
        f"Date: {_date(int(date))}",
        f"Message-ID: {message_id}",
        "Auto-Submitted: auto-generated",
    )
    if submission.request_id:
        lines.append(header.text("X-Request-ID", submission.request_id))
    lines += [header.text(name, value) for name, value in submission.headers]
    lines.append("MIME-Version: 1.0")
    return b"".join(("\r\n".join(lines).encode(), b"\r\n", *_content(submission, boundary)))


def _again(again: Again, submission: Submission, lines: list[str]) -> bytes:
    without = [] if submission.request_id else ["X-Request-ID"]
    if again.renamed:
        lines += _recipients(submission)
        without.append("Cc")
    return renewed(again.content, lines, without)


def _recipients(submission: Submission) -> list[str]:
    lines = []
    if submission.to:
        lines.append(header.mailboxes("To", submission.to))
    if submission.cc:
        lines.append(header.mailboxes("Cc", submission.cc))
    return lines or ["To: undisclosed-recipients:;"]


def _content(submission: Submission, boundary: str) -> list[bytes]:
    """The content with its own headers, in pieces: mixed > alternative > related, each only where it is needed."""
    html = submission.html
    within = html is not None
    shown = [file for file in submission.attachments if file.content_id and within]
    files = [file for file in submission.attachments if not (file.content_id and within)]
    bodies = [] if submission.text is None and within else [text_part("plain", submission.text or "", boundary)]
    if html is not None:
        page = text_part("html", html, boundary)
        if shown:
            page = _multipart('related; type="text/html"', "r", boundary, [page, *map(inline, shown)])
        bodies.append(page)
    content = bodies[0] if len(bodies) == 1 else _multipart("alternative", "", boundary, bodies)
    return _multipart("mixed", "m", boundary, [content, *map(attached, files)]) if files else content


def _multipart(subtype: str, kind: str, boundary: str, parts: list[list[bytes]]) -> list[bytes]:
    # The empty line before a delimiter belongs to the delimiter (RFC 2046 §5.1.1); each part ends with its own. No
    # boundary is the beginning of another: readers may compare only as far as theirs goes.
    mark = f"=_{kind}{boundary}"
    start, end = f"--{mark}\r\n".encode(), f"--{mark}--\r\n".encode()
    pieces = [f'Content-Type: multipart/{subtype}; boundary="{mark}"\r\n\r\n'.encode()]
    for part in parts:
        pieces += (start, *part, b"\r\n")
    return [*pieces, end]


@lru_cache(maxsize=4)
def _date(unix: int) -> str:
    """RFC 5322 §3.3, UTC; strftime would follow the locale."""
    at = datetime.fromtimestamp(unix, UTC)
    day, month = _DAYS[at.weekday()], _MONTHS[at.month - 1]
    return f"{day}, {at.day:02} {month} {at.year:04} {at.hour:02}:{at.minute:02}:{at.second:02} +0000"


def snippet(text: str | None, html: str | None) -> str:
    """The first 140 characters or so a reader would see, on one line."""
    # The beginning is nearly always enough, and the rest would take longer than building the message.
    words = _words(text[:_GLANCE]) if text else _words(_visible(html or ""))
    if text and len(words) <= _SNIPPET and len(text) > _GLANCE:
        words = _words(text[:800])
    return words if len(words) <= _SNIPPET else words[: _SNIPPET - 1].rstrip() + "…"


def _words(text: str) -> str:
    words = " ".join(text.split())
    return words if words.isprintable() else "".join([char for char in words if char.isprintable()])


def _visible(html: str) -> str:
    """The text of the beginning of an html document, in linear time; not a sanitiser."""
    start = re.search(r"<body", html[:200_000], re.IGNORECASE)
    pieces = html[start.start() if start else 0 :][:20_000].split("<")
    seen = [pieces[0]]
    skipping = ""
    for piece in pieces[1:]:
        tag, closed, rest = piece.partition(">")
        name = tag[:16].split(maxsplit=1)[0].lower() if tag.strip() else ""
        if skipping:
            skipping = "" if name == f"/{skipping}" else skipping
        elif name in _UNSEEN:
            skipping = name
        if closed and not skipping:
            seen.append(rest)
    return unescape(" ".join(seen))
