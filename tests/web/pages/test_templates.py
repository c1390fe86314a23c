"""The pages of templates: the list, one of them, the form, and what can be done there."""

from __future__ import annotations

import re
from typing import Any

import pytest

from emailhub.core.errors import Problem, Refused
from emailhub.core.template import Broken, Template, Variable, VariableType
from emailhub.web.pages.preview import PREVIEW_POLICY
from emailhub.web.pages.templates import Look, stand_ins
from tests.support.templates import PlainRenderer
from tests.support.web_hub import START, WebHub
from tests.web.pages.reading import HTML, page, press, words_of

WELCOME: dict[str, Any] = {
    "name": "Welcome mail",
    "alias": "welcome",
    "subject": "Hello {{ first }}",
    "html": "<p>Hello {{ first }}</p>",
    "variables": [{"key": "first", "sample": "Ada"}],
}
TYPED = {
    "name": "Welcome mail",
    "alias": "welcome",
    "subject": "Hello {{ first }}",
    "html": "<p>Hello {{ first }}</p>",
    "key-0": "first",
    "type-0": "string",
    "sample-0": "Ada",
    "key-2": "items",
    "type-2": "list",
    "fallback-2": "[1, 2]",
}


async def made(hub: WebHub, **fields: Any) -> str:
    answer = await hub.client.post("/templates", json=WELCOME | fields)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


async def publish(hub: WebHub, **fields: Any) -> None:
    assert (await hub.client.post("/templates/welcome/publish", json=fields)).status_code == 200


async def test_an_empty_list_says_what_to_do(hub: WebHub) -> None:
    words = words_of(await page(hub, "/templates"))
    assert "No templates yet." in words
    assert "EMAILHUB_TEMPLATES" in words
    assert "curl http://localhost:8000/emails" in words


async def test_the_list_tells_where_each_is_from_and_how_it_stands(hub: WebHub) -> None:
    await made(hub)
    await publish(hub)
    await hub.client.patch("/templates/welcome", json={"subject": "Hi"})
    await made(hub, alias="never", subject="Never sent")
    hub.files.templates = [
        Template(id="reset", subject="Reset", html="x", changed_at=START - 3600),
        Template(id="reset", language="fr", subject="Changer", html="x", changed_at=START - 3600),
    ]
    hub.files.reasons = [Broken(id="lost", reason="it has no subject.txt")]
    words = words_of(await page(hub, "/templates"))
    assert "✓ published welcome Welcome mail Hi version 1 · version 2 not published yet just now" in words
    assert "○ draft never Welcome mail Never sent version 1, never published" in words
    assert "✓ published reset Reset file · also in fr 1 h ago" in words
    assert "✕ broken lost lost it has no subject.txt" in words
    assert "1 template cannot be used as it stands" in words


async def test_a_template_is_shown_with_its_samples(hub: WebHub) -> None:
    await made(hub)
    found = await page(hub, "/templates/welcome")
    assert "Subject Hello Ada" in words_of(found)
    assert "a draft: no message is made from it yet" in words_of(found)
    assert '<iframe sandbox src="/templates/welcome/preview"' in found
    frame = await hub.client.get("/templates/welcome/preview")
    assert frame.text == "<p>Hello Ada</p>"
    assert frame.headers["content-security-policy"] == PREVIEW_POLICY


async def test_a_page_is_headed_by_the_name_people_gave_not_by_what_messages_write(hub: WebHub) -> None:
    await made(hub)
    found = await page(hub, "/templates/welcome")
    assert "<title>Template Welcome mail" in found
    assert "<h1>Welcome mail " in found
    assert "<code>welcome</code> · version 1" in found


async def test_typed_values_are_shown_and_kept_in_the_address(hub: WebHub) -> None:
    await made(hub)
    values = '{"first": "<Bob> & co"}'
    found = await page(hub, "/templates/welcome?values=%7B%22first%22%3A+%22%3CBob%3E+%26+co%22%7D&width=phone")
    assert "Subject Hello <Bob> & co" in words_of(found)
    assert 'class="frame phone"' in found
    address = re.search(r'<iframe sandbox src="([^"]+)"', found)
    assert address
    frame = await hub.client.get(address[1].replace("&amp;", "&"))
    assert frame.text == "<p>Hello &lt;Bob&gt; &amp; co</p>"
    assert Look.of("welcome", {"values": values, "width": "phone"}).path(width="").count("values=") == 1


async def test_values_that_do_not_fit_are_told_where_the_preview_was(hub: WebHub) -> None:
    await made(hub)
    for values, told in (
        ("{}", "template.variables.first is required by the template welcome"),
        ("nonsense", "values are not valid JSON"),
        ("[1]", "must be a JSON object"),
        ('"' + "x" * 4000 + '"', "at most 4000 are shown here"),
    ):
        response = await hub.client.get("/templates/welcome", params={"values": values}, headers=HTML)
        assert response.status_code == 200
        assert "It makes no message from these values" in words_of(response.text)
        assert told in words_of(response.text)
        assert "<iframe" not in response.text


async def test_text_and_source_are_views_of_their_own(hub: WebHub) -> None:
    await made(hub)
    assert "made of html Made from the HTML" in words_of(await page(hub, "/templates/welcome?view=text"))
    source = await page(hub, "/templates/welcome?view=source")
    assert "&lt;p&gt;Hello {{ first }}&lt;/p&gt;" in source
    await hub.client.patch("/templates/welcome", json={"html": None, "text": "Plain {{ first }}"})
    found = words_of(await page(hub, "/templates/welcome"))
    assert "Plain Ada The template has no HTML" in found


async def test_an_older_version_is_looked_at_and_gone_back_to(hub: WebHub) -> None:
    id = await made(hub)
    await hub.client.patch("/templates/welcome", json={"subject": "Hi {{ first }}", "reason": "shorter"})
    await publish(hub)
    found = await page(hub, "/templates/welcome?version=1")
    assert "Subject Hello Ada" in words_of(found)
    assert "Version 1. Messages use version 2" in words_of(found)
    assert "by local from 127.0.0.1: shorter" in words_of(found)
    assert "Go back to it" in found
    answer = await press(hub, "/templates/welcome/published", version="1", reason="typo")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/templates/{id}")
    assert (await hub.faces.shelf.find("welcome")).published == 1
    words = words_of(await page(hub, "/templates/welcome", cookie=answer.headers["set-cookie"].partition(";")[0]))
    assert "Version 1 is published: messages are made from it from now on." in words
    assert "Version 1 published in place of version 2 by admin" not in words
    assert "Version 1 published in place of version 2 by local from 127.0.0.1: typo" in words


async def test_publishing_nothing_in_particular_changes_nothing(hub: WebHub) -> None:
    await made(hub)
    answer = await press(hub, "/templates/welcome/published", version="all")
    assert answer.status_code == 303
    assert (await hub.faces.shelf.find("welcome")).published is None
    assert (await press(hub, "/templates/welcome/published", version="9")).status_code == 404


async def test_a_test_goes_the_way_of_every_message(hub: WebHub) -> None:
    await made(hub, **{"from": "Shop <shop@example.org>", "reply_to": ["help@example.org"]})
    answer = await press(hub, "/templates/welcome/test", to="bob@example.org", values='{"first": "Bob"}')
    assert answer.status_code == 303
    detail = await hub.faces.history.find(answer.headers["location"].rpartition("/")[2])
    assert (detail.summary.subject, detail.summary.face, detail.sender) == (
        "Hello Bob",
        "dashboard",
        "shop@example.org",
    )
    content = await hub.faces.history.content(detail.summary.id)
    assert content
    assert b"Reply-To: help@example.org" in content
    assert b"<p>Hello Bob</p>" in content
    assert detail.summary.made
    assert detail.summary.made.version == "1"
    shown = words_of(await page(hub, f"/messages/{detail.summary.id}"))
    assert "Template welcome , version 1" in shown
    listed = await page(hub, f"/messages?template={detail.summary.made.id}")
    assert detail.summary.id in listed
    await press(hub, "/templates/welcome/removal")
    gone = words_of(await page(hub, f"/messages/{detail.summary.id}"))
    assert f"Template {detail.summary.made.id} , version 1 · deleted since" in gone


async def test_a_test_that_cannot_go_says_why_and_keeps_what_was_typed(hub: WebHub) -> None:
    await made(hub)
    answer = await press(hub, "/templates/welcome/test", to="nonsense", values='{"first": "Bob"}')
    assert answer.status_code == 422
    assert 'name="to" value="nonsense"' in answer.text
    assert "Subject Hello Bob" in words_of(answer.text)
    assert 'class="problem"' in answer.text
    answer = await press(hub, "/templates/welcome/test", to="bob@example.org", values="{}")
    assert answer.status_code == 422
    assert "is required by the template" in words_of(answer.text)
    hub.room.stopping = True
    answer = await press(hub, "/templates/welcome/test", to="bob@example.org")
    assert answer.status_code == 503
    assert "Not accepted: emailhub is stopping" in words_of(answer.text)
    assert await hub.stored() == 0


async def test_a_new_template_is_typed_and_kept_as_a_draft(hub: WebHub) -> None:
    form = await page(hub, "/new-template")
    assert "Save as a draft" in form
    answer = await press(hub, "/new-template", **TYPED, reason="  first\ntry ")
    assert answer.status_code == 303
    stored, found = await hub.faces.shelf.draft("welcome")
    assert answer.headers["location"] == f"/templates/{stored.id}"
    assert (stored.name, stored.published) == ("Welcome mail", None)
    assert found.wording.variables == (
        Variable(name="first", sample="Ada"),
        Variable(name="items", type=VariableType.LIST, default=[1, 2]),
    )
    assert [one.note for one in await hub.faces.shelf.versions("welcome")] == ["first try"]


async def test_saving_may_publish_at_once(hub: WebHub) -> None:
    await press(hub, "/new-template", **TYPED, then="publish")
    assert (await hub.faces.shelf.find("welcome")).published == 1
    await press(hub, "/templates/welcome/edit", **(TYPED | {"subject": "Hi {{ first }}", "base": "1"}), then="publish")
    assert (await hub.faces.shelf.find("welcome")).published == 2


async def test_what_is_wrong_stands_at_its_field_and_nothing_typed_is_lost(hub: WebHub) -> None:
    wrong = {"name": "", "alias": "a b", "html": "{% if first %}", "from": "nobody", "sample-2": "[1", "key-3": "9"}
    answer = await press(hub, "/new-template", **(TYPED | wrong))
    assert answer.status_code == 422
    assert answer.text.count('aria-invalid="true"') == 3
    assert "{% if first %}</textarea>" in answer.text
    words = words_of(answer.text)
    assert "Variable 2: sample must be a list as JSON writes it, not [1." in words
    assert "Variable 3: key must be 1 to 64 letters" in words
    assert 'name="sample-1" value="[1"' in answer.text
    answer = await press(hub, "/new-template", **(TYPED | {"html": "{% if first %}"}))
    assert "Line 1: Unexpected end of template" in words_of(answer.text)
    assert await hub.faces.shelf.all() == []


async def test_what_cannot_be_checked_now_is_not_lost(hub: WebHub, monkeypatch: pytest.MonkeyPatch) -> None:
    await made(hub)

    async def busy(_: PlainRenderer, __: Template) -> tuple[Problem, ...]:
        raise Refused("service_unavailable", "500 templates wait to be rendered already")

    monkeypatch.setattr(PlainRenderer, "check", busy)
    for path in ("/new-template", "/templates/welcome/edit"):
        answer = await press(hub, path, **(TYPED | {"subject": "Typed"}))
        assert answer.status_code == 503
        assert "Not saved: 500 templates wait" in words_of(answer.text)
        assert 'name="subject" value="Typed"' in answer.text


async def test_a_mistake_stands_at_its_text_without_the_name_of_a_file_nobody_gave(
    hub: WebHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def wrong(_: PlainRenderer, __: Template) -> tuple[Problem, ...]:
        gone = Problem("text", "body.txt includes 'x', which is gone")
        return Problem("html", "body.html line 1: unexpected '}'"), gone

    monkeypatch.setattr(PlainRenderer, "check", wrong)
    words = words_of((await press(hub, "/new-template", **TYPED)).text)
    assert "Line 1: unexpected '}'." in words
    assert "Includes 'x', which is gone." in words


async def test_many_variables_fit_into_the_form(hub: WebHub) -> None:
    await made(hub, variables=[{"key": f"v{number}", "fallback_value": "x"} for number in range(100)])
    form = await page(hub, "/templates/welcome/edit")
    typed = dict(re.findall(r'<input name="(\w+-\d+)" value="([^"]*)"', form))
    assert len(typed) == 400
    answer = await press(hub, "/templates/welcome/edit", **(typed | {"name": "N", "subject": "S", "html": "x"}))
    assert answer.status_code == 303
    _, found = await hub.faces.shelf.draft((await hub.faces.shelf.all())[0].id)
    assert [one.name for one in found.wording.variables] == [f"v{number}" for number in range(100)]


async def test_the_form_has_the_newest_version_and_saves_another(hub: WebHub) -> None:
    id = await made(hub, text="\nHello")
    await publish(hub)
    form = await page(hub, "/templates/welcome/edit")
    assert "Saving makes version 2. Messages keep using version 1" in words_of(form)
    assert 'name="key-0" value="first"' in form
    assert 'name="sample-0" value="Ada"' in form
    answer = await press(hub, f"/templates/{id}/edit", **(TYPED | {"base": "1", "subject": "Hi"}))
    assert answer.status_code == 303
    entry = await hub.faces.shelf.find("welcome")
    assert (entry.newest, entry.published, entry.subject) == (2, 1, "Hi")


async def test_what_somebody_else_saved_meanwhile_is_told_before_it_is_covered(hub: WebHub) -> None:
    await made(hub)
    await hub.client.patch("/templates/welcome", json={"subject": "Theirs"})
    answer = await press(hub, "/templates/welcome/edit", **(TYPED | {"base": "1", "subject": "Mine"}))
    assert answer.status_code == 409
    assert "Somebody saved version 2 meanwhile." in words_of(answer.text)
    assert 'name="subject" value="Mine"' in answer.text
    assert 'name="base" value="2"' in answer.text
    await press(hub, "/templates/welcome/edit", **(TYPED | {"base": "2", "subject": "Mine"}))
    assert (await hub.faces.shelf.find("welcome")).newest == 3


async def test_a_template_is_copied_and_deleted(hub: WebHub) -> None:
    await made(hub)
    answer = await press(hub, "/templates/welcome/copy")
    assert answer.headers["location"].endswith("/edit")
    form = await page(hub, answer.headers["location"])
    assert "<h1>Edit Welcome mail (copy)</h1>" in form
    assert "<title>Edit Welcome mail (copy)" in form
    answer = await press(hub, "/templates/welcome/removal", reason="unused")
    assert answer.headers["location"] == "/templates"
    assert [entry.name for entry in await hub.faces.shelf.all()] == ["Welcome mail (copy)"]
    await page(hub, "/templates/welcome", status=404)
    last = (await hub.faces.history.events_since(0, 10))[-1]
    assert (last.kind, last.data["actor"], last.data["note"]) == ("template_deleted", "local from 127.0.0.1", "unused")


async def test_a_file_is_shown_in_its_languages_and_offers_no_change(hub: WebHub) -> None:
    hub.files.templates = [
        Template(id="reset", subject="Reset", html="<p>en</p>"),
        Template(id="reset", language="fr", subject="Changer", html="<p>fr</p>"),
    ]
    found = await page(hub, "/templates/reset?language=fr")
    assert "Subject Changer" in words_of(found)
    assert "/edit" not in found
    assert "Delete…" not in found
    await page(hub, "/templates/reset/edit", status=409)
    assert (await press(hub, "/templates/reset/removal")).status_code == 409


async def test_a_broken_file_says_why_and_shows_what_worked(hub: WebHub) -> None:
    hub.files.templates = [Template(id="reset", subject="Reset", html="<p>old</p>")]
    hub.files.reasons = [
        Broken(id="reset", reason="body.html line 3: unexpected end", kept=True),
        Broken(id="lost", reason="it has no subject.txt"),
    ]
    kept, lost = words_of(await page(hub, "/templates/reset")), words_of(await page(hub, "/templates/lost"))
    assert "as it stands: body.html line 3: unexpected end. Messages use the last version that worked" in kept
    assert "Subject Reset" in kept
    assert "It cannot be used as it stands: it has no subject.txt." in lost
    assert "Nothing can be shown of it." in lost


async def test_a_stored_template_whose_name_a_directory_takes_is_shown_as_hidden(hub: WebHub) -> None:
    id = await made(hub)
    hub.files.templates = [Template(id="welcome", subject="From a file", html="x", changed_at=START)]
    words = words_of(await page(hub, "/templates"))
    assert "‖ hidden welcome Welcome mail" in words
    assert f"Hello {{{{ first }}}} a directory has its name; messages reach it as {id}" in words
    assert "cannot be used" not in words
    assert f'"id": "{id}"' in words_of(await page(hub, f"/templates/{id}"))
    assert "From a file" in words_of(await page(hub, "/templates/welcome"))
    found = {one["origin"]: one["hidden"] for one in (await hub.client.get("/templates")).json()["data"]}
    assert found == {"stored": True, "file": False}


def test_a_variable_without_a_sample_is_shown_with_something_of_its_type() -> None:
    variables = (
        Variable(name="first"),
        Variable(name="count", type=VariableType.NUMBER),
        Variable(name="paid", type=VariableType.BOOLEAN),
        Variable(name="items", type=VariableType.LIST, default=[1]),
        Variable(name="order", type=VariableType.OBJECT, sample={"id": 7}),
    )
    found = stand_ins(Template(id="x", variables=variables))
    assert found == {"first": "first", "count": 1, "paid": True, "items": [1], "order": {"id": 7}}


def test_nonsense_in_an_address_is_as_if_it_were_not_there() -> None:
    look = Look.of("a b/c", {"view": "x", "version": "²", "width": "9", "language": "f" * 99})
    assert (look.view, look.version, look.width, len(look.language)) == ("preview", None, "", 35)
    assert Look.of("a b/c", {}).path() == "/templates/a%20b%2Fc"
