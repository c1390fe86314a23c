"""Operations on the audit log."""

from __future__ import annotations

from emailhub.web import shapes as told
from emailhub.web.operations.operation import STRING, Input, Operation

_NARROWING = (
    Input("actor", "query", "only what this person or key did", STRING),
    Input("what", "query", "only this (`template.publish`), or all about a noun (`template`)", STRING),
    Input("target", "query", "only what was done to the thing with this id or name", STRING),
)

AUDIT: tuple[Operation, ...] = (
    Operation(
        method="get",
        path="/audit",
        group="Audit log",
        summary="List what people and services did",
        meaning="Newest first, a page at a time: who, from where, what, to what, why. An entry is written in the "
        "commit of what it tells of. With `Accept: text/html` this address is the page of the dashboard.",
        inputs=(
            Input(
                "limit", "query", "entries on a page", {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}
            ),
            Input("after", "query", "go on after the entry with this id, to older ones", STRING),
            Input("before", "query", "go back before the entry with this id, to newer ones", STRING),
            *_NARROWING,
        ),
        answer=told.AuditList,
        errors=(422,),
    ),
    Operation(
        method="get",
        path="/audit/csv",
        group="Audit log",
        summary="Export the audit log",
        meaning="The newest 100,000 entries as CSV. What a spreadsheet would compute has an apostrophe in front.",
        inputs=_NARROWING,
        answer="text/csv",
        errors=(422,),
    ),
)
