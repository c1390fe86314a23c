"""Keeps secrets, bodies and, when asked, addresses out of the log, whatever a caller passes in."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TypeAlias
from urllib.parse import quote

Plain: TypeAlias = str | int | float | bool | list["Plain"] | dict[str, "Plain"] | None

MASK = "***"
_SHORTEST = 4
"""A shorter secret is not searched for: `a` would blacken every line and hide nothing."""

_BODIES = frozenset({"body", "content", "html", "raw"})
_SECRETS = re.compile(r"passw|secret|token|api.?key|authorization|cookie|credential")
_NO_ADDRESS = frozenset({"message_id"})
"""Fields whose @ belongs to an identifier that must stay whole to be found again."""

# From here on no word is tried from its middle: somebody else may choose it, and how long it is.
_USERINFO = re.compile(r"(?i)([a-z][a-z0-9+.-]{0,30}://)(?:([^\s/:@]*):)?[^\s/]+@")
_HEADER = re.compile(r"""(?i)((?:proxy-)?authorization["']?\s*[:=]\s*["']?)[^\s"',}]+(?:\s+[^\s"',}]+)?""")
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+(?=\S*[\d_=])[a-z0-9._~+/=-]{8,}")
_SMTP_AUTH = re.compile(r"(?i)\b(AUTH\s+[A-Z0-9-]+)\s+\S+")
_MARKED = re.compile(r"(?i)auth|bearer|basic")
"""What the three above need; looked for first, because nearly no text has it."""
_ADDRESS = re.compile(r"""("[^"]*"|(?<![^\s<>()\[\],;:"'@*/=])[^\s<>()\[\],;:"'@*/=]+)@([\w.-]*\w)""")


class Redactor:
    """Cleans values before they are written. `masked` hides the local part of every address."""

    def __init__(self, *, masked: bool = False) -> None:
        self._masked = masked
        self._hidden: tuple[str, ...] = ()

    def hide(self, secret: str) -> None:
        """From now on replace `secret`, also percent-encoded and in base64, wherever it appears."""
        if len(secret) < _SHORTEST:
            return
        encoded = base64.b64encode(secret.encode()).decode()
        forms = {secret, quote(secret, safe=""), quote(secret), encoded, encoded.rstrip("=")}
        # Longest first: a secret that contains another one is replaced whole.
        self._hidden = tuple(sorted(forms.union(self._hidden), key=len, reverse=True))

    def fields(self, given: Mapping[str, object]) -> dict[str, Plain]:
        """`given` as it may be written, without what is None."""
        clean: dict[str, Plain] = {}
        for name, value in given.items():
            kind = type(value)
            if kind is str and not _sort(name):
                clean[name] = self.text(value)  # type: ignore[arg-type]
            elif kind is int or kind is float:
                clean[name] = value  # type: ignore[assignment]
            elif value is not None:
                clean[name] = self.field(name, value)
        return clean

    def field(self, name: str, value: object) -> Plain:
        """`value` of the field `name` as it may be written: plain, without secrets, never a body."""
        sort = _sort(name)
        if sort == "body" and isinstance(value, str | bytes):
            return f"({len(value)} not logged)"
        if sort == "secret" and isinstance(value, str | bytes):
            return MASK
        return self._plain(value, self.identifier if sort == "identifier" else self.text)

    def text(self, text: str) -> str:
        """`text` without secrets, and without addresses when they are masked."""
        text = self.identifier(text)
        return _ADDRESS.sub(_masked_address, text) if self._masked and "@" in text else text

    def identifier(self, text: str) -> str:
        """`text` without secrets."""
        for secret in self._hidden:
            if secret in text:
                text = text.replace(secret, MASK)
        if "://" in text:
            text = _USERINFO.sub(_masked_userinfo, text)
        # Most values are ids and numbers: a credential needs a word before it, so these cost nothing more.
        if (" " in text or ":" in text or "=" in text) and _MARKED.search(text):
            text = _HEADER.sub(rf"\1{MASK}", text)
            text = _BEARER.sub(rf"\1 {MASK}", text)
            text = _SMTP_AUTH.sub(rf"\1 {MASK}", text)
        return text

    def _plain(self, value: object, clean: Callable[[str], str]) -> Plain:
        if isinstance(value, str):
            return clean(value)
        if value is None or isinstance(value, int | float):
            return value
        if isinstance(value, bytes | bytearray | memoryview):
            return f"({len(value)} bytes not logged)"
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.field(str(key), item) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._plain(item, clean) for item in value]
        return clean(str(value))


@lru_cache(maxsize=512)
def _sort(name: str) -> str:
    """What the name of a field says about its value: body, secret, identifier or nothing."""
    key = name.lower()
    if key in _BODIES:
        return "body"
    if _SECRETS.search(key):
        return "secret"
    return "identifier" if key in _NO_ADDRESS else ""


def _masked_userinfo(match: re.Match[str]) -> str:
    user = f"{match[2]}:" if match[2] is not None else ""
    return f"{match[1]}{user}{MASK}@"


def _masked_address(match: re.Match[str]) -> str:
    first = match[1][:1] if match[1][:1] != '"' else ""
    return f"{first}{MASK}@{match[2]}"
