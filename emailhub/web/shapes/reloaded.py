"""What came of reading the settings again, as the API answers it."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from emailhub.core.reloaded import Change, Reloaded


class ChangeShape(Struct, frozen=True):
    """One thing that is different, without secrets."""

    what: Annotated[str, Meta(examples=["relay ses"])]
    text: Annotated[str, Meta(examples=["rate: 10/s -> 20/s"])]

    @classmethod
    def of(cls, change: Change) -> ChangeShape:
        return cls(change.what, change.text)


class ReloadedShape(Struct, frozen=True, kw_only=True):
    """What is in force now, what only the next start brings, and what deserves a look."""

    object: Literal["reload"] = "reload"
    applied: list[ChangeShape]
    restart: Annotated[list[ChangeShape], Meta(description="changes that need a restart")]
    warnings: list[str]

    @classmethod
    def of(cls, reloaded: Reloaded) -> ReloadedShape:
        return cls(
            applied=[ChangeShape.of(change) for change in reloaded.applied],
            restart=[ChangeShape.of(change) for change in reloaded.restart],
            warnings=list(reloaded.warnings),
        )
