"""The page of users: what it shows, and what its buttons do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from emailhub.engine.gate import Access
from emailhub.engine.logins import Attempt
from emailhub.web.pages.users import browser
from tests.support.web_hub import WebHub, web_hub
from tests.web.pages.reading import HTML, page, press, words_of

HOST = "http://localhost:8000"
VERA = {"name": "vera", "role": "viewer", "password": "a long password", "reason": "joined"}


@pytest_asyncio.fixture
async def kept(tmp_path: Path) -> AsyncIterator[WebHub]:
    """A hub on loopback whose dashboard asks for a log-in, and admin logged in."""
    async with web_hub(tmp_path, Access(admin_password="the admin's secret")) as hub:
        answer = await press(hub, "/login", password="the admin's secret")
        assert answer.status_code == 303
        yield hub


async def test_on_an_open_hub_the_page_says_that_the_first_user_closes_it(hub: WebHub) -> None:
    text = words_of(await page(hub, "/users"))
    assert "Nobody logs in: the dashboard is open to whoever reaches this address." in text
    answer = await press(hub, "/users/added", **(VERA | {"name": "olga", "role": "operator"}))
    assert answer.status_code == 303
    assert (await hub.client.get("/users", headers=HTML)).headers["location"] == "/login?next=/users"


async def test_a_user_is_added_and_shown_with_their_log_ins(kept: WebHub) -> None:
    answer = await press(kept, "/users/added", **VERA)
    assert (answer.status_code, answer.headers["location"]) == (303, "/users")
    assert "vera may log in as viewer." in words_of(await page(kept, "/users"))
    attempt = Attempt(name="vera", password="a long password", client="10.0.0.9", agent="Firefox <b>")
    await kept.faces.logins.log_in(attempt)
    html = await page(kept, "/users")
    assert "vera ◉ viewer since 15 Jan 2027 08:00 UTC" in words_of(html)
    assert "logged in from 10.0.0.9 · used just now · Firefox <b>" in words_of(html)
    assert "<b>" not in html.split('id="u-vera"')[1].split("</li>")[0]
    assert 'href="/audit?actor=vera"' in html
    assert "admin ✎ operator from settings: EMAILHUB_ADMIN_PASSWORD" in words_of(html)


async def test_what_is_wrong_stands_over_the_form_and_only_the_password_is_lost(kept: WebHub) -> None:
    answer = await press(kept, "/users/added", **(VERA | {"name": "Vera", "password": "tooshort"}))
    assert answer.status_code == 422
    assert "Name must be 1 to 64 of a-z" in words_of(answer.text)
    assert "Password must have 12 to 1024 characters" in words_of(answer.text)
    assert 'value="Vera"' in answer.text
    assert "tooshort" not in answer.text


async def test_role_password_log_out_and_removal_are_a_press_each(kept: WebHub) -> None:
    await press(kept, "/users/added", **VERA)
    await press(kept, "/users/vera/role", role="operator", reason="on call")
    assert "vera is operator now, and has to log in again." in words_of(await page(kept, "/users"))
    await press(kept, "/users/vera/password", password="another long password")
    assert "vera has another password" in words_of(await page(kept, "/users"))
    await kept.faces.logins.log_in(Attempt(name="vera", password="another long password"))
    await press(kept, "/users/vera/logout")
    assert "vera is logged out: 1 log-in ended." in words_of(await page(kept, "/users"))
    await press(kept, "/users/vera/removal", reason="left")
    html = await page(kept, "/users")
    assert "vera is removed, and logged out everywhere." in words_of(html)
    assert 'id="u-vera"' not in html
    deeds = (await kept.client.get("/audit?target=vera")).json()["data"]
    assert [(one["actor"], one["what"], one["reason"]) for one in reversed(deeds)] == [
        ("admin", "user.add", "joined"),
        ("admin", "user.role", "on call"),
        ("admin", "user.password", ""),
        ("admin", "session.end_all", ""),
        ("admin", "user.remove", "left"),
    ]


async def test_what_cannot_be_done_is_said_and_nothing_changes(kept: WebHub) -> None:
    await press(kept, "/users/added", **VERA)
    for verb, fields in (("password", {"password": "tooshort"}), ("role", {"role": "viewer"})):
        await press(kept, f"/users/{'admin' if verb == 'role' else 'vera'}/{verb}", **fields)
        assert "Nothing was changed:" in words_of(await page(kept, "/users"))
    assert 'action="/users/admin/removal"' not in await page(kept, "/users")
    assert (await press(kept, "/users/eve/removal")).status_code == 404


@pytest.mark.parametrize(
    ("agent", "words"),
    (
        ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "Firefox on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/130.0 Safari/537.36 Edg/130.0", "Edge on Windows"),
        ("Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/130.0 Mobile Safari/537.36", "Chrome on Android"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1", "Safari on iPhone"),
        ("curl/8.5.0", "curl/8.5.0"),
        ("x" * 160, "x" * 40),
    ),
)
def test_a_browser_is_named_in_two_words(agent: str, words: str) -> None:
    assert browser(agent) == words


async def test_the_frame_names_who_is_signed_in(kept: WebHub) -> None:
    assert "Sign out admin" in words_of(await page(kept, "/"))
