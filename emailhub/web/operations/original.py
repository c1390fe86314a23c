"""The operations of the service emailhub takes the place of."""

from __future__ import annotations

from emailhub.engine.gate import Area
from emailhub.web import requests as asked
from emailhub.web import shapes as told
from emailhub.web.operations.operation import BODY, Operation

ORIGINAL: tuple[Operation, ...] = (
    Operation(
        method="post",
        path="/send_email/",
        group="Original endpoints",
        summary="Send a message, as before",
        meaning="With or without the slash at the end.",
        area=Area.SEND,
        body=asked.SendEmailRequest,
        answer=told.Queued,
        errors=(*BODY, 409, 503),
    ),
    Operation(
        method="post",
        path="/status/",
        group="Original endpoints",
        summary="Where a request stands",
        meaning="pending until every recipient is final, delivered when all are sent, otherwise failed.",
        area=Area.SEND,
        body=asked.StatusRequest,
        answer=told.RequestStatus,
        errors=(*BODY, 404),
    ),
    Operation(
        method="get",
        path="/health",
        group="Original endpoints",
        summary="Does the service answer",
        area=Area.OPEN,
        answer=told.Health,
    ),
)
