"""How settings write time, size and yes or no, and back again. Every parser raises ValueError with the reason."""

from __future__ import annotations

import math
import re

__all__ = [
    "boolean",
    "boolean_text",
    "duration",
    "duration_text",
    "seconds",
    "size",
    "size_text",
]

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
}
_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})

_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", re.ASCII)


def boolean(text: str) -> bool:
    """true, 1, yes, on or false, 0, no, off; case does not matter."""
    word = text.lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError("neither yes nor no")


def duration(text: str) -> float:
    """Seconds of `500ms`, `90s`, `5m`, `24h`, `7d` or a sum of them such as `1h30m`.

    A number without a unit is refused: `24` would be read as seconds by one and as hours by another.
    """
    compact = text.replace(" ", "")
    parts = _QUANTITY.findall(compact)
    if not parts or "".join(number + unit for number, unit in parts) != compact:
        raise ValueError("not a duration")
    if any(unit not in _SECONDS for _, unit in parts):
        raise ValueError("the unit is missing or unknown")
    return math.fsum(float(number) * _SECONDS[unit] for number, unit in parts)


def seconds(text: str) -> float:
    """A duration, or a plain number of seconds."""
    try:
        value = float(text)
    except ValueError:
        return duration(text)
    if not math.isfinite(value):
        raise ValueError("not a finite number")
    return value


def size(text: str) -> int:
    """Bytes of `10MiB`, `64KiB`, `1GB` or a plain number of bytes."""
    match = _QUANTITY.fullmatch(text)
    if not match or match[2].lower() not in _BYTES:
        raise ValueError("not a size")
    value = float(match[1]) * _BYTES[match[2].lower()]
    if value != int(value):
        raise ValueError("not a whole number of bytes")
    return int(value)


def duration_text(value: float) -> str:
    """The shortest way to write `value` seconds: 86400 is `24h`, 604800 is `7d`, 90 is `90s`."""
    if value == 0:
        return "0s"
    units = (("d", 86400), ("h", 3600), ("m", 60))
    for unit, span in units:
        if value % span == 0 and value / span >= (2 if unit == "d" else 1):
            return f"{value / span:.0f}{unit}"
    return f"{value:.6f}".rstrip("0").rstrip(".") + "s"


def size_text(value: int) -> str:
    """The shortest exact way to write `value` bytes: 10485760 is `10MiB`."""
    for unit, span in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if value and value % span == 0:
            return f"{value // span}{unit}"
    return str(value)


def boolean_text(value: bool) -> str:
    """`true` or `false`."""
    return "true" if value else "false"
