"""Why mail failed, grouped: replies that differ only in whom, when and under which number they speak are one cause."""

from __future__ import annotations

import re
from collections.abc import Iterable

from msgspec import Struct

_LONGEST = 140
_CODE = re.compile(r"(?<![\d.])([45]\d\d)(?![\d.])(?:[ -]+([45]\.\d{1,3}\.\d{1,3})(?![\d.]))?")
# A server chooses what is searched here. What is possessive or begins a word only is never tried from its middle.
_WHO = re.compile(r"<[^<>\s@]*+@[^<>\s]*+>:?|(?<![^\s<>\"'(),;:@])[^\s<>\"'(),;:@]++@[\w.-]*\w:?")
_LINK = re.compile(r"\bhttps?://\S+", re.IGNORECASE)
_TURNING = re.compile(
    r"""
    \b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b        # an IPv4 address
    | \[?\b[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){3,}\]?   # an IPv6 address
    | (?<![\w.-])(?=[\w.-]*\d)(?=[\w.-]*[a-z])[\w-]{2,}(?:\.[\w-]+)*\b    # letters and digits mixed: an id
    | \b\d+(?:[.,:]\d+)*\b                      # a number
    """,
    re.IGNORECASE | re.VERBOSE,
)
_GAP = re.compile(r"(?:…[\s:.-]*){2,}")


class Cause(Struct, frozen=True):
    """`count` recipients failed for this reason; `code` is the one of the SMTP reply that says
    most, `5.1.1` or else `550`, "" when it was none."""

    text: str
    count: int
    code: str = ""


def grouped(texts: Iterable[tuple[str, int]], limit: int) -> tuple[Cause, ...]:
    """The `limit` most frequent causes of `texts`, each text with how often it was met."""
    found: dict[str, Cause] = {}
    for text, count in texts:
        plain = plainly(text)
        before = found.get(plain.casefold())
        found[plain.casefold()] = Cause(
            before.text if before else plain, count + (before.count if before else 0), code_of(text)
        )
    return tuple(sorted(found.values(), key=lambda cause: (-cause.count, cause.text)))[:limit]


def code_of(text: str) -> str:
    """The enhanced code of the first SMTP reply in `text`, else its basic one; "" when there is none."""
    found = _CODE.search(text)
    return (found[2] or found[1]) if found else ""


def plainly(text: str) -> str:
    """`text` without addresses and links, with `…` for every id and number but the codes of the reply.

    `550 5.1.1 <ada@example.org>: User unknown (4F2A-77)` becomes `550 5.1.1 User unknown (…)`.
    """
    text = _LINK.sub("", text)
    found = _CODE.search(text)
    if found is None:
        return _tidy(_without(text))
    codes = " ".join(filter(None, found.groups()))
    return _tidy(f"{_without(text[: found.start()])} {codes} {_without(text[found.end() :])}")


def _without(text: str) -> str:
    return _GAP.sub("… ", _TURNING.sub("…", _WHO.sub("", text)))


def _tidy(text: str) -> str:
    words = " ".join(text.split()).replace("( ", "(").replace(" )", ")").replace("()", "").strip(" ,;:-")
    return words if len(words) <= _LONGEST else f"{words[: _LONGEST - 1].rstrip()}…"
