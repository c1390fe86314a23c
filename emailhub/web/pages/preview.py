"""The html of a message, shown: harmless, in a sandbox, as wide as a desktop or a phone, without what is elsewhere."""

from __future__ import annotations

import re
from base64 import b64encode
from typing import Final
from urllib.parse import unquote

from litestar import Response
from msgspec import Struct

from emailhub.core.view import Apart

_REST = "style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
PREVIEW_POLICY: Final = f"sandbox; default-src 'none'; img-src data:; {_REST}"
"""What the html of a message may do: look like itself, with pictures it carries inline. No script, no network."""
IMAGES_POLICY: Final = f"sandbox; default-src 'none'; img-src data: https:; upgrade-insecure-requests; {_REST}"
"""The same, and load images over https from wherever it likes: for somebody who asked for them."""
WIDTHS: Final = {"": "Fit", "desktop": "Desktop", "phone": "Phone"}
"""How wide the html is shown, by the parameter `width`."""
# Possessive: two runs of white space that can share one are tried in every split, which takes minutes for a long one.
_REMOTE = re.compile(
    r"""(?:(?<![\w-])(?:src|srcset|background|poster)\s*+=|url\()\s*+(?:["']\s*+)?(?:https?:)?//""", re.IGNORECASE
)
_LOADED = re.compile(r"(?:@import|\bsrc\s*+:)\s*+$", re.IGNORECASE)
"""What stands before a `url(` of a style sheet or a font."""
_ELEMENT = re.compile(r"<([a-z]+)", re.IGNORECASE)
_TAG = 2000
"""Characters before an attribute in which its element is looked for."""
_NO_IMAGE = frozenset({"script", "iframe", "frame", "embed", "audio", "track", "bgsound"})
_MOVING = frozenset({"video", "source"})
"""Their `src` is no image; their other references are."""
_CONNECTING = re.compile(
    r"<(/?)(?=(?:i?frame|frameset|fencedframe|portal|object|embed|link|set|animate[a-z]*)[\s/>])", re.IGNORECASE
)
"""The last two change where a link of a drawing opens."""
_LINK = re.compile(r"<(a|area)(?=[\s/>])", re.IGNORECASE)
_CID = re.compile(r"(?<![a-z0-9])cid:([A-Za-z0-9!#$%*+/=?^_{|}~.@-]{1,200})", re.IGNORECASE)
_SHOWABLE = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
_PICTURES = 4 * 1024 * 1024
"""Bytes of pictures in a preview, whose html holds all of them."""


class Remote(Struct, frozen=True):
    """How much of some html is elsewhere: `images` are loaded when somebody asks, `others` never."""

    images: int = 0
    others: int = 0


def width_of(asked: str | None) -> str:
    """The width of `WIDTHS` that was asked for; what is none of them fits."""
    return asked if asked in WIDTHS else ""


def remote_references(html: str) -> Remote:
    """How much in `html` would be loaded from elsewhere. Of an element that names several images one is loaded."""
    images, others = set[int](), set[int]()
    for found in _REMOTE.finditer(html):
        at, image = _image(html, found)
        (images if image else others).add(at)
    return Remote(len(images), len(others - images))


def _image(html: str, found: re.Match[str]) -> tuple[int, bool]:
    """Where the element or style of a reference begins, and whether it is an image."""
    start = found.start()
    if found[0][:4].lower() == "url(":
        return start, _LOADED.search(html, max(0, start - 40), start) is None
    at = html.rfind("<", max(0, start - _TAG), start)
    element = _ELEMENT.match(html, at) if at >= 0 else None
    name = element[1].lower() if element else ""
    video = name in _MOVING and re.match(r"src\s*=", found[0], re.IGNORECASE) is not None
    return at, name not in _NO_IMAGE and not video


def harmless(html: str) -> str:
    """`html` without what browsers open a connection for before they ask the content policy: some elements, and links.

    A connection or a look-up of a name made for one recipient is enough to tell its sender that somebody looks. A link
    wants a window of its own here, which the sandbox refuses before anything else; of two targets the first counts.
    """
    return _LINK.sub(r'<\1 target="_blank"', _CONNECTING.sub(r"<\1x-", html))


def previewed(source: bytes) -> str:
    """The html of a message, harmless, with the pictures it carries in their places, unless they are too large."""
    apart = Apart(source)
    seen = apart.view()
    room, pictures = _PICTURES, dict[str, str]()
    for number, file in enumerate(seen.files):
        if file.content_id and file.type in _SHOWABLE and file.size <= room:
            room -= file.size
            pictures[file.content_id] = f"data:{file.type};base64,{b64encode(apart.opened(number)).decode()}"
    html = harmless(seen.html or "")
    return _CID.sub(lambda found: pictures.get(unquote(found[1]), found[0]), html) if pictures else html


def framed(html: str, policy: str = PREVIEW_POLICY) -> Response[str]:
    """Harmless `html` that somebody else wrote, for the sandboxed frame in one of our pages."""
    headers = {
        "content-security-policy": policy,
        "cache-control": "private, no-store",
        "referrer-policy": "no-referrer",
        "x-dns-prefetch-control": "off",
    }
    return Response(html, media_type="text/html; charset=utf-8", headers=headers)
