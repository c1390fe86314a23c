"""Operations on API keys."""

from __future__ import annotations

from emailhub.web import key_requests as asked
from emailhub.web import shapes as told
from emailhub.web.operations.operation import BODY, STRING, Input, Operation

_ID = Input("key_id", "path", "the key's id", STRING, required=True)
_WORDS: dict[str, object] = {"type": "string", "maxLength": 320}
_REASON = Input("reason", "query", "why, for the history", _WORDS)

KEYS: tuple[Operation, ...] = (
    Operation(
        method="get",
        path="/api-keys",
        group="API keys",
        summary="List the API keys",
        meaning="Also those that have ended. With `Accept: text/html` this address is the page of the dashboard.",
        answer=told.KeyList,
    ),
    Operation(
        method="post",
        path="/api-keys",
        group="API keys",
        summary="Make an API key",
        meaning="The answer has its secret as `token`, which nobody can read again. On a loopback address the first "
        "key closes the API to whoever shows none.",
        body=asked.NewKeyRequest,
        answer=told.KeyMade,
        errors=BODY,
    ),
    Operation(
        method="get",
        path="/api-keys/{key_id}",
        group="API keys",
        summary="Read an API key",
        answer=told.KeyShape,
        inputs=(_ID,),
        errors=(404,),
    ),
    Operation(
        method="post",
        path="/api-keys/{key_id}/rotate",
        group="API keys",
        summary="Give a key a new secret",
        meaning="The old one works on for `grace`, so that services can change over; no more than two work at a time.",
        inputs=(_ID,),
        body=asked.RotateRequest,
        body_optional=True,
        answer=told.KeyMade,
        errors=(*BODY, 404, 409),
    ),
    Operation(
        method="delete",
        path="/api-keys/{key_id}",
        group="API keys",
        summary="Revoke a key",
        meaning="From the next request on it opens nothing. It stays on the list, since records name it.",
        inputs=(_ID, _REASON),
        answer=told.KeyShape,
        errors=(404, 409, 422),
    ),
)
