"""An attempt as a timed conversation."""

from __future__ import annotations

import pytest

from emailhub.core.delivery import State
from emailhub.core.records import AttemptRecord, AttemptResult
from emailhub.core.verdict import STAGES, Line, Session
from emailhub.web.pages import talk
from tests.support.factories import NOW


def attempt(*lines: Line, session: Session | None = None, results: tuple[AttemptResult, ...] = ()) -> AttemptRecord:
    return AttemptRecord(
        id=1,
        message="01X",
        number=1,
        relay="ses",
        started_at=NOW,
        body_at=None,
        finished_at=NOW + 1,
        counted=True,
        results=results,
        transcript=lines,
        session=session or Session(),
    )


def staged(*stages: tuple[str, float]) -> AttemptRecord:
    return attempt(session=Session(stages=stages))


def test_commands_that_left_together_are_said_to_even_when_a_millisecond_ends_between_them() -> None:
    shown = talk.lines(
        attempt(
            Line(0.4, "client", "MAIL FROM:<a@b.c>"),
            Line(0.6, "client", "RCPT TO:<d@e.f>"),
            Line(0.6, "client", "DATA"),
            Line(38.2, "server", "250 2.1.0 Ok"),
            Line(38.2, "server", "250 2.1.5 Ok"),
        )
    )
    assert [line.aside for line in shown] == ["", "", "one write", "", ""]
    assert [line.at for line in shown] == ["0 ms", "1 ms", "", "38 ms", ""]


def test_commands_that_waited_for_their_answer_are_not_said_to_have_left_together() -> None:
    shown = talk.lines(
        attempt(Line(0, "client", "MAIL"), Line(0, "server", "250 Ok"), Line(0, "client", "RCPT"), Line(0, "note", "x"))
    )
    assert [line.aside for line in shown] == ["", "", "", ""]


def test_where_a_body_went_only_its_size_is_said_and_never_as_a_command() -> None:
    data, bdat = talk.lines(
        attempt(
            Line(0, "client", "2,386 bytes of message, then the dot"),
            Line(1, "server", "250 Ok"),
            Line(2, "client", "BDAT 2386 LAST (2,386 bytes of message)"),
        )
    )[::2]
    assert (data.text, data.aside) == ("", "2,386 bytes of message, then the dot")
    assert (bdat.text, bdat.aside) == ("BDAT 2386 LAST", "2,386 bytes of message")


def test_the_body_that_rides_with_the_commands_is_told_with_them() -> None:
    last = talk.lines(
        attempt(Line(0, "client", "MAIL FROM:<a@b.c>"), Line(0, "client", "BDAT 5 LAST (5 bytes of message)"))
    )[-1]
    assert (last.text, last.aside) == ("BDAT 5 LAST", "5 bytes of message, one write")


def test_stages_of_many_transactions_are_added_up() -> None:
    found = talk.stretches(staged(*((stage, 10.0) for _ in range(5) for stage in ("mail", "rcpt", "data"))))
    assert [(one.stage, one.lasted) for one in found] == [("mail", "50 ms"), ("rcpt", "50 ms"), ("data", "50 ms")]


def test_a_side_nobody_knows_is_a_note() -> None:
    (line,) = talk.lines(attempt(Line(0, "proxy", "hello")))
    assert (line.side, line.arrow) == ("note", "·")


def test_the_stages_fill_the_bar_in_order() -> None:
    found = talk.stretches(staged(("connect", 20), ("tls", 30), ("login", 50), ("mail", 100), ("final reply", 200)))
    assert [one.stage for one in found] == ["connect", "tls", "login", "mail", "final reply"]
    assert [one.part for one in found] == ["opening", "opening", "opening", "envelope", "final"]
    assert [one.left for one in found] == [0.0, 5.0, 12.5, 25.0, 50.0]
    assert sum(one.width for one in found) == pytest.approx(100, abs=0.1)


def test_a_stage_too_short_to_be_seen_is_drawn_and_the_bar_still_ends_where_it_should() -> None:
    found = talk.stretches(staged(("mail", 0.01), ("body", 0.2), ("final", 60_000)))
    assert all(one.width >= 0.7 for one in found)
    assert found[-1].left + found[-1].width == pytest.approx(100, abs=0.1)
    assert [one.lasted for one in found] == ["0.0 ms", "0.2 ms", "1 min"]


@pytest.mark.parametrize("stages", ((), (("mail", 0.0), ("rcpt", 0.0))))
def test_stages_that_took_no_time_or_were_not_measured_break_nothing(stages: tuple[tuple[str, float], ...]) -> None:
    assert len(talk.stretches(staged(*stages))) == len(stages)


def test_every_stage_belongs_to_a_part() -> None:
    assert {one.part for one in talk.stretches(staged(*((stage.value, 1.0) for stage in STAGES)))} == {
        "opening",
        "envelope",
        "payload",
        "final",
    }


@pytest.mark.parametrize(
    ("session", "said"),
    (
        (Session(uses=1), ""),
        (Session(uses=1, id="ses-12"), "new connection ses-12"),
        (Session(uses=2, id="ses-12"), "connection ses-12, 2nd message on it"),
        (Session(uses=41), "connection, 41st message on it"),
        (Session(uses=112, id="7"), "connection 7, 112th message on it"),
    ),
)
def test_the_connection_is_named_with_how_often_it_was_used(session: Session, said: str) -> None:
    assert talk.connection(attempt(session=session)) == said


@pytest.mark.parametrize(
    ("kind", "state", "word", "free"),
    (
        ("accepted", State.SENT, "sent", False),
        ("permanent", State.FAILED, "refused", False),
        ("transient", State.DEFERRED, "deferred", False),
        ("unknown", State.HELD, "held", False),
        ("relay trouble", State.DEFERRED, "deferred", True),
        ("sender trouble", State.DEFERRED, "deferred", True),
        ("released", State.QUEUED, "given back", True),
    ),
)
def test_each_recipient_is_told_what_became_of_it(kind: str, state: State, word: str, free: bool) -> None:
    (answer,) = talk.answers(attempt(results=(AttemptResult("a@b.c", kind, "rcpt", "so it was", state),)))
    assert (answer.address, answer.word) == ("a@b.c", word)
    assert answer.text == ("so it was · attempt not counted" if free else "so it was")
