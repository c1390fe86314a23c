"""Every key the help names does what the help says: the list of keys is the page's own."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

import pytest
from playwright.async_api import Browser, Page, expect

from tests.acceptance.hub import Hub
from tests.support.smtp_server import SmtpServer

FAILED = "/messages?state=failed"
ROWS = ".rows tbody tr"


async def _search(page: Page, _: Hub) -> None:
    await page.goto("/relays")
    await page.keyboard.press("/")
    await page.wait_for_url("**/messages#search")
    await expect(page.locator("#search")).to_be_focused()
    await page.keyboard.type("/?jx")
    await expect(page.locator("#search")).to_have_value("/?jx")


async def _rows(page: Page, _: Hub) -> None:
    await page.goto(FAILED)
    for key, row in (("j", 1), ("j", 2), ("j", 2), ("k", 1), ("k", 1)):
        await page.keyboard.press(key)
        await expect(page.locator(f"{ROWS}:nth-child({row}) .subject a")).to_be_focused()


async def _open(page: Page, _: Hub) -> None:
    await page.goto(FAILED)
    wanted = await page.locator(f"{ROWS}:nth-child(2)").get_attribute("data-key")
    for key in ("j", "j", "Enter"):
        await page.keyboard.press(key)
    await page.wait_for_url(f"**/messages/{wanted}")


async def _select(page: Page, _: Hub) -> None:
    await page.goto(FAILED)
    for key in ("j", "x"):
        await page.keyboard.press(key)
    box = page.locator(f"{ROWS}:nth-child(1) .pick input")
    await expect(box).to_be_checked()
    await expect(page.locator("#picked")).to_have_text("With the 1 selected:")
    await page.keyboard.press("x")
    await expect(box).not_to_be_checked()


async def _retry(page: Page, _: Hub) -> None:
    await page.goto(FAILED)
    for key in ("j", "x", "j", "x", "e"):
        await page.keyboard.press(key)
    await expect(page.locator("h1")).to_have_text("Retry 2 messages?")
    await page.goto(FAILED)
    for key in ("j", "Enter"):
        await page.keyboard.press(key)
    await expect(page.locator("#actions")).to_contain_text("Retry")
    await page.keyboard.press("e")
    await expect(page.locator(".flash")).to_contain_text("is queued again")


async def _news(page: Page, hub: Hub) -> None:
    await page.goto("/messages?state=scheduled")
    await expect(page.locator("#live")).to_have_attribute("data-state", "on")
    await hub.send(scheduled_at="in 1 hour")
    await expect(page.locator("#news a")).to_have_text("1 new")
    await expect(page.locator(ROWS)).to_have_count(0)
    await page.keyboard.press(".")
    await expect(page.locator(ROWS)).to_have_count(1)


async def _help(page: Page, _: Hub) -> None:
    for path in ("/", "/docs", "/login"):
        await page.goto(path)
        await page.keyboard.press("?")
        await expect(page.get_by_role("dialog")).to_be_visible()
        await page.keyboard.press("j")
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("dialog")).to_be_hidden()


DOES: dict[str, Callable[[Page, Hub], Awaitable[None]]] = {
    "search messages": _search,
    "next and previous row": _rows,
    "open the row": _open,
    "select the row": _select,
    "retry the selected rows, or the message": _retry,
    "show the new rows": _news,
    "this list": _help,
}
"""What is done to see that a key does what its words say. Going somewhere needs no entry."""


async def _named(page: Page) -> list[tuple[list[str], str]]:
    """The keys of the help, and what it says they do."""
    await page.goto("/")
    keys = await page.locator("#help dt").evaluate_all(
        "all => all.map(dt => [[...dt.children].map(kbd => kbd.textContent), dt.nextElementSibling.textContent])"
    )
    return [(list(pressed), str(says)) for pressed, says in keys]


@pytest.mark.nightly
@pytest.mark.timeout(180)
async def test_every_key_does_what_the_help_says(
    browser: Browser, smtp: SmtpServer, make_hub: Callable[..., Hub], proved: Callable[[str], None]
) -> None:
    smtp.on("RCPT", "550 5.1.1 user unknown")
    hub = make_hub(smtp)
    await hub.start()
    for _ in range(2):
        await hub.send(subject="Sale")
    await hub.settled(2, final=("failed",))
    context = await browser.new_context(base_url=f"http://127.0.0.1:{hub.port}", reduced_motion="reduce")
    context.set_default_timeout(15_000)
    try:
        page = await context.new_page()
        named = await _named(page)
        for keys, says in named:
            if keys[0] == "g":
                await page.goto("/patterns")
                for key in keys:
                    await page.keyboard.press(key)
                place = says.removeprefix("go to ").removeprefix("the ")
                await expect(page).to_have_title(re.compile(rf"^(● )?{place} · emailhub$", re.IGNORECASE))
            else:
                await DOES[says](page, hub)
    finally:
        await context.close()
    proved(f"{len(named)} entries of the help of keys: each does what it says")
