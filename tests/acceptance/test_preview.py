"""The html of a message in its frame, in a real browser without script: as wide as asked."""

from __future__ import annotations

from collections.abc import Callable

from playwright.async_api import Browser, Page, expect

from tests.acceptance.hub import Hub

WIDE = "<style>p::after { content: 'narrow' } @media (min-width: 700px) { p::after { content: 'wide' } }</style><p>"


async def test_the_same_mail_is_shown_on_a_desktop_and_on_a_phone_whatever_the_screen(
    browser: Browser, make_hub: Callable[..., Hub]
) -> None:
    hub = make_hub(None)
    await hub.start()
    id = await hub.send(html=WIDE)
    context = await browser.new_context(base_url=f"http://127.0.0.1:{hub.port}", java_script_enabled=False)
    try:
        page = await context.new_page()
        for screen, phone in ((1440, 375), (390, 318)):
            await page.set_viewport_size({"width": screen, "height": 900})
            await page.goto(f"/messages/{id}")
            await _shown(page, "Desktop", 800, "wide")
            await _shown(page, "Phone", phone, "narrow")
    finally:
        await context.close()


async def _shown(page: Page, width: str, pixels: int, text: str) -> None:
    """Ask for `width`: the mail has these pixels for itself, and fills the place it has on the page."""
    await page.get_by_role("link", name=width, exact=True).click()
    await expect(page.locator(".widths [aria-current]")).to_have_text(width)
    frame, words = page.locator("iframe"), page.frame_locator("iframe").locator("p")
    assert await frame.evaluate("frame => frame.clientWidth") == pixels
    assert await words.evaluate("p => getComputedStyle(p, '::after').content") == f'"{text}"'
    box, place = await frame.bounding_box(), await page.locator(".frame").bounding_box()
    assert box
    assert place
    assert abs(box["width"] - place["width"]) < 3
    assert abs(box["height"] - place["height"]) < 3
