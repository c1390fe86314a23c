"""Many messages at once on the pages: asked before, frozen, without script, and told while it goes on."""

from __future__ import annotations

import html as entities
import re
from urllib.parse import urlencode

import pytest

from tests.support.web_hub import WebHub
from tests.web.pages.reading import page, part, words_of
from tests.web.test_bulk import working


def _hidden(html: str) -> dict[str, str]:
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', html)
    return {name: entities.unescape(value) for name, value in found}


async def _begin(hub: WebHub, fields: dict[str, str]) -> str:
    answer = await hub.client.post("/jobs", data=fields)
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


async def test_the_list_is_a_form_that_asks_about_the_selected_rows(hub: WebHub) -> None:
    id = await hub.send()
    html = await page(hub, "/messages?state=queued&q=ada")
    assert f'<input type="checkbox" name="id" value="{id}" form="many"' in html
    assert '<form id="many" class="many" action="/jobs/new">' in html
    assert {"state": "queued", "q": "ada"}.items() <= _hidden(html).items()
    assert 'name="action" value="release"' in html


async def test_what_will_happen_is_said_before_and_the_very_same_is_done(hub: WebHub) -> None:
    ids = [await hub.send(subject="Sale") for _ in range(3)]
    await hub.client.post(f"/emails/{ids[0]}/hold", json={})
    html = await page(hub, "/jobs/new?action=release&all=1&q=subject%3Asale")
    text = words_of(html)
    assert "Release 1 message?" in text
    assert "3 messages match" in text
    assert "1 held is changed" in text
    assert "2 queued stay as they are" in text
    later = await hub.send(subject="Sale")
    await hub.client.post(f"/emails/{later}/hold", json={})
    place = await _begin(hub, _hidden(html) | {"pace": "all", "reason": "price is right"})
    async with working(hub):
        while "running" in words_of(await page(hub, place)):
            pass
    text = words_of(await page(hub, place))
    assert "1 of 1 released." in text
    assert "“price is right”" in text
    states = [(await hub.client.get(f"/emails/{id}")).json()["status"] for id in (ids[0], later)]
    assert states == ["queued", "held"]


async def test_selected_rows_alone_are_touched(hub: WebHub) -> None:
    ids = [await hub.send() for _ in range(3)]
    html = await page(hub, "/jobs/new?" + urlencode([("action", "cancel"), ("id", ids[0]), ("id", ids[2])]))
    assert "2 messages are selected" in words_of(html)
    place = await _begin(hub, _hidden(html) | {"pace": "all"})
    async with working(hub):
        while "running" in words_of(await page(hub, place)):
            pass
    states = [(await hub.client.get(f"/emails/{id}")).json()["status"] for id in ids]
    assert states == ["canceled", "queued", "canceled"]


async def test_nothing_selected_changes_nothing(hub: WebHub) -> None:
    await hub.send()
    answer = await hub.client.get("/jobs/new?action=cancel&q=ada&state=queued")
    assert (answer.status_code, answer.headers["location"]) == (303, "/messages?state=queued&q=ada")
    assert "select messages first, or tick all that match" in words_of(await page(hub, "/messages"))


@pytest.mark.parametrize(
    "fields",
    (
        {"reason": "none"},
        {"action": "cancel"},
        {"action": "erase", "upto": "9"},
        {"action": "cancel", "upto": "-1"},
        {"action": "cancel", "upto": "many"},
        {"action": "cancel", "upto": "9", "q": "state:sendt"},
    ),
)
async def test_a_form_that_is_not_complete_begins_nothing(hub: WebHub, fields: dict[str, str]) -> None:
    await hub.send()
    assert await _begin(hub, fields) == "/messages"
    assert await hub.faces.bulk.latest(5) == ()


async def test_a_search_with_mistakes_leads_back_to_where_they_are_explained(hub: WebHub) -> None:
    answer = await hub.client.get("/jobs/new?action=cancel&all=1&q=state%3Asendt")
    assert (answer.status_code, answer.headers["location"]) == (303, "/messages?q=state%3Asendt")


async def test_an_action_that_fits_nothing_offers_no_button(hub: WebHub) -> None:
    await hub.send()
    text = words_of(await page(hub, "/jobs/new?action=release&all=1"))
    assert "There is nothing to release: no message that matches is in a state in which that can be done." in text


async def test_a_job_is_shown_on_the_list_and_stopped_on_its_page(hub: WebHub) -> None:
    await hub.send()
    html = await page(hub, "/jobs/new?action=hold&all=1&q=ada")
    place = await _begin(hub, _hidden(html) | {"pace": "1"})
    assert "Hold: 0 of 1 message. See it" in words_of(part(await page(hub, "/messages"), "working"))
    assert f'href="{place}"' in await page(hub, "/jobs")
    answer = await hub.client.post(f"{place}/stop")
    assert (answer.status_code, answer.headers["location"]) == (303, place)
    text = words_of(await page(hub, place))
    assert "Stopped. 0 messages are held and stay so; 1 were not touched." in text
    await hub.client.post(f"{place}/stop")
    assert "is stopped already" in words_of(await page(hub, place))
    assert words_of(part(await page(hub, "/messages"), "working")) == ""
