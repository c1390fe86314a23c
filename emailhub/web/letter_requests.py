"""What the API takes about dead letters, as documentation."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Struct, UnsetType

from emailhub.web.kinds import Reason, about


class ResendRequest(Struct, omit_defaults=True):
    """A dead letter to be sent: as it came, or with another body."""

    body: Annotated[
        dict[str, Any] | UnsetType,
        about(
            "what is accepted in place of what came, with the fields of the queue; left out: what came",
            {"to": "ada@example.org", "subject": "Hello", "body": "Hi"},
        ),
    ] = UNSET
    reason: Annotated[Reason | UnsetType, about("one line of at most 500 characters", "the address was cut off")] = (
        UNSET
    )


class DiscardRequest(Struct):
    """A dead letter nothing comes of."""

    reason: Annotated[Reason, about("why: one line of at most 500 characters", "a test of somebody's", minLength=1)]


SENT: tuple[type[Struct], ...] = (ResendRequest, DiscardRequest)
"""Every shape of this module: what is sent, and never answered."""
