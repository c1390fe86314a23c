"""The geometry of the charts."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emailhub.core.figures import Minute
from emailhub.core.spread import Timing, Timings
from emailhub.web.pages.chart import GRID, SPANS, Chart, Span, ceiling, time_scale
from emailhub.web.pages.charts import failures, throughput, times

HOUR = SPANS["1h"]


def _minutes(*sent: int, failed: int = 0) -> list[Minute]:
    return [Minute(60.0 * i, sent=value, failed=failed) for i, value in enumerate(sent)]


def _times(*pairs: tuple[float, float] | None) -> Timings:
    steps = [Timing(60.0 * i, 1, *pair) if pair else Timing(60.0 * i) for i, pair in enumerate(pairs)]
    return Timings(steps[0], tuple(steps))


def _path(chart: Chart, name: str) -> str:
    return next(one.path for one in chart.series if one.name == name)


def _numbers(path: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?\d+\.\d+", path)]


@pytest.mark.parametrize(("highest", "top"), ((0, 3), (3, 3), (4, 6), (41, 60), (61, 150), (1204, 1500)))
def test_the_grid_lines_carry_round_numbers(highest: int, top: int) -> None:
    assert ceiling(highest) == top


@given(st.integers(0, 10**9))
def test_the_top_is_never_below_the_highest_value_nor_far_above(highest: int) -> None:
    top = ceiling(highest)
    assert highest <= top <= max(GRID, 3 * highest)


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=90))
def test_a_curve_never_leaves_the_box_nor_shows_more_than_there_was(values: list[int]) -> None:
    numbers = _numbers(_path(throughput(HOUR, _minutes(*values)), "sent"))
    top = ceiling(max(values))
    heights = numbers[1::2]
    assert min(heights) >= 100 - 100 * max(values) / top - 0.01
    assert max(heights) <= 100 - 100 * min(values) / top + 0.01
    assert min(numbers[::2]) >= 0
    assert max(numbers[::2]) <= 100.01


@given(st.lists(st.floats(0.0, 10**6), min_size=1, max_size=60))
def test_times_of_any_length_stay_in_the_box_between_four_lines(values: list[float]) -> None:
    chart = times(HOUR, _times(*((value, value) for value in values)))
    heights = _numbers(_path(chart, "p95"))[1::2]
    assert min(heights) >= -0.01
    assert max(heights) <= 100.01
    assert [tick.position for tick in chart.rows] == sorted(tick.position for tick in chart.rows)
    assert len({tick.label for tick in chart.rows}) == GRID + 1


def test_four_grid_lines_and_four_times_are_labelled() -> None:
    chart = throughput(HOUR, _minutes(*[20] * 60))
    assert [tick.label for tick in chart.rows] == ["30", "20", "10", "0"]
    assert [tick.value for tick in chart.columns] == [0, 1200, 2400, 3600]


def test_times_are_labelled_from_about_the_shortest_to_about_the_longest() -> None:
    assert [tick.label for tick in time_scale(0.05, 7.0).rows] == ["10 s", "1 s", "0.1 s", "10 ms"]
    assert [tick.label for tick in time_scale(0.0005, 0.002).rows] == ["1 s", "0.1 s", "10 ms", "1 ms"]
    assert time_scale(0.2, 5000.0).rows[0].label == "6 h"


def test_the_values_go_along_for_reading_and_add_up() -> None:
    minutes = _minutes(1, 2, 1204, failed=1)
    assert json.loads(throughput(HOUR, minutes).counts) == [["0", "1"], ["0", "2"], ["0", "1,204"]]
    assert json.loads(failures(HOUR, minutes).counts) == [["0", "1"]] * 3
    assert {one.name: one.total for one in failures(HOUR, minutes).series} == {"deferred": "0", "failed": "3"}


def test_the_table_has_the_steps_in_which_something_happened_the_latest_first() -> None:
    assert throughput(HOUR, _minutes(1, 0, 3)).table == ((120.0, ("0", "3")), (0.0, ("0", "1")))


def test_a_minute_in_which_nothing_was_sent_took_no_time_and_breaks_the_line() -> None:
    chart = times(HOUR, _times((0.1, 0.4), None, (0.1, 0.4), (0.2, 0.4)))
    assert _path(chart, "p50").count("M") == 2
    assert json.loads(chart.counts)[1] == ["–", "–"]
    assert len(chart.table) == 3


@pytest.mark.parametrize(
    "chart", (throughput(HOUR, _minutes(0, 0)), failures(HOUR, _minutes(9)), times(HOUR, _times(None)))
)
def test_an_hour_of_nothing_is_said_to_be_empty(chart: Chart) -> None:
    assert chart.empty
    assert chart.summary.startswith("Nothing was ")
    assert chart.summary.endswith(" in the last 1 h.")


def test_marks_close_to_each_other_do_not_write_over_each_other() -> None:
    chart = throughput(HOUR, _minutes(*[0] * 60), [(60.0, "a", "bad"), (120.0, "b", "ok"), (3000.0, "c", "bad")])
    assert [mark.row for mark in chart.marks] == [1, 0, 0]
    assert [mark.side for mark in chart.marks] == ["start", "start", "end"]


def test_where_no_room_is_left_the_latest_marks_keep_their_texts_and_none_is_left_out() -> None:
    events = [(3500.0 + i, f"gmail: breaker opened {i}", "bad") for i in range(5)]
    chart = throughput(HOUR, _minutes(*[0] * 60), events)
    assert [mark.row for mark in chart.marks] == [None, None, 2, 1, 0]
    assert [mark.at for mark in chart.marks] == [at for at, _, _ in events]


@pytest.mark.parametrize("span", SPANS.values(), ids=SPANS)
def test_every_span_divides_into_whole_minutes(span: Span) -> None:
    assert span.step % 60 == 0
    assert span.seconds % span.step == 0
