"""What intake answers, in order and in the log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from emailhub import logs
from emailhub.core.records import Parcel, Receipt

log = logs.get("intake")

A = TypeVar("A", bound=Receipt | Exception)
"""What came of a message."""


def merged(built: Sequence[Parcel | A], stored: Sequence[A]) -> list[A]:
    """The answers in order: those that were known before, and for each parcel what came of storing it."""
    answers = iter(stored)
    return [next(answers) if isinstance(one, Parcel) else one for one in built]


def tell(event: str, parcel: Parcel, receipt: Receipt) -> None:
    """Log what was accepted, or was accepted before."""
    log.info(
        event,
        message_id=receipt.id,
        correlation_id=parcel.origin.correlation_id,
        request_id=parcel.request_id,
        face=parcel.origin.face,
        recipients=parcel.people,
        size=len(parcel.content),
        **({"suppressed": receipt.suppressed} if receipt.suppressed else {}),
        **({"diverted": len(parcel.diverted) or "captured"} if parcel.note else {}),
    )
