"""What a page weighs on its way to a browser: itself, its styles, scripts and pictures."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
from litestar import Litestar

from tests.support.web_hub import WebHub, web_hub
from tests.web.pages.reading import HTML

MOST = 120_000
"""Bytes."""
LONG = "A subject as long as those of newsletters are, with a name in it"


async def _weight(hub: WebHub, page: httpx.Response) -> int:
    weight = int(page.headers["content-length"])
    for link in set(re.findall(r'(?:src|href|data-calm)="(/static/[^"]+)"', page.text)):
        file = await hub.client.get(link)
        weight += int(file.headers["content-length"])
        assert not re.search(r"^import |@import", file.text, re.MULTILINE), "a file that loads another is not counted"
    return weight


def _pages(app: Litestar, message: str) -> Iterator[str]:
    """The address of everything that is shown to people."""
    known = {"id": message, "relay": "capture", "template": "t", "job_id": "none", "key": "none", "name": "none"}
    for route in app.routes:
        for handler in getattr(route, "route_handlers", ()):
            if "GET" in handler.http_methods and not handler.resolve_include_in_schema():
                yield re.sub(r"\{(\w+):\w+\}", lambda found: known.get(found[1], "0"), route.path)


async def test_no_page_weighs_more_than_120_kb_even_with_every_row_full(
    tmp_path: Path, proved: Callable[[str], None]
) -> None:
    async with web_hub(tmp_path) as hub:
        ids = [
            await hub.send(
                to=[f"recipient.with.a.long.name.{number}@department.example.org", "second@example.org"],
                subject=LONG, html="<p>Hello</p>" * 20, scheduled_at="in 1 hour",
            )
            for number in range(60)
        ]  # fmt: skip
        await hub.client.post("/templates", json={"name": "T", "alias": "t", "subject": "S", "html": "<p>x</p>"})
        for number in range(60):
            await hub.client.post("/suppressions", json={"email": f"who{number}@example.org", "reason": LONG})
        weights = {}
        for path in [*_pages(hub.app, ids[0]), "/?span=7d", "/messages?q=newsletters", "/settings?show=all", "/docs"]:
            answer = await hub.client.get(path, headers=HTML)
            if answer.status_code == 200 and answer.headers["content-type"].startswith("text/html"):
                weights[path] = await _weight(hub, answer)
    assert {"/", "/messages", "/audit", "/settings", "/docs"} <= set(weights)
    heaviest = max(weights, key=lambda path: weights[path])
    assert weights[heaviest] < MOST, (heaviest, weights)
    proved(f"{len(weights)} pages: the heaviest, {heaviest}, weighs {weights[heaviest] / 1000:.0f} kB of 120")
