"""A walk over every page of the demo: those with an address, those a link leads to, and those a form leads to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final

from playwright.async_api import Page

PAGES: Final = {
    "overview": "/",
    "overview-24h": "/?span=24h",
    "messages": "/messages",
    "messages-failed": "/messages?state=failed",
    "messages-mistake": "/messages?q=state%3Asendt",
    "jobs": "/jobs",
    "job-new": "/jobs/new?action=retry&all=1&state=failed",
    "dead-letters": "/dead-letters",
    "dead-letters-resent": "/dead-letters?status=resent",
    "dead-letter": "/dead-letters/2",
    "dead-letter-hex": "/dead-letters/2?view=hex",
    "relays": "/relays",
    "relay-gmail": "/relays/gmail",
    "templates": "/templates",
    "template-new": "/new-template",
    "suppressions": "/suppressions",
    "send": "/send",
    "api-keys": "/api-keys",
    "users": "/users",
    "account": "/account",
    "audit": "/audit",
    "settings": "/settings",
    "settings-all": "/settings?show=all",
    "docs": "/docs",
    "login": "/login",
    "patterns": "/patterns",
    "not-found": "/nothing-here",
}
"""Pages by their names."""
STATES: Final = ("sent", "deferred", "failed", "held", "scheduled", "queued", "canceled", "suppressed")
"""The newest message in each of these is a page."""
LINKED: Final = {
    "message": ("/messages?state=sent", "#rows .subject a", ("", "?view=text", "?view=headers", "?view=raw")),
    "message-preview": ("/messages?state=sent", "#rows .subject a", ("?width=desktop", "?width=phone")),
    "template": ("/templates", "#templates .subject a", ("", "?view=source", "?width=phone", "/edit")),
    "job": ("/jobs", "#jobs a", ("",)),
}
"""More by the first link of a list, and what is put behind its address."""


async def walked(page: Page, base: str) -> AsyncIterator[str]:
    """Go from page to page of the demo at `base`; the name of each when `page` shows it."""
    await _job(page, base)
    for name, path in {**PAGES, **await messages_of(page, base, STATES), **await _linked(page, base)}.items():
        await page.goto(base + path)
        yield name
    for name, act in ACTS.items():
        await act(page, base)
        yield name


async def messages_of(page: Page, base: str, states: Sequence[str]) -> dict[str, str]:
    """The path of the newest message in each of `states`, as far as there is one, by its name."""
    found = {}
    for state in states:
        await page.goto(f"{base}/messages?state={state}")
        link = page.locator("#rows .subject a").first
        if await link.count():
            found[f"message-{state}"] = str(await link.get_attribute("href"))
    return found


async def _linked(page: Page, base: str) -> dict[str, str]:
    found = {}
    for name, (path, selector, more) in LINKED.items():
        await page.goto(base + path)
        href = str(await page.locator(selector).first.get_attribute("href"))
        found |= {f"{name}-{number}": href + end for number, end in enumerate(more, 1)}
    return found


async def _job(page: Page, base: str) -> None:
    """Begin a job where there is none: retry what failed, slowly."""
    await page.goto(f"{base}/jobs")
    if await page.locator("#jobs a").count() == 0:
        await page.goto(f"{base}/jobs/new?action=retry&all=1&state=failed")
        await page.locator("input[name=pace][value='1']").check()
        await page.locator("main form .primary").click()


async def _key_shown(page: Page, base: str) -> None:
    await page.goto(f"{base}/api-keys")
    number = await page.locator(".entries li").count()  # each has a name of its own
    await page.locator("#f-name").fill(f"shop {number}")
    await page.locator("input[name=may_read]").check()
    await page.get_by_role("button", name="Make the key").click()
    await page.locator("#secret").wait_for()


def _mistake(path: str, fields: dict[str, str], button: str, shows: str) -> Callable[[Page, str], Awaitable[None]]:
    """Fill in a form so that it is refused, and see the page that says so."""

    async def act(page: Page, base: str) -> None:
        await page.goto(base + path)
        for field, text in fields.items():
            await page.locator(field).fill(text)
        await page.locator(button).first.click()
        await page.locator(shows).first.wait_for()

    return act


ACTS: Final[dict[str, Callable[[Page, str], Awaitable[None]]]] = {
    "api-key-shown": _key_shown,
    "dead-letter-mistake": _mistake(
        "/dead-letters/2", {"#f-body": '{"to": "ada@"}'}, "#mend button", "#mend .problems"
    ),
    "send-mistake": _mistake("/send", {"#f-to": "ada@"}, "main form button.primary", "main .problem"),
    "template-mistake": _mistake(
        "/new-template", {"#f-name": "x", "#f-alias": "x", "#f-html": "{{ a }"}, "main form button", "main .problem"
    ),
    "suppression-mistake": _mistake("/suppressions", {"#f-emails": "ada@"}, "main form.form button", "main .problem"),
}
"""Pages that only a form leads to."""
