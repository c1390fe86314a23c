"""What a row of the table of operations says, and what several rows share."""

from __future__ import annotations

from msgspec import Struct

from emailhub.engine.gate import Area


class Input(Struct, frozen=True):
    """A parameter: `place` is query, path or header."""

    name: str
    place: str
    meaning: str
    schema: dict[str, object]
    required: bool = False


class Operation(Struct, frozen=True, kw_only=True):
    """One method of one address. `answer` is a shape, or the media type of an answer that is no JSON.

    With `most` the body is a list of 1 to so many of what `body` says.
    """

    method: str
    path: str
    group: str
    summary: str
    meaning: str = ""
    area: Area = Area.API
    inputs: tuple[Input, ...] = ()
    body: type[Struct] | None = None
    body_optional: bool = False
    most: int = 0
    answer: type[Struct] | str
    errors: tuple[int, ...] = ()


_KEY: dict[str, object] = {"type": "string", "pattern": "^[!-~]{1,256}$", "examples": ["invoice/4711"]}
STRING: dict[str, object] = {"type": "string"}
ID = Input("id", "path", "the message's id", STRING, required=True)
ATTACHMENT = Input("attachment_id", "path", "the number of the attachment, from 0", STRING, required=True)
KEY = Input("Idempotency-Key", "header", "1 to 256 visible ASCII characters; the same key never sends twice", _KEY)
BODY = (400, 413, 415, 422)
"""The errors of every operation that takes a body."""
