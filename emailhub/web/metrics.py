"""`/metrics` for Prometheus."""

from __future__ import annotations

from litestar import Response, Router, get

from emailhub.engine.meter import CONTENT_TYPE, Reading
from emailhub.web.faces import GivenFaces


@get("/metrics")
async def metrics(faces: GivenFaces) -> Response[bytes]:
    """What was counted since the start, and how things stand now."""
    board, live = faces.board, faces.live
    reading = Reading(
        now=faces.now(),
        totals=await faces.history.totals(),
        relays=board.relays(),
        rabbit=board.rabbit(),
        outbox=board.outbox(),
        clients=live.clients,
        dropped=live.dropped,
        lag=board.loop_lag,
        clock_ahead=board.clock().ahead,
    )
    return Response(faces.meter.render(reading), media_type=CONTENT_TYPE)


def router() -> Router:
    """The routes of this module."""
    return Router("/", route_handlers=[metrics])
