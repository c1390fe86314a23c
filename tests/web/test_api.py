"""Messages and breakers as JSON, over a real outbox."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from email import message_from_bytes
from email.policy import default
from pathlib import Path

from emailhub.core.errors import OutboxFull, OutboxUnusable, Refused
from tests.support.web_hub import GOOD, SEED, START, WebHub, web_hub


async def test_a_message_is_answered_with_its_id_once_it_is_stored(hub: WebHub) -> None:
    response = await hub.client.post("/emails", json=GOOD)
    assert response.status_code == 200
    assert set(response.json()) == {"id"}
    assert "idempotency-replayed" not in response.headers
    assert (await hub.faces.history.find(response.json()["id"])).summary.face == "http"


async def test_a_message_reads_back_as_it_was_given(hub: WebHub) -> None:
    given = {
        "from": "Team <team@example.org>",
        "to": ["ada@example.org", "Bob <bob@example.org>"],
        "cc": "carol@example.org",
        "bcc": "dan@example.org",
        "reply_to": "help@example.org",
        "subject": "Grüße",
        "text": "Hi",
        "html": "<p>Hi</p>",
        "tags": [{"name": "kind", "value": "test"}],
        "metadata": {"order": 17},
        "request_id": "r-9",
        "scheduled_at": "2027-01-16T08:00:00Z",
        "priority": "low",
    }
    response = await hub.client.post("/emails", json=given)
    email = (await hub.client.get(f"/emails/{response.json()['id']}")).json()
    assert email["object"] == "email"
    assert (email["from"], email["to"]) == ("Team <team@example.org>", ["ada@example.org", "bob@example.org"])
    assert (email["cc"], email["bcc"], email["reply_to"]) == (
        ["carol@example.org"],
        ["dan@example.org"],
        ["help@example.org"],
    )
    assert (email["subject"], email["text"].strip(), email["html"].strip()) == ("Grüße", "Hi", "<p>Hi</p>")
    assert (email["tags"], email["metadata"]) == ([{"name": "kind", "value": "test"}], {"order": "17"})
    assert (email["status"], email["last_event"], email["request_id"]) == ("scheduled", "scheduled", "r-9")
    assert (email["created_at"], email["scheduled_at"]) == ("2027-01-15T08:00:00.000Z", "2027-01-16T08:00:00.000Z")
    assert (email["priority"], email["store_body"]) == ("low", True)
    assert email["message_id"].endswith("@example.org>")
    recipient = email["recipients"][0]
    assert (recipient["address"], recipient["kind"], recipient["state"]) == ("ada@example.org", "to", "scheduled")
    assert recipient["next_attempt_at"] == "2027-01-16T08:00:00.000Z"
    assert recipient["attempts"] == 0


async def test_a_file_goes_with_the_message_under_its_key(hub: WebHub) -> None:
    given = GOOD | {"attachments": [{"filename": "März.pdf", "content": "QUJD"}]}
    key = {"idempotency-key": "order/18"}
    first, again = [await hub.client.post("/emails", json=given, headers=key) for _ in range(2)]
    assert (first.status_code, again.json()) == (200, first.json())
    content = await hub.faces.history.content(first.json()["id"])
    assert content is not None
    assert b"filename*=utf-8''M%C3%A4rz.pdf\r\n\r\nQUJD\r\n" in content
    given["attachments"] = [{"filename": "März.pdf", "content": "QUJE"}]
    other = await hub.client.post("/emails", json=given, headers=key)
    assert (other.status_code, other.json()["name"]) == (409, "invalid_idempotent_request")


async def test_a_large_file_is_read_outside_the_loop_and_all_of_it_is_stored(hub: WebHub) -> None:
    file = bytes(range(256)) * 4096
    id = await hub.send(attachments=[{"filename": "a.bin", "content": b64encode(file).decode()}])
    content = await hub.faces.history.content(id)
    assert content is not None
    (part,) = message_from_bytes(content, policy=default).iter_attachments()
    assert part.get_payload(decode=True) == file


async def test_the_same_key_and_content_is_the_same_message_fifty_times_at_once(hub: WebHub) -> None:
    answers = await asyncio.gather(
        *(hub.client.post("/emails", json=GOOD, headers={"idempotency-key": "order/17"}) for _ in range(50))
    )
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
    assert {answer.headers.get("idempotency-replayed", "true") for answer in answers} == {"true"}
    assert await hub.stored() == 1


async def test_the_same_key_with_other_content_conflicts(hub: WebHub) -> None:
    first = await hub.client.post("/emails", json=GOOD, headers={"idempotency-key": "k"})
    other = await hub.client.post("/emails", json=GOOD | {"subject": "Other"}, headers={"idempotency-key": "k"})
    assert (other.status_code, other.json()["name"]) == (409, "invalid_idempotent_request")
    assert first.json()["id"] in other.json()["message"]
    assert await hub.stored() == 1


async def test_the_header_goes_before_the_ids_in_the_body(hub: WebHub) -> None:
    body = GOOD | {"request_id": "r-1"}
    first, second = [await hub.client.post("/emails", json=body, headers={"idempotency-key": key}) for key in "ab"]
    assert first.json()["id"] != second.json()["id"]


async def test_lists_page_from_new_to_old_and_back(hub: WebHub) -> None:
    sent = []
    for number in range(5):
        hub.clock.at += 1
        sent.append(await hub.send(subject=f"Number {number}"))
    newest_first = sent[::-1]

    async def page(query: str) -> tuple[list[str], bool]:
        found = (await hub.client.get(f"/emails?limit=2{query}")).json()
        assert found["object"] == "list"
        return [message["id"] for message in found["data"]], found["has_more"]

    assert await page("") == (newest_first[0:2], True)
    assert await page(f"&after={newest_first[1]}") == (newest_first[2:4], True)
    assert await page(f"&after={newest_first[3]}") == (newest_first[4:5], False)
    assert await page(f"&before={newest_first[4]}") == (newest_first[2:4], True)
    assert await page(f"&before={newest_first[2]}") == (newest_first[0:2], False)


async def test_lists_filter_by_state_request_id_and_words(hub: WebHub) -> None:
    held = await hub.send(subject="Held invoice", request_id="r-held")
    await hub.send(subject="Newsletter", to="bob@example.net")
    await hub.client.post(f"/emails/{held}/hold")

    async def found(query: str) -> list[str]:
        return [message["subject"] for message in (await hub.client.get(f"/emails?{query}")).json()["data"]]

    assert await found("status=held") == ["Held invoice"]
    assert await found("status=queued") == ["Newsletter"]
    assert await found("request_id=r-held") == ["Held invoice"]
    assert await found("q=bob@example.net") == ["Newsletter"]
    assert await found("q=invoice") == ["Held invoice"]
    assert await found("status=failed") == []


async def test_a_message_is_held_retried_and_canceled_and_its_events_say_who_and_why(hub: WebHub) -> None:
    id = await hub.send()
    held = (await hub.client.post(f"/emails/{id}/hold", json={"reason": "checking"})).json()
    assert (held["id"], held["status"]) == (id, "held")
    assert (await hub.client.post(f"/emails/{id}/retry")).json()["status"] == "queued"
    canceled = (await hub.client.post(f"/emails/{id}/cancel", json={})).json()
    assert canceled["status"] == "canceled"
    again = await hub.client.post(f"/emails/{id}/cancel")
    assert (again.status_code, again.json()["name"]) == (409, "invalid_state")
    events = (await hub.client.get(f"/emails/{id}/events")).json()["data"]
    assert events[0]["kind"] == "accepted"
    told = str(events)
    assert "checking" in told
    assert "local" in told


async def test_a_request_without_a_body_may_say_that_it_is_json_as_the_node_client_does(hub: WebHub) -> None:
    id = await hub.send(scheduled_at="in 1 hour")
    json, text = {"content-type": "application/json"}, {"content-type": "text/plain"}
    assert (await hub.client.post(f"/emails/{id}/cancel", headers=text)).status_code == 415
    assert (await hub.client.post(f"/emails/{id}/cancel", headers=json)).json()["status"] == "canceled"


async def test_a_scheduled_message_is_rescheduled_and_canceled_and_nothing_else_is(hub: WebHub) -> None:
    id = await hub.send(scheduled_at="in 2 hours", expires_in="1h")
    moved = await hub.client.patch(f"/emails/{id}", json={"id": id, "scheduled_at": "in 1 day", "reason": "holiday"})
    assert (moved.status_code, moved.json()["object"], moved.json()["id"]) == (200, "email", id)
    email = (await hub.client.get(f"/emails/{id}")).json()
    assert (email["scheduled_at"], email["expires_at"]) == ("2027-01-16T08:00:00.000Z", "2027-01-16T09:00:00.000Z")
    assert (email["last_event"], email["next_attempt_at"]) == ("scheduled", "2027-01-16T08:00:00.000Z")
    (told,) = [
        event["data"]
        for event in (await hub.client.get(f"/emails/{id}/events")).json()["data"]
        if event["kind"] == "scheduled"
    ]
    assert (told["note"], told["recipients"]) == ("holiday", 1)
    over = await hub.client.patch(f"/emails/{id}", json={"scheduled_at": "today at 7:59"})
    assert (over.status_code, over.json()["errors"][0]["field"]) == (422, "scheduled_at")
    canceled = (await hub.client.post(f"/emails/{id}/cancel", json={})).json()
    assert (canceled["object"], canceled["id"]) == ("email", id)
    late = await hub.client.patch(f"/emails/{id}", json={"scheduled_at": "in 1 hour"})
    assert (late.status_code, late.json()["name"]) == (409, "invalid_state")
    assert "canceled" in late.json()["message"]
    missing = await hub.client.patch("/emails/nothing", json={"scheduled_at": "in 1 hour"})
    assert (missing.status_code, missing.json()["name"]) == (404, "not_found")


async def test_a_list_names_all_recipients_of_each_message(hub: WebHub) -> None:
    await hub.send(to="zoe@example.org")
    await hub.send(to=["Bob <bob@example.org>", "ada@example.org"], cc="carol@example.org", bcc=["dan@example.org"])
    second, first = (await hub.client.get("/emails")).json()["data"]
    assert first["message_id"] == f"<{first['id']}@example.org>"
    assert (first["to"], first["cc"], first["bcc"]) == (["zoe@example.org"], [], [])
    assert second["to"] == ["bob@example.org", "ada@example.org"]
    assert (second["cc"], second["bcc"], second["recipients"]) == (["carol@example.org"], ["dan@example.org"], 4)


async def test_a_list_and_a_message_without_its_body_say_whom_answers_go_to(hub: WebHub) -> None:
    await hub.send(reply_to=['"Lovelace, Ada" <ada@example.org>', "bob@example.org"])
    id = await hub.send(reply_to="ada@example.org", store_body=False)
    await hub.send()
    listed = (await hub.client.get("/emails")).json()["data"]
    assert [one["reply_to"] for one in listed] == [
        [],
        ["ada@example.org"],
        ["Lovelace, Ada <ada@example.org>", "bob@example.org"],
    ]
    assert (await hub.client.get(f"/emails/{id}")).json()["reply_to"] == ["ada@example.org"]


async def test_attempts_show_verdicts_and_the_conversation(hub: WebHub) -> None:
    id = await hub.send()
    live = hub.faces.live.subscribe()
    async with hub.carrying():
        while b'"kind":"sent"' not in (await live.read(5) or b'"kind":"sent"'):
            pass
    (attempt,) = (await hub.client.get(f"/emails/{id}/attempts")).json()["data"]
    assert (attempt["number"], attempt["relay"], attempt["counted"]) == (1, "capture", True)
    assert attempt["results"][0]["verdict"] == "accepted"
    assert attempt["transcript"][0]["side"] == "note"
    email = (await hub.client.get(f"/emails/{id}")).json()
    assert (email["status"], email["last_event"], email["reason"]) == ("sent", "sent", "captured")


async def test_a_breaker_is_forced_open_until_a_time_and_left_to_itself_again(hub: WebHub) -> None:
    order = {"state": "open", "reason": "maintenance", "until": "2027-01-15T09:00:00Z"}
    forced = (await hub.client.post("/breakers/capture", json=order)).json()
    assert (forced["forced"], forced["state"], forced["reason"]) == ("open", "open", "maintenance")
    assert forced["until"] == "2027-01-15T09:00:00.000Z"
    assert "local" in forced["actor"]
    assert (await hub.client.get("/breakers/capture")).json()["forced"] == "open"
    freed = (await hub.client.post("/breakers/capture", json={"state": "auto"})).json()
    assert (freed["forced"], freed["reason"], freed["until"]) == ("auto", "", None)
    listed = (await hub.client.get("/breakers")).json()
    assert [breaker["relay"] for breaker in listed["data"]] == ["capture"]


async def test_a_full_hub_says_when_to_come_back(tmp_path: Path) -> None:
    async with web_hub(tmp_path, max_waiting=1) as hub:
        await hub.send()
        for path, body in (("/emails", GOOD), ("/send_email/", SEED)):
            response = await hub.client.post(path, json=body)
            assert (response.status_code, response.json()["name"]) == (503, "outbox_full")
            assert response.headers["retry-after"] == "30"
            assert "EMAILHUB_MAX_WAITING" in response.json()["message"]


async def test_a_stopping_hub_takes_nothing_and_says_so(hub: WebHub) -> None:
    hub.room.stopping = True
    response = await hub.client.post("/emails", json=GOOD)
    assert (response.status_code, response.json()["name"]) == (503, "service_unavailable")
    assert int(response.headers["retry-after"]) > 0


async def test_every_trouble_of_the_outbox_has_its_own_answer(hub: WebHub) -> None:
    for error, status, name in (
        (OutboxFull("disk"), 503, "disk_full"),
        (OutboxUnusable("secret path /data"), 503, "service_unavailable"),
        (Refused("disk_full", "no room", retry_after=60.4), 503, "disk_full"),
        (Refused("rate_limit_exceeded", "slow down", status=429, retry_after=0.2), 429, "rate_limit_exceeded"),
    ):

        async def fails(*_: object, error: Exception = error) -> None:
            raise error

        hub.faces.intake.accept = fails  # type: ignore[method-assign,assignment]
        response = await hub.client.post("/emails", json=GOOD)
        assert (response.status_code, response.json()["name"]) == (status, name)
        assert int(response.headers["retry-after"]) >= 1
        assert "/data" not in response.text


async def test_times_of_the_clock_are_utc(hub: WebHub) -> None:
    assert hub.clock() == START
    id = await hub.send()
    assert (await hub.client.get(f"/emails/{id}")).json()["created_at"] == "2027-01-15T08:00:00.000Z"


async def test_a_body_that_is_not_to_be_stored_is_read_nowhere_and_gone_once_sent(hub: WebHub) -> None:
    id = await hub.send(text="your code is 471104", store_body=False)
    live = hub.faces.live.subscribe()
    email = (await hub.client.get(f"/emails/{id}")).json()
    assert (email["store_body"], email["text"], email["html"]) == (False, None, None)
    for path in (f"/emails/{id}", f"/emails/{id}/events", "/emails", f"/messages/{id}", "/messages"):
        for accept in ("application/json", "text/html"):
            assert "471104" not in (await hub.client.get(path, headers={"accept": accept})).text, path
    assert "shown to nobody" in (await hub.client.get(f"/messages/{id}", headers={"accept": "text/html"})).text
    assert (await hub.client.get(f"/messages/{id}/source")).status_code == 404
    assert "471104" not in (await hub.client.get(f"/messages/{id}/preview")).text
    async with hub.carrying():
        while b'"kind":"sent"' not in (await live.read(5) or b'"kind":"sent"'):
            pass
    email = (await hub.client.get(f"/emails/{id}")).json()
    assert (email["last_event"], email["subject"], email["text"]) == ("sent", "Hello", None)
    assert (await hub.client.post(f"/emails/{id}/retry")).status_code == 409


async def test_a_message_is_followed_by_the_senders_own_id(hub: WebHub) -> None:
    id = await hub.send(correlation_id="cart/17")
    assert (await hub.client.get(f"/emails/{id}")).json()["correlation_id"] == "cart/17"
    response = await hub.client.post(
        "/emails/batch",
        json=[GOOD, GOOD | {"correlation_id": "cart/18"}],
        headers={"x-correlation-id": "request-1"},
    )
    first, second = [
        (await hub.client.get(f"/emails/{one['id']}")).json()["correlation_id"] for one in response.json()["data"]
    ]
    assert (first, second) == ("request-1", "cart/18")


async def test_erased_content_reads_as_null(hub: WebHub) -> None:
    id = await hub.send()

    async def erased(_: str) -> None:
        return None

    hub.faces.history.content = erased  # type: ignore[method-assign]
    email = (await hub.client.get(f"/emails/{id}")).json()
    assert (email["text"], email["html"], email["subject"]) == (None, None, "Hello")


async def test_a_comma_in_a_name_does_not_split_where_answers_go(hub: WebHub) -> None:
    id = await hub.send(reply_to=['"Lovelace, Ada" <ada@example.org>', "bob@example.org"])
    email = (await hub.client.get(f"/emails/{id}")).json()
    assert email["reply_to"] == ["Lovelace, Ada <ada@example.org>", "bob@example.org"]
    # What is not ASCII travels encoded; decoded, such a name could pass for a list of addresses.
    id = await hub.send(reply_to='"Zoë, eve@example.net <x@example.net>" <ada@example.org>')
    email = (await hub.client.get(f"/emails/{id}")).json()
    assert email["reply_to"] == ["Zoë, eve@example.net <x@example.net> <ada@example.org>"]
