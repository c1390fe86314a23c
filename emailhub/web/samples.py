"""An answer as it may look, for each shape: made from its schema, with values that tell what a field holds."""

from __future__ import annotations

from typing import Any

_ID = "01M86ZVV9FQESMTXYZCHHA5N7M"
_TIME = "2027-01-31T09:30:00.000Z"
_REPLY = "250 2.0.0 Ok: queued as 4C1B2"
_VALUES: dict[str, Any] = {
    "AttachmentShape.download_url": f"https://mail.example.com/emails/{_ID}/attachments/0/content",
    "AttachmentShape.id": "0",
    "AttemptShape.counted": True,
    "BreakerShape.failures": 0,
    "EventShape.kind": "sent",
    "EventShape.id": 4711,
    "ErrorBody.name": "validation_error",
    "BatchError.name": "validation_error",
    "Live.status": "ok",
    "Live.loop_lag": 0.001,
    "Part.status": "ok",
    "Ready.status": "ok",
    "RelayShape.name": "default",
    "RelayShape.behaviour": None,
    "RequestStatus.status": "delivered",
    "SuppressionShape.id": "17",
    "SuppressionShape.origin": "unsubscribe",
    "SuppressionShape.source_id": None,
    "Tag.name": "kind",
    "TemplateItem.name": "Welcome",
    "TemplateShape.name": "Welcome",
    "actor": "key 1",
    "address": "ada@example.org",
    "added_by": "key 1",
    "added_over": "http",
    "alias": "welcome",
    "applied": [],
    "cause": "",
    "code": 250,
    "connection": "c-17",
    "content_type": "application/pdf",
    "correlation_id": "cart-17",
    "covered_by": [],
    "covered_since": None,
    "covered_why": "",
    "covers": [],
    "created_by": "key 1",
    "bcc": [],
    "cc": [],
    "detail": "",
    "diverted_from": [],
    "domain": "example.com",
    "email": "ada@example.org",
    "enhanced": "2.0.0",
    "errors": [],
    "field": "to[1]",
    "filename": "invoice.pdf",
    "from": "Shop <shop@example.com>",
    "from_domains": ["example.com"],
    "host": "smtp.example.com:587",
    "html": "<p>Hello Ada</p>",
    "id": _ID,
    "index": 1,
    "kind": "to",
    "languages": ["", "fr"],
    "last_event": "sent",
    "last_reply": _REPLY,
    "limit": 14,
    "left": 9,
    "used": 5,
    "message": "it says what is wrong, and the limit",
    "message_id": f"<{_ID.lower()}@example.com>",
    "metadata": {"order": "4711"},
    "next_attempt_at": None,
    "next_probe_at": None,
    "peer": "203.0.113.7:587",
    "problem": None,
    "reason": "asked on the phone",
    "relay": "default",
    "reply": _REPLY,
    "reply_to": ["help@example.com"],
    "request_id": "order-4711",
    "restart": [],
    "scheduled_at": None,
    "stage": "final",
    "state": "sent",
    "status": "sent",
    "statusCode": 422,
    "subject": "Your invoice",
    "suspended": [],
    "text": "Hello Ada",
    "tls": "TLSv1.3",
    "to": ["ada@example.org"],
    "until": None,
    "value": "invoice",
    "verdict": "accepted",
    "warnings": [],
    "why": "",
}
"""By the name of the field, or of the shape and the field; used where the schema allows it."""

Schema = dict[str, Any]


def sample(schema: Schema, components: dict[str, Schema], field: str = "") -> Any:
    """A value that `schema` allows; its references lead to `components`, `field` is what it is for."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return sample({"title": name} | components[name], components, field)
    options = schema.get("anyOf") or [schema]
    for key in (field, field.rpartition(".")[2]):
        if key in _VALUES and any(_fits(_VALUES[key], option) for option in options):
            return _VALUES[key]
    option = options[0]
    return sample(option, components, field) if "$ref" in option else _made(option, components, field)


def _made(schema: Schema, components: dict[str, Schema], field: str) -> Any:
    if "enum" in schema:
        return schema["enum"][0]
    kind, name = str(schema.get("type")), field.rpartition(".")[2]
    if kind == "object":
        title = schema.get("title", "")
        return {
            inner: sample(found, components, f"{title}.{inner}")
            for inner, found in schema.get("properties", {}).items()
        }
    if kind == "array":
        return [sample(schema["items"], components)] if schema.get("items") else []
    if kind == "string":
        return _TIME if name.endswith("_at") or name in {"at", "since"} else name
    return {"integer": 1, "number": 0.5, "boolean": name in {"success", "deleted", "store_body"}}.get(kind)


_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}


def _fits(value: Any, schema: Schema) -> bool:
    if "enum" in schema:
        return value in schema["enum"]
    kinds = _TYPES.get(str(schema.get("type")), ())
    if isinstance(value, list) and value and schema.get("type") == "array":
        return _fits(value[0], schema.get("items", {}))
    return isinstance(value, kinds) and not (isinstance(value, bool) and schema.get("type") != "boolean")
