"""How many values are in a JSON document, told before it is parsed.

A list of millions of tiny values takes thirty times its size in memory, and every parser and every walk through it
stops all other threads for seconds. No mail has so many.
"""

from __future__ import annotations

from collections.abc import Iterator

MOST = 200_000
"""Values of one document: a batch of 100 messages with 1,000 recipients and variables each has half as many."""
CAN_HAVE_TOO_MANY = 256 * 1024
"""Bytes up to which there is no room for more than MOST, as each takes two."""
_SLICE = 128 * 1024
"""Bytes that are looked at in one go: meanwhile no other thread runs, the event loop included."""
_MARKS = (b",", b"[", b"{")


def too_many(body: bytes) -> bool:
    """Whether the JSON in `body` has more than MOST values. What is not JSON is counted somehow, and refused later."""
    if len(body) <= CAN_HAVE_TOO_MANY:
        return False
    # Text may be full of commas and brackets, but most documents have few of them even so.
    return _more(_slices(body)) and _more(_outside_strings(body))


def _more(pieces: Iterator[bytes]) -> bool:
    found = 0
    for piece in pieces:
        found += sum(map(piece.count, _MARKS))
        if found > MOST:
            return True
    return False


def _slices(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), _SLICE):
        yield body[start : start + _SLICE]


def _outside_strings(body: bytes) -> Iterator[bytes]:
    inside, rest = 0, b""
    for some in _slices(body):
        piece = (rest + some).replace(b"\\\\", b"")
        # What it escapes is in the next slice.
        rest = b"\\" if piece.endswith(b"\\") else b""
        parts = piece.removesuffix(rest).replace(b'\\"', b"").split(b'"')
        yield b"".join(parts[inside::2])
        inside = (inside + len(parts) - 1) % 2
