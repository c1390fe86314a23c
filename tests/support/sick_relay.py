"""A relay of a fleet in trouble: how it gets there."""

from __future__ import annotations

import asyncio

from emailhub.core.breaker import Permit, Phase, Signal
from emailhub.core.verdict import Kind, Stage, Verdict
from tests.support.fleet_line import FleetLine
from tests.support.relays import drops

AWAY = drops(Stage.CONNECT)


def refused(count: int) -> list[Verdict]:
    return [Verdict(Kind.RELAY, Stage.CONNECT, "refused")] * count


async def opened_breaker(at: FleetLine, *, relay: str = "ses") -> None:
    """Let enough messages meet trouble for the breaker to open."""
    await at.accept(*(f"T{number}" for number in range(5)))
    await asyncio.sleep(1)
    assert at.fleet.fuses[relay].snapshot.phase is Phase.OPEN


def broken(at: FleetLine, relay: str = "ses") -> None:
    """Open the breaker without a message that met anything."""
    fuse = at.fleet.fuses[relay]
    for _ in range(5):
        fuse.record(Permit(fuse.snapshot.epoch), Signal.TROUBLE, "refused")
