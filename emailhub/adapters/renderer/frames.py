"""How hub and renderer talk over a pipe: JSON with its length, in four bytes, before it."""

from __future__ import annotations

import json
import struct
from typing import Any, BinaryIO

OUT_OF_MEMORY = 86
"""The exit code of a renderer that needed more memory than it may have."""
FAILED = 87
"""The exit code of a renderer that failed while it rendered."""
HEAD = struct.Struct(">I")


def pack(document: dict[str, Any]) -> bytes:
    """`document` as it goes over the pipe."""
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    return HEAD.pack(len(body)) + body


def read(stream: BinaryIO) -> dict[str, Any] | None:
    """The next document, None at the end."""
    head = stream.read(HEAD.size)
    if len(head) < HEAD.size:
        return None
    (size,) = HEAD.unpack(head)
    found: dict[str, Any] = json.loads(stream.read(size))
    return found
