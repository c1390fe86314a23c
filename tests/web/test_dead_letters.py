"""Dead letters of the queue over the API and on their pages: read, mended and sent, discarded."""

from __future__ import annotations

import json
from typing import Any

import pytest

from emailhub.adapters.sqlite.upkeep import SqliteUpkeep
from emailhub.core.letters import REQUEST_ID, ROUTING_KEY
from emailhub.core.records import DeadLetter
from tests.support.web_hub import START, WebHub

GOOD = {"to": "ada@example.org", "subject": "Hello", "body": "Hi", "request_id": "r-1"}
BAD = {**GOOD, "to": "ada@"}
PAGE = {"accept": "text/html"}


async def unread(hub: WebHub, body: object = BAD, *, keep: bool = True) -> str:
    """Keep a body that could not be read; the letter's id."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    letter = DeadLetter(
        id=0,
        at=START,
        reason="invalid: to: 'ada@' is not an e-mail address",
        body=content,
        headers={"x-tenant": "a", ROUTING_KEY: "email", REQUEST_ID: "r-1"},
        content_type="application/json",
        correlation_id="c-1",
        keep=keep,
    )
    await SqliteUpkeep(hub.database).bury([letter])
    return str((await hub.faces.letters.page(None, limit=1)).items[0].id)


async def api(hub: WebHub, method: str, path: str, body: object = None) -> tuple[int, Any]:
    response = await hub.client.request(method, path, json=body)
    return response.status_code, response.json()


async def test_a_letter_is_listed_with_counts_and_read_with_its_body(hub: WebHub) -> None:
    id, raw = await unread(hub), await unread(hub, b"\xff\x00")
    status, page = await api(hub, "GET", "/dead-letters?limit=1")
    assert (status, page["has_more"], page["counts"]) == (200, True, {"open": 2, "resent": 0, "discarded": 0})
    assert [one["id"] for one in page["data"]] == [raw]
    assert [one["id"] for one in (await api(hub, "GET", f"/dead-letters?after={raw}"))[1]["data"]] == [id]
    _, one = await api(hub, "GET", f"/dead-letters/{id}")
    assert json.loads(one["body"]) == BAD
    assert (one["correlation_id"], one["request_id"], one["routing_key"]) == ("c-1", "r-1", "email")
    assert (one["headers"], one["body_base64"]) == ({"x-tenant": "a"}, None)
    _, one = await api(hub, "GET", f"/dead-letters/{raw}")
    assert (one["body"], one["body_base64"]) == (None, "/wA=")
    assert (await api(hub, "GET", "/dead-letters/99"))[0] == 404
    assert (await api(hub, "GET", "/dead-letters/x"))[0] == 404
    assert (await api(hub, "GET", "/dead-letters?status=lost"))[1]["errors"][0]["field"] == "status"


async def test_a_mended_letter_becomes_a_message_that_names_it_and_keeps_its_ids(hub: WebHub) -> None:
    id = await unread(hub)
    status, settled = await api(hub, "POST", f"/dead-letters/{id}/resend", {"body": GOOD, "reason": "cut off"})
    assert (status, settled["status"], settled["settled_because"]) == (200, "resent", "cut off")
    detail = await hub.faces.history.find(settled["email_id"])
    assert (detail.detail, detail.summary.correlation_id, detail.summary.request_id) == (
        f"dead letter {id}",
        "c-1",
        "r-1",
    )
    assert [one.address for one in detail.recipients] == ["ada@example.org"]
    status, error = await api(hub, "POST", f"/dead-letters/{id}/resend", {"body": GOOD})
    assert (status, error["message"]) == (409, f"Dead letter {id} is resent already.")
    assert await hub.stored() == 1


async def test_what_is_sent_again_after_a_crash_finds_the_message_that_was_made(hub: WebHub) -> None:
    for body in (GOOD, {"to": "ada@example.org", "subject": "No id", "body": "Hi"}):
        id = await unread(hub)
        first = (await api(hub, "POST", f"/dead-letters/{id}/resend", {"body": body}))[1]["email_id"]
        # As if the hub had been killed between the message and the note of it.
        reopen = "UPDATE dead_letter SET status = 'open', settled_at = NULL, message = NULL WHERE id = ?"
        await hub.database.write(lambda tx, wanted=id, sql=reopen: tx.execute(sql, (wanted,)).rowcount)
        again = (await api(hub, "POST", f"/dead-letters/{id}/resend", {"body": body}))[1]["email_id"]
        assert again == first


@pytest.mark.parametrize(
    ("body", "field"),
    (
        ({}, "to"),
        ({"body": BAD}, "to"),
        ({"body": "text"}, "body"),
        ({"body": {"colour": 1}}, "body"),
        ({"body": GOOD, "reason": "x" * 501}, "reason"),
        ({"body": GOOD, "colour": 1}, "colour"),
    ),
)
async def test_what_is_still_wrong_is_named_by_field_and_the_letter_stays_open(
    hub: WebHub, body: object, field: str
) -> None:
    id = await unread(hub)
    status, error = await api(hub, "POST", f"/dead-letters/{id}/resend", body)
    assert (status, error["errors"][0]["field"]) == (422, field)
    assert (await api(hub, "GET", f"/dead-letters/{id}"))[1]["status"] == "open"
    assert await hub.stored() == 0


async def test_a_letter_whose_id_was_used_with_other_content_is_not_sent(hub: WebHub) -> None:
    await hub.client.post("/send_email", json={**GOOD, "body": "other"})
    id = await unread(hub)
    assert (await api(hub, "POST", f"/dead-letters/{id}/resend", {"body": GOOD}))[0] == 409
    page = await hub.client.post(f"/dead-letters/{id}/message", data={"body": json.dumps(GOOD)})
    assert page.status_code == 422
    assert "was used with other content" in page.text
    assert (await api(hub, "GET", f"/dead-letters/{id}"))[1]["status"] == "open"


async def test_a_letter_is_discarded_with_a_reason_only(hub: WebHub) -> None:
    id = await unread(hub)
    assert (await api(hub, "POST", f"/dead-letters/{id}/discard", {}))[0] == 422
    status, settled = await api(hub, "POST", f"/dead-letters/{id}/discard", {"reason": "a test of ours"})
    assert (status, settled["status"], settled["settled_because"]) == (200, "discarded", "a test of ours")
    assert settled["email_id"] is None
    assert (await api(hub, "POST", f"/dead-letters/{id}/resend", {"body": GOOD}))[0] == 409


async def test_the_page_keeps_what_was_typed_when_it_is_wrong_and_sends_it_when_it_is_right(hub: WebHub) -> None:
    id = await unread(hub)
    shown = await hub.client.get(f"/dead-letters/{id}", headers=PAGE)
    assert "&#39;ada@&#39; is not an e-mail address" in shown.text
    assert "&#34;to&#34;: &#34;ada@&#34;" in shown.text
    typed = '{"to": "<b>ada@", "subject": "Typed"}'
    again = await hub.client.post(f"/dead-letters/{id}/message", data={"body": typed, "reason": "mended"})
    assert again.status_code == 422
    assert "&#34;&lt;b&gt;ada@&#34;" in again.text
    assert "<code>to</code>" in again.text
    assert 'value="mended"' in again.text
    sent = await hub.client.post(f"/dead-letters/{id}/message", data={"body": json.dumps(GOOD)})
    assert sent.status_code == 303
    story = await hub.client.get(sent.headers["location"], headers=PAGE)
    assert f'href="/dead-letters/{id}"' in story.text
    settled = await hub.client.get(f"/dead-letters/{id}", headers=PAGE)
    assert sent.headers["location"] in settled.text
    assert "Mend and send" not in settled.text


async def test_the_page_lists_what_waits_and_what_was_decided(hub: WebHub) -> None:
    empty = await hub.client.get("/dead-letters", headers=PAGE)
    assert "No dead letters." in empty.text
    id = await unread(hub)
    listed = await hub.client.get("/dead-letters", headers=PAGE)
    assert "1 body from the queue could not be read and waits for your decision" in listed.text
    gone = await hub.client.post(f"/dead-letters/{id}/discarding", data={"reason": ""})
    assert (gone.status_code, gone.headers["location"]) == (303, f"/dead-letters/{id}")
    gone = await hub.client.post(f"/dead-letters/{id}/discarding", data={"reason": "a test"})
    assert (gone.status_code, gone.headers["location"]) == (303, "/dead-letters")
    decided = await hub.client.get("/dead-letters?status=discarded", headers=PAGE)
    assert "a test" in decided.text


@pytest.mark.parametrize(
    ("body", "view", "expected"),
    (
        (b'{"n":1.10}', "decoded", "&#34;n&#34;: 1.10"),
        (b"not json <script>", "text", "not json &lt;script&gt;"),
        (b"ab\xff\x00", "hex", "00000000  61 62 ff 00"),
        (b"", "text", "It is empty."),
    ),
)
async def test_a_body_is_shown_decoded_as_it_came_and_in_hex(
    hub: WebHub, body: bytes, view: str, expected: str
) -> None:
    id = await unread(hub, body)
    assert expected in (await hub.client.get(f"/dead-letters/{id}?view={view}", headers=PAGE)).text


async def test_a_body_is_handed_out_as_a_file_that_no_browser_opens(hub: WebHub) -> None:
    id = await unread(hub, b"<script>alert(1)</script>")
    file = await hub.client.get(f"/dead-letters/{id}/body")
    assert file.content == b"<script>alert(1)</script>"
    assert file.headers["content-type"] == "application/octet-stream"
    assert file.headers["content-disposition"].startswith("attachment")
    assert file.headers["x-content-type-options"] == "nosniff"
    assert file.headers["content-security-policy"].startswith("sandbox")


async def test_a_body_that_is_not_kept_is_shown_nowhere(hub: WebHub) -> None:
    id = await unread(hub, {**BAD, "store_body": False, "body": "hunter2"}, keep=False)
    shown = await hub.client.get(f"/dead-letters/{id}", headers=PAGE)
    assert "not kept" in shown.text
    assert "hunter2" not in shown.text
    assert (await hub.client.get(f"/dead-letters/{id}/body")).status_code == 404
    assert (await api(hub, "POST", f"/dead-letters/{id}/resend", {}))[1]["errors"][0]["field"] == "body"
