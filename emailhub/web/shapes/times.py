"""Times as the API writes them: ISO 8601, UTC, milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from msgspec import Meta

Time = Annotated[str, Meta(description="ISO 8601, UTC, milliseconds", examples=["2026-11-24T03:41:59.123Z"])]


def iso(at: float) -> str:
    """Unix seconds as `2026-11-24T03:41:59.123Z`."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def maybe_iso(at: float | None) -> str | None:
    """Like `iso`, None stays None."""
    return None if at is None else iso(at)
