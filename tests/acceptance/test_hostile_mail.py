"""Mail that attacks whoever reads it on the dashboard: nothing it brings runs, and nobody learns that it was read.

What left the browser is asked of the attacker's servers and of the browser's own log of its network.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Dialog, Download, Error, Frame, Page, expect

from emailhub.core.records import DeadLetter
from tests.acceptance.hub import Hub
from tests.support.browser import launched_browser
from tests.support.factories import NOW, opened
from tests.support.hostile import HOST, IMAGES, PAYLOADS, Attacker, attacking
from tests.support.smtp_server import SmtpServer

PASSWORD = "a sentence nobody guesses"
KEY = "eh_hostile_0123456789"
FEW = ("mutation by math", "svg load", "refresh", "names looked up", "form to the top")
PRESSED = "a, area, button, input, summary, [tabindex]"
MOST_PRESSED = 4
PAGE = b64encode(b"<script>top.postMessage('ran','*')</script>").decode()
DRAWING = b64encode(
    b"<svg xmlns='http://www.w3.org/2000/svg' onload='top.postMessage(1,\"*\")'><g id='a'/></svg>"
).decode()
CARRIED = [
    {"filename": "page.png", "content": PAGE, "content_id": "page@evil", "content_type": "image/png"},
    {"filename": "draw.svg", "content": DRAWING, "content_id": "draw@evil", "content_type": "image/svg+xml"},
]

ASKING = """src => {
  const form = Object.assign(document.createElement("form"), { method: "post", action: src, target: "preview" });
  document.body.append(form);
  form.submit();
  form.remove();
}"""
"""What the button does."""


FOREIGN = """() => [...document.querySelectorAll("*")].filter(el =>
  [...el.attributes].some(({ name }) => name.startsWith("on")) ||
  (el.matches("script, link, img, form, iframe, base, a") &&
    new URL(el.src || el.href || el.action || "/", location).origin !== location.origin)
).map(el => el.outerHTML)"""
"""No page of ours has an element with a handler in it, or one that leads to another server."""


class Reader:
    """Somebody logged in, who reads mail and presses whatever there is to press; `wrong` is what must not have been."""

    def __init__(self, context: BrowserContext, page: Page, hub: Hub) -> None:
        self.context, self.page, self.hub = context, page, hub
        self.wrong: list[str] = []
        self.reading = ""
        self.strict = False
        page.on("dialog", self._asked)
        page.on("console", self._said)
        page.on("download", lambda download: self._note(f"downloaded {download.url}"))
        page.on("popup", lambda other: self._note(f"opened {other.url}"))

    async def read(self, name: str, html: str, *, images: bool) -> None:
        """Read one mail, with or without its remote images, and press what can be pressed in it."""
        attachments = CARRIED if "cid:" in html else []
        id = await self.hub.send(html=html, scheduled_at="in 1 hour", attachments=attachments)
        self.reading = name
        await self.page.goto(f"/messages/{id}")
        await self.page.evaluate("window.unbroken = true")
        frame = await self._frame(f"/messages/{id}/preview")
        if images:
            await self._load_images(frame)
        await _press_all(frame)
        await self._look_back(id, frame)

    async def look(self, path: str) -> None:
        """Look at a page on which all that a mail says is text."""
        self.reading = path
        self.strict = True
        await self.page.goto(path)
        found = await self.page.evaluate(FOREIGN)
        if found:
            self._note(f"elements of somebody else: {found}")

    async def _frame(self, path: str) -> Frame:
        handle = await self.page.locator("iframe").element_handle()
        frame = await handle.content_frame()
        assert frame is not None
        await frame.wait_for_load_state("domcontentloaded")
        assert frame.url.endswith(path)
        return frame

    async def _load_images(self, frame: Frame) -> None:
        """Press the button, or do what it does where the page found nothing to ask about."""
        button = self.page.get_by_role("button", name="Load remote images")
        async with self.page.expect_response(lambda answer: answer.request.method == "POST"):
            await (button.click() if await button.count() else self.page.evaluate(ASKING, frame.url))
        with contextlib.suppress(Error):  # a video that never comes keeps a page loading
            await frame.wait_for_load_state("load", timeout=3000)

    async def _look_back(self, id: str, frame: Frame) -> None:
        page = self.page
        if not page.url.split("#")[0].endswith(f"/messages/{id}"):
            self._note(f"the page went to {page.url}")
        elif await page.evaluate("[window.unbroken, window.heard.length, typeof window.ran]") != [True, 0, "undefined"]:
            self._note(f"a script ran: {await page.evaluate('window.heard')}")
        if HOST in frame.url:
            self._note(f"the frame went to {frame.url}")
        if len(self.context.pages) != 1:
            self._note(f"windows: {[one.url for one in self.context.pages]}")
        if not frame.url.startswith("chrome-error:"):
            await self._ask_for_cookies(frame)

    async def _ask_for_cookies(self, frame: Frame) -> None:
        with contextlib.suppress(Error):
            self._note(f"read the cookies: {await frame.evaluate('document.cookie')!r}")

    async def _asked(self, dialog: Dialog) -> None:
        self._note(f"a dialog: {dialog.message}")
        await dialog.dismiss()

    def _said(self, said: ConsoleMessage) -> None:
        if self.strict and "Content Security Policy" in said.text:
            self._note(said.text)

    def _note(self, text: str) -> None:
        self.wrong.append(f"{self.reading}: {text}")


async def _press_all(frame: Frame) -> None:
    """Press what can be pressed. Much is hidden, covered or gone after the first press."""
    with contextlib.suppress(Error):
        for number in range(min(await frame.locator(PRESSED).count(), MOST_PRESSED)):
            with contextlib.suppress(Error):
                await frame.locator(PRESSED).nth(number).click(timeout=400, force=True, no_wait_after=True)


@asynccontextmanager
async def reading(hub: Hub, log: Path) -> AsyncIterator[Reader]:
    """Somebody with a browser of their own, whose log of its network is at `log` when it is closed."""
    async with launched_browser(*_arguments(log)) as browser:
        context = await browser.new_context(
            base_url=f"http://127.0.0.1:{hub.port}", ignore_https_errors=True, reduced_motion="reduce"
        )
        context.set_default_timeout(15_000)
        page = await context.new_page()
        await page.goto("/login")
        await page.locator("#password").fill(PASSWORD)
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.locator("h1, h2").first).to_be_visible()
        await page.add_init_script(
            "if (self === top) { self.heard = []; addEventListener('message', e => heard.push(e.data)) }"
        )
        yield Reader(context, page, hub)
        await page.goto("/settings")  # what came late for the last mail came by now


def _arguments(log: Path) -> tuple[str, str]:
    return f"--log-net-log={log}", f"--host-resolver-rules=MAP {HOST} 127.0.0.1,MAP *.{HOST} 127.0.0.1"


def reached(log: Path) -> set[str]:
    """Lines of the network log that name the attacker: a name looked up, a connection, a request."""
    events = json.loads(log.read_text())["events"]
    return {json.dumps(event.get("params", {})) for event in events if HOST in json.dumps(event.get("params", {}))}


@pytest.fixture
def closed(make_hub: Callable[..., Hub]) -> Hub:
    """A hub one has to log in to, which sends nothing."""
    return make_hub(None, EMAILHUB_ADMIN_PASSWORD=PASSWORD, EMAILHUB_API_KEYS=KEY)


async def _attack(hub: Hub, names: tuple[str, ...], log: Path, *, images: bool) -> Attacker:
    await hub.start()
    hub.client.headers["authorization"] = f"Bearer {KEY}"
    other = await hub.send(scheduled_at="in 1 hour")
    async with attacking() as attacker:
        async with reading(hub, log) as reader:
            for name in names:
                await reader.read(name, attacker.filled(PAYLOADS[name], other), images=images)
        assert reader.wrong == []
        assert (await hub.get(f"/emails/{other}"))["status"] == "scheduled"
        return attacker


async def test_the_attacker_notices_whoever_comes() -> None:
    async with attacking() as attacker:
        for address in (attacker.http, attacker.https):
            tls = False if address == attacker.http else ssl._create_unverified_context()
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", int(address.rpartition(":")[2]), ssl=tls or None
            )
            writer.write(b"GET /seen HTTP/1.1\r\nReferer: x\r\n\r\n")
            assert await reader.read()
            writer.close()
    assert {(visit.scheme, visit.path) for visit in attacker.visits} == {("http", "/seen"), ("https", "/seen")}
    assert attacker.visits[0].fields["referer"] == "x"


async def test_a_few_hostile_mails_run_nothing_and_reach_nobody(closed: Hub, tmp_path: Path) -> None:
    attacker = await _attack(closed, FEW, tmp_path / "net.json", images=False)
    assert attacker.visits == []
    assert reached(tmp_path / "net.json") == set()


@pytest.mark.nightly
@pytest.mark.timeout(600)
async def test_no_hostile_mail_runs_anything_or_reaches_anybody(
    closed: Hub, tmp_path: Path, proved: Callable[[str], None]
) -> None:
    attacker = await _attack(closed, tuple(PAYLOADS), tmp_path / "net.json", images=False)
    assert attacker.visits == []
    assert reached(tmp_path / "net.json") == set()
    proved(f"{len(PAYLOADS)} hostile mails read and pressed in Chromium: no script ran, no name was looked up")


@pytest.mark.nightly
@pytest.mark.timeout(600)
async def test_with_remote_images_a_hostile_mail_gets_its_images_and_nothing_else(
    closed: Hub, tmp_path: Path, proved: Callable[[str], None]
) -> None:
    attacker = await _attack(closed, tuple(PAYLOADS), tmp_path / "net.json", images=True)
    for visit in attacker.visits:
        assert (visit.scheme, visit.fields.get("sec-fetch-dest")) == ("https", "image"), visit
        assert not {"referer", "cookie", "authorization"} & set(visit.fields), visit
    assert not [line for line in reached(tmp_path / "net.json") if f".{HOST}" in line]
    assert {f"/{name}" for name in IMAGES} <= {visit.path for visit in attacker.visits}
    proved(f"{len(PAYLOADS)} hostile mails with remote images: {len(attacker.visits)} requests, each for an image")


@pytest.mark.nightly
@pytest.mark.timeout(600)
async def test_what_hostile_mail_says_of_itself_is_text_on_every_page(
    smtp: SmtpServer, make_hub: Callable[..., Hub], tmp_path: Path, proved: Callable[[str], None]
) -> None:
    hub = make_hub(smtp, EMAILHUB_ADMIN_PASSWORD=PASSWORD, EMAILHUB_API_KEYS=KEY)
    async with attacking() as attacker:
        texts = [attacker.filled(payload, "x") for payload in PAYLOADS.values()]
        await _bury(hub, texts)
        await hub.start()
        hub.client.headers["authorization"] = f"Bearer {KEY}"
        ids = [await _everywhere(hub, smtp, number, text) for number, text in enumerate(texts)]
        await hub.settled(len(ids))
        async with reading(hub, tmp_path / "net.json") as reader:
            for number, id in enumerate(ids):
                await reader.look(f"/messages/{id}?view={('text', 'headers', 'attachments', 'raw')[number % 4]}")
                await reader.look(f"/dead-letters/{number + 1}?view={('decoded', 'text', 'hex')[number % 3]}")
            for path in (
                "/",
                "/messages",
                f"/messages?before={ids[-40]}",
                "/dead-letters",
                "/relays/default",
                "/audit",
            ):
                await reader.look(path)
        assert reader.wrong == []
    assert attacker.visits == []
    assert reached(tmp_path / "net.json") == set()
    proved(f"{len(texts)} payloads as subjects, names, headers, files, replies and queue bodies: text on every page")


async def _bury(hub: Hub, texts: list[str]) -> None:
    """Leave them in the outbox as what the queue brought and nobody could read."""
    async with opened(hub.database) as store:
        letters = [
            DeadLetter(
                id=0, at=NOW, reason=f"invalid: {text[:200]}", body=json.dumps({"to": text, "body": text}).encode(),
                headers={"x-evil": text[:200]}, content_type=text[:100], correlation_id="c",
            )
            for text in texts
        ]  # fmt: skip
        await store.upkeep.bury(letters)


async def _everywhere(hub: Hub, smtp: SmtpServer, number: int, text: str) -> str:
    """A message with `text` wherever a sender may write, which its server refuses with it; its id."""
    to = f"ada{number}@example.org"
    smtp.on("RCPT", f"550 5.1.1 {text[:400]}", to=to)
    return await hub.send(
        **{"from": f'"{_quoted(text[:100])}" <hub@example.org>'},
        to=to, subject=text[:300], text=text, headers={"X-Evil": text[:300]}, metadata={"evil": text[:200]},
        attachments=[{"filename": _named(text), "content": "aGk="}],
    )  # fmt: skip


def _quoted(text: str) -> str:
    return text.replace("\\", "").replace('"', "'")


def _named(text: str) -> str:
    """A file's name holds no slash."""
    return text.replace("/", " ")[:100].strip(" .")


@pytest.mark.nightly
@pytest.mark.timeout(600)
async def test_in_a_page_without_defences_the_same_mails_do_harm(tmp_path: Path, proved: Callable[[str], None]) -> None:
    harmed = []
    async with attacking() as attacker, launched_browser(*_arguments(tmp_path / "net.json")) as browser:
        for name, payload in PAYLOADS.items():
            if await _harmed(browser, attacker, attacker.filled(payload, "x")):
                harmed.append(name)
    assert len(harmed) >= 35, harmed  # others are made against those who repair html, or against other browsers
    proved(f"{len(harmed)} of {len(PAYLOADS)} hostile mails do harm in a page without defences")


async def _harmed(browser: Browser, attacker: Attacker, html: str) -> bool:
    """Whether the mail did anything that the tests above would see."""
    context = await browser.new_context(ignore_https_errors=True)
    try:
        page, before, seen = await context.new_page(), len(attacker.visits), list[object]()

        async def asked(dialog: Dialog) -> None:
            seen.append(dialog)
            await dialog.dismiss()

        def noticed(what: Page | Download) -> None:
            seen.append(what)

        page.on("dialog", asked)
        page.on("popup", noticed)
        page.on("download", noticed)
        await page.route("http://plain.test/", lambda route: route.fulfill(content_type="text/html", body=html))
        with contextlib.suppress(Error):
            await page.goto("http://plain.test/", timeout=4000)
        await _press_all(page.main_frame)
        return bool(seen) or len(attacker.visits) + len(attacker.open) > before or page.url != "http://plain.test/"
    finally:
        await context.close()
