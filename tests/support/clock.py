"""Virtual time: an event loop whose clock jumps to the next timer as soon as nothing else is left to do.

A test of hours of retries takes milliseconds, and every wait can be asserted to the second. The loop waits, in real
time, only for threads, the database's and those of the executor: virtual time stands still while one of them works.
"""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, ParamSpec
from unittest import mock

import aiosqlite

P = ParamSpec("P")

START = 1_800_000_000.0
"""The virtual wall clock's first second; whole, so that sums of whole waits are exact."""
STUCK = 20.0


class VirtualLoop(asyncio.SelectorEventLoop):
    """See the module. `wall()` is the clock to inject."""

    def __init__(self) -> None:
        self.elapsed = 0.0
        self.busy = 0
        super().__init__(self.selector())

    def selector(self) -> Selector:
        return Selector(self)

    def time(self) -> float:
        return self.elapsed

    def wall(self) -> float:
        return START + self.elapsed

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        self.busy += 1
        work = super().run_in_executor(executor, func, *args)
        work.add_done_callback(self._worked)
        return work

    def _worked(self, _: object) -> None:
        self.busy -= 1

    async def shutdown_default_executor(self, *timeout: Any) -> None:  # Python 3.11 knows no timeout
        self.busy += 1
        try:
            await super().shutdown_default_executor(*timeout)
        finally:
            self.busy -= 1


class Selector(selectors.DefaultSelector):
    """Lets time jump where it would wait."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        loop = self._loop
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if loop.busy:
            ready = super().select(STUCK)
            if not ready:
                raise AssertionError(f"a thread has been at work for {STUCK} s")
            return ready
        if ready := self.last_look():
            return ready
        if timeout is None:
            raise AssertionError("nothing will ever happen: every task waits and no timer is set")
        loop.elapsed += timeout
        return []

    def last_look(self) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready after all, asked before time may jump."""
        return []


def virtual(
    test: Callable[P, Coroutine[Any, Any, None]], *, loop: Callable[[], VirtualLoop] = VirtualLoop
) -> Callable[P, None]:
    """Run an async test in virtual time. Its fixtures must be synchronous."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with (
            mock.patch.object(aiosqlite.Connection, "_execute", _counted(aiosqlite.Connection._execute)),
            mock.patch.object(aiosqlite.Connection, "_connect", _counted(aiosqlite.Connection._connect)),
            mock.patch.object(aiosqlite.Connection, "close", _counted(aiosqlite.Connection.close)),
            asyncio.Runner(loop_factory=loop) as runner,
        ):
            runner.run(test(*args, **kwargs), context=Context())

    return run


def _counted(original: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Coroutine[Any, Any, Any]]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.busy += 1
        try:
            return await original(*args, **kwargs)
        finally:
            loop.busy -= 1

    return call


def now() -> float:
    """The virtual wall clock of the running test."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop.wall()


async def settled(condition: Callable[[], bool], *, within: float = 3600.0) -> None:
    """Return as soon as `condition` holds, checked whenever everything else has come to rest."""
    deadline = now() + within
    while not condition():
        assert now() < deadline, "it did not happen"
        await asyncio.sleep(0.25)
