"""Static files: cached for ever under names that change with their content."""

import gzip
import re

import pytest

from tests.support.web_hub import WebHub


async def _linked(hub: WebHub, kind: str) -> str:
    html = (await hub.client.get("/", headers={"accept": "text/html"})).text
    found = re.search(rf'"(/static/[^"]+\.{kind})"', html)
    assert found, kind
    return found[1]


@pytest.mark.parametrize(("kind", "media"), (("css", "text/css"), ("js", "text/javascript"), ("svg", "image/svg+xml")))
async def test_a_linked_file_is_there_and_may_be_kept_for_ever(hub: WebHub, kind: str, media: str) -> None:
    response = await hub.client.get(await _linked(hub, kind))
    assert response.status_code == 200
    assert response.headers["content-type"].startswith(media)
    assert "immutable" in response.headers["cache-control"]


async def test_the_plain_name_works_too_but_asks_again(hub: WebHub) -> None:
    response = await hub.client.get("/static/app.css")
    assert response.headers["cache-control"] == "public, no-cache"


@pytest.mark.parametrize("encoding", ("gzip", "identity"))
async def test_a_file_the_browser_has_is_not_sent_again(hub: WebHub, encoding: str) -> None:
    headers = {"accept-encoding": encoding}
    first = await hub.client.get("/static/app.css", headers=headers)
    again = await hub.client.get("/static/app.css", headers=headers | {"if-none-match": first.headers["etag"]})
    assert again.status_code == 304
    assert again.content == b""
    assert again.headers["etag"] == first.headers["etag"]


async def test_the_two_encodings_are_the_same_file_under_different_tags(hub: WebHub) -> None:
    async with hub.client.stream("GET", "/static/app.css", headers={"accept-encoding": "gzip"}) as response:
        packed = b"".join([chunk async for chunk in response.aiter_raw()])
    plain = await hub.client.get("/static/app.css", headers={"accept-encoding": "identity"})
    assert gzip.decompress(packed) == plain.content
    assert response.headers["etag"] != plain.headers["etag"]


@pytest.mark.parametrize("name", ("nothing.css", "..%2f..%2fpyproject.toml", "%2e%2e%2fpyproject.toml", "app.00.css"))
async def test_nothing_else_is_served(hub: WebHub, name: str) -> None:
    assert (await hub.client.get(f"/static/{name}")).status_code == 404
