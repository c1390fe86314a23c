"""The page of the settings: what is in force and where it comes from, what differs by now, and reading it again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from emailhub.core.errors import BadSettings, Problem
from emailhub.core.reloaded import Change, Reloaded
from emailhub.core.setup import Setup
from emailhub.core.status import OutboxStatus, RendererStatus
from emailhub.engine.desk import Actor
from emailhub.engine.gate import Access
from emailhub.web.site import create_app
from tests.support.demo_hub import DemoHub
from tests.support.factories import NOW
from tests.support.web_hub import WebHub, web_hub
from tests.web.pages.reading import page, part, press, words_of

PATH = "/settings"


@pytest.fixture
def demo() -> DemoHub:
    return DemoHub(now=lambda: NOW)


def reloading(hub: WebHub, answer: Reloaded | Exception) -> list[tuple[str, str]]:
    """Let `hub` answer so to who asks for a reload; who asked, and why."""
    asked: list[tuple[str, str]] = []

    async def reload(actor: Actor, reason: str) -> Reloaded:
        asked.append((actor.name, reason))
        if isinstance(answer, Exception):
            raise answer
        return answer

    hub.faces = replace(hub.faces, reload=reload)
    hub.client = httpx.AsyncClient(
        transport=httpx.ASGITransport(create_app(hub.faces), client=("127.0.0.1", 1)), base_url="http://localhost:8000"
    )
    return asked


async def said(hub: WebHub) -> str:
    """What the page says after reading the settings again."""
    answer = await press(hub, f"{PATH}/reload", reason="the provider\nraised our limit")
    assert (answer.status_code, answer.headers["location"]) == (303, PATH)
    return words_of((await hub.client.get(PATH, headers={"accept": "text/html"})).text)


async def test_what_is_set_is_shown_with_its_source_and_secrets_masked(demo: DemoHub) -> None:
    text = words_of(part(await page(demo, PATH), "settings"))
    assert "EMAILHUB_HOST The address to listen on. 0.0.0.0 flag --host" in text
    assert "RABBITMQ_URL Where RabbitMQ is. amqp://hub:***@mq/ environment" in text
    assert 'relay[1] "ses".password The password. *** file emailhub.toml' in text
    assert "EMAILHUB_PORT" not in text
    assert "Set 3 All 4" in text


async def test_all_settings_are_shown_when_asked_for(demo: DemoHub) -> None:
    text = words_of(part(await page(demo, f"{PATH}?show=all"), "settings"))
    assert "EMAILHUB_PORT ◷ changed The port to listen on. 8000 default" in text


async def test_what_waits_for_a_reload_and_what_for_a_restart_is_told_apart(demo: DemoHub) -> None:
    text = words_of(part(await page(demo, PATH), "differs"))
    assert "Waits for a reload Read them again, and these are in force at once. relay ses rate: 10/s -> 20/s" in text
    assert "Waits for a restart" in text
    assert "EMAILHUB_PORT 8000 -> 9000" in text
    assert "REDIS_URL is set and not used" in text


async def test_settings_the_hub_would_not_start_with_are_told_before_it_is_restarted(hub: WebHub) -> None:
    async def broken() -> Setup:
        return Setup(problems=(Problem("EMAILHUB_PORT (file emailhub.toml)", "expected 0 to 65535"),))

    hub.faces = replace(hub.faces, setup=broken)
    hub.app = create_app(hub.faces)
    hub.client = hub.client_from()
    text = words_of(part(await page(hub, PATH), "differs"))
    assert "It would not start again" in text
    assert "EMAILHUB_PORT (file emailhub.toml) expected 0 to 65535" in text


async def test_every_part_and_what_the_hub_is_made_of_are_shown(demo: DemoHub) -> None:
    html = await page(demo, PATH)
    parts = words_of(part(html, "parts"))
    for name in (
        "Outbox ✓ ok",
        "RabbitMQ ✓ ok",
        "Relays ! degraded",
        "Templates ✓ ok",
        "Clock ✓ ok",
        "Event loop ✓ ok",
    ):
        assert name in parts
    assert "Version 0.1.0 Running for 2 h 30 min" in words_of(part(html, "about"))
    assert "SQLite 3.46.1, schema 12" in words_of(part(html, "about"))


async def test_a_late_event_loop_and_a_full_disk_show_on_their_parts(demo: DemoHub) -> None:
    demo.board.loop_lag, demo.board.disk_low = 2.5, True
    demo.board.outbox = lambda: OutboxStatus(free_disk=40 * 2**20)
    text = words_of(part(await page(demo, PATH), "parts"))
    assert "Event loop ! degraded At most 2,500 ms late" in text
    assert "Disk ✕ down 40 MiB free, which is kept back: new mail is refused" in text


@pytest.mark.parametrize(
    ("status", "said"),
    (
        (RendererStatus(), "Renderer ✓ ok Starts with the first template"),
        (RendererStatus(ready=1, under_way=3), "Renderer ✓ ok Processes ready: 1, templates under way: 3"),
        (
            RendererStatus(trouble="it was killed"),
            "Renderer ! degraded Templates cannot be rendered now: it was killed",
        ),
    ),
)
async def test_the_renderer_is_one_of_the_parts(demo: DemoHub, status: RendererStatus, said: str) -> None:
    demo.board.renderer = lambda: status
    assert said in words_of(part(await page(demo, PATH), "parts"))


async def test_with_nothing_set_the_page_says_where_to_set_it(hub: WebHub) -> None:
    html = await page(hub, PATH)
    assert "Nothing is set: every value is the default." in words_of(part(html, "settings"))
    assert 'aria-label="What differs" hidden' in html


async def test_reading_again_needs_a_press_and_tells_what_came_of_it(hub: WebHub) -> None:
    asked = reloading(hub, Reloaded((Change("relay ses", "rate: 10/s -> 20/s"),), (Change("EMAILHUB_PORT", "x"),)))
    assert "In force now: relay ses. 1 change needs a restart." in await said(hub)
    assert asked == [("local", "the provider raised our limit")]


async def test_reading_again_without_a_change_says_so(hub: WebHub) -> None:
    reloading(hub, Reloaded())
    assert "Read again: nothing that can change while the hub runs has changed." in await said(hub)


async def test_a_refused_reload_names_the_first_problem_and_changes_nothing(hub: WebHub) -> None:
    reloading(hub, BadSettings((Problem("EMAILHUB_SMTP_RATE (.env)", "expected a rate such as 10/s"),)))
    assert "EMAILHUB_SMTP_RATE (.env): expected a rate such as 10/s." in await said(hub)


async def test_programs_get_the_same_as_json(demo: DemoHub) -> None:
    answer = (await demo.client.get(PATH)).json()
    assert answer["object"] == "settings"
    assert answer["data"][2] == {
        "section": "RabbitMQ",
        "name": "RABBITMQ_URL",
        "value": "amqp://hub:***@mq/",
        "source": "environment",
        "is_default": False,
        "meaning": "Where RabbitMQ is.",
    }
    assert answer["restart"] == [{"what": "EMAILHUB_PORT", "text": "8000 -> 9000"}]
    assert {part["name"]: part["status"] for part in answer["parts"]}["relay"] == "degraded"
    assert (answer["about"]["database_schema"], answer["about"]["uptime"]) == (12, 9000.0)


async def test_only_administrators_see_them(tmp_path: Path) -> None:
    async with web_hub(tmp_path, Access(listen="0.0.0.0", api_keys=("k" * 16,))) as hub:
        assert (await hub.client.get(PATH)).status_code == 401
        made = await hub.client.post(
            "/api-keys", json={"name": "r", "scopes": ["read"]}, headers={"authorization": f"Bearer {'k' * 16}"}
        )
        reader = {"authorization": f"Bearer {made.json()['token']}"}
        assert (await hub.client.get(PATH, headers=reader)).status_code == 403
        assert (await hub.client.get(PATH, headers={"authorization": f"Bearer {'k' * 16}"})).status_code == 200
