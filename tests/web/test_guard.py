"""Who gets in, over every address the application knows, and what every answer carries."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar import Litestar

from emailhub.engine.gate import Access
from emailhub.web.faces import WebOptions
from emailhub.web.guard import HEADERS
from tests.support.web_hub import GOOD, SEED, WebHub, web_hub

KEY = "eh_3c5f0d1e2b4a"
PASSWORD = "correct horse"
PUBLIC = Access(listen="0.0.0.0", api_keys=(KEY, "second"), admin_password=PASSWORD)
OPEN_PATHS = {"/health", "/health/live", "/health/ready", "/login", "/static/{name:str}"}
BEARER = {"authorization": f"Bearer {KEY}"}
HOST = "http://10.0.0.5:8000"
SAME = {"origin": HOST, "sec-fetch-site": "same-origin"}


def routes(app: Litestar) -> Iterator[tuple[str, str]]:
    """Every method and path the application answers, with ids filled in."""
    for route in app.routes:
        for method in sorted(getattr(route, "methods", ())):
            yield method, route.path


def filled(path: str) -> str:
    return "/".join("x" if part.startswith("{") else part for part in path.split("/"))


@pytest.mark.parametrize(
    ("path", "methods"),
    (("/emails", "GET, HEAD, OPTIONS, POST"), ("/emails/x/cancel", "OPTIONS, POST"), ("/health", "GET, HEAD, OPTIONS")),
)
async def test_options_and_a_wrong_method_name_every_method_of_the_address(
    hub: WebHub, path: str, methods: str
) -> None:
    asked, wrong = await hub.client.options(path), await hub.client.put(path)
    assert (asked.status_code, asked.headers["allow"]) == (204, methods)
    assert (wrong.status_code, wrong.headers["allow"]) == (405, methods)


async def test_a_stranger_gets_into_nothing_but_health_and_the_log_in(tmp_path: Path) -> None:
    async with web_hub(tmp_path, PUBLIC) as hub:
        client = hub.client_from("10.9.9.9", HOST)
        seen = set()
        for method, path in routes(hub.app):
            response = await client.request(method, filled(path), headers={"content-type": "application/json"})
            if path in OPEN_PATHS:
                continue
            seen.add(path)
            if path == "/logout":
                assert response.status_code == (303 if method == "POST" else 204), method
                continue
            assert response.status_code in {401, 403}, (method, path, response.status_code)
            assert response.json()["statusCode"] == response.status_code
        assert {
            "/",
            "/emails",
            "/events",
            "/metrics",
            "/docs",
            "/send_email",
            "/status",
            "/breakers/{relay:str}",
            "/relays",
            "/relays/{relay:str}/resume-sender",
        } <= seen
        assert await hub.stored() == 0


async def test_without_credentials_every_face_says_why_it_is_closed(tmp_path: Path) -> None:
    async with web_hub(tmp_path, Access(listen="0.0.0.0")) as hub:
        client = hub.client_from("10.9.9.9", HOST)
        for path, variable in (
            ("/", "EMAILHUB_ADMIN_PASSWORD"),
            ("/emails", "EMAILHUB_API_KEYS"),
            ("/login", "EMAILHUB_ADMIN_PASSWORD"),
        ):
            response = await client.get(path)
            assert (response.status_code, response.json()["name"]) == (403, "invalid_permission"), path
            assert variable in response.json()["message"], path


async def test_a_key_opens_the_api_and_not_the_dashboard(tmp_path: Path) -> None:
    async with web_hub(tmp_path, PUBLIC) as hub:
        client = hub.client_from("10.9.9.9", HOST, **BEARER)
        assert (await client.post("/emails", json=GOOD)).status_code == 200
        assert (await client.post("/send_email/", json=SEED)).status_code == 200
        assert (await client.get("/metrics")).status_code == 200
        assert (await client.get("/docs")).status_code == 200
        assert (await client.get("/messages")).status_code == 401
        assert (await client.get("/emails", headers={"authorization": "bearer second"})).status_code == 200


async def test_a_wrong_key_is_told_apart_from_none(tmp_path: Path) -> None:
    async with web_hub(tmp_path, PUBLIC) as hub:
        client = hub.client_from("10.9.9.9", HOST)
        none = await client.get("/emails")
        assert (none.status_code, none.json()["name"]) == (401, "missing_api_key")
        assert none.headers["www-authenticate"] == "Bearer"
        for value in ("Bearer wrong", f"Bearer {KEY}x", f"Bearer {KEY.upper()}"):
            wrong = await client.get("/emails", headers={"authorization": value})
            assert (wrong.status_code, wrong.json()["name"]) == (403, "invalid_api_key"), value
        for value in (f"Basic {KEY}", "Bearer", "Bearer ", "Bearer   "):
            missing = await client.get("/emails", headers={"authorization": value})
            assert (missing.status_code, missing.json()["name"]) == (401, "missing_api_key"), value


async def test_two_authorizations_are_none(tmp_path: Path) -> None:
    async with web_hub(tmp_path, PUBLIC) as hub:
        headers = [("authorization", "Bearer wrong"), ("authorization", f"Bearer {KEY}")]
        response = await hub.client_from("10.9.9.9", HOST).get("/emails", headers=headers)
        assert response.status_code == 401


async def test_a_key_counts_in_its_header_only_which_no_browser_sends_by_itself(tmp_path: Path) -> None:
    async with web_hub(tmp_path, PUBLIC) as hub:
        client = hub.client_from("10.9.9.9", HOST)
        for name in ("key", "api_key", "authorization", "token", "emailhub_session", "emailhub_key"):
            for value in (KEY, f"Bearer {KEY}"):
                shown = await client.get("/emails", headers={"cookie": f"{name}={value}"})
                assert shown.status_code == 401, (name, value)
                asked = await client.get("/emails", params={name: value})
                assert asked.status_code == 401, (name, value)
        assert (await client.get("/emails", headers={"x-api-key": KEY})).status_code == 401
        assert (await client.get("/emails", headers=BEARER)).status_code == 200


async def test_there_are_no_websockets_which_browsers_open_across_sites(hub: WebHub) -> None:
    said: list[Any] = []

    async def send(message: Any) -> None:
        said.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    for path in ("/events", "/", "/emails"):
        scope: Any = {"type": "websocket", "path": path, "headers": [(b"origin", b"http://evil.test")], "state": {}}
        await hub.app(scope | {"query_string": b"", "scheme": "ws", "subprotocols": []}, receive, send)
    assert [(one["type"], one["code"]) for one in said] == [("websocket.close", 1008)] * 3


async def test_slashes_in_front_do_not_change_whose_path_it_is(tmp_path: Path) -> None:
    async with web_hub(tmp_path, Access(api_keys=(KEY,))) as hub:
        for path in ("//emails", "///emails/", "/emails//x", "//breakers/capture"):
            assert (await hub.client.get(f"http://localhost:8000{path}")).status_code == 401, path


async def test_the_api_takes_a_session_from_its_own_pages_only(tmp_path: Path) -> None:
    async with web_hub(tmp_path, PUBLIC) as hub:
        client = await logged_in(hub)
        assert (await client.get("/emails")).status_code == 200
        assert (await client.post("/emails", json=GOOD, headers=SAME)).status_code == 200
        assert (await client.post("/emails", json=GOOD)).status_code == 403
        foreign = {"origin": "http://evil.test", "sec-fetch-site": "cross-site"}
        assert (await client.post("/emails", json=GOOD, headers=foreign)).status_code == 403
        assert await hub.stored() == 1


async def test_open_networks_may_send_and_ask_and_nothing_else(tmp_path: Path) -> None:
    networks = (ipaddress.ip_network("10.1.0.0/16"),)
    async with web_hub(tmp_path, Access(listen="0.0.0.0", api_keys=(KEY,), open_send=networks)) as hub:
        friend = hub.client_from("10.1.2.3", "http://email-service:8000")
        assert (await friend.post("/send_email/", json=SEED)).status_code == 200
        assert (await friend.post("/status/", json={"request_id": "r-1"})).json()["status"] == "pending"
        assert (await friend.get("/emails")).status_code == 421
        near = hub.client_from("10.1.2.3", HOST)
        assert (await near.get("/emails")).status_code == 401
        assert (await near.post("/emails", json=GOOD)).status_code == 401
        stranger = hub.client_from("10.2.2.3", HOST)
        assert (await stranger.post("/send_email/", json=SEED)).status_code == 401
        browser = {"origin": "http://email-service:8000"}
        assert (await friend.post("/send_email/", json=SEED, headers=browser)).status_code == 421


async def test_auth_none_opens_everything_but_still_checks_the_host(tmp_path: Path) -> None:
    async with web_hub(tmp_path, Access(listen="0.0.0.0", auth=False)) as hub:
        client = hub.client_from("10.9.9.9", HOST)
        for path in ("/", "/emails", "/metrics", "/docs", "/messages"):
            assert (await client.get(path)).status_code == 200, path
        assert (await client.get("/emails", headers={"host": "evil.test"})).status_code == 421


HOSTS = {
    "localhost": 200,
    "LOCALHOST:8000": 200,
    "localhost.:8000": 200,
    "127.0.0.1": 200,
    "127.0.0.1:9": 200,
    "[::1]:8000": 200,
    "hub.example.org": 200,
    "HUB.example.org:443": 200,
    "a.internal": 200,
    "mail.example.org": 200,
    "evil.test": 421,
    "evil.test:8000": 421,
    "localhost.evil.test": 421,
    "evilinternal": 421,
    "hub.example.org.evil.test": 421,
    "localhost@evil.test": 400,
    "localhost:99999": 400,
    "localhost:abc": 400,
    "localhost, evil.test": 400,
    "loc alhost": 400,
    "": 400,
    "[::1": 400,
}


async def test_every_route_answers_only_to_its_own_hosts(tmp_path: Path) -> None:
    access = Access(allowed_hosts=("Hub.example.org", "*.internal"), public_url="https://mail.example.org")
    async with web_hub(tmp_path, access) as hub:
        for host, status in HOSTS.items():
            for path in ("/health", "/health/ready", "/static/app.css"):
                response = await hub.client.get(path, headers={"host": host})
                assert response.status_code == status, (host, path, response.text[:200])
        for method, path in routes(hub.app):
            if path != "/events":
                response = await hub.client.request(method, filled(path), headers={"host": "evil.test"})
                assert response.status_code == 421, (method, path)
        assert response.json()["name"] == "misdirected_request"
        assert "EMAILHUB_ALLOWED_HOSTS" in response.json()["message"]


async def test_a_valid_key_makes_the_host_indifferent(tmp_path: Path) -> None:
    async with web_hub(tmp_path, PUBLIC) as hub:
        client = hub.client_from("10.9.9.9", "http://email-service:8000", **BEARER)
        assert (await client.get("/emails")).status_code == 200


ORIGINS: list[tuple[dict[str, str], int]] = [
    ({}, 200),
    ({"origin": "http://localhost:8000"}, 200),
    ({"origin": "http://LOCALHOST:8000"}, 200),
    ({"origin": "http://localhost:8000", "sec-fetch-site": "same-origin"}, 200),
    ({"sec-fetch-site": "none"}, 200),
    ({"origin": "https://mail.example.org"}, 200),
    ({"origin": "http://localhost:3000"}, 403),
    ({"origin": "http://localhost"}, 403),
    ({"origin": "http://127.0.0.1:8000"}, 403),
    ({"origin": "http://evil.test"}, 403),
    ({"origin": "http://evil.test", "sec-fetch-site": "same-origin"}, 403),
    ({"origin": "http://localhost:8000", "sec-fetch-site": "cross-site"}, 403),
    ({"origin": "null"}, 403),
    ({"origin": ""}, 403),
    ({"origin": "file://"}, 403),
    ({"origin": "chrome-extension://abc"}, 403),
    ({"sec-fetch-site": "same-site"}, 403),
    ({"sec-fetch-site": "cross-site"}, 403),
    ({"sec-fetch-site": ""}, 403),
]


async def test_a_state_changes_only_from_our_own_pages_or_from_no_browser(tmp_path: Path) -> None:
    async with web_hub(tmp_path, Access(public_url="https://mail.example.org")) as hub:
        for headers, status in ORIGINS:
            response = await hub.client.post("/emails", json=GOOD, headers=headers)
            assert response.status_code == status, headers
        for method, path in routes(hub.app):
            if method not in {"GET", "OPTIONS"}:
                response = await hub.client.request(method, filled(path), headers={"origin": "http://evil.test"})
                assert response.status_code == 403, (method, path)


async def test_two_origins_are_not_ours(hub: WebHub) -> None:
    headers = [("origin", "http://localhost:8000"), ("origin", "http://evil.test")]
    assert (await hub.client.post("/emails", json=GOOD, headers=headers)).status_code == 403


async def test_the_live_stream_is_for_our_own_pages(hub: WebHub) -> None:
    for headers in ({"origin": "http://evil.test"}, {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}):
        assert (await hub.client.get("/events", headers=headers)).status_code == 403, headers


async def test_every_answer_carries_the_protective_headers(tmp_path: Path) -> None:
    async with web_hub(tmp_path, PUBLIC, max_waiting=0) as hub:
        stranger, friend = hub.client_from("10.9.9.9", HOST), hub.client_from("10.9.9.9", HOST, **BEARER)
        client = await logged_in(hub)
        answers = [
            await stranger.get("/health"),
            await stranger.get("/nope"),
            await stranger.get("/", headers={"accept": "text/html"}),
            await stranger.get("/emails"),
            await stranger.get("/emails", headers={"host": "evil.test"}),
            await stranger.get("/emails", headers={"host": ""}),
            await stranger.post("/login", data={"password": "wrong"}, headers=SAME),
            await friend.delete("/emails"),
            await friend.get("/emails/nothing"),
            await friend.post("/emails", content=b"{"),
            await friend.post("/emails", json={}),
            await friend.post("/emails", json=GOOD),
            await friend.post("/emails", content=b"x" * (22 * 2**20)),
            await friend.options("/emails"),
            await friend.head("/emails"),
            await friend.get("/metrics"),
            await client.get("/"),
            await client.get("/static/app.css"),
            await client.get("/nope", headers={"accept": "text/html"}),
        ]
        assert {a.status_code for a in answers} == {200, 204, 303, 400, 401, 404, 405, 413, 415, 421, 422, 503}
        for response in answers:
            for name in HEADERS:
                assert response.headers.get(name.decode()), (response.url, response.status_code, name)
            assert "server" not in response.headers
            assert response.headers["x-request-id"]
            assert response.headers["x-correlation-id"]
            policy = response.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy


async def test_a_fault_is_a_500_without_its_reason(hub: WebHub) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("secret detail at line 12")

    hub.faces.desk.hold = broken  # type: ignore[method-assign,assignment]
    response = await hub.client.post("/emails/x/hold")
    assert (response.status_code, response.json()["name"]) == (500, "application_error")
    assert "secret" not in response.text
    assert "Traceback" not in response.text


async def test_ids_of_the_client_come_back_and_reach_the_message(hub: WebHub) -> None:
    response = await hub.client.post(
        "/emails", json=GOOD, headers={"x-correlation-id": "order-17", "x-request-id": "r.1"}
    )
    assert (response.headers["x-correlation-id"], response.headers["x-request-id"]) == ("order-17", "r.1")
    email = (await hub.client.get(f"/emails/{response.json()['id']}")).json()
    assert email["correlation_id"] == "order-17"


async def test_a_trace_becomes_the_correlation_id(hub: WebHub) -> None:
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    response = await hub.client.get("/health", headers={"traceparent": parent})
    assert response.headers["traceparent"] == parent
    assert response.headers["x-correlation-id"] == "4bf92f3577b34da6a3ce929d0e0e4736"


async def test_harmful_ids_are_replaced(hub: WebHub) -> None:
    for value in ("a b", "x" * 129, "<script>", "a\tb", "", "ä"):
        response = await hub.client.get("/health", headers={"x-request-id": value.encode()})
        assert response.headers["x-request-id"] != value
        assert len(response.headers["x-request-id"]) == 32
    bad_parent = {"traceparent": "00-" + "0" * 32 + "-00f067aa0ba902b7-01"}
    assert "traceparent" not in (await hub.client.get("/health", headers=bad_parent)).headers


async def test_behind_a_prefix_everything_works_with_and_without_it(tmp_path: Path) -> None:
    url = "https://mail.example.org/hub"
    async with web_hub(tmp_path, Access(public_url=url, api_keys=(KEY,)), WebOptions(public_url=url)) as hub:
        client = hub.client_from(base_url="https://mail.example.org", **BEARER)
        for path in ("/hub/emails", "/emails", "/hub/health", "/hub/emails/"):
            assert (await client.get(path)).status_code == 200, path
        assert (await client.get("/hubby")).status_code == 403


async def logged_in(hub: WebHub) -> httpx.AsyncClient:
    client = hub.client_from("10.9.9.9", HOST)
    response = await client.post("/login", data={"password": PASSWORD}, headers=SAME)
    assert response.status_code == 303
    return client
