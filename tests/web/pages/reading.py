"""Reading pages as a browser would, without one."""

from __future__ import annotations

import html
import re
from typing import Protocol
from urllib.parse import urlencode

import httpx

HTML = {"accept": "text/html"}


class Asked(Protocol):
    """A hub with a client."""

    client: httpx.AsyncClient


async def page(hub: Asked, path: str, status: int = 200, **headers: str) -> str:
    """The HTML at `path`."""
    response = await hub.client.get(path, headers=HTML | headers)
    assert response.status_code == status, response.text
    assert response.headers["content-type"].startswith("text/html")
    return response.text


async def press(hub: Asked, path: str, **fields: str) -> httpx.Response:
    """Submit a form as a browser does; the answer, not followed."""
    same_site = {"origin": "http://localhost:8000", "sec-fetch-site": "same-origin"}
    form = {"content-type": "application/x-www-form-urlencoded"}
    return await hub.client.post(path, content=urlencode(fields), headers=HTML | same_site | form)


def words_of(page: str) -> str:
    """The text a person reads, on one line."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def part(page: str, id: str) -> str:
    """What stands from the element with that id to the next one (not a row) that is kept live, or to the end."""
    start = page.index(">", page.index(f'id="{id}"')) + 1
    following = re.compile(r"<(?!tr)[^>]*data-live").search(page, start)
    return page[start : following.start() if following else None]
