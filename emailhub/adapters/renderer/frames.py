"""How hub and renderer talk over a pipe: JSON with its length, in four bytes, before it."""

from __future__ import annotations

import json
import struct
from typing import Any, BinaryIO

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
