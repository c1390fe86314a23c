"""A message as large as the limit allows, through the real process."""

from __future__ import annotations

import asyncio
import json
import sys
from base64 import b64encode
from collections.abc import Callable
from email import message_from_bytes
from pathlib import Path
from random import Random

import httpx
import pytest

from tests.acceptance.hub import Hub
from tests.support.smtp_server import SmtpServer

LIMIT = 25 * 1024 * 1024
# So many bytes, as base64 in lines, and a kilobyte for the rest of the message make 25 MiB.
FILE = Random(1).randbytes((LIMIT - 1024) // 78 * 57)


@pytest.mark.parametrize("chunking", ("true", pytest.param("false", marks=pytest.mark.nightly)))
async def test_a_message_of_the_largest_size_arrives_whole(
    smtp: SmtpServer, make_hub: Callable[..., Hub], chunking: str
) -> None:
    hub = make_hub(smtp, EMAILHUB_MAX_MESSAGE_SIZE="25MiB", EMAILHUB_SMTP_CHUNKING=chunking)
    await hub.start()
    id = await hub.send(attachments=[{"filename": "0.bin", "content": b64encode(FILE).decode()}])
    await hub.settled(1)
    (arrived,) = smtp.messages
    parts = [part for part in message_from_bytes(arrived.data).walk() if part.get_filename() == "0.bin"]
    assert LIMIT - 2048 < len(arrived.data) <= LIMIT
    assert parts[0].get_payload(decode=True) == FILE
    (listed,) = (await hub.get(f"/emails/{id}"))["attachments"]
    assert (listed["filename"], listed["size"]) == ("0.bin", len(FILE))
    assert (await hub.client.get(f"/messages/{id}/files/0")).content == FILE


@pytest.mark.nightly
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a process has taken at most")
async def test_a_hundred_uploads_of_25_mib_at_once_take_bounded_memory_and_none_is_half_accepted(
    make_hub: Callable[..., Hub],
) -> None:
    hub = make_hub(None, EMAILHUB_MAX_MESSAGE_SIZE="25MiB", EMAILHUB_BODY_BUDGET="128MiB")
    await hub.start()
    assert hub.process is not None
    file = {"filename": "0.bin", "content": b64encode(FILE).decode()}
    message = {"to": "ada@example.org", "subject": "Hello", "text": "Hi.", "attachments": [file]}
    body = json.dumps(message).encode()
    answers = await asyncio.gather(*(_given(hub, body) for _ in range(100)))
    taken = sum(status == 200 for status, _ in answers)
    assert {(status, retry) for status, retry in answers if status != 200} <= {(503, "5")}
    assert 0 < taken < 100
    await hub.settled(taken, seconds=120)
    assert (await hub.client.get("/health/ready")).json()["status"] == "ok"
    peak = _peak(hub.process.pid)
    print(f"{taken} of 100 messages of 25 MiB taken, at most {peak // 1024} MiB of memory")
    # Without a budget it was 6,700 MiB.
    assert peak < 1_200_000, "the bodies in flight, their messages and what the couriers carry"


def _peak(pid: int) -> int:
    """The most memory process `pid` has taken, in KiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


async def _given(hub: Hub, body: bytes) -> tuple[int, str]:
    """POST `body`, on a connection of its own; the status and when to come back."""
    async with httpx.AsyncClient(base_url=hub.client.base_url, timeout=120, trust_env=False) as client:
        answer = await client.post("/emails", content=body, headers={"Content-Type": "application/json"})
    return answer.status_code, answer.headers.get("retry-after", "")
