"""Numbers and times as people read them."""

import pytest

from emailhub.web.pages import words
from emailhub.web.pages.paper import machine


@pytest.mark.parametrize(
    ("seconds", "text"),
    (
        (-1, "0 ms"),
        (0.0941, "94 ms"),
        (0.41, "0.41 s"),
        (9.999, "10.00 s"),
        (12.4, "12 s"),
        (59.6, "60 s"),
        (660, "11 min"),
        (7500, "2 h 5 min"),
        (7200, "2 h"),
        (259_300, "3 d"),
    ),
)
def test_a_length_of_time_is_told_in_its_largest_units(seconds: float, text: str) -> None:
    assert words.duration(seconds) == text


@pytest.mark.parametrize(
    ("left", "text"), ((42, "0:42"), (3723, "1:02:03"), (0.4, "now"), (-5, "now"), (59.6, "1:00"), (600, "10:00"))
)
def test_a_countdown_ends_with_now(left: float, text: str) -> None:
    assert words.remaining(1000 + left, 1000) == text


def test_what_is_due_says_in_how_long_or_now() -> None:
    assert words.due(1042, 1000) == "in 0:42"
    assert words.due(990, 1000) == "now"


@pytest.mark.parametrize(
    ("gap", "text"), ((0, "just now"), (12, "12 s ago"), (90, "1 min ago"), (7300, "2 h ago"), (-7300, "in 2 h"))
)
def test_a_moment_is_told_from_now_in_both_directions(gap: float, text: str) -> None:
    assert words.since(1_000_000 - gap, 1_000_000) == text


@pytest.mark.parametrize(("part", "whole", "text"), ((33, 1000, "3.3 %"), (41, 100, "41 %"), (0, 5, "0 %"), (1, 0, "")))
def test_a_share_has_a_decimal_only_where_it_matters(part: int, whole: int, text: str) -> None:
    assert words.share(part, whole) == text


@pytest.mark.parametrize(
    ("now", "before", "text"),
    (
        (82, 100, "−18 % against the hour before"),
        (108, 100, "+8 % against the hour before"),
        (100, 100, "as many as the hour before"),
        (5, 0, "none in the hour before"),
    ),
)
def test_an_hour_is_compared_with_the_one_before(now: int, before: int, text: str) -> None:
    assert words.against(now, before, "the hour before") == text


@pytest.mark.parametrize(
    ("rate", "text"),
    ((0, "0/s"), (14.2, "14/s"), (0.4, "0.4/s"), (0.05, "3/min"), (0.001, "under 1/min"), (1500, "1,500/s")),
)
def test_a_rate_never_rounds_to_nothing(rate: float, text: str) -> None:
    assert words.rate(rate) == text


@pytest.mark.parametrize(
    ("count", "text"), ((1, "1 byte"), (812, "812 bytes"), (2386, "2.4 kB"), (52_000_000, "52 MB"), (3.2e9, "3.2 GB"))
)
def test_sizes_are_told_for_people(count: int, text: str) -> None:
    assert words.size(int(count)) == text


def test_a_time_carries_its_exact_moment_and_cannot_carry_markup() -> None:
    element = words.time_element(1_795_490_640.25, "ago", "<b>")
    assert 'datetime="2026-11-24T03:24:00.250Z"' in element
    assert 'title="2026-11-24 03:24:00 UTC"' in element
    assert "&lt;b&gt;" in element


def test_words_for_machines_are_code_and_nothing_in_them_is_html() -> None:
    assert machine("Set `A<b>` & <i>go") == "Set <code>A&lt;b&gt;</code> &amp; &lt;i&gt;go"
