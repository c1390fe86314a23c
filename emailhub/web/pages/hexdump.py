"""Bytes as people look at them: where, in hex, and as ASCII."""

from __future__ import annotations

MOST = 4096
"""Bytes shown."""
_WIDTH = 16


def lines(content: bytes) -> str:
    """The first MOST bytes, 16 to a line: `00000010  68 65 …  he…`."""
    starts = range(0, min(len(content), MOST), _WIDTH)
    return "\n".join(_line(start, content[start : start + _WIDTH]) for start in starts)


def _line(start: int, some: bytes) -> str:
    text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in some)
    return f"{start:08x}  {some.hex(' '):<{3 * _WIDTH - 1}}  {text}"
