"""What a page of somebody else can do through the browser of a person who may come in: nothing, and read nothing.

Every route is taken from the application itself, so that a new one is attacked from the day it is there.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest_asyncio

from emailhub.engine.gate import Access
from emailhub.web.elsewhere import ELSEWHERE
from emailhub.web.pages.preview import PREVIEW_POLICY
from tests.support.web_hub import GOOD, WebHub, web_hub
from tests.web.test_guard import HOST, PASSWORD, PUBLIC, SAME, routes

SAFE = {"GET", "HEAD", "OPTIONS"}
FOREIGN: tuple[dict[str, str], ...] = (
    {"origin": "http://evil.test"},
    {"origin": "http://evil.test", "sec-fetch-site": "cross-site"},
    {"origin": "null", "sec-fetch-site": "cross-site"},
    {"origin": "null"},
    {"origin": HOST, "sec-fetch-site": "cross-site"},
    {"origin": "http://10.0.0.5:3000", "sec-fetch-site": "same-site"},
    {"origin": "http://10.0.0.5.evil.test:8000"},
    {"origin": "http://evil.test/http://10.0.0.5:8000"},
    {"origin": "https://10.0.0.5:8443"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "CROSS-SITE"},
    {"referer": "http://evil.test/"},
    {},
)
"""What the browser of a person who is logged in says of a request that no page of ours made; the least is nothing."""
TYPES = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", None)
"""What a form of another site can send without the browser asking first."""
NO_BODY = {"/logout", "/logout-everywhere", "/messages/{id:str}/{verb:str}", "/messages/{id:str}/preview"}
"""They read no body, so no type of it is wrong; where they come from is looked at as everywhere."""


WITHOUT_LOG_IN = {"/send_email", "/status"}
"""They ask for a key whoever is logged in."""
FORM = {"content-type": "application/x-www-form-urlencoded"}


class Target:
    """A hub with a message that waits, and a person who is logged in."""

    def __init__(self, hub: WebHub, client: httpx.AsyncClient, id: str) -> None:
        self.hub = hub
        self.client = client
        self.id = id

    def changes(self) -> Iterator[tuple[str, str, str]]:
        """Every method, route and address that changes something."""
        for method, route in routes(self.hub.app):
            if method not in SAFE and route.split("/")[1] not in ELSEWHERE:
                yield method, route, self.filled(route)

    def filled(self, route: str) -> str:
        """An address of `route` that would act on what is there."""
        known = {"id": self.id, "relay": "capture", "verb": "cancel", "name": "app.css"}
        return re.sub(r"\{(\w+):\w+\}", lambda found: known.get(found[1], "0"), route)

    async def state(self) -> list[str]:
        """All that is stored, but for what is remembered of visits and refused, and the index of words that follows the
        mail."""
        path = self.hub.database.path
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            return [line for line in database.iterdump() if not _REMEMBERED.match(line)]


_REMEMBERED = re.compile(
    r"""INSERT INTO "(audit|session|search|sqlite_sequence" VALUES\('audit')|DELETE FROM "sqlite_seq"""
)


@pytest_asyncio.fixture
async def target(tmp_path: Path) -> AsyncIterator[Target]:
    async with web_hub(tmp_path, PUBLIC) as hub:
        client = hub.client_from("10.9.9.9", HOST)
        assert (await client.post("/login", data={"password": PASSWORD}, headers=SAME)).status_code == 303
        sent = await client.post("/emails", json=GOOD | {"scheduled_at": "in 1 hour"}, headers=SAME)
        yield Target(hub, client, sent.json()["id"])


async def test_no_other_site_changes_anything_through_a_log_in(target: Target) -> None:
    before = await target.state()
    seen = set()
    for method, route, address in target.changes():
        for headers in FOREIGN:
            response = await target.client.request(method, address, content=b"a=1", headers=FORM | headers)
            refused = {403, 401} if route in WITHOUT_LOG_IN else {403}
            assert response.status_code in refused, (method, route, headers, response.text[:200])
        seen.add(route)
    assert len(seen) >= 30
    assert await target.state() == before
    assert (await target.client.get("/messages")).status_code == 200, "still logged in"


async def test_our_own_pages_do_change_things(target: Target) -> None:
    before = await target.state()
    response = await target.client.post(f"/messages/{target.id}/cancel", data={}, headers=SAME)
    assert response.status_code == 303
    assert await target.state() != before


async def test_no_other_site_changes_anything_on_an_open_hub_on_this_machine(tmp_path: Path) -> None:
    async with web_hub(tmp_path) as hub:
        target = Target(hub, hub.client, await hub.send(scheduled_at="in 1 hour"))
        before = await target.state()
        for method, route, address in target.changes():
            for headers in FOREIGN[:-2]:
                response = await hub.client.request(method, address, content=b"{}", headers=headers)
                assert response.status_code == 403, (method, route, headers)
        assert await target.state() == before


async def test_what_is_json_is_taken_as_json_only(tmp_path: Path) -> None:
    async with web_hub(tmp_path) as hub:
        target = Target(hub, hub.client, await hub.send(scheduled_at="in 1 hour"))
        before = await target.state()
        refused = set()
        for method, route, address in target.changes():
            if route in NO_BODY:
                continue
            as_json = {"content-type": "application/json"}
            taken = await hub.client.request(method, address, content=b"[]", headers=as_json)
            if taken.status_code in {404, 415}:
                continue
            for kind in TYPES:
                headers = {} if kind is None else {"content-type": kind}
                response = await hub.client.request(method, address, content=b'{"a": 1}', headers=headers)
                assert response.status_code == 415, (method, route, kind)
            refused.add(route)
        assert {"/emails", "/emails/batch", "/send_email", "/suppressions", "/breakers/{relay:str}"} <= refused
        assert await target.state() == before


async def test_no_other_site_listens_to_the_live_stream(target: Target) -> None:
    async with asyncio.timeout(10):  # a stream that is let in has no end
        for headers in FOREIGN[:-2]:
            assert (await target.client.get("/events", headers=headers)).status_code == 403, headers


async def test_no_answer_lets_another_site_read_it(target: Target) -> None:
    asked = {"origin": "http://evil.test", "access-control-request-method": "POST", "accept": "text/html"}
    for method, route in routes(target.hub.app):
        if method == "GET" and route != "/events":
            for verb in ("GET", "OPTIONS"):
                response = await target.client.request(verb, target.filled(route), headers=asked)
                allowed = [name for name in response.headers if name.startswith("access-control-")]
                assert allowed == [], (verb, route)
                assert response.headers["cross-origin-resource-policy"] == "same-origin", (verb, route)


STRICT = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "connect-src": "'self'",
    "form-action": "'self'",
    "frame-src": "'self'",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
}
"""What a page may load, and where its forms and frames lead. What is not named falls back to nothing, except
form-action, frame-ancestors and base-uri, which would then be anything."""


def directives(policy: str) -> dict[str, str]:
    return dict(part.strip().partition(" ")[::2] for part in policy.split(";"))


async def test_every_page_is_kept_by_nobody_framed_by_nobody_and_runs_our_script_only(target: Target) -> None:
    pages = set()
    for method, route in routes(target.hub.app):
        if method != "GET" or route == "/events":
            continue
        response = await target.client.get(target.filled(route), headers={"accept": "text/html"})
        policy = response.headers["content-security-policy"]
        assert response.headers["x-content-type-options"] == "nosniff", route
        assert response.headers["referrer-policy"] in {"same-origin", "no-referrer"}, route
        assert response.headers["cross-origin-opener-policy"] == "same-origin", route
        if not route.startswith("/static/"):
            assert "no-store" in response.headers["cache-control"], route
        if policy == PREVIEW_POLICY:
            assert route.endswith(("/preview", "/{template:str}/html")), route
            continue
        if "text/html" not in response.headers.get("content-type", ""):
            assert "default-src 'none'" in policy, route
            assert "unsafe" not in policy, route
        else:
            pages.add(route)
            assert directives(policy) == STRICT, route
            assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son[a-z]+=|javascript:", response.text), (
                route
            )
    assert {"/", "/messages", "/messages/{id:str}", "/relays", "/send", "/templates", "/docs"} <= pages


LOOPBACK = (
    "localhost",
    "LocalHost.",
    "localhost:8000",
    "app.localhost",
    "127.0.0.1",
    "127.1.2.3:1",
    "[::1]",
    "[::1]:80",
)
REBOUND = (
    "evil.test", "evil.test.", "EVIL.TEST:8000", "127.0.0.1.evil.test", "localhost.evil.test:8000", "evillocalhost",
    "0x7f.0.0.1", "2130706433", "127.1", "0177.0.0.1", "localhost..", "xn--localhost-.test",
)  # fmt: skip


async def test_this_machine_is_called_by_any_of_its_own_names(tmp_path: Path) -> None:
    async with web_hub(tmp_path) as hub:
        for host in LOOPBACK:
            assert (await hub.client.get("/health", headers={"host": host})).status_code == 200, host


async def test_a_name_somebody_else_points_at_this_machine_reads_nothing(tmp_path: Path) -> None:
    async with web_hub(tmp_path) as hub:
        for host, path in itertools.product(REBOUND, ("/", "/emails", "/health", "/static/app.css", "/events", "/x")):
            response = await hub.client.get(path, headers={"host": host})
            assert response.status_code in {400, 421}, (host, path, response.status_code)


async def test_no_header_of_a_proxy_takes_the_place_of_host(tmp_path: Path) -> None:
    async with web_hub(tmp_path, Access(allowed_hosts=("mail.example.org",))) as hub:
        for name in ("x-forwarded-host", "x-host", "x-original-host", "forwarded", "x-forwarded-server"):
            for value in ("mail.example.org", "host=mail.example.org"):
                response = await hub.client.get("/health", headers={"host": "evil.test", name: value})
                assert response.status_code == 421, (name, value)
