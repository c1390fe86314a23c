"""Domains, patterns of domains and rates, as people write them. Every parser raises ValueError with the reason."""

from __future__ import annotations

import re
from collections.abc import Iterable

import idna

from emailhub.core.limits import Rate

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*", re.ASCII)
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_RATE = re.compile(r"(\d{1,12})\s*/\s*(s|m|h|d|sec|min|second|minute|hour|day)", re.ASCII)


def domain(text: str) -> str:
    """`text` as a domain in lower-case A-labels (RFC 5891)."""
    try:
        name = idna.encode(text, uts46=True).decode() if not text.isascii() else text.lower()
    except idna.IDNAError:
        raise ValueError(f"{text!r} is no domain") from None
    if "@" in text:
        raise ValueError(f"{text!r} is an address, not a domain")
    if len(name) > 253 or not _DOMAIN.fullmatch(name):
        raise ValueError(f"{text!r} is no domain")
    return name


def pattern(text: str) -> str:
    """A domain, or `*.` and a domain; see `core.routing.matches`."""
    if text.startswith("*."):
        return f"*.{domain(text[2:])}"
    if "*" in text:
        raise ValueError(f"{text!r}: a * stands only at the beginning, as in *.example.com")
    return domain(text)


def rate(text: str) -> Rate:
    """`10/s`, `600/min`, `1000/hour` or `50000/day`."""
    match = _RATE.fullmatch(text)
    if not match or int(match[1]) == 0:
        raise ValueError("not a rate")
    return Rate(int(match[1]), _SECONDS[match[2][0]])


def distinct(rates: tuple[Rate, ...]) -> tuple[Rate, ...]:
    """`rates`, when there is one for each span."""
    spans = [one.seconds for one in rates]
    if len(set(spans)) < len(spans):
        raise ValueError("two rates of the same span")
    return rates


def rate_text(value: Rate) -> str:
    """`Rate(10, 1.0)` is `10/s`."""
    unit = next(unit for unit, span in _SECONDS.items() if span == value.seconds)
    return f"{value.limit}/{unit}"


def rates_text(rates: Iterable[Rate]) -> str:
    """`10/s, 2000/d`."""
    return ", ".join(map(rate_text, rates))
