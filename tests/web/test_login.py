"""Logging in to the dashboard, staying in, and getting out."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import httpx

from emailhub.engine.gate import Access
from tests.support.web_hub import WebHub, web_hub

PASSWORD = "correct horse"
PUBLIC = Access(listen="0.0.0.0", admin_password=PASSWORD)
HOST = "http://10.0.0.5:8000"
SAME = {"origin": HOST}
HTML = {"accept": "text/html"}


async def log_in(client: httpx.AsyncClient, password: str = PASSWORD, **fields: str) -> httpx.Response:
    return await client.post("/login", data={"password": password} | fields, headers=SAME)


async def test_a_page_leads_to_the_log_in_and_back_to_itself(tmp_path: Path) -> None:
    async with web_hub(tmp_path, PUBLIC) as hub:
        client = hub.client_from("10.9.9.9", HOST)
        away = await client.get("/messages?state=held", headers=HTML)
        assert (away.status_code, away.headers["location"]) == (303, "/login?next=/messages%3Fstate%3Dheld")
        form = await client.get(away.headers["location"], headers=HTML)
        assert form.status_code == 200
        assert "/messages?state=held" in form.text
        back = await log_in(client, next="/messages?state=held")
        assert (back.status_code, back.headers["location"]) == (303, "/messages?state=held")
        assert (await client.get("/messages?state=held", headers=HTML)).status_code == 200


async def test_the_cookie_is_for_this_server_only(tmp_path: Path) -> None:
    async with web_hub(tmp_path, PUBLIC) as hub:
        cookie = (await log_in(hub.client_from("10.9.9.9", HOST))).headers["set-cookie"]
        assert cookie.startswith("emailhub_session=")
        assert {"Path=/", "HttpOnly", "SameSite=Strict"} == set(cookie.split("; ")[1:])


async def test_under_https_the_cookie_has_the_name_no_other_host_can_set(tmp_path: Path) -> None:
    proxies = (ipaddress.ip_network("10.0.0.1/32"),)
    access = Access(
        listen="0.0.0.0", admin_password=PASSWORD, trusted_proxies=proxies, public_url="https://mail.example.org"
    )
    async with web_hub(tmp_path, access) as hub:
        headers = {"x-forwarded-proto": "https", "x-forwarded-for": "203.0.113.7"}
        client = hub.client_from("10.0.0.1", "https://mail.example.org", **headers)
        response = await client.post(
            "/login", data={"password": PASSWORD}, headers={"origin": "https://mail.example.org"}
        )
        cookie = response.headers["set-cookie"]
        assert cookie.startswith("__Host-emailhub_session=")
        assert "Secure" in cookie.split("; ")
        token = cookie.partition("=")[2].partition(";")[0]
        bare = hub.client_from("10.0.0.1", "https://mail.example.org", **headers)
        assert (await bare.get("/", headers={"cookie": f"__Host-emailhub_session={token}"})).status_code == 200
        assert (await bare.get("/", headers={"cookie": f"emailhub_session={token}"})).status_code == 401


async def test_a_session_id_chosen_by_the_client_is_never_taken(tmp_path: Path) -> None:
    async with web_hub(tmp_path, PUBLIC) as hub:
        client = hub.client_from("10.9.9.9", HOST)
        client.cookies.set("emailhub_session", "chosen-by-an-attacker")
        response = await log_in(client)
        assert "chosen-by-an-attacker" not in response.headers["set-cookie"]
        other = hub.client_from("10.9.9.9", HOST)
        assert (await other.get("/", headers={"cookie": "emailhub_session=chosen-by-an-attacker"})).status_code == 401


async def test_logging_in_again_ends_the_session_before(tmp_path: Path) -> None:
    async with web_hub(tmp_path, PUBLIC) as hub:
        client = hub.client_from("10.9.9.9", HOST)
        await log_in(client)
        first = client.cookies["emailhub_session"]
        await log_in(client)
        assert client.cookies["emailhub_session"] != first
        other = hub.client_from("10.9.9.9", HOST)
        assert (await other.get("/", headers={"cookie": f"emailhub_session={first}"})).status_code == 401


async def test_logging_out_ends_the_session_on_the_server(tmp_path: Path) -> None:
    async with web_hub(tmp_path, PUBLIC) as hub:
        client = hub.client_from("10.9.9.9", HOST)
        await log_in(client)
        token = client.cookies["emailhub_session"]
        out = await client.post("/logout", headers=SAME)
        assert (out.status_code, out.headers["location"]) == (303, "/login")
        assert "Max-Age=0" in out.headers["set-cookie"]
        assert (await client.get("/", headers={"cookie": f"emailhub_session={token}"})).status_code == 401


async def test_a_session_ends_after_half_an_hour_without_use_and_after_twelve_hours_in_any_case(tmp_path: Path) -> None:
    async with web_hub(tmp_path, PUBLIC) as hub:
        client = hub.client_from("10.9.9.9", HOST)
        await log_in(client)
        for _ in range(24):
            hub.clock.at += 1790
            assert (await client.get("/")).status_code == 200
        hub.clock.at += 240
        assert (await client.get("/")).status_code == 401
        await log_in(client)
        hub.clock.at += 1801
        assert (await client.get("/")).status_code == 401


async def test_wrong_passwords_make_everybody_wait_longer_and_longer(tmp_path: Path) -> None:
    async with web_hub(tmp_path, PUBLIC) as hub:
        client = hub.client_from("10.9.9.9", HOST)
        for _ in range(5):
            wrong = await log_in(client, "guess")
            assert (wrong.status_code, wrong.json()["name"]) == (401, "invalid_password")
        locked = await log_in(client)
        assert (locked.status_code, locked.json()["name"]) == (429, "rate_limit_exceeded")
        assert locked.headers["retry-after"] == "60"
        hub.clock.at += 60
        assert (await log_in(client, "guess")).status_code == 401
        assert (await log_in(client)).headers["retry-after"] == "120"
        hub.clock.at += 120
        assert (await log_in(client)).status_code == 303


async def test_a_hundred_guesses_with_invented_addresses_are_locked_out(tmp_path: Path) -> None:
    async with web_hub(tmp_path, PUBLIC) as hub:
        answers = []
        for number in range(100):
            client = hub.client_from("10.9.9.9", HOST, **{"x-forwarded-for": f"198.51.100.{number}"})
            answers.append((await log_in(client, "guess")).status_code)
        assert answers == [401] * 5 + [429] * 95


async def test_the_form_says_what_was_wrong(tmp_path: Path) -> None:
    async with web_hub(tmp_path, PUBLIC) as hub:
        client = hub.client_from("10.9.9.9", HOST)
        response = await client.post("/login", data={"password": "guess"}, headers=SAME | HTML)
        assert response.status_code == 401
        assert "Name or password is not right." in response.text


async def test_a_log_in_leads_to_no_other_site(tmp_path: Path) -> None:
    async with web_hub(tmp_path, PUBLIC) as hub:
        for wanted in (
            "//evil.test",
            "/\\evil.test",
            "https://evil.test",
            "javascript:alert(1)",
            "/a\r\nX: y",
            "/a\\..\\\\evil.test",
            "",
            "evil",
        ):
            response = await log_in(hub.client_from("10.9.9.9", HOST), next=wanted)
            assert response.headers["location"] == "/", wanted


async def test_a_forged_log_in_from_another_site_is_refused(tmp_path: Path) -> None:
    async with web_hub(tmp_path, PUBLIC) as hub:
        client = hub.client_from("10.9.9.9", HOST)
        response = await client.post("/login", data={"password": PASSWORD}, headers={"origin": "http://evil.test"})
        assert response.status_code == 403


async def test_a_form_that_cannot_be_read_is_a_4xx(tmp_path: Path) -> None:
    async with web_hub(tmp_path, PUBLIC) as hub:
        client = hub.client_from("10.9.9.9", HOST)
        form = {"content-type": "application/x-www-form-urlencoded"} | SAME
        for content in (b"\xff", b"password=%ff", b"a", b"&".join(b"a=b" for _ in range(50))):
            assert (await client.post("/login", content=content, headers=form)).status_code == 400, content
        assert (await client.post("/login", json={"password": PASSWORD}, headers=SAME)).status_code == 415
        assert (await client.post("/login", content=b"", headers=form)).status_code == 401


async def test_a_form_of_megabytes_is_not_read_from_somebody_who_is_nobody_yet(tmp_path: Path) -> None:
    async with web_hub(tmp_path, PUBLIC) as hub:
        form = {"content-type": "application/x-www-form-urlencoded"} | SAME
        content = b"password=" + b"a" * 100_000
        response = await hub.client_from("10.9.9.9", HOST).post("/login", content=content, headers=form)
        assert response.status_code == 413


async def test_without_a_password_there_is_nothing_to_log_in_to(hub: WebHub) -> None:
    response = await hub.client.get("/login?next=/messages")
    assert (response.status_code, response.headers["location"]) == (303, "/messages")
