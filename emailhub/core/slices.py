"""Long texts piece by piece: while one is encoded in one go no other thread runs, the event loop included."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

SLICE = 1024 * 1024
"""Characters that are encoded at once."""
_FEW = 4
"""Pieces that are put together at once. One by one a text that has to move would be copied too often."""


def slices(text: str) -> Iterator[str]:
    """The pieces of `text` in order; none when it is empty."""
    for start in range(0, len(text), SLICE):
        yield text[start : start + SLICE]


def utf8(text: str) -> bytes:
    """`text` in UTF-8. Raises UnicodeEncodeError, whose `object` is the piece that cannot be encoded."""
    return text.encode() if len(text) <= SLICE else b"".join(piece.encode() for piece in slices(text))


def text_of(pieces: Sequence[str]) -> str:
    """`pieces` as one text, which grows in place by a few of them at a time: `str.join` makes the whole in one go."""
    text = ""
    for start in range(0, len(pieces), _FEW):
        text += "".join(pieces[start : start + _FEW])
    return text
