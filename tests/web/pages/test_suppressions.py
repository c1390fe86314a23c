"""The page of suppressed addresses, and what a message's page says of them."""

from __future__ import annotations

import httpx

from emailhub.core.suppression import Listing, SuppressionFilter, SuppressionOrigin
from emailhub.engine.desk import Actor
from tests.support.web_hub import WebHub
from tests.web.pages.reading import page, press, words_of

ADA = "ada@example.org"
PATH = "/suppressions"
EVERY = SuppressionFilter()
OPERATOR = Actor("operator", "dashboard")


async def add(hub: WebHub, **fields: str) -> httpx.Response:
    return await press(hub, f"{PATH}/add", **{"emails": ADA, "origin": "manual", "reason": "", **fields})


async def test_an_empty_list_says_what_it_is_for(hub: WebHub) -> None:
    text = words_of(await page(hub, PATH))
    assert "Nobody is on the list: everybody gets their mail." in text
    assert "EMAILHUB_SUPPRESS_REFUSED" in text


async def test_several_addresses_are_added_with_reason_and_actor(hub: WebHub) -> None:
    answer = await add(hub, emails=f"Ada <{ADA}>\nBOB@example.org", origin="complaint", reason=" wrote  to\nus ")
    assert (answer.status_code, answer.headers["location"]) == (303, PATH)
    html = await page(hub, PATH)
    text = words_of(html)
    assert "2 addresses are on the list: no mail goes there from now on." in text
    assert "bob@example.org ! spam report wrote to us" in text
    assert "by local from 127.0.0.1 over the dashboard" in text
    assert text.index("bob@example.org") < text.index(ADA)


async def test_what_is_wrong_stands_at_the_field_and_nothing_typed_is_lost(hub: WebHub) -> None:
    answer = await add(hub, emails="ada@example.org, non<sense", reason="kept <b>")
    assert answer.status_code == 422
    assert "Address[1]:" in words_of(answer.text)
    assert "non&lt;sense</textarea>" in answer.text
    assert 'value="kept &lt;b&gt;"' in answer.text
    assert (await hub.faces.suppressions.page(EVERY, limit=9)).items == ()


async def test_none_and_too_many_are_refused(hub: WebHub) -> None:
    for emails in ("", " , \n", ", ".join(f"p{n}@example.org" for n in range(101))):
        assert (await add(hub, emails=emails)).status_code == 422


async def test_lifting_takes_one_press_and_keeps_the_reason(hub: WebHub) -> None:
    await add(hub)
    id = str((await hub.faces.suppressions.find(ADA)).id)
    await press(hub, f"{PATH}/lift", id=id, reason="they asked again")
    assert f"{ADA} gets mail again." in words_of(await page(hub, PATH))
    (event,) = [one for one in await hub.faces.history.events_since(0, 99) if one.kind == "suppression_lifted"]
    assert (event.data["actor"], event.data["note"]) == ("local from 127.0.0.1", "they asked again")
    await press(hub, f"{PATH}/lift", id=id)
    assert "Nothing was changed: it is not on the list any more." in words_of(await page(hub, PATH))


async def test_the_list_is_searched_narrowed_and_paged_by_its_url(hub: WebHub) -> None:
    people = [Listing(f"p{number:02}@example.org") for number in range(60)]
    await hub.faces.suppressions.add([*people, Listing("x@other.test", SuppressionOrigin.BOUNCE)], OPERATOR)
    first = await page(hub, PATH)
    assert "p11@example.org" in first
    assert "p10@example.org" not in first
    older = first.partition('rel="next" href="')[2].partition('"')[0].replace("&amp;", "&")
    second = await page(hub, older)
    assert "p10@example.org" in second
    newer = second.partition('rel="prev" href="')[2].partition('"')[0].replace("&amp;", "&")
    assert "p11@example.org" in await page(hub, newer)
    found = words_of(await page(hub, f"{PATH}?q=OTHER"))
    assert "x@other.test" in found
    assert "p11@" not in found
    assert "x@other.test" not in words_of(await page(hub, f"{PATH}?origin=manual&q=other"))
    assert "No suppressed address matches." in words_of(await page(hub, f"{PATH}?q=nobody"))
    assert "There is nothing more here." in words_of(await page(hub, f"{PATH}?before=1"))


async def test_a_made_up_address_of_the_page_is_no_error(hub: WebHub) -> None:
    for query in ("before=x", "after=" + "9" * 30, "origin=whim", "q=%00%FF"):
        await page(hub, f"{PATH}?{query}")


async def test_a_message_tells_who_was_left_out_and_leads_to_the_entry(hub: WebHub) -> None:
    await add(hub, reason="left the company")
    id = await hub.send(to=[ADA, "bob@example.org"])
    html = await page(hub, f"/messages/{id}")
    text = words_of(html)
    assert "on the suppression list (by hand): left the company" in text
    assert 'href="/suppressions?q=ada%40example.org"' in html
    assert "Suppressed" in text
    assert ADA in words_of(await page(hub, "/suppressions?q=ada%40example.org"))
    answer = await hub.client.get(f"{PATH}/{ADA}", headers={"accept": "text/html"})
    assert answer.headers["location"] == f"{PATH}?q=ada%40example.org"


async def test_once_lifted_the_message_says_that_a_retry_sends(hub: WebHub) -> None:
    await add(hub)
    id = await hub.send()
    await press(hub, f"/messages/{id}/retry")
    text = words_of(await page(hub, f"/messages/{id}"))
    assert f"Nothing was changed: message {id} is for {ADA}, on the suppression list; lift that first" in text
    await press(hub, f"{PATH}/lift", id=str((await hub.faces.suppressions.find(ADA)).id))
    assert "It is off the list now: retry sends it." in words_of(await page(hub, f"/messages/{id}"))
    await press(hub, f"/messages/{id}/retry")
    assert f"{ADA} is queued again." in words_of(await page(hub, f"/messages/{id}"))


async def test_nothing_an_address_or_a_note_holds_is_ever_markup(hub: WebHub) -> None:
    await hub.faces.suppressions.add([Listing("a&b'c@example.org", note="<script>alert(1)</script>")], OPERATOR)
    html = await page(hub, PATH)
    assert "<script>alert" not in html
    assert "a&amp;b&#39;c@example.org" in html
