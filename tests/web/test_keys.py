"""API keys over HTTP: made, used, held to what they may, rotated, revoked."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from emailhub.core.api_key import DAY
from emailhub.engine.gate import Access, Area, Caller, Knock
from emailhub.engine.refusals import BURST
from tests.support.web_hub import GOOD, START, WebHub, web_hub

SETTINGS_KEY = "eh_settings_0123456789"
CLOSED = Access(listen="0.0.0.0", api_keys=(SETTINGS_KEY,))
NAME = {"name": "billing"}


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


async def make(hub: WebHub, **fields: object) -> tuple[str, dict[str, str]]:
    """A new key: its id, and the header that shows it."""
    response = await hub.client.post("/api-keys", json=NAME | fields, headers=bearer(SETTINGS_KEY))
    assert response.status_code == 200, response.text
    return response.json()["id"], bearer(response.json()["token"])


async def send(hub: WebHub, key: dict[str, str], **more: str) -> httpx.Response:
    return await hub.client.post("/emails", json=GOOD | more, headers=key)


@pytest.mark.parametrize(
    ("given", "scopes"),
    (
        ({}, ["send", "read", "admin"]),
        ({"permission": "full_access"}, ["send", "read", "admin"]),
        ({"permission": "sending_access"}, ["send"]),
        ({"scopes": ["read", "send"]}, ["send", "read"]),
    ),
)
async def test_a_key_is_made_with_the_scopes_asked_for(
    tmp_path: Path, given: dict[str, object], scopes: list[str]
) -> None:
    async with web_hub(tmp_path, CLOSED) as hub:
        id, _ = await make(hub, **given)
        shown = (await hub.client.get(f"/api-keys/{id}", headers=bearer(SETTINGS_KEY))).json()
        assert shown["scopes"] == scopes
        assert (shown["state"], shown["source"], shown["last_used_at"]) == ("live", "hub", None)


WRONG: tuple[tuple[str, object], ...] = (
    ("name", ""),
    ("name", "x" * 51),
    ("name", "7"),
    ("name", " x"),
    ("name", "a\nb"),
    ("name", ["x"]),
    ("permission", "all"),
    ("scopes", []),
    ("scopes", ["write"]),
    ("scopes", "send"),
    ("scopes", [["send"]]),
    ("from_domains", ["not a domain"]),
    ("from_domains", ["ada@example.org"]),
    ("from_domains", ["a.*.org"]),
    ("from_domains", ["example.org"] * 51),
    ("rate", "fast"),
    ("rate", "0/s"),
    ("rate", "1/s, 2/s"),
    ("rate", 10),
    ("daily_quota", 0),
    ("daily_quota", "5"),
    ("daily_quota", True),
    ("expires_at", "2020-01-01T00:00:00Z"),
    ("expires_at", "soon"),
    ("domain_id", "x"),
    ("reason", "x" * 501),
)


async def test_what_is_wrong_is_named_by_its_field_and_makes_no_key(hub: WebHub) -> None:
    for field, value in WRONG:
        response = await hub.client.post("/api-keys", json=NAME | {field: value})
        assert response.status_code == 422, (field, value)
        assert field in {error["field"] for error in response.json()["errors"]}
    assert (await hub.client.get("/api-keys")).json()["data"] == []


async def test_a_key_without_a_name_is_refused_by_the_name_clients_know(hub: WebHub) -> None:
    response = await hub.client.post("/api-keys", json={"permission": "full_access"})
    assert (response.status_code, response.json()["name"]) == (422, "missing_required_field")


async def test_the_secret_is_told_once_and_never_again(tmp_path: Path) -> None:
    async with web_hub(tmp_path, CLOSED) as hub:
        id, key = await make(hub)
        token = key["authorization"].removeprefix("Bearer ")
        for path in ("/api-keys", f"/api-keys/{id}", "/events?limit=1", "/audit"):
            if path.startswith("/events"):
                continue
            assert token not in (await hub.client.get(path, headers=key)).text


async def test_keys_of_the_settings_are_listed_and_changed_only_there(tmp_path: Path) -> None:
    async with web_hub(tmp_path, CLOSED) as hub:
        key = bearer(SETTINGS_KEY)
        (found,) = (await hub.client.get("/api-keys", headers=key)).json()["data"]
        assert (found["source"], found["name"], found["created_by"]) == ("settings", "key 1", "EMAILHUB_API_KEYS")
        assert SETTINGS_KEY not in str(found)
        for response in (
            await hub.client.delete(f"/api-keys/{found['id']}", headers=key),
            await hub.client.post(f"/api-keys/{found['id']}/rotate", headers=key),
        ):
            assert response.status_code == 409
            assert "EMAILHUB_API_KEYS" in response.json()["message"]
        assert (await hub.client.get("/emails", headers=key)).status_code == 200


async def test_a_revoked_key_opens_nothing_from_the_next_request_on(tmp_path: Path) -> None:
    async with web_hub(tmp_path, CLOSED) as hub:
        id, key = await make(hub)
        assert (await send(hub, key)).status_code == 200
        await hub.client.delete(f"/api-keys/{id}?reason=leaked", headers=bearer(SETTINGS_KEY))
        response = await send(hub, key)
        assert (response.status_code, response.json()["name"]) == (403, "invalid_api_key")
        shown = (await hub.client.get(f"/api-keys/{id}", headers=bearer(SETTINGS_KEY))).json()
        assert (shown["state"], shown["reason"], shown["revoked_by"]) == ("revoked", "leaked", "key 1 from 127.0.0.1")


async def test_a_key_opens_nothing_from_the_moment_it_expires_on(tmp_path: Path) -> None:
    async with web_hub(tmp_path, CLOSED) as hub:
        _, key = await make(hub, expires_at=START + 60)
        hub.clock.at = START + 59.9
        assert (await send(hub, key)).status_code == 200
        hub.clock.at = START + 60
        assert (await send(hub, key)).status_code == 403


async def test_a_rotated_key_has_two_secrets_until_the_grace_is_over(tmp_path: Path) -> None:
    async with web_hub(tmp_path, CLOSED) as hub:
        id, old = await make(hub)
        assert (await send(hub, old)).status_code == 200
        answer = await hub.client.post(f"/api-keys/{id}/rotate", json={"grace": "1h"}, headers=bearer(SETTINGS_KEY))
        new = bearer(answer.json()["token"])
        assert [(await send(hub, key)).status_code for key in (old, new)] == [200, 200]
        hub.clock.at = START + 3600
        assert [(await send(hub, key)).status_code for key in (old, new)] == [403, 200]
        third = await hub.client.post(f"/api-keys/{id}/rotate", json={"grace": 0}, headers=bearer(SETTINGS_KEY))
        assert (await send(hub, new)).status_code == 403
        assert (await send(hub, bearer(third.json()["token"]))).status_code == 200


async def test_a_third_secret_that_would_work_is_in_conflict_with_the_two_there_are(tmp_path: Path) -> None:
    async with web_hub(tmp_path, CLOSED) as hub:
        id, _ = await make(hub)
        answers = [await hub.client.post(f"/api-keys/{id}/rotate", headers=bearer(SETTINGS_KEY)) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 409]
        assert answers[1].json()["name"] == "invalid_state"


async def test_a_whole_number_is_one_however_json_writes_it(tmp_path: Path) -> None:
    async with web_hub(tmp_path, CLOSED) as hub:
        _, key = await make(hub, daily_quota=2.0)
        assert (await send(hub, key)).status_code == 200


async def test_a_grace_that_is_no_time_is_refused(tmp_path: Path) -> None:
    async with web_hub(tmp_path, CLOSED) as hub:
        id, key = await make(hub)
        for grace in ("soon", -1, True, [], "400d"):
            response = await hub.client.post(f"/api-keys/{id}/rotate", json={"grace": grace}, headers=key)
            assert (response.status_code, response.json()["errors"][0]["field"]) == (422, "grace")


async def test_a_key_in_the_outbox_closes_the_api_on_loopback_and_revoking_the_last_opens_it(hub: WebHub) -> None:
    made = (await hub.client.post("/api-keys", json=NAME)).json()
    assert (await send(hub, {})).status_code == 401
    assert (await send(hub, bearer(made["token"]))).status_code == 200
    hub.clock.at += 3600
    await hub.client.delete(f"/api-keys/{made['id']}", headers=bearer(made["token"]))
    assert (await send(hub, {})).status_code == 200


async def test_a_key_that_has_expired_still_closes_the_api(hub: WebHub) -> None:
    await hub.client.post("/api-keys", json=NAME | {"expires_at": START + 60})
    hub.clock.at = START + 61
    assert (await send(hub, {})).status_code == 401


async def test_a_sending_key_sends_and_asks_and_does_nothing_else(tmp_path: Path) -> None:
    async with web_hub(tmp_path, CLOSED) as hub:
        _, key = await make(hub, permission="sending_access")
        sent = await send(hub, key, request_id="r-1")
        assert sent.status_code == 200
        assert (await hub.client.post("/status", json={"request_id": "r-1"}, headers=key)).status_code == 200
        response = await hub.client.get(f"/emails/{sent.json()['id']}", headers=key)
        assert (response.status_code, response.json()["name"]) == (403, "restricted_api_key")
        assert "`read`" in response.json()["message"]


async def test_a_key_that_may_not_send_is_refused_on_the_short_way_too(tmp_path: Path) -> None:
    async with web_hub(tmp_path, CLOSED) as hub:
        _, key = await make(hub, scopes=["read", "admin"])
        response = await send(hub, key)
        assert (response.status_code, response.json()["name"]) == (403, "restricted_api_key")
        assert await hub.stored() == 0


async def test_a_key_sends_only_from_its_domains(tmp_path: Path) -> None:
    async with web_hub(tmp_path, CLOSED) as hub:
        _, key = await make(hub, from_domains=["shop.example", "*.example.net"])
        for address in ("a@shop.example", "A <a@SHOP.example>", "a@mail.example.net"):
            assert (await send(hub, key, **{"from": address})).status_code == 200
        for more in ({"from": "a@example.net"}, {"from": "a@evilshop.example"}, {}):
            response = await send(hub, key, **more)
            assert response.status_code == 422
            (error,) = response.json()["errors"]
            assert error["field"] == "from"
            assert "shop.example" in error["message"]
        assert await hub.stored() == 3


async def test_the_default_sender_and_a_batch_are_held_to_the_domains_too(tmp_path: Path) -> None:
    async with web_hub(tmp_path, CLOSED) as hub:
        _, key = await make(hub, from_domains=["shop.example"])
        seed = {"to": "ada@example.org", "subject": "s", "body": "b", "request_id": "r"}
        assert (await hub.client.post("/send_email/", json=seed, headers=key)).status_code == 422
        batch = [GOOD | {"from": "a@shop.example"}, GOOD]
        response = await hub.client.post("/emails/batch", json=batch, headers=key)
        assert response.json()["errors"][0]["field"] == "[1].from"
        assert await hub.stored() == 0


@pytest.mark.parametrize("short", (True, False))
async def test_who_tries_a_sender_outside_its_domains_is_in_the_audit_log_and_cannot_fill_it(
    tmp_path: Path, short: bool
) -> None:
    async with web_hub(tmp_path, CLOSED) as hub:
        _, key = await make(hub, from_domains=["shop.example"])
        more = {} if short else {"transfer-encoding": "chunked"}
        for _ in range(BURST + 5):
            assert (await send(hub, key | more, **{"from": "ceo@bank.example"})).status_code == 422
        assert (await send(hub, key | more, to="no address")).status_code == 422
        told = (await hub.client.get("/audit?what=action.refuse", headers=bearer(SETTINGS_KEY))).json()["data"]
        assert len(told) == BURST
        assert (told[0]["actor"], told[0]["target"], told[0]["result"]) == ("key billing", "POST /emails", "refused")
        assert "bank.example, and key billing may send only from shop.example" in told[0]["detail"]


@pytest.mark.parametrize("mode", ("strict", "permissive"))
async def test_a_batch_with_a_sender_outside_the_domains_is_in_the_audit_log(tmp_path: Path, mode: str) -> None:
    async with web_hub(tmp_path, CLOSED) as hub:
        _, key = await make(hub, from_domains=["shop.example"])
        batch = [GOOD | {"from": "a@shop.example"}, GOOD | {"from": "ceo@bank.example"}]
        await hub.client.post("/emails/batch", json=batch, headers=key | {"x-batch-validation": mode})
        (told,) = (await hub.client.get("/audit?what=action.refuse", headers=bearer(SETTINGS_KEY))).json()["data"]
        assert told["target"] == "POST /emails/batch"
        assert "bank.example" in told["detail"]


async def test_a_key_is_held_to_its_rate_and_rotating_gives_none_anew(tmp_path: Path) -> None:
    async with web_hub(tmp_path, CLOSED) as hub:
        id, key = await make(hub, rate="2/s")
        assert [(await send(hub, key)).status_code for _ in range(3)] == [200, 200, 429]
        refused = await send(hub, key)
        assert (refused.json()["name"], refused.headers["retry-after"]) == ("rate_limit_exceeded", "1")
        assert "of this key" in refused.json()["message"]
        answer = await hub.client.post(f"/api-keys/{id}/rotate", headers=bearer(SETTINGS_KEY))
        assert (await send(hub, bearer(answer.json()["token"]))).status_code == 429
        assert (await send(hub, bearer(SETTINGS_KEY))).status_code == 200
        hub.clock.at += 1
        assert (await send(hub, key)).status_code == 200


async def test_a_key_is_held_to_its_quota_of_the_day(tmp_path: Path) -> None:
    async with web_hub(tmp_path, CLOSED) as hub:
        id, key = await make(hub, daily_quota=2)
        keyed = key | {"idempotency-key": "k1"}
        assert (await send(hub, keyed)).status_code == 200
        assert (await send(hub, keyed)).status_code == 200, "a replay is no message"
        assert (await send(hub, key)).status_code == 200
        refused = await send(hub, key)
        assert (refused.status_code, refused.json()["name"]) == (429, "daily_quota_exceeded")
        assert int(refused.headers["retry-after"]) == DAY - START % DAY
        assert (await send(hub, keyed)).json()["id"], "whoever lost the answer gets it"
        shown = (await hub.client.get(f"/api-keys/{id}", headers=bearer(SETTINGS_KEY))).json()
        assert (shown["given_today"], shown["daily_quota"]) == (2, 2)
        hub.clock.at += int(refused.headers["retry-after"])
        assert (await send(hub, key)).status_code == 200


async def test_what_is_not_accepted_uses_up_no_quota(tmp_path: Path) -> None:
    async with web_hub(tmp_path, CLOSED) as hub:
        _, key = await make(hub, daily_quota=2)
        assert (await send(hub, key, to="nobody")).status_code == 422
        conflict = key | {"idempotency-key": "k1"}
        assert [(await send(hub, conflict, subject=text)).status_code for text in ("a", "b")] == [200, 409]
        assert (await send(hub, key)).status_code == 200


async def test_a_batch_is_within_the_quota_or_not_accepted_at_all(tmp_path: Path) -> None:
    async with web_hub(tmp_path, CLOSED) as hub:
        _, key = await make(hub, daily_quota=2)
        over = await hub.client.post("/emails/batch", json=[GOOD] * 3, headers=key)
        assert (over.status_code, over.json()["name"], await hub.stored()) == (429, "daily_quota_exceeded", 0)
        assert (await hub.client.post("/emails/batch", json=[GOOD] * 2, headers=key)).status_code == 200


async def test_what_was_given_since_it_was_counted_last_is_counted_after_a_crash(tmp_path: Path) -> None:
    async with web_hub(tmp_path, CLOSED) as hub:
        _, key = await make(hub, daily_quota=2)
        assert [(await send(hub, key)).status_code for _ in range(2)] == [200, 200]
    async with web_hub(tmp_path, CLOSED) as hub:
        assert (await send(hub, key)).status_code == 429


async def test_when_a_key_was_used_last_is_told_without_a_write_for_each_request(tmp_path: Path) -> None:
    async with web_hub(tmp_path, CLOSED) as hub:
        id, key = await make(hub)
        await hub.client.get("/emails", headers=key)
        hub.clock.at += 5
        await hub.client.get("/emails", headers=key)
        shown = (await hub.client.get(f"/api-keys/{id}", headers=bearer(SETTINGS_KEY))).json()
        assert shown["last_used_at"] == shown["secrets"][0]["last_used_at"] == "2027-01-15T08:00:05.000Z"


async def test_a_live_stream_ends_with_the_key_it_was_given_to(tmp_path: Path) -> None:
    async with web_hub(tmp_path, CLOSED) as hub:
        id, key = await make(hub)
        knock = Knock(area=Area.SHARED, host="localhost:8000", authorization=key["authorization"], stream=True)
        caller = hub.faces.gate.admit(knock, START)
        assert isinstance(caller, Caller)
        assert hub.faces.gate.still_in(caller, START)
        await hub.client.post(f"/api-keys/{id}/rotate", json={"grace": "1h"}, headers=bearer(SETTINGS_KEY))
        assert hub.faces.gate.still_in(caller, START + 3599)
        assert not hub.faces.gate.still_in(caller, START + 3600)
        await hub.client.delete(f"/api-keys/{id}", headers=bearer(SETTINGS_KEY))
        assert not hub.faces.gate.still_in(caller, START)
