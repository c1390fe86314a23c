"""Operations on dead letters of the queue."""

from __future__ import annotations

from emailhub.web import letter_requests as asked
from emailhub.web import shapes as told
from emailhub.web.operations.operation import BODY, STRING, Input, Operation

_LETTER = Input("letter", "path", "the dead letter's id", STRING, required=True)
_LIST = (
    Input("limit", "query", "letters on a page", {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}),
    Input("after", "query", "go on after the letter with this id, to older ones", STRING),
    Input("before", "query", "go back before the letter with this id, to newer ones", STRING),
    Input("status", "query", "only letters of this status", {"$ref": "#/components/schemas/LetterStatus"}),
)

LETTERS: tuple[Operation, ...] = (
    Operation(
        method="get",
        path="/dead-letters",
        group="Dead letters",
        summary="List the bodies from the queue that could not be read",
        meaning="Newest first, a page at a time. Recipients that failed for good are messages: "
        "`GET /emails?status=failed`. With `Accept: text/html` this address is the page of the dashboard.",
        inputs=_LIST,
        answer=told.LetterList,
        errors=(422,),
    ),
    Operation(
        method="get",
        path="/dead-letters/{letter}",
        group="Dead letters",
        summary="Read a dead letter with its body",
        inputs=(_LETTER,),
        answer=told.LetterDetail,
        errors=(404,),
    ),
    Operation(
        method="post",
        path="/dead-letters/{letter}/resend",
        group="Dead letters",
        summary="Accept a dead letter, mended or as it came",
        meaning="It is read as the queue is, with the same ids and limits, and settled with the message it becomes.",
        inputs=(_LETTER,),
        body=asked.ResendRequest,
        body_optional=True,
        answer=told.LetterShape,
        errors=(*BODY, 404, 409, 503),
    ),
    Operation(
        method="post",
        path="/dead-letters/{letter}/discard",
        group="Dead letters",
        summary="Discard a dead letter",
        meaning="Nothing comes of it. It stays in the list of what was discarded, with the reason.",
        inputs=(_LETTER,),
        body=asked.DiscardRequest,
        answer=told.LetterShape,
        errors=(*BODY, 404, 409),
    ),
)
