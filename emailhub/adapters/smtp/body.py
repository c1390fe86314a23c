"""A message's content as it travels: after DATA dots are stuffed and one ends it; a BDAT chunk is taken as it is."""

from __future__ import annotations

import re

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
    content = lines(content)
    if content.startswith(b"."):
        content = b"." + content
    # Looking first, and from the end, is much quicker than replacing what is hardly ever there.
    if content.rfind(b"\n.") >= 0:
        content = content.replace(b"\n.", b"\n..")
    return content + b".\r\n"


def chunk(body: bytes) -> bytes:
    """`body`, made by `lines`, as the only and last chunk (RFC 3030 §2)."""
    return b"BDAT %d LAST\r\n%b" % (len(body), body)
