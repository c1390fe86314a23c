"""The port to the renderer: a few processes, started when first needed, replaced when one exceeds its bounds."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any

from emailhub import logs
from emailhub.adapters.renderer.bounds import Bounds
from emailhub.adapters.renderer.worker import OURS, DeadError, Worker, order
from emailhub.core.errors import Problem, Refused, TemplateError
from emailhub.core.status import RendererStatus
from emailhub.core.template import Rendered, Template

WAITING = 500
"""Renderings that may wait for their turn; without an end, a flood of slow ones would keep requests for minutes."""

REMEMBERED = 256
"""Templates of which is remembered what they were sent as."""

log = logs.get("renderer")


class ProcessRenderer:
    """Renders with at most `workers` processes at a time, each rendering within `bounds`."""

    def __init__(
        self, bounds: Bounds | None = None, *, workers: int = 2, command: Sequence[str] = OURS, most: int = WAITING
    ) -> None:
        self._bounds = bounds or Bounds()
        self._command = command
        self._turns = asyncio.Semaphore(workers)
        self._idle: list[Worker] = []
        self._waiting = 0
        self._most = most
        self._closed = False
        self._trouble = ""
        self._digests: OrderedDict[int, tuple[Template, str]] = OrderedDict()

    async def render(self, template: Template, values: Mapping[str, object]) -> Rendered:
        """What `template` makes of `values`. Raises TemplateError, and Refused when no process can work."""
        answer = await self._ask(template, dict(values))
        made = answer["made"]
        return Rendered(made["subject"], made["html"], made["text"])

    async def check(self, template: Template) -> tuple[Problem, ...]:
        """What is wrong with the sources of `template`. Raises Refused."""
        try:
            await self._ask(template, None)
        except TemplateError as error:
            return error.problems
        return ()

    def status(self) -> RendererStatus:
        """How it stands, for screens."""
        ready = sum(worker.alive for worker in self._idle)
        return RendererStatus(ready=ready, under_way=self._waiting, trouble=self._trouble)

    async def close(self) -> None:
        """End the processes; what is being rendered is given up as Refused."""
        self._closed = True
        while self._idle:
            await self._idle.pop().kill()

    async def _ask(self, template: Template, values: dict[str, Any] | None) -> dict[str, Any]:
        try:
            answer = await self._answer(self._digest(template), template, values)
        except DeadError as dead:
            raise self._refusal(template, dead) from None
        self._trouble = ""
        if answer.get("problems"):
            raise TemplateError(tuple(Problem(*problem) for problem in answer["problems"]))
        return answer

    async def _answer(self, digest: str, template: Template, values: dict[str, Any] | None) -> dict[str, Any]:
        try:
            return await self._asked(digest, template, values)
        except DeadError as dead:
            if not dead.again:
                raise
        return await self._asked(digest, template, values)

    async def _asked(self, digest: str, template: Template, values: dict[str, Any] | None) -> dict[str, Any]:
        async with self._worker() as worker:
            return await worker.ask(digest, template, values)

    def _digest(self, template: Template) -> str:
        """What tells its sources from others. A template that is used again and again is looked at once."""
        known = self._digests.get(id(template))
        if known is None or known[0] is not template:
            known = (template, sha256(json.dumps(order(template)).encode()).hexdigest())
            self._digests[id(template)] = known
            if len(self._digests) > REMEMBERED:
                self._digests.popitem(last=False)
        return known[1]

    @asynccontextmanager
    async def _worker(self) -> AsyncIterator[Worker]:
        if self._waiting >= self._most:
            raise Refused("service_unavailable", f"{self._waiting} templates wait to be rendered already")
        self._waiting += 1
        try:
            async with self._turns:
                worker = await self._ready()
                try:
                    yield worker
                except BaseException:
                    # Also when the request was given up: the answer that still comes would be taken for the next one's.
                    await worker.kill()
                    raise
                if worker.alive and not self._closed:
                    self._idle.append(worker)
                else:
                    await worker.kill()
        finally:
            self._waiting -= 1

    async def _ready(self) -> Worker:
        while self._idle:
            worker = self._idle.pop()
            if worker.alive:
                return worker
            await worker.kill()
        if self._closed:
            raise DeadError("emailhub is stopping")
        return await Worker.start(self._bounds, self._command)

    def _refusal(self, template: Template, dead: DeadError) -> TemplateError | Refused:
        if dead.over:
            log.warning("template refused", template=template.label, text=dead.over)
            return TemplateError((Problem("template", f"{template.label} {dead.over}"),))
        self._trouble = str(dead)
        log.error("renderer failed", template=template.label, text=str(dead))
        return Refused("service_unavailable", f"templates cannot be rendered now: {dead}")
