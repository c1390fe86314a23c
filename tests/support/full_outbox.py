"""An outbox with something in every table and a message in every state."""

from __future__ import annotations

from pathlib import Path

from emailhub.core.breaker import Snapshot
from emailhub.core.message import Priority
from emailhub.core.records import DeadLetter
from emailhub.core.suppression import Listing
from tests.support.factories import DAY, NOW, REFUSED, SENT, Store, deferred, opened, parcel

LARGE = 30_000
"""Bytes of some contents: several pages each."""
STATES = ("queued", "scheduled", "sending", "deferred", "held", "sent", "failed", "canceled", "suppressed")
UNFINISHED = STATES[:5]


async def fill(store: Store, rounds: int = 3) -> None:
    """`rounds` messages in each state, named by it (`sent-0`), with all that belongs to them."""
    for number in range(rounds):
        await _round(store, number)
    await store.upkeep.identity("the outbox")
    await store.upkeep.save_breaker("default", Snapshot(), NOW, "breaker_forced", {"actor": "op"})
    letter = DeadLetter(
        id=0, at=NOW, reason="no json", body=b"\xff\x00", headers={"a": "b"}, content_type="text/x", correlation_id="c"
    )
    await store.upkeep.bury([letter])


async def _round(store: Store, number: int) -> None:
    names = [f"{state}-{number}" for state in STATES]
    _, scheduled, sending, put_off, held, sent, failed, canceled, suppressed = names
    await store.suppressions.add([Listing(f"{suppressed}@example.com")], now=NOW, face="http", actor="op")
    later = {scheduled: {"scheduled_at": NOW + DAY}}
    await store.outbox.add(
        [
            parcel(
                name,
                content=f"Subject: {name}\r\n\r\n".encode() + b"x" * (LARGE if number % 2 else 200),
                key=f"key-{name}",
                request_id=f"req-{name}",
                priority=Priority.NORMAL,
                **later.get(name, {}),
            )
            for name in names
        ]
    )
    by = {"now": NOW, "actor": "op", "note": ""}
    await store.verbs.hold(held, **by)
    await store.verbs.cancel(canceled, **by)
    ends = {put_off: deferred(NOW + 60), sent: SENT, failed: REFUSED}
    for job in await store.claim(ids=[sending, *ends], limit=4):
        if job.id in ends:
            await store.finish(job, ends[job.id])
    assert [(await store.states(name))[0].value for name in names] == list(STATES)


async def full_file(path: Path, rounds: int = 3) -> None:
    """Such an outbox at `path`, closed."""
    async with opened(path) as store:
        await fill(store, rounds)
