"""Refused actions in the audit log: who, from where, why, and never so many that they fill it."""

from __future__ import annotations

from emailhub.core.audit import AuditFilter, AuditPage, Deed
from emailhub.core.errors import OutboxFull
from emailhub.engine.audit import AuditLog
from emailhub.engine.desk import Actor
from emailhub.engine.refusals import BURST, EVERY, Bucket, Refusals

ANN = Actor("ann", "dashboard", "10.0.0.7")
STRANGER = Actor("", "", "203.0.113.9")


class Kept:
    def __init__(self) -> None:
        self.deeds: list[Deed] = []
        self.full = False

    async def record(self, deed: Deed) -> None:
        if self.full:
            raise OutboxFull
        self.deeds.append(deed)

    async def page(self, wanted: AuditFilter, *, before: int | None, after: int | None, limit: int) -> AuditPage:
        raise NotImplementedError


async def test_an_attacker_fills_no_table_and_hides_nobody_else() -> None:
    kept = Kept()
    refusals = Refusals(AuditLog(kept, now=lambda: 1000.0))
    for second in range(3600):
        await refusals.note(STRANGER, "POST /reload", "asked for by another site", 1000.0 + second)
    assert BURST + 58 <= len(kept.deeds) <= BURST + 60
    assert kept.deeds[-1].detail == f"asked for by another site, and {EVERY - 1:.0f} more before"
    await refusals.note(ANN, "POST /emails/1/hold", "it is sent", 4600.0)
    assert (kept.deeds[-1].actor, kept.deeds[-1].detail) == ("ann", "it is sent")
    for _ in range(5000):
        await refusals.note(Actor("key shop"), "POST /reload", "needs admin", 4600.0)
    assert sum(deed.actor == "key shop" for deed in kept.deeds) == BURST


async def test_however_many_are_refused_only_the_latest_thousand_are_counted_one_by_one() -> None:
    kept = Kept()
    refusals = Refusals(AuditLog(kept, now=lambda: 1000.0))

    async def told_of_ann() -> int:
        before = len(kept.deeds)
        for _ in range(2 * BURST):
            await refusals.note(ANN, "POST /reload", "needs operator", 1000.0)
        return len(kept.deeds) - before

    assert await told_of_ann() == BURST
    assert await told_of_ann() == 0
    for number in range(1100):
        await refusals.note(Actor(f"key {number}"), "POST /reload", "needs admin", 1000.0)
    assert await told_of_ann() == BURST


def test_a_clock_that_is_set_back_hides_nobody() -> None:
    bucket = Bucket()
    assert [bucket.take(1e9), *(bucket.take(0.0) for _ in range(BURST - 1))] == [0] * BURST
    assert bucket.take(0.0) is None


async def test_a_disk_that_is_full_changes_nothing_of_the_refusal() -> None:
    kept = Kept()
    kept.full = True
    await Refusals(AuditLog(kept, now=lambda: 0.0)).note(ANN, "POST /reload", "needs operator", 0.0)
    assert kept.deeds == []


async def test_what_was_tried_is_told_in_short() -> None:
    kept = Kept()
    await Refusals(AuditLog(kept, now=lambda: 0.0)).note(STRANGER, "POST /" + "x" * 9000, "no", 0.0)
    assert len(kept.deeds[0].target) == 200
