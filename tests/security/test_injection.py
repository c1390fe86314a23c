"""What arrives as data is never taken for a query, a line of a log, a path or a formula."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote, unquote

import pytest

from emailhub import logs
from emailhub.core.query import FIELDS
from tests.security.test_browser import Target
from tests.support.web_hub import WebHub
from tests.web.test_guard import routes

SQL = (
    "' OR 1=1 --", '" OR ""="', "'; DROP TABLE message; --", "1; DELETE FROM recipient",
    "') UNION SELECT sql FROM sqlite_master --", "%' OR '%'='", "\\' OR 1=1 --", "NULL", "0x31", "' || (SELECT 1) || '",
    "a' AND (SELECT count(*) FROM message) > 0 --",
    "x'3b'", "?1", ":id", "@id", "$id", "a* OR b*", 'NEAR("a" "b", 5)', '"', "^a", "{a b}: c", "-a", "a:b", "*",
)  # fmt: skip
PARAMETERS = (
    "q",
    "limit",
    "after",
    "before",
    "status",
    "state",
    "request_id",
    "correlation_id",
    "relay",
    "template",
    "origin",
    "to",
    "actor",
    "what",
    "target",
    "span",
    "view",
    "next",
)
PATHS = (
    "..%2f..%2f..%2fetc%2fpasswd", "../../../etc/passwd", "....//....//etc/passwd", "%2e%2e/%2e%2e/etc/passwd",
    "..%5c..%5cetc", "/etc/passwd", "%00", "app.css%00.html", "C:%5cwindows", "file:%2f%2f%2fetc%2fpasswd", ".env",
    "..%c0%af..%c0%afetc/passwd",
)  # fmt: skip


@pytest.mark.parametrize("attacks", (SQL[::12], pytest.param(SQL, marks=pytest.mark.nightly)), ids=("some", "all"))
async def test_no_parameter_and_no_part_of_a_path_reaches_the_database_as_words_of_its_own(
    hub: WebHub, attacks: Sequence[str]
) -> None:
    target = Target(hub, hub.client, await hub.send(subject="Hello", scheduled_at="in 1 hour"))
    before = await target.state()
    gets = sorted({route for method, route in routes(hub.app) if method == "GET"} - {"/events"})
    for attack in attacks:
        for route in gets:
            response = await hub.client.get(target.filled(route), params=dict.fromkeys(PARAMETERS, attack))
            assert response.status_code < 500, (route, attack, response.text[:200])
        for route in (route for route in gets if "{" in route):
            response = await hub.client.get(re.sub(r"\{\w+:\w+\}", quote(attack, safe="").replace("\\", r"\\"), route))
            assert response.status_code in {303, 400, 404, 422}, (route, attack, response.status_code)
    assert await target.state() == before


async def test_no_parameter_alone_and_no_term_of_a_search_reaches_the_database_as_words_of_its_own(hub: WebHub) -> None:
    # All at once they are refused where one of them is not known, before any of them is used.
    await hub.send(subject="Hello", scheduled_at="in 1 hour")
    lists = sorted({route for method, route in routes(hub.app) if method == "GET" and "{" not in route} - {"/events"})
    asked = [(route, {name: "'\" OR 1=1 --"}) for route in lists for name in PARAMETERS]
    asked += [(route, {"q": f'{field}:"\' OR 1=1 --"'}) for route in ("/emails", "/messages") for field in FIELDS]
    used = 0
    for route, given in asked:
        for accept in ("application/json", "text/html"):
            response = await hub.client.get(route, params=given, headers={"accept": accept})
            assert response.status_code < 500, (route, given, response.text[:200])
            used += response.status_code == 200
    assert used > 100


@pytest.mark.parametrize("parameter", ("q", "request_id"))
async def test_a_search_finds_what_it_says_and_not_everything(hub: WebHub, parameter: str) -> None:
    # No word of it begins as a word of these attacks does, which a search for words would rightly find.
    await hub.send(subject="Hello", to="ada@mail.test", **{"from": "hub@mail.test"})
    for attack in SQL[:7]:
        found = await hub.client.get("/emails", params={parameter: attack})
        assert found.status_code == 422 or found.json()["data"] == [], attack


async def test_no_address_leads_out_of_the_folders_of_the_hub(hub: WebHub) -> None:
    for path in PATHS:
        for root in ("/static/", "/templates/", "/emails/", "/messages/", "/relays/", "/docs/"):
            for rest in ("", "/source", "/files/0"):
                response = await hub.client.get(root + path + rest)
                assert response.status_code in {400, 404, 405, 422}, (root, path, rest, response.status_code)
                assert b"root:" not in response.content
    for name in ("../../etc/passwd", "/etc/passwd", "..", ".", "a/../b", "%2e%2e%2f", "a\\..\\b", "con", "nul\x00"):
        body = {"to": "ada@example.org", "template": {"id": name}}
        response = await hub.client.post("/emails", json=body)
        assert response.status_code in {404, 422}, (name, response.text)


@pytest.mark.usefixtures("restored_logging")
@pytest.mark.parametrize("format", ("json", "console"))
async def test_no_request_writes_a_line_of_its_own_into_the_log(hub: WebHub, format: str) -> None:
    stream = io.StringIO()
    forged = '{"level":"error","event":"forged"}'
    logs.configure(stream=stream, format=format, level="debug")
    for line_end in ("%0d%0a", "%0a", "%0d", "%e2%80%a8", "%c2%85", "%1b%5b2K", "%00"):
        await hub.client.get(f"/nowhere{line_end}{forged}")
        await hub.client.get(f"/emails/x{line_end}{forged}", headers={"user-agent": f"a {forged}"})
        await hub.client.post("/login", content=f"password={line_end}{forged}", headers={"host": "evil.test"})
        await hub.client.post("/emails", json={"to": unquote(f"a{line_end}{forged}"), "subject": "s"})
    for name in ("x-request-id", "x-correlation-id", "traceparent", "x-forwarded-for"):
        await hub.client.get("/emails", headers=[(name, f"a\x1b[2K {forged}")])
    assert logs.close(5)
    written = stream.getvalue()
    assert written.count("\n") > 20
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]", written)
    for line in written.splitlines():
        assert not line.startswith(forged[:10])
        if format == "json":
            assert json.loads(line)["event"] != "forged"


def test_nothing_writes_csv_but_what_makes_formulas_text() -> None:
    writers = [
        path
        for path in (Path(__file__).parents[2] / "emailhub").rglob("*.py")
        if re.search(r"^import csv|^from csv |media_type=\"text/csv", path.read_text("utf-8"), re.MULTILINE)
    ]
    assert writers
    for path in writers:
        assert "from emailhub.core.csv import line" in path.read_text("utf-8"), path
