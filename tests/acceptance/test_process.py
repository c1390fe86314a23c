"""The process: it says why it ends, ends at once when asked twice, and tells somebody when mail needs a human."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.hub import Hub
from tests.support.smtp_server import SmtpServer


async def test_a_sigterm_repeated_within_a_second_is_the_same_one_and_a_later_one_ends_it_at_once(
    smtp: SmtpServer, make_hub: Callable[..., Hub]
) -> None:
    hub = make_hub(smtp)
    await hub.start()
    waiting = smtp.on("DOT", hold=asyncio.Event(), times=1)
    id = await hub.send()
    await asyncio.wait_for(waiting.reached.wait(), 10)
    process = hub.process
    assert process is not None
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)

    async def stopping() -> bool:
        return any(line["event"] == "stopping" for line in hub.log())

    async def ended() -> bool:
        # A group that is signalled gets several.
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        return process.returncode is not None

    await hub.until(stopping, "it is stopping")
    assert process.returncode is None, "the final reply is still awaited"
    await hub.until(ended, "it ended")
    assert process.returncode == 70
    assert time.monotonic() - began >= 1.0
    waiting.times = 0
    await hub.start(EMAILHUB_UNKNOWN_WAIT="0.2s", SMTP_RETRY_DELAY_SECONDS="0.2", MAX_RETRY_ATTEMPTS="5")
    await hub.settled(1, final=("sent",))
    assert [line["message_id"] for line in hub.log() if line["event"] == "rescued"] == [id]


def mask_of(pid: int) -> str:
    """The bits no new file of the process gets, "" where the system does not tell."""
    status = Path(f"/proc/{pid}/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((line.split()[1] for line in lines if line.startswith("Umask:")), "")


async def test_a_running_hub_locks_its_file_and_writes_for_its_owner_only(
    smtp: SmtpServer, make_hub: Callable[..., Hub]
) -> None:
    hub = make_hub(smtp)
    await hub.start()
    assert hub.process is not None
    assert mask_of(hub.process.pid) in {"0077", ""}, "whatever it writes is for its owner only"
    with Path(f"{hub.database}.lock").open("ab") as lock:  # noqa: ASYNC230 - a lock is not read or written
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        await hub.kill9()
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


async def test_a_database_that_is_not_ours_is_left_alone(smtp: SmtpServer, make_hub: Callable[..., Hub]) -> None:
    hub = make_hub(smtp)
    other = sqlite3.connect(hub.database)
    other.execute("CREATE TABLE theirs (x)")
    other.commit()
    other.close()
    before = hub.database.read_bytes()
    code, said = await _refusal(hub)
    assert code == 78
    assert "EMAILHUB_DATABASE" in said
    assert hub.database.read_bytes() == before


async def test_a_port_that_is_taken_is_named(smtp: SmtpServer, make_hub: Callable[..., Hub]) -> None:
    hub = make_hub(smtp, EMAILHUB_PORT=str(smtp.port))
    code, said = await _refusal(hub)
    assert code == 78
    assert str(smtp.port) in said
    assert "EMAILHUB_PORT" in said


async def _refusal(hub: Hub) -> tuple[int, str]:
    """Exit code and output of a start that fails."""
    try:
        await hub.start()
    except AssertionError:
        assert hub.process is not None
        return hub.process.returncode or 0, hub.output()
    raise AssertionError("it started")


@asynccontextmanager
async def receiver(refusals: int) -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    """A web hook that takes JSON after `refusals` times 500; its URL, and what it took."""
    taken: list[dict[str, Any]] = []
    left = [refusals]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-l"))
        body = await reader.readexactly(length)
        if left[0]:
            left[0] -= 1
            writer.write(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        else:
            taken.append(json.loads(body))
            writer.write(b"HTTP/1.1 204 OK\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook?token=canary-7", taken
    finally:
        server.close()


async def test_an_alert_is_told_again_until_taken_and_told_when_over(
    smtp: SmtpServer, make_hub: Callable[..., Hub]
) -> None:
    async with receiver(refusals=1) as (url, taken):
        hub = make_hub(smtp, EMAILHUB_ALERT_URL=url)
        await hub.start()
        await hub.post("/breakers/default", {"state": "open", "reason": "maintenance"})

        async def fired() -> bool:
            return bool(taken)

        await hub.until(fired, "the alert is taken at the second try")
        assert (taken[0]["alert"], taken[0]["status"], taken[0]["subject"]) == ("breaker_open", "firing", "default")
        assert "maintenance" in taken[0]["text"]
        await hub.post("/breakers/default", {"state": "closed", "reason": "over"})

        async def resolved() -> bool:
            return taken[-1]["status"] == "resolved"

        await hub.until(resolved, "that it is over is told")
        assert len(taken) == 2
        assert "canary-7" not in hub.output()
