"""How long messages took to be sent: counted behind the mail, minute by minute, and kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from emailhub.adapters.sqlite import timings
from tests.support.factories import DAY, NOW, REFUSED, SENT, Store, opened, parcel

MINUTE = NOW // 60 * 60


async def took(store: Store, seconds: float, at: float, *ids: str) -> None:
    """Messages that were sent at `at`, `seconds` after they were accepted."""
    await store.outbox.add([parcel(id, accepted_at=at - seconds, expires_at=at + DAY) for id in ids])
    for job in await store.claim(at, ids=ids):
        await store.finish(job, SENT, at)


async def count_all(store: Store, now: float) -> int:
    rounds = 0
    while await store.upkeep.count_times(now):
        rounds += 1
    return rounds


async def test_a_minute_is_ranked_before_and_after_it_is_counted_and_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    async with opened(path) as store:
        await took(store, 0.1, MINUTE + 5, "A", "B", "C")
        await took(store, 40.0, MINUTE + 70, "D")
        fresh = await store.history.timings(MINUTE, MINUTE + 180, 60)
        assert [one.count for one in fresh.steps] == [3, 1, 0]
        assert await count_all(store, MINUTE + 200) > 0
        assert await store.history.timings(MINUTE, MINUTE + 180, 60) == fresh
    async with opened(path) as store:
        again = await store.history.timings(MINUTE, MINUTE + 180, 60)
        assert again == fresh
        assert again.steps[0].p50 == pytest.approx(0.1, rel=0.42)
        assert again.steps[1].p95 == pytest.approx(40, rel=0.42)
        assert again.steps[2].p50 is None


async def test_nothing_is_counted_twice_and_a_minute_only_once_it_is_over(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await took(store, 1.0, MINUTE + 30, "A")
        assert await count_all(store, MINUTE + 60 + timings.SETTLED - 1) == 0
        assert await count_all(store, MINUTE + 60 + timings.SETTLED) == 1
        assert await count_all(store, MINUTE + 60 + timings.SETTLED + 20) == 0
        await took(store, 1.0, MINUTE + 100, "B")
        await count_all(store, MINUTE + 300)
        assert await store.rows("SELECT step, sum(messages) FROM timing GROUP BY step") == [(60, 2), (3600, 2)]


async def test_what_was_sent_before_the_upgrade_is_counted_an_hour_at_a_time(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        for hours in (1, 2, 30, 24 * 9):
            await took(store, 2.0, MINUTE - hours * 3600, f"H{hours}")
        assert await count_all(store, MINUTE) >= 30
        assert await store.rows("SELECT sum(messages) FROM timing WHERE step = 3600") == [(3,)]
        week = await store.history.timings(MINUTE - 7 * DAY, MINUTE, 7200)
        assert week.whole.count == sum(one.count for one in week.steps) == 3


async def test_what_failed_took_no_time_to_send(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A")])
        (job,) = await store.claim()
        await store.finish(job, REFUSED, NOW + 1)
        assert [one.count for one in (await store.history.timings(MINUTE, MINUTE + 60, 60)).steps] == [0]
        await count_all(store, NOW + 300)
        assert await store.rows("SELECT * FROM timing") == []


async def test_minutes_are_kept_two_days_and_hours_as_long_as_messages(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await took(store, 1.0, MINUTE, "A")
        await count_all(store, MINUTE + 120)
        await count_all(store, MINUTE + 3 * DAY)
        assert await store.rows("SELECT step FROM timing") == [(3600,)]
        await store.upkeep.erase_messages(MINUTE + 4 * DAY)
        assert await store.rows("SELECT step FROM timing") == []


async def test_a_clock_that_was_ahead_for_a_while_stops_no_counting(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await took(store, 1.0, MINUTE + 30, "A")
        await count_all(store, MINUTE + DAY)
        await took(store, 1.0, MINUTE + 130, "B")
        for later in (200, 260, 320):
            await count_all(store, MINUTE + later)
        assert await store.rows("SELECT at, messages FROM timing WHERE step = 60") == [(MINUTE, 1), (MINUTE + 120, 1)]
