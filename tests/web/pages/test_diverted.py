"""A message that rules kept from those it was written to says so, at its head and in the list."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from emailhub.core.delivery import Reason, State
from emailhub.core.diversion import Diversion
from emailhub.core.records import Detail, Event
from emailhub.web.pages import diverted
from tests.support.demo_hub import DemoHub
from tests.support.demo_outbox import DemoOutbox, message_id
from tests.support.factories import NOW
from tests.support.web_hub import WebHub
from tests.web.pages.reading import page, part, words_of

DIVERTED, OUT, KEPT = message_id(12), message_id(13), message_id(14)
PLAIN = message_id(2)


@pytest.fixture
def demo() -> DemoHub:
    return DemoHub(now=lambda: NOW)


async def canned(id: str) -> Detail:
    return await DemoOutbox(lambda: NOW).find(id)


def accepted(**facts: str) -> tuple[Event, ...]:
    return (Event(1, NOW, "accepted", None, None, {**facts}),)


async def test_a_diverted_message_says_whom_it_was_meant_for_and_where_it_went(demo: DemoHub) -> None:
    text = words_of(part(await page(demo, f"/messages/{DIVERTED}"), "mark"))
    assert "Diverted: meant for ann@example.org and bob@example.net, sent to staging@example.com." in text
    answer = (await demo.client.get(f"/emails/{DIVERTED}")).json()
    assert answer["diverted_from"] == ["ann@example.org", "bob@example.net"]


async def test_the_two_parts_of_a_message_lead_to_each_other(demo: DemoHub) -> None:
    out = part(await page(demo, f"/messages/{OUT}"), "mark")
    assert "Partly kept back: customer@example.org gets nothing: that part is only stored here." in words_of(out)
    assert f'href="/messages/{KEPT}"' in out
    kept = part(await page(demo, f"/messages/{KEPT}"), "mark")
    assert "Kept back: This part, for customer@example.org, is only stored here." in words_of(kept)
    assert f'href="/messages/{OUT}"' in kept


async def test_the_list_marks_what_was_diverted_and_what_was_kept_back(demo: DemoHub) -> None:
    html = await page(demo, "/messages")
    rows = {id: words_of(html.partition(f'id="m-{id}"')[2].partition("</tr>")[0]) for id in (DIVERTED, KEPT, PLAIN)}
    assert "⇄ diverted · 250 2.0.0 Ok" in rows[DIVERTED]
    assert "⇄ kept back · kept here, sent to nobody" in rows[KEPT]
    assert "⇄" not in rows[PLAIN]


async def test_a_message_no_rule_touched_has_no_mark(demo: DemoHub) -> None:
    assert 'id="mark"' not in await page(demo, f"/messages/{PLAIN}")
    assert (await demo.client.get(f"/emails/{PLAIN}")).json()["diverted_from"] == []
    assert diverted.mark(await canned(PLAIN), ()) is None


async def test_a_message_of_which_nothing_went_out_says_so() -> None:
    detail = await canned(KEPT)
    found = diverted.mark(detail, accepted(text="kept back, not in EMAILHUB_ALLOW_RECIPIENTS: customer@example.org"))
    assert found is not None
    assert (found.title, found.companion) == ("Kept back", "")
    assert "the message is only stored here" in found.text


async def test_a_kept_message_that_was_sent_for_real_since_is_not_said_to_be_kept_back() -> None:
    detail = await canned(KEPT)
    sent = tuple(replace(one, state=State.SENT, reason=Reason.ACCEPTED) for one in detail.recipients)
    assert diverted.mark(replace(detail, recipients=sent), accepted(text="kept back")) is None


async def test_very_many_addresses_are_counted() -> None:
    detail = replace(await canned(DIVERTED), diverted=tuple(f"u{n}@example.org" for n in range(50)))
    found = diverted.mark(detail, ())
    assert found is not None
    assert "u3@example.org and 46 others, sent to" in found.text


async def test_the_rules_of_the_hub_show_on_what_they_touched(hub: WebHub) -> None:
    hub.faces.intake.diversion = Diversion("staging@example.com", ())
    id = await hub.send(to="ann@example.org")
    text = words_of(part(await page(hub, f"/messages/{id}"), "mark"))
    assert "Diverted: meant for ann@example.org, sent to staging@example.com." in text
    assert (await hub.client.get(f"/emails/{id}")).json()["diverted_from"] == ["ann@example.org"]
    rows = (await page(hub, "/messages")).partition(f'id="m-{id}"')[2].partition("</tr>")[0]
    assert "⇄ diverted" in words_of(rows)
