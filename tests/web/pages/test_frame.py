"""What is around every page: navigation, banners, the live parts, errors and the form to sign in."""

import re
from pathlib import Path

import pytest

from emailhub.core.breaker import Mode
from emailhub.engine.desk import Actor
from emailhub.engine.gate import Access
from emailhub.web.faces import WebOptions
from tests.support.web_hub import WebHub, web_hub
from tests.web.pages.reading import HTML, page, press, words_of

PAGES = ("/", "/messages", "/relays", "/relays/capture", "/suppressions", "/send")
CLOSED = Access(listen="0.0.0.0", admin_password="a long password", api_keys=("k" * 32,))


@pytest.mark.parametrize("path", PAGES)
async def test_every_page_is_whole_says_where_it_is_and_is_not_kept_by_caches(hub: WebHub, path: str) -> None:
    response = await hub.client.get(path, headers=HTML)
    assert response.status_code == 200
    assert response.text.startswith("<!doctype html>")
    assert response.text.rstrip().endswith("</html>")
    assert response.text.count('aria-current="page"') >= 1
    assert response.text.count("<h1") == 1
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", PAGES)
async def test_the_script_gets_the_changing_parts_without_their_frame(hub: WebHub, path: str) -> None:
    response = await hub.client.get(path, headers=HTML | {"x-part": "1"})
    assert "<header" not in response.text
    assert "x-part" in response.headers["vary"]


async def test_capturing_is_said_on_every_page(hub: WebHub) -> None:
    for path in PAGES:
        html = await page(hub, path)
        banner, headline = "Capturing: mail is kept here and reaches nobody.", "Mail is captured, not sent."
        assert (banner in html, headline in html) == ((False, True) if path == "/" else (True, False))


async def test_capturing_is_said_on_the_first_page_too_while_something_else_is_its_headline(hub: WebHub) -> None:
    await hub.faces.desk.force("capture", Mode.OPEN, actor=Actor("ada"), note="upkeep", until=None)
    assert "Capturing: mail is kept here and reaches nobody." in await page(hub, "/")


async def test_an_open_hub_says_so_loudly(tmp_path: Path) -> None:
    async with web_hub(tmp_path, Access(listen="0.0.0.0", auth=False)) as hub:
        assert "EMAILHUB_AUTH is none" in await page(hub, "/")


async def test_the_form_to_sign_in_tells_nothing_of_the_hub(tmp_path: Path) -> None:
    async with web_hub(tmp_path, CLOSED) as hub:
        form = await page(hub, "/login")
        assert "<nav" not in form
        assert "data-events" not in form
        assert "Capturing" not in form
        assert 'type="password"' in form


async def test_a_password_over_plain_http_is_warned_of_before_it_is_typed(tmp_path: Path) -> None:
    async with web_hub(tmp_path, CLOSED) as hub:
        from_afar = hub.client_from("198.51.100.4", "http://198.51.100.1:8000")
        assert "not encrypted" in (await from_afar.get("/login", headers=HTML)).text
        assert "not encrypted" not in await page(hub, "/login")


async def test_a_wrong_password_is_said_at_the_field_and_the_page_is_remembered(tmp_path: Path) -> None:
    async with web_hub(tmp_path, CLOSED) as hub:
        answer = await press(hub, "/login", password="wrong", next="/messages?state=held")
        assert answer.status_code == 401
        assert "Name or password is not right." in answer.text
        assert 'aria-invalid="true"' in answer.text
        assert 'value="/messages?state=held"' in answer.text


async def test_who_signed_in_can_leave(tmp_path: Path) -> None:
    async with web_hub(tmp_path, CLOSED) as hub:
        await press(hub, "/login", password="a long password")
        assert "Sign out" in await page(hub, "/")
        await press(hub, "/logout")
        response = await hub.client.get("/", headers=HTML)
        assert response.status_code == 303
        assert response.headers["location"] == "/login"


@pytest.mark.parametrize("path", ("/nothing", "/messages/01NOSUCHMESSAGE", "/relays/none", "/messages/01X/preview"))
async def test_what_is_not_there_is_said_in_words(hub: WebHub, path: str) -> None:
    text = words_of(await page(hub, path, 404))
    assert "There is nothing here" in text
    assert "Traceback" not in text


async def test_an_error_shows_the_way_on_to_those_who_may_go_it(hub: WebHub, tmp_path: Path) -> None:
    assert "Go to the overview" in await page(hub, "/nothing", 404)
    async with web_hub(tmp_path / "closed", CLOSED) as closed:
        stranger = await closed.client.post("/send", headers=HTML | {"Sec-Fetch-Site": "cross-site"})
        assert stranger.status_code == 403
        assert "Go to the overview" not in stranger.text


async def test_under_a_prefix_every_link_carries_it(tmp_path: Path) -> None:
    options = WebOptions(public_url="https://mail.example.org/hub")
    async with web_hub(tmp_path, options=options) as hub:
        html = await page(hub, "/")
        assert 'href="/hub/messages"' in html
        assert '"/hub/static/app.' in html
        assert 'data-events="/hub/events"' in html
        assert 'href="/messages' not in html
        answer = await press(hub, "/send", to="ada@example.org", subject="x", text="y")
        assert answer.headers["location"].startswith("/hub/messages/")


async def test_the_chosen_theme_is_there_from_the_first_paint(hub: WebHub) -> None:
    assert 'data-theme="dark"' in await page(hub, "/", cookie="emailhub_theme=dark")
    assert "data-theme" not in await page(hub, "/", cookie='emailhub_theme="><script>')


async def test_a_template_of_the_operator_replaces_the_built_in_one(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "send.html").write_text("{% extends layout %}{% block title %}Ours{% endblock %}")
    async with web_hub(tmp_path, options=WebOptions(templates_dir=own)) as hub:
        assert "<title>Ours" in await page(hub, "/send")
        assert "<title>Messages" in await page(hub, "/messages")


async def test_the_theme_is_switched_without_script_and_leads_back_to_where_one_was(hub: WebHub) -> None:
    html = await page(hub, "/messages?state=sent")
    assert 'name="back" value="/messages?state=sent"' in html
    assert 'name="theme" value="light"' in html
    form = {"theme": "light", "back": "/messages?state=sent"}
    answer = await hub.client.post("/theme", data=form, headers={"sec-fetch-site": "same-origin"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/messages?state=sent")
    assert "emailhub_theme=light" in answer.headers["set-cookie"]
    assert 'name="theme" value="dark"' in await page(hub, "/", cookie="emailhub_theme=light")


@pytest.mark.parametrize("back", ("//evil.example", "https://evil.example/", "/\\evil.example", "/a b", ""))
async def test_the_switch_of_the_theme_leads_to_no_other_host(hub: WebHub, back: str) -> None:
    answer = await hub.client.post(
        "/theme", data={"theme": "purple", "back": back}, headers={"sec-fetch-site": "same-origin"}
    )
    assert answer.headers["location"] == "/"
    assert "emailhub_theme=;" in answer.headers["set-cookie"].replace('""', "")


async def test_the_help_names_every_key_and_the_keys_lead_to_every_page_of_the_navigation(hub: WebHub) -> None:
    html = await page(hub, "/")
    help = html[html.index('<dl class="keys">') :]
    link = re.search(r'src="(/static/shortcuts[^"]+)"', html)
    assert link
    script = (await hub.client.get(link[1])).text
    go = dict(re.findall(r'(\w): "(/[a-z-]*)"', script[script.index("const GO") : script.index("};")]))
    keys = set(re.findall(r'^  "?([^": ]+)"?: ', script[script.index("const KEYS") :], re.MULTILINE))
    assert set(re.findall(r"<kbd>g</kbd> <kbd>(\w)</kbd>", help)) == set(go)
    assert set(re.findall(r"<kbd>(.)</kbd>", re.sub(r"<kbd>g</kbd> <kbd>.</kbd>", "", help))) == keys - {"g"}
    nav = html[html.index('<nav aria-label="Pages">') : html.index("</nav>")]
    assert set(re.findall(r'href="([^"]+)"', nav)) <= set(go.values())
