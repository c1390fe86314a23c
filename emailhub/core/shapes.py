"""What other services publish to the request queue, read as the fields of a message.

Nobody agreed on a body: see `aliases` for the names that are understood. Unlike over HTTP, unknown fields are ignored:
a body usually carries its publisher's own bookkeeping.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

from msgspec import DecodeError, Struct, field, json

from emailhub.core import aliases, values
from emailhub.core.aliases import identifier, snake
from emailhub.core.fields import REQUEST_ID, shown
from emailhub.core.message import Key

DEPTH = 64
"""Levels of arrays and objects a body may have."""
RETURNED = "x-emailhub-id"
"""The header our own dead letters carry."""

_TOO_DEEP = f"it is nested more than {DEPTH} levels deep"
_BINARY = {
    b"\xac\xed": "it is a serialised Java object; publish JSON",
    b"\x1f\x8b": "it is compressed with gzip; publish plain JSON",
    b"{'": "it is a printed Python dict, not JSON; publish json.dumps(…)",
}


class Properties(Struct, frozen=True, kw_only=True):
    """What AMQP says about a delivery, apart from its body. None or "" where the publisher set nothing."""

    content_type: str | None = None
    correlation_id: str | None = None
    message_id: str | None = None
    headers: dict[str, object] = field(default_factory=dict)
    redelivered: bool = False
    routing_key: str = ""

    @property
    def returned(self) -> bool:
        """Whether the delivery is one of our own dead letters coming back, and so never a new request."""
        return any(name.lower() == RETURNED for name in self.headers)

    def header(self, *names: str) -> str | None:
        """The first of the headers `names`, in any case, that holds a text or a number."""
        by_name = {name.lower(): value for name, value in self.headers.items()}
        return next((found for name in names if (found := identifier(by_name.get(name)))), None)


class Request(Struct, frozen=True, kw_only=True):
    """A body that was understood. `fields` and `key` are for `parse.submission`, which still may refuse them.

    `key` is None when the publisher gave no id; then a redelivery is recognised by `body_hash` ("sha256:" and hex).
    `pattern` is the name in a NestJS envelope, else "".
    """

    fields: dict[str, object]
    key: Key | None
    body_hash: str
    correlation_id: str | None
    request_id: str | None
    pattern: str = ""


class Unreadable(Struct, frozen=True, kw_only=True):
    """A body that is no request for e-mail. `reason` says why and what to do, without repeating its content."""

    reason: str
    body_hash: str
    correlation_id: str | None
    request_id: str | None


def read(body: bytes, properties: Properties) -> Request | Unreadable:
    """What `body` asks for, whatever its content type says; never raises. The caller has bounded its size."""
    body_hash = f"sha256:{sha256(body).hexdigest()}"
    order: dict[str, object] = {}
    try:
        pattern, order = _unwrap(_decode(body))
        order = snake(order)
        fields = aliases.fields(order)
    except aliases.NotARequestError as error:
        request_id = _short(_request_id(order, properties))
        correlation_id = _correlation_id(order, properties)
        return Unreadable(reason=str(error), body_hash=body_hash, correlation_id=correlation_id, request_id=request_id)
    request_id, idempotency_key = _request_id(order, properties), _idempotency_key(order, properties)
    fields |= {"request_id": request_id} if request_id else {}
    fields |= {"idempotency_key": idempotency_key} if idempotency_key else {}
    return Request(
        fields=fields,
        key=_key(order, properties, idempotency_key or request_id),
        body_hash=body_hash,
        correlation_id=_correlation_id(order, properties),
        request_id=_short(request_id),
        pattern=pattern,
    )


def _decode(body: bytes) -> dict[str, object]:
    body = body.removeprefix(b"\xef\xbb\xbf")
    if not body.strip():
        raise aliases.NotARequestError("it is empty")
    if values.too_many(body):
        raise aliases.NotARequestError(f"it has more than {values.MOST:,} values; no message needs so many")
    try:
        found = json.decode(body)
    except RecursionError:
        raise aliases.NotARequestError(_TOO_DEEP) from None
    except UnicodeDecodeError:
        raise aliases.NotARequestError(_binary(body) or "it is not UTF-8; publish JSON in UTF-8") from None
    except DecodeError as error:
        raise aliases.NotARequestError(_binary(body) or f"it is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise aliases.NotARequestError("it is JSON but not an object with fields such as to, subject and body")
    if _deep(found):
        raise aliases.NotARequestError(_TOO_DEEP)
    return found


def _binary(body: bytes) -> str:
    return next((reason for start, reason in _BINARY.items() if body.startswith(start)), "")


def _deep(found: object) -> bool:
    level = [found]
    for _ in range(DEPTH + 1):
        containers = [item for item in level if isinstance(item, (dict, list))]
        level = [inner for item in containers for inner in (item.values() if isinstance(item, dict) else item)]
        if not level:
            return False
    return True


def _unwrap(found: dict[str, object]) -> tuple[str, dict[str, object]]:
    """The order inside a NestJS message {pattern, data} or a response {success, data, …}, one level, else `found`."""
    data = found.get("data")
    if not isinstance(data, dict):
        return "", found
    if "pattern" in found and found.keys() <= {"pattern", "data", "id", "options"}:
        pattern = found["pattern"]
        return shown(pattern if isinstance(pattern, str) else json.encode(pattern).decode()), data
    if "success" in found and found.keys() <= {"success", "data", "message", "error", "meta"}:
        return "", data
    return "", found


def _short(value: str | None) -> str | None:
    return value if value and len(value) <= REQUEST_ID and value.isprintable() else None


def _request_id(order: Mapping[str, object], properties: Properties) -> str | None:
    return identifier(order.get("request_id")) or properties.header("request_id", "x-request-id")


def _correlation_id(order: Mapping[str, object], properties: Properties) -> str | None:
    candidates = (
        identifier(properties.correlation_id),
        properties.header("x-correlation-id", "correlation_id"),
        identifier(order.get("correlation_id")),
        _request_id(order, properties),
        identifier(order.get("notification_id")),
    )
    return next((found for found in candidates if _short(found)), None)


def _idempotency_key(order: Mapping[str, object], properties: Properties) -> str | None:
    names = ("idempotency_key", "idempotency-key", "x-idempotency-key")
    return identifier(order.get("idempotency_key")) or properties.header(*names)


def _key(order: Mapping[str, object], properties: Properties, explicit: str | None) -> Key | None:
    """The `explicit` id, made for one request; else one that usually is, and counts only together with equal content.

    Never the address and never `user_id`: the second mail to a person would be taken for the first.
    """
    if explicit:
        return Key(explicit)
    implicit = (
        ("notification_id", order.get("notification_id")),
        ("id", order.get("id")),
        ("amqp", properties.message_id),
    )
    found = next(((kind, value) for kind, given in implicit if (value := _short(identifier(given)))), None)
    return Key(f"{found[0]}:{found[1]}", explicit=False) if found else None
