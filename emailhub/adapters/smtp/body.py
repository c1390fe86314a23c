"""A message's content as it travels: after DATA dots are stuffed and one ends it; a BDAT chunk is taken as it is."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator

SLICE = 512 * 1024
"""Bytes that are looked at in one go. Megabytes take so long that every other connection would wait."""

_BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n")


def lines(content: bytes) -> bytes:
    """`content` with CRLF line ends only, the last line too; nothing stays nothing.

    A bare CR or LF would let a message end early at some servers, ours or a later one, and start another one inside it.
    """
    ends = content.count(b"\r\n")
    if content.count(b"\n") != ends or content.count(b"\r") != ends:
        content = _BARE.sub(b"\r\n", content)
    return content if content.endswith(b"\r\n") or not content else content + b"\r\n"


def stuffed(content: bytes) -> bytes:
    """What follows DATA: the lines of `content`, dots stuffed, and the final dot (RFC 5321 §4.5.2)."""
    return _doubled(content) + b".\r\n"


def chunk(body: bytes) -> bytes:
    """`body`, made by `lines`, as the only and last chunk (RFC 3030 §2)."""
    return b"BDAT %d LAST\r\n%b" % (len(body), body)


async def outgoing(content: bytes, *, chunked: bool) -> bytes:
    """What goes out for `content`: a chunk, or what follows DATA. Large ones are made in a thread, slice by slice."""
    if len(content) <= SLICE:
        return chunk(lines(content)) if chunked else stuffed(content)
    return await asyncio.to_thread(_in_slices, content, chunked=chunked)


def _in_slices(content: bytes, *, chunked: bool) -> bytes:
    if chunked:
        whole = [lines(piece) for piece in _slices(content)]
        return b"".join((b"BDAT %d LAST\r\n" % sum(map(len, whole)), *whole))
    return b"".join((*map(_doubled, _slices(content)), b".\r\n"))


def _slices(content: bytes) -> Iterator[bytes]:
    """`content` in slices that end where lines end, so that each can be looked at by itself."""
    start = 0
    while start < len(content):
        end = content.find(b"\n", start + SLICE) + 1 or len(content)
        yield content[start:end]
        start = end


def _doubled(content: bytes) -> bytes:
    """The lines of `content`, a dot at the beginning of one doubled."""
    content = lines(content)
    if content.startswith(b"."):
        content = b"." + content
    # Looking first, and from the end, is much quicker than replacing what is hardly ever there.
    return content.replace(b"\n.", b"\n..") if content.rfind(b"\n.") >= 0 else content
