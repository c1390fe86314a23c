"""The API's own description: true, complete, and readable without the Internet."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs

from emailhub.adapters.sqlite.upkeep import SqliteUpkeep
from emailhub.core import parse, wording
from emailhub.core.records import DeadLetter
from emailhub.engine.gate import Area
from emailhub.web import contract
from emailhub.web.elsewhere import OF_EMAILS
from emailhub.web.faces import WebOptions
from emailhub.web.openapi import document
from emailhub.web.operations import OPERATIONS
from emailhub.web.requests import (
    BreakerRequest,
    EmailRequest,
    SendEmailRequest,
    names,
)
from emailhub.web.template_requests import NewTemplateRequest, TemplateChangeRequest
from tests.support.web_hub import WebHub, web_hub

LETTER = DeadLetter(id=0, at=1.0, reason="", body=b"{", headers={}, content_type="text/x", correlation_id="c")
UNDESCRIBED = {"/login", "/logout", "/docs"}
FORMS = {
    "/api-keys/made",
    "/api-keys/{key_id}/revocation",
    "/api-keys/{key_id}/rotation",
    "/dead-letters/{letter}/body",
    "/dead-letters/{letter}/discarding",
    "/dead-letters/{letter}/message",
    "/jobs",
    "/jobs/{job_id}/stop",
    "/relays/{relay}/breaker",
    "/relays/{relay}/sender",
    "/relays/{relay}/chaos",
    "/relays/{relay}/test",
    "/settings/reload",
    "/suppressions/add",
    "/suppressions/lift",
    "/templates/{template}/copy",
    "/templates/{template}/edit",
    "/templates/{template}/preview",
    "/templates/{template}/published",
    "/templates/{template}/removal",
    "/templates/{template}/test",
    "/users/added",
    "/users/{name}/logout",
    "/users/{name}/password",
    "/users/{name}/removal",
    "/users/{name}/role",
}
"""Of the dashboard: forms in, redirects out."""


def refs(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from ([value["$ref"]] if "$ref" in value else [])
        for item in value.values():
            yield from refs(item)
    elif isinstance(value, list):
        for item in value:
            yield from refs(item)


def resolved(found: dict[str, Any], ref: str) -> Any:
    for part in ref.removeprefix("#/").split("/"):
        found = found[part]
    return found


def test_the_document_is_whole() -> None:
    found = document(None)
    assert found["openapi"] == "3.1.0"
    assert set(found["info"]) >= {"title", "version"}
    for ref in refs(found):
        assert resolved(found, ref)
    ids = [operation["operationId"] for path in found["paths"].values() for operation in path.values()]
    assert len(ids) == len(set(ids)) == len(OPERATIONS)
    for path, methods in found["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], (method, path)
            assert "200" in operation["responses"]
            for response in operation["responses"].values():
                assert "$ref" in response or (response["description"] and response["content"])
            parameters = [(given["in"], given["name"]) for given in operation.get("parameters", ())]
            assert len(parameters) == len(set(parameters))
            in_path = {name for place, name in parameters if place == "path"}
            assert in_path == set(re.findall(r"{(\w+)}", path)), path


async def test_every_route_of_the_api_is_described_and_nothing_else(hub: WebHub) -> None:
    pages = {route.path for route in hub.app.routes if "html" in str(await page_kind(hub, route.path))}
    described = {(operation.method.upper(), operation.path.rstrip("/")) for operation in OPERATIONS}
    served = {
        (method, re.sub(r":\w+}", "}", route.path))
        for route in hub.app.routes
        for method in getattr(route, "methods", ())
        if method != "OPTIONS" and route.path not in UNDESCRIBED | OF_EMAILS.keys()
    }
    assert described <= served
    apis = (
        "/emails",
        "/breakers",
        "/dead-letters",
        "/relays",
        "/reload",
        "/settings",
        "/suppressions",
        "/templates",
        "/api-keys",
        "/users",
        "/audit",
        "/bulk",
        "/send_email",
        "/status",
        "/health",
        "/metrics",
        "/events",
        "/schema",
    )
    extra = {(method, path) for method, path in served - described if path.startswith(apis) and path not in FORMS}
    assert not extra
    assert "/" in pages


async def page_kind(hub: WebHub, path: str) -> str:
    if "{" in path or path == "/events":
        return ""
    return (await hub.client.get(path)).headers.get("content-type", "")


def test_the_described_fields_are_those_that_are_read() -> None:
    assert names(EmailRequest) == set(parse.FIELDS)
    assert names(SendEmailRequest) == {*contract.REQUIRED, *contract.OPTIONAL}
    assert names(NewTemplateRequest) == names(TemplateChangeRequest) == {*wording.FIELDS, "reason"}
    assert names(BreakerRequest) == {"state", "reason", "until"}


async def test_answers_have_the_fields_that_are_described(hub: WebHub) -> None:
    id = await hub.send(attachments=[{"filename": "a", "content": "QQ=="}])
    await hub.client.post("/send_email/", json={"to": "a@example.org", "subject": "s", "body": "b", "request_id": "r"})
    await hub.client.post("/suppressions", json={"email": "bob@example.org"})
    await hub.client.post("/templates", json={"name": "Hello", "alias": "hello", "subject": "Hello", "text": "Hello"})
    job = (await hub.client.post("/emails/bulk", json={"action": "hold", "query": "nothing"})).json()["job"]
    await SqliteUpkeep(hub.database).bury([LETTER])
    made = (await hub.client.post("/api-keys", json={"name": "billing"})).json()
    # While there is a key that works, everybody needs one.
    await hub.client.delete(f"/api-keys/{made['id']}", headers={"authorization": f"Bearer {made['token']}"})
    found = document(None)
    for operation in OPERATIONS:
        if isinstance(operation.answer, str) or operation.method != "get":
            continue
        path = operation.path.format(
            id=id, relay="capture", key="bob@example.org", template="hello", attachment_id="0", key_id=made["id"],
            job_id=job["id"], letter="1",
        )  # fmt: skip
        answer = (await hub.client.get(path)).json()
        schema = found["components"]["schemas"][operation.answer.__name__]
        assert set(answer) <= set(schema["properties"]), path
        assert set(schema.get("required", ())) <= set(answer), path


def test_every_body_and_every_json_answer_has_an_example_that_its_schema_allows() -> None:
    found = document(None)
    shown = 0
    for path, methods in found["paths"].items():
        for method, operation in methods.items():
            bodies = [operation["requestBody"]] if "requestBody" in operation else []
            answers = [
                resolved(found, answer["$ref"]) if "$ref" in answer else answer
                for answer in operation["responses"].values()
            ]
            for content in [one["content"] for one in (*bodies, *answers)]:
                for media, told in content.items():
                    if media == "application/json":
                        schema = told["schema"] | {"components": found["components"]}
                        validator = jsonschema_rs.validator_for(schema)
                        problems = [error.message for error in validator.iter_errors(told["example"])]
                        assert problems == [], (method, path, told["example"])
                        shown += 1
    assert shown > 200


def test_what_may_be_answered_to_every_request_is_described_for_every_operation() -> None:
    guarded = {Area.OPEN: set(), Area.SHARED: {401, 403}, Area.SEND: {401, 403, 429}, Area.API: {401, 403, 429}}
    paths = document(None)["paths"]
    for operation in OPERATIONS:
        told = {int(status) for status in paths[operation.path][operation.method]["responses"]}
        assert told >= {200, 400, 408, 421, 500, 503} | guarded[operation.area] | set(operation.errors)
        assert not operation.body or told >= {413, 415, 422}, operation.path


def test_a_link_leads_to_the_operations_on_what_was_answered() -> None:
    paths = document(None)["paths"]
    assert "Idempotency-Replayed" in paths["/emails"]["post"]["responses"]["200"]["headers"]
    links = paths["/emails"]["post"]["responses"]["200"]["links"]
    assert set(links) >= {"get_emails_id", "patch_emails_id", "post_emails_id_cancel", "get_emails_id_attempts"}
    assert links["get_emails_id"]["parameters"] == {"id": "$response.body#/id"}
    listed = paths["/relays"]["get"]["responses"]["200"]["links"]["get_relays_relay"]
    assert listed["parameters"] == {"relay": "$response.body#/data/0/name"}


async def test_the_document_is_served_with_the_public_address(tmp_path: Path) -> None:
    url = "https://mail.example.org/hub"
    async with web_hub(tmp_path, options=WebOptions(public_url=url)) as hub:
        response = await hub.client.get("/schema/openapi.json")
        assert response.headers["content-type"] == "application/vnd.oai.openapi+json"
        assert response.json()["servers"] == [{"url": url}]


async def test_the_reference_page_needs_nothing_from_elsewhere_and_no_inline_code(hub: WebHub) -> None:
    page = (await hub.client.get("/docs")).text
    for operation in OPERATIONS:
        assert f"<code>{operation.path}</code>" in page
        assert operation.summary in page
    for source in re.findall(r'(?:src|href)="([^"]*)"', page):
        assert source.startswith(("/", "#")), source
        if source.startswith("/static/"):
            assert (await hub.client.get(source)).status_code == 200, source
    assert "<style" not in page
    assert not re.search(r"\sstyle=|\son\w+=", page)
    assert not re.search(r"<script(?![^>]*src=)", page)


async def test_every_link_inside_the_reference_leads_somewhere(hub: WebHub) -> None:
    page = (await hub.client.get("/docs")).text
    anchors = set(re.findall(r'id="([^"]+)"', page))
    links = set(re.findall(r'href="#([^"]+)"', page))
    assert links <= anchors, links - anchors
