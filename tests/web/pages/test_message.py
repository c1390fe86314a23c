"""One message: what happened, what is in it, what can be done."""

import json
import re

import pytest

from emailhub.core.delivery import State
from emailhub.core.message import Mailbox, Submission
from emailhub.core.records import Origin
from emailhub.web.pages.message import verbs_for
from tests.support.web_hub import WebHub
from tests.web.pages.reading import HTML, page, part, press, words_of

EVIL = (
    "<p>Hi</p><script>alert(1)</script><img src='https://t.example/x.gif' onerror=alert(2)>"
    "<style>@import url(//t.example/a.css)</style><a href='javascript:alert(3)'>x</a>"
)


async def test_recipients_say_their_state_and_what_comes_next(hub: WebHub) -> None:
    id = await hub.send(to="ada@example.org", cc=["bob@example.org"])
    text = words_of(part(await page(hub, f"/messages/{id}"), "recipients"))
    assert "… queued ada@example.org" in text
    assert "bob@example.org cc" in text
    assert "Waits for its turn" in text


async def test_a_captured_message_is_not_called_sent(hub: WebHub) -> None:
    id = await hub.send()
    subscription = hub.faces.live.subscribe()
    async with hub.carrying():
        while b'"sent"' not in (await subscription.read(5) or b'"sent"'):
            pass
    subscription.close()
    text = words_of(part(await page(hub, f"/messages/{id}"), "recipients"))
    assert "✓ captured ada@example.org" in text
    assert "Kept here and sent to nobody" in text


async def test_hostile_content_is_shown_as_text_everywhere_on_the_page(hub: WebHub) -> None:
    id = await hub.send(subject="<script>alert(0)</script>", text=EVIL, html=EVIL, request_id='"><svg onload=alert(4)>')
    for view in ("preview", "text", "headers", "raw"):
        html = await page(hub, f"/messages/{id}?view={view}")
        assert "<script>alert" not in html
        assert "<svg onload" not in html
        assert "onerror=alert(2)>" not in html


async def test_of_a_text_of_megabytes_only_the_beginning_is_on_the_page(hub: WebHub) -> None:
    id = await hub.send(text="words and more words\n" * 100_000)
    html = await page(hub, f"/messages/{id}?view=text")
    assert 200_000 < len(html) < 300_000
    assert "are shown" in words_of(part(html, "content"))
    assert f'href="/messages/{id}/source"' in html


async def test_a_text_message_has_no_preview_and_long_words_are_kept(hub: WebHub) -> None:
    id = await hub.send(text="x" * 500)
    html = await page(hub, f"/messages/{id}")
    assert "<iframe" not in html
    assert "x" * 500 in html


async def test_headers_are_decoded_and_the_source_is_not(hub: WebHub) -> None:
    id = await hub.send(subject="Grüße")
    headers = await page(hub, f"/messages/{id}?view=headers")
    assert "<dt>Subject</dt><dd>Grüße</dd>" in headers
    assert "Subject: =?utf-8?" in await page(hub, f"/messages/{id}?view=raw")


async def test_the_source_is_a_file_to_keep_and_never_a_page(hub: WebHub) -> None:
    id = await hub.send(html=EVIL)
    response = await hub.client.get(f"/messages/{id}/source")
    assert response.headers["content-disposition"] == f'attachment; filename="{id}.eml"'
    assert response.headers["content-type"].startswith("message/rfc822")
    assert response.content == await hub.faces.history.content(id)


async def test_a_view_that_is_not_there_shows_the_best_one(hub: WebHub) -> None:
    id = await hub.send(html="<p>x</p>")
    assert "<iframe" in await page(hub, f"/messages/{id}?view=attachments")


async def test_the_script_is_spared_the_content(hub: WebHub) -> None:
    id = await hub.send(html="<p>x</p>")
    html = await page(hub, f"/messages/{id}", **{"x-part": "1"})
    assert "<iframe" not in html
    assert 'id="story"' in html


async def test_the_raw_record_is_json(hub: WebHub) -> None:
    id = await hub.send(subject="</code>")
    html = await page(hub, f"/messages/{id}")
    found = re.search(r'<pre id="record"[^>]*><code>(.*?)</code>', html, re.DOTALL)
    assert found
    record = json.loads(found[1].replace("&#34;", '"').replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    assert record["message"]["summary"]["subject"] == "</code>"
    assert [event["kind"] for event in record["events"]] == ["accepted"]


@pytest.mark.parametrize(("verb", "state", "said"), (("hold", "held", "held"), ("cancel", "canceled", "canceled")))
async def test_a_button_does_one_thing_and_says_so_once(hub: WebHub, verb: str, state: str, said: str) -> None:
    id = await hub.send()
    answer = await press(hub, f"/messages/{id}/{verb}")
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/messages/{id}"
    assert (await hub.faces.history.find(id)).summary.state == state
    assert f"ada@example.org is {said}." in words_of(await page(hub, f"/messages/{id}"))
    assert f"ada@example.org is {said}." not in words_of(await page(hub, f"/messages/{id}"))


async def test_retry_of_what_was_canceled_queues_it_and_names_who_did(hub: WebHub) -> None:
    id = await hub.send()
    await press(hub, f"/messages/{id}/cancel")
    await press(hub, f"/messages/{id}/retry")
    text = words_of(await page(hub, f"/messages/{id}"))
    assert "ada@example.org is queued again." in text
    assert re.search(r"↻ Retried for ada@example.org .* by local from 127.0.0.1", text)
    assert "Touched by local from 127.0.0.1" in text


async def test_a_verb_that_came_too_late_says_that_nothing_was_changed(hub: WebHub) -> None:
    id = await hub.send()
    await press(hub, f"/messages/{id}/cancel")
    answer = await press(hub, f"/messages/{id}/hold")
    assert answer.status_code == 303
    assert "Nothing was changed" in words_of(await page(hub, f"/messages/{id}"))


@pytest.mark.parametrize("verb", ("delete", "source", "RETRY"))
async def test_there_are_no_other_verbs(hub: WebHub, verb: str) -> None:
    id = await hub.send()
    assert (await press(hub, f"/messages/{id}/{verb}")).status_code in {404, 405}


async def test_another_site_cannot_press_a_button(hub: WebHub) -> None:
    id = await hub.send()
    response = await hub.client.post(
        f"/messages/{id}/cancel",
        data={},
        headers=HTML | {"origin": "https://evil.example", "sec-fetch-site": "cross-site"},
    )
    assert response.status_code == 403
    assert (await hub.faces.history.find(id)).summary.state == State.QUEUED


@pytest.mark.parametrize(
    ("states", "verbs"),
    (
        ({State.QUEUED}, ["cancel", "hold"]),
        ({State.SENDING}, ["cancel", "hold"]),
        ({State.DEFERRED}, ["cancel", "hold", "retry"]),
        ({State.HELD}, ["cancel", "retry"]),
        ({State.FAILED, State.SENT}, ["retry"]),
        ({State.SENT}, []),
    ),
)
def test_only_buttons_that_can_do_something_are_there(states: set[State], verbs: list[str]) -> None:
    assert [name for name, _ in verbs_for(states)] == verbs


async def test_where_a_message_came_from_is_told(hub: WebHub) -> None:
    submission = Submission(to=(Mailbox("ada@example.org"),), subject="x", text="y")
    receipt = await hub.faces.intake.accept(submission, Origin("amqp", "c-1", "email.queue"))
    text = words_of(await page(hub, f"/messages/{receipt.id}"))
    assert "over RabbitMQ · email.queue" in text
    assert "Correlation c-1" in text
