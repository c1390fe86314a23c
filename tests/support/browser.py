"""The system's Chromium, driven by Playwright."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, async_playwright

from tests.support.skips import need

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_ARGUMENTS = [
    "--no-sandbox",  # the sandbox refuses root, which is who runs in containers
    "--disable-gpu",
    "--disable-dev-shm-usage",  # 64 MB of /dev/shm in a container crashes tabs
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def chromium_path() -> str:
    """The path of a Chromium or Chrome; gives up the test when there is none. `CHROMIUM` names another."""
    names = filter(None, (os.environ.get("CHROMIUM"), *_NAMES))
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        need("Chromium", "apt install chromium")
    return found


@asynccontextmanager
async def launched_browser() -> AsyncIterator[Browser]:
    """A headless browser with an empty profile of its own, closed at the end."""
    path = chromium_path()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
        try:
            yield browser
        finally:
            await browser.close()
