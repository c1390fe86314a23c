"""One process that renders, as the hub sees it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from emailhub.adapters.renderer import frames
from emailhub.adapters.renderer.bounds import Bounds
from emailhub.core.template import Template

_START = ("-s", "-P", "-c", "from emailhub.adapters.renderer.child import main; main()")
OURS = (sys.executable, "renderer") if getattr(sys, "frozen", False) else (sys.executable, *_START)
"""How the process is started: without the user's own packages and what lies in the working folder.

A program packed into one file is no interpreter: there the command line has a command for it.
"""
START = 30.0
"""Seconds a process may take until it is ready, on a machine that is busy."""
KEPT = 64
"""Templates a process keeps compiled."""
KEPT_SIZE = 4 * 1024 * 1024
"""Characters of their sources in all: compiled they take several times as much of the memory that renderings have."""
TIRED = 1000
"""Renderings after which the memory of a process may be in pieces."""
_OF_BINARY = ("_PYI_", "LD_LIBRARY_PATH")


class DeadError(Exception):
    """The process ended, or was ended, instead of answering. `over` says which bound it exceeded, "" when none.

    `again`: what it did before may be to blame, and a fresh process may do better.
    """

    def __init__(self, text: str, *, over: str = "", again: bool = False) -> None:
        super().__init__(text)
        self.over = over
        self.again = again


class Worker:
    """Answers one request at a time. After DeadError, and after a cancelled request, only `kill` is allowed."""

    def __init__(self, process: Process, bounds: Bounds) -> None:
        self._process = process
        self._bounds = bounds
        self._known: OrderedDict[str, int] = OrderedDict()
        self._size = 0
        self._asked = 0

    @classmethod
    async def start(cls, bounds: Bounds, command: Sequence[str]) -> Worker:
        """A process that is ready. Raises DeadError."""
        try:
            process = await asyncio.create_subprocess_exec(
                *command, json.dumps(bounds), stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=_environment()
            )
        except OSError as error:
            raise DeadError(f"no process can be started for it: {error}") from error
        worker = cls(process, bounds)
        try:
            async with asyncio.timeout(START):
                await worker._answer()
        except BaseException as error:
            await worker.kill()
            if isinstance(error, TimeoutError):
                raise DeadError(f"its process was not ready in {START:g} s") from None
            raise
        return worker

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ask(self, digest: str, template: Template, values: dict[str, Any] | None) -> dict[str, Any]:
        """What it makes of `template`, which is sent only when it does not know `digest`; values None: check it."""
        request = {
            "digest": digest,
            "template": None if digest in self._known else order(template),
            "values": values,
            "forget": self._forgotten(digest, template),
        }
        self._asked += 1
        writer = self._process.stdin
        assert writer is not None
        try:
            async with asyncio.timeout(self._bounds.wall):
                writer.write(frames.pack(request))
                await writer.drain()
                return await self._answer()
        except (ConnectionError, TimeoutError) as error:
            if isinstance(error, TimeoutError):
                over = f"takes longer than {self._bounds.wall:g} s"
                raise DeadError(over, over=over) from None
            raise await self._death() from None

    async def kill(self) -> None:
        """End the process, if it has not ended, and take leave of it."""
        if self.alive:
            self._process.kill()
        if self._process.stdin is not None:
            self._process.stdin.close()
        await self._process.wait()

    def _forgotten(self, digest: str, template: Template) -> list[str]:
        """What it shall forget to make room for `digest`: what was used longest ago."""
        if digest not in self._known:
            self._known[digest] = sum(len(source) for _, source in template.parts) + len(template.html or "")
            self._size += self._known[digest]
        self._known.move_to_end(digest)
        forgotten = []
        while len(self._known) > KEPT or (self._size > KEPT_SIZE and len(self._known) > 1):
            name, size = self._known.popitem(last=False)
            self._size -= size
            forgotten.append(name)
        return forgotten

    async def _answer(self) -> dict[str, Any]:
        reader = self._process.stdout
        assert reader is not None
        try:
            (size,) = frames.HEAD.unpack(await reader.readexactly(frames.HEAD.size))
            found: dict[str, Any] = json.loads(await reader.readexactly(size))
        except asyncio.IncompleteReadError:
            raise await self._death() from None
        return found

    async def _death(self) -> DeadError:
        code = await self._process.wait()
        if code == -signal.SIGPROF:
            over = f"takes more than {self._bounds.cpu:g} s of processor time"
            return DeadError(over, over=over)
        if code == frames.OUT_OF_MEMORY:
            over = f"needs more than {self._bounds.memory // 1048576} MiB of memory"
            return DeadError(over, over=over, again=self._asked > TIRED)
        if code == -signal.SIGKILL:
            return DeadError(
                "was killed", over="is killed while it renders, as happens when memory is short", again=True
            )
        if code in {frames.FAILED, -signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS, -signal.SIGFPE, -signal.SIGILL}:
            return DeadError("crashed", over="makes the renderer fail, as nesting without end does")
        return DeadError(f"its process ended with code {code}")


def order(template: Template) -> dict[str, Any]:
    """What the process needs to know of `template`."""
    return {
        "sources": {"subject": template.subject or None, "html": template.html, "text": template.text},
        "parts": dict(template.parts),
    }


def _environment() -> dict[str, str]:
    """Nothing of the hub's but where modules are, and where a program packed into one file finds itself."""
    found = {name: value for name, value in os.environ.items() if name.startswith(_OF_BINARY)}
    return found | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
