"""Messages given as JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec
from litestar import Response, post

from emailhub.core import attachment, parse
from emailhub.core.errors import InvalidMessage, Problem
from emailhub.core.fields import KEY
from emailhub.core.message import Key, Submission
from emailhub.core.records import Receipt
from emailhub.engine.intake import HEAVY
from emailhub.web.body import read_object
from emailhub.web.errors import WebError, missing
from emailhub.web.faces import API, Faces, GivenFaces
from emailhub.web.lanes import Asked, Header, Lane
from emailhub.web.shapes import Accepted
from emailhub.web.visit import AnyRequest, Visit, visit

REPLAYED: Final = {"Idempotency-Replayed": "true"}
_REPLAYED: Final = ((b"idempotency-replayed", b"true"),)
_TEXTS: Final = ("text", "html", "body")


@post("/emails", status_code=200)
async def send(request: AnyRequest, faces: GivenFaces) -> Response[Accepted]:
    """Take a message; the answer comes once it is durable. A replayed key answers with the first message's id."""
    key = key_of(request)
    receipt = await _take(await read_object(request), faces, visit(request), key)
    return Response(Accepted(receipt.id), headers=REPLAYED if receipt.replayed else None)


def lanes(faces: Faces) -> dict[str, Lane]:
    """The short way of `send`."""

    async def answer(asked: Asked) -> tuple[bytes, Sequence[Header]]:
        key = _key(asked.headers.get("idempotency-key"))
        receipt = await _take(await asked.fields(), faces, asked.visit, key)
        return msgspec.json.encode(Accepted(receipt.id)), _REPLAYED if receipt.replayed else ()

    return {"/emails": Lane(answer)}


async def _take(fields: dict[str, object], faces: Faces, seen: Visit, key: Key | None) -> Receipt:
    return await faces.intake.accept(await read(fields, faces, key), seen.origin(API))


async def read(fields: dict[str, object], faces: Faces, key: Key | None = None) -> Submission:
    """The message `fields` describe. Raises InvalidMessage, MissingFields when nothing else is wrong."""
    try:
        return await _read(fields, faces, key)
    except InvalidMessage as error:
        raise missing(error, fields) from None


def key_of(request: AnyRequest) -> Key | None:
    """The idempotency key in the header. Raises WebError (400)."""
    given = request.headers.getall("idempotency-key", [])
    return _key(", ".join(given) if given else None)


async def _read(fields: dict[str, object], faces: Faces, key: Key | None) -> Submission:
    limits, now = faces.intake.limits, faces.now()
    texts = sum(len(text) for text in map(fields.get, _TEXTS) if isinstance(text, str))
    if texts + attachment.weight(fields.get("attachments")) > HEAVY:
        return await asyncio.to_thread(parse.submission, fields, limits, now=now, key=key)
    return parse.submission(fields, limits, now=now, key=key)


def _key(value: str | None) -> Key | None:
    """The key in the header; one that is given more than once comes joined by a comma and a space, which no key has."""
    if value is None:
        return None
    if not KEY.fullmatch(value):
        text = "The header Idempotency-Key must be 1 to 256 visible ASCII characters, given once."
        raise WebError(400, "invalid_idempotency_key", text, (Problem("Idempotency-Key", "is not a valid key"),))
    return Key(value)


HANDLERS: Final = (send,)
