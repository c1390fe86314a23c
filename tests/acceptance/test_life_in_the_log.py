"""A message's life can be read from the log by any of its three ids, from acceptance to its final state."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.acceptance.hub import Hub
from tests.support.smtp_server import SmtpServer

IDS = ("message_id", "request_id", "correlation_id")


def life(hub: Hub, id: str) -> list[dict[str, Any]]:
    """The lines that name the message in any way."""
    return [line for line in hub.log() if id in {line.get("message_id"), line.get("id")}]


async def accept(hub: Hub, name: str, **fields: object) -> str:
    body = {"to": f"{name}@example.org", "subject": "S", "text": "T", "request_id": f"request-{name}"} | fields
    answer = await hub.post("/emails", body, **{"X-Correlation-ID": f"correlation-{name}"})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def assert_whole(hub: Hub, id: str, name: str, *events: str) -> None:
    lines = life(hub, id)
    assert [line["event"] for line in lines] == list(events)
    for line in lines:
        assert [line.get(one) for one in IDS] == [id, f"request-{name}", f"correlation-{name}"], line


async def metric(hub: Hub, sample: str) -> float:
    text = (await hub.client.get("/metrics")).text
    return next((float(line.split()[-1]) for line in text.splitlines() if line.startswith(sample)), 0.0)


async def test_sent_refused_and_given_again(rabbit_vhost: str, smtp: SmtpServer, make_hub: Callable[..., Hub]) -> None:
    smtp.on("RCPT", "550 5.1.1 user unknown", to="gone@example.org")
    hub = make_hub(smtp, RABBITMQ_URL=rabbit_vhost)
    await hub.start()
    await hub.consuming()
    sent, gone = await accept(hub, "sent"), await accept(hub, "gone")
    await hub.settled(2)
    assert await accept(hub, "sent") == sent

    async def told() -> bool:
        return len(life(hub, sent)) == len(life(hub, gone)) == 3

    await hub.until(told, "the replay and the dead letter are told")
    assert_whole(hub, sent, "sent", "accepted", "sent", "replayed")
    assert_whole(hub, gone, "gone", "accepted", "failed", "dead letter published")


async def test_expired_held_and_canceled(smtp: SmtpServer, make_hub: Callable[..., Hub]) -> None:
    hub = make_hub(smtp)
    await hub.start()
    await hub.post("/breakers/default", {"state": "open", "reason": "maintenance"})
    soon = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
    old, unwanted = await accept(hub, "old", expires_at=soon), await accept(hub, "unwanted")
    await hub.post(f"/emails/{unwanted}/hold", {"reason": "wait"})
    await hub.post(f"/emails/{unwanted}/cancel", {"reason": "no more"})
    await hub.settled(2, final=("failed", "canceled"))

    async def told() -> bool:
        return len(life(hub, old)) == 2

    await hub.until(told, "the end is told")
    assert_whole(hub, old, "old", "accepted", "expired")
    assert_whole(hub, unwanted, "unwanted", "accepted", "hold", "cancel")
    assert await metric(hub, 'emailhub_recipients_total{reason="expired",state="failed"}') == 1


async def test_a_wish_granted_after_the_attempt_is_what_is_told(smtp: SmtpServer, make_hub: Callable[..., Hub]) -> None:
    answer = asyncio.Event()
    dot = smtp.on("DOT", "451 4.3.0 later", hold=answer, times=1)
    hub = make_hub(smtp)
    await hub.start()
    id = await accept(hub, "unwanted")
    await dot.hit()
    await hub.post(f"/emails/{id}/cancel", {"reason": "no more"})
    answer.set()
    await hub.settled(1, final=("canceled",))

    async def told() -> bool:
        return len(life(hub, id)) == 3

    await hub.until(told, "the end is told")
    assert_whole(hub, id, "unwanted", "accepted", "cancel", "canceled")
    assert await metric(hub, 'emailhub_recipients_total{reason="operator",state="canceled"}') == 1
    assert await metric(hub, 'emailhub_recipients_total{reason="transient",state="deferred"}') == 0


async def test_an_outcome_that_a_crash_left_unknown_is_told_and_counted(
    smtp: SmtpServer, make_hub: Callable[..., Hub]
) -> None:
    dot = smtp.on("DOT", hold=asyncio.Event(), times=1)
    hub = make_hub(smtp)
    await hub.start()
    id = await accept(hub, "unknown")
    await dot.hit()

    async def written() -> bool:
        return bool(life(hub, id))

    await hub.until(written, "its acceptance is on record")
    await hub.kill9()
    await hub.start()
    assert_whole(hub, id, "unknown", "accepted", "rescued")
    assert await metric(hub, 'emailhub_unknown_outcomes_total{relay="default"}') == 1
