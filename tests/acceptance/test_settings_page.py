"""The pages of settings and relays in a real browser over the real process."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.acceptance.hub import Hub
from tests.support.browser import Guard
from tests.support.smtp_server import SmtpServer


@pytest_asyncio.fixture
async def hub(smtp: SmtpServer, make_hub: Callable[..., Hub]) -> AsyncIterator[Hub]:
    """A started hub that sends to an SMTP server, with a file of settings."""
    hub = make_hub(smtp, EMAILHUB_BREAKER_OPEN_FOR="60s")
    write(hub, 'smtp_rate = "10/s"\n')
    await hub.start()
    yield hub


@pytest_asyncio.fixture
async def context(browser: Browser, hub: Hub) -> AsyncIterator[BrowserContext]:
    """A fresh browser whose pages are the hub's."""
    context = await browser.new_context(base_url=f"http://127.0.0.1:{hub.port}", reduced_motion="reduce")
    context.set_default_timeout(15_000)
    try:
        yield context
    finally:
        await context.close()


def write(hub: Hub, text: str) -> None:
    (hub.folder / "emailhub.toml").write_text(text, "utf-8")


async def live(page: Page, path: str) -> None:
    """Open `path` and wait until it is live; from here on a reload would be noticed."""
    await page.goto(path)
    await expect(page.locator("#live")).to_have_attribute("data-state", "on")
    await page.evaluate("window.unbroken = true")


async def test_a_changed_file_is_seen_read_again_and_in_force(context: BrowserContext, hub: Hub) -> None:
    page = await context.new_page()
    write(hub, 'smtp_rate = "20/s"\nlog_level = "error"\n')
    await live(page, "/settings")
    await expect(page.locator("#differs")).to_contain_text("relay default rate: 10/s -> 20/s")
    await expect(page.locator("#settings")).to_contain_text("10/s")
    await page.get_by_text("Read again…").click()
    await page.get_by_label("Why").fill("a higher limit")
    await page.get_by_role("button", name="Read the settings again").click()
    await expect(page.locator(".flash")).to_have_text(
        re.compile("In force now: relay default. 1 change needs a restart.")
    )
    await expect(page.locator("#settings")).to_contain_text("20/s")
    await expect(page.locator("#differs")).to_contain_text("EMAILHUB_LOG_LEVEL info -> error")
    await page.goto("/audit?what=settings")
    await expect(page.locator(".audit")).to_contain_text("a higher limit")


async def test_a_test_over_one_relay_is_followed_to_its_end(context: BrowserContext, smtp: SmtpServer) -> None:
    page = await context.new_page()
    await live(page, "/relays/default")
    await page.get_by_label("To", exact=True).fill("ada@example.org")
    await page.get_by_role("button", name="Send a test").click()
    await expect(page.locator("#recipients .pill")).to_have_text("✓ sent")
    await page.goto("/relays/default")
    await expect(page.locator("#last")).to_contain_text("RCPT TO:<ada@example.org>")
    await expect(page.locator("#speed")).to_contain_text("final reply")


@pytest.mark.nightly
async def test_pages_left_open_over_a_kill_and_a_restart_show_the_new_hub(
    context: BrowserContext, guard: Guard, hub: Hub
) -> None:
    guard.expect("/events", "/settings", "/relays")
    settings, relay = await context.new_page(), await context.new_page()
    await live(settings, "/settings")
    await live(relay, "/relays/default")
    await hub.kill9()
    for page in (settings, relay):
        await expect(page.locator("#live")).to_have_attribute("data-state", re.compile("wait|gone"))
    write(hub, 'smtp_rate = "7/s"\n')
    await hub.start()
    for page in (settings, relay):
        await expect(page.locator("#live")).to_have_attribute("data-state", "on", timeout=20_000)
        assert await page.evaluate("window.unbroken === true")
    await expect(settings.locator("#settings")).to_contain_text("7/s")
    await expect(relay.locator("#limits")).to_contain_text("of 7 a second")


@pytest.mark.nightly
async def test_without_script_the_same_is_done_with_forms(browser: Browser, hub: Hub) -> None:
    context = await browser.new_context(base_url=f"http://127.0.0.1:{hub.port}", java_script_enabled=False)
    page = await context.new_page()
    write(hub, 'smtp_rate = "often"\n')
    await page.goto("/settings")
    await expect(page.locator("#differs")).to_contain_text("It would not start again")
    await page.get_by_text("Read again…").click()
    await page.get_by_role("button", name="Read the settings again").click()
    await expect(page.locator(".flash")).to_contain_text("Nothing was changed")
    await page.goto("/relays/default")
    await page.get_by_label("To", exact=True).fill("ada@example.org")
    await page.get_by_role("button", name="Send a test").click()
    await expect(page.locator(".flash")).to_contain_text("Handed to default alone.")
    await context.close()


@pytest.mark.nightly
@pytest.mark.parametrize("scheme", ("light", "dark"))
async def test_nothing_scrolls_sideways_on_a_phone(browser: Browser, hub: Hub, scheme: str) -> None:
    context = await browser.new_context(
        base_url=f"http://127.0.0.1:{hub.port}", viewport={"width": 360, "height": 800}, color_scheme=scheme
    )
    page = await context.new_page()
    for path in ("/settings", "/settings?show=all", "/relays", "/relays/default", "/relays/capture"):
        await page.goto(path)
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360, path
    await context.close()
