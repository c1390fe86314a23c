"""The API is what its document says: Schemathesis asks for all that it allows, and for much that it does not.

All checks: no 5xx; no status, header, type or field that is not described; what the document allows is accepted, what
it forbids is refused; every address names its methods; nothing is answered without the key.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.hub import Hub

ROOT = Path(__file__).parents[2]
KEY = "eh_described_0123456789"
ENDLESS = "/events"


async def asked(hub: Hub, examples: int, seed: int, *more: str) -> tuple[int, str]:
    """Exit code and report of Schemathesis, after `examples` for each operation and each way of making them up."""
    command = (
        *(sys.executable, "-m", "schemathesis.cli", "run", f"http://127.0.0.1:{hub.port}/schema/openapi.json"),
        *("--header", f"Authorization: Bearer {KEY}", "--checks", "all", "--exclude-path", ENDLESS),
        *("--seed", str(seed), "--max-examples", str(examples), "--continue-on-failure", "--no-color"),
        *("--suppress-health-check", "all", "--request-timeout", "20", *more),
    )
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": "tests.support.schema_hooks"}
    process = await asyncio.create_subprocess_exec(
        *command, cwd=hub.folder, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode("utf-8", "replace")


async def described(hub: Hub, examples: int, seed: int, *more: str) -> None:
    await hub.start(EMAILHUB_API_KEYS=KEY, EMAILHUB_CHAOS="slow=1%", EMAILHUB_LOG_LEVEL="warning")
    code, report = await asked(hub, examples, seed, *more)
    assert code == 0, report[-20000:]
    assert not [line for line in hub.log() if line["level"] == "error"]
    assert (await hub.client.get("/health/live")).json()["status"] == "ok"


@pytest.mark.timeout(180)
async def test_every_answer_is_described_and_what_is_described_is_so(make_hub: Callable[..., Hub]) -> None:
    await described(make_hub(None), 5, 1, "--generation-deterministic")


@pytest.mark.nightly
@pytest.mark.timeout(900)
async def test_without_a_key_nothing_is_answered_but_what_is_open(make_hub: Callable[..., Hub]) -> None:
    hub = make_hub(None)
    await hub.start(EMAILHUB_API_KEYS=KEY, EMAILHUB_ADMIN_PASSWORD="correct horse", EMAILHUB_LOG_LEVEL="warning")
    shown = await hub.client.get("/schema/openapi.json", headers={"Authorization": f"Bearer {KEY}"})
    (hub.folder / "api.json").write_bytes(shown.content)
    command = (
        *(sys.executable, "-m", "schemathesis.cli", "run", "api.json", "--url", f"http://127.0.0.1:{hub.port}"),
        *("--checks", "not_a_server_error,response_schema_conformance,status_code_conformance"),
        *("--exclude-path", ENDLESS, "--max-examples", "20", "--continue-on-failure", "--no-color"),
        *("--suppress-health-check", "all", "--request-timeout", "20"),
    )
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": "tests.support.schema_hooks"}
    process = await asyncio.create_subprocess_exec(
        *command, cwd=hub.folder, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode("utf-8", "replace")[-20000:]
    assert not [line for line in hub.log() if line["level"] == "error"]
    keyed = {"Authorization": f"Bearer {KEY}"}
    for path in ("/emails", "/suppressions", "/templates"):
        assert (await hub.client.get(path, headers=keyed)).json()["data"] == []
    assert len((await hub.client.get("/api-keys", headers=keyed)).json()["data"]) == 1


@pytest.mark.nightly
@pytest.mark.timeout(3600)
async def test_nothing_else_comes_up_in_a_whole_night(make_hub: Callable[..., Hub]) -> None:
    await described(make_hub(None), 400, random.SystemRandom().randrange(2**31))
