"""Relays as JSON: the same addresses are pages for a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from emailhub.engine.gate import Access
from tests.support.demo_hub import DemoHub
from tests.support.factories import NOW
from tests.support.web_hub import web_hub

KEY = "0123456789abcdef0123456789abcdef"
HOST = "http://mail.example.org"


@pytest.fixture
def demo() -> DemoHub:
    """Several relays, one of them sick."""
    return DemoHub(now=lambda: NOW)


@pytest.fixture
def capturing() -> DemoHub:
    """A hub that captures, with a relay that makes trouble on purpose."""
    return DemoHub("empty", now=lambda: NOW)


async def test_all_relays_are_listed_in_the_order_they_are_asked(demo: DemoHub) -> None:
    answer = await demo.client.get("/relays")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["vary"] == "accept"
    assert [relay["name"] for relay in answer.json()["data"]] == ["gmail", "ses", "mailgun", "old"]


async def test_a_relay_tells_its_limits_and_who_carries_its_mail(demo: DemoHub) -> None:
    found = (await demo.client.get("/relays/gmail")).json()
    assert found["from_domains"] == ["example.com"]
    day = {"limit": 2000, "seconds": 86400.0, "used": 1312, "left": 688, "free_at": None}
    assert found["limits"] == [day]
    assert (found["covered_by"], found["covered_why"]) == (["ses"], "login refused")
    assert found["covered_since"] == "2027-01-15T07:49:00.000Z"
    assert found["breaker"]["state"] == "open"
    assert found["connections"]["closed"] == {"idle": 38, "after 100 messages": 12, "closed by the relay": 3}
    assert found["behaviour"] is None
    old = (await demo.client.get("/relays/old")).json()
    assert (old["draining"], old["limits"][0]["free_at"]) == (True, "2027-01-15T08:24:40.000Z")


async def test_a_suspended_sender_is_let_send_again(demo: DemoHub) -> None:
    (suspended,) = (await demo.client.get("/relays/mailgun")).json()["suspended"]
    assert (suspended["domain"], suspended["next_try_at"]) == ("news.example.org", "2027-01-15T08:15:00.000Z")
    answer = await demo.client.post("/relays/mailgun/resume-sender", json={"domain": "News.Example.org"})
    assert (answer.status_code, answer.json()["suspended"]) == (200, [])
    assert demo.desk.acted == [("resume_sender", "mailgun", "news.example.org")]


@pytest.mark.parametrize(
    ("path", "body", "status", "field"),
    (
        ("/relays/mailgun/resume-sender", {}, 422, "domain"),
        ("/relays/mailgun/resume-sender", {"domain": 5}, 422, "domain"),
        ("/relays/mailgun/resume-sender", {"domain": ""}, 422, "domain"),
        ("/relays/mailgun/resume-sender", {"domain": "a" * 254}, 422, "domain"),
        ("/relays/mailgun/resume-sender", {"domain": "example.com", "why": "x"}, 422, "why"),
        ("/relays/mailgun/resume-sender", {"domain": "example.com"}, 404, None),
        ("/relays/none/resume-sender", {"domain": "example.com"}, 404, None),
        ("/relays/mailgun/behaviour", {"transient": 0.5}, 404, None),
    ),
)
async def test_what_is_wrong_is_named_and_changes_nothing(
    demo: DemoHub, path: str, body: dict[str, Any], status: int, field: str | None
) -> None:
    answer = await demo.client.post(path, json=body)
    assert answer.status_code == status, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == ([field] if field else [])
    assert demo.desk.acted == []


async def test_the_chaos_relay_changes_only_what_is_named(capturing: DemoHub) -> None:
    answer = await capturing.client.post("/relays/chaos/behaviour", json={"transient": 0.5, "delay": 1})
    assert answer.status_code == 200
    behaviour = {"transient": 0.5, "permanent": 0.05, "drop": 0.02, "slow": 0.05, "delay": 1.0}
    assert answer.json() == {"object": "behaviour", **behaviour}
    assert (await capturing.client.get("/relays/chaos")).json()["behaviour"] == answer.json()


@pytest.mark.parametrize(
    ("body", "field"),
    (
        ({"transient": "much"}, "transient"),
        ({"drop": True}, "drop"),
        ({"slow": 1.5}, "slow"),
        ({"delay": 86400}, "delay"),
        ({"transient": 0.9, "permanent": 0.9}, "transient"),
        ({"loud": 1}, "loud"),
    ),
)
async def test_nonsense_changes_nothing_about_the_chaos(
    capturing: DemoHub, body: dict[str, object], field: str
) -> None:
    before = capturing.board.chaos
    answer = await capturing.client.post("/relays/chaos/behaviour", json=body)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert capturing.board.chaos == before


async def test_each_face_of_a_relay_asks_for_its_own_credential(tmp_path: Path) -> None:
    access = Access(
        listen="0.0.0.0", api_keys=(KEY,), admin_password="correct horse", allowed_hosts=("mail.example.org",)
    )
    async with web_hub(tmp_path, access) as hub:
        stranger, keyed = (
            hub.client_from("10.9.9.9", HOST),
            hub.client_from("10.9.9.9", HOST, authorization=f"Bearer {KEY}"),
        )
        page = {"accept": "text/html"}
        for path in ("/relays", "/relays/capture"):
            assert (await stranger.get(path)).status_code == 401
            assert (await stranger.get(path, headers=page)).headers["location"].startswith("/login")
            assert (await stranger.get(path, headers={"x-part": "1"})).status_code == 401
            assert (await keyed.get(path)).json()["object"] in {"list", "relay"}
            assert (await keyed.get(path, headers=page)).headers["location"].startswith("/login")
        for verb in ("resume-sender", "behaviour"):
            assert (await stranger.post(f"/relays/capture/{verb}", json={"domain": "x.test"})).status_code == 401
        form = {"state": "open", "reason": "x"}
        for client in (stranger, keyed):
            assert (await client.post("/relays/capture/breaker", data=form)).status_code == 401
        assert hub.faces.board.relay("capture").breaker.mode == "auto"


async def test_a_form_without_a_page_behind_it_is_no_way_into_the_api(tmp_path: Path) -> None:
    async with web_hub(tmp_path, Access(api_keys=(KEY,))) as hub:
        answer: httpx.Response = await hub.client.post("/relays/capture/resume-sender", data={"domain": "x.test"})
        assert answer.status_code == 415
