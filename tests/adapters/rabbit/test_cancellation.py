"""The AMQP library cancels calls by itself and swallows cancellations of ours; neither may go unnoticed."""

import asyncio
from contextlib import suppress

import pytest

from emailhub.adapters.rabbit.errors import Lost, amqp_call, end


async def _swallowing(started: asyncio.Event) -> None:
    started.set()
    with suppress(asyncio.CancelledError):
        await asyncio.Event().wait()


async def test_a_call_cut_off_by_a_closing_connection_is_a_loss() -> None:
    with pytest.raises(Lost), amqp_call():
        raise asyncio.CancelledError


async def test_a_cancellation_that_the_library_swallows_ends_the_task_all_the_same() -> None:
    started = asyncio.Event()

    async def work() -> None:
        while True:
            with amqp_call():
                await _swallowing(started)

    task = asyncio.create_task(work())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancellation_that_the_library_answers_with_an_error_ends_the_task_all_the_same() -> None:
    started = asyncio.Event()

    async def work() -> None:
        with amqp_call():
            await _swallowing(started)
            raise ConnectionError("closed")

    task = asyncio.create_task(work())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_timeout_inside_is_no_cancellation() -> None:
    with pytest.raises(TimeoutError), amqp_call():
        async with asyncio.timeout(0.01):
            await asyncio.Event().wait()


async def test_ending_insists_when_the_first_cancellation_was_swallowed() -> None:
    started, again = asyncio.Event(), asyncio.Event()

    async def stubborn() -> None:
        await _swallowing(started)
        await again.wait()

    task = asyncio.create_task(stubborn())
    await started.wait()
    async with asyncio.timeout(10):
        await end(task)
    assert task.cancelled()
