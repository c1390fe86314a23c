"""One line from an action to the page that follows it, carried by a cookie that the next page takes."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

import msgspec
from litestar.datastructures import Cookie
from msgspec import Struct

COOKIE = "emailhub_flash"
_LONGEST = 600
_TONES = frozenset({"ok", "info", "warn", "bad"})


class Flash(Struct, frozen=True):
    """A sentence and its tone: ok, info, warn or bad."""

    tone: str
    text: str


def written(flash: Flash, path: str) -> Cookie:
    """The cookie that carries `flash` to the next page under `path`, for at most a minute."""
    value = urlsafe_b64encode(msgspec.json.encode(Flash(flash.tone, flash.text[:_LONGEST]))).decode()
    return Cookie(key=COOKIE, value=value, path=path, httponly=True, samesite="strict", max_age=60)


def taken(path: str) -> Cookie:
    """The cookie that removes it."""
    return Cookie(key=COOKIE, value="", path=path, httponly=True, samesite="strict", max_age=0)


def read(value: str | None) -> Flash | None:
    """What a cookie says; None when there is none or somebody made it up badly."""
    if not value or len(value) > 4096:
        return None
    try:
        flash = msgspec.json.decode(urlsafe_b64decode(value), type=Flash)
    except (ValueError, msgspec.DecodeError):
        return None
    return flash if flash.tone in _TONES else None
