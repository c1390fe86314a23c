"""Templates over the API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from emailhub.core.template import Template, Variable
from emailhub.engine.gate import Access
from tests.support.web_hub import START, WebHub, web_hub

WELCOME = {"name": "Welcome", "alias": "welcome", "subject": "Hello {{ first }}", "html": "<p>Hello {{ first }}</p>"}


async def made(hub: WebHub, **fields: Any) -> str:
    """Make a template; its id."""
    answer = await hub.client.post("/templates", json=WELCOME | fields)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def said(answer: httpx.Response, status: int = 200) -> Any:
    """The body of an answer that has the status."""
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_a_template_goes_from_draft_to_published_and_back_to_an_older_version(hub: WebHub) -> None:
    id = await made(hub)
    assert said(await hub.client.get("/templates/welcome"))["status"] == "draft"
    published = said(await hub.client.post(f"/templates/{id}/publish"))
    assert published == {"object": "template", "id": id, "version": 1, "published_version": 1}
    changed = said(await hub.client.patch("/templates/welcome", json={"subject": "Hi {{ first }}"}))
    assert (changed["version"], changed["published_version"]) == (2, 1)
    assert said(await hub.client.post("/templates/welcome/publish"))["published_version"] == 2
    back = await hub.client.post("/templates/welcome/publish", json={"version": 1, "reason": "typo"})
    assert said(back)["published_version"] == 1
    found = said(await hub.client.get("/templates/welcome"))
    assert (found["version"], found["published_version"], found["has_unpublished_versions"]) == (2, 1, True)
    assert (found["subject"], found["html"]) == ("Hi {{ first }}", WELCOME["html"])
    first = said(await hub.client.get("/templates/welcome?version=1"))
    assert (first["version"], first["subject"]) == (1, "Hello {{ first }}")


async def test_all_that_was_given_is_given_back(hub: WebHub) -> None:
    variables = [{"key": "first", "type": "string", "fallback_value": "you", "sample": "Ada", "description": "name"}]
    more = {"from": "Shop <shop@example.org>", "reply_to": "help@example.org", "text": "Hello", "variables": variables}
    id = await made(hub, **more)
    found = said(await hub.client.get(f"/templates/{id}"))
    assert found["from"] == "Shop <shop@example.org>"
    assert found["reply_to"] == ["help@example.org"]
    assert found["variables"] == [variables[0] | {"required": False}]
    assert (found["origin"], found["languages"], found["problem"], found["published_at"]) == ("stored", [], None, None)
    assert found["created_at"] == found["updated_at"] == "2027-01-15T08:00:00.000Z"


async def test_versions_say_who_and_why(hub: WebHub) -> None:
    await made(hub, reason="spring campaign")
    await hub.client.patch("/templates/welcome", json={"text": "Hello", "reason": "for watches"})
    await hub.client.post("/templates/welcome/publish", json={"version": 1})
    found = said(await hub.client.get("/templates/welcome/versions"))["data"]
    assert [(one["version"], one["published"], one["reason"]) for one in found] == [
        (2, False, "for watches"),
        (1, True, "spring campaign"),
    ]
    assert {one["created_by"] for one in found} == {"local from 127.0.0.1"}
    kinds = [event.kind for event in await hub.faces.history.events_since(0, 10)]
    assert kinds == ["template_created", "template_saved", "template_published"]


async def test_a_source_that_does_not_compile_is_refused_with_its_line(hub: WebHub) -> None:
    answer = await hub.client.post("/templates", json=WELCOME | {"html": "a\n{% if first %}\nb"})
    assert said(answer, 422)["errors"][0]["field"] == "html"
    assert "line 2" in answer.json()["errors"][0]["message"]
    await made(hub)
    assert said(await hub.client.patch("/templates/welcome", json={"subject": "{{ first"}), 422)["errors"]
    assert said(await hub.client.get("/templates/welcome"))["version"] == 1


async def test_missing_and_wrong_fields_are_named(hub: WebHub) -> None:
    answer = said(await hub.client.post("/templates", json={"html": "x"}), 422)
    assert answer["name"] == "missing_required_field"
    assert [error["field"] for error in answer["errors"]] == ["name", "subject"]
    answer = said(await hub.client.post("/templates", json=WELCOME | {"colour": 1, "reason": 2}), 422)
    assert [error["field"] for error in answer["errors"]] == ["colour"]
    answer = said(await hub.client.post("/templates", json=WELCOME | {"reason": 2}), 422)
    assert [error["field"] for error in answer["errors"]] == ["reason"]
    for version in (0, "1", True, 2**31, 1.5):
        await made(hub, alias=None)
        wrong = await hub.client.post("/templates/welcome/publish", json={"version": version})
        assert said(wrong, 422)["errors"][0]["field"] == "version"


async def test_an_alias_that_is_taken_is_refused(hub: WebHub) -> None:
    await made(hub)
    answer = said(await hub.client.post("/templates", json=WELCOME), 422)
    assert answer["errors"] == [{"field": "alias", "message": "is the alias of another template already: Welcome"}]


async def test_what_is_not_there_is_not_found(hub: WebHub) -> None:
    for method, path in (
        ("GET", "/templates/nobody"),
        ("GET", "/templates/nobody/versions"),
        ("PATCH", "/templates/nobody"),
        ("DELETE", "/templates/nobody"),
        ("POST", "/templates/nobody/publish"),
        ("POST", "/templates/nobody/duplicate"),
        ("POST", "/templates/nobody/render"),
    ):
        answer = await hub.client.request(method, path, **({} if method in {"GET", "DELETE"} else {"json": {}}))
        assert said(answer, 404)["message"] == "There is no template 'nobody'.", (method, path)
    await made(hub)
    assert said(await hub.client.get("/templates/welcome?version=7"), 404)["message"] == "There is no version '7'."
    assert said(await hub.client.post("/templates/welcome/publish", json={"version": 7}), 404)


async def test_a_list_is_paged_by_id_in_order_of_what_they_are_called(hub: WebHub) -> None:
    ids = [await made(hub, name=f"T{number}", alias=f"t{number}") for number in range(5)]
    first = said(await hub.client.get("/templates?limit=2"))
    assert ([one["id"] for one in first["data"]], first["has_more"]) == (ids[:2], True)
    second = said(await hub.client.get(f"/templates?limit=2&after={ids[1]}"))
    assert ([one["alias"] for one in second["data"]], second["has_more"]) == (["t2", "t3"], True)
    last = said(await hub.client.get(f"/templates?limit=2&after={ids[3]}"))
    assert ([one["alias"] for one in last["data"]], last["has_more"]) == (["t4"], False)
    back = said(await hub.client.get(f"/templates?limit=2&before={ids[3]}"))
    assert ([one["alias"] for one in back["data"]], back["has_more"]) == (["t1", "t2"], True)
    assert said(await hub.client.get("/templates?after=nobody"), 422)["errors"][0]["field"] == "after"
    assert said(await hub.client.get(f"/templates?after={ids[0]}&before={ids[1]}"), 422)
    assert said(await hub.client.get("/templates?limit=0"), 422)
    assert said(await hub.client.get("/templates?colour=red"), 422)
    assert said(await hub.client.get("/templates/t1?version=x"), 422)["errors"][0]["field"] == "version"
    assert said(await hub.client.get("/templates/t1?language=x"), 422)["errors"][0]["field"] == "language"


async def test_a_duplicate_is_a_draft_and_a_deleted_template_is_gone(hub: WebHub) -> None:
    id = await made(hub)
    copy = said(await hub.client.post("/templates/welcome/duplicate"))["id"]
    found = said(await hub.client.get(f"/templates/{copy}"))
    assert (found["name"], found["alias"], found["status"]) == ("Welcome (copy)", None, "draft")
    gone = said(await hub.client.request("DELETE", f"/templates/{id}", json={"reason": "unused"}))
    assert gone == {"object": "template", "id": id, "deleted": True}
    assert said(await hub.client.get("/templates/welcome"), 404)


async def test_a_template_is_tried_with_samples_and_values(hub: WebHub) -> None:
    await made(hub, variables=[{"key": "first", "sample": "Ada"}])
    found = said(await hub.client.post("/templates/welcome/render"))
    assert (found["subject"], found["html"]) == ("Hello Ada", "<p>Hello Ada</p>")
    found = said(await hub.client.post("/templates/welcome/render", json={"variables": {"first": "<Bob>"}}))
    assert (found["subject"], found["html"]) == ("Hello <Bob>", "<p>Hello &lt;Bob&gt;</p>")
    answer = said(await hub.client.post("/templates/welcome/render", json={"variables": {"first": 3}}), 422)
    assert answer["errors"][0]["field"] == "template.variables.first"
    assert await hub.stored() == 0
    for wrong in ({"variables": []}, {"language": 3}, {"language": "\n"}, {"version": 0}, {"reason": "x"}):
        assert said(await hub.client.post("/templates/welcome/render", json=wrong), 422)


async def test_files_are_listed_and_read_beside_stored_ones_and_not_changed(hub: WebHub) -> None:
    hub.files.templates = [
        Template(id="reset", subject="Reset", html="<p>x</p>", variables=(Variable(name="link"),), changed_at=START),
        Template(id="reset", language="fr", subject="Changer", html="<p>x</p>", changed_at=START),
    ]
    await made(hub)
    found = said(await hub.client.get("/templates"))["data"]
    assert [(one["id"] if one["origin"] == "file" else one["alias"], one["status"]) for one in found] == [
        ("reset", "published"),
        ("welcome", "draft"),
    ]
    one = said(await hub.client.get("/templates/reset"))
    assert (one["version"], one["languages"], one["variables"][0]["required"]) == (None, ["fr"], True)
    assert said(await hub.client.get("/templates/reset?language=fr"))["subject"] == "Changer"
    answer = said(await hub.client.patch("/templates/reset", json={"subject": "x"}), 409)
    assert answer["name"] == "invalid_state"
    assert answer["message"] == "Template reset is kept in files: change it there."
    assert said(await hub.client.get("/templates/reset/versions"), 409)


@pytest.mark.parametrize("path", ("/templates", "/templates/welcome"))
async def test_a_key_opens_the_json_and_not_the_page(path: str, tmp_path: Path) -> None:
    access = Access(api_keys=("k" * 32,), admin_password="p" * 16)
    async with web_hub(tmp_path, access) as hub:
        key = {"authorization": f"Bearer {'k' * 32}"}
        assert (await hub.client.post("/templates", json=WELCOME, headers=key)).status_code == 200
        assert (await hub.client.get(path, headers=key)).headers["content-type"] == "application/json"
        assert (await hub.client.get(path)).status_code == 401
        page = await hub.client.get(path, headers={"accept": "text/html"})
        assert (page.status_code, page.headers["location"]) == (303, f"/login?next={path}")
