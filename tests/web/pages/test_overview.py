"""The first page answers whether mail is flowing."""

from emailhub.adapters.sqlite import SqliteOutbox
from emailhub.core.breaker import Mode
from emailhub.core.records import Event, Scalar
from emailhub.engine.desk import Actor
from emailhub.web.pages.overview import marks
from tests.support.factories import REFUSED, REPORT, results
from tests.support.web_hub import WebHub
from tests.web.pages.reading import page, part, words_of


async def _captured(hub: WebHub, *ids: str) -> None:
    subscription = hub.faces.live.subscribe()
    async with hub.carrying():
        waiting = set(ids)
        while waiting:
            chunk = await subscription.read(5)
            assert chunk, f"never captured: {waiting}"
            waiting -= {
                id for id in waiting for line in chunk.split(b"\n") if id.encode() in line and b'"sent"' in line
            }
    subscription.close()


async def test_an_empty_hub_shows_how_to_send_the_first_message(hub: WebHub) -> None:
    text = words_of(await page(hub, "/"))
    assert "No message has come in yet." in text
    assert "curl http://localhost:8000/send_email/" in text
    assert "Nothing was accepted or sent in the last 1 h." in text


async def test_the_numbers_count_what_happened(hub: WebHub) -> None:
    await _captured(hub, await hub.send(), await hub.send())
    await hub.send(subject="waits")
    hub.clock.at += 30
    html = await page(hub, "/")
    text = words_of(part(html, "numbers"))
    assert "Captured, last hour 2 none in the hour before" in text
    assert "Waiting 1 oldest 30 s" in text
    assert "Failed, last hour 0 none" in text
    assert "median 0 ms" in text


async def test_the_waiting_number_leads_to_where_most_of_it_is(hub: WebHub) -> None:
    await hub.send()
    assert 'href="/messages?state=queued"' in part(await page(hub, "/"), "numbers")


async def test_the_latest_messages_are_shown_newest_first_and_escaped(hub: WebHub) -> None:
    for number in range(10):
        await hub.send(subject=f"<b>number {number}</b>")
    html = part(await page(hub, "/"), "latest")
    assert "<b>number" not in html
    shown = [number for number in range(10) if f"&lt;b&gt;number {number}&lt;" in html]
    assert shown == list(range(2, 10))
    assert html.index("number 9") < html.index("number 2")


async def test_the_period_is_in_the_url(hub: WebHub) -> None:
    html = await page(hub, "/?span=24h")
    assert "per 15 minutes" in html
    assert 'href="/?span=24h" aria-current="true"' in html
    assert "per minute" in await page(hub, "/?span=nonsense")


async def test_the_chart_has_a_text_for_who_cannot_see_it(hub: WebHub) -> None:
    await _captured(hub, await hub.send())
    text = words_of(part(await page(hub, "/"), "chart"))
    assert "In the last 1 h: 1 accepted, 1 sent. Most sent in one step: 1 at 15 Jan 2027 08:00 UTC." in text


async def test_a_stopped_relay_is_the_headline_on_the_chart_and_in_the_tab(hub: WebHub) -> None:
    await hub.faces.desk.force("capture", Mode.OPEN, actor=Actor("ada"), note="upkeep", until=None)
    await hub.send()
    html = await page(hub, "/")
    assert "<title>● " in html
    assert 'href="/static/icon-trouble' in html
    assert "upkeep" in words_of(part(html, "flow"))
    assert 'action="/relays/capture/breaker"' in part(html, "flow")
    assert "Resume relay capture" in words_of(part(html, "flow"))
    assert "paused" in words_of(part(html, "ways"))
    assert "Paused at" in words_of(part(html, "chart"))
    assert "relay capture takes no mail now · paused until somebody ends it" in words_of(part(html, "latest"))


def happened(*kinds: str) -> list[str]:
    """What the chart's marks say of a relay to which these things happened, oldest first."""
    facts: dict[str, Scalar] = {"by": "ses", "mode": "open"}
    events = [Event(at, float(at), kind, None, "gmail", facts) for at, kind in enumerate(kinds)]
    return [text for _, text, _ in marks({"gmail": events[::-1]}, 0.0)]


def test_a_probe_that_fails_is_no_news_on_the_chart_and_a_second_trouble_is() -> None:
    opened, closed = "breaker opened", "breaker closed"
    assert happened("breaker_opened", "breaker_probing", "breaker_opened") == [opened]
    assert happened("breaker_opened", "breaker_closed", "breaker_opened") == [opened, closed, opened]


def test_who_carries_is_no_news_on_the_chart_when_a_restart_tells_it_again() -> None:
    carried, again = "carried by ses", "carries its own mail again"
    assert happened("relay_covered", "breaker_probing", "relay_covered") == [carried]
    assert happened("relay_covered", "relay_returned", "relay_covered") == [carried, again, carried]


def test_a_second_pause_is_news_on_the_chart() -> None:
    assert happened("breaker_forced", "breaker_auto", "breaker_forced") == ["paused", "paused"]
    assert happened("breaker_forced", "breaker_forced") == ["paused"]


async def test_the_one_next_action_is_done_from_the_first_page_and_leads_back_to_it(hub: WebHub) -> None:
    await hub.faces.desk.force("capture", Mode.OPEN, actor=Actor("ada"), note="upkeep", until=None)
    answer = await hub.client.post(
        "/relays/capture/breaker", data={"state": "auto", "back": "/"}, headers={"sec-fetch-site": "same-origin"}
    )
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert hub.faces.board.relay("capture").breaker.mode is Mode.AUTO


async def test_failures_of_the_same_kind_are_one_cause_with_a_link(hub: WebHub) -> None:
    ids = [await hub.send(to=f"u{number}@example.org") for number in range(3)]
    outbox = SqliteOutbox(hub.database, dead_letters=False)
    for job in (await outbox.claim("capture", limit=9, now=hub.clock())).jobs:
        text = f"550 5.1.1 <{job.recipients[0].address}>: User unknown"
        await outbox.record(job, results(job, REFUSED, text=text), REPORT, hub.clock())
    html = part(await page(hub, "/"), "causes")
    assert "3 × 550 5.1.1 User unknown" in words_of(html)
    assert 'href="/messages?state=failed&amp;q=code:5.1.1"' in html
    listed = await page(hub, "/messages?state=failed&q=code:5.1.1")
    assert [listed.count(f'id="m-{id}"') for id in ids] == [1, 1, 1]
