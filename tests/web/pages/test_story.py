"""What happened to a message, told from its attempts and events."""

import msgspec

from emailhub.core.delivery import State
from emailhub.core.records import AttemptRecord, AttemptResult, Detail, Event
from emailhub.core.verdict import Line, Session
from emailhub.web.pages import story
from tests.support.demo_outbox import NOW, DemoOutbox, message_id

INVOICE = message_id(1)


async def _detail() -> Detail:
    return await DemoOutbox(lambda: NOW).find(INVOICE)


def _attempt(*results: AttemptResult, finished: float | None = NOW + 1, number: int = 1) -> AttemptRecord:
    return AttemptRecord(
        id=number,
        message=INVOICE,
        number=number,
        relay="default",
        started_at=NOW,
        body_at=None,
        finished_at=finished,
        counted=True,
        results=results,
        transcript=(
            Line(0.1, "client", "MAIL FROM:<a@b.c>"),
            Line(0.4, "client", "DATA"),
            Line(38.2, "server", "550 5.1.1 no"),
        ),
        session=Session("192.0.2.1:587", "TLSv1.3", 41),
    )


SENT = AttemptResult("linus@example.net", "accepted", "final reply", "250 2.0.0 Ok", State.SENT, 250)
REFUSED = AttemptResult("grace@exmaple.com", "permanent", "rcpt", "550 5.1.1 user unknown", State.FAILED, 550)
TROUBLE = AttemptResult("linus@example.net", "relay trouble", "connect", "connection refused", State.DEFERRED)


async def test_it_begins_with_where_the_message_came_from() -> None:
    first, *_ = story.tell(await _detail(), (), (), NOW)
    assert first.title == "Accepted"
    assert first.facts == "over RabbitMQ · email.queue"
    assert "2 recipients" in first.text


async def test_an_attempt_says_what_became_of_each_recipient() -> None:
    step = story.tell(await _detail(), (_attempt(SENT, REFUSED),), (), NOW)[-1]
    assert step.outcome == "1 sent, 1 refused"
    assert step.texts == ("linus@example.net: 250 2.0.0 Ok", "grace@exmaple.com: 550 5.1.1 user unknown")
    assert step.tone == "bad"
    assert step.facts == "1.00 s · TLS 1.3 · 192.0.2.1:587 · connection, 41st message on it"


async def test_trouble_of_the_relay_is_said_not_to_count() -> None:
    step = story.tell(await _detail(), (_attempt(TROUBLE),), (), NOW)[-1]
    assert step.texts == ("connection refused · attempt not counted",)
    assert (step.outcome, step.tone) == ("deferred", "warn")


async def test_only_the_last_attempt_is_open_and_a_running_one_says_for_how_long() -> None:
    attempts = (_attempt(TROUBLE), _attempt(finished=None, number=2))
    steps = [step for step in story.tell(await _detail(), attempts, (), NOW + 12) if step.attempt]
    assert [step.open for step in steps] == [False, True]
    assert steps[1].outcome == "running for 12 s"


async def test_the_conversation_shows_times_once_and_refusals_as_such() -> None:
    lines = story.tell(await _detail(), (_attempt(REFUSED),), (), NOW)[-1].lines
    assert [line.at for line in lines] == ["0 ms", "", "38 ms"]
    assert [line.arrow for line in lines] == ["›", "›", "‹"]
    assert [line.refusal for line in lines] == [False, False, True]


async def test_what_an_attempt_led_to_is_not_told_twice() -> None:
    events = (
        Event(1, NOW, "sending", INVOICE, None, {"number": 1}),
        Event(2, NOW + 1, "failed", INVOICE, None, {"number": 1, "text": "550", "recipients": 1}),
        Event(3, NOW + 2, "dead_letter", INVOICE, None, {"recipient": "grace@exmaple.com", "reason": "refused"}),
    )
    titles = [step.title for step in story.tell(await _detail(), (_attempt(SENT, REFUSED),), events, NOW)]
    assert titles == ["Accepted", "Attempt 1 over default", "Dead letter"]


async def test_an_operators_deed_names_who_and_why() -> None:
    facts = {"actor": "admin from 192.0.2.9", "note": "address corrected", "recipients": 1, "recipient": "a@b.c"}
    events = (Event(1, NOW + 5, "queued", INVOICE, None, facts),)
    step = story.tell(await _detail(), (), events, NOW)[-1]
    assert (step.title, step.outcome, step.facts) == ("Retried", "for a@b.c", "by admin from 192.0.2.9")
    assert step.text == "address corrected"
    assert story.touched(events) == ("admin from 192.0.2.9",)


async def test_what_another_relay_took_over_says_which_and_why() -> None:
    facts = {"state": "deferred", "over": "ses", "text": "relay gmail is not sending since 03:12; ses carries it"}
    step = story.tell(await _detail(), (), (Event(1, NOW + 5, "queued", INVOICE, None, facts),), NOW)[-1]
    assert (step.title, step.glyph, step.tone) == ("Given to ses", "⇄", "warn")
    assert step.text == "relay gmail is not sending since 03:12; ses carries it"


async def test_a_new_time_to_send_says_who_gave_it_and_when_it_is() -> None:
    facts = {"actor": "key 1", "note": "", "recipients": 2, "text": "rescheduled by key 1 for 2027-01-31 09:30:00 UTC"}
    step = story.tell(await _detail(), (), (Event(1, NOW + 5, "scheduled", INVOICE, None, facts),), NOW)[-1]
    assert (step.title, step.outcome, step.facts) == ("Rescheduled", "for 2 recipients", "by key 1")
    assert step.text == facts["text"]


async def test_a_wish_says_what_was_asked_for() -> None:
    events = (Event(1, NOW, "wish", INVOICE, None, {"wish": "cancel", "actor": "admin", "recipients": 2}),)
    step = story.tell(await _detail(), (), events, NOW)[-1]
    assert (step.title, step.outcome) == ("Cancel asked for", "for 2 recipients")


async def test_a_copy_and_its_original_lead_to_each_other() -> None:
    detail = await _detail()
    copied = Event(1, NOW, "copied", INVOICE, None, {"copy": "01COPY", "over": "default", "actor": "admin"})
    assert story.tell(detail, (), (copied,), NOW)[-1].link == "01COPY"
    copy = msgspec.structs.replace(detail, detail=f"copy of {INVOICE}")
    assert story.tell(copy, (), (), NOW)[0].link == INVOICE


def test_a_breaker_tells_why_it_opened_but_not_the_old_cause_when_it_closed() -> None:
    opened = Event(1, NOW, "breaker_opened", None, "default", {"text": "connection refused"})
    closed = Event(2, NOW, "breaker_closed", None, "default", {"text": "connection refused"})
    forced = Event(3, NOW, "breaker_forced", None, "default", {"mode": "open", "note": "upkeep", "actor": "admin"})
    steps = story.tell_relay((forced, closed, opened))
    assert [step.title for step in steps] == ["Paused", "Breaker closed", "Breaker opened"]
    assert [step.text for step in steps] == ["upkeep", "", "connection refused"]


def test_events_of_unknown_kinds_are_left_out() -> None:
    assert story.tell_relay((Event(1, NOW, "something new", None, "default", {}),)) == ()


async def test_an_attempt_over_another_relay_says_why() -> None:
    attempt = msgspec.structs.replace(_attempt(SENT), why="relay gmail is not sending since 03:12: login refused")
    step = story.tell(await _detail(), (attempt,), (), NOW)[-1]
    assert step.why == "relay gmail is not sending since 03:12: login refused"


async def test_many_recipients_are_counted_in_the_sentence_and_listed_below_it() -> None:
    many = [msgspec.structs.replace(SENT, address=f"u{n}@example.net") for n in range(20)]
    step = story.tell(await _detail(), (_attempt(*many, REFUSED),), (), NOW)[-1]
    assert step.texts == ("20 recipients: 250 2.0.0 Ok", "grace@exmaple.com: 550 5.1.1 user unknown")
    assert [answer.word for answer in step.answers] == ["sent"] * 20 + ["refused"]
    assert step.answers[-1].address == "grace@exmaple.com"


async def test_the_only_recipient_is_not_listed_again() -> None:
    assert story.tell(await _detail(), (_attempt(SENT),), (), NOW)[-1].answers == ()


async def test_an_address_that_got_on_the_suppression_list_is_told_with_the_words_of_its_server() -> None:
    refused = Event(7, NOW, "listed", INVOICE, None, {"recipient": "grace@exmaple.com", "text": "550 5.1.1 unknown"})
    facts = {"recipient": "grace@exmaple.com", "recipients": 1, "text": "on the suppression list (by hand)"}
    later = Event(8, NOW + 1, "suppressed", INVOICE, None, facts)
    listed, suppressed = story.tell(await _detail(), (), (refused, later), NOW)[-2:]
    assert (listed.title, listed.outcome) == ("Put on the suppression list", "for grace@exmaple.com")
    assert (listed.text, listed.tone) == ("550 5.1.1 unknown", "warn")
    assert (suppressed.title, suppressed.text) == ("Suppressed", "on the suppression list (by hand)")


async def test_an_attempt_after_which_nothing_is_tried_again_says_so() -> None:
    stopped = msgspec.structs.replace(TROUBLE, state=State.SUPPRESSED)
    facts = {"recipient": TROUBLE.address, "recipients": 1, "text": "on the suppression list (by hand)", "number": 1}
    event = Event(8, NOW + 1, "suppressed", INVOICE, None, facts)
    attempt, after = story.tell(await _detail(), (_attempt(stopped),), (event,), NOW)[-2:]
    assert (attempt.outcome, attempt.tone) == ("suppressed", "neutral")
    assert (after.title, after.text) == ("Suppressed", "on the suppression list (by hand)")
