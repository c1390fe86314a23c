"""Several relays: their order, what is left of their limits, who carries for whom, and whom they do not let send."""

from __future__ import annotations

import html
import re

import pytest
from msgspec.structs import replace

from emailhub.core.breaker import Mode, Phase, Snapshot
from emailhub.core.records import Event
from emailhub.core.status import LimitStatus, PoolFacts, RelayStatus
from emailhub.web.pages import standing, story
from emailhub.web.relays import ordered
from tests.support.demo_hub import DemoHub
from tests.support.factories import NOW
from tests.web.pages.reading import page, part, press, words_of

DAY = 86400.0


@pytest.fixture
def demo() -> DemoHub:
    """gmail is sick and ses carries for it, mailgun refuses a sender, old is draining and at its limit."""
    return DemoHub(now=lambda: NOW)


@pytest.fixture
def capturing() -> DemoHub:
    """A hub that captures, with a relay that makes trouble on purpose."""
    return DemoHub("empty", now=lambda: NOW)


def relay(name: str = "ses", **given: object) -> RelayStatus:
    status = RelayStatus(
        name=name,
        host=f"{name}:587",
        captures=False,
        breaker=Snapshot(),
        next_probe=None,
        capacity=20,
        in_flight=0,
        pool=PoolFacts(),
    )
    return replace(status, **given)


def view(status: RelayStatus, *others: RelayStatus) -> standing.RelayView:
    return standing.relay_view(status, (), NOW, (status, *others))


def test_relays_stand_in_the_order_they_are_asked_and_those_that_only_store_last() -> None:
    relays = (
        relay("capture", captures=True),
        relay("later", priority=2),
        relay("light", weight=1),
        relay("heavy", weight=3),
    )
    assert [one.name for one in ordered(relays)] == ["heavy", "light", "later", "capture"]


@pytest.mark.parametrize(
    ("used", "free_at", "said", "left", "tone"),
    (
        (0, None, "0 of 2,000 a day", 2000, "ok"),
        (1312, None, "1,312 of 2,000 a day", 688, "ok"),
        (1700, None, "1,700 of 2,000 a day", 300, "warn"),
        (2000, NOW + 60, "2,000 of 2,000 a day", 0, "warn"),
        (2003, NOW + 60, "2,003 of 2,000 a day", 0, "warn"),
    ),
)
def test_a_limit_says_what_is_used_and_what_is_left(
    used: int, free_at: float | None, said: str, left: int, tone: str
) -> None:
    (limit,) = view(relay(limits=(LimitStatus(limit=2000, seconds=DAY, used=used, free_at=free_at),))).limits
    assert (limit.used, limit.left, limit.tone) == (said, left, tone)
    assert 0 <= limit.width <= 100


@pytest.mark.parametrize(
    ("seconds", "said"),
    ((1.0, "a second"), (60.0, "a minute"), (3600.0, "an hour"), (DAY, "a day"), (300.0, "5 min"), (90.0, "1 min")),
)
def test_the_span_of_a_limit_is_named(seconds: float, said: str) -> None:
    assert standing.span(seconds) == said


def test_an_allowance_that_is_used_up_stands_in_the_headline_and_a_pace_does_not() -> None:
    pace = LimitStatus(limit=10, seconds=1.0, used=10, free_at=NOW + 0.1)
    assert view(relay(limits=(pace,))).headline == "The breaker is closed"
    day = LimitStatus(limit=2000, seconds=DAY, used=2000, free_at=NOW + 60)
    found = view(relay(limits=(pace, day)))
    assert (found.tone, found.headline) == ("warn", "The limit is reached")
    assert found.sentence == "2,000 of 2,000 a day are used up. The mail waits, none is lost."


def test_the_mail_of_a_covered_relay_is_not_said_to_wait() -> None:
    sick = relay(breaker=Snapshot(phase=Phase.OPEN))
    assert "The mail waits" in view(sick).sentence
    assert "The mail waits" not in view(replace(sick, covered_by=("ses",))).sentence
    paused = relay(breaker=Snapshot(phase=Phase.OPEN, mode=Mode.OPEN), covered_by=("ses",))
    assert "The mail waits" not in view(paused).sentence


def test_a_relay_tells_since_when_it_carries_for_another() -> None:
    sick = relay("gmail", covered_by=("ses",), covered_since=NOW - 60, covered_why="login refused")
    assert view(relay(covers=("gmail",)), sick).carries == (standing.Carry(("gmail",), NOW - 60),)
    assert view(relay(covers=("gone",)), sick).carries == (standing.Carry(("gone",), None),)


def test_events_that_are_no_turn_of_the_breaker_do_not_colour_the_strip() -> None:
    events = (Event(2, NOW - 60, "relay_covered", None, "ses", {"by": "gmail"}),)
    (piece,) = standing.relay_view(relay(), events, NOW).strip
    assert (piece.tone, piece.word) == ("ok", "closed")


def test_events_of_relays_are_told_in_words() -> None:
    def event(kind: str, **data: str) -> Event:
        return Event(1, NOW, kind, None, "gmail", {**data})

    steps = story.tell_relay(
        (
            event("relay_covered", by="ses", text="login refused"),
            event("relay_returned", by="ses", text="it sends again"),
            event("sender_suspended", domain="example.com", text="554 not verified"),
            event("sender_resumed", domain="example.com", actor="admin"),
            event("chaos_set", text="10% put off", actor="admin"),
        )
    )
    assert [step.title for step in steps] == [
        "Carried by ses",
        "Carries its own mail again",
        "Sender suspended",
        "Sender may send again",
        "Told how to behave",
    ]
    assert [step.text for step in steps] == ["login refused", "it sends again", "554 not verified", "", "10% put off"]
    assert [step.outcome for step in steps] == ["", "", "for example.com", "for example.com", ""]
    assert [step.facts for step in steps] == ["", "", "", "by admin", "by admin"]


async def test_the_list_says_who_carries_for_whom_and_what_is_left(demo: DemoHub) -> None:
    text = words_of(await page(demo, "/relays"))
    assert "Its mail is carried by ses since 07:49 : login refused." in text
    assert "Carries the mail of gmail since 07:49 ." in text
    assert "1,312 of 2,000 a day 688 left" in text
    assert "500 of 500 an hour more at 08:24" in text
    assert "priority 1 · weight 3 · carries any sender" in text
    assert "priority 1 · weight 1 · carries *.example.org, example.net" in text
    assert "↓ draining ◷ limit reached" in text
    assert "Does not let news.example.org send. Next try in 15:00 ." in text


async def test_a_relay_that_does_not_let_a_domain_send_shows_its_words_and_a_way_on(demo: DemoHub) -> None:
    found = html.unescape(part(await page(demo, "/relays/mailgun"), "suspended"))
    assert "554 5.7.1 Sender address rejected" in found
    assert ">Let news.example.org send again<" in found
    answer = await press(demo, "/relays/mailgun/sender", domain="news.example.org")
    assert (answer.status_code, answer.headers["location"]) == (303, "/relays/mailgun")
    assert ("resume_sender", "mailgun", "news.example.org") in demo.desk.acted
    after = await page(demo, "/relays/mailgun")
    assert "Mail from news.example.org may go again." in words_of(after)
    assert "suspended</span>" not in after


async def test_the_history_of_a_relay_names_the_sender_it_suspended(demo: DemoHub) -> None:
    assert "Sender suspended for news.example.org 25 min ago" in words_of(
        part(await page(demo, "/relays/mailgun"), "history")
    )


async def test_a_sender_that_is_not_suspended_cannot_be_let_send_again(demo: DemoHub) -> None:
    await press(demo, "/relays/mailgun/sender", domain="<b>example.com")
    text = await page(demo, "/relays/mailgun")
    assert "Nothing was changed: &lt;b&gt;example.com is not suspended." in text
    assert (await press(demo, "/relays/none/sender", domain="example.com")).status_code == 404


async def test_a_draining_relay_says_what_that_means(demo: DemoHub) -> None:
    old = replace(demo.board.relay("old"), limits=())
    found = view(old)
    assert (found.headline, found.tone) == ("Draining", "info")
    assert "No new mail is given to it" in found.sentence


async def test_the_first_page_stands_many_relays_side_by_side(demo: DemoHub) -> None:
    found = await page(demo, "/")
    assert 'class="card ways wide"' in found
    assert "Its mail is carried by ses since 07:49 : login refused." in words_of(part(found, "ways"))
    assert "RabbitMQ" in part(found, "rabbit")
    assert "gmail: carried by ses" in found
    few = await page(DemoHub("calm", now=lambda: NOW), "/")
    assert 'class="card ways"' in few
    assert "RabbitMQ" in part(few, "ways")


async def test_the_chaos_relay_is_told_how_to_behave(capturing: DemoHub) -> None:
    found = await page(capturing, "/relays/chaos")
    assert 'name="transient" value="10"' in found
    assert 'name="delay" value="3"' in found
    form = {"transient": "50", "permanent": "12.5%", "drop": "0", "slow": "1,5", "delay": "0.2 s"}
    answer = await press(capturing, "/relays/chaos/chaos", **form)
    assert answer.status_code == 303
    chaos = capturing.board.chaos
    assert (chaos.transient, chaos.permanent, chaos.drop, chaos.slow, chaos.delay) == (0.5, 0.125, 0.0, 0.015, 0.2)
    assert "From the next message on: 50% put off, 12.5% refused, 1.5% slow by 0.2 s." in words_of(
        await page(capturing, "/relays/chaos")
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    (
        ({"transient": "much"}, "transient: must be a number"),
        ({"drop": "-1"}, "drop: must be a number"),
        ({"slow": "nan"}, "slow: must be a number"),
        ({"delay": ""}, "delay: must be a number"),
        ({"permanent": "1e3"}, "permanent: must be a number"),
        ({"transient": "120"}, "transient: must be between 0 and 1"),
        ({"transient": "60", "permanent": "60"}, "cannot be over 100%"),
        ({"delay": "86400"}, "delay: must be between 0 and 600 seconds"),
    ),
)
async def test_nonsense_changes_nothing_about_the_chaos(capturing: DemoHub, changes: dict[str, str], said: str) -> None:
    before = capturing.board.chaos
    form = {"transient": "0", "permanent": "0", "drop": "0", "slow": "0", "delay": "1"} | changes
    assert (await press(capturing, "/relays/chaos/chaos", **form)).status_code == 303
    assert capturing.board.chaos == before
    text = words_of(await page(capturing, "/relays/chaos"))
    assert "Nothing was changed: " in text
    assert said in text


async def test_only_the_chaos_relay_can_be_told_how_to_behave(capturing: DemoHub) -> None:
    assert "Trouble on purpose" not in await page(capturing, "/relays/capture")
    assert (await press(capturing, "/relays/capture/chaos", transient="10")).status_code == 404


async def test_forms_of_other_sites_change_nothing(demo: DemoHub, capturing: DemoHub) -> None:
    foreign = {"origin": "http://evil.test", "sec-fetch-site": "cross-site", "accept": "text/html"}
    for hub, path in ((demo, "/relays/mailgun/sender"), (capturing, "/relays/chaos/chaos")):
        answer = await hub.client.post(path, data={"domain": "news.example.org"}, headers=foreign)
        assert answer.status_code == 403
        assert hub.desk.acted == []


async def test_the_chaos_relay_stands_before_the_one_it_stands_in_for(capturing: DemoHub) -> None:
    text = words_of(part(await page(capturing, "/relays"), "relays"))
    assert text.index("chaos") < text.index("capture")
    assert "10% put off, 5% refused, 2% dropped, 5% slow by 3 s" in text


async def test_a_relay_shows_how_fast_it_answers_and_what_was_said_last(demo: DemoHub) -> None:
    html = await page(demo, "/relays/ses")
    assert re.search(r"mail [\d.]+ ms [\d.]+ ms", words_of(part(html, "speed")))
    last = words_of(part(html, "last"))
    assert "MAIL FROM:" in last
    assert "Its message" in last


async def test_a_relay_nothing_was_carried_over_says_what_would_be_shown(demo: DemoHub) -> None:
    html = await page(demo, "/relays/old")
    assert "Nothing was measured lately." in words_of(part(html, "speed"))
    assert "No attempt was made over this relay lately." in words_of(part(html, "last"))
