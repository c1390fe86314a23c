"""Health for those who restart and route, and metrics for those who watch."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from emailhub.core.status import Link, OutboxStatus, RabbitStatus
from emailhub.engine.gate import Access
from tests.support.demo_hub import DemoHub
from tests.support.factories import NOW
from tests.support.web_hub import GOOD, WebHub, web_hub

KEY = "eh_3c5f0d1e2b4a"


async def test_a_well_hub_is_alive_and_ready(hub: WebHub) -> None:
    assert (await hub.client.get("/health/live")).json() == {"status": "ok", "loop_lag": 0.0}
    ready = await hub.client.get("/health/ready")
    assert ready.status_code == 200
    assert ready.json()["status"] == "ok"
    assert {part["status"] for part in ready.json()["parts"].values()} == {"ok"}


async def test_a_hanging_loop_is_not_alive(hub: WebHub) -> None:
    hub.faces.board.loop_lag = 31.0
    response = await hub.client.get("/health/live")
    assert (response.status_code, response.json()["status"]) == (503, "hanging")


async def test_a_dead_rabbitmq_is_degraded_not_unready(hub: WebHub) -> None:
    hub.faces.board.rabbit = lambda: RabbitStatus(link=Link.DOWN, detail="connection refused")  # type: ignore[method-assign]
    response = await hub.client.get("/health/ready")
    assert (response.status_code, response.json()["status"]) == (200, "degraded")
    assert response.json()["parts"]["rabbitmq"] == {"status": "degraded", "detail": "down: connection refused"}


async def test_somebody_else_on_the_queue_is_degraded_and_said(hub: WebHub) -> None:
    hub.faces.board.rabbit = lambda: RabbitStatus(link=Link.CONSUMING, foreign_consumers=1)  # type: ignore[method-assign]
    response = await hub.client.get("/health/ready")
    assert (response.status_code, response.json()["status"]) == (200, "degraded")
    assert "1 of the queue's consumers are not ours" in response.json()["parts"]["rabbitmq"]["detail"]


async def test_an_open_breaker_is_degraded_and_named(hub: WebHub) -> None:
    await hub.client.post("/breakers/capture", json={"state": "open", "reason": "maintenance"})
    response = await hub.client.get("/health/ready")
    assert (response.status_code, response.json()["status"]) == (200, "degraded")
    assert "capture: maintenance" in response.json()["parts"]["relay"]["detail"]


async def test_an_outbox_that_cannot_be_written_is_unready(hub: WebHub) -> None:
    hub.faces.board.outbox = lambda: OutboxStatus(writable=False, detail="disk is full")  # type: ignore[method-assign]
    response = await hub.client.get("/health/ready")
    assert (response.status_code, response.json()["status"]) == (503, "down")
    assert response.json()["parts"]["outbox"]["detail"] == "disk is full"
    assert response.headers["retry-after"]


@pytest.mark.parametrize(
    ("room", "says"),
    (
        ({"waiting": 1000}, "new messages are turned away: 1000 messages wait already"),
        ({"free_disk": 1, "disk_reserve": 2}, "new messages are turned away: only 0 MiB are free on the disk"),
    ),
)
async def test_a_hub_without_room_is_unready_says_why_counts_it_and_recovers_by_itself(
    hub: WebHub, room: dict[str, int], says: str
) -> None:
    was = {name: getattr(hub.room, name) for name in room}
    for name, value in room.items():
        setattr(hub.room, name, value)
    refused = await hub.client.post("/emails", json=GOOD)
    assert (refused.status_code, int(refused.headers["retry-after"]) > 0) == (503, True)
    ready = await hub.client.get("/health/ready")
    assert (ready.status_code, ready.json()["parts"]["outbox"]["status"]) == (503, "down")
    assert ready.json()["parts"]["outbox"]["detail"].startswith(says)
    assert "emailhub_outbox_has_room 0.0" in (await hub.client.get("/metrics")).text
    for name, value in was.items():
        setattr(hub.room, name, value)
    assert (await hub.client.post("/emails", json=GOOD)).status_code == 200
    assert (await hub.client.get("/health/ready")).status_code == 200
    assert "emailhub_outbox_has_room 1.0" in (await hub.client.get("/metrics")).text


async def test_a_stopping_hub_is_unready_and_still_alive(hub: WebHub) -> None:
    hub.room.stopping = True
    response = await hub.client.get("/health/ready")
    assert (response.status_code, response.json()["stopping"]) == (503, True)
    assert (await hub.client.get("/health/live")).status_code == 200


async def test_details_are_for_callers_with_credentials(tmp_path: Path) -> None:
    async with web_hub(tmp_path, Access(listen="0.0.0.0", api_keys=(KEY,))) as hub:
        stranger = hub.client_from("10.9.9.9", "http://10.0.0.5:8000")
        response = await stranger.get("/health/ready")
        assert response.status_code == 200
        assert response.json()["parts"]["outbox"] == {"status": "ok"}
        assert "detail" not in response.text
        friend = await stranger.get("/health/ready", headers={"authorization": f"Bearer {KEY}"})
        assert friend.json()["parts"]["outbox"]["detail"]


async def test_metrics_tell_what_happened_and_name_nobody(hub: WebHub) -> None:
    id = await hub.send(to="ada.lovelace@example.org", subject="Secret subject", request_id="r-secret")
    response = await hub.client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    samples = {
        sample.name: sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
        if sample.labels.get("face", "http") == "http" and sample.labels.get("state", "queued") == "queued"
    }
    assert samples["emailhub_messages_accepted_total"] == 1
    assert samples["emailhub_messages_waiting"] == 1
    for private in ("ada.lovelace", "example.org", "Secret", "r-secret", id):
        assert private not in response.text


async def test_mail_on_the_fallback_and_suspended_senders_are_said() -> None:
    demo = DemoHub(now=lambda: NOW)
    answer = await demo.client.get("/health/ready")
    relay = answer.json()["parts"]["relay"]
    assert (answer.status_code, answer.json()["status"], relay["status"]) == (200, "degraded", "degraded")
    assert relay["detail"] == (
        "gmail: 535 5.7.8 Username and Password not accepted; ses carries the mail of gmail; "
        "mailgun does not let news.example.org send"
    )
