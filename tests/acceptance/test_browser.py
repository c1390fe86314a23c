"""The dashboard in a real browser over the real process: watched live, by mouse, by keyboard, without script."""

from __future__ import annotations

import asyncio
import re
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.acceptance.hub import Hub
from tests.support.browser import Guard
from tests.support.smtp_server import SmtpServer

DOT = "R0lGODlhAQABAIAAAAUEBAAAACwAAAAAAQABAAACAkQBADs="
HOSTILE = """<h1>Hello</h1><script>parent.postMessage('script','*')</script><img src=x onerror="parent.stolen=1">
<img src="{evil}/open.gif"><style>@import url({evil}/a.css);
body{{background:url({evil}/b.png)}}</style><link rel=stylesheet href={evil}/c.css>
<iframe src="{evil}/"></iframe><object data="{evil}/o"></object>
<meta http-equiv=refresh content="0;url={evil}/away">
<form action={evil}/f><button>x</button></form>
<a href="javascript:parent.stolen=1" id=link>link</a><base href={evil}/><svg onload="parent.stolen=1"></svg>
<video src={evil}/v autoplay></video><a id=pinged href=#x ping={evil}/p>y</a>"""


@pytest_asyncio.fixture
async def hub(smtp: SmtpServer, make_hub: Callable[..., Hub]) -> AsyncIterator[Hub]:
    """A started hub that sends to an SMTP server."""
    hub = make_hub(smtp, EMAILHUB_BREAKER_OPEN_FOR="60s")
    await hub.start()
    yield hub


@pytest_asyncio.fixture
async def context(browser: Browser, hub: Hub) -> AsyncIterator[BrowserContext]:
    """A fresh browser whose pages are the hub's."""
    context = await browser.new_context(
        base_url=f"http://127.0.0.1:{hub.port}", viewport={"width": 1280, "height": 900}, reduced_motion="reduce"
    )
    context.set_default_timeout(15_000)
    try:
        yield context
    finally:
        await context.close()


async def _live(page: Page, path: str) -> Page:
    """Open `path` and wait until it is live; from here on a reload would be noticed."""
    await page.goto(path)
    await expect(page.locator("#live")).to_have_attribute("data-state", "on")
    await page.evaluate("window.unbroken = true")
    return page


async def _unbroken(page: Page) -> bool:
    return await page.evaluate("window.unbroken === true") is True


async def _send_test(page: Page, to: str, subject: str) -> str:
    """Fill in the form and send it; the path of the message's page."""
    await page.goto("/send")
    await page.get_by_label("To").fill(to)
    await page.get_by_label("Subject").fill(subject)
    await page.get_by_role("button", name="Send", exact=True).click()
    await page.wait_for_url(re.compile(r"/messages/01\w{24}$"))
    await expect(page.locator("#live")).to_have_attribute("data-state", "on")
    await page.evaluate("window.unbroken = true")
    return page.url


async def test_a_test_message_is_watched_from_the_form_to_the_relay(context: BrowserContext, smtp: SmtpServer) -> None:
    go = asyncio.Event()
    smtp.on("DOT", hold=go)
    page = await context.new_page()
    overview = await _live(await context.new_page(), "/")
    await _send_test(page, "ada@example.org", "Watched")
    await expect(page.locator("#recipients")).to_contain_text("sending")
    await expect(page.locator("#story")).to_contain_text("Attempt 1 over default · running for")
    await expect(overview.locator("#latest")).to_contain_text("Watched")

    go.set()
    await expect(page.locator("#recipients .pill")).to_have_text("✓ sent")
    await expect(page.locator("#story .talk")).to_contain_text("MAIL FROM:<hub@example.org>")
    await expect(page.locator("#story .talk .server").last).to_contain_text("250")
    await expect(overview.locator("#latest .pill")).to_have_text("✓ sent")
    await expect(overview.locator("#numbers")).to_contain_text("Sent, last hour 1", use_inner_text=False)
    assert await _unbroken(page)
    assert await _unbroken(overview)


async def test_a_breaker_forced_open_holds_mail_until_it_is_set_free(
    context: BrowserContext, smtp: SmtpServer, hub: Hub
) -> None:
    relay, overview = await context.new_page(), await _live(await context.new_page(), "/")
    await expect(overview.locator("#flow h2")).to_have_text("All mail is flowing.")
    await _live(relay, "/relays/default")
    await relay.get_by_text("Pause…").click()
    await relay.get_by_role("textbox", name="Reason").fill("provider maintenance")
    await relay.get_by_role("button", name="Force open").click()
    await expect(relay.locator("#breaker h2")).to_have_text("Paused by hand")
    await expect(relay.locator("#breaker")).to_contain_text("provider maintenance")
    await expect(relay.locator("#history")).to_contain_text("Paused")
    await expect(overview.locator("#flow")).to_contain_text("provider maintenance")
    await expect(overview).to_have_title(re.compile("^● "))

    message = await context.new_page()
    await _send_test(message, "grace@example.org", "Must wait")
    await expect(message.locator("#recipients .pill")).to_have_text("… queued")
    await expect(message.locator("#recipients")).to_contain_text("paused until somebody ends it")
    assert not smtp.messages
    queued = await _live(await context.new_page(), "/messages")
    await expect(queued.locator("#rows")).to_contain_text("paused until somebody ends it")
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    await hub.post("/breakers/default", {"state": "open", "reason": "maintenance for an hour", "until": later})
    await expect(message.locator("#recipients")).to_contain_text("the pause ends in")
    await expect(queued.locator("#rows")).to_contain_text("the pause ends in")

    await relay.get_by_role("button", name="Back to automatic").click()
    await expect(message.locator("#recipients .pill")).to_have_text("✓ sent")
    await expect(relay.locator("#breaker h2")).to_have_text("The breaker is closed")
    await expect(overview.locator("#flow h2")).to_have_text("All mail is flowing.")
    await expect(overview).to_have_title(re.compile("^Overview"))
    assert await _unbroken(message)
    assert await _unbroken(overview)
    assert [one.recipients for one in smtp.messages] == [["grace@example.org"]]


async def test_a_refused_message_is_retried_from_its_page(context: BrowserContext, smtp: SmtpServer) -> None:
    smtp.on("RCPT", "550 5.1.1 user unknown", times=1)
    page = await context.new_page()
    await _send_test(page, "ada@example.org", "Refused once")
    await expect(page.locator("#recipients .pill")).to_have_text("✕ failed")
    await expect(page.locator("#story .refusal").first).to_contain_text("550 5.1.1 user unknown")
    await page.get_by_role("button", name="Retry").click()
    await expect(page.locator(".flash")).to_contain_text("ada@example.org is queued again.")
    await expect(page.locator("#recipients .pill")).to_have_text("✓ sent")
    await expect(page.locator("#story")).to_contain_text("Retried")


async def test_the_list_is_never_moved_under_the_reader(context: BrowserContext, hub: Hub) -> None:
    first = await hub.send(subject="First")
    await hub.settled(1)
    page = await _live(await context.new_page(), "/messages")
    rows = page.locator("#rows tr")
    await expect(rows).to_have_count(1)
    for number in range(3):
        await hub.send(subject=f"New {number}")
    await expect(page.locator("#news a")).to_have_text("3 new")
    await expect(rows).to_have_count(1)
    await expect(page.locator("#tabs")).to_contain_text("All 4")
    await hub.post(f"/emails/{first}/retry")
    await page.keyboard.press(".")
    await expect(page.locator("#rows tr")).to_have_count(4)


async def test_everything_is_reached_with_the_keyboard(context: BrowserContext, hub: Hub) -> None:
    wanted = await hub.send(subject="Second from the top")
    await hub.send(subject="Topmost")
    page = await _live(await context.new_page(), "/")
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog")).to_be_visible()
    await page.keyboard.press("Escape")
    await page.keyboard.press("g")
    await page.keyboard.press("m")
    await page.wait_for_url("**/messages")
    await expect(page.locator("#live")).to_have_attribute("data-state", "on")
    await page.keyboard.press("/")
    await expect(page.locator("#search")).to_be_focused()
    await page.keyboard.type("jk?")
    await expect(page.locator("#search")).to_have_value("jk?")
    await page.keyboard.press("Control+a")
    await page.keyboard.type("top")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/messages?q=top")
    await expect(page.locator("#live")).to_have_attribute("data-state", "on")
    await page.keyboard.press("j")
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"**/messages/{wanted}")
    await page.get_by_role("link", name="Headers").focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("dl.headers")).to_contain_text("Second from the top")


async def test_the_chart_reads_its_values_out(context: BrowserContext, hub: Hub) -> None:
    await hub.send()
    await hub.settled(1)
    page = await _live(await context.new_page(), "/")
    await page.locator("#chart .plot").focus()
    await page.keyboard.press("ArrowLeft")
    await expect(page.locator(".reading")).to_have_text([re.compile(r"^from \d\d:\d\d$")] * 3)
    await page.keyboard.press("ArrowLeft")
    await expect(page.locator("#times .hit")).to_have_attribute("visibility", "visible")
    await page.locator("#search, h2").first.click()
    await expect(page.locator(".reading")).to_have_text(["per minute"] * 3)


async def test_a_lost_hub_is_said_and_found_again(context: BrowserContext, guard: Guard, hub: Hub) -> None:
    guard.expect("/events", "failed: .* net::ERR_CONNECTION_")
    page = await context.new_page()
    await page.clock.install()
    await _live(page, "/")
    await hub.kill9()
    await expect(page.locator("#live")).to_have_attribute("data-state", "wait")
    await page.clock.fast_forward(10_000)
    await expect(page.locator("#live")).to_contain_text("offline since", timeout=20_000)
    await hub.start()
    await hub.send(subject="Sent while nobody looked")
    await expect(page.locator("#live")).to_have_attribute("data-state", "on", timeout=20_000)
    await expect(page.locator("#latest")).to_contain_text("Sent while nobody looked")
    assert await _unbroken(page)


async def test_a_page_that_slept_while_its_connection_died_notices_and_catches_up(
    context: BrowserContext, hub: Hub
) -> None:
    page = await context.new_page()
    await page.clock.install()
    await _live(page, "/")
    async with page.expect_request(lambda request: "/events" in request.url):
        await page.clock.fast_forward(60_000)
    await expect(page.locator("#live")).to_have_attribute("data-state", "on")
    await hub.send(subject="After the sleep")
    await expect(page.locator("#latest")).to_contain_text("After the sleep")
    assert await _unbroken(page)


async def test_the_next_action_is_one_press_away_and_the_theme_another(context: BrowserContext, hub: Hub) -> None:
    await hub.post("/breakers/default", {"state": "open", "reason": "upkeep"})
    page = await _live(await context.new_page(), "/")
    await page.get_by_role("button", name="Resume relay default").click()
    await expect(page.locator("#flow h2")).to_have_text("All mail is flowing.")
    await expect(page.locator(".flash")).to_contain_text("The breaker decides by itself again.")
    await page.get_by_role("button", name="Theme: system").click()
    await page.get_by_role("button", name="Theme: light").click()
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    await page.reload()
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")


@pytest_asyncio.fixture
async def stranger() -> AsyncIterator[tuple[str, list[str]]]:
    """The address of another server, and who connected to it."""
    visits: list[str] = []

    def visited(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visits.append(str(writer.get_extra_info("peername")))
        writer.close()

    server = await asyncio.start_server(visited, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", visits


async def test_a_hostile_message_runs_nothing_and_reaches_nobody(
    context: BrowserContext, guard: Guard, hub: Hub, stranger: tuple[str, list[str]]
) -> None:
    evil, visits = stranger
    guard.expect("is sandboxed", "in a sandboxed frame whose 'allow-popups' permission is not set")
    guard.expect("Content Security Policy", " csp$", f"asked somebody else: {evil}/")
    html = HOSTILE.format(evil=evil)
    id = await hub.send(
        subject="<img src=x onerror=parent.stolen=1>", html=html, text="</pre><script>stolen=1</script>"
    )
    page = await context.new_page()
    await page.add_init_script(
        "if (self === top) { self.heard = []; addEventListener('message', e => heard.push(e.data)) }"
    )
    await page.goto(f"/messages/{id}")
    preview = page.frame_locator("iframe[title='Preview of the message']")
    await expect(preview.locator("h1")).to_have_text("Hello")
    for target in ("#link", "#pinged", "button"):
        await preview.locator(target).click()
    for view in ("Text", "Headers", "Raw"):
        await page.get_by_role("link", name=view, exact=True).click()
        await expect(page.locator(".views [aria-current]")).to_have_text(view)
    assert await page.evaluate("[typeof self.stolen, self.heard.length]") == ["undefined", 0]
    assert page.url.startswith(f"http://127.0.0.1:{hub.port}/messages/{id}")
    assert visits == []


async def test_files_are_kept_and_pictures_shown_without_leaving_the_sandbox(context: BrowserContext, hub: Hub) -> None:
    picture = {"filename": "dot.gif", "content": DOT, "content_id": "dot@shop"}
    page_file = {"filename": "März.html", "content": b64encode(b"<script>alert(1)</script>").decode()}
    id = await hub.send(html='<img src="cid:dot@shop" width=40>', attachments=[picture, page_file])
    page = await context.new_page()
    await page.goto(f"/messages/{id}")
    image = page.frame_locator("iframe[title='Preview of the message']").locator("img")
    assert await image.evaluate("image => image.decode().then(() => image.naturalWidth)") == 1
    await page.get_by_role("link", name="Attachments 2").click()
    async with page.expect_download() as started:
        await page.get_by_role("link", name="März.html").click()
    assert (await started.value).suggested_filename == "März.html"


async def test_without_script_everything_works_by_reloading(browser: Browser, hub: Hub, smtp: SmtpServer) -> None:
    context = await browser.new_context(base_url=f"http://127.0.0.1:{hub.port}", java_script_enabled=False)
    try:
        page = await context.new_page()
        await page.goto("/relays/default")
        await page.get_by_text("Pause…").click()
        await page.get_by_role("textbox", name="Reason").fill("no script here")
        await page.get_by_role("button", name="Force open").click()
        await expect(page.locator("#breaker h2")).to_have_text("Paused by hand")
        await page.get_by_role("link", name="Send a test").click()
        await page.get_by_label("To").fill("ada@example.org")
        await page.get_by_role("button", name="Send", exact=True).click()
        await expect(page.locator("#recipients .pill")).to_have_text("… queued")
        await page.get_by_role("link", name="Raw", exact=True).click()
        await expect(page.locator("pre.source")).to_contain_text("To: ada@example.org")
        message = page.url
        await page.goto("/relays/default")
        await page.get_by_role("button", name="Back to automatic").click()
        await smtp.wait_for(1)
        await hub.settled(1)
        await page.goto(message)
        await expect(page.locator("#recipients .pill")).to_have_text("✓ sent")
        await page.goto("/messages")
        await page.get_by_role("searchbox").fill("ada@")
        await page.get_by_role("button", name="Search").click()
        await expect(page.locator("#rows tr")).to_have_count(1)
    finally:
        await context.close()


async def test_a_template_is_typed_tried_published_and_sent_without_script(
    browser: Browser, guard: Guard, hub: Hub, smtp: SmtpServer
) -> None:
    guard.expect("answered: 422 POST .*/new-template")
    context = await browser.new_context(base_url=f"http://127.0.0.1:{hub.port}", java_script_enabled=False)
    try:
        page = await context.new_page()
        await page.goto("/templates")
        await page.get_by_role("link", name="New template").click()
        await page.get_by_label("Name").fill("Welcome mail")
        await page.get_by_label("Alias").fill("welcome")
        await page.get_by_label("HTML").fill("<style>h1 { color: #ff0000 }</style><h1>Hello {{ first_name }</h1>")
        await page.get_by_role("button", name="Save as a draft").click()
        await expect(page.locator("#h-html")).to_contain_text("Line 1: ")
        await page.get_by_label("HTML").fill("<style>h1 { color: #ff0000 }</style><h1>Hello {{ first_name }}</h1>")
        await page.get_by_role("button", name="Save as a draft").click()
        preview = page.frame_locator("iframe[title='Preview of the message']")
        await expect(preview.locator("h1")).to_have_text("Hello Ada")
        await expect(preview.locator("h1")).to_have_css("color", "rgb(255, 0, 0)")
        await page.get_by_label("Try it with").fill('{"first_name": "Bob <b>"}')
        await page.get_by_role("button", name="Show").click()
        await expect(preview.locator("h1")).to_have_text("Hello Bob <b>")
        await page.get_by_role("link", name="Phone").click()
        width = await page.locator(".frame").evaluate("frame => frame.clientWidth")
        assert width == 375
        await expect(preview.locator("h1")).to_have_text("Hello Bob <b>")
        await page.locator("#ask-publish-top-1 summary").click()
        await page.locator("#why-top-1").fill("checked by Bob")
        await page.locator("#ask-publish-top-1 button").click()
        await expect(page.locator("h1 .pill")).to_have_text("✓ published")
        await page.get_by_text("What was done").click()
        await expect(page.locator(".past")).to_contain_text("checked by Bob")
        await page.get_by_label("Send what is shown to").fill("ada@example.org")
        await page.get_by_role("button", name="Send", exact=True).click()
        await expect(page.locator("h1")).to_contain_text("Welcome, Ada")
        await smtp.wait_for(1)
    finally:
        await context.close()


@pytest.mark.parametrize("scheme", ("light", "dark"))
async def test_nothing_scrolls_sideways_on_a_phone(browser: Browser, hub: Hub, scheme: str) -> None:
    file = {"filename": "f" * 200, "content": "aGk="}
    given: dict[str, object] = {"text": "x" * 400, "html": f"<p>{'y' * 400}</p>", "attachments": [file] * 12}
    to = f"{'a' * 60}@{'b' * 60}.example.org"
    id = await hub.send(subject="A" * 300, to=to, request_id="r" * 120, **given)
    listed = {"email": f"{'c' * 60}@{'d' * 60}.example.org", "reason": "x" * 400}
    assert (await hub.client.post("/suppressions", json=listed)).status_code == 200
    variable = {"key": "s", "sample": "v" * 400, "description": "d" * 200}
    wide = {"name": "N" * 100, "alias": "a" * 100, "subject": "{{ s }}" + "S" * 300, "variables": [variable]}
    assert (
        await hub.client.post("/templates", json=wide | {"text": "x" * 400, "reason": "r" * 400})
    ).status_code == 200
    context = await browser.new_context(
        base_url=f"http://127.0.0.1:{hub.port}",
        viewport={"width": 390, "height": 844},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    try:
        page = await context.new_page()
        for path in (
            "/",
            "/messages",
            f"/messages/{id}",
            f"/messages/{id}?view=raw",
            f"/messages/{id}?view=attachments",
            "/relays",
            "/relays/default",
            "/suppressions",
            "/templates",
            f"/templates/{'a' * 100}",
            f"/templates/{'a' * 100}?view=source",
            f"/templates/{'a' * 100}/edit",
            "/new-template",
            "/send",
        ):
            await page.goto(path)
            assert await page.evaluate("document.documentElement.scrollWidth") <= 390, path
            sizes = await page.evaluate(
                "[...document.querySelectorAll('body *')].filter(el => el.textContent.trim() && el.offsetParent"
                " && ![...el.children].length).map(el => parseFloat(getComputedStyle(el).fontSize))"
            )
            assert min(size for size in sizes if size > 0) >= 11, path
    finally:
        await context.close()


async def test_the_lists_of_templates_and_suppressions_follow_what_others_do(context: BrowserContext, hub: Hub) -> None:
    templates, suppressions = await _live(await context.new_page(), "/templates"), await context.new_page()
    await _live(suppressions, "/suppressions")
    made = await hub.client.post("/templates", json={"name": "Welcome mail", "subject": "Welcome", "text": "Hello"})
    await hub.client.post("/suppressions", json={"email": "ada@example.org", "reason": "asked"})
    row = templates.locator("#templates tbody tr")
    await expect(row.locator("td").first).to_contain_text("draft")
    await hub.client.post(f"/templates/{made.json()['id']}/publish", json={})
    await expect(row.locator("td").first).to_contain_text("published")
    await expect(suppressions.locator("#entries li")).to_contain_text("ada@example.org")
    await hub.client.delete("/suppressions/ada@example.org")
    await expect(suppressions.locator("#entries")).to_contain_text("Nobody is on the list")
    assert await _unbroken(templates)
    assert await _unbroken(suppressions)


_COUNT_FLASHES = """
window.flashes = [];
const animate = Element.prototype.animate;
Element.prototype.animate = function (...how) {
  if (this.matches("#tabs a:first-child b")) window.flashes.push(performance.now());
  return animate.apply(this, how);
};
"""


async def test_a_number_that_changes_all_the_time_does_not_flash_all_the_time(browser: Browser, hub: Hub) -> None:
    """Drawing a flash at every frame is what live updates cost a browser most."""
    context = await browser.new_context(base_url=f"http://127.0.0.1:{hub.port}", reduced_motion="no-preference")
    try:
        page = await context.new_page()
        await page.add_init_script(_COUNT_FLASHES)
        await _live(page, "/messages")
        for number in range(1, 5):
            await hub.send(subject=f"New {number}")
            await expect(page.locator("#tabs")).to_contain_text(f"All {number}")
        flashes = await page.evaluate("window.flashes")
        assert flashes
        assert all(later - earlier >= 5000 for earlier, later in pairwise(flashes))
    finally:
        await context.close()
