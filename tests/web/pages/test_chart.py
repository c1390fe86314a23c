"""The geometry of the throughput chart."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emailhub.core.records import Minute
from emailhub.web.pages.chart import GRID, SPANS, ceiling, draw


def _minutes(*sent: int, failed: int = 0) -> list[Minute]:
    return [Minute(60.0 * i, sent=value, failed=failed) for i, value in enumerate(sent)]


@pytest.mark.parametrize(("highest", "top"), ((0, 3), (3, 3), (4, 6), (41, 60), (61, 150), (1204, 1500)))
def test_the_grid_lines_carry_round_numbers(highest: int, top: int) -> None:
    assert ceiling(highest) == top


@given(st.integers(0, 10**9))
def test_the_top_is_never_below_the_highest_value_nor_far_above(highest: int) -> None:
    top = ceiling(highest)
    assert highest <= top <= max(GRID, 3 * highest)


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=90))
def test_a_curve_never_leaves_the_box_nor_shows_more_than_there_was(values: list[int]) -> None:
    chart = draw(SPANS["1h"], _minutes(*values))
    top = ceiling(max(values))
    sent = next(one.path for one in chart.series if one.name == "sent")
    numbers = [float(number) for number in re.findall(r"-?\d+\.\d+", sent)]
    heights = numbers[1::2]
    assert min(heights) >= 100 - 100 * max(values) / top - 0.01
    assert max(heights) <= 100 - 100 * min(values) / top + 0.01
    assert min(numbers[::2]) >= 0
    assert max(numbers[::2]) <= 100.01


def test_four_grid_lines_and_four_times_are_labelled() -> None:
    chart = draw(SPANS["1h"], _minutes(*[20] * 60))
    assert [tick.value for tick in chart.rows] == [30, 20, 10, 0]
    assert [tick.value for tick in chart.columns] == [0, 1200, 2400, 3600]


def test_the_values_go_along_for_reading_and_add_up() -> None:
    chart = draw(SPANS["1h"], _minutes(1, 2, 3, failed=1))
    assert json.loads(chart.counts) == [[0, 1, 0, 1], [0, 2, 0, 1], [0, 3, 0, 1]]
    assert {one.name: one.total for one in chart.series} == {"accepted": 0, "sent": 6, "deferred": 0, "failed": 3}
    assert chart.peak.sent == 3
    assert not chart.empty


def test_an_hour_of_nothing_is_said_to_be_empty() -> None:
    assert draw(SPANS["1h"], _minutes(0, 0, 0)).empty


def test_marks_close_to_each_other_do_not_write_over_each_other() -> None:
    chart = draw(SPANS["1h"], _minutes(*[0] * 60), [(60.0, "a", "bad"), (120.0, "b", "ok"), (3000.0, "c", "bad")])
    assert [mark.row for mark in chart.marks] == [1, 0, 0]
    assert [mark.side for mark in chart.marks] == ["start", "start", "end"]


def test_where_no_room_is_left_the_latest_marks_keep_their_texts_and_none_is_left_out() -> None:
    events = [(3500.0 + i, f"gmail: breaker opened {i}", "bad") for i in range(5)]
    chart = draw(SPANS["1h"], _minutes(*[0] * 60), events)
    assert [mark.row for mark in chart.marks] == [None, None, 2, 1, 0]
    assert [mark.at for mark in chart.marks] == [at for at, _, _ in events]


@pytest.mark.parametrize("span", SPANS.values(), ids=SPANS)
def test_every_span_divides_into_whole_minutes(span: object) -> None:
    assert span.step % 60 == 0  # type: ignore[attr-defined]
    assert span.seconds % span.step == 0  # type: ignore[attr-defined]
