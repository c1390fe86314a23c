"""The hub of live pages: order, replay, bounds, and an end."""

from __future__ import annotations

import asyncio
import json
import re

import pytest

from emailhub.core.errors import Refused
from emailhub.core.records import Event
from emailhub.engine.live import Live, Subscription

ID = re.compile(rb"^id: (\d+)$", re.MULTILINE)


class Past:
    """The event rows, of which `live` gets to know a part."""

    def __init__(self, count: int = 0) -> None:
        self.rows = [event(id) for id in range(1, count + 1)]
        self.reads = 0

    async def events_since(self, event_id: int, limit: int) -> tuple[Event, ...]:
        self.reads += 1
        return tuple(row for row in self.rows if row.id > event_id)[:limit]

    async def last_event_id(self) -> int:
        return self.rows[-1].id if self.rows else 0


def event(id: int) -> Event:
    return Event(id, 1_800_000_000.0, "accepted", f"m{id}", None, {"state": "queued"})


def publish(live: Live, past: Past, *ids: int) -> None:
    events = [event(id) for id in ids]
    past.rows += events
    live.publish(events)


async def ids(subscription: Subscription) -> list[int]:
    """The ids of all that waits."""
    found: list[int] = []
    while chunk := await subscription.read(0.01):
        found += [int(id) for id in ID.findall(chunk)]
    return found


async def test_a_client_hears_what_happens_from_now_on_in_order() -> None:
    past = Past(5)
    live = Live(past)
    subscription = live.subscribe()
    publish(live, past, 6, 7)
    publish(live, past, 8)
    assert await ids(subscription) == [6, 7, 8]


async def test_an_event_is_one_frame_of_compact_json() -> None:
    past = Past()
    live = Live(past)
    subscription = live.subscribe()
    publish(live, past, 1)
    frame = await subscription.read(1)
    assert frame is not None
    lines = frame.decode().split("\n")
    assert (lines[0], lines[2:]) == ("id: 1", ["", ""])
    assert json.loads(lines[1].removeprefix("data: "))["message"] == "m1"
    assert ", " not in lines[1]


async def test_reading_waits_for_something_to_happen() -> None:
    past = Past()
    live = Live(past)
    subscription = live.subscribe()
    reading = asyncio.create_task(subscription.read(5))
    await asyncio.sleep(0)
    assert not reading.done()
    publish(live, past, 1)
    assert b"id: 1\n" in (await reading or b"")


async def test_nothing_for_a_while_is_an_empty_chunk() -> None:
    assert await Live(Past()).subscribe().read(0.001) == b""


async def test_what_was_missed_comes_from_memory_when_it_is_still_there() -> None:
    past = Past()
    live = Live(past)
    publish(live, past, *range(1, 11))
    assert await ids(live.subscribe(7)) == [8, 9, 10]
    assert await ids(live.subscribe(10)) == []
    assert past.reads == 0


async def test_what_was_missed_long_ago_comes_from_the_outbox() -> None:
    past = Past(50)
    live = Live(past, ring=5)
    publish(live, past, *range(51, 61))
    assert await ids(live.subscribe(10)) == list(range(11, 61))
    assert past.reads == 1


async def test_after_a_restart_memory_is_empty_and_nothing_is_missed() -> None:
    live = Live(Past(50))
    assert await ids(live.subscribe(40)) == list(range(41, 51))


async def test_an_event_that_comes_during_a_replay_is_told_once() -> None:
    past = Past(20)
    live = Live(past)
    subscription = live.subscribe(10)
    publish(live, past, 21, 22)
    assert await ids(subscription) == list(range(11, 23))


async def test_who_missed_too_much_is_told_to_load_anew_and_goes_on() -> None:
    past = Past(100)
    live = Live(past, ring=5, replay=20)
    subscription = live.subscribe(1)
    assert await subscription.read(1) == b"event: reset\nid: 100\ndata: {}\n\n"
    publish(live, past, 101)
    assert await ids(subscription) == [101]


@pytest.mark.parametrize("known", (0, 10))
async def test_an_id_from_another_database_is_told_to_load_anew(known: int) -> None:
    past = Past()
    live = Live(past)
    publish(live, past, *range(1, known + 1))
    assert await live.subscribe(999).read(1) == b"event: reset\nid: %d\ndata: {}\n\n" % known


async def test_who_does_not_read_is_sent_away_and_holds_up_nobody() -> None:
    past = Past()
    live = Live(past, backlog=10)
    slow, quick = live.subscribe(), live.subscribe()
    for id in range(1, 31):
        publish(live, past, id)
        await quick.read(1)
    assert live.dropped == 1
    assert await slow.read(1) == b"event: reset\ndata: {}\n\n"
    assert await slow.read(1) is None
    publish(live, past, 31)
    assert await ids(quick) == [31]


async def test_memory_per_client_is_bounded_whatever_happens() -> None:
    past = Past()
    live = Live(past, backlog=10, ring=100)
    slow = live.subscribe()
    publish(live, past, *range(1, 5001))
    assert len(slow._waiting) == 1
    assert len(live._ring) == 100


async def test_only_so_many_may_listen_and_a_place_is_freed_when_one_goes() -> None:
    live = Live(Past(), clients=2)
    first, _ = live.subscribe(), live.subscribe()
    with pytest.raises(Refused, match="EMAILHUB_SSE_CLIENTS") as refused:
        live.subscribe()
    assert refused.value.status == 503
    first.close()
    live.subscribe()
    assert live.clients == 2


async def test_closing_ends_every_stream_at_once_and_takes_no_new_one() -> None:
    live = Live(Past())
    subscriptions = [live.subscribe() for _ in range(3)]
    reading = [asyncio.create_task(subscription.read(60)) for subscription in subscriptions]
    await asyncio.sleep(0)
    live.close()
    await asyncio.wait_for(asyncio.gather(*reading), 1)
    assert [await subscription.read(60) for subscription in subscriptions] == [None] * 3
    with pytest.raises(Refused):
        live.subscribe()


async def test_how_things_stand_is_told_to_newcomers_and_only_when_it_changes() -> None:
    live = Live(Past())
    early = live.subscribe()
    live.publish_status({"waiting": 1})
    live.publish_status({"waiting": 1})
    assert await early.read(1) == b'event: status\ndata: {"waiting":1}\n\n'
    assert await live.subscribe().read(1) == b'event: status\ndata: {"waiting":1}\n\n'
    live.publish_status({"waiting": 2})
    assert await early.read(1) == b'event: status\ndata: {"waiting":2}\n\n'
    assert await early.read(0.001) == b""


async def test_a_change_wakes_who_waits_for_one() -> None:
    past = Past()
    live = Live(past)
    live.subscribe()
    await live.change(60)
    waiting = asyncio.create_task(live.change(60))
    await asyncio.sleep(0)
    publish(live, past, 1)
    await asyncio.wait_for(waiting, 1)


async def test_without_a_listener_nothing_is_woken() -> None:
    past = Past()
    live = Live(past)
    publish(live, past, 1)
    waiting = asyncio.create_task(live.change(60))
    await asyncio.sleep(0)
    assert not waiting.done()
    live.subscribe()
    await asyncio.wait_for(waiting, 1)
