"""The html of a message in its frame, in a real browser without script: as wide as asked."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.async_api import Browser, expect

from tests.acceptance.hub import Hub

WIDE = "<style>p::after { content: 'narrow' } @media (min-width: 700px) { p::after { content: 'wide' } }</style><p>"


@pytest.mark.parametrize("screen", (1440, 390))
async def test_the_same_mail_is_shown_on_a_desktop_and_on_a_phone(
    browser: Browser, make_hub: Callable[..., Hub], screen: int
) -> None:
    hub = make_hub(None)
    await hub.start()
    id = await hub.send(html=WIDE)
    context = await browser.new_context(
        base_url=f"http://127.0.0.1:{hub.port}",
        viewport={"width": screen, "height": 900},
        java_script_enabled=False,
    )
    try:
        page = await context.new_page()
        await page.goto(f"/messages/{id}")
        frame, text = page.locator("iframe"), page.frame_locator("iframe").locator("p")
        for width, inside, shown in (("Desktop", 800, "wide"), ("Phone", 375 if screen > 400 else 318, "narrow")):
            await page.get_by_role("link", name=width, exact=True).click()
            await expect(page.locator(".widths [aria-current]")).to_have_text(width)
            assert await frame.evaluate("frame => frame.clientWidth") == inside
            style = await text.evaluate("p => getComputedStyle(p, '::after').content")
            assert style == f'"{shown}"'
            box, outer = await frame.bounding_box(), await page.locator(".frame").bounding_box()
            assert box
            assert outer
            assert abs(box["width"] - outer["width"]) < 3
            assert abs(box["height"] - outer["height"]) < 3
    finally:
        await context.close()
