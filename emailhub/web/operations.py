"""The operations of the API, one row each: the OpenAPI document and the reference page are made from this table."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from emailhub.engine.gate import Area
from emailhub.web import requests as asked
from emailhub.web import shapes as told
from emailhub.web.health import Live, Ready

TEXT: Final = "text/plain; version=0.0.4"
STREAM: Final = "text/event-stream"
DOCUMENT: Final = "application/vnd.oai.openapi+json"


class Input(Struct, frozen=True):
    """A parameter: `place` is query, path or header."""

    name: str
    place: str
    meaning: str
    schema: dict[str, object]
    required: bool = False


class Operation(Struct, frozen=True, kw_only=True):
    """One method of one address. `answer` is a shape, or the media type of an answer that is no JSON."""

    method: str
    path: str
    group: str
    summary: str
    meaning: str = ""
    area: Area = Area.API
    inputs: tuple[Input, ...] = ()
    body: type[Struct] | None = None
    answer: type[Struct] | str
    errors: tuple[int, ...] = ()


_STRING: dict[str, object] = {"type": "string"}
_ID = Input("id", "path", "the message's id", _STRING, required=True)
_RELAY = Input("relay", "path", "the relay's name: `default` for SMTP_HOST's", _STRING, required=True)
_KEY = Input("Idempotency-Key", "header", "1 to 256 visible ASCII characters; the same key never sends twice", _STRING)
_LIST = (
    Input("limit", "query", "messages on a page", {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}),
    Input("after", "query", "go on after this message id, to older ones", _STRING),
    Input("before", "query", "go back before this message id, to newer ones", _STRING),
    Input("status", "query", "only messages in this state", {"$ref": "#/components/schemas/State"}),
    Input("request_id", "query", "only messages with this request id", _STRING),
    Input("q", "query", "search in addresses, subjects and ids", _STRING),
)
_BODY = (400, 413, 415, 422)

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        method="post",
        path="/emails",
        group="Messages",
        summary="Send a message",
        meaning="The answer comes when the message is durable. A replayed key answers with the id of the first message "
        "and the header `Idempotency-Replayed: true`; other content under the same key is a 409.",
        inputs=(_KEY,),
        body=asked.EmailRequest,
        answer=told.Accepted,
        errors=(*_BODY, 409, 503, 507),
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
        inputs=(_ID,),
        answer=told.Email,
        errors=(404,),
    ),
    Operation(
        method="get",
        path="/emails/{id}/events",
        group="Messages",
        summary="What happened to a message",
        inputs=(_ID,),
        answer=told.EventList,
        errors=(404,),
    ),
    Operation(
        method="get",
        path="/emails/{id}/attempts",
        group="Messages",
        summary="The attempts of a message",
        meaning="With the verdict for every recipient and the SMTP conversation, secrets and body masked.",
        inputs=(_ID,),
        answer=told.AttemptList,
        errors=(404,),
    ),
    *(
        Operation(
            method="post",
            path=f"/emails/{{id}}/{verb}",
            group="Messages",
            summary=summary,
            meaning=meaning,
            inputs=(_ID,),
            body=asked.VerbRequest,
            answer=told.Changed,
            errors=(*_BODY, 404, 409),
        )
        for verb, summary, meaning in (
            ("cancel", "Cancel a message", "Withdraws every recipient that is not final yet."),
            ("retry", "Retry a message", "Sends again what is deferred, held, failed or canceled, with new attempts."),
            ("hold", "Hold a message", "Keeps what waits until somebody retries or cancels it, or it expires."),
        )
    ),
    Operation(
        method="get",
        path="/relays",
        group="Relays",
        summary="List the relays",
        meaning="In the order they are asked. With `Accept: text/html` this address is the page of the dashboard.",
        answer=told.RelayList,
    ),
    Operation(
        method="get",
        path="/relays/{relay}",
        group="Relays",
        summary="Read a relay",
        meaning="Its breaker, its connections, what is left of its limits, senders it does not let send, and which "
        "relay carries its mail while it cannot.",
        inputs=(_RELAY,),
        answer=told.RelayShape,
        errors=(404,),
    ),
    Operation(
        method="post",
        path="/relays/{relay}/resume-sender",
        group="Relays",
        summary="Let a suspended sender send again",
        meaning="Its mail is due at once, instead of at the next try. Verify the domain with the provider first.",
        inputs=(_RELAY,),
        body=asked.ResumeSenderRequest,
        answer=told.RelayShape,
        errors=(*_BODY, 404),
    ),
    Operation(
        method="post",
        path="/relays/{relay}/behaviour",
        group="Relays",
        summary="Tell the chaos relay how to behave",
        meaning="For the relay `chaos` only, which is there while capturing with EMAILHUB_CHAOS. Kept across restarts.",
        inputs=(_RELAY,),
        body=asked.BehaviourRequest,
        answer=told.BehaviourShape,
        errors=(*_BODY, 404),
    ),
    Operation(
        method="get",
        path="/breakers",
        group="Breakers",
        summary="List the circuit breakers",
        answer=told.BreakerList,
    ),
    Operation(
        method="get",
        path="/breakers/{relay}",
        group="Breakers",
        summary="Read a breaker",
        inputs=(_RELAY,),
        answer=told.BreakerShape,
        errors=(404,),
    ),
    Operation(
        method="post",
        path="/breakers/{relay}",
        group="Breakers",
        summary="Force a breaker, or leave it to itself",
        meaning="The order, its reason and who gave it are kept and survive a restart.",
        inputs=(_RELAY,),
        body=asked.BreakerRequest,
        answer=told.BreakerShape,
        errors=(*_BODY, 404),
    ),
    Operation(
        method="post",
        path="/reload",
        group="Settings",
        summary="Read the settings again",
        meaning="From all their sources, as at the start: relays, destinations, DKIM keys and rules about recipients "
        "change without a restart, and `restart` names what does not. Settings that do not work are refused whole, "
        "with every problem.",
        answer=told.ReloadedShape,
        errors=(415, 422),
    ),
    Operation(
        method="post",
        path="/send_email/",
        group="Original endpoints",
        summary="Send a message, as before",
        meaning="With or without the slash at the end.",
        area=Area.SEND,
        body=asked.SendEmailRequest,
        answer=told.Queued,
        errors=(*_BODY, 409, 503, 507),
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
        errors=(*_BODY, 404),
    ),
    Operation(
        method="get",
        path="/health",
        group="Original endpoints",
        summary="Does the service answer",
        area=Area.OPEN,
        answer=told.Health,
    ),
    Operation(
        method="get",
        path="/health/live",
        group="Watching",
        summary="Is the process alive",
        meaning="503 when the event loop hangs: restart it.",
        area=Area.OPEN,
        answer=Live,
        errors=(503,),
    ),
    Operation(
        method="get",
        path="/health/ready",
        group="Watching",
        summary="Should it get requests",
        meaning="503 when messages cannot be accepted. A missing RabbitMQ or relay only makes it `degraded`. "
        "The details are for callers with credentials.",
        area=Area.OPEN,
        answer=Ready,
        errors=(503,),
    ),
    Operation(
        method="get",
        path="/events",
        group="Watching",
        summary="Everything that happens, live",
        meaning="Server-Sent Events. Each has the id of the event and its JSON as data; `Last-Event-ID` or `after` "
        "replays what was missed. The event `status` tells how things stand whenever that changes, at most once a "
        "second; `reset` tells that too much was missed: load anew.",
        area=Area.SHARED,
        inputs=(
            Input("Last-Event-ID", "header", "go on after this event", {"type": "integer"}),
            Input("after", "query", "the same as a parameter", {"type": "integer"}),
        ),
        answer=STREAM,
        errors=(422, 503),
    ),
    Operation(
        method="get",
        path="/metrics",
        group="Watching",
        summary="Metrics for Prometheus",
        area=Area.SHARED,
        answer=TEXT,
    ),
    Operation(
        method="get",
        path="/schema/openapi.json",
        group="Watching",
        summary="This reference as an OpenAPI document",
        area=Area.SHARED,
        answer=DOCUMENT,
    ),
)
