"""The short way of the two busy requests answers what the long way of the framework answers."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.web_hub import GOOD, SEED, WebHub, web_hub

BODIES: dict[str, bytes] = {
    "good for the API": json.dumps(GOOD).encode(),
    "good for the contract": json.dumps(SEED).encode(),
    "empty": b"",
    "not JSON": b"{",
    "no object": b"[1]",
    "not UTF-8": b'{"to": "\xff"}',
    "a field twice": b'{"to": "a@example.org", "to": "b@example.org"}',
    "half a surrogate": b'{"to": "a@example.org", "subject": "\\ud800", "text": "x"}',
    "bad address": json.dumps(GOOD | {"to": "nobody"}).encode(),
    "unknown field": json.dumps(SEED | {"colour": "red"}).encode(),
    "something missing": b'{"to": "a@example.org"}',
}
HEADERS: dict[str, list[tuple[str, str]]] = {
    "as usual": [("content-type", "application/json")],
    "with a charset": [("content-type", "application/json; charset=UTF-8")],
    "another charset": [("content-type", "application/json; charset=latin-1")],
    "another type": [("content-type", "text/plain")],
    "no type": [],
    "ids": [("content-type", "application/json"), ("x-correlation-id", "c-1"), ("x-request-id", "q-1")],
    "a bad key": [("content-type", "application/json"), ("idempotency-key", "two words")],
    "an empty key": [("content-type", "application/json"), ("idempotency-key", "")],
    "two keys": [("content-type", "application/json"), ("idempotency-key", "a"), ("idempotency-key", "b")],
    "another site": [("content-type", "application/json"), ("origin", "https://evil.example")],
}
OWN = {"x-correlation-id", "x-request-id", "content-length"}


async def pieces(body: bytes) -> AsyncIterator[bytes]:
    """A body whose length nobody told beforehand: it goes the long way."""
    yield body[:5]
    yield body[5:]


def told(response: httpx.Response) -> tuple[int, Any, dict[str, str]]:
    said = response.json()
    if "id" in said:
        said["id"] = len(said["id"])
    return response.status_code, said, {name: value for name, value in response.headers.items() if name not in OWN}


@pytest.mark.parametrize("path", ("/emails", "/emails/", "/send_email", "/send_email/"))
async def test_both_ways_answer_the_same(tmp_path: Path, path: str) -> None:
    async with web_hub(tmp_path / "short") as short, web_hub(tmp_path / "long") as long:
        for headers in HEADERS.values():
            for name, body in BODIES.items():
                at_once = await short.client.post(path, content=body, headers=headers)
                in_pieces = await long.client.post(path, content=pieces(body), headers=headers)
                assert told(at_once) == told(in_pieces), name
        assert await short.stored() == await long.stored() > 0


async def test_a_replayed_key_says_so_on_both_ways(hub: WebHub) -> None:
    body, headers = BODIES["good for the API"], {"content-type": "application/json", "idempotency-key": "k"}
    first, second = [await hub.client.post("/emails", content=body, headers=headers) for _ in range(2)]
    third = await hub.client.post("/emails", content=pieces(body), headers=headers)
    assert first.json() == second.json() == third.json()
    assert [one.headers.get("idempotency-replayed") for one in (first, second, third)] == [None, "true", "true"]


async def test_a_fault_on_the_short_way_is_a_500_without_its_reason(
    hub: WebHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("the secret reason")

    monkeypatch.setattr(hub.faces.intake, "accept", broken)
    response = await hub.client.post("/send_email", json=SEED)
    assert response.status_code == 500
    assert response.json()["name"] == "application_error"
    assert "secret" not in response.text


async def test_a_body_above_the_limit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    async with web_hub(tmp_path) as hub:
        head = {"content-type": "application/json", "content-length": str(hub.faces.options.body_limit + 1)}
        response = await hub.client.post("/send_email", content=b"{}", headers=head)
        assert response.status_code == 413
        assert await hub.stored() == 0
