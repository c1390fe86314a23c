"""The audit log as the API answers it."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from emailhub.core.audit import Entry
from emailhub.web.shapes.times import Time, iso


class AuditEntryShape(Struct, frozen=True, kw_only=True):
    """What somebody did."""

    object: Literal["audit_entry"] = "audit_entry"
    id: Annotated[str, Meta(description="grows with time and never comes back", examples=["17"])]
    created_at: Time
    actor: Annotated[
        str, Meta(description="who: a person, a key, `local` where nothing is asked for", examples=["ann"])
    ]
    peer: Annotated[str, Meta(description="the address they came from; empty when none", examples=["10.0.0.7"])]
    what: Annotated[str, Meta(description="`noun.verb`", examples=["message.retry"])]
    target: Annotated[str, Meta(description="the id or name of what it was done to", examples=["default"])]
    reason: Annotated[str, Meta(description="why, as they gave it", examples=["the provider is back"])]
    result: Annotated[Literal["done", "refused"], Meta(description="what came of it", examples=["done"])]
    detail: Annotated[str, Meta(description="a line of facts", examples=["open"])]

    @classmethod
    def of(cls, entry: Entry) -> AuditEntryShape:
        deed = entry.deed
        return cls(
            id=str(entry.id),
            created_at=iso(deed.at),
            actor=deed.actor,
            peer=deed.peer,
            what=deed.what,
            target=deed.target,
            reason=deed.reason,
            result="done" if deed.result == "done" else "refused",
            detail=deed.detail,
        )


class AuditList(Struct, frozen=True):
    """A page of the audit log, newest first."""

    data: list[AuditEntryShape]
    has_more: bool
    object: Literal["list"] = "list"
