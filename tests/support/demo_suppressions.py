"""A suppression list in memory, for the pages over canned messages."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from emailhub.core.errors import NotFound
from emailhub.core.suppression import (
    Listing,
    Suppression,
    SuppressionFilter,
    SuppressionOrigin,
    SuppressionPage,
    folded,
)

_O = SuppressionOrigin
_ENTRIES = (
    ("info@example.net", _O.MANUAL, "asked on the phone not to be written to", "dashboard", "admin from 10.0.0.7", 90),
    ("ivan.petrov@example.org", _O.COMPLAINT, "feedback loop of example.org", "http", "key 2 from 10.0.3.1", 26),
    ("nobody@example.com", _O.BOUNCE, "550 5.1.1 The email account does not exist", "automatic", "", 3),
    ("unsubscribed@example.org", _O.UNSUBSCRIBE, "", "http", "key 1 from 10.0.3.1", 0.4),
)


class DemoSuppressions:
    """See `engine.suppression.Suppressions`."""

    def __init__(self, now: Callable[[], float], *, empty: bool) -> None:
        self.entries = [
            Suppression(
                id=number,
                address=address,
                origin=origin,
                note=note,
                face=face,
                actor=actor,
                message="01KDEMO000000000000000" if face == "automatic" else None,
                since=now() - hours * 3600,
            )
            for number, (address, origin, note, face, actor, hours) in enumerate(() if empty else _ENTRIES, 1)
        ]

    async def add(
        self, listings: Sequence[Listing], *, now: float, face: str, actor: str
    ) -> tuple[tuple[Suppression, ...], int]:
        known = {one.address for one in self.entries}
        for one in listings:
            if folded(one.address) not in known:
                id = max((entry.id for entry in self.entries), default=0) + 1
                entry = Suppression(
                    id=id,
                    address=folded(one.address),
                    origin=one.origin,
                    note=one.note,
                    face=face,
                    actor=actor,
                    message=None,
                    since=now,
                )
                self.entries.append(entry)
        wanted = {folded(one.address) for one in listings}
        return tuple(entry for entry in self.entries if entry.address in wanted), 0

    async def lift(
        self, keys: Sequence[str], *, now: float, face: str, actor: str, note: str
    ) -> tuple[Suppression, ...]:
        found = tuple(entry for entry in self.entries if entry.address in keys or str(entry.id) in keys)
        self.entries = [entry for entry in self.entries if entry not in found]
        return found

    async def find(self, key: str) -> Suppression:
        for entry in self.entries:
            if key in (entry.address, str(entry.id)):
                return entry
        raise NotFound("suppression", key)

    async def page(
        self, wanted: SuppressionFilter, *, before: int | None, after: int | None, limit: int
    ) -> SuppressionPage:
        found = [entry for entry in reversed(self.entries) if wanted.search in entry.address]
        return SuppressionPage(tuple(found[:limit]), None, None)

    async def listed(self, addresses: Sequence[str]) -> frozenset[str]:
        known = {one.address for one in self.entries}
        return frozenset(address for address in addresses if folded(address) in known)
