"""The judge of the crash tests finds every kind of broken promise, and nothing where none is broken."""

from __future__ import annotations

import pytest

from tests.crash.ledger import Asked, Copy, Promise, Told, Verdict, judge

ADA = "ada@example.org"
SENT = Told(ADA, "M1", "sent")
COPY = Copy(ADA, "M1", at=10.0, answered=True, quit=True, digest=b"d")
CUT = COPY._replace(at=5.0, quit=False)


FIRST = Promise("M1")


def asked(promise: Promise | None = FIRST, *, listed: bool = False) -> Asked:
    return Asked({ADA}, {ADA: promise} if promise else {}, {ADA} if listed else set())


@pytest.mark.parametrize(
    ("told", "copies"),
    (
        ([SENT], [COPY]),
        ([SENT._replace(unknown=1)], [CUT, COPY]),
        ([SENT._replace(unknown=2)], [CUT._replace(answered=False), CUT, COPY]),
        ([SENT._replace(state="held", unknown=1, on_unknown="hold")], [CUT]),
        ([SENT._replace(state="failed", unknown=1, on_unknown="fail")], []),
        ([SENT._replace(state="held", unknown=3)], [CUT]),
    ),
)
def test_what_is_as_promised_is_no_fault(told: list[Told], copies: list[Copy]) -> None:
    assert judge(asked(), copies, told).faults() == {}


def test_what_nobody_was_promised_may_be_there_or_not() -> None:
    assert judge(asked(None), [], []).faults() == {}
    assert judge(asked(None), [COPY], [SENT]).faults() == {}


@pytest.mark.parametrize(
    ("fault", "told", "copies"),
    (
        ("lost", [], []),
        ("lost", [SENT._replace(id="M2")], [COPY._replace(id="M2")]),
        ("unexpected", [SENT], [COPY._replace(id="M2"), COPY]),
        ("unexpected", [SENT, Told("eve@example.org", "M2", "sent")], [COPY]),
        ("unexpected", [SENT], [COPY, COPY._replace(address="eve@example.org")]),
        ("phantom", [SENT], []),
        ("phantom", [SENT], [CUT._replace(answered=False)]),
        ("unfinished", [SENT._replace(state="deferred")], []),
        ("unfinished", [SENT._replace(state="failed", unknown=1)], [CUT]),
        ("unfinished", [SENT._replace(state="failed", on_unknown="fail")], []),
        ("unfinished", [SENT._replace(state="held", unknown=2)], [CUT]),
        ("unfinished", [SENT._replace(state="suppressed")], []),
        ("accepted_twice", [SENT, SENT._replace(id="M2")], [COPY]),
        ("changed", [SENT._replace(unknown=1)], [CUT, COPY._replace(digest=b"other")]),
        ("unexplained", [SENT], [CUT, COPY]),
        ("unexplained", [SENT._replace(unknown=1)], [CUT, CUT, COPY]),
        ("unexplained", [SENT._replace(unknown=1)], [COPY._replace(at=5.0), COPY]),
    ),
)
def test_a_broken_promise_is_found(fault: str, told: list[Told], copies: list[Copy]) -> None:
    assert fault in judge(asked(), copies, told).faults()


def test_mail_that_comes_before_its_time_is_found() -> None:
    early = asked(Promise("M1", not_before=10.5))
    assert "early" in judge(early, [COPY], [SENT]).faults()
    assert judge(early, [COPY._replace(at=10.5)], [SENT]).faults() == {}


def test_mail_to_a_suppressed_address_is_found() -> None:
    listed = asked(listed=True)
    assert judge(listed, [], [SENT._replace(state="suppressed")]).faults() == {}
    assert "unexpected" in judge(listed, [COPY], [SENT._replace(state="suppressed")]).faults()
    assert "unexpected" in judge(listed, [], [SENT]).faults()


def test_the_sentence_says_what_was_found() -> None:
    good = judge(asked(), [CUT, COPY], [SENT._replace(unknown=1)])
    assert good.sentence(3) == "1 accepted, 3 kills, 0 lost, 1 duplicates, all inside the final-reply window"
    bad = Verdict(accepted=2, lost={ADA}, unexplained={ADA}, duplicates=1)
    assert bad.sentence(1) == "2 accepted, 1 kills, 1 lost, 1 duplicates, not all inside the final-reply window"
