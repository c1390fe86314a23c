"""What all request bodies together may take: the rest waits for its turn, and is sent away when that does not come."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emailhub.core.errors import Refused
from emailhub.web import bodies
from emailhub.web.bodies import UNCOUNTED, Bodies, large
from emailhub.web.faces import WebOptions
from tests.support.web_hub import GOOD, web_hub

MEGA = 1_000_000


async def nothing() -> Any:
    return {"type": "http.request", "body": b"", "more_body": False}


def of(size: int) -> dict[str, str]:
    """The headers of a body of which `size` bytes are counted."""
    return {"content-length": str(size + UNCOUNTED)}


class Body:
    """A request that comes for room and stays until it is let go."""

    def __init__(self, room: Bodies, size: int) -> None:
        self.inside = asyncio.Event()
        self.over = asyncio.Event()
        self.task = asyncio.create_task(self._stay(room, size))

    async def _stay(self, room: Bodies, size: int) -> None:
        async with room.room(of(size), nothing):
            self.inside.set()
            await self.over.wait()

    async def go(self) -> None:
        self.over.set()
        await self.task


async def rest() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_small_bodies_are_not_counted() -> None:
    assert not large({"content-length": "99999"})
    assert not large({})
    assert large({"content-length": "100000"})
    assert large({"transfer-encoding": "chunked"})


async def test_a_body_waits_until_there_is_room_and_those_behind_it_wait_their_turn() -> None:
    room = Bodies(10 * MEGA)
    first, second = Body(room, 4 * MEGA), Body(room, 5 * MEGA)
    await rest()
    third, fourth = Body(room, 6 * MEGA), Body(room, MEGA)
    await rest()
    assert [one.inside.is_set() for one in (first, second, third, fourth)] == [True, True, False, False]
    await first.go()
    await rest()
    assert not fourth.inside.is_set(), "a large body would never have its turn"
    await second.go()
    await rest()
    assert third.inside.is_set()
    assert fourth.inside.is_set()
    await third.go()
    await fourth.go()
    assert room.used == 0


async def test_a_body_that_does_not_get_its_turn_is_refused_and_its_place_is_free() -> None:
    room = Bodies(MEGA, patience=0.01)
    first = Body(room, MEGA)
    await rest()
    with pytest.raises(Refused, match="EMAILHUB_BODY_BUDGET") as refused:
        async with room.room(of(1), nothing):
            pass
    assert (refused.value.status, refused.value.retry_after) == (503, bodies.RETRY_AFTER)
    await first.go()
    async with room.room(of(MEGA), nothing):
        assert room.used == MEGA


async def test_one_body_larger_than_all_there_is_may_be_read_alone() -> None:
    room = Bodies(MEGA)
    async with room.room(of(5 * MEGA), nothing):
        waiting = Body(room, 1)
        await rest()
        assert not waiting.inside.is_set()
    await rest()
    assert waiting.inside.is_set()
    await waiting.go()


async def test_a_request_that_goes_away_while_it_waits_lets_the_next_one_in() -> None:
    room = Bodies(MEGA)
    first, second, third = Body(room, 600_000), Body(room, MEGA), Body(room, 300_000)
    await rest()
    assert not third.inside.is_set()
    second.task.cancel()
    await rest()
    assert third.inside.is_set()
    await first.go()
    await third.go()
    assert room.used == 0


async def test_a_body_of_unknown_length_is_counted_as_it_comes() -> None:
    room, pieces = Bodies(MEGA), [b"x" * 400_000] * 4

    async def receive() -> Any:
        return {"type": "http.request", "body": pieces.pop(), "more_body": bool(pieces)}

    async with room.room({"transfer-encoding": "chunked"}, receive) as counting:
        await counting()
        assert room.used == 400_000 - UNCOUNTED
        async with room.room(of(300_000), nothing):
            await counting()
            with pytest.raises(Refused):
                await counting()
    assert room.used == 0
    assert len(pieces) == 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 12), st.sampled_from(("go", "cancel", "stay"))), max_size=12))
def test_whatever_comes_and_goes_the_count_is_kept_and_nobody_waits_for_nothing(story: list[tuple[int, str]]) -> None:
    async def play() -> None:
        room = Bodies(10)
        came: list[Body] = []
        for size, then in story:
            came.append(Body(room, size))
            await rest()
            assert room.used <= 12, "ten, or one that is larger and alone"
            if then == "cancel":
                came.pop(len(came) // 2).task.cancel()
            elif then == "go" and came[0].inside.is_set():
                await came.pop(0).go()
            await rest()
        for one in came:
            await asyncio.wait_for(one.inside.wait(), 1)
            await one.go()
        assert room.used == 0

    asyncio.run(play())


@contextlib.asynccontextmanager
async def full(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    """A hub at which a large upload is under way, for which there is no more room."""
    monkeypatch.setattr(bodies, "PATIENCE", 0.01)
    async with web_hub(folder, options=WebOptions(body_budget=MEGA)) as hub:
        begun, over = asyncio.Event(), asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield b" " * MEGA
            begun.set()
            await over.wait()
            yield b"{}"

        upload = asyncio.create_task(
            hub.client.post(
                "/emails",
                content=slow(),
                headers={"content-type": "application/json", "content-length": str(MEGA + 2)},
            )
        )
        await asyncio.wait_for(begun.wait(), 5)
        yield hub
        over.set()
        assert (await upload).status_code == 422


async def test_while_uploads_take_all_the_room_large_mail_is_told_to_come_back_and_small_mail_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with full(tmp_path, monkeypatch) as hub:
        refused = await hub.client.post("/emails", json=GOOD | {"text": "x" * 200_000})
        assert (refused.status_code, refused.json()["name"]) == (503, "service_unavailable")
        assert (refused.headers["retry-after"], refused.headers["connection"]) == ("5", "close")
        assert "EMAILHUB_BODY_BUDGET" in refused.json()["message"]
        assert (await hub.client.post("/emails", json=GOOD)).status_code == 200
