"""Operations on the suppression list."""

from __future__ import annotations

from emailhub.web import requests as asked
from emailhub.web import shapes as told
from emailhub.web.operations.operation import BODY, STRING, Input, Operation

_KEY = Input("key", "path", "the address, or the entry's id", STRING, required=True)
_LIST = (
    Input("limit", "query", "entries on a page", {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}),
    Input("after", "query", "go on after the entry with this id, to older ones", STRING),
    Input("before", "query", "go back before the entry with this id, to newer ones", STRING),
    Input("origin", "query", "only entries of this origin", {"$ref": "#/components/schemas/SuppressionOrigin"}),
    Input("q", "query", "search in addresses", STRING),
)
_WORDS: dict[str, object] = {"type": "string", "maxLength": 320}
_REASON = Input("reason", "query", "why, for the history", _WORDS)

SUPPRESSIONS: tuple[Operation, ...] = (
    Operation(
        method="get",
        path="/suppressions",
        group="Suppressions",
        summary="List the suppressed addresses",
        meaning="Newest first, a page at a time. With `Accept: text/html` this address is the page of the dashboard.",
        inputs=_LIST,
        answer=told.SuppressionListShape,
        errors=(422,),
    ),
    Operation(
        method="post",
        path="/suppressions",
        group="Suppressions",
        summary="Suppress an address",
        meaning="Nothing is sent to it from now on: what waits for it ends in the state `suppressed` in the same "
        "commit, what is being sent now is not tried again. An address that is on the list stays there as it is.",
        body=asked.SuppressionRequest,
        answer=told.SuppressionShape,
        errors=BODY,
    ),
    Operation(
        method="get",
        path="/suppressions/{key}",
        group="Suppressions",
        summary="Read an entry",
        inputs=(_KEY,),
        answer=told.SuppressionShape,
        errors=(404,),
    ),
    Operation(
        method="delete",
        path="/suppressions/{key}",
        group="Suppressions",
        summary="Lift a suppression",
        meaning="Mail to the address goes out again. What was suppressed stays so until it is retried.",
        inputs=(_KEY, _REASON),
        answer=told.SuppressionLifted,
        errors=(404, 422),
    ),
    Operation(
        method="post",
        path="/suppressions/batch/add",
        group="Suppressions",
        summary="Suppress several addresses",
        meaning="All or, when one is not valid, none.",
        body=asked.SuppressionsRequest,
        answer=told.SuppressionsAdded,
        errors=BODY,
    ),
    Operation(
        method="post",
        path="/suppressions/batch/remove",
        group="Suppressions",
        summary="Lift several suppressions",
        meaning="By address or by id. What is not on the list is left out of the answer.",
        body=asked.LiftRequest,
        answer=told.SuppressionsLifted,
        errors=BODY,
    ),
)
