"""The tests' browser opens pages that run script, and its guard sees what goes wrong in them."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.support.browser import Guard

_PAGE = b"""HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\nContent-Security-Policy: %s\r\n\r\n
<!doctype html><link rel=icon href=data:,>%s"""


async def test_a_page_runs_its_script(page: Page) -> None:
    await page.set_content("<title>before</title><script>document.title = 'after'</script>")
    assert await page.title() == "after"


class Site:
    """Answers everything with one page, but for what is `missing`."""

    def __init__(self) -> None:
        self.policy, self.body, self.url = b"", b"", ""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readuntil(b"\r\n\r\n")
        missing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        writer.write(missing if b"/missing" in asked else _PAGE % (self.policy, self.body))
        await writer.drain()
        writer.close()


@pytest_asyncio.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    async with await asyncio.start_server(site.answer, "127.0.0.1", 0) as server:
        site.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield site


@pytest.mark.parametrize(
    ("policy", "body", "said"),
    (
        (b"script-src 'none'", b"<script>1</script>", "Content Security Policy"),
        (b"", b"<script>console.error('a pity')</script>", "console: a pity"),
        (b"", b"<script>throw new Error('a bug')</script>", "thrown: .*a bug"),
        (b"", b"<script src=/missing></script>", "answered: 404 GET .*/missing"),
        (b"", b"<img src=http://127.0.0.1:1/pixel>", "asked somebody else: http://127.0.0.1:1/pixel"),
        (b"", b"<img src=http://127.0.0.1:1/pixel>", "failed: http://127.0.0.1:1/pixel"),
    ),
)
async def test_what_goes_wrong_in_a_page_is_seen(
    browser: Browser, guard: Guard, site: Site, policy: bytes, body: bytes, said: str
) -> None:
    site.policy, site.body = policy, body
    context = await browser.new_context()
    await (await context.new_page()).goto(site.url)
    await context.close()
    seen = guard.unexpected()
    guard.expect(said)
    assert len(guard.unexpected()) < len(seen)
    guard.expect("127.0.0.1:1/")


async def test_a_page_that_is_well_is_left_alone(browser: Browser, guard: Guard, site: Site) -> None:
    context = await browser.new_context()
    await (await context.new_page()).goto(site.url)
    await context.close()
    assert guard.complaints == []
