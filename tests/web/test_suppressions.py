"""The suppression list over HTTP: what clients of Resend's API expect, and who did what and why."""

from __future__ import annotations

from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest

from emailhub.core.delivery import State
from emailhub.engine.gate import Access
from tests.support.web_hub import GOOD, WebHub, web_hub

ADA = "ada@example.org"


async def add(hub: WebHub, email: str = ADA, **fields: Any) -> dict[str, Any]:
    answer = await hub.client.post("/suppressions", json={"email": email, **fields})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def emails(hub: WebHub, query: str = "") -> list[str]:
    answer = await hub.client.get(f"/suppressions{query}")
    assert answer.status_code == 200, answer.text
    return [one["email"] for one in answer.json()["data"]]


async def test_an_address_is_put_on_the_list_and_read_by_address_or_id(hub: WebHub) -> None:
    added = await add(hub, "Ada Lovelace <ADA@Example.org>", origin="unsubscribe", reason="clicked the link")
    assert added == {
        "object": "suppression",
        "id": added["id"],
        "email": ADA,
        "origin": "unsubscribe",
        "source_id": None,
        "created_at": "2027-01-15T08:00:00.000Z",
        "reason": "clicked the link",
        "added_over": "http",
        "added_by": "local from 127.0.0.1",
    }
    assert isinstance(added["id"], str)
    for key in (ADA, "Ada%40EXAMPLE.org", added["id"]):
        found = await hub.client.get(f"/suppressions/{key}")
        assert (found.status_code, found.json()) == (200, added)
        assert found.headers["vary"] == "accept"
    assert (await add(hub, origin="complaint"))["origin"] == "unsubscribe"


async def test_a_message_to_it_is_taken_and_goes_to_the_others_only(hub: WebHub) -> None:
    await add(hub)
    live = hub.faces.live.subscribe()
    both = await hub.send(to=["Ada@Example.org", "bob@example.org"])
    none = await hub.send(request_id="r-9")
    async with hub.carrying():
        while b'"kind":"sent"' not in (await live.read(5) or b'"kind":"sent"'):
            pass
    found = (await hub.client.get(f"/emails/{both}")).json()
    assert [(one["address"], one["state"]) for one in found["recipients"]] == [
        ("Ada@example.org", "suppressed"),
        ("bob@example.org", "sent"),
    ]
    found = (await hub.client.get(f"/emails/{none}")).json()
    assert (found["status"], found["last_event"], found["reason"]) == ("suppressed", "suppressed", "suppression list")
    assert found["recipients"][0]["last_reply"] == "on the suppression list (by hand)"
    assert (await hub.client.get(f"/emails/{none}/attempts")).json()["data"] == []
    assert (await hub.client.post("/status/", json={"request_id": "r-9"})).json()["status"] == "failed"
    listed = (await hub.client.get("/emails?status=suppressed")).json()["data"]
    assert [one["id"] for one in listed] == [none]


async def test_suppressed_recipients_are_counted_and_take_no_room(hub: WebHub) -> None:
    await hub.send(to=["eve@example.org"], scheduled_at="2027-01-16T00:00:00Z")
    await add(hub, "eve@example.org")
    await add(hub)
    waiting = hub.room.waiting
    await hub.send()
    assert hub.room.waiting == waiting
    await hub.send(to=[ADA, "bob@example.org"])
    assert hub.room.waiting == waiting + 1
    counted = 'emailhub_recipients_total{reason="suppression list",state="suppressed"} 3.0'
    assert counted in (await hub.client.get("/metrics")).text


async def test_the_same_key_answers_the_same_also_when_the_message_was_suppressed(hub: WebHub) -> None:
    await add(hub)
    first = await hub.send(idempotency_key="k")
    assert await hub.send(idempotency_key="k") == first
    assert 'state="suppressed"} 1.0' in (await hub.client.get("/metrics")).text


async def test_one_call_lifts_it_and_then_a_retry_sends(hub: WebHub) -> None:
    await add(hub)
    id = await hub.send()
    refused = await hub.client.post(f"/emails/{id}/retry")
    assert refused.status_code == 409
    assert refused.json()["message"] == (
        f"Cannot retry message {id}: it is for {ADA}, on the suppression list; lift that first."
    )
    entry = (await hub.client.get(f"/suppressions/{ADA}")).json()
    lifted = await hub.client.delete(f"/suppressions/{ADA}?reason=they+asked")
    assert lifted.json() == {"object": "suppression", "id": entry["id"], "email": ADA, "deleted": True}
    assert (await hub.client.delete(f"/suppressions/{ADA}")).status_code == 404
    retried = await hub.client.post(f"/emails/{id}/retry")
    assert (retried.status_code, retried.json()["status"]) == (200, "queued")
    events = [event for event in await hub.faces.history.events_since(0, 100) if event.kind.startswith("suppression_")]
    assert [(event.kind, event.data["actor"], event.data["note"]) for event in events] == [
        ("suppression_added", "local from 127.0.0.1", ""),
        ("suppression_lifted", "local from 127.0.0.1", "they asked"),
    ]


@pytest.mark.parametrize("typed", ("sales/eu@example.org", "sales%2Feu@example.org"))
async def test_an_address_with_a_slash_is_read_and_lifted_however_it_is_typed(hub: WebHub, typed: str) -> None:
    await add(hub, "sales/eu@example.org")
    assert (await hub.client.get(f"/suppressions/{typed}")).json()["email"] == "sales/eu@example.org"
    page = await hub.client.get(f"/suppressions/{typed}", headers={"accept": "text/html"})
    assert page.headers["location"].endswith("q=sales/eu%40example.org")
    assert (await hub.client.delete(f"/suppressions/{typed}")).status_code == 200
    assert await emails(hub) == []


async def test_several_are_added_and_lifted_at_once_each_once(hub: WebHub) -> None:
    given = {"emails": [ADA, "Bob@example.org", "bob@Example.org"], "origin": "bounce", "reason": "from another hub"}
    answer = (await hub.client.post("/suppressions/batch/add", json=given)).json()
    assert [one["email"] for one in answer["data"]] == [ADA, "bob@example.org"]
    ids = {one["email"]: one["id"] for one in answer["data"]}
    gone = {"emails": ["BOB@example.org", "nobody@example.org"]}
    answer = (await hub.client.post("/suppressions/batch/remove", json=gone)).json()
    assert answer["data"] == [
        {"object": "suppression", "id": ids["bob@example.org"], "email": "bob@example.org", "deleted": True}
    ]
    answer = (await hub.client.post("/suppressions/batch/remove", json={"ids": [ids[ADA], "999"]})).json()
    assert [one["email"] for one in answer["data"]] == [ADA]
    assert await emails(hub) == []


async def test_the_list_is_paged_by_id_and_narrowed(hub: WebHub) -> None:
    ids = [(await add(hub, f"p{number}@example.org"))["id"] for number in range(5)]
    await add(hub, "x@other.test", origin="complaint")
    page = (await hub.client.get("/suppressions?limit=2")).json()
    assert (page["object"], page["has_more"]) == ("list", True)
    assert [one["email"] for one in page["data"]] == ["x@other.test", "p4@example.org"]
    assert await emails(hub, f"?limit=2&after={ids[4]}") == ["p3@example.org", "p2@example.org"]
    assert await emails(hub, f"?limit=2&before={ids[2]}") == ["p4@example.org", "p3@example.org"]
    assert (await hub.client.get(f"/suppressions?after={ids[1]}")).json()["has_more"] is False
    assert await emails(hub, "?origin=complaint") == ["x@other.test"]
    assert await emails(hub, "?q=P3%40") == ["p3@example.org"]


BAD: tuple[tuple[str, object, str], ...] = (
    ("", {}, "email"),
    ("", {"email": None}, "email"),
    ("", {"email": "nonsense"}, "email"),
    ("", {"email": ["a@example.org"]}, "email"),
    ("", {"email": "a@example.org\r\nBcc: b@example.org"}, "email"),
    ("", {"email": ADA, "origin": "whim"}, "origin"),
    ("", {"email": ADA, "origin": 7}, "origin"),
    ("", {"email": ADA, "reason": "two\nlines"}, "reason"),
    ("", {"email": ADA, "reason": "x" * 501}, "reason"),
    ("", {"email": ADA, "colour": "red"}, "colour"),
    ("/batch/add", {"emails": []}, "emails"),
    ("/batch/add", {"emails": ADA}, "emails"),
    ("/batch/add", {"emails": [ADA] * 101}, "emails"),
    ("/batch/add", {"emails": [ADA, "nonsense", 3]}, "emails[1]"),
    ("/batch/remove", {}, "emails"),
    ("/batch/remove", {"ids": ["x"]}, "ids"),
    ("/batch/remove", {"ids": [1]}, "ids"),
    ("/batch/remove", {"ids": ["1"], "emails": [ADA]}, "ids"),
)


async def test_what_is_wrong_is_named_and_nothing_changes(hub: WebHub) -> None:
    await add(hub, "kept@example.org")
    for path, body, field in BAD:
        answer = await hub.client.post(f"/suppressions{path}", json=body)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field), (path, body)
    assert await emails(hub) == ["kept@example.org"]


async def test_a_bad_parameter_is_named(hub: WebHub) -> None:
    for query in ("limit=0", "after=x", "before=1&after=2", "origin=whim", "origin=", "status=sent", "q=a&q=b"):
        answer = await hub.client.get(f"/suppressions?{query}")
        assert answer.status_code == 422, query
        assert answer.json()["errors"][0]["field"] in query


async def test_what_is_not_on_the_list_is_not_found(hub: WebHub) -> None:
    for key in ("nobody@example.org", "999", "9" * 40, "%F0%9F%98%80", "a%20b", "batch"):
        for answer in (await hub.client.get(f"/suppressions/{key}"), await hub.client.delete(f"/suppressions/{key}")):
            assert (answer.status_code, answer.json()["name"]) == (404, "not_found"), key


async def test_the_api_asks_for_a_key_and_records_which(tmp_path: Path) -> None:
    key = "0123456789abcdef0123456789abcdef"
    async with web_hub(tmp_path, Access(listen="0.0.0.0", api_keys=(key,), allowed_hosts=("localhost",))) as hub:
        assert (await hub.client.post("/suppressions", json={"email": ADA})).status_code == 401
        assert (await hub.client.get("/suppressions")).status_code == 401
        hub.client.headers["authorization"] = f"Bearer {key}"
        assert (await add(hub))["added_by"] == "key 1 from 127.0.0.1"


async def test_what_waits_for_it_is_suppressed_when_the_call_returns(hub: WebHub) -> None:
    id = await hub.send(scheduled_at="2027-01-16T00:00:00Z")
    await add(hub, reason="closed the account")
    detail = await hub.faces.history.find(id)
    assert detail.summary.state is State.SUPPRESSED
    assert detail.summary.last == "on the suppression list (by hand): closed the account"


async def test_an_unsubscribe_url_reaches_the_message_as_the_headers_of_one_click(hub: WebHub) -> None:
    url = "https://example.org/u/42?t=" + "k" * 200
    id = await hub.send(unsubscribe_url=url, idempotency_key="k")
    source = message_from_bytes(await hub.faces.history.content(id) or b"", policy=policy.default)
    assert source.get_all("List-Unsubscribe") == [f"<{url}>"]
    assert source.get_all("List-Unsubscribe-Post") == ["List-Unsubscribe=One-Click"]
    other = {**GOOD, "unsubscribe_url": "https://example.org/u/43", "idempotency_key": "k"}
    assert (await hub.client.post("/emails", json=other)).status_code == 409
