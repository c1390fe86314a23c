"""A message as large as the limit allows, through the real process."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from email import message_from_bytes
from random import Random

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
