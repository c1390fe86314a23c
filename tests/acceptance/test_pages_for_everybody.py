"""Every page of the demo, at every width, light and dark: nothing serious keeps people out of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page

from tests.acceptance.hub import Hub
from tests.support.browser import Guard
from tests.support.screenshots import LOOKS, PAGES, STATES, Look, messages_of, running_demo

SERIOUS = {"serious", "critical"}


async def _violations(page: Page) -> list[str]:
    found = await Axe().run(page)
    return [
        f"{one['id']}: {one['help']} ({node['target']})"
        for one in found.response["violations"]
        if one["impact"] in SERIOUS
        for node in one["nodes"][:3]
    ]


async def test_axe_finds_nothing_serious_on_the_overview_and_in_the_list(
    browser: Browser, make_hub: Callable[..., Hub]
) -> None:
    hub = make_hub(None)
    await hub.start()
    await hub.send()
    await hub.send(scheduled_at="in 1 hour")
    wrong: dict[str, list[str]] = {}
    for path, scheme in (("/", "light"), ("/messages", "dark")):
        context = await browser.new_context(
            base_url=f"http://127.0.0.1:{hub.port}",
            color_scheme="dark" if scheme == "dark" else "light",
            reduced_motion="reduce",
            bypass_csp=True,  # axe is put into the page
        )
        page = await context.new_page()
        await page.goto(path)
        wrong[f"{path} in the {scheme}"] = await _violations(page)
        await context.close()
    assert not any(wrong.values()), wrong


@pytest.mark.nightly
@pytest.mark.timeout(900)
async def test_axe_finds_nothing_serious_on_any_page_in_light_and_dark_and_nothing_scrolls_sideways(
    browser: Browser,
    guard: Guard,
) -> None:
    guard.expect("answered: 404 GET .*/nothing-here")
    wrong: dict[str, list[str]] = {}
    async with running_demo() as base:
        for look in LOOKS:
            context = await browser.new_context(
                viewport={"width": look.width, "height": 900},
                color_scheme="dark" if look.scheme == "dark" else "light",
                reduced_motion="reduce",
                bypass_csp=True,  # axe is put into the page
            )
            page = await context.new_page()
            for name, path in {**PAGES, **await messages_of(page, base, STATES)}.items():
                await page.goto(base + path)
                if problems := [*await _violations(page), *await _too_wide(page, look)]:
                    wrong[f"{name} at {look.name}"] = problems
            await context.close()
    assert wrong == {}


async def _too_wide(page: Page, look: Look) -> list[str]:
    wide = await page.evaluate("document.documentElement.scrollWidth")
    return [f"{wide} px wide"] if wide > look.width else []
