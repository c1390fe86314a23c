"""Times in plain words: what each means at a known moment, and that anything else means nothing."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emailhub.core.moments import EXAMPLES, moment, normal

NOW = datetime(2025, 11, 26, 10, 15, 30, tzinfo=UTC).timestamp()
"""A Wednesday."""
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
SECONDS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600),
    **dict.fromkeys(("d", "day", "days"), 86400),
    **dict.fromkeys(("w", "week", "weeks"), 604800),
}
MOMENTS = st.floats(0, 4e9, allow_nan=False)


def meant(words: str) -> str | None:
    found = moment(normal(words), NOW)
    return None if found is None else datetime.fromtimestamp(found, UTC).isoformat(" ")[:19]


@pytest.mark.parametrize(
    ("words", "expected"),
    (
        ("now", "2025-11-26 10:15:30"),
        ("in 1 min", "2025-11-26 10:16:30"),
        ("in an hour", "2025-11-26 11:15:30"),
        ("In  2 Hours", "2025-11-26 12:15:30"),
        ("in 1 hour and 30 minutes", "2025-11-26 11:45:30"),
        ("in 1 day, 2 hours", "2025-11-27 12:15:30"),
        ("in 1h30m", "2025-11-26 11:45:30"),
        ("in a week", "2025-12-03 10:15:30"),
        ("tomorrow at 9am", "2025-11-27 09:00:00"),
        ("tomorrow 9 am", "2025-11-27 09:00:00"),
        ("Tomorrow at noon UTC", "2025-11-27 12:00:00"),
        ("today at 11:30pm", "2025-11-26 23:30:00"),
        ("monday at 14:30", "2025-12-01 14:30:00"),
        ("on fri 3pm", "2025-11-28 15:00:00"),
        ("wednesday at 10:16", "2025-11-26 10:16:00"),
        ("wednesday at 10:15", "2025-12-03 10:15:00"),
        ("next wednesday at 10:16", "2025-12-03 10:16:00"),
        ("next thursday at 9am", "2025-11-27 09:00:00"),
        ("at 18:00", "2025-11-26 18:00:00"),
        ("9am", "2025-11-27 09:00:00"),
        ("at 12am", "2025-11-27 00:00:00"),
        ("at 12:30pm", "2025-11-26 12:30:00"),
        ("today at 9am", "2025-11-26 09:00:00"),
    ),
)
def test_words_mean_one_moment(words: str, expected: str) -> None:
    assert meant(words) == expected


@pytest.mark.parametrize(
    "words",
    (
        *(
            "",
            "soon",
            "tomorrow",
            "monday",
            "in",
            "in 5",
            "in five minutes",
            "in 1.5 hours",
            "in 1 month",
            "in -1 hour",
        ),
        *("in 1234567 s", "hour", "1 hour", "at 9", "at 24:00", "at 9:60", "at 13pm", "at 0am", "tomorrow at 9am CET"),
        *("someday at 9am", "next tomorrow at 9am", "in 1 hour!", "at ٩:٣٠", "in ٥ min", "in anh", "at 9:5", "utc"),
    ),
)
def test_other_words_mean_nothing(words: str) -> None:
    assert meant(words) is None


def test_the_examples_a_refusal_names_are_understood() -> None:
    assert all(meant(example) for example in EXAMPLES.split(", "))


@given(now=MOMENTS, number=st.integers(0, 999_999), unit=st.sampled_from(sorted(SECONDS)), space=st.sampled_from(" _"))
def test_an_amount_counts_from_now(now: float, number: int, unit: str, space: str) -> None:
    assert moment(f"in {number}{space.strip('_')}{unit}", now) == now + number * SECONDS[unit]


@given(now=MOMENTS, day=st.sampled_from(DAYS), short=st.booleans(), hour=st.integers(0, 23), minute=st.integers(0, 59))
def test_a_weekday_is_the_next_one_at_that_time(now: float, day: str, short: bool, hour: int, minute: int) -> None:
    found = moment(f"{day[:3] if short else day} at {hour}:{minute:02}", now)
    assert found is not None
    assert now < found <= now + 7 * 86400
    at = datetime.fromtimestamp(found, UTC)
    assert (DAYS[at.weekday()], at.hour, at.minute, at.second) == (day, hour, minute, 0)


@given(now=MOMENTS, hour=st.integers(1, 12), half=st.sampled_from(("am", "pm")))
def test_a_time_alone_is_the_next_one(now: float, hour: int, half: str) -> None:
    found = moment(f"at {hour}{half}", now)
    assert found is not None
    assert now < found <= now + 86400
    assert datetime.fromtimestamp(found, UTC).strftime("%I%p").lower() == f"{hour:02}{half}"


@given(words=st.text(alphabet="in atomrw0123456789:pmhdas,", max_size=65), now=MOMENTS)
def test_any_text_is_a_moment_or_nothing(words: str, now: float) -> None:
    found = moment(normal(words), now)
    assert found is None or isinstance(found, float)
