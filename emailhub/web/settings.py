"""The settings as JSON, and how every part stands. `GET /settings` is also a page of the dashboard."""

from __future__ import annotations

from collections.abc import Iterator

from litestar import Response
from msgspec import UNSET
from msgspec.structs import asdict

from emailhub.core.status import OutboxStatus, RendererStatus
from emailhub.web.faces import Faces
from emailhub.web.health import DEAD_LAG, Level, readiness
from emailhub.web.shapes import AboutShape, PartShape, SetupShape

SLOW_LAG = 1.0
"""Seconds the event loop may be late before somebody should look."""


async def effective(faces: Faces) -> Response[SetupShape]:
    """All of it, as JSON."""
    about = AboutShape.of(faces.about, faces.now())
    found = SetupShape.of(await faces.setup(), list(parts(faces)), about)
    return Response(found, media_type="application/json", headers={"vary": "accept"})


def parts(faces: Faces) -> Iterator[PartShape]:
    """How each part stands, in the words of the health checks, and the machine under them."""
    for name, part in asdict(readiness(faces, details=True).parts).items():
        yield PartShape(name, part.status, part.detail if part.detail is not UNSET else "")
    yield _renderer(faces.board.renderer())
    yield _disk(faces.board.outbox(), low=faces.board.disk_low)
    yield _loop(faces.board.loop_lag)


def _renderer(status: RendererStatus) -> PartShape:
    if status.trouble:
        return PartShape("renderer", "degraded", f"templates cannot be rendered now: {status.trouble}")
    if not (status.ready or status.under_way):
        return PartShape("renderer", "ok", "starts with the first template")
    return PartShape("renderer", "ok", f"processes ready: {status.ready}, templates under way: {status.under_way}")


def _disk(status: OutboxStatus, *, low: bool) -> PartShape:
    if status.free_disk is None:
        return PartShape("disk", "ok", "free space is not known here")
    free = f"{status.free_disk // 2**20:,} MiB free"
    return PartShape(
        "disk", "down" if low else "ok", f"{free}, which is kept back: new mail is refused" if low else free
    )


def _loop(lag: float) -> PartShape:
    level: Level = "down" if lag > DEAD_LAG else "degraded" if lag > SLOW_LAG else "ok"
    return PartShape("event loop", level, f"at most {lag * 1000:,.0f} ms late in the last seconds")
