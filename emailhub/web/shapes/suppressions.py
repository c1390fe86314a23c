"""The suppression list as the API answers it."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from emailhub.core.suppression import Suppression, SuppressionOrigin
from emailhub.web.shapes.times import Time, iso

Id = Annotated[str, Meta(description="the entry's id; it never comes back", examples=["17"])]


class SuppressionShape(Struct, frozen=True, kw_only=True):
    """An address nothing is sent to."""

    object: Literal["suppression"] = "suppression"
    id: Id
    email: Annotated[str, Meta(description="in lower case", examples=["ada@example.org"])]
    origin: Annotated[SuppressionOrigin, Meta(description="why it is on the list", examples=["bounce"])]
    source_id: Annotated[str | None, Meta(description="the message whose refusal put it there; it may be erased")]
    created_at: Time
    reason: Annotated[str, Meta(description="a line about it: the server's reply", examples=["550 5.1.1 User unknown"])]
    added_over: Annotated[str, Meta(description="http, dashboard, cli or automatic", examples=["automatic"])]
    added_by: Annotated[str, Meta(description="who put it there; empty when nobody did", examples=["key 1 from ::1"])]

    @classmethod
    def of(cls, one: Suppression) -> SuppressionShape:
        return cls(
            id=str(one.id),
            email=one.address,
            origin=one.origin,
            source_id=one.message,
            created_at=iso(one.since),
            reason=one.note,
            added_over=one.face,
            added_by=one.actor,
        )


class SuppressionListShape(Struct, frozen=True):
    """A page of the suppression list, newest first."""

    data: list[SuppressionShape]
    has_more: bool
    object: Literal["list"] = "list"


class SuppressionsAdded(Struct, frozen=True):
    """The entries of the addresses, each once, oldest first; not in the order they were given."""

    data: list[SuppressionShape]


class SuppressionLifted(Struct, frozen=True, kw_only=True):
    """An address that is not on the list any more."""

    object: Literal["suppression"] = "suppression"
    id: Id
    email: Annotated[str, Meta(examples=["ada@example.org"])]
    deleted: bool = True

    @classmethod
    def of(cls, one: Suppression) -> SuppressionLifted:
        return cls(id=str(one.id), email=one.address)


class SuppressionsLifted(Struct, frozen=True):
    """Those that were on the list; the others are left out."""

    data: list[SuppressionLifted]
