"""The files of a message: what a sender gives for each, read with its limits before anything is decoded."""

from __future__ import annotations

import re
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Callable, Mapping
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from msgspec.structs import replace

from emailhub.core import fields as read
from emailhub.core.errors import InvalidMessage, Problem
from emailhub.core.fields import BadValueError
from emailhub.core.message import Attachment

MOST = 50
"""Attachments of one message."""
FIELDS = ("filename", "content", "content_type", "content_id", "path")
_ALIASES: dict[object, str] = {"inline_content_id": "content_id"}
FILENAME = 255
"""Bytes of a name in UTF-8: what file systems hold."""
SLICE = 1024 * 1024
"""Characters or bytes converted at once. A longer conversion would hold the interpreter for so long that the event
loop, in another thread, stalls."""

_BLANKS = "\r\n \t"
_TYPE = 255
_URL = 2048
# Directions that make `exe.gpj` of `jpg.exe` on the screen, and what no file system or header can hold.
_DECEIVING = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_TOKEN = r"[A-Za-z0-9!#$&^_.+-]{1,127}"  # noqa: S105 - RFC 6838 §4.2
_MEDIA = re.compile(rf'({_TOKEN}/{_TOKEN})((?:; ?{_TOKEN}=(?:{_TOKEN}|"[A-Za-z0-9!#$&^_.+/:;=?, -]*"))*)')
_PARAMETER = re.compile(rf"; ?({_TOKEN})=")
_CONTENT_ID = re.compile(r"[A-Za-z0-9!#$&'*+/=?^_{|}~.@-]{1,200}")
_OURS = frozenset({"name", "filename", "boundary"})

_T = TypeVar("_T")


def many(value: object, most_bytes: int) -> list[object]:
    """The items of the field `attachments`: at most MOST, together not more than a message of `most_bytes` holds.

    Raises BadValueError. Nothing was decoded yet: `one` reads each of them, and says which one alone is too large.
    """
    found = read.items(value, MOST, "must be a list of attachments")
    contents = [item.get("content") for item in found if isinstance(item, Mapping)]
    size = _carried(contents, most_bytes)
    if size > most_bytes and all(_carried([content], most_bytes) <= most_bytes for content in contents):
        raise BadValueError(
            f"make a message of at least {size} bytes together; the limit is {most_bytes} (EMAILHUB_MAX_MESSAGE_SIZE)"
        )
    return found


def weight(value: object) -> int:
    """About how many bytes of content the field `attachments` brings, whatever it is."""
    items = value if isinstance(value, list) else []
    return sum(_length(item.get("content")) for item in items if isinstance(item, Mapping))


def one(value: object, field: str, most_bytes: int) -> Attachment:
    """The attachment that the object `value` describes. Raises InvalidMessage with every problem, under `field`."""
    if not isinstance(value, Mapping):
        raise InvalidMessage((Problem(field, "must be an object with filename and content"),))
    given = {_ALIASES.get(name, str(name)): item for name, item in value.items() if item is not None}
    form = _Form(given, field)
    found = Attachment(
        filename=form.take("filename", filename) or "",
        content=form.take("content", lambda given: content(given, most_bytes)) or b"",
        content_type=form.take("content_type", content_type),
        content_id=form.take("content_id", content_id) or "",
        path=form.take("path", path),
    )
    return form.finish(found)


class _Form:
    """The fields of one attachment that were given, and the problems found in them so far."""

    def __init__(self, given: Mapping[str, object], field: str) -> None:
        self._given = given
        self._field = field
        self._problems: list[Problem] = []

    def take(self, name: str, reader: Callable[[object], _T]) -> _T | None:
        try:
            return reader(self._given[name]) if name in self._given else None
        except BadValueError as error:
            self._problem(f".{name}", str(error))
            return None

    def _problem(self, name: str, sentence: str) -> None:
        self._problems.append(Problem(f"{self._field}{name}", sentence))

    def finish(self, found: Attachment) -> Attachment:
        """`found` with the name that its URL ends in when none was given; raises what was collected."""
        given = self._given
        if ("content" in given) == ("path" in given):
            self._problem("", "needs content or path, one of the two")
        strange = next((name for name in given if name not in FIELDS), None)
        if strange is not None:
            self._problem(
                f".{read.shown(strange)}", f"is not a field of an attachment; the fields are {', '.join(FIELDS)}"
            )
        if "filename" not in given and found.path:
            found = replace(found, filename=_last_segment(found.path))
        if not (found.filename or found.content_id or "filename" in given):
            self._problem(".filename", f"is required: 1 to {FILENAME} characters")
        if self._problems:
            raise InvalidMessage(tuple(self._problems))
        return found


def _last_segment(url: str) -> str:
    try:
        return filename(unquote(urlsplit(url).path.rpartition("/")[2]))
    except ValueError:
        return ""


def filename(value: object) -> str:
    """The name of a file: no path, no white space around it, nothing that turns the direction of what is shown."""
    name = read.line(value, FILENAME).strip()
    if not name:
        raise BadValueError("is nothing but white space")
    if len(name.encode()) > FILENAME:
        raise BadValueError(f"takes {len(name.encode())} bytes in UTF-8; at most {FILENAME} are allowed")
    if "/" in name or "\\" in name or name in {".", ".."}:
        raise BadValueError("must be the name of a file without a folder: no / and no \\")
    found = _DECEIVING.search(name)
    if found:
        raise BadValueError(f"contains a mark that turns the direction of writing (U+{ord(found[0]):04X}); remove it")
    return name


def content_type(value: object) -> str:
    """A MIME type, with parameters if any: `application/pdf`, `text/calendar; method=REQUEST`."""
    given = read.line(value, _TYPE)
    found = _MEDIA.fullmatch(given)
    if not found:
        raise BadValueError("is not a MIME type such as application/pdf, with parameters or without")
    kind, parameters = found[1].lower(), found[2]
    if kind.startswith(("multipart/", "message/")):
        raise BadValueError(f"cannot be {kind}, which is no file; application/octet-stream carries anything")
    names = [name.lower() for name in _PARAMETER.findall(parameters)]
    if len(names) > len(set(names)) or not _OURS.isdisjoint(names):
        raise BadValueError("has a parameter twice, or one that the hub sets itself (name, boundary)")
    return kind + "".join(_PARAMETER.sub(lambda match: f"; {match[1].lower()}=", parameters))


def content_id(value: object) -> str:
    """What the html calls the file by, after `cid:`; angle brackets around it are taken off."""
    found = read.string(value).removeprefix("<").removesuffix(">")
    if not _CONTENT_ID.fullmatch(found):
        raise BadValueError("must be 1 to 200 letters, digits or any of . _ - @ + and the like, without space")
    return found


def path(value: object) -> str:
    """The https URL of a file to fetch; where it leads is checked when it is fetched."""
    found = read.line(value, _URL)
    if not found.isascii() or " " in found or not found.lower().startswith("https://"):
        raise BadValueError("must be a URL that begins with https://, in ASCII")
    return found


def content(value: object, most_bytes: int) -> bytes:
    """The bytes of base64 text (white space in it does not count) or of a list of numbers from 0 to 255.

    Raises BadValueError, before anything is decoded when the message would be larger than `most_bytes`.
    """
    size = _carried([value], most_bytes)
    if size > most_bytes:
        raise BadValueError(
            f"makes a message of at least {size} bytes; the limit is {most_bytes} (EMAILHUB_MAX_MESSAGE_SIZE)"
        )
    numbers = _numbers(value)
    if numbers is not None:
        return _of_numbers(numbers)
    if not isinstance(value, str):
        raise BadValueError("must be a string of base64")
    return _decoded(value)


def _carried(contents: list[object], most_bytes: int) -> int:
    """The least bytes that what `contents` hold takes in a message; may say more when that is within `most_bytes`."""
    size = sum(_in_lines(_length(value) if isinstance(value, str) else _length(value) * 4 // 3) for value in contents)
    if size <= most_bytes:
        return size
    # White space in base64 does not count. Finding it in megabytes takes a while, and is hardly ever needed.
    return size - sum(_in_lines(sum(map(value.count, _BLANKS))) for value in contents if isinstance(value, str))


def _in_lines(characters: int) -> int:
    return characters + characters // 76 * 2


def _length(value: object) -> int:
    """How many characters of base64, or how many numbers."""
    return len(value) if isinstance(value, str) else len(_numbers(value) or ())


def _numbers(value: object) -> list[object] | None:
    """The list of bytes that some client libraries send; one wraps it: `{"type": "Buffer", "data": […]}`."""
    if isinstance(value, Mapping) and value.get("type") == "Buffer":
        value = value.get("data")
    return value if isinstance(value, list) else None


def _of_numbers(numbers: list[object]) -> bytes:
    step = SLICE // 8
    try:
        return b"".join([bytes(numbers[at : at + step]) for at in range(0, len(numbers), step)])  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise BadValueError("must be a string of base64, or a list of numbers from 0 to 255") from None


def _decoded(text: str) -> bytes:
    try:
        return _strict(text)
    except (Base64Error, ValueError):
        text = "".join(["".join(text[at : at + SLICE].split()) for at in range(0, len(text), SLICE)])
    try:
        return _strict(text)
    except (Base64Error, ValueError):
        raise BadValueError(_flaw(text)) from None


def _strict(text: str) -> bytes:
    """What `text` holds. Raises binascii.Error or ValueError, for white space too."""
    if text.find("=", 0, -2) >= 0:
        raise Base64Error  # each slice may end with padding, and only the last one is allowed to
    return b"".join([a2b_base64(text[at : at + SLICE], strict_mode=True) for at in range(0, len(text), SLICE)])


def _flaw(text: str) -> str:
    end = text.find("=", 0, -2)
    if end >= 0:
        return f"is not base64: it goes on after the padding at character {end + 1}"
    if len(text) % 4:
        return f"is not base64: its {len(text)} characters are not a multiple of 4, it may be cut off"
    return "is not base64: only A to Z, a to z, 0 to 9, + and / are allowed, with = at the end"
