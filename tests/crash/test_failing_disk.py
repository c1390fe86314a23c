"""The disk fails under the real process: it refuses, or ends, and nothing it promised is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.acceptance.hub import Hub
from tests.crash.shim import Fault
from tests.support.smtp_server import SmtpServer

DIED = 70
AFTER_THE_START = 350
"""A change of the database that comes some messages after a new file is made."""


async def send(hub: Hub, ids: list[str]) -> httpx.Response | None:
    """Send one more; the answer, or None where there is none. What was accepted is added to `ids`."""
    try:
        answer = await hub.post("/emails", {"to": f"u{len(ids)}@example.org", "subject": "S", "text": "T"})
    except httpx.TransportError:
        return None
    assert answer.status_code in {200, 503}, answer.text
    if answer.status_code == 200:
        ids.append(answer.json()["id"])
    return answer


def breaking(hub: Hub, library: Path, fault: Fault) -> dict[str, str]:
    return {"LD_PRELOAD": str(library), "CRASH_SHIM": f"{fault.value}:{AFTER_THE_START}:{hub.database}"}


@pytest.mark.parametrize("fault", (Fault.EIO_ONCE, Fault.EIO_ALWAYS))
async def test_after_a_failed_write_the_process_ends_and_the_next_one_has_every_promise(
    library: Path, make_hub: Callable[..., Hub], fault: Fault
) -> None:
    async with SmtpServer() as smtp:
        hub = make_hub(smtp, EMAILHUB_UNKNOWN_WAIT="1s")
        healthy = dict(hub.env)
        await hub.start(**breaking(hub, library, fault))
        ids: list[str] = []
        assert hub.process is not None
        while await send(hub, ids) is not None:
            assert len(ids) < 200, "the disk never failed"
        async with asyncio.timeout(60):
            assert await hub.process.wait() == DIED
        hub.env = healthy
        await hub.start()
        await hub.until(lambda: _all_sent(hub, ids), "all that was accepted is sent", 40)


async def test_a_disk_that_was_full_for_a_moment_costs_an_answer_and_nothing_else(
    library: Path, make_hub: Callable[..., Hub]
) -> None:
    async with SmtpServer() as smtp:
        hub = make_hub(smtp)
        await hub.start(**breaking(hub, library, Fault.ENOSPC_ONCE))
        ids: list[str] = []
        while "is full" not in hub.output():
            await send(hub, ids)
            assert len(ids) < 200, "the disk was never full"
        answer = await send(hub, ids)
        assert answer is not None
        assert answer.status_code == 200, "there is room, and it does not go on by itself"
        await hub.until(lambda: _all_sent(hub, ids), "all that was accepted is sent", 40)
        assert await hub.stop() == 0


async def _all_sent(hub: Hub, ids: list[str]) -> bool:
    states = [(await hub.get(f"/emails/{id}"))["status"] for id in ids]
    return states == ["sent"] * len(ids)
