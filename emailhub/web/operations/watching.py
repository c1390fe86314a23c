"""Operations that only look."""

from __future__ import annotations

from typing import Final

from emailhub.engine.gate import Area
from emailhub.web.health import Live, Ready
from emailhub.web.operations.operation import Input, Operation

TEXT: Final = "text/plain; version=0.0.4"
STREAM: Final = "text/event-stream"
DOCUMENT: Final = "application/vnd.oai.openapi+json"

WATCHING: tuple[Operation, ...] = (
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
        "second; `reset` tells that too much was missed: load anew; `beat` comes after 15 seconds of silence: more "
        "silence than that means a connection that died.",
        area=Area.SHARED,
        inputs=(
            Input("Last-Event-ID", "header", "go on after this event", {"type": "integer"}),
            Input("after", "query", "the same as a parameter", {"type": "integer"}),
            Input(
                "gather",
                "query",
                "what happens within 250 ms comes as one event `many`, a line of data for each",
                {"type": "string"},
            ),
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
