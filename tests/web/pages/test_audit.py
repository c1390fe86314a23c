"""The page of the audit log, and what leads to it."""

from __future__ import annotations

import pytest

from emailhub.core.audit import DEEDS, REFUSED, Deed
from emailhub.core.breaker import Mode
from emailhub.engine.desk import Actor
from emailhub.web.pages.audit import words
from tests.support.web_hub import WebHub
from tests.web.pages.reading import HTML, page, press, words_of

BEA = Actor("bea", "dashboard", "10.0.0.9")


async def test_an_empty_log_says_what_lands_there_and_for_how_long(hub: WebHub) -> None:
    text = words_of(await page(hub, "/audit"))
    assert "Nobody has done anything yet." in text
    assert "EMAILHUB_KEEP_AUDIT" in text


async def test_an_entry_tells_who_from_where_what_to_what_and_why_and_leads_to_each(hub: WebHub) -> None:
    id = await hub.send()
    await hub.faces.desk.hold(id, BEA, "wrong <price>")
    html = await page(hub, "/audit")
    assert f"bea from 10.0.0.9 Held a message {id} “wrong <price>”" in words_of(html)
    for href in (f"/messages/{id}", "/audit?actor=bea", "/audit?what=message.hold"):
        assert f'href="{href}"' in html


async def test_what_was_refused_is_said_to_be_so(hub: WebHub) -> None:
    await hub.faces.audit.record(BEA, "settings.reload", result=REFUSED, detail="EMAILHUB_PORT: expected a number")
    text = words_of(await page(hub, "/audit"))
    assert "Asked to have the settings read again ✕ refused EMAILHUB_PORT: expected a number" in text


@pytest.mark.parametrize("what", sorted(DEEDS.values()))
def test_every_deed_that_an_event_records_is_told_in_words(what: str) -> None:
    assert "(" not in words(Deed(at=0.0, actor="bea", what=what))


async def test_a_deed_without_words_of_its_own_is_shown_all_the_same(hub: WebHub) -> None:
    await hub.faces.audit.record(BEA, "thing.turned_over", "T")
    assert "Turned over (thing) T" in words_of(await page(hub, "/audit"))


async def test_the_filter_stays_in_the_form_the_pager_and_the_export(hub: WebHub) -> None:
    for number in range(60):
        await hub.faces.audit.record(BEA, "template.publish", f"t{number}")
    await hub.faces.audit.record(Actor("ann"), "settings.reload")
    html = await page(hub, "/audit?actor=bea&what=template")
    assert "t59" in html
    assert "Had the settings read again" not in html
    assert 'value="bea"' in html
    assert '<option value="template" selected>' in html
    assert 'href="/audit/csv?actor=bea&amp;what=template"' in html
    assert "/audit?actor=bea&amp;what=template&amp;before=11" in html
    older = await page(hub, "/audit?actor=bea&what=template&before=11")
    assert "t9<" in older
    assert "t10<" not in older
    assert "‹ Newer" in older
    assert "No entry matches." in words_of(await page(hub, "/audit?what=template.delete"))
    assert "There is nothing more here." in words_of(await page(hub, "/audit?before=1"))


async def test_a_message_and_a_relay_lead_to_their_entries(hub: WebHub) -> None:
    id = await hub.send()
    assert "/audit" not in (await page(hub, f"/messages/{id}")).split("<main", 1)[1].split("</main>")[0]
    await press(hub, f"/messages/{id}/hold")
    assert f'href="/audit?target={id}">local from 127.0.0.1</a>' in await page(hub, f"/messages/{id}")
    await hub.faces.desk.force("capture", Mode.OPEN, actor=BEA, note="upkeep", until=None)
    assert 'href="/audit?target=capture">Who did what</a>' in await page(hub, "/relays/capture")
    assert "bea from 10.0.0.9 Forced a breaker capture · open “upkeep”" in words_of(
        await page(hub, "/audit?target=capture")
    )


async def test_the_page_and_the_json_share_an_address_and_caches_know_it(hub: WebHub) -> None:
    assert (await hub.client.get("/audit", headers=HTML)).headers["content-type"].startswith("text/html")
    assert (await hub.client.get("/audit")).headers["vary"] == "accept"
