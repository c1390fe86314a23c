"""The composition root: a part that dies takes the process down with its reason."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from pathlib import Path

import httpx
import pytest

from emailhub import app, parts
from emailhub.core.errors import OutboxError
from emailhub.engine.keeper import Keeper
from emailhub.settings import load
from tests.support.ports import free_port


async def run_hub(folder: Path) -> int:
    environ = {"EMAILHUB_DATABASE": str(folder / "hub.db"), "EMAILHUB_PORT": str(free_port())}
    return await app.Hub(load(environ)).run()


@pytest.mark.parametrize("error", (RuntimeError("a bug"), OutboxError("the disk is gone")))
async def test_a_part_that_dies_ends_the_process_with_its_reason(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def die(_: Keeper) -> None:
        raise error

    monkeypatch.setattr(Keeper, "run", die)
    assert await run_hub(tmp_path) == parts.EXIT_FAILED
    ended = next(record for record in caplog.records if record.message == "part ended")
    fields = vars(ended)["emailhub_fields"]
    assert fields["part"] == "keeper"
    assert str(error) in str(fields.get("text") or ended.exc_info)


async def test_a_part_that_just_returns_ends_the_process_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def leave(_: Keeper) -> None:
        return

    monkeypatch.setattr(Keeper, "run", leave)
    assert await run_hub(tmp_path) == parts.EXIT_FAILED


@pytest.mark.parametrize(("setting", "word"), (("true", "not an address of the public"), ("false", "ATTACHMENT_URLS")))
async def test_whether_files_are_fetched_is_a_setting(tmp_path: Path, setting: str, word: str) -> None:
    port = free_port()
    environ = {"EMAILHUB_DATABASE": str(tmp_path / "hub.db"), "EMAILHUB_PORT": str(port)}
    hub = app.Hub(load(environ | {"EMAILHUB_ATTACHMENT_URLS": setting}))
    running = asyncio.create_task(hub.run())
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            while True:
                with contextlib.suppress(httpx.ConnectError):
                    file = {"path": f"https://127.0.0.1:{port}/a.pdf"}
                    message = {"to": "ada@example.org", "subject": "Hello", "text": "Hi", "attachments": [file]}
                    answer = await client.post("/emails", json=message)
                    break
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"] == "attachments[0].path"
        assert word in answer.json()["message"]
    finally:
        hub.stopping.ask()
        await running


async def test_the_garbage_collector_passes_over_what_was_built_while_the_hub_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []

    async def look(_: Keeper) -> None:
        looked.append(len(gc.get_objects()))

    before = len(gc.get_objects())
    monkeypatch.setattr(Keeper, "run", look)
    await run_hub(tmp_path)
    assert before > 50_000 > 10 * looked[0]
    assert gc.get_freeze_count() == 0
