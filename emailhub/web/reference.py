"""`/docs`: the API on one page for people, which needs nothing from elsewhere; `/schema/openapi.json`: for tools."""

from __future__ import annotations

import gzip
import json
from functools import lru_cache
from typing import Any

from litestar import Response, Router, get
from msgspec import Struct

from emailhub.engine.gate import Area
from emailhub.web.faces import GivenFaces
from emailhub.web.openapi import body_example, document
from emailhub.web.operations import DOCUMENT, OPERATIONS, STREAM, Input, Operation
from emailhub.web.pages.paper import GivenPaper
from emailhub.web.visit import AnyRequest

_OPENERS = {
    Area.OPEN: "no credential",
    Area.SEND: "API key, or a network in EMAILHUB_OPEN_SEND",
    Area.API: "API key or dashboard log-in",
    Area.SHARED: "API key or dashboard log-in",
}


class FieldView(Struct, frozen=True):
    """A field as the page shows it; `link` is the shape its type names."""

    name: str
    type: str
    meaning: str
    required: bool = False
    link: str = ""
    place: str = ""


class OperationView(Struct, frozen=True):
    """An operation as the page shows it.

    `body` is an example of what it takes, `more` what may be added to that: names, and each as JSON. An answer that is
    `endless` is a stream, which no form can show.
    """

    anchor: str
    operation: Operation
    opener: str
    inputs: tuple[FieldView, ...]
    fields: tuple[FieldView, ...]
    answer: str
    example: str
    base: str
    errors: tuple[str, ...]
    told: str = ""
    body: str = ""
    more: tuple[tuple[str, str], ...] = ()
    endless: bool = False


class ShapeView(Struct, frozen=True):
    """A shape as the page shows it: the fields of an object, or the values of an enumeration."""

    name: str
    meaning: str
    fields: tuple[FieldView, ...]
    values: tuple[str, ...]


@lru_cache(maxsize=1)
def _document(public_url: str) -> dict[str, Any]:
    """The document, which nobody changes: to make it takes longer than to show it."""
    return document(public_url)


@get("/schema/openapi.json")
async def openapi_document(faces: GivenFaces) -> Response[dict[str, Any]]:
    """The API as an OpenAPI 3.1 document."""
    return Response(_document(faces.options.public_url), media_type=DOCUMENT)


@get("/docs")
async def reference(request: AnyRequest, faces: GivenFaces, paper: GivenPaper) -> Response[str] | Response[bytes]:
    """The same for people."""
    found = _document(faces.options.public_url)
    schemas = found["components"]["schemas"]
    base = faces.options.public_url or f"{request.url.scheme}://{request.headers.get('host', 'localhost')}"
    views = [_view(operation, found, base.rstrip("/")) for operation in OPERATIONS]
    groups = {tag["name"]: [view for view in views if view.operation.group == tag["name"]] for tag in found["tags"]}
    requests = {operation.body.__name__ for operation in OPERATIONS if operation.body}
    shapes = [_shape(name, schema) for name, schema in schemas.items() if name not in requests]
    page = await paper.page(
        request,
        "reference.html",
        section="/docs",
        introduction=found["info"]["description"],
        groups=groups,
        shapes=shapes,
        errors=_errors(found),
    )
    return _packed(page) if "gzip" in request.headers.get("accept-encoding", "") else page


def _packed(page: Response[str]) -> Response[bytes]:
    """The page, gzipped: unpacked it has a third of a megabyte. It holds no secret that its length could tell."""
    headers = page.headers | {"content-encoding": "gzip", "vary": f"{page.headers['vary']}, accept-encoding"}
    content = gzip.compress(page.content.encode(), 6)
    return Response(content, headers=headers, media_type="text/html; charset=utf-8", cookies=page.cookies)


def router() -> Router:
    """The routes of this module that need no page."""
    return Router("/", route_handlers=[openapi_document])


def _view(operation: Operation, found: dict[str, Any], base: str) -> OperationView:
    schemas = found["components"]["schemas"]
    body = schemas[operation.body.__name__] if operation.body else {}
    described = found["paths"][operation.path][operation.method]
    told = described["responses"]["200"]["content"].get("application/json")
    example = body_example(operation, schemas) if operation.body else None
    return OperationView(
        anchor=f"{operation.method}-{operation.path.strip('/').replace('/', '-').replace('{', '').replace('}', '')}",
        operation=operation,
        opener=_OPENERS[operation.area],
        inputs=tuple(_input(given) for given in operation.inputs),
        fields=_fields(body),
        answer=operation.answer if isinstance(operation.answer, str) else operation.answer.__name__,
        example=_example(operation, schemas, base),
        base=base,
        errors=tuple(status for status in described["responses"] if status != "200"),
        told=_pretty(told["example"]) if told else "",
        body=_pretty(example) if operation.body else "",
        more=_more(body, example),
        endless=operation.answer == STREAM,
    )


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _more(schema: dict[str, Any], example: Any) -> tuple[tuple[str, str], ...]:
    given = example[0] if isinstance(example, list) and example else example or {}
    return tuple(
        (name, json.dumps({name: field["examples"][0]}, ensure_ascii=False))
        for name, field in schema.get("properties", {}).items()
        if name not in given and field.get("examples")
    )


def _input(given: Input) -> FieldView:
    type_name, link = _type(given.schema)
    kind = f"{given.place}, {type_name}"
    return FieldView(given.name, kind, given.meaning, given.required, link, given.place)


def _fields(schema: dict[str, Any]) -> tuple[FieldView, ...]:
    required = set(schema.get("required", ()))
    found = []
    for name, field in schema.get("properties", {}).items():
        type_name, link = _type(field)
        found.append(FieldView(name, type_name, _meaning(field), name in required, link))
    return tuple(found)


def _meaning(field: dict[str, Any]) -> str:
    inner = [option.get("description", "") for option in field.get("anyOf", ())]
    return field.get("description") or next(filter(None, inner), "")


def _type(field: dict[str, Any]) -> tuple[str, str]:
    """The type in words, and the shape it names."""
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return name, name
    if "anyOf" in field:
        # Every optional field may be null; said once above, not in each row.
        options = [_type(option) for option in field["anyOf"] if option.get("type") != "null"]
        return " or ".join(dict.fromkeys(name for name, _ in options)), next((link for _, link in options if link), "")
    if "enum" in field:
        return " | ".join(json.dumps(value) for value in field["enum"]), ""
    if field.get("type") == "array":
        name, link = _type(field.get("items", {}))
        return f"list of {name}", link
    return str(field.get("type", "any")), ""


def _shape(name: str, schema: dict[str, Any]) -> ShapeView:
    meaning = schema.get("description", "") if "properties" in schema else ""
    return ShapeView(name, meaning, _fields(schema), tuple(schema.get("enum", ())))


def _errors(found: dict[str, Any]) -> list[tuple[str, str]]:
    return [(status, response["description"]) for status, response in found["components"]["responses"].items()]


def _example(operation: Operation, schemas: dict[str, Any], base: str) -> str:
    """A command that a reader can paste."""
    plain = operation.method == "get" or (operation.method == "post" and operation.body)
    verb = "" if plain else f"-X {operation.method.upper()} "
    lines = [f"curl {verb}{base}{operation.path}"]
    if operation.area is not Area.OPEN:
        lines.append('-H "Authorization: Bearer $EMAILHUB_API_KEY"')
    if operation.body:
        lines.append('-H "Content-Type: application/json"')
        lines.append(f"-d '{json.dumps(body_example(operation, schemas))}'")
    return " \\\n  ".join(lines)
