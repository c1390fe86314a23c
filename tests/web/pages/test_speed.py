"""How fast a relay answers, stage by stage."""

from __future__ import annotations

import pytest

from emailhub.core.records import AttemptRecord
from emailhub.core.verdict import Session
from emailhub.web.pages import speed


def attempt(*stages: tuple[str, float]) -> AttemptRecord:
    return AttemptRecord(
        id=1,
        message="M",
        number=1,
        relay="ses",
        started_at=0.0,
        body_at=None,
        finished_at=1.0,
        counted=True,
        results=(),
        transcript=(),
        session=Session(stages=stages),
    )


def test_the_stages_stand_in_the_order_of_a_conversation_with_how_often_each_was_met() -> None:
    found = speed.of([attempt(("mail", 5), ("final reply", 40)), attempt(("connect", 20), ("mail", 7))])
    assert [(one.stage, one.count) for one in found] == [("connect", 1), ("mail", 2), ("final reply", 1)]


def test_the_median_and_the_95th_percentile_are_times_that_were_measured() -> None:
    (one,) = speed.of([attempt(("mail", float(number))) for number in range(1, 101)])
    assert (one.p50, one.p95) == ("50 ms", "95 ms")
    (single,) = speed.of([attempt(("mail", 1200.0))])
    assert (single.p50, single.p95) == ("1.20 s", "1.20 s")


def test_the_bars_compare_with_the_slowest_stage() -> None:
    widths = {one.stage: one.width for one in speed.of([attempt(("mail", 10), ("final reply", 40))])}
    assert widths == {"mail": pytest.approx(25), "final reply": pytest.approx(100)}


def test_nothing_measured_is_no_table_and_no_division_by_zero() -> None:
    assert speed.of([]) == ()
    assert [one.width for one in speed.of([attempt(("mail", 0.0))])] == [0.0]
