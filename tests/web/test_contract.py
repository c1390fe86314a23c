"""The three endpoints whose answers existing clients compare byte for byte."""

import pytest

from tests.support.web_hub import SEED, WebHub


@pytest.mark.parametrize("path", ("/health", "/health/"))
async def test_health_answers_exactly_what_clients_expect(hub: WebHub, path: str) -> None:
    response = await hub.client.get(path)
    assert response.status_code == 200
    assert response.json() == {"status": "ok", "service": "email_service"}


@pytest.mark.parametrize("path", ("/send_email", "/send_email/"))
async def test_a_message_is_stored_before_the_answer_says_so(hub: WebHub, path: str) -> None:
    response = await hub.client.post(path, json=SEED)
    assert response.status_code == 200
    assert response.json() == {"success": True, "message": "Email queued for delivery"}
    assert await hub.stored() == 1


@pytest.mark.parametrize("path", ("/status", "/status/"))
async def test_status_tells_where_a_request_stands_from_start_to_end(hub: WebHub, path: str) -> None:
    await hub.client.post("/send_email/", json=SEED)
    assert (await hub.client.post(path, json={"request_id": "r-1"})).json() == {
        "request_id": "r-1",
        "status": "pending",
    }
    async with hub.carrying():
        subscription = hub.faces.live.subscribe()
        while b'"sent"' not in (await subscription.read(5) or b'"sent"'):
            pass
        subscription.close()
    assert (await hub.client.post(path, json={"request_id": "r-1"})).json() == {
        "request_id": "r-1",
        "status": "delivered",
    }


async def test_an_unknown_request_id_is_not_found(hub: WebHub) -> None:
    response = await hub.client.post("/status/", json={"request_id": "never"})
    assert response.status_code == 404
    assert response.json()["name"] == "not_found"
    assert "never" in response.json()["message"]


async def test_the_same_request_id_and_content_is_one_message(hub: WebHub) -> None:
    first, second = [await hub.client.post("/send_email/", json=SEED) for _ in range(2)]
    assert first.json() == second.json()
    assert second.status_code == 200
    assert await hub.stored() == 1


async def test_the_same_request_id_with_other_content_conflicts(hub: WebHub) -> None:
    await hub.client.post("/send_email/", json=SEED)
    response = await hub.client.post("/send_email/", json=SEED | {"body": "something else"})
    assert response.status_code == 409
    assert response.json()["name"] == "invalid_idempotent_request"
    assert await hub.stored() == 1


async def test_optional_fields_are_taken_too(hub: WebHub) -> None:
    extra = {"html": "<p>Hi</p>", "from": "team@example.org", "cc": "b@example.org", "bcc": "c@example.org"}
    response = await hub.client.post("/send_email/", json=SEED | extra | {"reply_to": "d@example.org"})
    assert response.status_code == 200
    (message,) = (await hub.client.get("/emails")).json()["data"]
    email = (await hub.client.get(f"/emails/{message['id']}")).json()
    assert (email["cc"], email["bcc"], email["reply_to"]) == (["b@example.org"], ["c@example.org"], ["d@example.org"])
    assert (email["text"], email["html"], email["from"]) == ("Hi\n", "<p>Hi</p>\n", "team@example.org")


async def test_a_body_with_a_tag_is_html(hub: WebHub) -> None:
    await hub.client.post("/send_email/", json=SEED | {"body": "<p>Hi</p>"})
    (message,) = (await hub.client.get("/emails")).json()["data"]
    assert (await hub.client.get(f"/emails/{message['id']}")).json()["html"].strip() == "<p>Hi</p>"


@pytest.mark.parametrize("field", ("to", "subject", "body", "request_id"))
async def test_each_missing_field_is_named(hub: WebHub, field: str) -> None:
    response = await hub.client.post("/send_email/", json={k: v for k, v in SEED.items() if k != field})
    assert response.status_code == 422
    assert response.json()["name"] == "missing_required_field"
    assert [problem["field"] for problem in response.json()["errors"]] == [field]
    assert await hub.stored() == 0


async def test_all_problems_are_told_at_once(hub: WebHub) -> None:
    response = await hub.client.post("/send_email/", json={"to": "nobody", "subject": "a\nb", "body": 5, "cc": "x@"})
    fields = {problem["field"] for problem in response.json()["errors"]}
    assert {"to", "subject", "body", "request_id", "cc"} <= fields


async def test_a_get_of_send_email_names_the_method(hub: WebHub) -> None:
    response = await hub.client.get("/send_email/")
    assert response.status_code == 405
    assert response.json()["name"] == "method_not_allowed"
    assert "POST" in response.headers["allow"]
