"""One field's value, of whatever type it came, read as what the field must be; the sentence when it is not.

Every function takes a decoded JSON value and returns it typed and within its limit, or raises BadValueError with the
sentence that follows the field's name: `subject: is 1200 characters long; at most 998 are allowed`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import TypeVar

from emailhub.core import moments
from emailhub.core.header import unsafe
from emailhub.core.slices import slices

HEADERS = 50
HEADER_VALUE = 4096
TAGS = 50
TAG = 256
METADATA = 50
METADATA_NAME = 64
METADATA_VALUE = 1024
REQUEST_ID = 256
KEY = re.compile(r"[\x21-\x7e]{1,256}")
"""An idempotency key: 1 to 256 visible ASCII characters."""
CORRELATION_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+=@~-]{0,127}")
"""An id of the sender's that is harmless in a log line and a header."""
LATEST = 366 * 86400.0
"""Seconds ahead a message may be scheduled or expire."""

URL = 900
"""Characters of a URL that becomes a header: it cannot be folded, and a line ends at 998."""
_URL = re.compile(
    r"https://(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})\.)*[A-Za-z0-9][A-Za-z0-9-]{0,62}(?::\d{1,5})?"
    r"(?:[/?][!#-;=?-\[\]_a-z~]*)?"
)
_HEADER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_TAG = re.compile(r"[A-Za-z0-9_-]{1,256}")
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)([smhd])", re.ASCII)
_DATE = re.compile(r"\d{4}", re.ASCII)
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_OURS = {
    "from": "use the field from",
    "to": "use the field to",
    "cc": "use the field cc",
    "bcc": "use the field bcc",
    "reply-to": "use the field reply_to",
    "subject": "use the field subject",
    "x-request-id": "use the field request_id",
    "date": "the hub sets it",
    "message-id": "the hub sets it, once, so that every attempt carries the same",
    "auto-submitted": "the hub sets it, so that no auto-responder answers",
    "sender": "the sender is the field from",
    "mime-version": "the hub sets it",
    "received": "only servers on the way write it",
    "return-path": "only the receiving server writes it",
    "delivered-to": "only the receiving server writes it",
    "authentication-results": "only the receiving server writes it",
    "dkim-signature": "only the signer writes it",
}
_OUR_PREFIXES = {
    "content-": "the hub sets it from text and html",
    "resent-": "the hub sends no message again under another name",
    "arc-": "only servers on the way write it",
    "x-emailhub-": "the hub uses it itself",
}

_E = TypeVar("_E", bound=Enum)


class BadValueError(ValueError):
    """The value is not what its field must be; the text is the sentence that says so."""


def string(value: object) -> str:
    """A string."""
    if not isinstance(value, str):
        raise BadValueError("must be a string")
    return value


def items(value: object, most: int, otherwise: str = "must be a list") -> list[object]:
    """A list of at most `most` items; `otherwise` is the sentence for another type."""
    if not isinstance(value, (list, tuple)):
        raise BadValueError(otherwise)
    if len(value) > most:
        raise BadValueError(f"has {len(value)} items; at most {most} are allowed")
    return list(value)


def entries(value: object, most: int) -> dict[str, object]:
    """An object of at most `most` names and values."""
    if not isinstance(value, Mapping):
        raise BadValueError("must be an object of names and values")
    if len(value) > most:
        raise BadValueError(f"has {len(value)} entries; at most {most} are allowed")
    return {str(name): item for name, item in value.items()}


def line(value: object, longest: int) -> str:
    """A string that becomes the value of a header: safe, not blank, white space around it removed."""
    found = string(value)
    if len(found) > longest:
        raise BadValueError(f"is {len(found)} characters long; at most {longest} are allowed")
    flaw = unsafe(found)
    if flaw:
        raise BadValueError(f"contains {flaw}, which must not reach a header; remove it")
    found = found.strip(" ")
    if not found:
        raise BadValueError(f"is empty; 1 to {longest} characters are needed")
    return found


def web_address(value: object) -> str:
    """An https URL of at most URL characters that can stand in a header as it is."""
    found = string(value)
    if len(found) > URL:
        raise BadValueError(f"is {len(found)} characters long; at most {URL} are allowed")
    if not _URL.fullmatch(found):
        raise BadValueError(
            "must be an https URL such as https://example.org/u/42, other characters in percent-encoding"
        )
    if "=?" in found:
        raise BadValueError("holds =?, which mail programs read as encoded text; write it as %3D? or =%3F")
    return found


def document(value: object, longest: int) -> str:
    """A text of at most `longest` characters that UTF-8 can hold."""
    found = string(value)
    if len(found) > longest:
        raise BadValueError(f"is {len(found)} characters long; a message has at most {longest} bytes")
    _refuse_surrogates(found)
    return found


def request_id(value: object) -> str:
    """1 to 256 printable characters without space around them."""
    found = string(value)
    if not 1 <= len(found) <= REQUEST_ID or not found.isprintable() or found != found.strip():
        raise BadValueError(f"must be 1 to {REQUEST_ID} printable characters without space around them")
    return found


def idempotency_key(value: object) -> str:
    """A string that matches KEY."""
    found = string(value)
    if not KEY.fullmatch(found):
        raise BadValueError("must be 1 to 256 visible ASCII characters (no space)")
    return found


def correlation_id(value: object) -> str:
    """A string that matches CORRELATION_ID."""
    found = string(value)
    if not CORRELATION_ID.fullmatch(found):
        raise BadValueError("must be 1 to 128 ASCII letters, digits and . _ : / + = @ ~ -, a letter or digit first")
    return found


def boolean(value: object) -> bool:
    """true or false."""
    if not isinstance(value, bool):
        raise BadValueError("must be true or false")
    return value


def header_name(name: str) -> str:
    """The name of a header that the sender may set: none that the hub or the servers on the way write."""
    if not _HEADER_NAME.fullmatch(name):
        raise BadValueError("is not a header name: a letter, then letters, digits and hyphens, at most 64")
    low = name.lower()
    ours = _OURS.get(low) or next((why for start, why in _OUR_PREFIXES.items() if low.startswith(start)), None)
    if ours:
        raise BadValueError(f"cannot be set as a custom header: {ours}")
    return name


def tag(value: object) -> tuple[str, str]:
    """The name and value of `{"name": …, "value": …}`."""
    if not isinstance(value, Mapping) or set(value) != {"name", "value"}:
        raise BadValueError("must be an object with name and value")
    name, found = value["name"], value["value"]
    if not (isinstance(name, str) and isinstance(found, str) and _TAG.fullmatch(name) and _TAG.fullmatch(found)):
        raise BadValueError(f"name and value are 1 to {TAG} ASCII letters, digits, _ or -")
    return name, found


def metadatum(name: str, value: object) -> str:
    """The string or number `value` as a string, `name` and value within their limits."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise BadValueError("must be a string or a number; metadata is flat")
    if isinstance(value, float) and not math.isfinite(value):
        raise BadValueError("must be a finite number")
    # CPython refuses to print an integer of more than 4300 digits, and takes quadratic time for a little shorter one.
    if isinstance(value, int) and value.bit_length() > 64:
        raise BadValueError("is a number of more than 64 bits; give it as a string")
    found = str(value)
    if not 1 <= len(name) <= METADATA_NAME or len(found) > METADATA_VALUE:
        raise BadValueError(f"a name has 1 to {METADATA_NAME} characters, a value at most {METADATA_VALUE}")
    _refuse_surrogates(name + found)
    return found


def choice(value: object, choices: Mapping[str, _E]) -> _E:
    """The member of `choices` that `value` names."""
    if not isinstance(value, str) or value not in choices:
        raise BadValueError(f"must be one of {', '.join(choices)}")
    return choices[value]


def moment(value: object, now: float, *, most: float = LATEST) -> float:
    """Unix seconds of an ISO 8601 time with a zone, or of a number of unix seconds; at most `most` after `now`."""
    if isinstance(value, str):
        found = _iso(value)
    elif isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e11:
        found = float(value)
    else:
        raise BadValueError("must be a time such as 2030-01-31T09:30:00Z, or unix seconds")
    if found > now + most:
        raise BadValueError(f"is more than {most / 86400:.0f} days away")
    return found


def schedule(value: object, now: float) -> tuple[float, str | None]:
    """When to send, as `moment` or in the words of `moments`; and those words in their normal form, if it was words.

    A time of today may be over, which `is_over` tells.
    """
    if not isinstance(value, str) or _DATE.match(value):
        return moment(value, now), None
    words = moments.normal(value[:65])
    found = moments.moment(words, now)
    if found is None:
        raise BadValueError(f"is not a time; write it like 2030-01-31T09:30:00Z, or in words (UTC): {moments.EXAMPLES}")
    return moment(found, now), words


OVER = "has passed already; times of day are UTC"


def is_over(at: float, words: str | None, now: float) -> bool:
    """Whether `words` said a time that has passed. One in ISO 8601 may have: then it means at once."""
    return words not in (None, "now") and at <= now


def duration(value: object) -> float:
    """Seconds of `90s`, `15m`, `24h`, `3d` or a number of seconds; more than 0, at most LATEST."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = float(value) if -1 < value < 1e11 else math.inf
    else:
        found = _DURATION.fullmatch(value) if isinstance(value, str) else None
        if not found:
            raise BadValueError("must be a duration such as 90s, 15m, 24h or 3d, or a number of seconds")
        seconds = float(found[1]) * _SECONDS[found[2]]
    if not 0 < seconds <= LATEST:
        raise BadValueError("must be more than 0 seconds and at most 366 days")
    return seconds


def shown(name: str) -> str:
    """A name the sender chose, safe to repeat in an answer and in a log line."""
    short = name if len(name) <= 64 else name[:63] + "…"
    return "".join(char if char.isprintable() else "\ufffd" for char in short)


def _iso(value: str) -> float:
    try:
        found = datetime.fromisoformat(value) if len(value) <= 64 else None
    except ValueError:
        found = None
    if found is None:
        raise BadValueError("is not a time; write it like 2030-01-31T09:30:00Z")
    # A time without a zone would mean another moment on another server.
    if found.tzinfo is None:
        raise BadValueError("has no time zone; write 2030-01-31T09:30:00Z or …+01:00")
    return found.timestamp()


def _refuse_surrogates(value: str) -> None:
    if value.isascii():
        return
    for piece in slices(value):
        try:
            piece.encode()
        except UnicodeEncodeError as error:
            raise BadValueError(
                f"contains a lone surrogate (U+{ord(piece[error.start]):04X}), which no text can hold"
            ) from None
