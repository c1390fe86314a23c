"""What came of reading the settings again while the hub runs."""

from __future__ import annotations

from msgspec import Struct


class Change(Struct, frozen=True):
    """One thing that is different: `what` (a variable, `relay ses`) and how (`rate: 10/s -> 20/s`), without secrets."""

    what: str
    text: str

    def __str__(self) -> str:
        return f"{self.what}: {self.text}"


class Reloaded(Struct, frozen=True):
    """What is in force now (`applied`), what only the next start brings (`restart`), and what deserves a look."""

    applied: tuple[Change, ...] = ()
    restart: tuple[Change, ...] = ()
    warnings: tuple[str, ...] = ()
