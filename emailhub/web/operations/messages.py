"""Operations on messages."""

from __future__ import annotations

from emailhub.web import requests as asked
from emailhub.web import shapes as told
from emailhub.web.operations.operation import ATTACHMENT, BODY, ID, KEY, STRING, Input, Operation

_VALIDATION = Input(
    "x-batch-validation",
    "header",
    "what becomes of the good messages when others are not",
    {"enum": ["strict", "permissive"], "default": "strict"},
)
_WORDS: dict[str, object] = {"type": "string", "maxLength": 320}
SEARCH = (
    "search: words in subjects and addresses of recipients, or `field:value` with to, from, subject, id, request, tag, "
    "relay, state, code, before, after or has; `-` before a piece turns it round, quotes keep words together"
)
_LIST = (
    Input("limit", "query", "messages on a page", {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}),
    Input("after", "query", "go on after this message id, to older ones", STRING),
    Input("before", "query", "go back before this message id, to newer ones", STRING),
    Input("status", "query", "only messages in this state", {"$ref": "#/components/schemas/State"}),
    Input("request_id", "query", "only messages with this request id", _WORDS),
    Input("template", "query", "only messages made from the template with this id, or this name of files", _WORDS),
    Input("q", "query", SEARCH, _WORDS),
)

MESSAGES: tuple[Operation, ...] = (
    Operation(
        method="post",
        path="/emails",
        group="Messages",
        summary="Send a message",
        meaning="The answer comes when the message is durable. A replayed key answers with the id of the first message "
        "and the header `Idempotency-Replayed: true`; other content under the same key is a 409.",
        inputs=(KEY,),
        body=asked.EmailRequest,
        answer=told.Accepted,
        errors=(*BODY, 409, 503),
    ),
    Operation(
        method="post",
        path="/emails/batch",
        group="Messages",
        summary="Send up to 100 messages",
        meaning="In one commit. One message that is not acceptable, and none is accepted: the errors name each field "
        "with the message's place in the list, as `[3].to`. With `x-batch-validation: permissive` the others are "
        "accepted, and `errors` has those that are not. The key stands for the whole list: again with the same "
        "messages it answers with the same ids, other messages under it are a 409.",
        inputs=(KEY, _VALIDATION),
        body=asked.EmailRequest,
        most=100,
        answer=told.AcceptedBatch,
        errors=(*BODY, 409, 503),
    ),
    Operation(
        method="get",
        path="/emails",
        group="Messages",
        summary="List messages",
        meaning="Newest first, a page at a time.",
        inputs=_LIST,
        answer=told.EmailList,
        errors=(422,),
    ),
    Operation(
        method="get",
        path="/emails/{id}",
        group="Messages",
        summary="Read a message",
        inputs=(ID,),
        answer=told.Email,
        errors=(404,),
    ),
    Operation(
        method="get",
        path="/emails/{id}/attachments",
        group="Messages",
        summary="The attachments of a message",
        inputs=(ID,),
        answer=told.AttachmentList,
        errors=(404,),
    ),
    Operation(
        method="get",
        path="/emails/{id}/attachments/{attachment_id}",
        group="Messages",
        summary="One attachment",
        inputs=(ID, ATTACHMENT),
        answer=told.AttachmentShape,
        errors=(404,),
    ),
    Operation(
        method="get",
        path="/emails/{id}/attachments/{attachment_id}/content",
        group="Messages",
        summary="The bytes of an attachment",
        meaning="As a file to keep, whatever its type.",
        inputs=(ID, ATTACHMENT),
        answer="application/octet-stream",
        errors=(404,),
    ),
    Operation(
        method="get",
        path="/emails/{id}/events",
        group="Messages",
        summary="What happened to a message",
        inputs=(ID,),
        answer=told.EventList,
        errors=(404,),
    ),
    Operation(
        method="get",
        path="/emails/{id}/attempts",
        group="Messages",
        summary="The attempts of a message",
        meaning="With the verdict for every recipient and the SMTP conversation, secrets and body masked.",
        inputs=(ID,),
        answer=told.AttemptList,
        errors=(404,),
    ),
    Operation(
        method="patch",
        path="/emails/{id}",
        group="Messages",
        summary="Reschedule a message",
        meaning="While it is scheduled. It keeps as long to be sent in as it had.",
        inputs=(ID,),
        body=asked.RescheduleRequest,
        answer=told.Changed,
        errors=(*BODY, 404, 409),
    ),
    Operation(
        method="post",
        path="/emails/{id}/resend",
        group="Messages",
        summary="Send a message again",
        meaning="The same content as a message of its own, with a Message-ID of its own, to everybody it was for or to "
        "others, whom its header names then. Both lead to each other. No key holds it back.",
        inputs=(ID,),
        body=asked.ResendMessageRequest,
        body_optional=True,
        answer=told.Accepted,
        errors=(*BODY, 404, 409, 503),
    ),
    *(
        Operation(
            method="post",
            path=f"/emails/{{id}}/{verb}",
            group="Messages",
            summary=summary,
            meaning=meaning,
            inputs=(ID,),
            body=asked.VerbRequest,
            body_optional=True,
            answer=told.Changed,
            errors=(*BODY, 404, 409),
        )
        for verb, summary, meaning in (
            ("cancel", "Cancel a message", "Withdraws every recipient that is not final yet."),
            (
                "retry",
                "Retry a message",
                "Sends again what is deferred, held, failed, canceled or, once its address is lifted, suppressed.",
            ),
            ("hold", "Hold a message", "Keeps what waits until somebody retries or cancels it, or it expires."),
        )
    ),
)
