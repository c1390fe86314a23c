"""The keeper's rounds: expiry, erasing in steps, and leaving the queue alone when there is no room."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from emailhub.core.delivery import State
from emailhub.core.errors import OutboxFull
from emailhub.core.status import OutboxStatus
from emailhub.engine.keeper import Keeper, Keeping
from emailhub.engine.meter import Meter
from emailhub.engine.room import Room
from emailhub.engine.solo import NoBroker
from tests.support.factories import DAY, NOW, SENT, Store, opened, parcel


class Valve(NoBroker):
    """A queue that can be left alone."""

    def __init__(self) -> None:
        self.story: list[str] = []

    def pause(self, why: str) -> None:
        self.story.append(why)

    def resume(self) -> None:
        self.story.append("resumed")


class Rounds:
    """A keeper whose clock the test moves."""

    def __init__(self, store: Store, **keeping: float) -> None:
        self.now = NOW
        self.room = Room(most_waiting=10, disk_reserve=1000)
        self.broker = Valve()
        self.letters = 0
        self.keeper = Keeper(
            store.verbs,
            store.upkeep,
            store.history,
            self.broker,
            room=self.room,
            keeping=Keeping(**keeping),
            letters_due=self.due,
            meter=Meter(),
            now=lambda: self.now,
        )

    def due(self) -> None:
        self.letters += 1


async def test_a_round_expires_everything_that_is_due_however_much_it_is(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        rounds = Rounds(store)
        await store.outbox.add([parcel(f"M{number:04}", expires_at=NOW + 1) for number in range(1200)])
        rounds.now = NOW + 2
        await rounds.keeper.round()
        assert (await store.history.totals()).by_state[State.FAILED] == 1200
        assert rounds.letters > 0
        assert rounds.room.waiting == 0


async def test_the_queue_is_left_alone_from_80_percent_and_taken_again_below_70(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        rounds = Rounds(store)
        await store.outbox.add([parcel(f"M{number}") for number in range(7)])
        await rounds.keeper.round()
        assert rounds.broker.story == []
        await store.outbox.add([parcel("M7", scheduled_at=NOW + 60)])
        await rounds.keeper.round()
        await rounds.keeper.round()
        assert rounds.broker.story == ["8 messages wait already"]
        (first, second, *_) = await store.claim()
        await store.finish(first, SENT)
        await rounds.keeper.round()
        assert len(rounds.broker.story) == 1
        await store.finish(second, SENT)
        await rounds.keeper.round()
        assert rounds.broker.story[1:] == ["resumed"]
        assert rounds.room.waiting == 6


async def test_a_nearly_full_disk_leaves_the_queue_alone_too(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        rounds = Rounds(store)
        free = [999]
        store.history.status = lambda: OutboxStatus(free_disk=free[0])  # type: ignore[method-assign]
        await rounds.keeper.round()
        assert (rounds.broker.story, rounds.room.free_disk) == (["the disk is nearly full"], 999)
        free[0] = 1000
        await rounds.keeper.round()
        assert rounds.broker.story[1:] == ["resumed"]


async def test_a_disk_on_which_nothing_can_be_expired_still_leaves_the_queue_alone(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        rounds = Rounds(store)
        store.history.status = lambda: OutboxStatus(free_disk=0)  # type: ignore[method-assign]

        async def full(now: float, *, by: float) -> int:
            raise OutboxFull("the disk is full")

        store.verbs.expire = full  # type: ignore[method-assign]
        with pytest.raises(OutboxFull):
            await rounds.keeper.round()
        assert rounds.broker.story == ["the disk is nearly full"]


async def test_what_was_kept_long_enough_is_erased_kind_by_kind(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        rounds = Rounds(store, bodies=DAY, messages=3 * DAY, keys=2 * DAY)
        await store.outbox.add([parcel("A", key="k"), parcel("WAITS", expires_at=NOW + 99 * DAY)])
        (job, _) = await store.claim()
        await store.finish(job, SENT)
        for days, body, keys, messages in ((1.5, False, 1, 2), (2.5, False, 0, 2), (3.5, False, 0, 1)):
            rounds.now = NOW + days * DAY
            await rounds.keeper.round()
            if messages == 2:
                assert (await store.history.find("A")).has_content is body
            assert await store.rows("SELECT count(*) FROM idempotency_key") == [(keys,)]
            assert await store.rows("SELECT count(*) FROM message") == [(messages,)]
        assert (await store.history.find("WAITS")).has_content


async def test_a_large_clean_up_is_spread_over_rounds_and_then_rests_for_a_minute(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        calls: Counter[str] = Counter()
        left = [3]

        async def erase(_: float) -> int:
            calls["erase"] += 1
            left[0] -= 1
            return 500 if left[0] >= 0 else 0

        store.upkeep.erase_messages = erase  # type: ignore[method-assign]
        rounds = Rounds(store)
        for second in range(60):
            rounds.now = NOW + second
            await rounds.keeper.round()
            assert calls["erase"] <= second + 1
        assert calls["erase"] == 4
        rounds.now = NOW + 63
        await rounds.keeper.round()
        assert calls["erase"] == 5
