"""Every page of the demo, at every width, light and dark: nothing serious keeps people out of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page

from tests.acceptance.hub import Hub
from tests.support.browser import Guard
from tests.support.screenshots import LOOKS, Look, running_demo
from tests.support.walk import LINKED, PAGES, walked
from tests.support.web_hub import web_hub

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


NO_PAGES = {
    *("/messages/{id:str}/preview", "/templates/{template:str}/preview"),  # in frames of pages
    *("/messages/{id:str}/source", "/messages/{id:str}/files/{number:int}", "/dead-letters/{letter:str}/body"),
    *("/messages/csv", "/messages/jsonl", "/static/{name:str}"),
    *("/suppressions/{key:path}", "/api-keys/{key_id:str}"),  # for programs
}
"""What is shown to nobody as a page."""


async def test_the_walk_comes_to_every_page_there_is(tmp_path: Path) -> None:
    walk = [path.partition("?")[0] for path in PAGES.values()]
    for path, _, more in LINKED.values():
        walk += [f"{path.partition('?')[0]}/x{end.partition('?')[0]}" for end in more]
    async with web_hub(tmp_path) as hub:
        pages = {
            route.path
            for route in hub.app.routes
            for handler in getattr(route, "route_handlers", ())
            if "GET" in handler.http_methods and not handler.resolve_include_in_schema()
        }
    assert pages >= NO_PAGES
    for page in pages - NO_PAGES:
        shape = re.compile(re.sub(r"\{[^}]+\}", "[^/]+", page))
        assert any(map(shape.fullmatch, walk)), f"{page} is never looked at: it belongs into tests/support/walk.py"


@pytest.mark.nightly
@pytest.mark.timeout(1500)
async def test_axe_finds_nothing_serious_on_any_page_in_light_and_dark_and_nothing_scrolls_sideways(
    browser: Browser, guard: Guard, proved: Callable[[str], None]
) -> None:
    guard.expect("answered: 404 GET .*/nothing-here", "answered: 422 POST ")
    seen = set[str]()
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
            async for name in walked(page, base):
                seen.add(name)
                if problems := [*await _violations(page), *await _too_wide(page, look)]:
                    wrong[f"{name} at {look.name}"] = problems
            await context.close()
    assert wrong == {}
    proved(f"{len(seen)} pages in {len(LOOKS)} looks: axe finds nothing serious, nothing scrolls sideways")


async def _too_wide(page: Page, look: Look) -> list[str]:
    wide = await page.evaluate("document.documentElement.scrollWidth")
    return [f"{wide} px wide"] if wide > look.width else []
