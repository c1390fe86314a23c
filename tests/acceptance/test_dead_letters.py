"""What the queue brought and nobody could read: seen as it comes, kept over a kill, mended in a browser, sent once."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from playwright.async_api import Browser, expect

from tests.acceptance.hub import Hub
from tests.support.browser import Guard
from tests.support.smtp_server import SmtpServer

BROKEN = {"to": "ada@", "subject": "Your order", "body": "It is on its way.", "request_id": "order-7"}


async def test_what_nobody_could_read_is_mended_and_sent_once(
    browser: Browser,
    guard: Guard,
    rabbit_vhost: str,
    smtp: SmtpServer,
    make_hub: Callable[..., Hub],
    queue_at: Callable[[str], Any],
) -> None:
    guard.expect("answered: 422 POST .*/message", "ERR_CONNECTION|ERR_INCOMPLETE|/events")
    hub = make_hub(smtp, RABBITMQ_URL=rabbit_vhost)
    await hub.start()
    await hub.consuming()
    queue = await queue_at(rabbit_vhost)
    context = await browser.new_context(base_url=f"http://127.0.0.1:{hub.port}", reduced_motion="reduce")
    try:
        page = await context.new_page()
        await page.goto("/")
        await expect(page.locator("#live")).to_have_attribute("data-state", "on")
        await page.keyboard.press("g")
        await page.keyboard.press("d")
        await expect(page.locator("#from-queue")).to_contain_text("No dead letters")
        await expect(page.locator("#live")).to_have_attribute("data-state", "on")
        await queue.publish(BROKEN)
        await expect(page.locator("#sum")).to_contain_text("1 body from the queue could not be read")
        await page.get_by_role("link", name="invalid: to").click()
        await expect(page.locator("h1")).to_contain_text("Dead letter 1")
        await hub.kill9()
        await hub.start()
        await page.reload()
        await page.get_by_role("button", name="Send as a message").click()
        await expect(page.locator("#mend .problems")).to_contain_text("to: ")
        mended = json.dumps({**BROKEN, "to": "ada@example.org"})
        await page.locator("#f-body").fill(mended)
        await page.get_by_role("button", name="Send as a message").click()
        await expect(page.locator("h1")).to_have_text("Your order")
        await page.locator("#story").get_by_role("link", name="1", exact=True).click()
        await expect(page.locator("#what")).to_contain_text("resent")
        # Its publisher finds the mistake too: it is the same request, and no second mail.
        await queue.publish(mended.encode())
        await hub.until(lambda: _empty(queue), "the queue is empty")
        await smtp.wait_for(1)
        await hub.settled(1, final=("sent",))
        assert len(smtp.messages) == 1
    finally:
        await context.close()


async def _empty(queue: Any) -> bool:
    return bool(await queue.count("email.queue") == 0)
