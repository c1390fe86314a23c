"""A test through one relay: it goes over that one or not at all, and is not sent where it would only wait."""

from __future__ import annotations

import pytest

from emailhub.core.breaker import Mode, Phase, Snapshot
from tests.support.demo_hub import DemoHub
from tests.support.factories import NOW
from tests.support.web_hub import WebHub
from tests.web.pages.reading import HTML, page, press, words_of


@pytest.fixture
def demo() -> DemoHub:
    return DemoHub(now=lambda: NOW)


async def refusal(demo: DemoHub, relay: str, **fields: str) -> str:
    """What the page says when nothing was sent."""
    answer = await press(demo, f"/relays/{relay}/test", **{"to": "ada@example.org"} | fields)
    assert answer.headers["location"] == f"/relays/{relay}"
    assert demo.intake.accepted == []
    return words_of((await demo.client.get(f"/relays/{relay}", headers=HTML)).text)


async def test_the_test_is_a_message_for_this_relay_and_its_page_tells_its_fate(demo: DemoHub) -> None:
    answer = await press(demo, "/relays/ses/test", to="ada@example.org")
    assert answer.headers["location"].startswith("/messages/")
    ((submission, origin),) = demo.intake.accepted
    assert (submission.over, submission.to[0].address, origin.face) == ("ses", "ada@example.org", "dashboard")


async def test_the_message_may_go_over_this_relay_only(hub: WebHub) -> None:
    answer = await press(hub, "/relays/capture/test", to="ada@example.org")
    id = answer.headers["location"].removeprefix("/messages/")
    ask = "SELECT relay, pinned FROM message WHERE id = ?"
    assert await hub.database.read(lambda c: c.execute(ask, (id,)).fetchall()) == [("capture", 1)]
    assert "Handed to capture alone." in words_of(await page(hub, f"/messages/{id}"))


async def test_while_the_breaker_is_open_it_would_only_wait_and_is_not_sent(demo: DemoHub) -> None:
    assert "the breaker of gmail is open, so it would only wait" in await refusal(demo, "gmail")


async def test_nor_while_the_relay_is_paused(demo: DemoHub) -> None:
    demo.board.snapshots["ses"] = Snapshot(phase=Phase.OPEN, mode=Mode.OPEN, since=NOW, actor="op", note="x")
    assert "ses is paused by hand" in await refusal(demo, "ses")


async def test_a_relay_forced_closed_gets_it_in_spite_of_its_trouble(demo: DemoHub) -> None:
    demo.board.snapshots["gmail"] = Snapshot(mode=Mode.CLOSED, failures=9, since=NOW, actor="op", note="x")
    assert (await press(demo, "/relays/gmail/test", to="a@b.example")).headers["location"].startswith("/messages/")


@pytest.mark.parametrize(
    ("relay", "fields", "said"),
    (
        ("ses", {"to": "nobody"}, "No test was sent: to"),
        ("mailgun", {}, "mailgun carries *.example.org, example.net, not example.com"),
        ("mailgun", {"from": "a@news.example.org"}, "mailgun does not let news.example.org send"),
    ),
)
async def test_what_could_not_go_is_said_at_once(demo: DemoHub, relay: str, fields: dict[str, str], said: str) -> None:
    assert said in await refusal(demo, relay, **fields)


async def test_a_relay_that_only_captures_offers_no_test_where_mail_is_sent(hub: WebHub) -> None:
    form = "Send a test through this relay"
    assert form in words_of(await page(hub, "/relays/capture"))
    hub.faces.board.capturing = False
    assert form not in words_of(await page(hub, "/relays/capture"))


async def test_an_unknown_relay_has_nothing_to_test(demo: DemoHub) -> None:
    assert (await press(demo, "/relays/nobody/test", to="a@b.example")).status_code == 404
