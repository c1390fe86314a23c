"""The API as an OpenAPI 3.1 document, made from the table of operations and the shapes they name."""

from __future__ import annotations

from typing import Any

import msgspec

from emailhub import __version__
from emailhub.core.delivery import State
from emailhub.engine.gate import Area
from emailhub.web import bulk_requests, key_requests, letter_requests, scopes, template_requests, user_requests
from emailhub.web.errors import NAMES, ErrorBody
from emailhub.web.links import links, name
from emailhub.web.operations import OPERATIONS, Input, Operation
from emailhub.web.operations.operation import KEY
from emailhub.web.requests import NEEDS, shapes_sent
from emailhub.web.samples import sample
from emailhub.web.sendable import closed, example

_INTRODUCTION = (
    "Messages in over HTTP, carried to your SMTP provider. Every error has the same shape; `name` is stable and made "
    "for programs, `errors` names each field with a sentence. 429 and 503 carry `Retry-After`."
)
_MEANINGS = {
    400: "The request cannot be read.",
    401: "A credential is missing.",
    403: "The credential is not accepted, lacks the scope, or the face is closed.",
    404: "There is no such thing.",
    408: "The request did not arrive in time.",
    409: "The key was used with other content, or the state does not allow it.",
    413: "The body is too large.",
    415: "The body is not plain JSON.",
    421: "The Host is not one of this hub.",
    422: "Fields or parameters break rules; each is named.",
    429: "Too many requests or messages with this key (its rate, its day quota or EMAILHUB_API_RATE); come back after "
    "`Retry-After`.",
    500: "A fault in emailhub.",
    503: "Not now: too much waits, the disk is nearly full, or the hub is stopping; come back after `Retry-After`.",
}
_ALWAYS = (400, 408, 421, 500, 503)
_GUARDED = {Area.OPEN: (), Area.SEND: (401, 403, 429), Area.API: (401, 403, 429), Area.SHARED: (401, 403)}
"""What may be answered before an operation of an area begins."""
_WAITS = frozenset({429, 503})
_WHOLE = {"type": "integer", "minimum": 0}
_RATE: dict[str, Any] = {
    "RateLimit-Limit": {"description": "requests that the tightest rate allows in its span", "schema": _WHOLE},
    "RateLimit-Remaining": {"description": "how many of them are left", "schema": _WHOLE},
    "RateLimit-Reset": {"description": "seconds until there are more", "schema": _WHOLE},
    "RateLimit-Policy": {
        "description": "that rate and its span in seconds, such as `10;w=1`",
        "schema": {"type": "string"},
    },
}
"""On every answer to a caller whom a rate holds."""
_REPLAYED: dict[str, Any] = {
    "Idempotency-Replayed": {
        "description": "`true`: a request with this key came before, and this is its answer",
        "schema": {"const": "true"},
    }
}
_SHOWN = frozenset({"to", "subject", "text", "reason", "transient", "slow", "delay"})
"""Optional fields that an example has anyway."""
_EXAMPLES = {
    422: {
        "statusCode": 422,
        "name": "validation_error",
        "message": "to[1]: 'nobody' is not an e-mail address: it needs an @",
        "errors": [{"field": "to[1]", "message": "'nobody' is not an e-mail address: it needs an @"}],
    },
}
_REF = "#/components/schemas/{name}"


def document(public_url: str | None) -> dict[str, Any]:
    """The document; `public_url` is where clients reach the hub."""
    shapes = [
        shape for operation in OPERATIONS for shape in (operation.body, operation.answer) if isinstance(shape, type)
    ]
    _, components = msgspec.json.schema_components([*shapes, ErrorBody, State], ref_template=_REF)
    needs = NEEDS | template_requests.NEEDS | user_requests.NEEDS | bulk_requests.NEEDS
    others = (template_requests, key_requests, user_requests, bulk_requests, letter_requests)
    for sent in (*shapes_sent(), *(one for module in others for one in module.SENT)):
        if sent.__name__ in components:
            components[sent.__name__] = closed(components[sent.__name__], needs.get(sent))
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation, components)
    return {
        "openapi": "3.1.0",
        "info": {"title": "emailhub", "version": __version__, "description": _INTRODUCTION},
        "servers": [{"url": (public_url or "/").rstrip("/") or "/"}],
        "tags": [{"name": group} for group in dict.fromkeys(operation.group for operation in OPERATIONS)],
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": {str(status): _error(status, text) for status, text in _MEANINGS.items()},
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "A key of the hub."},
            },
        },
        "security": [{"key": []}, {}],
    }


def body_example(operation: Operation, components: dict[str, Any]) -> Any:
    """What may be sent to `operation`."""
    assert operation.body is not None
    found = example(components[operation.body.__name__], _SHOWN)
    return [found] if operation.most else found


def _operation(operation: Operation, components: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": name(operation),
        "tags": [operation.group],
        "summary": operation.summary,
        "responses": _responses(operation, components),
    }
    if meaning := " ".join(filter(None, (operation.meaning, _scope(operation)))):
        found["description"] = meaning
    if operation.inputs:
        found["parameters"] = [_parameter(given) for given in operation.inputs]
    if operation.body:
        content = _body(operation.body, operation.most)
        content["application/json"]["example"] = body_example(operation, components)
        found["requestBody"] = {"required": not operation.body_optional, "content": content}
    if operation.area is Area.OPEN:
        found["security"] = []
    return found


def _scope(operation: Operation) -> str:
    """Which scope a key needs for it, in words."""
    need = scopes.needed(operation.path.rstrip("/") or "/", operation.method.upper())
    if not need or need == scopes.ANY:
        return ""
    return f"Needs the scope {scopes.words(need)}."


def _responses(operation: Operation, components: dict[str, Any]) -> dict[str, Any]:
    answer = operation.answer
    content = {answer: {"schema": {"type": "string"}}} if isinstance(answer, str) else _json(answer)
    if not isinstance(answer, str):
        content["application/json"]["example"] = sample(components[answer.__name__], components)
    statuses = {*operation.errors, *_ALWAYS, *_GUARDED[operation.area]}
    errors: dict[str, Any] = {str(status): {"$ref": f"#/components/responses/{status}"} for status in sorted(statuses)}
    if operation.area is Area.OPEN and 503 in operation.errors:
        errors["503"] = {"description": "As above, and not well.", "content": content}
    done: dict[str, Any] = {"description": "Done.", "content": content}
    if KEY in operation.inputs:
        done["headers"] = _REPLAYED
    if found := links(operation):
        done["links"] = found
    return {"200": done} | errors


def _parameter(given: Input) -> dict[str, Any]:
    return {
        "name": given.name,
        "in": given.place,
        "required": given.required,
        "description": given.meaning,
        "schema": given.schema,
    }


def _json(shape: type[msgspec.Struct]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{shape.__name__}"}}}


def _body(shape: type[msgspec.Struct], most: int) -> dict[str, Any]:
    if not most:
        return _json(shape)
    items = {"$ref": f"#/components/schemas/{shape.__name__}"}
    return {"application/json": {"schema": {"type": "array", "items": items, "minItems": 1, "maxItems": most}}}


def _error(status: int, text: str) -> dict[str, Any]:
    content = _json(ErrorBody)
    content["application/json"]["example"] = _EXAMPLES.get(status) or _example(status, text)
    found: dict[str, Any] = {"description": text, "content": content}
    if status in _WAITS:
        found["headers"] = {
            "Retry-After": {"description": "seconds to wait", "schema": {"type": "integer", "minimum": 1}}
        } | (_RATE if status == 429 else {})
    return found


def _example(status: int, text: str) -> dict[str, Any]:
    return {"statusCode": status, "name": NAMES[status], "message": text, "errors": []}
