"""Addresses that clients of the API know and this hub does not serve."""

from __future__ import annotations

from pathlib import Path

import pytest

from emailhub.engine.gate import Access
from emailhub.web.elsewhere import ELSEWHERE
from tests.support.web_hub import WebHub, web_hub


async def test_each_answers_every_method_with_a_404_that_says_what_there_is_instead(hub: WebHub) -> None:
    for name, instead in ELSEWHERE.items():
        for method, path in (("GET", ""), ("POST", "/"), ("PATCH", "/abc"), ("DELETE", "/abc/def")):
            response = await hub.client.request(method, f"/{name}{path}", json={})
            body = response.json()
            assert (response.status_code, body["statusCode"], body["name"]) == (404, 404, "not_found"), (name, path)
            assert instead in body["message"]
            assert body["errors"] == []


@pytest.mark.parametrize(
    ("method", "path", "instead"),
    (
        ("GET", "/emails/metrics?start_date=2026-11-01", "GET /metrics"),
        ("GET", "/emails/receiving", "receives no mail"),
        ("GET", "/emails/receiving/abc/attachments", "receives no mail"),
        ("POST", "/emails/abc/share", "may log in"),
    ),
)
async def test_what_clients_ask_of_messages_and_is_not_here_says_what_there_is_instead(
    hub: WebHub, method: str, path: str, instead: str
) -> None:
    response = await hub.client.request(method, path)
    assert (response.status_code, response.json()["name"]) == (404, "not_found")
    assert instead in response.json()["message"]


@pytest.mark.parametrize("path", ("/emails/a/attachments/0", "/emails/abc/nothing", "/nowhere"))
async def test_other_addresses_are_404_in_the_same_shape(hub: WebHub, path: str) -> None:
    response = await hub.client.get(path)
    assert (response.status_code, response.json()["name"]) == (404, "not_found")


async def test_they_ask_for_the_key_of_the_api_and_not_for_the_password_of_the_dashboard(tmp_path: Path) -> None:
    async with web_hub(tmp_path, Access(listen="0.0.0.0", api_keys=("secret-key-of-the-shop",))) as hub:
        assert (await hub.client.get("/domains")).status_code == 401
        client = hub.client_from(authorization="Bearer secret-key-of-the-shop")
        assert (await client.get("/domains")).status_code == 404
