"""Request bodies, read strictly: what is not JSON exactly as RFC 8259 has it is a 4xx, never a surprise later."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import json
import math
import re
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NoReturn

from litestar.exceptions import InternalServerException

from emailhub.core import values
from emailhub.core.errors import InvalidMessage, Problem
from emailhub.core.fields import shown
from emailhub.core.slices import text_of, utf8
from emailhub.web.errors import WebError
from emailhub.web.lifting import NotPutBackError, decode, lifted
from emailhub.web.visit import AnyRequest

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_CHARSET = re.compile(r"charset\s*=\s*\"?([^\s\";]+)", re.IGNORECASE)
_MEDIA = "application/json"
_DEPTH = 64
_FIELDS = 200
_HEAVY = 256 * 1024
"""Bytes from which a body is read in a thread: millions of tiny values would stall every other request."""
_SLICE = 1024 * 1024
"""Bytes that are looked at in one go: meanwhile no other thread runs, the event loop included."""
_SMALL = 16 * 1024
"""Bytes up to which going through the values is cheaper than searching the body for what they may hold."""
_MANY = 32
"""Pieces of a body, of up to 64 KiB each, that are no longer put together at once."""


class _JsonError(ValueError):
    """JSON that is well-formed for some parsers and not for others; the text says what."""


async def read_object(request: AnyRequest) -> dict[str, object]:
    """The JSON object in the body. Raises WebError (400, 415) or InvalidMessage (422: not an object, broken text)."""
    require_json(request.headers.get("content-type", ""))
    return await object_in(await read_bytes(request))


async def object_in(body: bytes) -> dict[str, object]:
    """The JSON object `body` is. Raises as `read_object`."""
    return as_object(await _document(body))


async def read_list(request: AnyRequest, most: int) -> list[object]:
    """The JSON list of 1 to `most` items in the body. Raises as `read_object`."""
    require_json(request.headers.get("content-type", ""))
    document = await _document(await read_bytes(request))
    if not isinstance(document, list):
        raise InvalidMessage((Problem("$", f"must be a JSON list of 1 to {most} messages"),))
    if not 1 <= len(document) <= most:
        raise InvalidMessage((Problem("$", f"is a list of {len(document)} messages; it has 1 to {most}"),))
    return document


def as_object(document: object) -> dict[str, object]:
    """`document` as a JSON object. Raises InvalidMessage when it is none or has too many fields."""
    if not isinstance(document, dict):
        kind = "null" if document is None else type(document).__name__
        raise InvalidMessage((Problem("$", f"must be a JSON object with the fields of the request, not {kind}"),))
    if len(document) > _FIELDS:
        raise InvalidMessage((Problem("$", f"has {len(document)} fields; at most {_FIELDS} are read"),))
    return document


async def _document(body: bytes) -> object:
    return await asyncio.to_thread(parsed, body) if len(body) > _HEAVY else parsed(body)


async def read_optional_object(request: AnyRequest) -> dict[str, object]:
    """Like `read_object`; an empty body is an empty object, also where the header calls it JSON, as some clients do."""
    given = request.headers.get("content-type")
    if given is not None:
        require_json(given)
    if not await read_bytes(request):
        return {}
    return await read_object(request)


async def read_bytes(request: AnyRequest) -> bytes:
    """The body. Raises HTTPException (413) above the limit and WebError (400) when the client went away."""
    try:
        return await request.body()
    except InternalServerException:
        raise WebError(400, "validation_error", "The connection ended before the whole body had arrived.") from None


async def joined(parts: list[bytes]) -> bytes:
    """All of them as one; megabytes are put together in a thread, which does that without the interpreter's lock."""
    if len(parts) < _MANY:
        return b"".join(parts)
    return await asyncio.to_thread(b"".join, parts)


def require_json(content_type: str) -> None:
    """Raise WebError (415) unless the header says JSON in UTF-8."""
    if content_type != _MEDIA:
        _require(content_type, _MEDIA)


def require_media(request: AnyRequest, media: str) -> None:
    """Raise WebError (415) unless the body is of the type `media`, in UTF-8.

    A browser sends other types across sites without asking first, so this is part of the defence against forgery.
    """
    _require(request.headers.get("content-type", ""), media)


def _require(content_type: str, media: str) -> None:
    given, _, parameters = content_type.partition(";")
    charset = _CHARSET.search(parameters)
    if given.strip().lower() != media or (charset and charset[1].lower() not in {"utf-8", "utf8", "us-ascii"}):
        raise WebError(415, "unsupported_media_type", f"Send the body as `Content-Type: {media}`, in UTF-8.")


def parsed(body: bytes) -> object:
    """What the JSON in `body` says; for a large one in a thread. Raises WebError (400), InvalidMessage."""
    if len(body) > _HEAVY:
        if values.too_many(body):
            raise InvalidMessage((Problem("$", f"has more than {values.MOST:,} values; no message needs so many"),))
        rest, strings = lifted(body)
        if strings:
            # What is wrong is told by the whole body, where it has its line and column.
            with contextlib.suppress(WebError, NotPutBackError):
                return _read(rest, partial(decode, strings=strings, decoder=_decoding))
    return _read(body, _decoder.decode)


def _read(body: bytes, reader: Callable[[str], object]) -> object:
    text = _decoded(body.removeprefix(BOM_UTF8))
    if not text or text.isspace():
        raise _malformed("it is empty")
    try:
        document = reader(text)
    except RecursionError:
        raise _malformed("it is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise _malformed(f"{error.msg}, line {error.lineno} column {error.colno}") from None
    except _JsonError as error:
        raise _malformed(str(error)) from None
    if _may_be_deep(body) and _deeper(document, _DEPTH):
        raise _malformed("it is nested too deeply")
    if _may_be_broken(body) and any(map(_broken, _texts(document))):
        _refuse_surrogates(document)
    return document


def _may_be_deep(body: bytes) -> bool:
    """Whether looking at all that was read is worth it; for a small body counting takes longer than that."""
    if len(body) <= _SMALL:
        return True
    return sum(body.count(b"[", *part) + body.count(b"{", *part) for part in _slices(body)) > _DEPTH


def _may_be_broken(body: bytes) -> bool:
    """Whether some text may have half of a surrogate pair in it."""
    if len(body) <= _SMALL:
        return True
    # An escape may begin in one slice and end in the next.
    return (len(body) > _SLICE or b"\\u" in body) and any(
        _SURROGATE.search(body, start, end + 5) for start, end in _slices(body)
    )


def _decoded(body: bytes) -> str:
    if len(body) <= _SLICE:
        try:
            return body.decode()
        except UnicodeDecodeError as error:
            raise _malformed(f"byte {error.start} is not UTF-8") from None
    decoder = codecs.getincrementaldecoder("utf-8")()
    pieces = []
    for start, end in _slices(body):
        try:
            pieces.append(decoder.decode(body[start:end], final=end == len(body)))
        except UnicodeDecodeError as error:
            # What it tells counts from the character that the slice before has begun.
            raise _malformed(f"byte {end - len(error.object) + error.start} is not UTF-8") from None
    return text_of(pieces)


def _slices(body: bytes) -> Iterator[tuple[int, int]]:
    """Where each slice begins and ends."""
    for start in range(0, len(body), _SLICE):
        yield start, min(start + _SLICE, len(body))


def _deeper(document: object, most: int) -> bool:
    """Whether containers are nested deeper than `most`: some later step would be recursive and run out of stack."""
    layer: list[object] = [document]
    for _ in range(most + 1):
        layer = [item for value in layer if isinstance(value, list | dict) for item in _items(value)]
        if not layer:
            return False
    return True


def _items(value: list[object] | dict[str, object]) -> Iterable[object]:
    return value.values() if isinstance(value, dict) else value


def _malformed(why: str) -> WebError:
    return WebError(400, "validation_error", f"The body is not valid JSON: {why}.", (Problem("$", why),))


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise _JsonError(f"the field {shown(twice)!r} is given twice")
    return found


def _constant(name: str) -> NoReturn:
    raise _JsonError(f"{name} is not a JSON number")


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise _JsonError("a number is too large")
    return value


def _int(digits: str) -> int:
    # Python itself refuses to read more than 4,300 digits, with an error of its own; no field needs more than 64 bits.
    if len(digits) > 20:
        raise _JsonError("a number is too large")
    return int(digits)


def _decoding(finish: Callable[[dict[str, object]], dict[str, object]] | None = None) -> json.JSONDecoder:
    """A strict decoder; `finish` is given each object when it is made."""
    hook = _object if finish is None else lambda pairs: finish(_object(pairs))
    return json.JSONDecoder(object_pairs_hook=hook, parse_constant=_constant, parse_float=_float, parse_int=_int)


# Made once: `json.loads` with these would make one for every body.
_decoder = _decoding()


def _refuse_surrogates(document: object) -> None:
    """Half of a surrogate pair is no character: it cannot be stored or sent (RFC 8259 §8.2)."""
    fields = document.items() if isinstance(document, dict) else [("$", document)]
    problems = [
        Problem(shown(name), "contains half of a surrogate pair (\\ud800 to \\udfff), which is no character")
        for name, value in fields
        if any(_broken(text) for text in (name, *_texts(value)))
    ]
    if problems:
        raise InvalidMessage(tuple(problems))


def _texts(value: object) -> Iterator[str]:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            waiting += [*item.keys(), *item.values()]
        elif isinstance(item, list):
            waiting += item


def _broken(text: str) -> bool:
    if text.isascii():
        return False
    try:
        utf8(text)
    except UnicodeEncodeError:
        return True
    return False
