"""A server's SMTP reply as a value (RFC 5321 §4.2, enhanced codes of RFC 3463)."""

from __future__ import annotations

import re

from msgspec import Struct

_ENHANCED = re.compile(r"^([245]\.\d{1,3}\.\d{1,3})(?:\s+|$)")


class Reply(Struct, frozen=True):
    """One reply, its lines joined: `code` 200-599, `enhanced` such as `5.1.1` or "", `text` without either."""

    code: int
    enhanced: str = ""
    text: str = ""

    @classmethod
    def of(cls, code: int, message: str) -> Reply:
        """The reply a server gave as `code` and the joined text of its lines."""
        lines = [line for line in map(str.strip, message.splitlines()) if line]
        found = _ENHANCED.match(lines[0]) if lines else None
        if not found:
            return cls(code, "", " ".join(lines))
        enhanced = found.group(1)
        if len(lines) == 1:
            return cls(code, enhanced, lines[0][found.end() :])
        return cls(code, enhanced, " ".join(line.removeprefix(enhanced).strip() for line in lines).strip())

    def __str__(self) -> str:
        if self.enhanced and self.text:
            return f"{self.code} {self.enhanced} {self.text}"
        return f"{self.code} {self.enhanced or self.text}".rstrip()
