"""Every action of the dashboard with the keyboard alone, and with a mouse but no script, on the real process.

The list of actions is the application's own: a form that no story presses fails here from the day it is there.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
import pytest_asyncio
from litestar import Litestar
from playwright.async_api import Browser, Page, expect

from emailhub.core.records import DeadLetter
from tests.acceptance.hub import Hub
from tests.support.factories import NOW, opened
from tests.support.hands import Hands, Keyboard, Mouse
from tests.support.smtp_server import SmtpServer
from tests.support.web_hub import web_hub

KEY = "eh_actions_0123456789"
PASSWORD = "a sentence nobody guesses"
OTHER = "another sentence nobody guesses"
VERBS = ("retry", "hold", "cancel", "send")
"""What is done to one message at `/messages/{id}/{verb}`."""
ENDS = {"/login", "/logout", "/logout-everywhere"}
"""Actions of people that stand beside the pages."""


class Scene(NamedTuple):
    """Where a story takes place: who acts, the hub, the relay, and a number no other story has."""

    hands: Hands
    hub: Hub
    smtp: SmtpServer
    number: str

    @property
    def page(self) -> Page:
        return self.hands.page

    async def at(self, path: str) -> None:
        await self.page.goto(path)

    async def reads(self, selector: str, text: str | re.Pattern[str]) -> None:
        await expect(self.page.locator(selector).first).to_contain_text(text)

    async def waiting(self, **fields: object) -> str:
        """A message that waits for its hour; its id."""
        return await self.hub.send(scheduled_at="in 1 hour", subject=f"Waiting {self.number}", **fields)

    async def template(self) -> str:
        """The alias of a template with a published version 1."""
        alias = f"t-{self.number}"
        made = await self.hub.post(
            "/templates", {"name": alias, "alias": alias, "subject": "Hello", "html": "<p>one</p>"}
        )
        assert (await self.hub.post(f"/templates/{made.json()['id']}/publish")).status_code == 200
        return alias

    async def user(self) -> str:
        name = f"u{self.number}"
        made = await self.hub.post("/users", {"name": name, "role": "viewer", "password": OTHER})
        assert made.status_code == 200, made.text
        return name

    async def key(self) -> str:
        made = await self.hub.post("/api-keys", {"name": f"key {self.number}"})
        assert made.status_code == 200, made.text
        return str(made.json()["id"])


Story = Callable[[Scene], Awaitable[None]]
STORIES: dict[str, Story] = {}


def story(*actions: str) -> Callable[[Story], Story]:
    """The story of these actions, called by their paths."""

    def keep(told: Story) -> Story:
        STORIES.update(dict.fromkeys(actions, told))
        return told

    return keep


def actions(app: Litestar) -> Iterator[str]:
    """What the pages can change."""
    for route in app.routes:
        for handler in getattr(route, "route_handlers", ()):
            if "POST" in handler.http_methods and (route.path in ENDS or not handler.resolve_include_in_schema()):
                if route.path == "/messages/{id:str}/{verb:str}":
                    yield from (f"/messages/{{id:str}}/{verb}" for verb in VERBS)
                else:
                    yield str(route.path)


@story("/login", "/logout")
async def _out_and_in(scene: Scene) -> None:
    await scene.at("/relays")
    await scene.hands.press("Sign out admin")
    await scene.reads("h1", "Sign in")
    await _log_in(scene.hands)


@story("/logout-everywhere")
async def _out_everywhere(scene: Scene) -> None:
    await scene.at("/relays")
    await scene.hands.press("everywhere")
    await scene.reads("h1", "Sign in")


@story("/account/password")
async def _own_password(scene: Scene) -> None:
    name = await scene.user()
    await scene.at("/relays")
    await scene.hands.press("Sign out admin")
    await _log_in(scene.hands, name, OTHER)
    await scene.at("/account")
    await scene.hands.fill("#f-current", OTHER)
    await scene.hands.fill("#f-password", PASSWORD)
    await scene.hands.fill("#f-again", PASSWORD)
    await scene.hands.press("Change the password", "main form")
    await _log_in(scene.hands, name, PASSWORD)
    await scene.at("/account")
    await scene.reads(".sub", name)


@story("/theme")
async def _theme(scene: Scene) -> None:
    await scene.at("/relays")
    await scene.hands.press("", "#theme")
    await expect(scene.page.locator("html")).to_have_attribute("data-theme", "light")


@story("/send")
async def _send_a_test(scene: Scene) -> None:
    await scene.at("/send")
    await scene.hands.fill("#f-to", "ada@example.org")
    await scene.hands.fill("#f-subject", f"Test {scene.number}")
    await scene.hands.press("Send", "main form")
    await scene.reads("h1", f"Test {scene.number}")


@story("/messages/{id:str}/hold", "/messages/{id:str}/retry", "/messages/{id:str}/cancel")
async def _one_message(scene: Scene) -> None:
    await scene.at(f"/messages/{await scene.waiting()}")
    await scene.hands.press("Hold", "#actions")
    await scene.reads(".flash", "is held")
    await scene.hands.press("Retry", "#actions")
    await scene.reads(".flash", "is queued again")
    await scene.at(f"/messages/{await scene.waiting()}")
    await scene.hands.press("Cancel", "#actions")
    await scene.reads(".flash", "is canceled")


@story("/messages/{id:str}/copies")
async def _again(scene: Scene) -> None:
    await scene.at(f"/messages/{await scene.waiting()}")
    await scene.hands.press("Send again…", "#actions")
    await scene.hands.fill("#again-to", f"other{scene.number}@example.org")
    await scene.hands.fill("#again-why", "the wrong address")
    await scene.hands.press("Send again", "#ask-again")
    await scene.reads("#recipients", f"other{scene.number}@example.org")
    await scene.reads("#story", "copied from")


@story("/messages/{id:str}/send")
async def _for_real(scene: Scene) -> None:
    kept = await scene.hub.send(to=f"kept{scene.number}@elsewhere.test")
    await scene.hub.until(lambda: _is(scene, kept, "sent"), "it is captured")
    await scene.at(f"/messages/{kept}")
    await scene.hands.press("Send for real…", "#actions")
    await scene.hands.press("Send to 1 recipient", "#actions")
    await scene.reads(".flash", "for real")


@story("/messages/{id:str}/preview")
async def _remote_images(scene: Scene) -> None:
    # In a template: counted, and loaded by no browser.
    html = '<h1>Sale</h1><template><img src="https://pictures.test/sale.png"></template>'
    await scene.at(f"/messages/{await scene.waiting(html=html)}")
    await scene.reads("#content .remote", "1 remote image is loaded only if you ask")
    async with scene.page.expect_response(lambda answer: answer.request.method == "POST") as shown:
        await scene.hands.press("Load remote images", "#content")
    assert "img-src data: https:" in (await shown.value).headers["content-security-policy"]
    await expect(scene.page.frame_locator("iframe").locator("h1")).to_have_text("Sale")


async def _is(scene: Scene, id: str, state: str) -> bool:
    return (await scene.hub.get(f"/emails/{id}"))["status"] == state


@story("/jobs", "/jobs/{job_id:str}/stop")
async def _many_messages(scene: Scene) -> None:
    for _ in range(12):
        await scene.waiting()
    await scene.at(f"/messages?q=Waiting+{scene.number}")
    await scene.hands.tick("#rows tr:nth-child(2) .pick input")
    await scene.hands.press("Hold…", "#many")
    await scene.hands.press("Hold 1 message", "main form")
    await scene.reads("#job", "of 1 held")
    await scene.at(f"/messages?q=Waiting+{scene.number}")
    for row in range(1, 11):
        await scene.hands.tick(f"#rows tr:nth-child({row}) .pick input")
    await scene.hands.press("Cancel…", "#many")
    await scene.reads("h1", "Cancel 10 messages?")
    await scene.hands.tick("input[name=pace][value='1']")
    await scene.hands.fill("#f-reason", "sent by mistake")
    await scene.hands.press("Cancel 10 messages", "main form")
    await scene.hands.press("Stop", "#job-actions")
    await scene.reads("#job", "stopped")


@story("/dead-letters/{letter:str}/message", "/dead-letters/{letter:str}/discarding")
async def _dead_letters(scene: Scene) -> None:
    await scene.at("/dead-letters")
    await scene.hands.press("Decide", "#from-queue")
    mended = json.dumps({"to": "ada@example.org", "subject": f"Mended {scene.number}", "body": "Hi"})
    await scene.hands.fill("#f-body", mended)
    await scene.hands.press("Send as a message", "#mend")
    await scene.reads("h1", f"Mended {scene.number}")
    await scene.at("/dead-letters")
    await scene.hands.press("Decide", "#from-queue")
    await scene.hands.fill("#f-reason", f"a test {scene.number}")
    await scene.hands.press("Discard", "#drop")
    await scene.reads(".flash", "is discarded")


async def _unread(hub: Hub) -> None:
    """Leave bodies in the outbox that no hub could read, as the queue would."""
    async with opened(hub.database) as store:
        body = b'{"to": "ada@", "subject": "Hi", "body": "Hi"}'
        letter = DeadLetter(
            id=0, at=NOW, reason="invalid: to", body=body, headers={}, content_type="x/y", correlation_id="c"
        )
        await store.upkeep.bury([letter] * 8)


@story("/relays/{relay:str}/breaker")
async def _breaker(scene: Scene) -> None:
    await scene.at("/relays/default")
    for menu, field, button, says in (
        ("Pause…", "#open-reason", "Force open", "Paused by hand"),
        ("Send anyway…", "#closed-reason", "Force closed", "Forced closed"),
    ):
        await scene.hands.press(menu, "#breaker")
        await scene.hands.fill(field, "upkeep")
        await scene.hands.press(button, "#breaker details[open]")
        await scene.reads("#breaker", says)
        await scene.reads("#breaker", "upkeep")
    await scene.hands.press("Back to automatic", "#breaker")
    await scene.reads("#breaker h2", "The breaker is closed")


@story("/relays/{relay:str}/test")
async def _relay_test(scene: Scene) -> None:
    await scene.at("/relays/default")
    await scene.hands.fill("#test-to", "ada@example.org")
    await scene.hands.press("Send a test", "form.test")
    await scene.page.wait_for_url(re.compile(r"/messages/01\w{24}$"))


@story("/relays/{relay:str}/sender")
async def _sender(scene: Scene) -> None:
    domain = f"d{scene.number}.example"
    scene.smtp.on("MAIL", f"550 5.7.1 Domain {domain} is not allowed to send: verify it first", times=1)
    await scene.hub.send(**{"from": f"news@{domain}"})
    await scene.at("/relays/default")

    async def suspended() -> bool:
        return domain in str(await scene.hub.get("/relays/default"))

    await scene.hub.until(suspended, "the sender is suspended")
    await scene.at("/relays/default")
    await scene.hands.press(f"Let {domain} send again", "#suspended")
    await scene.reads(".flash", domain)


@story("/suppressions/add", "/suppressions/lift")
async def _suppressions(scene: Scene) -> None:
    address = f"left{scene.number}@example.org"
    await scene.at("/suppressions")
    await scene.hands.fill("#f-emails", address)
    await scene.hands.choose("#f-origin", "unsubscribe")
    await scene.hands.fill("#f-reason", "wrote to us")
    await scene.hands.press("Suppress", "main form.form")
    await scene.reads("#entries", address)
    await scene.hands.press("Lift…", f"#entries li:has-text('{address}')")
    await scene.hands.press("Lift", "#entries details[open]")
    await expect(scene.page.locator("#entries")).not_to_contain_text(address)


@story("/api-keys/made", "/api-keys/{key_id:str}/rotation", "/api-keys/{key_id:str}/revocation")
async def _keys(scene: Scene) -> None:
    await scene.at("/api-keys")
    await scene.hands.fill("#f-name", f"shop {scene.number}")
    await scene.hands.tick("input[name=may_read]")
    await scene.hands.press("Make the key", "main form.form")
    await expect(scene.page.locator("#secret")).to_have_value(re.compile("^eh_"))
    mine = f".entries li:has-text('shop {scene.number}')"
    await scene.hands.press("Rotate…", mine)
    await scene.hands.press("Rotate", f"{mine} details[open]")
    await scene.reads(".made h2", f"shop {scene.number}")
    await scene.hands.press("Revoke…", mine)
    await scene.hands.press("Revoke", f"{mine} details[open]")
    await scene.reads(".flash", "is revoked")


@story(
    "/users/added",
    "/users/{name:str}/role",
    "/users/{name:str}/password",
    "/users/{name:str}/removal",
    "/users/{name:str}/logout",
)
async def _users(scene: Scene) -> None:
    name = f"u{scene.number}"
    await scene.at("/users")
    await scene.hands.fill("#f-name", name)
    await scene.hands.choose("#f-role", "viewer")
    await scene.hands.fill("#f-password", OTHER)
    await scene.hands.press("Add", "main form.form")
    await scene.reads(f"#u-{name}", "viewer")
    await scene.hands.press("Change…", f"#u-{name}")
    await scene.hands.press("Make operator", f"#u-{name} details[open]")
    await scene.reads(f"#u-{name}", "operator")
    await scene.hands.press("Change…", f"#u-{name}")
    await scene.hands.fill(f"#p-{name}", PASSWORD)
    await scene.hands.press("Set the password", f"#u-{name} details[open]")
    await scene.reads(".flash", name)
    came = await scene.hub.client.post(
        "/login", data={"username": name, "password": PASSWORD}, headers={"sec-fetch-site": "same-origin"}
    )
    assert came.status_code == 303
    scene.hub.client.cookies.clear()
    await scene.at("/users")
    await scene.hands.press("Log out", f"#u-{name}")
    await expect(scene.page.locator(f"#u-{name}")).not_to_contain_text("logged in")
    await scene.hands.press("Remove…", f"#u-{name}")
    await scene.hands.press(f"Remove {name}", f"#u-{name} details[open]")
    await expect(scene.page.locator(f"#u-{name}")).to_have_count(0)


@story("/new-template", "/templates/{template:str}/edit", "/templates/{template:str}/published")
async def _templates(scene: Scene) -> None:
    alias = f"n-{scene.number}"
    await scene.at("/new-template")
    await scene.hands.fill("#f-name", alias)
    await scene.hands.fill("#f-alias", alias)
    await scene.hands.press("Save and publish", "main form")
    await scene.reads("h1 .pill", "published")
    await scene.hands.press("Edit", ".top")
    await scene.hands.fill("#f-subject", "The second")
    await scene.hands.press("Save", "main form")
    await scene.hands.press("Publish version 2…", ".top")
    await scene.hands.press("Publish version 2", ".top details[open]")
    await scene.reads(".versions li:first-child", "published")
    await scene.hands.press("Go back to it…", ".versions")
    await scene.hands.press("Publish version 1", ".versions details[open]")
    await scene.reads(".versions li:last-child", "published")


@story("/templates/{template:str}/test")
async def _template_test(scene: Scene) -> None:
    await scene.at(f"/templates/{await scene.template()}")
    await scene.hands.fill("#f-to", "ada@example.org")
    await scene.hands.press("Send", ".test")
    await scene.page.wait_for_url(re.compile(r"/messages/01\w{24}$"))


@story("/templates/{template:str}/copy", "/templates/{template:str}/removal")
async def _template_copy_and_end(scene: Scene) -> None:
    alias = await scene.template()
    await scene.at(f"/templates/{alias}")
    await scene.hands.press("Copy", ".top")
    await scene.reads("h1", "Edit")
    await scene.at(f"/templates/{alias}")
    await scene.hands.press("Delete…", ".top")
    await scene.hands.press(f"Delete {alias}", ".top details[open]")
    await scene.reads("h1", "Templates")


@story("/settings/reload")
async def _reload(scene: Scene) -> None:
    await scene.at("/settings")
    await scene.hands.press("Read again…")
    await scene.hands.press("Read the settings again", "#ask-reload")
    await scene.reads(".flash", "")


@story("/relays/{relay:str}/chaos")
async def _chaos(scene: Scene) -> None:
    await scene.at("/relays/chaos")
    await scene.hands.fill("#c-transient", "20")
    await scene.hands.press("Behave like this", ".chaos")
    await expect(scene.page.locator("#c-transient")).to_have_value("20")


async def _log_in(hands: Hands, name: str = "admin", password: str = PASSWORD) -> None:
    await hands.fill("#username", name)
    await hands.fill("#password", password)
    await hands.press("Sign in", "main form")
    await expect(hands.page.locator("#keys, .foot").first).to_contain_text("Sign out", use_inner_text=False)


CAPTURING = {"/relays/{relay:str}/chaos": {"USE_REAL_SMTP": "false", "EMAILHUB_CHAOS": "slow=1%,delay=1s"}}
"""What needs a hub of its own kind."""


@pytest_asyncio.fixture(scope="module")
async def relay() -> AsyncIterator[SmtpServer]:
    async with SmtpServer() as server:
        yield server


@pytest_asyncio.fixture(scope="module")
async def hubs(
    relay: SmtpServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Callable[..., Awaitable[Hub]]]:
    """Hubs by what they need beyond the usual, one for all stories that need the same."""
    started: dict[str, Hub] = {}
    async with AsyncExitStack() as stack:

        async def of(env: dict[str, str]) -> Hub:
            if str(env) not in started:
                usual = {
                    "SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(relay.port), "EMAIL_FROM": "hub@example.org",
                    "EMAILHUB_API_KEYS": KEY, "EMAILHUB_ADMIN_PASSWORD": PASSWORD,
                    "EMAILHUB_ALLOW_RECIPIENTS": "example.org",
                }  # fmt: skip
                hub = Hub(tmp_path_factory.mktemp("hub"), usual | env)
                stack.push_async_callback(hub.close)
                hub.client.headers["authorization"] = f"Bearer {KEY}"
                await _unread(hub)
                await hub.start()
                started[str(env)] = hub
            return started[str(env)]

        yield of


@pytest.mark.nightly
@pytest.mark.timeout(180)
@pytest.mark.parametrize("way", ("keyboard", "no script"))
@pytest.mark.parametrize("told", dict.fromkeys(STORIES.values()), ids=lambda told: told.__name__.strip("_"))
async def test_every_action_needs_no_mouse_and_no_script(
    browser: Browser, hubs: Callable[..., Awaitable[Hub]], relay: SmtpServer, told: Story, way: str
) -> None:
    env = next((env for action, env in CAPTURING.items() if STORIES[action] is told), {})
    hub = await hubs(env)
    context = await browser.new_context(
        base_url=f"http://127.0.0.1:{hub.port}",
        viewport={"width": 1280, "height": 900},
        reduced_motion="reduce",
        java_script_enabled=way == "keyboard",
    )
    context.set_default_timeout(20_000)
    try:
        page = await context.new_page()
        hands = Keyboard(page) if way == "keyboard" else Mouse(page)
        await page.goto("/login")
        await _log_in(hands)
        number = f"{list(STORIES.values()).index(told)}{'k' if way == 'keyboard' else 'm'}"
        await told(Scene(hands, hub, relay, number))
    finally:
        await context.close()


async def test_every_action_of_the_pages_has_its_story(tmp_path: Path) -> None:
    async with web_hub(tmp_path) as hub:
        assert set(actions(hub.app)) == set(STORIES)
