"""What the dashboard costs a browser: when the list is there, and what live updates take of a core.

    python -m bench.browsing FOLDER [--rounds 20]        # first paint of pages on the outbox there
    python -m bench.browsing --live [--rate 500] [--seconds 20]

FOLDER holds the `emailhub.db` that `bench.million` made. With `--live` a new hub is given messages at a rate while one
page after the other is watched in Chromium; CPU is that of the process that draws it, as the browser tells it.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from playwright.async_api import Browser, Page

from bench.goals import percentile
from bench.hub import Hub, hub
from bench.processes import sink
from tests.support.browser import launched_browser

PAINT_GOAL = 300.0
"""Milliseconds until the first of the list is seen."""
CORE_GOAL = 10.0
"""Percent of a core that live updates take."""
PAINTED = {"overview": "/", "messages": "/messages", "messages, failed": "/messages?state=failed", "relays": "/relays"}
WATCHED = {"overview": "/", "messages": "/messages", "messages, sent": "/messages?state=sent", "relays": "/relays"}
_FIRST_PAINT = """() => new Promise(done => {
  const found = () => performance.getEntriesByName('first-contentful-paint')[0];
  const look = () => found() ? done([found().startTime, performance.getEntriesByType('navigation')[0].responseEnd])
    : setTimeout(look, 10);
  look();
})"""


class Painted(NamedTuple):
    """Milliseconds from the start of each visit to the first paint, and to the last byte of the page."""

    label: str
    first: list[float]
    loaded: list[float]


class Watched(NamedTuple):
    """Percent of a core that drawing the page took, while so many messages a second came in."""

    label: str
    core: float
    rate: float


async def paints(one: Hub, rounds: int) -> list[Painted]:
    """Every page so many times in a browser that knows its files, after once to warm up."""
    async with launched_browser() as browser:
        page = await browser.new_page(viewport={"width": 1440, "height": 900})
        rows = []
        for label, path in PAINTED.items():
            took = []
            for _ in range(rounds + 1):
                await page.goto(f"http://127.0.0.1:{one.port}{path}", wait_until="load")
                took.append(await page.evaluate(_FIRST_PAINT))
            rows.append(Painted(label, [first for first, _ in took[1:]], [loaded for _, loaded in took[1:]]))
        return rows


async def watch(one: Hub, rate: float, seconds: float) -> list[Watched]:
    """Every page for so long while messages come in."""
    async with launched_browser() as browser:
        return [await _watched(browser, one, label, path, rate, seconds) for label, path in WATCHED.items()]


async def _watched(browser: Browser, one: Hub, label: str, path: str, rate: float, seconds: float) -> Watched:
    page = await browser.new_page(viewport={"width": 1440, "height": 900})
    await page.goto(f"http://127.0.0.1:{one.port}{path}")
    await page.wait_for_selector("#live[data-state=on]")
    with _coming_in(one, rate, seconds + 4):
        await asyncio.sleep(2)
        used, began = await _drawing(page), time.monotonic()
        await asyncio.sleep(seconds)
        core = (await _drawing(page) - used) / (time.monotonic() - began) * 100
    await page.close()
    return Watched(label, core, rate)


async def _drawing(page: Page) -> float:
    """Seconds of CPU of every process that draws pages; there is one page."""
    assert page.context.browser is not None
    session = await page.context.browser.new_browser_cdp_session()
    found = await session.send("SystemInfo.getProcessInfo")
    await session.detach()
    return sum(float(one["cpuTime"]) for one in found["processInfo"] if one["type"] == "renderer")


_given = 0


@contextmanager
def _coming_in(one: Hub, rate: float, seconds: float) -> Iterator[None]:
    global _given  # noqa: PLW0603 - every message is another
    count = round(rate * seconds)
    load = threading.Thread(target=one.post, args=(_given, count, rate))
    _given += count
    load.start()
    yield
    load.join()


def paint_table(rows: list[Painted]) -> str:
    lines = ["| page | first paint p50 ms | p95 ms | last byte p50 ms | within 300 ms |", "|---|---|---|---|---|"]
    for row in rows:
        p50, p95 = percentile(row.first, 50), percentile(row.first, 95)
        within = "yes" if p95 <= PAINT_GOAL else "no"
        lines.append(f"| {row.label} | {p50:.0f} | {p95:.0f} | {percentile(row.loaded, 50):.0f} | {within} |")
    return "\n".join(lines)


def live_table(rows: list[Watched]) -> str:
    lines = ["| page watched | messages/s | % of a core | below 10 % |", "|---|---|---|---|"]
    lines += [
        f"| {row.label} | {row.rate:.0f} | {row.core:.1f} | {'yes' if row.core < CORE_GOAL else 'no'} |" for row in rows
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.browsing", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, nargs="?", help="the folder of emailhub.db")
    parser.add_argument("--rounds", type=int, default=20, help="visits to each page (20)")
    parser.add_argument("--live", action="store_true", help="measure live updates, on a new outbox")
    parser.add_argument("--rate", type=float, default=500.0, help="messages a second (500)")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long each page is watched (20)")
    options = parser.parse_args()
    if options.live:
        with tempfile.TemporaryDirectory() as folder, sink(0.0) as server:
            settings = {"SMTP_PORT": str(server.port), "EMAILHUB_SMTP_CONNECTIONS": "20"}
            with hub(Path(folder), settings) as one:
                print(live_table(asyncio.run(watch(one, options.rate, options.seconds))))
    elif options.folder:
        with hub(options.folder, {"SMTP_PORT": "9"}) as one:
            one.ask("/breakers/default", {"state": "open", "reason": "measuring"})
            print(paint_table(asyncio.run(paints(one, options.rounds))))
    else:
        parser.exit(64, "name the folder of an outbox, or ask for --live\n")


if __name__ == "__main__":
    main()
