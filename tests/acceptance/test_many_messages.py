"""Many messages at once in a real browser over a real hub: by keyboard, by mouse, without script, over a crash."""

from __future__ import annotations

import asyncio
import csv
import json
import re
from collections.abc import AsyncIterator, Callable
from io import StringIO
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.acceptance.hub import Hub
from tests.support.smtp_server import SmtpServer


@pytest_asyncio.fixture
async def hub(smtp: SmtpServer, make_hub: Callable[..., Hub]) -> AsyncIterator[Hub]:
    """A started hub whose server refuses everybody."""
    smtp.on("RCPT", "550 5.1.1 user unknown")
    hub = make_hub(smtp)
    await hub.start()
    yield hub


@pytest_asyncio.fixture
async def page(browser: Browser, hub: Hub) -> AsyncIterator[Page]:
    """A page of a fresh browser."""
    context = await _context(browser, hub)
    try:
        yield await context.new_page()
    finally:
        await context.close()


async def _context(browser: Browser, hub: Hub, **how: Any) -> BrowserContext:
    context = await browser.new_context(
        base_url=f"http://127.0.0.1:{hub.port}",
        reduced_motion="reduce",
        **({"viewport": {"width": 1280, "height": 900}} | how),
    )
    context.set_default_timeout(15_000)
    return context


async def _failed(hub: Hub, count: int) -> list[str]:
    """Messages that were refused, and one on sale that waits for tomorrow."""
    ids = [await hub.send(subject="Sale") for _ in range(count)]
    await hub.send(subject="Sale", scheduled_at="tomorrow at noon")
    await hub.settled(count + 1, final=("failed", "scheduled"))
    return ids


async def test_rows_are_found_selected_and_canceled_with_the_keyboard_alone(page: Page, hub: Hub) -> None:
    await hub.post("/breakers/default", {"state": "open", "reason": "for the test"})
    ids = [await hub.send(subject="Sale") for _ in range(3)][::-1]
    await hub.send(subject="Other")
    await page.goto("/")
    for key in ("g", "m"):
        await page.keyboard.press(key)
    await page.wait_for_url("**/messages")
    await page.keyboard.press("/")
    await page.keyboard.type("subject:sale -state:sent")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/messages?q=*")
    await expect(page.locator("#rows tr")).to_have_count(3)
    for key in ("j", "x", "j", "x"):
        await page.keyboard.press(key)
    await expect(page.locator("#picked")).to_have_text("With the 2 selected:")
    assert (
        await page.locator("#rows tr:has(input:checked)").evaluate_all("rows => rows.map(row => row.dataset.key)")
        == ids[:2]
    )
    await page.get_by_role("button", name="Cancel…").focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("h1")).to_have_text("Cancel 2 messages?")
    await page.get_by_label("Why").focus()
    await page.keyboard.type("wrong price")
    await page.keyboard.press("Enter")
    await page.wait_for_url(re.compile(r"/jobs/01\w{24}$"))
    await expect(page.locator("#job")).to_contain_text("2 of 2 canceled.")
    assert (await hub.counts()) == {"canceled": 2, "queued": 2}


async def test_all_that_match_are_retried_at_a_pace_watched_live_and_stopped(page: Page, hub: Hub) -> None:
    await _failed(hub, 52)
    await page.goto("/messages?q=subject%3Asale")
    await page.get_by_label("all 53 that match").check()
    await expect(page.locator("#picked")).to_have_text("With all that match:")
    await page.get_by_role("button", name="Retry…").click()
    await expect(page.locator("h1")).to_have_text("Retry 52 messages?")
    await expect(page.locator(".states")).to_contain_text("1 scheduled stays as it is")
    await page.get_by_label("10 a second").check()
    await page.get_by_role("button", name="Retry 52 messages").click()
    await page.evaluate("window.unbroken = true")
    await expect(page.locator("#job progress")).not_to_have_attribute("value", "0")
    assert await page.evaluate("window.unbroken === true")
    await page.get_by_role("button", name="Stop").click()
    await expect(page.locator(".flash.ok")).to_contain_text("Stopped.")
    await expect(page.locator("#job .pill")).to_have_text("‖ stopped")
    (job,) = (await hub.get("/bulk"))["data"]
    assert job["status"] == "stopped"
    assert 0 < job["done"] < 52


@pytest.mark.nightly
async def test_a_job_goes_on_after_a_crash_and_does_each_message_once(hub: Hub) -> None:
    ids = await _failed(hub, 40)
    begun = (await hub.post("/emails/bulk", {"action": "retry", "query": "state:failed", "pace": 20})).json()["job"]

    async def some() -> bool:
        return bool((await hub.get(f"/bulk/{begun['id']}"))["done"] > 5)

    await hub.until(some, "some are done")
    await hub.kill9()
    await hub.start()

    async def all_done() -> bool:
        return bool((await hub.get(f"/bulk/{begun['id']}"))["status"] == "done")

    await hub.until(all_done, "the job is done", 30)
    assert (await hub.get(f"/bulk/{begun['id']}"))["done"] == 40
    # Deferred: what was being sent when it was killed.
    await hub.settled(41, final=("failed", "scheduled", "deferred"))
    for id in ids:
        events = (await hub.get(f"/emails/{id}/events"))["data"]
        assert [event["kind"] for event in events].count("queued") == 1, events


@pytest.mark.nightly
async def test_without_script_rows_are_selected_retried_and_stopped(browser: Browser, hub: Hub) -> None:
    await _failed(hub, 3)
    context = await _context(browser, hub, java_script_enabled=False)
    try:
        page = await context.new_page()
        await page.goto("/messages")
        await page.get_by_role("searchbox").fill("state:sendt")
        await page.get_by_role("button", name="Search").click()
        await expect(page.locator("#mistakes")).to_contain_text("did you mean sent?")
        await page.get_by_role("searchbox").fill("state:failed")
        await page.get_by_role("button", name="Search").click()
        await page.get_by_role("button", name="Retry…").click()
        await expect(page.locator(".flash")).to_contain_text("select messages first, or tick all that match")
        boxes = page.get_by_role("checkbox", name="Select the message")
        await boxes.nth(0).check()
        await boxes.nth(2).check()
        await page.get_by_role("button", name="Retry…").click()
        await expect(page.locator("h1")).to_have_text("Retry 2 messages?")
        await page.get_by_label("1 a second").check()
        await page.get_by_role("button", name="Retry 2 messages").click()
        await page.get_by_role("button", name="Stop").click()
        await expect(page.locator(".flash")).to_contain_text("Stopped.")
        await page.get_by_role("link", name="Jobs").click()
        await expect(page.locator(".entries li")).to_have_count(1)
    finally:
        await context.close()


@pytest.mark.nightly
async def test_a_message_is_retried_with_one_key(page: Page, hub: Hub) -> None:
    (id,) = await _failed(hub, 1)
    await page.goto(f"/messages/{id}")
    await page.keyboard.press("e")
    await expect(page.locator(".flash")).to_be_visible()
    await page.goto("/messages?state=failed")
    await page.keyboard.press("j")
    await page.keyboard.press("e")
    await expect(page.locator("h1")).to_have_text("Retry 1 message?")


@pytest.mark.nightly
async def test_the_filter_is_downloaded_as_a_file_that_computes_nothing(page: Page, hub: Hub) -> None:
    ids = (await _failed(hub, 3))[::-1]
    await hub.send(subject="=HYPERLINK(1)", to="-1+cmd@example.org")
    await hub.settled(5, final=("failed", "scheduled"))
    await page.goto("/messages?q=subject%3Asale+state%3Afailed")
    rows = [json.loads(line) for line in (await _downloaded(page, "JSON lines", "messages.jsonl")).splitlines()]
    assert [row["id"] for row in rows] == ids
    assert {(row["state"], row["subject"], row["last"]) for row in rows} == {
        ("failed", "Sale", "550 5.1.1 user unknown")
    }
    table = list(csv.DictReader(StringIO(await _downloaded(page, "CSV", "messages.csv"))))
    assert [row["id"] for row in table] == ids
    assert [{name: str(value) for name, value in row.items() if value is not None} for row in rows] == [
        {name: value for name, value in row.items() if value} for row in table
    ]
    await page.goto("/messages?q=hyperlink")
    (cells,) = csv.DictReader(StringIO(await _downloaded(page, "CSV", "messages.csv")))
    assert (cells["subject"], cells["to"]) == ("'=HYPERLINK(1)", "'-1+cmd@example.org")
    assert not [value for value in cells.values() if value.startswith(("=", "+", "-", "@"))]


async def _downloaded(page: Page, link: str, name: str) -> str:
    async with page.expect_download() as started:
        await page.get_by_role("link", name=link, exact=True).click()
    download = await started.value
    assert download.suggested_filename == name
    return (await asyncio.to_thread((await download.path()).read_bytes)).decode()


@pytest.mark.nightly
async def test_nothing_scrolls_sideways_on_a_phone(browser: Browser, hub: Hub) -> None:
    await _failed(hub, 60)
    job = (await hub.post("/emails/bulk", {"action": "retry", "query": "state:failed", "pace": 0.1})).json()["job"]
    context = await _context(browser, hub, viewport={"width": 390, "height": 844})
    try:
        page = await context.new_page()
        for path in (
            "/messages?q=sale",
            "/messages?q=sendt%3Ax",
            "/jobs",
            f"/jobs/{job['id']}",
            "/jobs/new?action=retry&all=1",
        ):
            await page.goto(path)
            assert await page.evaluate("document.documentElement.scrollWidth") <= 390, path
    finally:
        await context.close()
