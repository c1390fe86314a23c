"""Settings while the hub runs: read again from all their sources, compared, and taken over whole or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from emailhub import logs
from emailhub.core.audit import REFUSED
from emailhub.core.errors import BadSettings, EmailhubError, OutboxError, Problem
from emailhub.core.reloaded import Reloaded
from emailhub.core.setup import Setup
from emailhub.engine.audit import AuditLog
from emailhub.engine.desk import Actor
from emailhub.settings import Loaded, Settings, SettingsError, describe
from emailhub.settings.changes import compare, taken_over

log = logs.get("settings")
_WHAT = "settings.reload"

Read = Callable[[], Loaded]
"""Reads the settings from all their sources, as at the start. Raises SettingsError."""


class Reloader:
    """Reloads `loaded`, what the hub was built with, by `read`.

    `adopt` gives the running parts other settings. It raises OSError or ValueError for what they cannot work with, and
    has then changed nothing.
    """

    def __init__(self, loaded: Loaded, read: Read, adopt: Callable[[Settings], Awaitable[None]]) -> None:
        self._loaded = loaded
        self._read = read
        self._adopt = adopt
        self._turn = asyncio.Lock()

    async def reload(self, actor: str) -> Reloaded:
        """What changed, for `actor`, who is logged. Raises BadSettings with every problem; then nothing changed."""
        # Whoever asked may go away while parts are being exchanged; they are exchanged all the same.
        return await asyncio.shield(self._in_turn(actor))

    async def setup(self) -> Setup:
        """What is in force, and what its sources say by now."""
        rows = tuple(describe(self._loaded))
        try:
            fresh = await self._fresh()
        except BadSettings as refused:
            return Setup(settings=rows, problems=refused.problems, warnings=self._loaded.warnings)
        changes = compare(self._loaded.settings, fresh.settings)
        return Setup(settings=rows, reloadable=changes.live, restart=changes.restart, warnings=fresh.warnings)

    async def _in_turn(self, actor: str) -> Reloaded:
        async with self._turn:
            try:
                return await self._reloaded(actor)
            except BadSettings as refused:
                problems = [f"{problem.field}: {problem.message}" for problem in refused.problems]
                log.error("settings refused", by=actor, text=str(refused), problems=problems)
                raise

    async def _reloaded(self, actor: str) -> Reloaded:
        fresh = await self._fresh()
        changes = compare(self._loaded.settings, fresh.settings)
        if changes.live:
            await self._take_over(taken_over(self._loaded, fresh))
        applied, restart = [str(change) for change in changes.live], [str(change) for change in changes.restart]
        log.info("settings read again", by=actor, applied=applied, restart=restart)
        for warning in fresh.warnings:
            log.warning("setting", text=warning)
        return Reloaded(changes.live, changes.restart, fresh.warnings)

    async def _fresh(self) -> Loaded:
        try:
            return await asyncio.to_thread(self._read)
        except SettingsError as error:
            raise BadSettings(tuple(Problem(problem.place, problem.text) for problem in error.problems)) from None

    async def _take_over(self, loaded: Loaded) -> None:
        settings = loaded.settings
        logs.hide(*settings.secrets())
        try:
            await self._adopt(settings)
        except (OSError, ValueError) as error:
            if isinstance(error, EmailhubError):
                raise
            raise BadSettings((Problem("relays", str(error)),)) from error
        self._loaded = loaded


class Requests:
    """Reloads as they are asked for, over HTTP or by a signal; the audit log has each."""

    def __init__(self, reloader: Reloader, audit: AuditLog) -> None:
        self._reloader = reloader
        self._audit = audit
        self._under_way: set[asyncio.Task[None]] = set()

    async def take(self, actor: Actor, reason: str = "") -> Reloaded:
        """What changed. Raises BadSettings, and OutboxError when the audit log cannot have it with the `reason`."""
        try:
            reloaded = await self._reloader.reload(str(actor))
        except BadSettings as refused:
            problems = "; ".join(f"{problem.field}: {problem.message}" for problem in refused.problems[:3])
            await self._audit.record(actor, _WHAT, reason=reason, result=REFUSED, detail=problems)
            raise
        changed = ", ".join(change.what for change in reloaded.applied)
        await self._audit.record(actor, _WHAT, reason=reason, detail=changed or "nothing changed")
        return reloaded

    def signalled(self) -> None:
        """Reload soon; what comes of it is in the log, since nobody waits for an answer."""
        task = asyncio.create_task(self._take_quietly(), name="reload")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _take_quietly(self) -> None:
        with suppress(BadSettings, OutboxError):
            await self.take(Actor("the signal SIGHUP"))
