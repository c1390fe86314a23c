"""A new emailhub on the database of an old one: it starts, tells what was, and delivers what waited."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

import pytest

from tests.acceptance.hub import Hub
from tests.support.old_outbox import STATES, VERSIONS, lived_in
from tests.support.smtp_server import SmtpServer

BEFORE = 60.0
"""Seconds since the old one stopped."""
SENT_NOW = ("queued", "scheduled", "deferred", "sending")


async def _upgrade(version: int, smtp: SmtpServer, make_hub: Callable[..., Hub]) -> None:
    hub = make_hub(smtp, EMAILHUB_UNKNOWN_WAIT="1s", EMAILHUB_AUTH="none")
    lived_in(hub.database, version, time.time() - BEFORE)
    await hub.start()
    new = await hub.send(to="new@example.com")
    ends = dict(Counter(_end(state) for state in (*STATES, "queued")))

    async def at_rest() -> bool:
        return await hub.counts() == ends

    await hub.until(at_rest, f"{ends}", 30)
    assert Counter(to for message in smtp.messages for to in message.recipients) == Counter(
        [f"{state}@example.com" for state in (*SENT_NOW, "new")]
    )
    for state in STATES:
        assert (await hub.get(f"/emails/{state}"))["status"] == _end(state)
    assert (await hub.get(f"/emails/{new}"))["status"] == "sent"
    answer = await hub.post("/status/", {"request_id": "request-sent"})
    assert answer.json() == {"request_id": "request-sent", "status": "delivered"}
    for page in ("/", "/messages/held", "/messages/failed"):
        assert (await hub.client.get(page)).status_code == 200
    assert await hub.stop() == 0


def _end(state: str) -> str:
    return "sent" if state in SENT_NOW else state


async def test_what_waited_with_the_first_version_is_delivered_by_this_one(
    smtp: SmtpServer, make_hub: Callable[..., Hub]
) -> None:
    await _upgrade(1, smtp, make_hub)


@pytest.mark.nightly
@pytest.mark.parametrize("version", VERSIONS[1:])
async def test_what_waited_with_any_version_is_delivered_by_this_one(
    smtp: SmtpServer, make_hub: Callable[..., Hub], version: int
) -> None:
    await _upgrade(version, smtp, make_hub)
