"""The list: filtered and paged by its URL, never moved under the reader."""

import re

import pytest

from emailhub.adapters.sqlite import stretches
from emailhub.core.delivery import State
from emailhub.web.pages.messages import Query
from tests.support.web_hub import WebHub
from tests.web.pages.reading import page, part, words_of


def _ids(html: str) -> list[str]:
    return re.findall(r'<tr id="m-(\w+)"', html)


async def test_a_message_shows_its_state_address_subject_and_request(hub: WebHub) -> None:
    await hub.send(to=["Ada <ada@example.org>", "bob@example.org"], subject="Hello there", request_id="r-77")
    text = words_of(part(await page(hub, "/messages"), "rows"))
    assert text.startswith("… queued ada@example.org +1 Hello there waits for its first try r-77")


@pytest.mark.parametrize("name", ("eve@example.net, Ada", "<eve@example.net>", "Lovelace, Ada (Sales)", "a > b"))
async def test_the_address_shown_is_the_one_mail_goes_to_whatever_the_name_says(hub: WebHub, name: str) -> None:
    await hub.send(to=f'"{name}" <ada@example.org>')
    assert words_of(part(await page(hub, "/messages"), "rows")).startswith("… queued ada@example.org Hello")


@pytest.mark.parametrize("q", ("ada@example", "HELLO", "r-77"))
async def test_search_finds_by_address_subject_and_request_id(hub: WebHub, q: str) -> None:
    wanted = await hub.send(to="ada@example.org", subject="Hello", request_id="r-77")
    await hub.send(to="bob@example.net", subject="Other")
    assert _ids(await page(hub, f"/messages?q={q}")) == [wanted]


async def test_a_search_that_finds_nothing_says_what_was_searched(hub: WebHub) -> None:
    await hub.send()
    text = words_of(await page(hub, "/messages?q=%3Cnothing%3E"))
    assert (
        "No message matches “<nothing>”. Words are searched in subjects and addresses of recipients, and as ids."
        in text
    )


async def test_a_search_that_would_take_long_says_how_far_it_looked_and_goes_on_by_a_link(
    hub: WebHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stretches, "FIRST", 2)
    monkeypatch.setattr("emailhub.web.pages.messages._LOOKING", 0.0)
    ids = [await hub.send(subject=subject) for subject in ("Early", "Early", "Early", "late", "late")]
    first = await page(hub, "/messages?q=-late")
    assert "Nothing that matches came since" in (text := words_of(first))
    assert "Older messages were not looked through yet. Look further back" in text
    (link,) = re.findall(r'<a href="([^"]+)">Look further back', first)
    second = await page(hub, link.replace("&amp;", "&"))
    assert _ids(second) == [ids[2], ids[1]]
    assert "There may be older ones: go on with “Older”." in words_of(second)
    third = await page(hub, f"/messages?q=-late&before={ids[1]}")
    assert _ids(third) == [ids[0]]
    assert "There may be older ones" not in third


async def test_a_mistake_is_explained_in_its_place_and_nothing_is_listed(hub: WebHub) -> None:
    await hub.send()
    html = await page(hub, "/messages?q=to%3Aada+state%3Asendt")
    assert _ids(html) == []
    said = words_of(part(html, "mistakes"))
    assert said.startswith("state:sendt — state: knows queued, scheduled,")
    assert said.endswith("not sendt ; did you mean sent?.") or "did you mean sent?" in said
    assert "Nothing is shown, because not all of the search was understood." in words_of(html)


async def test_the_search_speaks_its_language_and_keeps_it_in_the_url(hub: WebHub) -> None:
    wanted = await hub.send(subject="Your order", to="ada@example.org")
    await hub.send(subject="Your order", to="bob@example.org")
    html = await page(hub, "/messages?q=to%3Aada%40example.org+subject%3Aorder+-state%3Asent")
    assert _ids(html) == [wanted]
    assert 'href="/messages?state=held&amp;q=to%3Aada%40example.org+subject%3Aorder+-state%3Asent"' in html


async def test_states_are_tabs_with_counts_that_keep_the_search(hub: WebHub) -> None:
    id = await hub.send()
    await hub.send()
    await hub.client.post(f"/emails/{id}/cancel", json={})
    html = await page(hub, "/messages?state=canceled&q=ada")
    assert _ids(html) == [id]
    tabs = part(html, "tabs")
    assert "All 2" in words_of(tabs)
    assert "Canceled 1" in words_of(tabs)
    assert 'href="/messages?state=queued&amp;q=ada"' in tabs
    assert re.search(r'aria-current="page">Canceled', tabs)


@pytest.mark.parametrize("state", State)
async def test_every_empty_state_explains_itself(hub: WebHub, state: State) -> None:
    html = await page(hub, f"/messages?state={state}")
    assert re.search(r'class="empty"><p>Nothing .+?\.</p>', html)


async def test_an_unknown_state_shows_all(hub: WebHub) -> None:
    id = await hub.send()
    assert _ids(await page(hub, "/messages?state=nonsense")) == [id]


async def test_exact_filters_are_shown_and_can_be_taken_off(hub: WebHub) -> None:
    await hub.send(request_id="a b&c")
    html = await page(hub, "/messages?request=a+b%26c&relay=capture")
    assert len(_ids(html)) == 1
    assert "a b&amp;c" in html
    assert 'href="/messages?relay=capture" aria-label="Remove this filter"' in html


async def test_pages_go_older_and_newer_and_back_to_the_newest(hub: WebHub) -> None:
    ids = [await hub.send(subject=f"s{number}") for number in range(55)][::-1]
    first = await page(hub, "/messages")
    assert _ids(first) == ids[:50]
    older = re.search(r'rel="next" href="([^"]+)"', first)
    assert older
    second = await page(hub, older[1])
    assert _ids(second) == ids[50:]
    newer = re.search(r'rel="prev" href="([^"]+)"', second)
    assert newer
    assert _ids(await page(hub, newer[1])) == ids[:50]
    assert ">Newest<" in second


async def test_a_page_from_a_message_that_is_gone_is_not_found(hub: WebHub) -> None:
    await page(hub, "/messages?before=01NOSUCHMESSAGE", 404)


async def test_the_first_message_of_an_empty_list_is_announced_too(hub: WebHub) -> None:
    assert part(await page(hub, "/messages?state=queued", **{"x-part": "1"}), "news").startswith("</p>")
    await hub.send()
    assert words_of(part(await page(hub, "/messages?state=queued", **{"x-part": "1"}), "news")).startswith("1 new")
    assert part(await page(hub, "/messages?state=held", **{"x-part": "1"}), "news").startswith("</p>")
    for _ in range(100):
        await hub.send()
    assert words_of(part(await page(hub, "/messages?state=queued", **{"x-part": "1"}), "news")).startswith("99+ new")


async def test_new_messages_are_announced_and_not_shoved_in(hub: WebHub) -> None:
    first = await hub.send()
    await hub.send()
    await hub.send(subject="no match")
    html = await page(hub, f"/messages?q=Hello&first={first}", **{"x-part": "1"})
    assert words_of(part(html, "news")).startswith("1 new")
    assert 'href="/messages?q=Hello"' in part(html, "news")
    assert _ids(html) == []


async def test_the_rows_on_screen_are_told_as_they_are_now(hub: WebHub) -> None:
    id = await hub.send()
    await hub.client.post(f"/emails/{id}/cancel", json={})
    html = await page(hub, f"/messages?state=queued&first={id}&row={id}&row=01GONE", **{"x-part": "1"})
    assert _ids(html) == [id]
    assert "canceled" in words_of(html)


async def test_nothing_is_announced_on_an_older_page(hub: WebHub) -> None:
    first = await hub.send()
    await hub.send()
    html = await page(hub, f"/messages?before={first}&first={first}", **{"x-part": "1"})
    assert " new" not in words_of(html)


def test_a_query_survives_its_own_url() -> None:
    query = Query(state="held", q="a&b=c #1", request="r/1")
    assert query.url("/messages") == "/messages?state=held&q=a%26b%3Dc+%231&request=r%2F1"
