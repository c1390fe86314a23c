"""A message sent again, over the API and from its page: one of its own, and each leads to the other."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from emailhub.core.view import read
from tests.support.web_hub import WebHub

PAGE = {"accept": "text/html"}


async def again(hub: WebHub, id: str, body: object = None) -> tuple[int, Any]:
    response = await hub.client.post(f"/emails/{id}/resend", json=body or {})
    return response.status_code, response.json()


async def headers(hub: WebHub, id: str) -> dict[str, str]:
    content = await hub.faces.history.content(id)
    assert content is not None
    return dict(read(content).headers)


async def test_it_is_the_same_message_under_an_id_of_its_own_and_both_name_each_other(hub: WebHub) -> None:
    file = {"filename": "a.txt", "content": "QQ=="}
    id = await hub.send(
        **{"from": "Ann Lee <hub@example.org>"},
        cc="bob@example.org", bcc="eve@example.org", reply_to="Help <help@example.org>", request_id="r-1",
        attachments=[file], tags=[{"name": "kind", "value": "bill"}], metadata={"n": 1}, priority="low",
    )  # fmt: skip
    hub.clock.at += 86_400
    status, answer = await again(hub, id, {"reason": "the mailbox was full"})
    assert status == 200
    first, second = await hub.faces.history.find(id), await hub.faces.history.find(answer["id"])
    assert second.detail == f"copy of {id}"
    assert [(one.address, one.kind) for one in second.recipients] == [
        ("ada@example.org", "to"),
        ("bob@example.org", "cc"),
        ("eve@example.org", "bcc"),
    ]
    for name in ("subject", "from_header", "to_header", "request_id", "correlation_id", "priority", "reply_to"):
        assert getattr(second.summary, name) == getattr(first.summary, name), name
    assert (second.tags, second.metadata, second.snippet) == (first.tags, first.metadata, first.snippet)
    before, after = await headers(hub, id), await headers(hub, answer["id"])
    assert {name for name in before if before[name] != after[name]} == {"Message-ID", "Date"}
    assert parsedate_to_datetime(after["Date"]) - parsedate_to_datetime(before["Date"]) == timedelta(days=1)
    assert "eve@example.org" not in str(after)
    assert after["Message-ID"] == second.summary.message_id != first.summary.message_id
    told = (await hub.faces.history.events(id))[-1]
    assert (told.kind, told.data["copy"], told.data["note"]) == ("resent", answer["id"], "the mailbox was full")
    deed = (await hub.client.get(f"/audit?target={id}")).json()["data"][0]
    assert deed["what"] == "message.resend"


async def test_others_get_it_in_their_own_name_and_not_under_its_request(hub: WebHub) -> None:
    id = await hub.send(cc="bob@example.org", request_id="r-1")
    _, answer = await again(hub, id, {"to": ["Carl <carl@example.org>", "carl@example.org"]})
    second = await hub.faces.history.find(answer["id"])
    assert [(one.address, one.kind) for one in second.recipients] == [("carl@example.org", "to")]
    assert second.summary.request_id is None
    found = await headers(hub, answer["id"])
    assert (found["To"], found.get("Cc"), found.get("X-Request-ID")) == ("Carl <carl@example.org>", None, None)


async def test_one_of_those_it_was_for_gets_it_under_its_request(hub: WebHub) -> None:
    id = await hub.send(cc="bob@example.org", request_id="r-1")
    _, answer = await again(hub, id, {"to": "bob@example.org"})
    assert (await hub.faces.history.find(answer["id"])).summary.request_id == "r-1"
    assert (await headers(hub, answer["id"]))["To"] == "bob@example.org"


async def test_twice_asked_is_twice_sent(hub: WebHub) -> None:
    id = await hub.send(idempotency_key="k-1")
    ids = {id, (await again(hub, id))[1]["id"], (await again(hub, id))[1]["id"]}
    assert len(ids) == 3


async def test_a_large_one_is_sent_again_while_others_are_served(hub: WebHub) -> None:
    id = await hub.send(text="x" * 3_000_000)
    (status, _), health = await asyncio.gather(again(hub, id), hub.client.get("/health"))
    assert (status, health.status_code) == (200, 200)


@pytest.mark.parametrize(
    ("body", "field"),
    (
        ({"to": "nobody"}, "to"),
        ({"to": ["ada@example.org", 7]}, "to[1]"),
        ({"to": []}, "to"),
        ({"to": 7}, "to"),
        ({"to": [f"u{n}@example.org" for n in range(51)]}, "to"),
        ({"cc": "x"}, "cc"),
    ),
)
async def test_what_is_wrong_is_named_and_nothing_is_sent(hub: WebHub, body: object, field: str) -> None:
    id = await hub.send()
    status, error = await again(hub, id, body)
    assert (status, error["errors"][0]["field"]) == (422, field)
    assert await hub.stored() == 1


async def test_content_that_nobody_may_read_is_not_sent_again(hub: WebHub) -> None:
    id = await hub.send(store_body=False)
    status, error = await again(hub, id)
    why = "its content was erased, or is for nobody to read (store_body)"
    assert (status, error["message"]) == (409, f"Cannot resend message {id}: {why}.")
    assert "Send again" not in (await hub.client.get(f"/messages/{id}", headers=PAGE)).text
    assert (await again(hub, "nothing"))[0] == 404


async def test_who_is_suppressed_gets_nothing_again_either(hub: WebHub) -> None:
    id = await hub.send()
    await hub.client.post("/suppressions", json={"email": "ada@example.org"})
    _, answer = await again(hub, id)
    assert (await hub.faces.history.find(answer["id"])).summary.state == "suppressed"


async def test_the_page_sends_it_again_and_keeps_what_was_typed_wrong(hub: WebHub) -> None:
    id = await hub.send(cc="bob@example.org")
    shown = (await hub.client.get(f"/messages/{id}", headers=PAGE)).text
    assert ">ada@example.org, bob@example.org</textarea>" in shown
    wrong = await hub.client.post(f"/messages/{id}/copies", data={"to": '"><b>', "reason": "a & b"})
    assert wrong.status_code == 303
    back = (await hub.client.get(wrong.headers["location"], headers=PAGE)).text
    assert ">&#34;&gt;&lt;b&gt;</textarea>" in back
    assert 'value="a &amp; b"' in back
    assert "Nothing was sent. to" in back
    sent = await hub.client.post(f"/messages/{id}/copies", data={"to": "carl@example.org", "reason": "wrong address"})
    copy = sent.headers["location"]
    assert f'<a href="/messages/{id}"><code>' in (await hub.client.get(copy, headers=PAGE)).text
    original = (await hub.client.get(f"/messages/{id}", headers=PAGE)).text
    assert f'<a href="{copy}"><code>' in original
    assert "to carl@example.org, because wrong address" in original
    assert "sent a message again" in original
    assert "Of the same request" in original
