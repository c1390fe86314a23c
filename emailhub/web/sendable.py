"""What may be sent as a body, in JSON Schema: the shapes of the requests, closed, with null for what is not given."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]
_NULL: Schema = {"type": "null"}


def closed(schema: Schema, needs: Schema | None = None) -> Schema:
    """`schema` of an object as it is read: a field that it does not name is an error, null is a field not given.

    `needs` is what holds between its fields.
    """
    required = set(schema.get("required", ()))
    fields = {
        name: field if name in required else _nullable(field) for name, field in schema.get("properties", {}).items()
    }
    return schema | {"properties": fields, "additionalProperties": False} | (needs or {})


def example(schema: Schema, optional: frozenset[str]) -> Schema:
    """A body made of the examples of its fields: those that are required, and those of `optional` it has.

    Of fields of which one is needed, it has the first when it would have none.
    """
    samples = {
        name: field["examples"][0] for name, field in schema.get("properties", {}).items() if field.get("examples")
    }
    wanted = optional | set(schema.get("required", ()))
    choices = [name for name in _named(schema) if name in samples]
    if choices and wanted.isdisjoint(choices):
        wanted |= {choices[0]}
    return {name: value for name, value in samples.items() if name in wanted}


def _named(schema: Schema) -> list[str]:
    """The fields of which `schema` wants one."""
    options = schema.get("anyOf", ())
    return [name for option in options for name in (*option.get("required", ()), *_named(option))]


def _nullable(field: Schema) -> Schema:
    told = {key: value for key, value in field.items() if key in {"description", "examples"}}
    rest = {key: value for key, value in field.items() if key not in told}
    options = rest.pop("anyOf", None)
    if options is None:
        return told | {"anyOf": [rest, _NULL]}
    return told | rest | {"anyOf": [*options, *(() if _NULL in options else (_NULL,))]}
