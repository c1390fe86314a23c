"""Pictures of every page of the demo, to be looked at: `python -m tests.support.screenshots FOLDER`.

Each page at 1440 px and at 390 px, light and dark. What the pages complain about is told, and ends it with 1.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from playwright.async_api import Browser, ConsoleMessage, Page

from tests.support.browser import launched_browser
from tests.support.ports import free_port
from tests.support.walk import walked


class Look(NamedTuple):
    """A way to look at a page."""

    name: str
    width: int
    scheme: str


LOOKS = (
    Look("1440", 1440, "light"),
    Look("1440-dark", 1440, "dark"),
    Look("390", 390, "light"),
    Look("390-dark", 390, "dark"),
)
_HEIGHT = 900
_MAY_FAIL = ("404", "422")
"""What the browser says about the page that is not there, and of forms that are refused."""


@asynccontextmanager
async def running_demo() -> AsyncIterator[str]:
    """The address of a demo of its own; ended with the block."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "emailhub", "demo", "--port", str(port),
            env={**os.environ, "TMPDIR": folder}, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            assert process.stdout is not None
            said = await asyncio.wait_for(process.stdout.readline(), 120)
            assert said, "the demo did not start"
            yield f"http://127.0.0.1:{port}"
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


class Photographer:
    """Takes pictures of `base` into `folder`, and keeps what was wrong with the pages."""

    def __init__(self, browser: Browser, base: str, folder: Path) -> None:
        self._browser, self._base, self._folder = browser, base, folder
        self.complaints: list[str] = []

    async def take_all(self) -> None:
        """Every page in every look."""
        for look in LOOKS:
            context = await self._browser.new_context(
                viewport={"width": look.width, "height": _HEIGHT},
                color_scheme="dark" if look.scheme == "dark" else "light",
                reduced_motion="reduce",
                device_scale_factor=1,
            )
            page = await context.new_page()
            page.on("console", self._heard)
            async for name in walked(page, self._base):
                await self._take(page, look, name)
            await context.close()

    async def _take(self, page: Page, look: Look, name: str) -> None:
        await page.wait_for_load_state("load")
        await page.evaluate("document.fonts.ready")
        wide = await page.evaluate("document.documentElement.scrollWidth")
        if wide > look.width:
            self.complaints.append(f"{name} at {look.name}: {wide} px wide")
        await page.screenshot(path=self._folder / f"{name}-{look.name}.png", full_page=True)

    def _heard(self, said: ConsoleMessage) -> None:
        if said.type in {"error", "warning"} and not any(one in said.text for one in _MAY_FAIL):
            self.complaints.append(f"{said.location['url']}: {said.text}")


async def _main(folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - nothing else runs yet
    async with running_demo() as base, launched_browser() as browser:
        photographer = Photographer(browser, base, folder)
        await photographer.take_all()
    for complaint in photographer.complaints:
        print(complaint, file=sys.stderr)
    return 1 if photographer.complaints else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(_main(Path(sys.argv[1] if len(sys.argv) > 1 else "build/pictures"))))
