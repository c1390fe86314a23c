"""The rate of the API: told on every answer, held before a body is read, the same on both ways of a request."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from emailhub.core.limits import Rate
from emailhub.engine.gate import Access
from emailhub.web.faces import WebOptions
from tests.support.web_hub import GOOD, SEED, WebHub, web_hub
from tests.web.test_lanes import pieces

KEYS = ("eh_first_0123456789", "eh_second_0123456789")
PASSWORD = "correct horse battery"


@pytest_asyncio.fixture
async def held(tmp_path: Path) -> AsyncIterator[WebHub]:
    """A hub on loopback that answers three requests in ten seconds."""
    async with web_hub(tmp_path, options=WebOptions(api_rate=(Rate(3, 10.0),))) as found:
        yield found


def quota(response: httpx.Response) -> tuple[str, ...]:
    return tuple(response.headers.get(f"ratelimit-{name}", "") for name in ("limit", "remaining", "reset", "policy"))


async def test_every_answer_tells_the_quota_and_the_one_too_many_is_a_429(held: WebHub) -> None:
    answers = [await held.client.post("/emails", json=GOOD) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [quota(answer) for answer in answers] == [("3", left, "10", "3;w=10") for left in ("2", "1", "0", "0")]
    assert answers[3].json() == {
        "statusCode": 429,
        "name": "rate_limit_exceeded",
        "message": "At most 3 requests in 10 s are answered (EMAILHUB_API_RATE); this one was not looked at.",
        "errors": [],
    }
    assert answers[3].headers["retry-after"] == "10"
    assert await held.stored() == 3
    held.clock.at += 10
    assert (await held.client.post("/emails", json=GOOD)).status_code == 200


@pytest.mark.parametrize("path", ("/emails", "/send_email/"))
async def test_both_ways_of_a_request_count_and_tell_the_same(held: WebHub, path: str) -> None:
    body, headers = httpx.Request("POST", "/", json=GOOD if path == "/emails" else SEED).content, {}
    headers = {"content-type": "application/json"}
    short = await held.client.post(path, content=body, headers=headers)
    long = await held.client.post(path, content=pieces(body), headers=headers)
    read = await held.client.get("/emails")
    over = [
        await held.client.post(path, content=body, headers=headers),
        await held.client.post(path, content=pieces(body), headers=headers),
        await held.client.get("/emails"),
    ]
    assert [one.headers["ratelimit-remaining"] for one in (short, long, read, *over)] == ["2", "1", "0", "0", "0", "0"]
    assert [one.status_code for one in over] == [429] * 3
    assert len({one.text for one in over}) == 1


async def test_an_answer_that_is_an_error_counts_and_tells_too(held: WebHub) -> None:
    wrong = await held.client.post("/emails", json={})
    missing = await held.client.get("/emails/nothing")
    refused = await held.client.delete("/emails")
    assert [one.status_code for one in (wrong, missing, refused)] == [422, 404, 405]
    assert [one.headers["ratelimit-remaining"] for one in (wrong, missing, refused)] == ["2", "1", "0"]


async def test_every_key_is_counted_alone_and_a_wrong_key_is_not_counted(tmp_path: Path) -> None:
    options = WebOptions(api_rate=(Rate(1, 10.0),))
    async with web_hub(tmp_path, Access(api_keys=KEYS), options) as hub:
        first, second = ({"Authorization": f"Bearer {key}"} for key in KEYS)
        assert (await hub.client.get("/emails", headers=first)).status_code == 200
        assert (await hub.client.get("/emails", headers=first)).status_code == 429
        assert (await hub.client.get("/emails", headers=second)).status_code == 200
        stranger = await hub.client.get("/emails", headers={"Authorization": "Bearer nobody"})
        assert (stranger.status_code, quota(stranger)) == (403, ("", "", "", ""))


async def test_health_metrics_and_the_dashboard_are_never_held(held: WebHub) -> None:
    for path in ("/health", "/health/live", "/health/ready", "/metrics", "/docs", "/", "/messages"):
        for _ in range(5):
            response = await held.client.get(path)
            assert (response.status_code, quota(response)) == (200, ("", "", "", "")), path


async def test_a_person_logged_in_to_the_dashboard_is_not_held(tmp_path: Path) -> None:
    options = WebOptions(api_rate=(Rate(1, 10.0),))
    async with web_hub(tmp_path, Access(admin_password=PASSWORD, api_keys=KEYS), options) as hub:
        site = {"Origin": "http://localhost:8000"}
        assert (await hub.client.post("/login", data={"password": PASSWORD}, headers=site)).status_code == 303
        assert [(await hub.client.get("/emails")).status_code for _ in range(3)] == [200] * 3


async def test_without_a_rate_nothing_is_told(hub: WebHub) -> None:
    assert quota(await hub.client.post("/emails", json=GOOD)) == ("", "", "", "")


async def test_a_request_too_many_is_refused_before_its_body_is_read(held: WebHub) -> None:
    for _ in range(3):
        await held.client.get("/emails")
    read = []

    async def endless() -> AsyncIterator[bytes]:
        read.append(1)
        yield b"{"

    response = await held.client.post("/emails", content=endless(), headers={"content-type": "application/json"})
    assert (response.status_code, quota(response)[1]) == (429, "0")
