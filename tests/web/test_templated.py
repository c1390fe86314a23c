"""Messages made from templates on the disk, over HTTP and from the queue, with the real renderer."""

from __future__ import annotations

import asyncio
import gc
import json
import statistics
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from emailhub.adapters.renderer import ProcessRenderer
from emailhub.adapters.sqlite.upkeep import SqliteUpkeep
from emailhub.adapters.templates import TemplateFolder
from emailhub.core.shapes import Properties
from emailhub.engine.subscriber import Subscriber
from emailhub.engine.templates import Templates
from tests.support.web_hub import WebHub

TOML = """
from = "Shop <shop@example.org>"
reply_to = "help@example.org"
[variables.name]
"""
TO = {"to": "ada@example.org"}
HEALTH = 0.05
"""Seconds the answer to a question about health may take."""


class Delivery(Struct):
    body: bytes
    properties: Properties = Properties()


@pytest.fixture(scope="module")
async def renderer() -> AsyncIterator[ProcessRenderer]:
    found = ProcessRenderer()
    yield found
    await found.close()


@pytest.fixture
async def home(hub: WebHub, renderer: ProcessRenderer, tmp_path: Path) -> Path:
    """The directory of the hub's templates, with the template `welcome`, also in French."""
    root = tmp_path / "templates"
    for path, content in {
        "welcome/subject.txt": "Welcome, {{ name }}",
        "welcome/body.html": "<style>p { color: red }</style><p>Hello {{ name }}</p>",
        "welcome/template.toml": TOML,
        "welcome.fr/subject.txt": "Bienvenue, {{ name }}",
        "welcome.fr/body.txt": "Bonjour {{ name }}",
        "broken/body.txt": "{% if x %}",
        "bomb/body.txt": "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "bomb/subject.txt": "x",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content)
    folder = TemplateFolder(root, renderer.check, clock=time.monotonic)
    await folder.look()
    hub.faces.intake.templates = Templates(renderer, [folder])
    hub.faces.board.broken_templates = folder.known_broken
    return root


async def told(hub: WebHub, id: str) -> tuple[str, str | None, str | None]:
    email = (await hub.client.get(f"/emails/{id}")).json()
    return email["subject"], email["html"], email["text"]


async def post(hub: WebHub, **fields: Any) -> tuple[int, dict[str, Any]]:
    response = await hub.client.post("/emails", json=TO | fields)
    return response.status_code, response.json()


async def sent(hub: WebHub, **fields: Any) -> str:
    status, answer = await post(hub, **fields)
    assert status == 200, answer
    return str(answer["id"])


async def refused(hub: WebHub, **fields: Any) -> dict[str, str]:
    status, answer = await post(hub, **fields)
    assert status == 422, answer
    return {error["field"]: error["message"] for error in answer["errors"]}


@pytest.mark.usefixtures("home")
async def test_a_message_is_made_from_a_template_and_its_variables(hub: WebHub) -> None:
    id = await sent(hub, template={"id": "welcome", "variables": {"name": "<Ada>"}})
    subject, html, text = await told(hub, id)
    assert subject == "Welcome, <Ada>"
    assert '<p style="color: red;">Hello &lt;Ada&gt;</p>' in (html or "")
    assert (text or "").strip() == "Hello <Ada>"
    email = (await hub.client.get(f"/emails/{id}")).json()
    assert (email["from"], email["reply_to"]) == ("Shop <shop@example.org>", ["help@example.org"])


@pytest.mark.usefixtures("home")
async def test_a_message_tells_which_template_it_was_made_from_and_is_found_by_it(hub: WebHub) -> None:
    use = {"id": "welcome", "variables": {"name": "Ada"}}
    ids = [await sent(hub, template=use), await sent(hub, template=use | {"language": "fr-CA"})]
    other = await sent(hub, subject="x", text="x")
    made = [(await hub.client.get(f"/emails/{id}")).json()["template"] for id in ids]
    assert [(one["id"], one["language"]) for one in made] == [("welcome", None), ("welcome", "fr")]
    assert len({one["version"] for one in made}) == 2
    assert (await hub.client.get(f"/emails/{other}")).json()["template"] is None
    listed = (await hub.client.get("/emails?template=welcome")).json()["data"]
    assert [one["id"] for one in listed] == ids[::-1]
    assert (await hub.client.get("/emails?template=gone")).json()["data"] == []
    page = (await hub.client.get(f"/messages/{ids[1]}", headers={"accept": "text/html"})).text
    assert f"<code>welcome</code> in fr, version {made[1]['version']}" in page


@pytest.mark.usefixtures("home")
async def test_what_the_message_says_itself_goes_before_the_template(hub: WebHub) -> None:
    given = {"from": "me@example.org", "subject": "Mine", "reply_to": "you@example.org"}
    id = await sent(hub, template={"id": "welcome", "variables": {"name": "Ada"}}, **given)
    email = (await hub.client.get(f"/emails/{id}")).json()
    assert (email["from"], email["subject"], email["reply_to"]) == ("me@example.org", "Mine", ["you@example.org"])


@pytest.mark.usefixtures("home")
async def test_the_language_is_chosen_by_the_message_and_falls_back(hub: WebHub) -> None:
    subjects = []
    for language in ("fr", "fr-CA", "de", ""):
        template = {"id": "welcome", "variables": {"name": "Ada"}, "language": language}
        subjects.append((await told(hub, await sent(hub, template=template)))[0])
    assert subjects == ["Bienvenue, Ada", "Bienvenue, Ada", "Welcome, Ada", "Welcome, Ada"]


@pytest.mark.usefixtures("home")
async def test_what_cannot_be_made_is_refused_by_name_and_nothing_is_stored(hub: WebHub) -> None:
    assert "none that is called gone" in (await refused(hub, template={"id": "gone"}))["template.id"]
    assert "none that is called broken" in (await refused(hub, template={"id": "broken"}))["template.id"]
    missing = await refused(hub, template={"id": "welcome"})
    assert missing == {"template.variables.name": "is required by the template welcome: a string"}
    missing = await refused(hub, template={"id": "welcome", "variables": {"name": "Ada\r\nBcc: evil@example.org"}})
    assert "carriage return" in missing["subject"]
    assert "processor time" in (await refused(hub, template={"id": "bomb"}))["template"]
    assert "text" in await refused(hub, template={"id": "welcome"}, text="x")
    assert await hub.stored() == 0


async def test_a_variable_that_nobody_declared_and_nobody_gave_is_named(hub: WebHub, home: Path) -> None:
    (home / "plain").mkdir()
    (home / "plain/body.txt").write_text("{{ order.number }}")
    hub.faces.intake.templates = await _fresh(hub, home)
    assert "template.variables.order" in await refused(hub, subject="S", template={"id": "plain"})
    found = await refused(hub, subject="S", template={"id": "plain", "variables": {"order": {}}})
    assert found == {"template.variables.order.number": "is not given, and body.txt line 1 needs it"}


async def _fresh(hub: WebHub, home: Path) -> Templates:
    found = hub.faces.intake.templates
    assert found is not None
    folder = TemplateFolder(home, found.check, clock=time.monotonic)
    return Templates(found._renderer, [folder])


async def test_a_key_stands_for_template_and_variables_and_not_for_what_is_made_of_them(
    hub: WebHub, home: Path
) -> None:
    key = {"Idempotency-Key": "k"}
    fields = TO | {"template": {"id": "welcome", "variables": {"name": "Ada"}}}
    first = await hub.client.post("/emails", json=fields, headers=key)
    (home / "welcome/subject.txt").write_text("{{ broken")
    hub.faces.intake.templates = await _fresh(hub, home)
    again = await hub.client.post("/emails", json=fields, headers=key)
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"
    other = fields | {"template": {"id": "welcome", "variables": {"name": "Bob"}}}
    assert (await hub.client.post("/emails", json=other, headers=key)).status_code == 409


@pytest.mark.usefixtures("home")
async def test_one_of_a_batch_that_cannot_be_made_is_told_with_its_place(hub: WebHub) -> None:
    batch = [TO | {"template": {"id": "welcome", "variables": variables}} for variables in ({"name": "Ada"}, {})]
    response = await hub.client.post("/emails/batch", json=batch)
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "[1].template.variables.name"
    assert await hub.stored() == 0
    response = await hub.client.post("/emails/batch", json=batch, headers={"x-batch-validation": "permissive"})
    assert len(response.json()["data"]) == 1


@pytest.mark.usefixtures("home")
async def test_the_queue_names_templates_too_and_what_cannot_be_made_is_a_dead_letter(hub: WebHub) -> None:
    letters = SqliteUpkeep(hub.database)
    subscriber = Subscriber(hub.faces.intake, letters, limits=hub.faces.intake.limits, now=hub.clock)
    good = {"user_email": "ada@example.org", "template_code": "welcome", "variables": {"name": "Ada"}, "locale": "fr"}
    bad = {"to": "ada@example.org", "template_code": "welcome", "variables": {}}
    assert await subscriber.take([Delivery(json.dumps(body).encode()) for body in (good, bad)]) == [True, True]
    (summary,) = (await hub.client.get("/emails")).json()["data"]
    assert summary["subject"] == "Bienvenue, Ada"
    (letter,) = await letters.pending_letters(10)
    assert "template.variables.name: is required by the template welcome" in letter.reason


@pytest.mark.parametrize("message_id", (None, "m-1"))
async def test_what_rabbitmq_gives_again_is_known_though_its_template_has_changed_or_makes_nothing_any_more(
    hub: WebHub, home: Path, message_id: str | None
) -> None:
    letters = SqliteUpkeep(hub.database)
    subscriber = Subscriber(hub.faces.intake, letters, limits=hub.faces.intake.limits, now=hub.clock)
    body = json.dumps(TO | {"template_code": "welcome", "variables": {"name": "Ada"}}).encode()

    async def take(*, redelivered: bool) -> None:
        properties = Properties(message_id=message_id, redelivered=redelivered)
        assert await subscriber.take([Delivery(body, properties)]) == [True]

    await take(redelivered=False)
    for subject in ("Goodbye, {{ name }}", "{{ name.first }}"):
        (home / "welcome/subject.txt").write_text(subject)
        hub.faces.intake.templates = await _fresh(hub, home)
        await take(redelivered=True)
    assert [one["subject"] for one in (await hub.client.get("/emails")).json()["data"]] == ["Welcome, Ada"]
    assert await letters.pending_letters(10) == []
    hub.clock.at += 2 * 86400
    (home / "welcome/subject.txt").write_text("Hello again, {{ name }}")
    hub.faces.intake.templates = await _fresh(hub, home)
    await take(redelivered=True)
    assert await hub.stored() == (2 if message_id is None else 1), "the same text days later is a new message"


async def asked(hub: WebHub, clock: Callable[[], float], *beside: asyncio.Task[Any]) -> list[float]:
    """How long, by `clock`, each question about health took while `beside` ran; other mail was taken meanwhile."""
    waited = []
    while not all(task.done() for task in beside):
        started = clock()
        assert (await hub.client.get("/health")).status_code == 200
        waited.append(clock() - started)
        await sent(hub, subject="S", text="T")
        await asyncio.sleep(0.005)
    return waited


async def asked_beside_bombs(hub: WebHub, clock: Callable[[], float]) -> list[float]:
    bombs = [asyncio.create_task(refused(hub, template={"id": "bomb"})) for _ in range(3)]
    waited = await asked(hub, clock, *bombs)
    assert all("processor time" in bomb.result()["template"] for bomb in bombs)
    return waited


@pytest.mark.usefixtures("home")
async def test_while_bombs_are_refused_the_loop_is_free_and_other_mail_is_taken(hub: WebHub) -> None:
    # By the thread's own clock, which does not count what other processes do to this machine; and without the collector
    # of garbage, which the tests before this one give more to do than a hub ever would.
    gc.disable()
    try:
        assert max(await asked_beside_bombs(hub, time.thread_time)) < HEALTH
    finally:
        gc.enable()


@pytest.mark.nightly
@pytest.mark.usefixtures("home")
async def test_while_bombs_are_refused_health_is_answered_at_once(hub: WebHub) -> None:
    calm = await asked(hub, time.perf_counter, asyncio.create_task(asyncio.sleep(2.0)))
    waited = await asked_beside_bombs(hub, time.perf_counter)
    slowest, usual = (statistics.quantiles(each, n=100)[-1] for each in (waited, calm))
    # A machine that is busy with other things is slow without any bomb.
    assert slowest < max(HEALTH, 2 * usual), (slowest, usual)


@pytest.mark.usefixtures("home")
async def test_a_broken_template_is_told_in_health_and_on_the_first_page(hub: WebHub) -> None:
    ready = (await hub.client.get("/health/ready")).json()
    assert ready["status"] == "degraded"
    assert ready["parts"]["templates"]["detail"].startswith("broken: body.txt line 1: ")
    page = (await hub.client.get("/")).text
    assert "A template is broken." in page
    assert "Messages that need it are refused." in page


async def test_without_templates_the_hub_says_so(hub: WebHub) -> None:
    hub.faces.intake.templates = None
    assert "this one has none" in (await refused(hub, template={"id": "welcome"}))["template"]
