"""Dead letters stay until RabbitMQ has confirmed them, and go as soon as it can."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from emailhub.core.errors import BrokerDown, OutboxError
from emailhub.core.records import DeadLetter
from emailhub.engine.undertaker import BATCH, Undertaker


def letter(id: int) -> DeadLetter:
    return DeadLetter(
        id=id, at=1.0, reason="refused", body=b"{}", headers={}, content_type="application/json", correlation_id="c"
    )


class World:
    """Rows and RabbitMQ. `changed` is notified of everything that happens."""

    def __init__(self, *ids: int) -> None:
        self.rows = {id: letter(id) for id in ids}
        self.published: list[int] = []
        self.tries = 0
        self.confirmed: list[tuple[int, float]] = []
        self.away = False
        self.bad: dict[int, Exception] = {}
        self.unreadable = False
        self.changed = asyncio.Condition()

    async def pending_letters(self, limit: int) -> list[DeadLetter]:
        if self.unreadable:
            await self._happened()
            raise OutboxError("locked")
        return [self.rows[id] for id in sorted(self.rows)][:limit]

    async def confirm_letter(self, letter: DeadLetter, now: float) -> None:
        del self.rows[letter.id]
        self.confirmed.append((letter.id, now))
        await self._happened()

    async def publish(self, letter: DeadLetter) -> None:
        self.tries += 1
        await self._happened()
        if self.away:
            raise BrokerDown("away")
        if letter.id in self.bad:
            raise self.bad[letter.id]
        self.published.append(letter.id)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with self.changed, asyncio.timeout(5):
            await self.changed.wait_for(condition)

    async def _happened(self) -> None:
        async with self.changed:
            self.changed.notify_all()


@asynccontextmanager
async def working(world: World, first_wait: float = 0.01, stretch: float = 1.0) -> AsyncIterator[Undertaker]:
    undertaker = Undertaker(world, world, now=lambda: 7.0, jitter=lambda *_: stretch, first_wait=first_wait)
    task = asyncio.create_task(undertaker.run())
    try:
        yield undertaker
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_what_an_earlier_run_left_is_published_at_the_start_and_confirmed_once() -> None:
    world = World(1, 2, 3)
    async with working(world):
        await world.until(lambda: not world.rows)
    assert sorted(world.published) == [1, 2, 3]
    assert sorted(world.confirmed) == [(1, 7.0), (2, 7.0), (3, 7.0)]


async def test_a_new_one_is_published_when_it_is_told() -> None:
    world = World()
    async with working(world) as undertaker:
        world.rows[1] = letter(1)
        undertaker.wake()
        await world.until(lambda: world.confirmed == [(1, 7.0)])


async def test_more_than_a_batch_goes_without_waiting() -> None:
    world = World(*range(3 * BATCH + 1))
    async with working(world, first_wait=60.0):
        await world.until(lambda: not world.rows)
    assert world.tries == 3 * BATCH + 1


async def test_while_rabbitmq_is_away_they_stay_and_are_tried_again() -> None:
    world = World(1)
    world.away = True
    async with working(world):
        await world.until(lambda: world.tries >= 3)
        assert list(world.rows) == [1]
        world.away = False
        await world.until(lambda: not world.rows)
    assert world.published == [1]


async def test_a_wake_ends_a_long_wait() -> None:
    world = World(1)
    world.away = True
    # Every wait is an hour; only the first hundredth of a second of it cannot be cut short.
    async with working(world, stretch=360_000.0) as undertaker:
        await world.until(lambda: world.tries == 1)
        world.away = False
        undertaker.wake()
        await world.until(lambda: not world.rows)


async def test_many_wakes_while_rabbitmq_is_away_are_one_try() -> None:
    world = World(1)
    world.away = True
    async with working(world, first_wait=30.0) as undertaker:
        await world.until(lambda: world.tries == 1)
        for _ in range(100):
            undertaker.wake()
            await asyncio.sleep(0)
        assert world.tries == 1


async def test_one_that_cannot_be_published_does_not_keep_the_others() -> None:
    world = World(1, 2, 3)
    world.bad = {1: BrokerDown("refused"), 2: ValueError("a fault of ours")}
    async with working(world):
        await world.until(lambda: world.confirmed == [(3, 7.0)] and world.tries > 3)
    assert sorted(world.rows) == [1, 2]


async def test_a_database_that_cannot_be_read_is_asked_again() -> None:
    world = World(1)
    world.unreadable = True
    async with working(world):
        await world.until(lambda: True)
        world.unreadable = False
        await world.until(lambda: not world.rows)
