"""What an answer leads to: the operations on the thing it names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from emailhub.web.operations import OPERATIONS, Operation

_PARAMETER = re.compile(r"{(\w+)}")


def links(operation: Operation) -> dict[str, Any]:
    """The OpenAPI links of `operation`'s answer, by their names."""
    found: dict[str, Any] = {}
    for target in OPERATIONS:
        parameter = _below(operation, target)
        pointer = _pointer(operation, parameter) if parameter else None
        if parameter and pointer:
            found[name(target)] = {
                "operationId": name(target),
                "parameters": {parameter: f"$response.body#{pointer}"},
                "description": target.summary,
            }
    return found


def name(operation: Operation) -> str:
    """The operation's id in the document."""
    words = operation.path.strip("/").replace("{", "").replace("}", "").replace(".", "_").replace("/", "_")
    return f"{operation.method}_{words}"


def _below(operation: Operation, target: Operation) -> str | None:
    """The one parameter that `target`'s path has beyond the path of the collection `operation` answers for."""
    more = target.path.removeprefix(operation.path)
    if operation.path in more or not more.startswith("/{") or "{" in operation.path:
        return None
    parameters = _PARAMETER.findall(more)
    return parameters[0] if len(parameters) == 1 else None


def _pointer(operation: Operation, parameter: str) -> str | None:
    if isinstance(operation.answer, str):
        return None
    for place, shape in _places(operation.answer):
        names = {field.encode_name for field in msgspec.structs.fields(shape)}
        key = next((one for one in (parameter, "id", "name") if one in names), None)
        if key:
            return f"{place}/{key}"
    return None


def _places(shape: type[msgspec.Struct]) -> Iterator[tuple[str, type[msgspec.Struct]]]:
    yield "", shape
    for field in msgspec.structs.fields(shape):
        if field.encode_name == "data":
            yield from (("/data/0", item) for item in _items(field.type))


def _items(kind: Any) -> Iterable[type[msgspec.Struct]]:
    return [
        item for item in getattr(kind, "__args__", ()) if isinstance(item, type) and issubclass(item, msgspec.Struct)
    ]
