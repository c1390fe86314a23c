"""Takes what we log in with out of what a server says of it: some repeat the line they did not understand."""

from __future__ import annotations

import re
from binascii import Error, a2b_base64

MASK = "••••••"
_SHORTEST = 4
"""Characters that a secret must have to be looked for, and of its beginning that give it away in base64."""
_WORD = re.compile(r"[A-Za-z0-9+/_-]{6,}={0,2}")
_URL_SAFE = str.maketrans("-_", "+/")


class Hiding:
    """Puts a mask for every secret it was told, whether it stands there as it is or in the base64 of AUTH."""

    def __init__(self, *secrets: str) -> None:
        self._secrets: set[str] = set()
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        """From now on hide `secret` too."""
        if len(secret) >= _SHORTEST:
            self._secrets.add(secret)

    def __call__(self, text: str) -> str:
        """`text` without the secrets."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, MASK)
        return _WORD.sub(self._masked, text) if self._secrets else text

    def _masked(self, word: re.Match[str]) -> str:
        beginnings = [secret.encode()[:_SHORTEST] for secret in self._secrets]
        # A server may have cut the line anywhere, so what it repeats may begin with any of four characters.
        decoded = [_decoded(word[0][start:]) for start in range(4)]
        return MASK if any(begin in text for begin in beginnings for text in decoded) else word[0]


def _decoded(word: str) -> bytes:
    try:
        return a2b_base64(word[: len(word) // 4 * 4].translate(_URL_SAFE))
    except Error:
        return b""
