"""The composition root: a part that dies takes the process down with its reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from emailhub import app, parts
from emailhub.core.errors import OutboxError
from emailhub.engine.keeper import Keeper
from emailhub.settings import load
from tests.support.ports import free_port


async def run_hub(folder: Path) -> int:
    environ = {"EMAILHUB_DATABASE": str(folder / "hub.db"), "EMAILHUB_PORT": str(free_port())}
    return await app.Hub(load(environ).settings).run()


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
