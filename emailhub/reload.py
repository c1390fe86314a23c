"""Settings while the hub runs: read again from all their sources, compared, and taken over whole or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from emailhub import logs
from emailhub.core.errors import BadSettings, EmailhubError, Problem
from emailhub.core.reloaded import Reloaded
from emailhub.settings import Loaded, Settings, SettingsError
from emailhub.settings.changes import compare, merged

log = logs.get("settings")

Read = Callable[[], Loaded]
"""Reads the settings from all their sources, as at the start. Raises SettingsError."""


class Reloader:
    """Reloads `settings`, those the hub was built with, by `read`.

    `adopt` gives the running parts other settings. It raises OSError or ValueError for what they cannot work with, and
    has then changed nothing.
    """

    def __init__(self, settings: Settings, read: Read, adopt: Callable[[Settings], Awaitable[None]]) -> None:
        self._settings = settings
        self._read = read
        self._adopt = adopt
        self._turn = asyncio.Lock()

    async def reload(self, actor: str) -> Reloaded:
        """What changed, for `actor`, who is logged. Raises BadSettings with every problem; then nothing changed."""
        # Whoever asked may go away while parts are being exchanged; they are exchanged all the same.
        return await asyncio.shield(self._in_turn(actor))

    async def _in_turn(self, actor: str) -> Reloaded:
        async with self._turn:
            try:
                return await self._reloaded(actor)
            except BadSettings as refused:
                problems = [f"{problem.field}: {problem.message}" for problem in refused.problems]
                log.error("settings refused", by=actor, text=str(refused), problems=problems)
                raise

    async def _reloaded(self, actor: str) -> Reloaded:
        loaded = await self._loaded()
        changes = compare(self._settings, loaded.settings)
        if changes.live:
            await self._take_over(merged(self._settings, loaded.settings))
        applied, restart = [str(change) for change in changes.live], [str(change) for change in changes.restart]
        log.info("settings read again", by=actor, applied=applied, restart=restart)
        for warning in loaded.warnings:
            log.warning("setting", text=warning)
        return Reloaded(changes.live, changes.restart, loaded.warnings)

    async def _loaded(self) -> Loaded:
        try:
            return await asyncio.to_thread(self._read)
        except SettingsError as error:
            raise BadSettings(tuple(Problem(problem.place, problem.text) for problem in error.problems)) from None

    async def _take_over(self, settings: Settings) -> None:
        logs.hide(*settings.secrets())
        try:
            await self._adopt(settings)
        except (OSError, ValueError) as error:
            if isinstance(error, EmailhubError):
                raise
            raise BadSettings((Problem("relays", str(error)),)) from error
        self._settings = settings
