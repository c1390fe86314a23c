"""The system's Chromium, driven by Playwright."""

import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Browser, BrowserContext, Request, Response, async_playwright

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


class Guard:
    """What goes wrong in the contexts of a browser: said on a console, thrown, failed, or asked of somebody else.

    A policy of the page that stops something is said on the console, so it is among them.
    """

    def __init__(self) -> None:
        self.complaints: list[str] = []
        self._expected: list[re.Pattern[str]] = []

    def expect(self, *patterns: str) -> None:
        """What matches one of these, this test provokes."""
        self._expected += map(re.compile, patterns)

    def begin(self) -> None:
        """Forget what was before."""
        self.complaints, self._expected = [], []

    def unexpected(self) -> list[str]:
        """What went wrong and was not expected."""
        return [one for one in self.complaints if not any(pattern.search(one) for pattern in self._expected)]

    def watch(self, context: BrowserContext, home: str | None) -> None:
        """Listen to `context`, whose pages may ask `home` only, or who is asked first."""
        homes = [] if home is None else [_origin(home)]

        def asked(request: Request) -> None:
            if not request.url.startswith(("data:", "about:", "blob:")):
                homes[:] = homes or [_origin(request.url)]
                if _origin(request.url) not in homes:
                    self.complaints.append(f"asked somebody else: {request.url}")

        context.on("request", asked)
        context.on("requestfailed", self._failed)
        context.on("response", self._answered)
        context.on("console", lambda said: self._said(said.type, said.text))
        context.on("weberror", lambda error: self.complaints.append(f"thrown: {error.error}"))

    def _said(self, kind: str, text: str) -> None:
        # Of an answer that is an error the console says less than `_answered`.
        if kind in {"error", "warning"} and not text.startswith("Failed to load resource"):
            self.complaints.append(f"console: {text}")

    def _failed(self, request: Request) -> None:
        # Left behind by a page that was left, or a download: nobody waits for it.
        if request.failure != "net::ERR_ABORTED":
            self.complaints.append(f"failed: {request.url} {request.failure}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400:
            self.complaints.append(f"answered: {response.status} {response.request.method} {response.url}")


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def guard_of(browser: Browser, guard: Guard) -> None:
    """Have `guard` watch every context that `browser` opens from now on."""
    opened = browser.new_context

    async def new_context(**options: Any) -> BrowserContext:
        context = await opened(**options)
        guard.watch(context, options.get("base_url"))
        return context

    browser.new_context = new_context  # type: ignore[method-assign]


def chromium_path() -> str:
    """The path of a Chromium or Chrome; gives up the test when there is none. `CHROMIUM` names another."""
    names = filter(None, (os.environ.get("CHROMIUM"), *_NAMES))
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        need("Chromium", "apt install chromium")
    return found


@asynccontextmanager
async def launched_browser(*more: str) -> AsyncIterator[Browser]:
    """A headless browser with an empty profile of its own and `more` arguments, closed at the end."""
    path = chromium_path()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=[*_ARGUMENTS, *more])
        try:
            yield browser
        finally:
            await browser.close()
