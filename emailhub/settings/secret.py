"""Values that must never be shown: what prints, formats or encodes them gets a mask.

The types are deliberately not strings, so that a type checker finds every place that hands a secret to somebody, and
a place it cannot see fails loudly instead of sending the mask.
"""

from __future__ import annotations

import hmac
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

MASK = "***"


class Secret:
    """A secret text. `reveal()` is the only way to it; `str`, `repr`, f-strings and `enc_hook` give the mask."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The secret itself. Hand it to the one who needs it; keep it out of variables that live long."""
        return self._value

    def masked(self) -> str:
        """What people may see."""
        return MASK

    def texts(self) -> tuple[str, ...]:
        """What must not appear in any output because of this secret."""
        return (self._value,)

    def __str__(self) -> str:
        return self.masked()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.masked()!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash((type(self), self._value))

    def __reduce__(self) -> Any:
        raise TypeError("a secret is not pickled or copied into another process")


class SecretUrl(Secret):
    """A URL that may carry a password: shown as `amqp://user:***@host/vhost`."""

    __slots__ = ()

    def masked(self) -> str:
        """The URL with its password hidden."""
        return mask_url(self._value)

    def texts(self) -> tuple[str, ...]:
        """The password in the URL, as it stands there and decoded."""
        parts = _split(self._value)
        password = parts.password if parts else None
        return (password, unquote(password)) if password else ()


class SecretLink(SecretUrl):
    """A URL that is a secret as a whole, as webhook addresses are: shown as `https://host/***`."""

    __slots__ = ()

    def masked(self) -> str:
        """Scheme and host only: path and query of a webhook are its password."""
        return mask_link(self._value)

    def texts(self) -> tuple[str, ...]:
        """The whole URL, and the password in it."""
        return (self._value, *super().texts())


def mask_url(url: str) -> str:
    """`url` with the password in its user part replaced; everything when it cannot be read as a URL."""
    parts = _split(url)
    if parts is None:
        return MASK
    user, at, host = parts.netloc.rpartition("@")
    if at:
        name, colon, _ = user.partition(":")
        user = f"{name}:{MASK}" if colon else MASK
    return parts._replace(netloc=f"{user}{at}{host}").geturl()


def mask_link(url: str) -> str:
    """Only scheme and host of `url`."""
    parts = _split(url)
    if parts is None:
        return MASK
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/{MASK}"


def enc_hook(value: Any) -> Any:
    """The `enc_hook` for msgspec encoders: a secret becomes its mask, a path or network its text."""
    return str(value)


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return parts if parts.scheme and parts.netloc else None
