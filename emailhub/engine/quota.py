"""How many messages a principal may give in a day: counted before they are stored, given back when they are not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias

from emailhub.core.access import Principal
from emailhub.core.errors import BatchRefused, Spent
from emailhub.core.records import Parcel, Receipt
from emailhub.engine.ports import Outbox

Built: TypeAlias = Parcel | Receipt | Exception
"""A message to store, or what there is to say of it already."""


class Counter(Protocol):
    """Counts what principals give."""

    def spend(self, principal: Principal, count: int = 1) -> None:
        """Count messages. Raises Spent when they are more than the quota of the day."""
        ...

    def give_back(self, principal: Principal, count: int = 1) -> None:
        """They were not given after all."""
        ...


class Quotas:
    """Holds parcels to the quotas that `counter` knows; without one everything may go."""

    def __init__(self, counter: Counter | None, outbox: Outbox) -> None:
        self._counter = counter
        self._outbox = outbox

    async def hold(self, built: Sequence[Built]) -> list[Built]:
        """`built`, with the reason instead of each parcel that is too much today.

        One that came before is answered as then: who lost that answer and asks again must not wait until tomorrow.
        """
        if self._counter is None:
            return [*built]
        return [await self._held(one, self._counter) if isinstance(one, Parcel) else one for one in built]

    async def hold_all(self, built: Sequence[Parcel | Receipt]) -> list[Parcel | Receipt]:
        """The same for parcels of which all are stored or none. Raises Spent, BatchRefused; then none is counted."""
        held = await self.hold(built)
        refused = {index: one for index, one in enumerate(held) if isinstance(one, Exception)}
        if refused:
            self.give_back([one for one in held if isinstance(one, Parcel)])
            raise next((one for one in refused.values() if isinstance(one, Spent)), BatchRefused(refused))
        return [one for one in held if not isinstance(one, Exception)]

    def settle(self, parcels: Sequence[Parcel], answers: Sequence[Receipt | Exception]) -> None:
        """Count only those of the parcels that were stored now."""
        pairs = zip(parcels, answers, strict=True)
        self.give_back([one for one, answer in pairs if not isinstance(answer, Receipt) or answer.replayed])

    def give_back(self, parcels: Sequence[Parcel]) -> None:
        """None of them was stored."""
        if self._counter is not None:
            for parcel in parcels:
                self._counter.give_back(parcel.origin.principal)

    async def _held(self, parcel: Parcel, counter: Counter) -> Built:
        try:
            counter.spend(parcel.origin.principal)
        except Spent as spent:
            answer = await self._outbox.known(parcel.key, parcel.fingerprint) if parcel.key is not None else None
            return answer or spent
        return parcel
