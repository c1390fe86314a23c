"""Kinds of fields that requests have, with what JSON Schema can say of their limits."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta


def about(text: str, *examples: object, **schema: object) -> Meta:
    """The meaning of a field; `schema` is what JSON Schema can say of its limits."""
    return Meta(description=text, examples=list(examples) or None, extra_json_schema=schema or None)


def limited(**schema: object) -> Meta:
    return Meta(extra_json_schema=schema)


Mailbox = Annotated[str, limited(format="mailbox")]
"""`ada@example.org` or `Ada Lovelace <ada@example.org>`."""
Address = Annotated[str, limited(format="address")]
Addresses = Mailbox | list[Mailbox]
SomeAddresses = Mailbox | Annotated[list[Mailbox], limited(minItems=1)]
"""None is no answer to whom it goes; `cc` of nobody is one."""
Line = Annotated[str, limited(minLength=1, maxLength=4096)]
"""Text that goes into a header: no control character, no line break, not only spaces."""
Text = Annotated[str, limited(minLength=1)]
Moment = Annotated[str, limited(format="moment")] | Annotated[float, limited(minimum=0)]
"""As Instant, or plain words."""
Instant = Annotated[str, limited(format="date-time")] | Annotated[float, limited(minimum=0)]
"""ISO 8601 with a zone, or unix seconds; at most 366 days ahead."""
Duration = (
    Annotated[str, limited(pattern="^[0-9]{1,9}([.][0-9]{1,3})?[smhd]$")]
    | Annotated[float, limited(exclusiveMinimum=0, maximum=31622400)]
)
Share = Annotated[float, Meta(ge=0, le=1)]
Label = Annotated[str, limited(pattern="^[A-Za-z0-9_-]{1,256}$")]
Reason = Annotated[str, limited(maxLength=500)]
RequestId = Annotated[str, limited(minLength=1, maxLength=256)]
KEY_PATTERN = "^[!-~]{1,256}$"
CORRELATION = "^[A-Za-z0-9][A-Za-z0-9._:/+=@~-]{0,127}$"
HEADER_NAME = "^[A-Za-z][A-Za-z0-9-]{0,63}$"

SOMEBODY: dict[str, object] = {"anyOf": [{"type": "string"}, {"type": "array", "minItems": 1}]}
_NOT_NULL: dict[str, object] = {"not": {"type": "null"}}


def one_of(*names: str, there: dict[str, object] = _NOT_NULL) -> dict[str, object]:
    """At least one of the fields is `there`."""
    return {"anyOf": [{"required": [name], "properties": {name: there}} for name in names]}
