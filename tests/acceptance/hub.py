"""A real `emailhub serve` of a test's own: started in an empty folder, watched from outside, killed when asked."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx

from tests.support.ports import free_port

T = TypeVar("T")
START_SECONDS = 30.0
PAUSE = 0.05


class Hub:
    """One hub over any number of starts. `env` is all it gets besides PATH; it listens on `port`."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self.folder = folder
        self.port = free_port()
        self.env = {"PATH": os.environ["PATH"], "EMAILHUB_PORT": str(self.port), "EMAILHUB_LOG_FORMAT": "json"} | env
        self.client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", timeout=30, trust_env=False)
        self.process: asyncio.subprocess.Process | None = None
        self.under: tuple[str, ...] = ()
        """A command that starts it and leaves its place to it."""

    @property
    def database(self) -> Path:
        return self.folder / "emailhub.db"

    async def start(self, **env: str) -> None:
        """Start it and wait until it answers. Raises AssertionError with its output when it ends instead."""
        self.env |= env
        await self.spawn()
        await self.until(self._answers, "the hub answers", START_SECONDS)

    async def spawn(self) -> None:
        """Start it and wait for nothing."""
        with (self.folder / "log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self.under, sys.executable, "-m", "emailhub", "serve",
                cwd=self.folder, env=self.env, stdout=log, stderr=log,
            )  # fmt: skip

    async def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.returncode is None, f"emailhub ended with {self.process.returncode}:\n{self.output()}"
        with contextlib.suppress(httpx.HTTPError):
            return (await self.client.get("/health/live")).status_code == 200
        return False

    async def stop(self, seconds: float = 40.0) -> int:
        """SIGTERM, and its exit code."""
        return await self._end(signal.SIGTERM, seconds)

    async def kill9(self) -> None:
        await self._end(signal.SIGKILL, 10.0)

    async def _end(self, number: signal.Signals, seconds: float) -> int:
        process = self.process
        if process is None:
            return 0
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
        async with asyncio.timeout(seconds):
            code = await process.wait()
        self.process = None
        return code

    async def close(self) -> None:
        if self.process is not None and self.process.returncode is None:
            await self.kill9()
        await self.client.aclose()

    def output(self) -> str:
        return (self.folder / "log").read_text("utf-8", "replace")

    def log(self) -> list[dict[str, Any]]:
        """The log lines so far."""
        return [json.loads(line) for line in self.output().splitlines() if line.startswith("{")]

    async def until(self, true: Callable[[], Awaitable[T]], what: str, seconds: float = 20.0) -> T:
        """The first true answer of `true()`. Raises AssertionError naming `what` after `seconds`."""
        last: object = None
        try:
            async with asyncio.timeout(seconds):
                while not (last := await true()):  # noqa: ASYNC110 - a process tells no events
                    await asyncio.sleep(PAUSE)
        except TimeoutError:
            raise AssertionError(f"not within {seconds} s: {what} (last: {last!r})\n{self.output()[-4000:]}") from None
        return last

    async def get(self, path: str, **params: str | int) -> Any:
        answer = await self.client.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(self, path: str, body: object = None, **headers: str) -> httpx.Response:
        return await self.client.post(path, json={} if body is None else body, headers=headers)

    async def send(self, **fields: object) -> str:
        """POST /emails; the id."""
        answer = await self.post("/emails", {"to": "ada@example.org", "subject": "Hello", "text": "Hi."} | fields)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    async def counts(self) -> dict[str, int]:
        """Messages by state, counted by walking every page of the list."""
        found: dict[str, int] = {}
        page = await self.get("/emails", limit=100)
        while True:
            for email in page["data"]:
                found[email["status"]] = found.get(email["status"], 0) + 1
            if not page["has_more"]:
                return found
            page = await self.get("/emails", limit=100, after=page["data"][-1]["id"])

    async def settled(self, count: int, seconds: float = 60.0, *, final: tuple[str, ...] = ("sent", "failed")) -> None:
        """Wait until `count` messages are there and all are final."""

        async def all_final() -> bool:
            counts = await self.counts()
            return sum(counts.values()) == count and not set(counts) - set(final)

        await self.until(all_final, f"{count} messages are final", seconds)

    async def consuming(self, seconds: float = 40.0) -> None:
        """Wait until it reads the queue."""

        async def reads() -> bool:
            return "consuming" in (await self.client.get("/health/ready")).text

        await self.until(reads, "the consumer is there", seconds)

    async def breaker(self) -> dict[str, Any]:
        """The breaker of the relay `default`."""
        found = await self.get("/breakers")
        return next(one for one in found["data"] if one["relay"] == "default")


@contextlib.asynccontextmanager
async def running(folder: Path, **env: str) -> AsyncIterator[Hub]:
    """A started hub, ended with the block."""
    folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - nothing else runs yet
    hub = Hub(folder, env)
    try:
        await hub.start()
        yield hub
    finally:
        await hub.close()
