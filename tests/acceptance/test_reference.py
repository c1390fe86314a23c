"""The forms of the API reference in a real browser: they ask the running hub, offline and under its own policy."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

from playwright.async_api import Browser, expect

from tests.acceptance.hub import Hub
from tests.support.browser import Guard

KEY = "eh_reference_0123456789"


async def test_the_forms_ask_the_hub_and_say_how_to_ask_it(
    browser: Browser, guard: Guard, make_hub: Callable[..., Hub]
) -> None:
    guard.expect("answered: (401|422) POST .*/emails$")
    hub = make_hub(None)
    await hub.start(EMAILHUB_API_KEYS=KEY)
    host = f"http://127.0.0.1:{hub.port}"
    context = await browser.new_context(base_url=host, viewport={"width": 390, "height": 900})
    page = await context.new_page()
    await page.goto("/docs")

    send = page.locator("#post-emails")
    await send.get_by_text("Try it").click()
    await send.get_by_label("Idempotency-Key").fill("it's/1")
    await send.get_by_label("Add a field").select_option(label="cc")
    await send.get_by_role("button", name="Do it").click()
    status = send.locator("[data-status]")
    await expect(status).to_contain_text("401")
    await expect(send.locator("[data-answer]")).to_contain_text("missing_api_key")

    await page.get_by_label("API key for the forms below").fill(KEY)
    await send.get_by_role("button", name="Do it").click()
    await expect(status).to_contain_text("200 after")
    typed = (await send.locator("[data-curl]").text_content() or "").replace("curl ", "curl -sS --noproxy '*' ", 1)
    again = subprocess.run(  # noqa: ASYNC221 - what is shown is what a reader pastes
        ["bash", "-c", typed], env={"PATH": "/usr/bin:/bin", "EMAILHUB_API_KEY": KEY}, capture_output=True, check=True
    )
    assert b'"id"' in again.stdout, "the command sends the same, and its key is known"

    hub.client.headers["authorization"] = f"Bearer {KEY}"
    (message,) = (await hub.get("/emails"))["data"]
    assert message["cc"] == ["bob@example.org"]

    await send.get_by_label("Body", exact=True).fill("{}")
    await send.get_by_role("button", name="Do it").click()
    await expect(status).to_contain_text("422")
    read = page.locator("#get-emails-id")
    await read.get_by_text("Try it").click()
    await read.get_by_label("id").fill(message["id"])
    await read.get_by_role("button", name="Read").click()
    await expect(read.locator("[data-answer]")).to_contain_text('"subject": "Your invoice"')
    await context.close()


async def test_without_script_the_reference_is_there_to_read(browser: Browser, make_hub: Callable[..., Hub]) -> None:
    hub = make_hub(None)
    await hub.start()
    context = await browser.new_context(base_url=f"http://127.0.0.1:{hub.port}", java_script_enabled=False)
    page = await context.new_page()
    await page.goto("/docs")
    await expect(page.locator("#post-emails")).to_contain_text("curl http://127.0.0.1")
    await expect(page.get_by_text("Try it").first).to_be_hidden()
    await expect(page.get_by_label("API key for the forms below")).to_be_hidden()
    await context.close()
