"""A hundred thousand messages are erased in time, without keeping anybody waiting, and the file shrinks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from emailhub.core.delivery import State
from tests.support.factories import DAY, NOW, Store, opened, parcel

MESSAGES = 100_000
UNFINISHED = 1_000
MOST = 2.0
"""Seconds that anybody may wait for a commit meanwhile, on a busy machine."""
HOUR = 3600.0


async def _fill(store: Store) -> None:
    for start in range(0, MESSAGES + UNFINISHED, 500):
        await store.outbox.add(
            [
                parcel(f"M{n}", key=f"k{n}", content=b"Subject: x\r\n\r\n" + b"x" * 3000)
                for n in range(start, start + 500)
            ]
        )
    # As if all but the newest had been sent: by one statement, since by attempts it would take an hour.
    await store.database.write(
        lambda tx: tx.execute(
            "UPDATE message SET state = 'sent', final_at = ?, due_at = NULL, waiting_since = NULL WHERE seq <= ?",
            (NOW, MESSAGES),
        )
    )
    await store.database.write(
        lambda tx: tx.execute("UPDATE recipient SET state = 'sent', due_at = NULL WHERE seq <= ?", (MESSAGES,))
    )


async def _meanwhile(store: Store, waits: list[float], done: asyncio.Event) -> None:
    """New mail is accepted all the time; how long each commit took."""
    number = 0
    while not done.is_set():
        begun = time.monotonic()
        await store.outbox.add([parcel(f"NEW{number}", accepted_at=NOW + 91 * DAY)])
        waits.append(time.monotonic() - begun)
        number += 1
        await asyncio.sleep(0.05)


@pytest.mark.nightly
@pytest.mark.timeout(900)
async def test_bodies_then_messages_then_keys_go_and_new_mail_waits_for_none_of_it(
    tmp_path: Path, proved: Callable[[str], None]
) -> None:
    path = tmp_path / "hub.db"
    async with opened(path) as store:
        await _fill(store)
    full = path.stat().st_size
    async with opened(path) as store:
        waits: list[float] = []
        done = asyncio.Event()
        meanwhile = asyncio.create_task(_meanwhile(store, waits, done))
        erased = {"bodies": 0, "messages": 0, "keys": 0}
        for name, erase, before in (
            ("bodies", store.upkeep.erase_bodies, NOW + 1),
            ("messages", store.upkeep.erase_messages, NOW + 1),
            ("keys", store.upkeep.erase_keys, NOW + 1),
        ):
            while count := await erase(before):
                erased[name] += count
                await store.upkeep.give_back()
        while await store.upkeep.give_back():
            pass
        done.set()
        await meanwhile
        assert erased == dict.fromkeys(erased, MESSAGES)
        by_state = (await store.history.totals()).by_state
        assert by_state.get(State.SENT, 0) == 0
        assert by_state[State.QUEUED] == UNFINISHED + len(waits)
        assert await store.rows("SELECT count(*) FROM body WHERE length(content) = 0") == [(0,)]
        assert (await store.rows("SELECT count(*) FROM idempotency_key"))[0][0] == UNFINISHED
        assert (await store.rows("PRAGMA freelist_count"))[0][0] <= 2000
    small = path.stat().st_size
    assert small < full / 10
    assert max(waits) < MOST, f"{sorted(waits)[-5:]}"
    proved(
        f"retention: {MESSAGES:,} messages, {UNFINISHED:,} unfinished untouched; {full // 2**20} MiB became "
        f"{small // 2**20} MiB; {len(waits)} commits meanwhile, the slowest {max(waits) * 1000:.0f} ms"
    )


async def test_a_key_is_kept_until_its_message_has_been_final_for_its_time(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A", key="one", expires_at=NOW + 30 * DAY)])
        week = NOW + 7 * DAY
        assert await store.upkeep.erase_keys(week - 72 * HOUR) == 0, "its message is not final"
        await store.verbs.cancel("A", now=week, actor="op", note="")
        assert await store.upkeep.erase_keys(week + 71 * HOUR - 72 * HOUR) == 0
        assert await store.upkeep.erase_keys(week + 73 * HOUR - 72 * HOUR) == 1
