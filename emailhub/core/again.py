"""A message that is sent again as one of its own: the same content under another Message-ID (RFC 5322 §3.6.4)."""

from __future__ import annotations

import re
from collections.abc import Sequence

# A line that begins with white space belongs to the field before it (RFC 5322 §2.2.3).
_FIELDS = re.compile(rb"\r\n(?![ \t])")
_OUTLIVED = frozenset({b"dkim-signature"})
"""Fields that say something of the message it was: a signature over what is different now would be a false one."""


def renewed(content: bytes, lines: Sequence[str], without: Sequence[str] = ()) -> bytes:
    """`content` with the header `lines` in the place of those of their names, and `without` fields of these names."""
    head, gap, rest = content.partition(b"\r\n\r\n")
    fresh = {_name(line.encode()): line.encode() for line in lines}
    gone = _OUTLIVED | {name.lower().encode() for name in without}
    kept = [fresh.pop(_name(one), one) for one in _FIELDS.split(head) if _name(one) not in gone]
    return b"".join((b"\r\n".join([*fresh.values(), *kept]), gap, rest))


def _name(line: bytes) -> bytes:
    return line.partition(b":")[0].strip().lower()
